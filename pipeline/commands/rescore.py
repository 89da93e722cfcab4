"""Segments, tags and the reel's list again from stored predictions: no picture is decoded, no network is run."""

from __future__ import annotations

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="the output folder of a run")
    parser.add_argument("--config", type=Path, metavar="F.toml", help="settings; without it, those of the run")
    parser.add_argument("--wait", action="store_true", help="wait for another run that writes to the same folder")


def run(args: argparse.Namespace) -> int:
    from pipeline.commands.again import again

    return again(args.folder, args.config, clips=False, wait=args.wait)
