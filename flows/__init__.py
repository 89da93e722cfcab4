"""Matchcut under Prefect: when and where it runs, never what it does."""

from flows.settings import set_defaults

set_defaults()  # Prefect reads some of them as it is imported, so before any module here imports it
