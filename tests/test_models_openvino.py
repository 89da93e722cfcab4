"""Another runtime, the same answers: OpenVINO beside torch, and what is said where it is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from argparse import ArgumentParser
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision import models

from models import imagenet
from models.checkpoint import save
from models.describe import describe
from models.predictor import Predictor, open_predictor
from models.resolve import torch_home
from models.runtime import OPENVINO, TORCH
from models.spec import CheckpointInfo, read_info
from pipeline.cli import main
from pipeline.commands.work import add_work_arguments, work_from
from tests import networks
from tests.lessons import write_picture

needs_openvino = pytest.mark.skipif(
    find_spec("openvino") is None, reason="OpenVINO is not installed: pip install 'matchcut[openvino]'"
)
CLOSE = 1e-3


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with all heads."""
    file, made = tmp_path_factory.mktemp("openvino") / "settled.safetensors", networks.with_all_heads()
    save(made, CheckpointInfo(spec=made.spec, version=""), file)
    return file


@pytest.fixture(scope="module")
def predictor(path: Path) -> Predictor:
    return open_predictor(str(path), "cpu", batch=4, runtime=OPENVINO)


def assert_same_answers(name: str, side_px: int, batch: int) -> None:
    """Of both runtimes, for random pictures."""
    pixels = networks.pictures(batch, side_px=side_px)
    known, found = (
        open_predictor(name, "cpu", batch, runtime=runtime).submit(pixels).result() for runtime in (TORCH, OPENVINO)
    )
    assert np.abs(known.probs - found.probs).max() <= CLOSE
    assert np.array_equal(known.probs.argmax(axis=1), found.probs.argmax(axis=1))
    assert np.allclose(known.features, found.features, rtol=CLOSE, atol=CLOSE)
    assert (known.points is None) == (found.points is None) and (known.boxes is None) == (found.boxes is None)
    if known.points is not None and found.points is not None:
        assert np.abs(known.points - found.points).max() <= CLOSE
    if known.boxes is not None and found.boxes is not None:
        assert np.array_equal(known.boxes.picture, found.boxes.picture)
        assert np.abs(known.boxes.xyxy - found.boxes.xyxy).max() <= CLOSE


# The answers


@needs_openvino
@pytest.mark.parametrize("batch", [1, 4])
def test_every_head_says_the_same_on_both_runtimes(path: Path, batch: int) -> None:
    assert_same_answers(str(path), networks.SIDE_PX, batch)


@needs_openvino
def test_the_embedded_default_says_the_same_on_both_runtimes() -> None:
    assert_same_answers("default", describe("default").height_px, 8)


@needs_openvino
def test_torchvisions_networks_say_the_same_on_both_runtimes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    file = torch_home() / "hub" / "checkpoints" / imagenet.FILES["squeezenet1_1"]
    file.parent.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(models.get_model("squeezenet1_1", weights=None).state_dict(), file)
    assert_same_answers("torchvision:squeezenet1_1", imagenet.SIDE_PX, 1)


@needs_openvino
def test_the_answer_is_the_same_bits_whatever_stands_beside_a_picture(predictor: Predictor) -> None:
    batch, others = networks.pictures(4), networks.pictures(4, seed=1)
    others[2] = batch[2]
    here, there = predictor.submit(batch).result(), predictor.submit(others).result()
    assert here.boxes is not None and there.boxes is not None and here.points is not None and there.points is not None
    for known, found in ((here.probs, there.probs), (here.features, there.features), (here.points, there.points)):
        assert np.array_equal(known[2], found[2])
        assert not np.array_equal(known[1], found[1])
    of_it = [answer.xyxy[answer.picture == 2] for answer in (here.boxes, there.boxes)]
    assert np.array_equal(*of_it)


@needs_openvino
def test_a_batch_under_way_is_not_disturbed_by_the_next(predictor: Predictor) -> None:
    pixels = networks.pictures(4)
    alone = predictor.submit(pixels).result().probs
    first = predictor.submit(pixels)
    predictor.submit(networks.pictures(4, seed=1)).result()
    assert np.array_equal(first.result().probs, alone)


@needs_openvino
def test_nothing_is_said_left_behind_or_reported_to_anyone(path: Path, tmp_path: Path) -> None:
    """Where its telemetry is installed, OpenVINO writes an identity into the home directory and reports each import."""
    code = (
        "import sys; from models.predictor import open_predictor; from tests import networks;"
        "open_predictor(sys.argv[1], 'cpu', 4, runtime='openvino').submit(networks.pictures(4)).result()"
    )
    env = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[1]), "CI": "false"}
    ended = subprocess.run(
        [sys.executable, "-c", code, str(path)], env=env, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert (ended.stdout, ended.stderr) == ("", "")
    assert list(tmp_path.rglob("*")) == []


# What it is called, and when it is refused


def test_the_runtime_is_part_of_the_version(path: Path) -> None:
    known = read_info(path).version
    assert describe(str(path), runtime=TORCH).version == known
    assert describe(str(path), runtime=OPENVINO).version == f"{known}-openvino"


@needs_openvino
def test_a_run_is_another_one_by_option_or_by_setting(path: Path, tmp_path: Path) -> None:
    settings = tmp_path / "own.toml"
    settings.write_text('[infer]\nruntime = "openvino"\n', encoding="utf-8")
    parser = ArgumentParser()
    add_work_arguments(parser)
    plain, by_option, by_setting, back = (
        work_from(parser.parse_args(["--out", str(tmp_path / "out"), "--model", str(path), *more]))
        for more in (
            [],
            ["--runtime", "openvino"],
            ["--config", str(settings)],
            ["--config", str(settings), "--runtime", "torch"],
        )
    )
    assert by_option.model == by_setting.model != plain.model == back.model
    assert by_option.config.digest("infer") == by_setting.config.digest("infer") != plain.config.digest("infer")


@pytest.fixture
def without_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)


@pytest.mark.parametrize("verb", ["run", "predict"])
def test_where_it_is_missing_the_extra_is_named_before_anything_is_touched(
    verb: str, tmp_path: Path, without_openvino: None, capsys: pytest.CaptureFixture[str]
) -> None:
    write_picture(tmp_path / "a.png", "dunk", 0)
    out = ["--out", str(tmp_path / "out")] if verb == "run" else []
    assert main([verb, str(tmp_path / "a.png"), "--runtime", "openvino", *out]) == 3
    told = capsys.readouterr()
    assert "pip install 'matchcut[openvino]'" in told.err and told.out == ""
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_it_has_no_gpu_and_no_bf16_for_us(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = tmp_path / "own.toml"
    settings.write_text('[infer]\nprecision = "bf16"\n', encoding="utf-8")
    for more, words in ((["--device", "cuda"], "--device cpu"), (["--config", str(settings)], "'bf16' to fp32")):
        assert main(["run", str(tmp_path), "--out", str(tmp_path / "out"), "--runtime", "openvino", *more]) == 2
        assert words in capsys.readouterr().err


def test_the_doctor_says_whether_it_is_there(without_openvino: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor"]) == 0
    assert "MISS  openvino" in capsys.readouterr().out
