"""Every way and seed once, each result in a file of its own: what is there is not done again.

A file's name ends in the digest of all that its figures depend on: the way's settings, the seed, the question's version
and torch's. Pictures, weights and our own code are not part of it: after changing the first two remove the folder, and
give a question another `version` where code that is changed measures something else.
"""

from __future__ import annotations

import json
import re
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.study.question import Arm, Figures, Question, Results, Way
from benchmarks.study.sources import Sources
from models.journal import key_of
from pipeline.whole_files import whole_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A way and a seed, and where its figures go. `alone`: nothing may run beside it."""

    question: str
    arm: str
    seed: int
    way: Way
    path: Path
    seconds: float
    alone: bool

    def __str__(self) -> str:
        return f"{self.question}: {self.arm}, seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Failed:
    """A job that ended in an error."""

    job: Job
    error: BaseException


def jobs(questions: Sequence[Question], seeds: Sequence[int], folder: Path) -> list[Job]:
    """All of them, in the order of the questions."""
    return [_job(question, arm, seed, folder) for question in questions for arm in question.arms for seed in seeds]


def _job(question: Question, arm: Arm, seed: int, folder: Path) -> Job:
    digest = key_of(question.name, question.version, arm.way, seed)[:12]
    name = re.sub(r"[^a-z0-9.]+", "-", f"{question.name} {arm.name} {seed} {digest}".lower())
    return Job(
        question=question.name,
        arm=arm.name,
        seed=seed,
        way=arm.way,
        path=folder / f"{name}.json",
        seconds=arm.seconds,
        alone=question.alone,
    )


def perform(job: Job, sources: Sources, about: Mapping[str, str]) -> float:
    """Measure it and write its file, with what is said `about` machine and commit. Answers the seconds it took."""
    torch.set_num_threads(1)
    began = time.monotonic()
    figures = job.way.measured(job.seed, sources)
    seconds = time.monotonic() - began
    facts = {"question": job.question, "arm": job.arm, "seed": job.seed, "settings": repr(job.way), **about}
    content = {**facts, "seconds": seconds, "figures": figures}
    with whole_file(job.path) as part:
        part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return seconds


def run(
    todo: Sequence[Job], pool: Callable[[], Executor], work: Callable[[Job], float], say: Callable[[str], None]
) -> list[Failed]:
    """Do what is not there yet. What must be alone comes first, one after the other, and then the longest: the ends of
    two processes meet. An error stops no other job; answers those that failed.

    `pool` makes what does the `work`. A pool whose process was killed does no more: all that were in it have failed.
    """
    missing = [job for job in todo if not job.path.exists()]
    say(f"{len(todo) - len(missing)} of {len(todo)} are there already")
    rest = sorted((job for job in missing if not job.alone), key=lambda job: -job.seconds)
    groups = [*([job] for job in missing if job.alone), rest]
    failed = list[Failed]()
    for future, job in _done(groups, pool, work):
        error = future.exception()
        if error is None:
            say(f"{job}: {future.result():.0f} s ({_left(missing)} left)")
            continue
        failed.append(Failed(job, error))
        say(f"{job}: FAILED\n{''.join(traceback.format_exception(error))}")
    return failed


def _done(
    groups: Sequence[Sequence[Job]], pool: Callable[[], Executor], work: Callable[[Job], float]
) -> Iterator[tuple[Future[float], Job]]:
    """Each with its future as it ends, group after group."""
    for group in groups:
        with pool() as executor:
            futures = {executor.submit(work, job): job for job in group}
            for future in as_completed(futures):
                yield future, futures[future]


def _left(missing: Sequence[Job]) -> int:
    return sum(not job.path.exists() for job in missing)


@dataclass(frozen=True, slots=True)
class Stored:
    """What is there: figures by question, arm and seed; and the commits and machines that they come from."""

    results: Mapping[str, Results]
    commits: tuple[str, ...]
    machines: tuple[str, ...]
    seconds: float


def stored(wanted: Sequence[Job]) -> Stored:
    """Of these jobs, those whose file is there."""
    results: dict[str, dict[str, dict[int, Figures]]] = defaultdict(lambda: defaultdict(dict))
    files = [json.loads(job.path.read_text(encoding="utf-8")) for job in wanted if job.path.exists()]
    for file in files:
        results[file["question"]][file["arm"]][file["seed"]] = file["figures"]
    commits, machines = (tuple(dict.fromkeys(file[key] for file in files)) for key in ("commit", "machine"))
    return Stored(results, commits, machines, sum(file["seconds"] for file in files))
