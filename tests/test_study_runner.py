"""The study is done once, piece by piece: what is there stays, what changed is done again, what fails is named."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest

from benchmarks.study.__main__ import main
from benchmarks.study.columns import TOP1
from benchmarks.study.findings import Compared
from benchmarks.study.question import Arm, Figures, Question
from benchmarks.study.runner import Failed, Job, jobs, perform, run, stored
from benchmarks.study.sources import BOXES, CLIPS, SPORTS, Folders, Sources

ABOUT = {"machine": "a machine", "commit": "abc"}


@dataclass(frozen=True)
class Counting:
    """A way that says what it was asked, and fails where it is told to."""

    name: str
    fails: bool = False
    asked: list[int] = field(default_factory=list, repr=False, compare=False)
    trainings: int = 1

    def quick(self) -> Counting:
        return self

    def measured(self, seed: int, sources: Sources) -> Figures:
        self.asked.append(seed)
        if self.fails:
            raise ValueError("diverged")
        return {"top1": 0.5 + seed / 100, "loss": [2.0, 1.0]}


def question(*ways: Counting, version: int = 1, alone: bool = False) -> Question:
    names = tuple(way.name for way in ways)
    return Question(
        name="alone" if alone else "colours",
        asks="Which colour?",
        how="By looking.",
        arms=tuple(Arm(name=way.name, way=way, seconds=1) for way in ways),
        columns=(TOP1,),
        findings=(Compared(column=TOP1, arms=names),),
        chosen=Compared(column=TOP1, arms=names),
        plots=(),
        version=version,
        alone=alone,
    )


def done(folder: Path, *questions: Question, seeds: tuple[int, ...] = (0, 1), threads: int = 1) -> list[Failed]:
    def pool() -> Executor:
        return ThreadPoolExecutor(threads)

    work = partial(perform, sources=Folders(folder, folder), about=ABOUT)
    return run(jobs(questions, seeds, folder), pool, work, lambda _: None)


def test_what_is_there_is_not_done_again(tmp_path: Path) -> None:
    red, blue = Counting("red"), Counting("blue")
    assert done(tmp_path, question(red)) == []
    assert done(tmp_path, question(red, blue)) == []
    assert (red.asked, blue.asked) == ([0, 1], [0, 1])
    assert done(tmp_path, question(red), seeds=(0, 1, 2)) == []
    assert red.asked == [0, 1, 2]


def test_another_version_and_other_settings_are_done_again_and_the_old_are_not_read(tmp_path: Path) -> None:
    red = Counting("red")
    done(tmp_path, question(red))
    done(tmp_path, question(red, version=2))
    assert red.asked == [0, 1, 0, 1]
    other = replace(red, trainings=2)
    assert stored(jobs([question(other)], (0, 1), tmp_path)).results == {}
    assert len(stored(jobs([question(red)], (0, 1), tmp_path)).results["colours"]["red"]) == 2


def test_a_way_that_fails_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    good, bad = Counting("good"), Counting("bad", fails=True)
    failed = done(tmp_path, question(bad, good))
    assert [str(failure.job) for failure in failed] == ["colours: bad, seed 0", "colours: bad, seed 1"]
    assert all("diverged" in str(failure.error) for failure in failed)
    assert good.asked == [0, 1]
    done(tmp_path, question(bad, good))
    assert (good.asked, bad.asked) == ([0, 1], [0, 1, 0, 1])


@dataclass(frozen=True)
class Killed:
    """As by a kernel that has no memory left."""

    trainings: int = 1

    def quick(self) -> Killed:
        return self

    def measured(self, seed: int, sources: Sources) -> Figures:
        os._exit(9)


def test_a_process_that_is_killed_ends_the_work_with_names_and_not_in_waiting(tmp_path: Path) -> None:
    todo = [replace(job, way=Killed()) for job in jobs([question(Counting("red"))], (0, 1), tmp_path)]
    pool = partial(ProcessPoolExecutor, 1, multiprocessing.get_context("spawn"))
    failed = run(todo, pool, partial(perform, sources=Folders(tmp_path, tmp_path), about=ABOUT), lambda _: None)
    assert {str(failure.job) for failure in failed} == {str(job) for job in todo}
    assert all(isinstance(failure.error, BrokenExecutor) for failure in failed)


def test_results_are_read_as_they_were_written_with_where_they_come_from(tmp_path: Path) -> None:
    asked = question(Counting("red"))
    done(tmp_path, asked)
    there = stored(jobs([asked], (0, 1), tmp_path))
    assert there.results["colours"]["red"][1] == {"top1": 0.51, "loss": [2.0, 1.0]}
    assert (there.commits, there.machines) == (("abc",), ("a machine",))
    (first, _) = sorted(tmp_path.glob("*.json"))
    assert json.loads(first.read_text())["settings"] == "Counting(name='red', fails=False, trainings=1)"


def test_a_result_that_is_no_number_comes_back_as_none(tmp_path: Path) -> None:
    job = replace(jobs([question(Counting("red"))], (0,), tmp_path)[0], way=Diverging())
    perform(job, Folders(tmp_path, tmp_path), ABOUT)
    found = stored([job]).results["colours"]["red"][0]["top1"]
    assert isinstance(found, float)
    assert math.isnan(found)


@dataclass(frozen=True)
class Diverging:
    trainings: int = 1

    def quick(self) -> Diverging:
        return self

    def measured(self, seed: int, sources: Sources) -> Figures:
        return {"top1": float("nan")}


@dataclass
class Watched:
    """Work that notes which jobs run at the same time, and in which order they begin."""

    order: list[str] = field(default_factory=list)
    together: dict[str, int] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def work(self, job: Job) -> float:
        with self.lock:
            self.running.add(str(job))
            self.order.append(str(job))
            for name in self.running:
                self.together[name] = max(self.together.get(name, 0), len(self.running))
        time.sleep(0.1)
        with self.lock:
            self.running.remove(str(job))
        return 0.1


def watched(todo: list[Job], pool: Callable[[], Executor]) -> Watched:
    seen = Watched()
    assert run(todo, pool, seen.work, lambda _: None) == []
    return seen


def test_what_is_timed_runs_alone_and_first(tmp_path: Path) -> None:
    timed = question(Counting("clock"), alone=True)
    todo = jobs([question(Counting("red"), Counting("blue")), timed], (0, 1), tmp_path)
    seen = watched(todo, lambda: ThreadPoolExecutor(2))
    assert [name for name, most in seen.together.items() if most == 1] == [
        "alone: clock, seed 0",
        "alone: clock, seed 1",
    ]
    assert seen.order[:2] == ["alone: clock, seed 0", "alone: clock, seed 1"]


def test_the_longest_begin_first(tmp_path: Path) -> None:
    todo = [replace(job, seconds=job.seed) for job in jobs([question(Counting("red"))], (1, 3, 2), tmp_path)]
    assert [name[-1] for name in watched(todo, lambda: ThreadPoolExecutor(1)).order] == ["3", "2", "1"]


def test_data_that_are_not_there_stop_the_study_and_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MATCHCUT_DATA", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / SPORTS).mkdir(parents=True)
    assert main(["--quick"]) == 2
    said = capsys.readouterr().err
    assert all(place.path in said for place in (*BOXES, *CLIPS))
    assert SPORTS not in said
    assert "MATCHCUT_DATA" in said


def test_a_network_that_is_not_there_stops_the_study_and_no_other_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MATCHCUT_DATA", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "none"))
    for path in (*(place.path for place in (*BOXES, *CLIPS)), SPORTS):
        (tmp_path / path).mkdir(parents=True)
    assert main([]) == 2
    assert "mobilenet_v2-b0353104.pth" in capsys.readouterr().err
