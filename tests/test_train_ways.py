"""Every option of `matchcut train` does what it says, from the command line to the checkpoint."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from models.spec import CheckpointInfo, read_info
from pipeline.cli import main
from tests import networks
from tests.lessons import write_clip, write_match, write_picture, write_pictures

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pictures(tmp_path_factory.mktemp("data"), 10, boxed=True)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small network that knows nothing."""
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    networks.checkpoint(path)
    return path


def trained(data: Path, out: Path, *options: str | Path) -> CheckpointInfo:
    assert main(["train", str(data), "--out", str(out), "--epochs", "1", *map(str, options)]) == 0
    return read_info(out)


@pytest.mark.parametrize("regime", ["finetune", "joint", "sequential", "scratch"])
def test_a_regime_is_carried_out_by_its_name(data: Path, base: Path, tmp_path: Path, regime: str) -> None:
    info = trained(data, tmp_path / "a.safetensors", "--from", base, "--regime", regime)
    assert info.training["recipe"]["regime"] == regime
    last = {"sequential": "where"}.get(regime, regime)
    assert info.training["stages"][-1]["stage"] == last
    assert info.metrics["val"]["box"]["pictures"] == info.metrics["val"]["tags"]["pictures"] == 6


def test_rates_are_tried_and_nothing_is_written(data: Path, base: Path, tmp_path: Path, capsys: Capture) -> None:
    out = tmp_path / "a.safetensors"
    assert main(["train", str(data), "--out", str(out), "--from", str(base), "--find-rate"]) == 0
    told = capsys.readouterr().out
    rates = [float(rate) for rate in re.findall(r"^rate (\S+), backbone", told, re.MULTILINE)]
    assert len(rates) > 3 and rates == sorted(rates)
    (best,) = re.findall(r"a third of the best: --rate (\S+)", told)
    assert rates[0] / 4 <= float(best) <= rates[-1] * 10
    assert not out.exists()


def test_how_much_a_head_counts_is_said_by_its_name(data: Path, base: Path, tmp_path: Path) -> None:
    given = trained(data, tmp_path / "a.safetensors", "--from", base, "--weights", "localizer=4", "classifier=0.5")
    assert given.training["recipe"]["weights"] == {"box": 4.0, "tags": 0.5, "events": 0.5}
    learned = trained(data, tmp_path / "b.safetensors", "--from", base, "--weights", "learned")
    assert set(learned.training["stages"][-1]["weights"]) == {"tags", "box"}


@pytest.mark.parametrize(
    ("heads", "tags", "localizer", "detector"),
    [
        (["localizer"], (), True, ()),
        (["classifier"], ("dunk", "pass", "rest"), False, ()),
        (["classifier", "detector"], ("dunk", "pass", "rest"), False, ("dunk", "pass", "rest")),
    ],
)
def test_only_the_heads_that_are_asked_for_are_taught(
    data: Path,
    base: Path,
    tmp_path: Path,
    heads: list[str],
    tags: tuple[str, ...],
    localizer: bool,
    detector: tuple[str, ...],
) -> None:
    options = ("--from", base, "--regime", "finetune", "--heads", *heads)  # frozen, a base's other heads would stay
    found = trained(data, tmp_path / "a.safetensors", *options).spec
    assert (found.tags, found.localizer, found.detector) == (tags, localizer, detector)


def test_heads_stand_where_they_are_put(data: Path, tmp_path: Path) -> None:
    networks.checkpoint(tmp_path / "fc.safetensors", attach="fc")
    options = ("--from", tmp_path / "fc.safetensors", "--attach", "fc", "--box-per-class")
    spec = trained(data, tmp_path / "a.safetensors", *options).spec
    assert (spec.attach, spec.box_per_class) == ("fc", True)


def test_files_that_the_base_was_taught_are_counted(data: Path, base: Path, tmp_path: Path, capsys: Capture) -> None:
    first = tmp_path / "a.safetensors"
    trained(data, first, "--from", base)
    assert "before" not in capsys.readouterr().out
    trained(data, tmp_path / "b.safetensors", "--from", first, "--seed", "1")
    assert f"{first} was taught 24 of these 30 files before: what is judged by them flatters" in capsys.readouterr().out


def test_what_it_is_not_comes_from_another_folder(base: Path, tmp_path: Path, capsys: Capture) -> None:
    for seed in range(6):
        write_picture(tmp_path / "data" / "dunk" / f"{seed}.png", "dunk", seed)
        write_picture(tmp_path / "else" / f"{seed}.png", "rest", seed)
    options = ("--from", base, "--events", "dunk", "--background", tmp_path / "else")
    info = trained(tmp_path / "data", tmp_path / "a.safetensors", *options)
    assert (info.spec.events, info.training["classes"]) == (("dunk",), {"dunk": 5, "none": 5})
    assert "events dunk" in capsys.readouterr().out


def test_false_alarms_are_counted_on_videos_that_do_not_show_the_event(tmp_path: Path, capsys: Capture) -> None:
    """One video has what was learned for four of its ten seconds, another never."""
    for number in range(4):
        for label in ("dunk", "rest"):
            write_clip(tmp_path / "data" / label / f"v_{label}_g{number:02d}.mp4", label)
    write_match(tmp_path / "unseen" / "with.mp4", ("dunk", 3, 7), duration_s=10)
    write_match(tmp_path / "unseen" / "without.mp4", duration_s=10)
    (tmp_path / "unseen" / "broken.mp4").write_text("no video")
    options = ("--events", "dunk", "--unseen", str(tmp_path / "unseen"), "--epochs", "30", "--size", "97")
    assert main(["train", str(tmp_path / "data"), "--out", str(tmp_path / "a.safetensors"), *options]) == 0
    told = [line for line in capsys.readouterr().out.splitlines() if line.startswith("unseen ")]
    assert any(line.startswith("unseen broken.mp4") for line in told)
    assert any(re.match(r"unseen with\.mp4: 1 in 10 s \(dunk [01]\.\d\d at [234]\.\d s\)", line) for line in told)
    assert "unseen without.mp4: 0 in 10 s" in told
    assert told[-1].startswith("unseen 1 false alarms in 0.3 minutes: 3.00 a minute; more than one")


def test_confusions_and_reliability_are_drawn(data: Path, base: Path, tmp_path: Path) -> None:
    trained(data, tmp_path / "a.safetensors", "--from", base, "--events", "dunk")
    assert main(["eval", str(tmp_path / "a.safetensors"), str(data), "--pictures", str(tmp_path / "drawn")]) == 0
    names = {path.name for path in (tmp_path / "drawn").iterdir()}
    assert names >= {"confusion.png", "reliability-of-tags.png", "reliability-of-dunk.png"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (tmp_path / "drawn").iterdir())
