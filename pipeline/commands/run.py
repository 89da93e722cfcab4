"""Find the moments worth showing in videos: segments, tags, clips, a reel, reports and pages."""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from pipeline.commands.work import add_work_arguments, given_path

    parser.add_argument("inputs", nargs="+", type=given_path, metavar="INPUT", help="videos, or folders of videos")
    add_work_arguments(parser)
    parser.add_argument("--wait", action="store_true", help="wait for another run that writes to the same folder")
    parser.add_argument("--json", action="store_true", help="print summary.json to standard output")
    parser.add_argument("-v", "--verbose", action="store_true", help="a line for each stage of each video")


def run(args: argparse.Namespace) -> int:
    from pipeline.commands.console import Console
    from pipeline.commands.work import work_from
    from pipeline.inputs import find_inputs
    from pipeline.run import process_directory

    with Console(verbose=args.verbose) as console:
        work = work_from(args, console.watch)
        inputs = find_inputs(args.inputs, work.out)
        console.begin(len(inputs.files), inputs.ignored)
        summary = process_directory(inputs, work, wait=args.wait, on_outcome=console.outcome)
        console.end(summary, work.out, as_json=args.json)
    return 1 if summary.failed else 0
