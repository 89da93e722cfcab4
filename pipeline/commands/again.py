"""What `rescore` and `export` share: the results of a folder made again from what is stored in it."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="the output folder of a run")
    parser.add_argument("--config", type=Path, metavar="F.toml", help="settings; without it, those of the run")
    parser.add_argument("--wait", action="store_true", help="wait for another run that writes to the same folder")
    parser.add_argument("--json", action="store_true", help="print summary.json to standard output")
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for each stage of each video")


def again(args: argparse.Namespace, *, clips: bool) -> int:
    """Exit code 1 when a video could not be done again; its old results stand."""
    from pipeline.commands.console import Console
    from pipeline.config import load_config
    from pipeline.republish import read_summary, republish_directory

    config = load_config(args.config) if args.config else None
    before = read_summary(args.folder)
    with Console(verbose=args.verbose) as console:
        console.begin(len(before.videos), before.ignored)
        summary = republish_directory(
            args.folder, config, clips=clips, wait=args.wait, watch=console.watch, on_outcome=console.outcome
        )
        console.end(summary, args.folder, as_json=args.json)
    return 1 if summary.failed else 0
