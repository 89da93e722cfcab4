"""What a run was told, kept in its output folder, so that `rescore` and `export` need not be told again."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from pipeline.config import Config, override_config
from pipeline.errors import UnusableResult
from pipeline.names import PRIVATE
from pipeline.store.files import read_json, write_json

NAME = "config.json"


def save_settings(out: Path, config: Config) -> None:
    write_json(out / PRIVATE / NAME, asdict(config))


def load_settings(out: Path) -> Config:
    """The defaults where nothing is kept. Raises ConfigError for a key that this version does not know."""
    path = out / PRIVATE / NAME
    stored = read_json(path)
    if stored is not None and not isinstance(stored, dict):
        raise UnusableResult(f"{path}: not a table of settings. Delete it, or give --config")
    return override_config(Config(), stored or {}, str(path))
