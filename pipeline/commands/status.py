"""The state of every input of an output folder; exit code 1 if any failed."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="the output folder of a run")
    parser.add_argument("--json", action="store_true", help="print summary.json")


def run(args: argparse.Namespace) -> int:
    from pipeline.errors import UsageError
    from pipeline.inputs import SUMMARY
    from pipeline.store import read_json

    summary = read_json(args.folder / SUMMARY)
    if not isinstance(summary, dict) or "videos" not in summary:
        raise UsageError(f"{args.folder}: no {SUMMARY} here. Give the --out folder of a `matchcut run` that has ended")
    if args.json:
        sys.stdout.write(json.dumps(summary, indent=1, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("".join(_line(video) + "\n" for video in summary["videos"]))
        counts = f"{summary['done']} done, {summary['failed']} failed, {summary['ignored']} other files ignored"
        sys.stdout.write(counts + "\n")
    return 1 if summary["failed"] else 0


def _line(video: dict[str, object]) -> str:
    if video["state"] == "failed":
        return f"failed  {video['error']}"
    return f"done    {video['path']}  {video['segments']} moments, {video['clips']} clips  {video['dir']}"
