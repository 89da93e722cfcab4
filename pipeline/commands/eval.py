"""Judge a checkpoint by labelled pictures, a folder of results by known moments, or predictions by a benchmark's truth;
chance beside every figure."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.commands.judging import Judgement

PICTURES, MOMENTS, QVHIGHLIGHTS, TVSUM, CUTS = "pictures", "moments", "qvhighlights", "tvsum", "cuts"
KINDS = (PICTURES, MOMENTS, QVHIGHLIGHTS, TVSUM, CUTS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        metavar="WHAT",
        help="a checkpoint, `default` or `dunk`; a result folder; a file of predictions or scores; TVSum's .mat alone, "
        "for how far people agree",
    )
    parser.add_argument(
        "data",
        nargs="*",
        type=Path,
        metavar="TRUTH",
        help="folders that hold a folder for each class; a CSV with path,start,end,label; a file of the benchmark",
    )
    parser.add_argument("--as", dest="kind", choices=KINDS, help="what WHAT is, where it is neither of the first two")
    parser.add_argument("--all", action="store_true", help="pictures: judge everything, also what it was trained on")
    boxes_from = "pictures: number of the first pixel in VOC files (COCO's is 0)"
    parser.add_argument("--boxes-from", type=int, choices=(0, 1), help=boxes_from)
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="pictures: write confusions and reliability there")
    parser.add_argument("--json", action="store_true")


def run(args: argparse.Namespace) -> int:
    kind = args.kind or _kind_of(args.model)
    _require_truth(kind, args)
    if kind == PICTURES:
        from pipeline.commands.judging_pictures import judge_checkpoint

        return judge_checkpoint(args)

    from pipeline.commands import judging

    judges: dict[str, Callable[..., Judgement]] = {
        MOMENTS: judging.moments,
        QVHIGHLIGHTS: judging.qvhighlights,
        TVSUM: judging.tvsum,
        CUTS: judging.cuts,
    }
    judgement = judges[kind](Path(args.model), *args.data)
    sys.stdout.write(judgement.as_json() if args.json else judgement.as_text())
    return 0


def _kind_of(what: str) -> str:
    """By what lies there. What is not there is left to the reader of checkpoints, who says which names there are."""
    from models.resolve import SUFFIX, embedded
    from pipeline.errors import UsageError
    from pipeline.inputs import SUMMARY

    path = Path(what)
    if (path / SUMMARY).is_file():
        return MOMENTS
    if path.suffix == SUFFIX or what in embedded() or not path.exists():
        return PICTURES
    raise UsageError(
        f"{what}: neither a checkpoint ({SUFFIX}) nor a folder with {SUMMARY}. "
        f"Say what it is: --as {', '.join(KINDS[2:])}"
    )


def _require_truth(kind: str, args: argparse.Namespace) -> None:
    from pipeline.errors import UsageError

    for option, given in (("--all", args.all), ("--boxes-from", args.boxes_from), ("--pictures", args.pictures)):
        if given is not None and given is not False and kind != PICTURES:
            raise UsageError(f"{option} is for checkpoints that are judged by pictures, not for {kind}. Leave it out")
    count = len(args.data)
    if kind == PICTURES and not count:
        raise UsageError("no TRUTH: give folders that hold a folder for each class")
    if kind != PICTURES and count != 1 and (kind, count) != (TVSUM, 0):
        raise UsageError(f"{count} TRUTH given: {kind} are judged by one file")
