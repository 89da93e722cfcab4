"""`make study`: ask all questions on real pictures, in two processes, and write what came out.

    python -m benchmarks.study [--only QUESTION ...] [--seeds 3] [--quick]

Takes about an hour on two quiet cores, and can be stopped: what is done is kept in demo/study. A quick run shows that
it works, on a handful of pictures; its figures mean nothing and go to demo/study/quick, page and all.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from benchmarks.footage import DEMO
from benchmarks.pairs import ROOT, commit, cores, machine
from benchmarks.study.question import Question
from benchmarks.study.questions import questions
from benchmarks.study.runner import Failed, Job, jobs, perform, run, stored
from benchmarks.study.sources import Folders, usual_data
from benchmarks.study.writer import write
from pipeline.commands.train import at_least
from pipeline.errors import MatchcutError

FOLDER = DEMO / "study"
PAGE = ROOT / "docs" / "study.md"


def quick(question: Question) -> Question:
    """The same with ways that take seconds."""
    return replace(question, arms=tuple(replace(arm, way=arm.way.quick(), seconds=1) for arm in question.arms))


def plan(asked: Sequence[Question], todo: Sequence[Job]) -> str:
    """What there is to do, and about how long it takes."""
    alone = sum(job.seconds for job in todo if job.alone)
    minutes = (alone + sum(job.seconds for job in todo if not job.alone) / _processes()) / 60
    return f"{len(asked)} questions, {len(todo)} results: about {minutes:.0f} minutes, all anew"


def _processes() -> int:
    return max(1, min(2, cores()))


def study(
    asked: Sequence[Question], seeds: Sequence[int], sources: Folders, page: Path, only: Sequence[str]
) -> tuple[list[Failed], Path]:
    """Do what is missing of the questions named `only` (none: all), and write the page about all. Where others of them
    were not answered here, it is a page beside the results, since `page` may have their answers."""
    every = jobs(asked, seeds, sources.kept / "results")
    chosen = [question for question in asked if not only or question.name in only]
    todo = [job for job in every if job.question in {question.name for question in chosen}]
    about = {"machine": machine(), "commit": commit(), "torch": torch.__version__}
    spawn = multiprocessing.get_context("spawn")
    pool = partial(ProcessPoolExecutor, _processes(), spawn)
    print(plan(chosen, todo), flush=True)
    failed = run(todo, pool, partial(perform, sources=sources, about=about), partial(print, flush=True))
    if only and not all(job.path.exists() for job in every):
        page = sources.kept / page.name
    write(asked, seeds, stored(every), page)
    return failed, page


def main(argv: Sequence[str] | None = None) -> int:
    every = questions()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.study", description=(__doc__ or "").splitlines()[0])
    names = [question.name for question in every]
    parser.add_argument("--only", nargs="+", choices=names, default=[], metavar="QUESTION", help=", ".join(names))
    parser.add_argument("--seeds", type=at_least(1), default=3, metavar="N", help="more show smaller differences")
    parser.add_argument("--quick", action="store_true", help="one seed of almost nothing: does it work?")
    args = parser.parse_args(argv)
    shared = ROOT.parent / "shared" / "torch_home"
    if "TORCH_HOME" not in os.environ and shared.is_dir():
        os.environ["TORCH_HOME"] = str(shared)
    folder, page = (FOLDER / "quick", FOLDER / "quick" / "study.md") if args.quick else (FOLDER, PAGE)
    sources = Folders(usual_data(ROOT), folder)
    try:
        sources.require()
    except MatchcutError as error:
        print(f"study: {error}", file=sys.stderr)
        return error.exit_code
    asked = [quick(question) for question in every] if args.quick else every
    failed, page = study(asked, range(1 if args.quick else args.seeds), sources, page, args.only)
    print(page)
    for failure in failed:
        print(f"study: failed: {failure.job} ({failure.error!r}). Run it again: what is done is kept", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
