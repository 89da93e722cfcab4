"""From a folder of games to results, and again: only what is stale is done; nothing of the user's is touched."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import export, infer, results, run, signals
from pipeline.errors import DirectoryLocked
from pipeline.export import ffmpeg_program
from pipeline.inputs import find_inputs
from pipeline.run import process_directory
from pipeline.store import load_predictions, locked
from tests.games import DURATION_S, FLASH_S, Desk, contents, files, read

NS = 1_000_000_000


def mtimes(desk: Desk) -> dict[str, int]:
    return {name: path.stat().st_mtime_ns for name, path in files(desk.out).items()}


# What comes out


def test_the_moment_is_found_cut_and_told(done_desk: Desk) -> None:
    report = done_desk.report()
    (segment,) = report["segments"]
    half_a_sample_ns = NS // 4
    assert segment["label"] == "flash"
    assert abs(segment["event_start_ns"] - FLASH_S[0] * NS) <= half_a_sample_ns
    assert abs(segment["event_end_ns"] - FLASH_S[1] * NS) <= half_a_sample_ns
    (clip,) = report["clips"]
    assert clip["path"] == segment["clip"] and clip["verified"]
    assert abs(clip["duration_ns"] - (segment["end_ns"] - segment["start_ns"])) <= NS // 10
    assert report["reel"]["segments"] == [0] == report["reel_plan"]
    stem = Path(clip["path"]).stem
    assert set(contents(done_desk.folder())) == {
        "report.json", "report.html", "state.json", "predictions.npz", "reel.mp4",
        f"clips/{stem}.mp4", f"thumbs/{stem}.jpg",
    }  # fmt: skip
    assert report["decode"]["samples"] == DURATION_S * 2 and report["decode"]["corrupt"] == 0


def test_the_predictions_are_the_networks_own_words(done_desk: Desk) -> None:
    predictions = load_predictions(done_desk.folder())
    flash = predictions.scores.probs[:, predictions.scores.labels.column("flash")]
    white = np.array([FLASH_S[0] <= t_ns / NS < FLASH_S[1] for t_ns in predictions.scores.pts_ns.tolist()])
    assert (flash > 0.5).tolist() == white.tolist()
    loudness = predictions.signals.series["loudness_db"]
    assert loudness[white].mean() > loudness[~white].mean() + 10
    assert len(predictions.boxes) == len(white) and predictions.features is not None


def test_the_summary_bears_the_documented_keys(done_desk: Desk) -> None:
    summary = done_desk.summary()
    assert list(summary) == ["schema", "model", "config_digest", "done", "failed", "ignored", "videos"]
    assert (summary["done"], summary["failed"], summary["ignored"]) == (1, 0, 0)
    (video,) = summary["videos"]
    assert video | {"id": "", "thumb": ""} == {
        "path": "../in/a.mp4", "id": "", "dir": f"videos/{done_desk.folder().name}", "state": "done", "error": None,
        "segments": 1, "clips": 1, "duration_ns": DURATION_S * NS, "tags": ["bright"], "thumb": "",
    }  # fmt: skip
    assert (done_desk.out / video["thumb"]).is_file()
    assert {"index.html", "segments.parquet", "tags.parquet"} <= set(files(done_desk.out))


def test_an_empty_folder_is_a_run_of_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.games.mkdir()
    assert desk.run().videos == ()
    assert desk.summary()["done"] == desk.summary()["failed"] == 0


# A second run


def test_a_second_run_changes_no_file_and_opens_no_network(done_desk: Desk) -> None:
    before = mtimes(done_desk)
    summary = done_desk.run()
    assert mtimes(done_desk) == before
    assert (done_desk.opened, summary.done, summary.videos[0].clips) == (0, 1, 1)


def test_with_force_everything_is_made_again_and_is_the_same(done_desk: Desk) -> None:
    before, old = contents(done_desk.out), mtimes(done_desk)
    done_desk.run(force=True)
    assert contents(done_desk.out) == before
    made_again = {name for name, at in mtimes(done_desk).items() if at != old[name]}
    assert done_desk.opened == 1
    assert {Path(name).name for name in made_again} >= {"predictions.npz", "reel.mp4", "state.json"}
    assert any("/clips/" in name for name in made_again)


@pytest.mark.parametrize("section", [
    {"select": {"reel_s": 1.0}}, {"aggregate": {"pre_s": 0.2}}, {"export": {"crf": 30}}, {"tags": {"max_tags": 0}},
])  # fmt: skip
def test_settings_of_later_stages_do_not_ask_the_network_again(done_desk: Desk, section: dict[str, Any]) -> None:
    predictions = files(done_desk.folder())["predictions.npz"].stat().st_mtime_ns
    before = contents(done_desk.folder())
    done_desk.run(clips=False, **section)
    assert done_desk.opened == 0
    assert files(done_desk.folder())["predictions.npz"].stat().st_mtime_ns == predictions
    assert contents(done_desk.folder()) != before


@pytest.mark.parametrize(
    "section", [{"decode": {"sample_hz": 4.0}}, {"infer": {"batch": 2}}, {"export": {"audio_track": 1}}]
)
def test_settings_of_the_looking_do(done_desk: Desk, section: dict[str, Any]) -> None:
    done_desk.run(clips=False, **section)
    assert done_desk.opened == 1


def test_threads_change_nothing_and_so_redo_nothing(done_desk: Desk) -> None:
    before = mtimes(done_desk)
    done_desk.run(decode={"threads": 3}, infer={"threads": 2})
    changed = {name for name, at in mtimes(done_desk).items() if before[name] != at}
    assert (done_desk.opened, changed) == (0, {".matchcut/config.json"})


def test_another_network_looks_at_every_video_again(done_desk: Desk) -> None:
    other = replace(done_desk.model.facts(), version="fake-2")
    done_desk.run(model=other, clips=False)
    assert done_desk.opened == 1
    assert done_desk.report()["model"]["version"] == "fake-2"


@pytest.mark.parametrize(
    ("stage", "name", "looks_again"),
    [
        (run, "DECODE_VERSION", 1),
        (signals, "VERSION", 1),
        (infer, "VERSION", 1),
        (results, "VERSION", 0),
        (export, "VERSION", 0),
    ],
)
def test_the_next_version_of_a_stage_redoes_it_and_what_follows(
    done_desk: Desk, monkeypatch: pytest.MonkeyPatch, stage: Any, name: str, looks_again: int
) -> None:
    old = mtimes(done_desk)
    monkeypatch.setattr(stage, name, getattr(stage, name) + 1)  # the same code, one version later
    done_desk.run(clips=False)
    folder = f"videos/{done_desk.folder().name}"
    new = mtimes(done_desk)
    assert done_desk.opened == looks_again
    assert new[f"{folder}/state.json"] != old[f"{folder}/state.json"]
    assert (new[f"{folder}/predictions.npz"] != old[f"{folder}/predictions.npz"]) == bool(looks_again)


def test_a_result_that_was_taken_away_is_made_again(done_desk: Desk) -> None:
    whole = contents(done_desk.out)
    for name in ("reel.mp4", done_desk.report()["clips"][0]["path"], "report.json", "state.json"):
        (done_desk.folder() / name).unlink()
        done_desk.run()
        assert contents(done_desk.out) == whole
    assert done_desk.opened == 0


def test_a_run_without_clips_leaves_them_to_a_later_one(desk: Desk) -> None:
    desk.run(clips=False)
    assert desk.report()["segments"][0]["clip"] is None and desk.report()["reel"] is None
    before = mtimes(desk)
    desk.run(clips=False)
    assert mtimes(desk) == before
    desk.run()
    assert desk.report()["segments"][0]["clip"] is not None and desk.report()["reel"] is not None
    assert desk.opened == 1
    before = mtimes(desk)
    desk.run(clips=False)  # all that it would make stands
    assert mtimes(desk) == before


def test_games_and_results_that_move_together_are_done_and_a_moved_game_is_only_named_anew(done_desk: Desk) -> None:
    moved = Desk(done_desk.base.rename(done_desk.base.with_name("moved")))
    before = mtimes(moved)
    moved.run()
    touched = {name for name, at in mtimes(moved).items() if at != before[name]}
    assert (moved.opened, touched) == (0, {".matchcut/fingerprints.json", "index.html"})  # both name whole paths
    elsewhere = moved.games.rename(moved.base / "elsewhere")
    process_directory(find_inputs([elsewhere], moved.out), moved.work())
    assert moved.opened == 0
    assert (moved.folder() / moved.report()["video"]["path"]).samefile(elsewhere / "a.mp4")
    assert len(list((moved.out / "videos").iterdir())) == 1


# Several videos, some of them bad


def text(path: Path) -> None:
    path.write_text("not a video")


def nothing(path: Path) -> None:
    path.touch()


def a_link_to_nowhere(path: Path) -> None:
    path.symlink_to("gone")


def a_link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def test_bad_files_fail_by_name_and_never_stop_the_rest(desk: Desk) -> None:
    bad: tuple[Callable[[Path], None], ...] = (text, nothing, a_link_to_nowhere, a_link_to_itself, a_pipe)
    for number, make in enumerate(bad):
        make(desk.games / f"0{number}.mp4")
    shutil.copy(desk.games / "a.mp4", desk.games / "z.mp4")
    summary = desk.run(clips=False)
    assert (summary.done, summary.failed) == (2, len(bad))
    assert desk.outcomes == ["00.mp4", "01.mp4", "02.mp4", "03.mp4", "04.mp4", "a.mp4", "z.mp4"]
    for video in desk.summary()["videos"][: len(bad)]:
        assert video["state"] == "failed"
        assert video["error"].startswith(f"{Path(video['path']).name}: ") and len(video["error"].split(". ")) >= 2
    assert desk.opened == 2  # once for each video that could be looked at


def test_a_video_that_failed_before_has_its_turn_again(desk: Desk) -> None:
    whole = (desk.games / "a.mp4").read_bytes()
    (desk.games / "a.mp4").write_bytes(b"not yet")
    assert desk.run(clips=False).failed == 1
    (desk.games / "a.mp4").write_bytes(whole)
    assert desk.run(clips=False).failed == 0


def test_equal_files_have_results_of_their_own(desk: Desk) -> None:
    for place in ("one", "two"):
        shutil.copytree(desk.games, desk.base / place)
    inputs = find_inputs([desk.base / "one", desk.base / "two"], desk.out)
    summary = process_directory(inputs, desk.work(clips=False))
    assert [video.path.parent.name for video in summary.videos] == ["one", "two"]
    assert len({video.dir for video in summary.videos}) == 2


HOSTILE = [
    b"-rf 'a\"concat:b|c%d%s\n.mp4",
    "ż球 <script>".encode() + b"&" * 237 + b".mp4",  # 255 bytes
    b"\xff\xfe{0}$(reboot).mp4",  # not UTF-8
]


def test_hostile_names_are_data_to_the_last_clip(desk: Desk) -> None:
    for name in HOSTILE:
        shutil.copy(desk.games / "a.mp4", desk.games / os.fsdecode(name))
    (desk.games / "a.mp4").unlink()
    summary = desk.run()
    assert [video.error for video in summary.videos] == [None] * len(HOSTILE)
    assert [video.clips for video in summary.videos] == [1] * len(HOSTILE)
    paths = [desk.out / video["path"] for video in desk.summary()["videos"]]
    assert {os.fsencode(path.name) for path in paths} == set(HOSTILE)
    assert all(path.is_file() for path in paths)
    assert "<script>&" not in (desk.out / "index.html").read_text(encoding="utf-8")
    before = mtimes(desk)
    desk.run()
    assert mtimes(desk) == before


def test_what_one_video_brings_to_light_does_not_stop_the_others(desk: Desk) -> None:
    shutil.copy(desk.games / "a.mp4", desk.games / "b.mp4")

    def watch(video: Path, stage: str, share: float) -> None:
        if video.name == "a.mp4":
            raise ZeroDivisionError("nobody thought of that")

    one, two = desk.run(clips=False, watch=watch).videos
    assert two.error is None
    assert one.error is not None and "ZeroDivisionError in test_run.py" in one.error and "report it" in one.error


def test_a_clip_that_cannot_be_made_takes_nothing_else_away(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An encoder that fails for clips, and makes the reel."""
    refusing = tmp_path / "ffmpeg"
    refusing.write_text(f'#!/bin/sh\ncase "$*" in */clips/*) exit 1;; esac\nexec {ffmpeg_program()} "$@"\n')
    refusing.chmod(0o755)
    monkeypatch.setenv("MATCHCUT_FFMPEG", str(refusing))
    (video,) = desk.run().videos
    assert video.error is not None and "was not published: ffmpeg ended with 1" in video.error
    report = desk.report()
    assert [segment["clip"] for segment in report["segments"]] == [None]
    assert report["reel"]["segments"] == [0] and (desk.folder() / "reel.mp4").is_file()
    reel = (desk.folder() / "reel.mp4").stat().st_mtime_ns
    monkeypatch.delenv("MATCHCUT_FFMPEG")
    (video,) = desk.run().videos
    assert (video.error, video.clips, desk.opened) == (None, 1, 1)
    assert (desk.folder() / "reel.mp4").stat().st_mtime_ns == reel


# A file that changes, a folder that is in use, a disk that fails


@pytest.mark.parametrize("what", ["grows", "goes"])
def test_a_file_that_changes_while_it_is_read_is_failed_and_not_published(desk: Desk, what: str) -> None:
    video = desk.games / "a.mp4"
    whole = video.read_bytes()

    def watch(path: Path, stage: str, share: float) -> None:
        video.unlink(missing_ok=True)
        if what == "grows":
            video.write_bytes(whole + b"more")

    (outcome,) = desk.run(clips=False, watch=watch).videos
    assert outcome.error is not None and (
        "changed while it was read" in outcome.error or "cannot be read" in outcome.error
    )
    assert not [name for name in files(desk.out) if "predictions" in name or "report" in name]
    video.write_bytes(whole)
    assert desk.run(clips=False).failed == 0


def test_a_file_that_changes_while_it_is_cut_is_failed_and_not_published(desk: Desk) -> None:
    video = desk.games / "a.mp4"

    def watch(name: str, stage: str, share: float) -> None:
        if stage == "cutting":
            os.utime(video, (0, 0))

    (outcome,) = desk.run(watch=watch).videos
    assert outcome.error is not None and "changed while it was cut" in outcome.error
    assert not (desk.folder() / "report.json").exists()
    assert desk.run().failed == 0


def test_while_another_run_writes_nothing_is_touched(done_desk: Desk) -> None:
    before = mtimes(done_desk)
    with locked(done_desk.out), pytest.raises(DirectoryLocked, match=f"process {os.getpid()}"):
        done_desk.run(force=True, export={"crf": 40})
    assert mtimes(done_desk) == before


def test_damaged_results_are_made_again(done_desk: Desk) -> None:
    whole = contents(done_desk.out)
    for name in ("report.json", "state.json", "predictions.npz"):
        path = done_desk.folder() / name
        path.write_bytes(path.read_bytes()[:-40])
        assert done_desk.run().failed == 0
        assert contents(done_desk.out) == whole
    for name in (".matchcut/config.json", ".matchcut/fingerprints.json", "summary.json"):
        (done_desk.out / name).write_text("{")
        done_desk.run()
        assert contents(done_desk.out) == whole


# What is removed, and when


def test_what_matchcut_did_not_write_stays(done_desk: Desk) -> None:
    folder = done_desk.folder()
    mine = [
        done_desk.out / "notes.txt",
        folder / "notes.txt",
        folder / "clips" / "best.mp4",
        folder / "thumbs" / "me.jpg",
    ]
    for path in mine:
        path.write_text("mine")
    for section in ({"aggregate": {"pre_s": 0.3}}, {"aggregate": {"enter": 1.0, "min_s": 3.0}}):
        done_desk.run(**section)
    assert done_desk.report()["segments"] == []
    assert {path.name for path in mine} <= {Path(name).name for name in files(done_desk.out)}
    assert [path.read_text() for path in mine] == ["mine"] * len(mine)
    assert not (folder / "reel.mp4").exists()
    assert len(list((folder / "clips").iterdir())) == 1


def test_old_clips_go_only_after_the_new_report_stands(done_desk: Desk) -> None:
    (old,) = done_desk.report()["clips"]
    seen: list[tuple[bool, bool]] = []

    def watch(name: str, stage: str, share: float) -> None:
        stands = done_desk.report()["clips"][0]["path"] == old["path"]
        seen.append((stands, (done_desk.folder() / old["path"]).exists()))

    done_desk.run(watch=watch, aggregate={"pre_s": 1.0})
    (new,) = done_desk.report()["clips"]
    assert seen and set(seen) == {(True, True)}
    assert new["path"] != old["path"]
    assert not (done_desk.folder() / old["path"]).exists()


def test_a_list_of_files_that_leads_out_removes_nothing_there(done_desk: Desk) -> None:
    (done_desk.out / "precious.mp4").write_text("mine")
    state = done_desk.state()
    state["files"] += ["../../precious.mp4", str(done_desk.out / "precious.mp4")]
    (done_desk.folder() / "state.json").write_text(json.dumps(state))
    done_desk.run(aggregate={"pre_s": 0.3})
    assert (done_desk.out / "precious.mp4").read_text() == "mine"
    assert read(done_desk.folder() / "state.json")["files"] == sorted(
        name for name in contents(done_desk.folder()) if name.startswith(("clips/", "thumbs/", "reel"))
    )
