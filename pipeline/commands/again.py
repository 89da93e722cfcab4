"""What `rescore` and `export` share: the results of a folder made again from what is stored in it."""

from __future__ import annotations

from pathlib import Path

from pipeline.commands.console import Console
from pipeline.config import load_config
from pipeline.republish import republish_directory


def again(folder: Path, config_file: Path | None, *, clips: bool, wait: bool) -> int:
    """Exit code 1 when a video could not be done again; its old results stand."""
    config = load_config(config_file) if config_file else None
    with Console(verbose=False, quiet=False) as console:
        summary = republish_directory(
            folder, config, clips=clips, wait=wait, watch=console.watch, on_outcome=console.outcome
        )
        console.end(summary, folder, as_json=False)
    return 1 if summary.failed else 0
