"""What must hold on a CUDA device. Run by `make test-gpu`, where a missing device is a failure and not a skip."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.augment import Augmentation, augmented
from models.describe import describe
from models.distill import blocks_apart, distillation
from models.learn import Surroundings, learn
from models.losses import Targets
from models.merge import MERGES
from models.predictor import open_predictor
from models.recipe import Recipe
from models.stages import Progress
from models.targets import Plan
from models.train import Schedule, Training
from models.window_predictor import open_windows
from pipeline.errors import DeviceOutOfMemory
from tests import networks
from tests.lessons import dataset
from tests.teaching import watch
from tests.test_models_distill import LABELS, Teaching, lesson, teacher

pytestmark = pytest.mark.gpu


SIDE_PX = describe("default").height_px
PLAN = Plan(tags=("dunk", "pass", "rest"), boxes=True)


def noise(side_px: int, count: int = 8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, side_px, side_px, 3), dtype=np.uint8)


@pytest.fixture
def pictures() -> np.ndarray:
    return noise(SIDE_PX)


def test_the_gpu_answers_as_the_cpu_does(pictures: np.ndarray) -> None:
    answers = [open_predictor("default", device).submit(pictures).result() for device in ("cpu", "cuda")]
    assert np.abs(answers[0].probs - answers[1].probs).max() <= 1e-4


def test_a_batch_beyond_the_memory_is_refused_in_our_words() -> None:
    predictor = open_predictor("default", "cuda")
    free_bytes, _ = torch.cuda.mem_get_info()
    held = torch.empty(free_bytes - (64 << 20), dtype=torch.uint8, device="cuda")
    with pytest.raises(DeviceOutOfMemory):
        predictor.submit(np.zeros((4096, SIDE_PX, SIDE_PX, 3), np.uint8)).result()
    del held
    torch.cuda.empty_cache()  # or torch keeps it, and libraries that come later find no room


def test_the_caller_may_use_its_array_again_at_once(pictures: np.ndarray) -> None:
    predictor = open_predictor("default", "cuda")
    expected = predictor.submit(pictures).result().probs
    mine = pictures.copy()
    pending = predictor.submit(mine)
    mine[:] = 0
    assert np.array_equal(pending.result().probs, expected)


@pytest.mark.parametrize("way", MERGES)
def test_windows_on_the_gpu_find_what_they_find_on_the_cpu(way: str) -> None:
    found = []
    for device in ("cpu", "cuda"):
        windows = open_windows("default", device, 4, 1, scales=(1, 1.5), way=way)
        found.append(windows.submit(noise(windows.height_px, 4)).result())
    on_cpu, on_gpu = found
    assert np.abs(on_cpu.probs - on_gpu.probs).max() <= 2e-3  # noise is resized, and rounded, there and here
    assert on_cpu.boxes is not None and on_gpu.boxes is not None
    assert len(on_gpu.boxes.picture) == pytest.approx(len(on_cpu.boxes.picture), rel=0.1)


def test_pictures_are_varied_on_the_gpu_as_on_the_cpu() -> None:
    known = Targets(torch.zeros(8, dtype=torch.int64), torch.zeros(8, 0), torch.full((8, 4), 0.3))
    made = [
        augmented(noise(120), known, Augmentation(), (96, 80), np.random.default_rng(1), device=device)
        for device in ("cpu", "cuda")
    ]
    (on_cpu, boxes), (on_gpu, same_boxes) = made
    assert on_gpu.device.type == "cuda"
    apart = (on_cpu.int() - on_gpu.cpu().int()).abs()  # each step rounds, and light makes more of it
    assert apart.max() <= 8
    assert apart.float().mean() <= 0.5
    assert torch.equal(boxes.box, same_boxes.box)


@pytest.mark.parametrize("regime", ["frozen", "finetune"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_what_is_learned_on_the_gpu_is_right_and_comes_back(regime: str, precision: str) -> None:
    recipe = Recipe(regime=regime, precision=precision, device="cuda", epochs=12, average=0.9)
    learned = learn(dataset(20, boxed=True, side_px=SIDE_PX), None, PLAN, recipe, Surroundings(watch=watch))
    assert learned.network.device.type == "cpu"
    assert learned.info.metrics["val"]["tags"]["top1"] >= 0.9


def test_a_run_that_was_killed_on_the_gpu_goes_on_there(tmp_path: Path) -> None:
    data, recipe = dataset(8, boxed=True, side_px=SIDE_PX), Recipe(regime="finetune", device="cuda", epochs=4)
    after = list[tuple[str, int]]()

    def dying(now: Progress) -> None:
        if (now.stage, now.epoch.number) == ("finetune", 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        learn(data, None, PLAN, recipe, Surroundings(watch=dying, state=tmp_path))
    around = Surroundings(watch=lambda now: after.append((now.stage, now.epoch.number)), state=tmp_path)
    learned = learn(data, None, PLAN, recipe, around)
    assert after == [("finetune", 2), ("finetune", 3)]
    assert learned.network.device.type == "cpu"


@pytest.mark.parametrize("way", [distillation, blocks_apart])
def test_a_student_learns_on_the_gpu_about_what_it_learns_on_the_cpu(way: Teaching) -> None:
    schedule, hints = Schedule(epochs=1, batch=6, rate=0.02, backbone_rate=0.02), []
    for device in ("cpu", "cuda"):
        torch.manual_seed(5)
        student = networks.network(tags=LABELS, events=())
        job = way(student, replace(lesson(teacher()), device=device), schedule)
        hints += [epoch.losses["hints"] for epoch in Training(job, schedule, 0).epochs()]
    assert hints[1] == pytest.approx(hints[0], rel=0.05)
