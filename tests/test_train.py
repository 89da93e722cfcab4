"""`matchcut train` and `matchcut eval` as people meet them: folders in, a checkpoint and figures out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from models.spec import read_info
from pipeline.cli import main
from tests.lessons import COLOURS, scene, voc, write, write_clip, write_match, write_picture, write_pictures
from tests.teaching import own_files


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("data"), 10)


@pytest.fixture(scope="module")
def model(data: Path) -> Path:
    """Dunks as an event, the others as tags."""
    out = data.parent / "model.safetensors"
    assert train(data, out, "--events", "dunk") == 0
    return out


def train(data: Path, out: Path, *options: str | Path, epochs: int = 4) -> int:
    return main(["train", str(data), "--out", str(out), "--epochs", str(epochs), *map(str, options)])


def ended(command: Callable[[], int]) -> object:
    """The exit code, be it returned or raised as argparse does."""
    try:
        return command()
    except SystemExit as end:
        return end.code


def test_training_says_what_it_found_and_what_came_of_it(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(data, tmp_path / "a.safetensors", "--events", "dunk") == 0
    told = capsys.readouterr().out
    assert "dunk: 10 files, 10 pictures" in told
    assert "learns tags pass, rest; events dunk" in told
    assert "frozen 1/4: tags " in told
    assert "false alarms were not counted" in told
    assert "tags   top-1" in told and "chance" in told
    assert "event  dunk: average precision" in told
    assert "bf16   keeps" in told
    assert "a.safetensors: version " in told and "kept from default: box" in told


def test_training_again_gives_the_same_file(data: Path, model: Path) -> None:
    again = model.with_name("again.safetensors")
    assert train(data, again, "--events", "dunk") == 0
    assert again.read_bytes() == model.read_bytes()


def test_the_checkpoint_says_which_labels_are_events_and_what_it_was_trained_on(model: Path) -> None:
    info = read_info(model)
    assert (info.spec.tags, info.spec.events) == (("pass", "rest"), ("dunk",))
    assert info.training["classes"] == {"dunk": 8, "pass": 8, "rest": 8}
    assert own_files(info) == {"train": 24, "val": 6, "heldout": 0}


def test_curves_are_written_for_tensorboard(data: Path, tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert train(data, tmp_path / "a.safetensors", "--logdir", tmp_path / "curves", epochs=3) == 0
    curves = EventAccumulator(str(tmp_path / "curves"))
    curves.Reload()
    assert len(curves.Scalars("frozen/loss/tags")) == 3
    assert len(curves.Scalars("frozen/val/tags/top1")) == 3


def test_boxes_are_shown_in_tensorboard_beside_the_true_ones(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    data = write_pictures(tmp_path / "data", 10, boxed=True)
    assert train(data, tmp_path / "a.safetensors", "--folds", "2", "--logdir", tmp_path / "curves", epochs=1) == 0
    curves = EventAccumulator(str(tmp_path / "curves"))
    curves.Reload()
    (boxes,) = curves.Images("val/boxes")
    assert boxes.height >= 224


def test_clips_and_pictures_teach_together(tmp_path: Path) -> None:
    for label in ("dunk", "pass"):
        for number in range(3):
            write_clip(tmp_path / "data" / label / f"v_{label}_g{number:02d}.mp4", label)
            write_picture(tmp_path / "data" / label / f"{number}.png", label, number)
    assert train(tmp_path / "data", tmp_path / "a.safetensors") == 0
    assert read_info(tmp_path / "a.safetensors").spec.tags == ("dunk", "pass")


def test_an_event_is_learned_from_the_times_in_a_table_and_judged_by_blocks_that_took_no_part(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    starts = range(4, 52, 12)
    write_match(tmp_path / "match.mp4", *(("dunk", start, start + 4) for start in starts), duration_s=60)
    rows = (f"match.mp4,{start},{start + 4},dunk" for start in starts)
    (tmp_path / "events.csv").write_text("\n".join(["path,start,end,label", *rows]))
    out = tmp_path / "a.safetensors"
    assert train(tmp_path / "events.csv", out, "--events", "dunk", epochs=30) == 0
    told = capsys.readouterr().out
    assert "events.csv: 4 events in 1 videos" in told and "dunk: 1 files, 32 pictures" in told
    assert read_info(out).metrics["val"]["events"]["dunk"]["average_precision"] == 1.0
    assert main(["eval", str(out), str(tmp_path / "events.csv")]) == 0
    assert "4 files: 0 never seen, 0 held out, 1 used to choose the epoch, 3 trained on" in capsys.readouterr().out


def test_what_val_shows_too_is_named_and_not_trained_on(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_picture(tmp_path / "val" / "dunk" / "copy.png", "dunk", 3)
    write_picture(tmp_path / "val" / "pass" / "new.png", "pass", 99)
    write_picture(tmp_path / "val" / "swim" / "new.png", "rest", 99)
    assert train(data, tmp_path / "a.safetensors", "--val", tmp_path / "val", epochs=1) == 0
    told = capsys.readouterr().out
    assert "val    leak: dunk3.png is equal to copy.png of val; left out of training" in told
    assert "val    unknown class: swim (class), 1 in val, is never trained on" in told
    assert "one scene" not in told
    assert read_info(tmp_path / "a.safetensors").training["pictures"] == 29


def test_boxes_that_count_from_0_are_read_so_where_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed in range(6):
        pixels, objects = scene(seed, "dunk", "pass")
        write(tmp_path / f"{seed}.png", pixels)
        (tmp_path / f"{seed}.xml").write_text(voc(*objects, first=0))
    assert train(tmp_path, tmp_path / "a.safetensors", "--boxes-from", "0", epochs=1) == 0
    assert "6 VOC files; coordinates count from 0" in capsys.readouterr().out


def test_names_that_move_a_cursor_are_told_in_plain_characters(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pictures(tmp_path / "data", 2)
    (tmp_path / "data" / "dunk" / "a\x1b[2J.png").write_bytes(b"no picture")
    assert train(tmp_path / "data", tmp_path / "a.safetensors", epochs=1) == 0
    told = capsys.readouterr().out
    assert "\x1b" not in told and "unreadable: a\\x1b[2J.png" in told


def test_eval_judges_only_what_was_not_trained_on(
    data: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", str(model), str(data)]) == 0
    told = capsys.readouterr().out
    assert "30 files: 0 never seen, 0 held out, 6 used to choose the epoch, 24 trained on" in told
    assert "judged by those that chose the epoch" in told
    assert "of 4 pictures" in told  # the tags of val
    for seed, label in enumerate(COLOURS):
        write_picture(tmp_path / "new" / label / "a.png", label, 100 + seed)
    assert main(["eval", str(model), str(data), str(tmp_path / "new"), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["files"].startswith("33 files: 3 never seen")
    assert figures["tags"]["pictures"] == 2
    assert figures["events"]["dunk"]["pictures"] == 3


def test_eval_of_nothing_but_training_data_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    val = write_pictures(tmp_path / "val", 1)
    assert train(data, tmp_path / "a.safetensors", "--val", val, epochs=1) == 0
    rest = tmp_path / "rest"
    for path in sorted(data.rglob("*.png")):
        if path.read_bytes() not in [other.read_bytes() for other in val.rglob("*.png")]:
            (rest / path.parent.name).mkdir(parents=True, exist_ok=True)
            (rest / path.parent.name / path.name).write_bytes(path.read_bytes())
    capsys.readouterr()
    assert main(["eval", str(tmp_path / "a.safetensors"), str(rest)]) == 2
    assert "nothing is left to judge by" in capsys.readouterr().err
    assert main(["eval", str(tmp_path / "a.safetensors"), str(rest), "--all"]) == 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--events", "dnk"], "dnk: no such class; found dunk, pass, rest"),
        (["--events", "dunk", "pass", "rest"], "without negatives"),
        (["--val", "nowhere"], "--val nowhere: no such folder"),
        (["--background", "nowhere"], "--background nowhere: no such folder"),
        (["--size", "5000"], "2048 pixels at most"),
        (["--from", "nowhere.safetensors"], "no such model file"),
        (["--backbone", "torchvision:none"], "torchvision:none: use one of"),
        (["--epochs", "0"], "0: use 1 or more"),
        (["--seed", "-1"], "-1: use 0 or more"),
        (["--size", "31"], "31: use 32 or more"),
        (["--patience", "2", "--folds", "2"], "--patience: --folds chooses no epoch"),
        (["--initial", "he"], "--initial: only --regime scratch"),
        (["--precision", "bf16"], "--precision bf16: a frozen backbone computes in fp32"),
        (["--backbone-rate", "0.1"], "--backbone-rate: a frozen backbone does not learn"),
        (["--weights", "tags=2"], "tags=2: no such head; use classifier, localizer"),
        (["--weights", "classifier=much"], "classifier=much: give HEAD=NUMBER"),
        (["--weights", "localizer=2"], "localizer=2: these data do not teach the localizer, but classifier"),
    ],
)
def test_a_request_that_cannot_be_carried_out_ends_with_2(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    assert ended(lambda: train(data, tmp_path / "a.safetensors", *options)) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "a.safetensors").exists()


def test_the_name_of_a_checkpoint_says_what_it_is(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data.parent / "folder.safetensors").mkdir()
    for out in (Path("model.pth"), data.parent / "folder.safetensors"):
        assert train(data, out) == 2
        assert "ends in .safetensors" in capsys.readouterr().err
