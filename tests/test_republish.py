"""`rescore` and `export`: results again from what is stored. No network, and no picture but those of the clips."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from pipeline.config import Config
from pipeline.errors import ConfigError, DirectoryLocked, UsageError
from pipeline.records import Summary
from pipeline.republish import republish_directory
from pipeline.run import unwatched
from pipeline.store import locked
from tests.games import Desk, contents, files, make_game, read, settings

OTHER: dict[str, Any] = {"aggregate": {"pre_s": 1.0}}


def again(desk: Desk, config: Config | None = None, *, clips: bool = False) -> Summary:
    def say(outcome: object) -> None: ...

    return republish_directory(desk.out, config, clips=clips, wait=False, watch=unwatched, on_outcome=say)


def clips_told(desk: Desk) -> list[str | None]:
    return [segment["clip"] for segment in desk.report()["segments"]]


def clips_there(desk: Desk) -> list[str]:
    return sorted(f"clips/{path.name}" for path in (desk.folder() / "clips").iterdir())


def test_rescoring_with_the_same_settings_changes_nothing_that_counts(done_desk: Desk) -> None:
    before = contents(done_desk.out)
    again(done_desk)
    assert contents(done_desk.out) == before
    done_desk.run()
    assert (done_desk.opened, contents(done_desk.out)) == (0, before)


def test_clips_and_reel_that_no_longer_stand_are_marked_and_export_makes_them(done_desk: Desk) -> None:
    (old,) = clips_told(done_desk)
    summary = again(done_desk, settings(**OTHER))
    assert (summary.done, summary.videos[0].segments, summary.videos[0].clips) == (1, 1, 0)
    assert clips_told(done_desk) == [None] and done_desk.report()["reel"] is None
    assert done_desk.report()["reel_plan"] == [0]
    assert clips_there(done_desk) == [] and not (done_desk.folder() / "reel.mp4").exists()
    summary = again(done_desk, clips=True)
    assert summary.videos[0].clips == 1
    assert clips_told(done_desk) == clips_there(done_desk) != [old]
    assert done_desk.report()["reel"]["segments"] == [0] and (done_desk.folder() / "reel.mp4").is_file()


def test_rescoring_and_exporting_end_where_a_run_with_these_settings_ends(done_desk: Desk) -> None:
    again(done_desk, settings(**OTHER))
    again(done_desk, clips=True)
    apart = contents(done_desk.out)
    done_desk.run(force=True, **OTHER)
    assert contents(done_desk.out) == apart


def test_clips_that_still_stand_are_kept_by_rescoring(done_desk: Desk) -> None:
    (old,) = clips_told(done_desk)
    made = (done_desk.folder() / str(old)).stat().st_mtime_ns
    again(done_desk, settings(select={"reel_s": 1.0}, tags={"min_score": 0.9}))
    assert clips_told(done_desk) == [old]
    assert (done_desk.folder() / str(old)).stat().st_mtime_ns == made
    assert done_desk.report()["reel_plan"] == [] and done_desk.report()["reel"] is None
    assert done_desk.report()["tags"] == []


def test_settings_changed_and_changed_back_bring_the_clips_back_with_the_next_run(done_desk: Desk) -> None:
    before = contents(done_desk.out)
    again(done_desk, settings(**OTHER))
    again(done_desk, settings())
    assert clips_told(done_desk) == [None]
    done_desk.run()
    assert (done_desk.opened, contents(done_desk.out)) == (0, before)


def test_files_that_another_run_has_written_over_do_not_pass_for_the_old_ones(done_desk: Desk) -> None:
    """As a run leaves them that was killed before it could tell of its own."""
    (clip,) = (done_desk.folder() / str(name) for name in clips_told(done_desk))
    reel = done_desk.folder() / "reel.mp4"
    content = clip.read_bytes()
    clip.write_bytes(reel.read_bytes())
    reel.write_bytes(content)
    again(done_desk)
    assert clips_told(done_desk) == [None] and done_desk.report()["reel"] is None


@pytest.mark.parametrize("name", ["clips", "reel"])
def test_a_record_of_other_settings_does_not_stand_for_the_file_that_is_there(done_desk: Desk, name: str) -> None:
    report = done_desk.report()
    record = report["reel"] if name == "reel" else report["clips"][0]
    record["key"] = "0" * 16
    (done_desk.folder() / "report.json").write_text(json.dumps(report))
    again(done_desk)
    stands = {"clips": clips_told(done_desk) != [None], "reel": done_desk.report()["reel"] is not None}
    assert stands == {"clips": True, "reel": True} | {name: False}


def test_settings_are_those_of_the_run_until_others_are_given(done_desk: Desk) -> None:
    done_desk.run(clips=False, tags={"max_tags": 0})
    again(done_desk)
    assert done_desk.report()["tags"] == []
    again(done_desk, settings())
    assert [tag["name"] for tag in done_desk.report()["tags"]] == ["bright"]
    again(done_desk, clips=True)
    assert [tag["name"] for tag in done_desk.report()["tags"]] == ["bright"]


def test_rescoring_needs_no_source_and_export_says_that_it_is_not_there(done_desk: Desk) -> None:
    source = done_desk.games / "a.mp4"
    source.rename(done_desk.base / "away.mp4")
    assert again(done_desk, settings(**OTHER)).failed == 0
    told = done_desk.report()
    (outcome,) = again(done_desk, clips=True).videos
    assert outcome.error is not None and "a.mp4: cannot be read" in outcome.error
    assert done_desk.report() == told and done_desk.summary()["failed"] == 1
    (done_desk.base / "away.mp4").rename(source)
    assert again(done_desk, clips=True).failed == 0
    assert clips_told(done_desk) == clips_there(done_desk)


def test_export_cuts_no_clip_from_another_file_that_took_the_sources_name(done_desk: Desk) -> None:
    make_game(done_desk.games / "a.mp4", (1.0, 3.0))
    again(done_desk, settings(**OTHER))
    (outcome,) = again(done_desk, clips=True).videos
    assert outcome.error is not None and "not the file any more that was looked at. Run again" in outcome.error
    assert clips_there(done_desk) == []


def test_videos_that_failed_stay_failed_and_the_others_are_done(done_desk: Desk) -> None:
    (done_desk.games / "0.mp4").write_text("not a video")
    (done_desk.games / "1.mp4").touch()
    run = done_desk.run()
    again_ = again(done_desk, settings(**OTHER))
    assert [video.error for video in again_.videos] == [video.error for video in run.videos]
    assert (again_.done, again_.failed) == (1, 2)


@pytest.mark.parametrize("name", ["predictions.npz", "report.json"])
def test_a_video_whose_results_are_damaged_fails_by_name_and_stops_no_other(done_desk: Desk, name: str) -> None:
    shutil.copy(done_desk.games / "a.mp4", done_desk.games / "b.mp4")
    done_desk.run(clips=False)
    (done_desk.folder("a") / name).write_bytes(b"x")
    one, two = again(done_desk, settings(**OTHER)).videos
    assert one.error is not None and name in one.error and two.error is None


def test_a_folder_without_results_is_a_mistake_in_the_request_and_stays_as_it_is(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "gone"):
        with pytest.raises(UsageError, match=r"no summary\.json here"):
            again(Desk(folder))
    assert list(tmp_path.iterdir()) == []


def test_where_all_stands_export_does_not_ask_for_the_source(done_desk: Desk) -> None:
    before = contents(done_desk.out)
    (done_desk.games / "a.mp4").unlink()
    assert again(done_desk, clips=True).failed == 0
    assert contents(done_desk.out) == before


def test_settings_that_cannot_hold_are_not_kept_for_the_next_time(done_desk: Desk) -> None:
    before = contents(done_desk.out)
    with pytest.raises(ConfigError, match="no tag 'brigth'; did you mean 'bright'"):
        again(done_desk, settings(excite={"gate_tags": ["brigth"]}))
    assert contents(done_desk.out) == before
    assert again(done_desk).failed == 0


def test_while_another_run_writes_nothing_is_done(done_desk: Desk) -> None:
    before = contents(done_desk.out)
    with locked(done_desk.out), pytest.raises(DirectoryLocked, match=f"process {os.getpid()}"):
        again(done_desk, settings(**OTHER))
    assert contents(done_desk.out) == before


@pytest.mark.parametrize(
    "changed",
    [{"dir": "../elsewhere"}, {"dir": "/"}, {"dir": 7}, {"path": ""}, {"state": None, "error": 3}, {"segments": "1"}],
)
def test_a_summary_that_leads_out_or_makes_no_sense_is_refused(done_desk: Desk, changed: dict[str, Any]) -> None:
    summary = done_desk.summary()
    summary["videos"][0] |= changed
    (done_desk.out / "summary.json").write_text(json.dumps(summary))
    before = contents(done_desk.out)
    with pytest.raises(UsageError, match=r"summary\.json: videos\[0\].* Run again"):
        again(done_desk)
    assert contents(done_desk.out) == before


def test_remembered_settings_of_another_version_are_refused_by_name(done_desk: Desk) -> None:
    path = done_desk.out / ".matchcut" / "config.json"
    path.write_text(json.dumps(read(path) | {"colour": {}}))
    with pytest.raises(ConfigError, match=r"config\.json: unknown key 'colour'"):
        again(done_desk)


def test_nothing_else_in_the_folder_is_touched(done_desk: Desk) -> None:
    mine = done_desk.folder() / "clips" / "best.mp4"
    mine.write_text("mine")
    again(done_desk, settings(**OTHER))
    assert mine.read_text() == "mine"
    assert {"predictions.npz", "report.json", "report.html", "state.json"} <= set(files(done_desk.folder()))
