"""The state of every input of an output folder; exit code 1 if any failed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.words import shown, summary_text

if TYPE_CHECKING:
    from pipeline.records import VideoOutcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="the output folder of a run")
    parser.add_argument("--json", action="store_true", help="print summary.json")


def run(args: argparse.Namespace) -> int:
    from pipeline.republish import read_summary

    summary = read_summary(args.folder)
    if args.json:
        sys.stdout.write(summary_text(summary, args.folder))
    else:
        sys.stdout.write("".join(f"{_line(video, args.folder)}\n" for video in summary.videos))
        sys.stdout.write(f"{summary.done} done, {summary.failed} failed, {summary.ignored} other files ignored\n")
    return 1 if summary.failed else 0


def _line(video: VideoOutcome, folder: Path) -> str:
    from pipeline.records import path_from

    if video.error is not None:
        return shown(f"failed  {video.error}")
    return (
        shown(f"done    {path_from(folder, video.path)}")
        + f"  {video.segments} moments, {video.clips} clips  {video.dir}"
    )
