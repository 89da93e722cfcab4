"""A Prefect server of our own, for as long as a run or a watched folder needs one. Knows no flow."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from flows.settings import server_url, set_defaults
from pipeline.children import ends_with_parent
from pipeline.errors import MachineError

HOST = "127.0.0.1"
_START_S = 180  # a new database is made first, and that takes a slow disk a while
_STOP_S = 10


@contextmanager
def serving(port: int = 0) -> Iterator[None]:
    """Where the user named no server there is one at `port` (0: at any that is free), until the end of the block.

    Prefect's own embedded server would run no schedules, and end before the run does on Ctrl-C, which it hears as
    well. Raises MachineError where the port is taken or no server starts.
    """
    if server_url():
        yield
        return
    address = f"http://{HOST}:{_free(port)}"
    # The first heartbeat of a short run may come after its end; the server would warn that there is nothing to crash.
    set_defaults({"PREFECT_SERVER_LOGGING_LEVEL": "ERROR"})
    process = subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", "start", "--host", HOST, "--port", address.rpartition(":")[2]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,  # out of reach of Ctrl-C: how the run ended has still to be recorded
        preexec_fn=ends_with_parent(signal.SIGTERM),  # noqa: PLW1509
    )
    try:
        _wait_for(f"{address}/api/health", process)
        set_defaults({"PREFECT_API_URL": f"{address}/api"})
        yield
    finally:
        _stop(process)


def _free(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise MachineError(
                f"port {port}: taken by another program. If that is a Prefect server, use it: "
                f"PREFECT_API_URL=http://{HOST}:{port}/api; or choose another port: PREFECT_SERVER_API_PORT"
            ) from None
        return int(probe.getsockname()[1])


def _wait_for(health: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(health, timeout=1):  # noqa: S310  our own address, http
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise MachineError(f"the Prefect server did not answer at {health}. `prefect server start` says why")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
