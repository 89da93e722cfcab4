"""A student from random values: it follows its teacher layer by layer, and sees small pictures first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from models.augment import Augmentation
from models.backbone import read_by
from models.checkpoint import load, save
from models.distill import Lesson, _Distance, distillation, listening, served_teacher, shared_layers
from models.lesson import Course, subject_boxes, teach
from models.losses import LossWeights
from models.network import BOX, TAGS, Network
from models.spec import CheckpointInfo
from models.stages import Progress
from models.targets import Plan, truth_of
from models.train import Epoch, Schedule, Training
from tests import networks
from tests.lessons import dataset

LABELS = ("dunk", "pass")  # of the data's classes; `rest` is unknown


def teacher(**changes: object) -> Network:
    """Random values too, but its BatchNorm has measured pictures, so that every channel says something."""
    master = networks.network(seed=7, tags=LABELS, events=(), localizer=False, **changes).train()
    with torch.no_grad():
        for _ in range(30):
            master(torch.from_numpy(dataset(6).pixels))
    return master.eval()


def lesson(master: Network, epochs: int, small_share: float = 0.5) -> Lesson:
    data = dataset(6, boxed=True)
    return Lesson(
        pixels=data.pixels,
        targets=truth_of(data, Plan(tags=LABELS, boxes=True)).targets(),
        teacher=master,
        schedule=Schedule(epochs=epochs, batch=6, rate=0.02),
        weights=LossWeights(),
        how=Augmentation(),
        small_px=48,
        small_share=small_share,
    )


def taught(master: Network, epochs: int = 2, seed: int = 0, small_share: float = 0.5) -> tuple[Network, list[Epoch]]:
    plan = lesson(master, epochs, small_share)
    student = networks.network(tags=LABELS, events=())
    return student, list(Training(distillation(student, plan), plan.schedule, seed).epochs())


def test_boxes_are_taught_once_the_pictures_have_their_full_size() -> None:
    _, epochs = taught(teacher())
    always = {TAGS, "soft_tags", "features", "hints"}
    assert [set(epoch.losses) for epoch in epochs] == [always, always | {BOX}]


def test_the_same_seed_gives_the_same_student() -> None:
    states = [taught(teacher(), seed=seed)[0].state_dict() for seed in (0, 0, 1)]
    same = [all(torch.equal(states[0][name], other[name]) for name in other) for other in states[1:]]
    assert same == [True, False]


def test_a_student_comes_near_its_teacher_and_leaves_it_as_it_was() -> None:
    master = teacher()
    before = {name: value.clone() for name, value in master.state_dict().items()}
    _, epochs = taught(master, epochs=8, small_share=0.0)
    assert epochs[-1].losses["features"] < 0.7 * epochs[0].losses["features"]
    assert epochs[-1].losses["hints"] < epochs[0].losses["hints"]
    assert all(torch.equal(before[name], value) for name, value in master.state_dict().items())


def test_layers_are_shared_where_both_have_them_in_the_same_width() -> None:
    assert len(shared_layers(networks.network(), teacher())) > 20
    assert shared_layers(networks.network(), teacher(backbone="resnet18")) == []
    _, epochs = taught(teacher(backbone="resnet18"), epochs=1)
    assert "hints" not in epochs[0].losses and "features" in epochs[0].losses


def test_a_folded_teacher_says_on_the_way_what_its_batchnorm_would() -> None:
    master, pixels = teacher(), torch.from_numpy(dataset(2).pixels)
    layers = shared_layers(master, master)
    with torch.no_grad(), listening(master, layers) as plain:
        master(pixels)
    folded = served_teacher(master)
    kernels = {name: str(read_by(master.backbone.trunk, name).target) for name in layers}
    with torch.no_grad(), listening(folded, kernels.values()) as heard:
        folded(pixels)
    for name in layers:
        torch.testing.assert_close(heard[kernels[name]], plain[name], rtol=1e-3, atol=1e-3)


def test_the_students_split_is_the_teachers_and_what_neither_met_is_held_out(tmp_path: Path) -> None:
    data, master = dataset(10, boxed=True), teacher()
    info = save(
        master,
        CheckpointInfo(spec=master.spec, version="", split={"train": data.digests[::3], "val": data.digests[1::3]}),
        tmp_path / "teacher.safetensors",
    )
    spec = networks.network(tags=LABELS, events=()).spec
    course = Course(spec=spec, schedule=Schedule(epochs=1, batch=6), seed=0)
    seen: list[Progress] = []
    learned = teach(
        data, data.pixels, (load(tmp_path / "teacher.safetensors")[0], info), course, seen.append, tmp_path / "state"
    )
    assert learned.info.split == {
        "train": tuple(sorted(data.digests[::3])),
        "val": tuple(sorted(data.digests[1::3])),
        "heldout": tuple(sorted(data.digests[2::3])),
    }
    assert learned.info.metrics["heldout"][BOX]["pictures"] == 10
    assert learned.info.training["teacher"]["version"] == info.version
    assert [progress.stage for progress in seen] == ["distilled"]


def test_what_the_detector_saw_is_kept_and_not_asked_again(tmp_path: Path) -> None:
    data, asked = dataset(2, boxed=True), list[int]()

    def detector(picture: np.ndarray) -> np.ndarray:
        asked.append(1)
        return np.zeros((1, 3549, 85), np.float32)

    for _ in range(2):
        boxes = subject_boxes(data, np.ones(len(data), np.float32), detector, tmp_path / "boxes.npy")
        assert boxes.shape == (6, 4) and np.isnan(boxes).all()
    assert len(asked) == 6


def test_the_distance_to_a_hint_has_the_gradient_that_autograd_would_find() -> None:
    generator = torch.Generator().manual_seed(0)
    mine, aim = (torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    per_spread = torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64).view(-1, 1, 1)
    found, known = (mine.clone().requires_grad_() for _ in range(2))
    (3 * _Distance.apply(found, aim, per_spread)).backward()
    plain = ((known - aim) * per_spread).square().mean()
    (3 * plain).backward()
    assert float(_Distance.apply(mine, aim, per_spread)) == pytest.approx(float(plain.detach()))
    torch.testing.assert_close(found.grad, known.grad)
