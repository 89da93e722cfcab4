"""What a run has still to look at: a folder that is watched is asked again and again, and must stay quiet."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline import run
from pipeline.errors import ChangedWhileRead, VideoError
from pipeline.inputs import find_inputs
from pipeline.pending import Pending, pending
from tests.games import Desk, make_game

BROKEN = "this is no video\n"


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """After a run: `a` is done, `b` is text under a video's ending, `c` is empty."""
    desk = Desk(tmp_path_factory.mktemp("done"))
    make_game(desk.games / "a.mp4")
    (desk.games / "b.mp4").write_text(BROKEN)
    (desk.games / "c.mp4").touch()
    summary = desk.run(clips=False)
    assert (summary.done, summary.failed) == (1, 2)
    return desk.base


@pytest.fixture
def desk(tmp_path: Path, done: Path) -> Desk:
    return Desk(Path(shutil.copytree(done, tmp_path / "base")))


def ask(desk: Desk, *, settle_s: float | None, **how: Any) -> Pending:
    work = desk.work(clips=False, **how)
    with run.writing(work) as fingerprints:
        return pending(find_inputs([desk.games], desk.out).files, work, fingerprints, settle_s=settle_s)


def to_do(desk: Desk, *, settle_s: float | None, **how: Any) -> list[str]:
    return [file.path.name for file in ask(desk, settle_s=settle_s, **how).todo]


def fail(desk: Desk, name: str, error: VideoError, **how: Any) -> None:
    """As if `name` had ended with `error`."""
    work = desk.work(clips=False, **how)
    (file,) = (file for file in find_inputs([desk.games], desk.out).files if file.path.name == name)
    with run.writing(work) as fingerprints:
        run.failed(file, work, fingerprints, error)


def test_a_run_by_hand_tries_what_failed_again_and_leaves_what_is_done(desk: Desk) -> None:
    assert to_do(desk, settle_s=None) == ["b.mp4", "c.mp4"]


def test_a_watched_folder_in_which_nothing_changed_has_nothing_to_do(desk: Desk) -> None:
    asked = ask(desk, settle_s=0)
    assert not asked.todo
    assert [(outcome.path.name, outcome.state) for outcome in asked.standing] == [
        ("a.mp4", "done"),
        ("b.mp4", "failed"),
        ("c.mp4", "failed"),
    ]


def test_what_stands_says_why_it_failed_as_it_did_before(desk: Desk) -> None:
    before = {video["path"]: (video["error"], video["dir"]) for video in desk.summary()["videos"]}
    again = {f"../in/{outcome.path.name}": (outcome.error, outcome.dir) for outcome in ask(desk, settle_s=0).standing}
    assert again == before


@pytest.mark.parametrize("name", ["a.mp4", "b.mp4", "c.mp4"])
def test_a_file_with_other_content_is_new(desk: Desk, name: str) -> None:
    (desk.games / name).write_text("something else\n")
    assert to_do(desk, settle_s=0) == [name]


def test_a_file_that_is_still_written_is_left_for_later(desk: Desk) -> None:
    shutil.copy(desk.games / "a.mp4", desk.games / "new.mp4")
    assert to_do(desk, settle_s=3600) == []
    assert to_do(desk, settle_s=0) == ["new.mp4"]


def test_a_done_file_whose_time_changed_still_stands(desk: Desk) -> None:
    (desk.games / "a.mp4").touch()
    assert "a.mp4" in [outcome.path.name for outcome in ask(desk, settle_s=3600).standing]


def test_other_settings_make_every_readable_id_new(desk: Desk) -> None:
    assert to_do(desk, settle_s=0, decode={"sample_hz": 4.0}) == ["a.mp4", "b.mp4"]


def test_a_failure_that_may_pass_is_tried_again(desk: Desk) -> None:
    fail(desk, "a.mp4", ChangedWhileRead("a.mp4: changed"), decode={"sample_hz": 4.0})
    assert "a.mp4" in to_do(desk, settle_s=0, decode={"sample_hz": 4.0})


def test_force_does_everything_again(desk: Desk) -> None:
    assert to_do(desk, settle_s=0, force=True) == ["a.mp4", "b.mp4", "c.mp4"]


def test_a_summary_that_cannot_be_read_only_costs_another_look(desk: Desk) -> None:
    (desk.out / "summary.json").write_text("{")
    assert to_do(desk, settle_s=0) == ["c.mp4"]
