"""Prefect as Matchcut wants it where the user has not said otherwise. Knows no flow.

Whatever the user has set goes before these: an environment variable, prefect.toml, a profile.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

HEARTBEAT_S = 30

DEFAULTS = {
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",  # no server named: one of its own for the run
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",  # of the 20 it waits, several at once need more
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # In memory, the default, a server that was killed forgets who holds a deployment's only slot: never free again.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S),
}
PRIVATE = {"PREFECT_LOGGING_TO_API_ENABLED": "false"}  # with a server that ends with the run: nobody can read there
QUIET = {"PREFECT_LOGGING_LEVEL": "WARNING"}


def set_defaults(defaults: Mapping[str, str] = DEFAULTS) -> None:
    """Put into the environment, and so into every process that Prefect starts, what the user left open."""
    os.environ.setdefault("DO_NOT_TRACK", "1")  # read while Prefect is imported, so it comes first
    os.environ.setdefault("PYTHONSAFEPATH", "1")  # a run's `models` are ours, not a folder where it was started
    from prefect.context import refresh_global_settings_context

    given = _given()
    os.environ.update({name: value for name, value in defaults.items() if name not in given})
    refresh_global_settings_context()


def server_url() -> str | None:
    """The Prefect API that the user has named, wherever; None: there has to be one of our own."""
    return _given().get("PREFECT_API_URL")


def _given() -> Mapping[str, str]:
    """Every setting that is not Prefect's own default."""
    from prefect.settings import Settings

    return Settings().to_environment_variables(exclude_unset=True)
