"""A run that is killed, wherever that is, and run again leaves the files that an undisturbed one leaves."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import count, cycle
from pathlib import Path
from typing import Any

import pytest

from tests.doomed import Executioner, executioner
from tests.games import contents, make_game, read

OTHER: dict[str, Any] = {"aggregate": {"pre_s": 1.0}}  # a clip of another name, another reel of the same name
NO_OTHER: dict[str, Any] = {}
MOST_STEPS = 60


class Place:
    """A desk at one and the same path, put back to how it was as often as needed."""

    def __init__(self, base: Path, kill: Executioner) -> None:
        self.base, self.out, self._kill = base, base / "out", kill

    def set_to(self, stored: Path) -> None:
        shutil.rmtree(self.base, ignore_errors=True)
        shutil.copytree(stored, self.base)

    def stored(self, name: str) -> Path:
        return Path(shutil.copytree(self.base, self.base.with_name(name), dirs_exist_ok=True))

    def run(self, die_at: int = 0, **settings: Any) -> bool:
        """False when it was killed."""
        return self._kill.run(self.base, die_at, **settings)

    def named(self, pattern: str) -> list[Path]:
        return [path for path in self.out.rglob(pattern) if not path.name.startswith(".matchcut-")]

    def clips_of_report(self) -> set[str]:
        (report,) = self.named("report.json")
        return {Path(clip["path"]).name for clip in read(report)["clips"]}

    def leftovers(self) -> list[str]:
        return [path.name for path in self.base.rglob(".matchcut-*")]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with executioner() as kill:
        yield Place(tmp_path_factory.mktemp("place") / "base", kill)


@pytest.fixture(scope="module")
def fresh(place: Place) -> Path:
    """One game, nothing done."""
    make_game(place.base / "in" / "a.mp4", sound=False)
    return place.stored("fresh")


@pytest.fixture(scope="module")
def done(place: Place, fresh: Path) -> Path:
    """The same, and an undisturbed run."""
    place.set_to(fresh)
    assert place.run()
    return place.stored("done")


def test_a_first_run_killed_anywhere_and_run_again(place: Place, fresh: Path, done: Path) -> None:
    for step in count(1, 2):
        place.set_to(fresh)
        if place.run(die_at=step):
            break
        assert all(read(path) for path in place.named("*.json"))  # what has its name is whole
        assert place.run()
        assert contents(place.out) == contents(done / "out"), f"killed before step {step}"
        assert place.leftovers() == []
    assert 15 < step < MOST_STEPS  # every file that appears is one


def test_a_run_with_other_settings_killed_anywhere_and_gone_on_or_back(place: Place, done: Path) -> None:
    place.set_to(done)
    assert place.run(**OTHER)
    ends = {"on": (OTHER, contents(place.out)), "back": (NO_OTHER, contents(done / "out"))}
    assert ends["on"][1] != ends["back"][1]
    for step, way in zip(count(1), cycle(ends)):
        place.set_to(done)
        if place.run(die_at=step, **OTHER):
            break
        assert place.clips_of_report() <= {path.name for path in place.named("*.mp4")}  # old ones go after the report
        settings, expected = ends[way]
        assert place.run(**settings)
        assert contents(place.out) == expected, f"killed before step {step}, then {way}"
        assert place.leftovers() == []
    assert 10 < step < MOST_STEPS


def test_a_run_killed_three_times_comes_to_the_same_end(place: Place, fresh: Path, done: Path) -> None:
    place.set_to(fresh)
    assert [place.run(die_at=step) for step in (3, 6, 9)] == [False] * 3
    assert place.run()
    assert contents(place.out) == contents(done / "out")
