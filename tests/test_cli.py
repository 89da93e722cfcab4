"""The command as people and programs meet it: what it prints where, and how it ends."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from models.checkpoint import save
from models.spec import CheckpointInfo
from pipeline.cli import VERBS, main
from pipeline.store import locked
from tests.games import Desk, make_game, read
from tests.media import ffmpeg
from tests.networks import network

HEAVY = ("torch", "torchvision", "prefect", "av", "numpy", "cv2", "rich", "jinja2", "pyarrow", "openvino")
# Runs the command, then tells which of HEAVY were imported on the way.
WATCHED = (
    "import sys\nfrom pipeline.cli import main\n"
    "try:\n    code = main(sys.argv[1:])\nexcept SystemExit as end:\n    code = end.code\n"
    f"print('imported', *(name for name in {HEAVY} if name in sys.modules), file=sys.stderr)\nsys.exit(code)"
)


def command(*arguments: str | Path, code: str = WATCHED) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own."""
    line = [sys.executable, "-P", "-c", code, *map(str, arguments)]
    return subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False)


def imported(ended: subprocess.CompletedProcess[str]) -> set[str]:
    return set(ended.stderr.splitlines()[-1].split()[1:])


@pytest.fixture
def failed_desk(done_desk: Desk) -> Desk:
    """Two inputs: `a` is done, `b` is no video."""
    (done_desk.games / "b.mp4").write_text("not a video")
    done_desk.run()
    return done_desk


# Help and mistakes


def test_help_names_every_command_and_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    told = capsys.readouterr().out
    assert all(f"{verb}  " in told and text in told for verb, text in VERBS.items())
    assert list(VERBS) == ["run", "rescore", "export", "predict", "train", "eval", "status", "doctor"]


def test_without_a_command_the_help_is_shown_and_it_counts_as_a_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: matchcut COMMAND" in capsys.readouterr().out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert re.fullmatch(r"matchcut \d+\.\d+\.\d+\n", capsys.readouterr().out)


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([verb, "--help"])
    assert end.value.code == 0
    assert f"usage: matchcut {verb}" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", ["--help", "run --help", "predict --help", "train --help", "eval --help", "clip"])
def test_nothing_heavy_is_imported_to_answer(arguments: str) -> None:
    assert imported(command(*arguments.split())) == set()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["clip"], "no command 'clip'. Commands: run, rescore"),
        (["run", "x", "--out", "y", "--speed", "9"], "unrecognized arguments: --speed 9"),
        (["run", "x"], "required: --out"),
        (["run", "gone", "--out", "out"], "gone: no such file or folder"),
        (["run", ".", "--out", "a-file"], "a-file: not a folder"),
        (["run", ".", "--out", "out", "--config", "gone.toml"], "gone.toml: no such configuration file"),
        (["run", ".", "--out", "out", "--sample-hz", "0"], "decode.sample_hz = 0.0: use more than 0"),
        (["run", ".", "--out", "out", "--model", "gone.safetensors"], "gone.safetensors"),
        (["run", ".", "--out", "."], "is the output folder too"),
        (["rescore", "."], "no summary.json here"),
        (["export", "gone"], "no summary.json here"),
        (["status", "."], "no summary.json here"),
        (["run", ".", "--out", "out", "--audio", "-2"], "export.audio_track = -2"),
        (["predict", "gone.jpg"], "gone.jpg: no such file or folder"),
        (["predict", ".", "--sample-hz", "-1"], "sample_hz = -1.0"),
    ],
)
def test_a_mistake_in_the_request_ends_with_2_and_is_told_on_standard_error(
    arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a-file").touch()
    try:
        code = main(arguments)
    except SystemExit as end:
        code = int(str(end.code))
    printed = capsys.readouterr()
    assert (code, printed.out) == (2, "")
    assert said in printed.err
    assert [path.name for path in tmp_path.iterdir()] == ["a-file"]


# What stands: status, rescore, export


def test_status_tells_every_input_and_ends_with_1_where_one_failed(
    failed_desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", str(failed_desk.out)]) == 1
    done, failed, counts = capsys.readouterr().out.splitlines()
    assert done.startswith("done    ../in/a.mp4  1 moments, 1 clips  videos/a-")
    assert failed.startswith("failed  b.mp4: this is a text file")
    assert counts == "1 done, 1 failed, 0 other files ignored"
    assert main(["status", str(failed_desk.out), "--json"]) == 1
    assert json.loads(capsys.readouterr().out) == failed_desk.summary()


@pytest.mark.parametrize("text", ["{}", '{"videos": []}', "[", "[1]"])
@pytest.mark.parametrize("verb", ["status", "rescore", "export"])
def test_a_damaged_summary_ends_with_2_and_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, text: str
) -> None:
    (tmp_path / "summary.json").write_text(text)
    assert main([verb, str(tmp_path)]) == 2
    assert "summary.json" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["rescore", "export"])
def test_rescore_and_export_tell_programs_what_they_tell_people(
    done_desk: Desk, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    assert main([verb, str(done_desk.out), "--json", "-v"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == done_desk.summary()
    assert "done    a.mp4" in printed.err
    assert "1 done, 0 failed; 1 segments, 1 clips verified" in printed.err.splitlines()[-1]


def test_rescore_and_export_end_with_0_with_1_where_a_video_failed_and_with_3_while_another_writes(
    done_desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = done_desk.base / "other.toml"
    settings.write_text("[tags]\nmax_tags = 0\n")
    assert main(["rescore", str(done_desk.out), "--config", str(settings)]) == 0
    printed = capsys.readouterr()
    assert printed.out == "" and "1 done, 0 failed" in printed.err.splitlines()[-1]
    assert done_desk.report()["tags"] == []
    with locked(done_desk.out):
        assert main(["export", str(done_desk.out)]) == 3
    assert f"process {os.getpid()}" in capsys.readouterr().err
    (done_desk.games / "a.mp4").unlink()
    assert main(["export", str(done_desk.out)]) == 1
    assert "failed  a.mp4: cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("times", [1, 2000])
def test_an_output_that_nobody_reads_is_no_failure(done_desk: Desk, times: int) -> None:
    """As `matchcut status out --json | true` may do, be the output shorter or longer than a pipe holds."""
    summary = done_desk.summary()
    (done_desk.out / "summary.json").write_text(json.dumps(summary | {"videos": summary["videos"] * times}))
    reading, writing = os.pipe()
    os.close(reading)
    line = [sys.executable, "-P", "-m", "pipeline.cli", "status", str(done_desk.out), "--json"]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    ended = subprocess.run(
        line, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False, env=buffered
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_name_cannot_move_the_cursor_of_a_terminal(desk: Desk) -> None:
    (desk.games / "a.mp4").rename(desk.games / "\x1b[2J\nb.mp4")
    desk.run(clips=False)
    ended = command("status", desk.out)
    assert "\x1b" not in ended.stdout and "\\x1b[2J\\nb.mp4" in ended.stdout
    assert len(ended.stdout.splitlines()) == 2


def test_a_name_that_is_no_text_can_be_printed(desk: Desk) -> None:
    (desk.games / "a.mp4").rename(desk.games / os.fsdecode(b"\xff.mp4"))
    desk.run(clips=False)
    ended = command("status", desk.out, "--json")
    (video,) = json.loads(ended.stdout)["videos"]
    assert os.fsencode(video["path"]) == b"../in/\xff.mp4"
    assert "\\udcff.mp4" in command("status", desk.out).stdout


# With the network that is shipped


def test_a_run_from_the_command_line_and_a_second_one_without_the_network(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    (desk.games / "b.mp4").write_text("not a video")
    (desk.games / "notes.txt").touch()
    assert main(["run", str(desk.games), "--out", str(desk.out), "--json", "--no-clips"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out) == desk.summary()
    assert desk.summary()["model"]["name"] == "default"
    (desk.games / "b.mp4").unlink()
    second = command("run", desk.games, "--out", desk.out, "--no-clips")
    assert (second.returncode, second.stdout) == (0, "")
    assert not imported(second) & {"torch", "torchvision", "prefect"}
    first_line, *_, last_line, _ = second.stderr.splitlines()
    assert first_line == "1 videos (1 other files ignored)"
    done = r"1 done, 0 failed; \d+ segments, 0 clips verified; "
    assert re.fullmatch(done + r"nothing had to be looked at .*; peak memory \d+ MiB", last_line)


def test_an_empty_folder_ends_with_0_and_a_warning(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    assert main(["run", str(tmp_path / "in"), "--out", str(tmp_path / "out")]) == 0
    assert "warning: no videos found" in capsys.readouterr().err
    assert read(tmp_path / "out" / "summary.json")["videos"] == []


def lines_of(printed: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in printed.splitlines()]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return ffmpeg("-f lavfi -i testsrc2=size=64x48 -frames:v 1", tmp_path / "1.png")


def test_predict_tells_labels_and_boxes_a_line_each(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = picture.parent
    make_game(folder / "2.mp4")
    (folder / "3.jpg").write_text("no picture")
    shutil.copy(picture, folder / "notes.txt")
    assert main(["predict", str(folder), "--jsonl", "--sample-hz", "1"]) == 1
    printed = capsys.readouterr()
    assert printed.err == "failed  3.jpg: not a picture that can be decoded. Save it as JPEG or PNG\n"
    lines = [json.loads(line) for line in printed.out.splitlines()]
    times = [(Path(line["path"]).name, line.get("t_ns")) for line in lines]
    assert times == [("1.png", None), *(("2.mp4", second * 10**9) for second in range(5))]
    for line in lines:
        assert set(line) - {"t_ns"} == {"path", "labels", "boxes"}
        scores = [label["score"] for label in line["labels"]]
        assert scores == sorted(scores, reverse=True) and all(0 <= score <= 1 for score in scores)
        for box in line["boxes"]:
            assert set(box) == {"xyxy", "score", "label", "head"} and len(box["xyxy"]) == 4
            assert (box["label"], box["head"]) == (line["labels"][0]["name"], "localizer")


def test_every_head_is_told_of_from_one_pass(picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = network(attributes=(("age", ("old", "young")),), points=("hand",), detector=("ball",))
    model = tmp_path / "all.safetensors"
    save(made, CheckpointInfo(spec=made.spec, version=""), model)
    assert main(["predict", str(picture), "--jsonl", "--model", str(model), "--min-score", "0"]) == 0
    line = json.loads(capsys.readouterr().out)
    names = {label["name"] for label in line["labels"]}
    assert names == {"grass", "none", "age: old", "age: young", "ball", "dunk"}
    first, *others = line["boxes"]
    assert first["head"] == "localizer" and first["label"] in ("grass", "none")  # no age is the name of a box
    assert others and {(box["head"], box["label"]) for box in others} == {("detector", "ball")}
    assert {point["name"] for point in line["points"]} == {"hand"}
    assert set(line["points"][0]) == {"name", "xy", "visible"}
    make_game(tmp_path / "games" / "a.mp4")
    assert (
        main(["run", str(tmp_path / "games"), "--out", str(tmp_path / "out"), "--model", str(model), "--no-clips"]) == 0
    )
    report = json.loads(next((tmp_path / "out" / "videos").glob("*/report.json")).read_text())
    assert {name for kind in report["model"]["labels"].values() for name in kind} == names


def test_boxes_are_told_of_by_a_network_that_knows_nothing_else_and_no_run_is_made_with_it(
    picture: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, model = network(tags=(), events=()), tmp_path / "where.safetensors"
    save(made, CheckpointInfo(spec=made.spec, version=""), model)
    assert main(["predict", str(picture), "--jsonl", "--model", str(model)]) == 0
    line = json.loads(capsys.readouterr().out)
    assert line["labels"] == []
    assert [(box["label"], box["score"], box["head"]) for box in line["boxes"]] == [("", 1.0, "localizer")]
    assert main(["run", str(tmp_path), "--out", str(tmp_path / "out"), "--model", str(model)]) == 2
    assert "has no labels to find moments by" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--scales", "1"], "--scales is about windows"),
        (["--merge", "nms"], "--merge is about windows"),
        (["--fine"], "--fine is about windows"),
        (["--windows", "--min-score", "0.1"], "--windows have none"),
    ],
)
def test_predict_refuses_what_would_do_nothing(
    options: list[str], why: str, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(picture), *options]) == 2
    assert why in capsys.readouterr().err


def test_predict_for_people_tells_the_best_labels(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(picture), "--top", "2"]) == 0
    assert re.fullmatch(
        rf"{re.escape(str(picture))}: \w+ 0\.\d\d, \w+ 0\.\d\d; box \w+ 0\.\d\d at( [01]\.\d\d){{4}}\n",
        capsys.readouterr().out,
    )


def test_predict_through_windows_tells_all_boxes_of_pictures_and_videos(
    picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_game(picture.parent / "2.mp4")
    for way in ("greedy", "nms"):
        arguments = ["--jsonl", "--sample-hz", "1", "--windows", "--scales", "1", "2", "--merge", way]
        assert main(["predict", str(picture.parent), *arguments]) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert [line.get("t_ns") for line in lines] == [None, *(second * 10**9 for second in range(5))]
        assert max(len(line["boxes"]) for line in lines) > 1
        for line in lines:
            assert set(line) - {"t_ns"} == {"path", "labels", "boxes"}
            known = {label["name"]: label["score"] for label in line["labels"]}
            assert all(box["head"] == "localizer" and box["label"] in known for box in line["boxes"])


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"localizer": False}, "without a localizer there are no boxes in windows"),
        ({"tags": (), "events": ()}, "no labels for what windows show"),
        ({"backbone": "alexnet", "height_px": 128, "width_px": 128}, "alexnet: .* is resampled to 6x6"),
    ],
)
def test_predict_through_windows_refuses_a_model_that_cannot(
    changes: dict[str, Any], why: str, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made, file = network(**changes), picture.with_name("made.safetensors")
    save(made, CheckpointInfo(spec=made.spec, version=""), file)
    assert main(["predict", str(picture), "--windows", "--model", str(file)]) == 2
    assert re.search(why, capsys.readouterr().err)


def test_the_doctor_says_what_this_machine_can_do(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    told = {line.split()[1]: line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert list(told) == ["machine", "decoding", "encoding", "accelerator", "openvino", "model", "prefect", "parquet"]
    assert [told[name] for name in ("decoding", "encoding", "model")] == ["ok"] * 3


def test_the_doctor_ends_with_3_where_a_program_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MATCHCUT_FFMPEG", "/nowhere/ffmpeg")
    assert main(["doctor"]) == 3
    assert "MISS  encoding" in capsys.readouterr().out
