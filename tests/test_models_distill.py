"""A student from random values: its blocks learn apart, then it follows its teacher as a whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from models.augment import Augmentation
from models.checkpoint import load, save
from models.data.dataset import BLOCK
from models.distill import Lesson, blocks_apart, distillation, served_teacher
from models.hints import Listener, _Distance, served_ends, shared_ends
from models.lesson import Course, _parted, subject_boxes, teach
from models.losses import LossWeights
from models.network import BOX, TAGS, Network
from models.spec import CheckpointInfo
from models.stages import Progress
from models.targets import Plan, truth_of
from models.train import Epoch, Job, Schedule, Training
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


def lesson(master: Network) -> Lesson:
    data = dataset(6, boxed=True)
    return Lesson(
        pixels=data.pixels,
        targets=truth_of(data, Plan(tags=LABELS, boxes=True)).targets(),
        teacher=master,
        weights=LossWeights(),
        how=Augmentation(),
    )


Teaching = Callable[[Network, Lesson, Schedule], Job]


def taught(
    master: Network, epochs: int = 2, seed: int = 0, way: Teaching = distillation
) -> tuple[Network, list[Epoch]]:
    schedule = Schedule(epochs=epochs, batch=6, rate=0.02, backbone_rate=0.02)
    torch.manual_seed(5)
    student = networks.network(tags=LABELS, events=())
    return student, list(Training(way(student, lesson(master), schedule), schedule, seed).epochs())


@pytest.mark.parametrize("way", [distillation, blocks_apart])
def test_the_same_seed_gives_the_same_student(way: Teaching) -> None:
    states = [taught(teacher(), seed=seed, way=way)[0].state_dict() for seed in (0, 0, 1)]
    same = [all(torch.equal(states[0][name], other[name]) for name in other) for other in states[1:]]
    assert same == [True, False]


def test_a_student_comes_near_its_teacher_and_leaves_it_as_it_was() -> None:
    master = teacher()
    before = {name: value.clone() for name, value in master.state_dict().items()}
    _, epochs = taught(master, epochs=8)
    assert set(epochs[-1].losses) == {TAGS, BOX, "soft_tags", "features", "hints"}
    assert epochs[-1].losses["features"] < 0.7 * epochs[0].losses["features"]
    assert epochs[-1].losses["hints"] < epochs[0].losses["hints"]
    assert all(torch.equal(before[name], value) for name, value in master.state_dict().items())


def test_blocks_that_learn_apart_say_what_the_teachers_say_of_what_the_teachers_said() -> None:
    _, epochs = taught(teacher(), epochs=8, way=blocks_apart)
    assert set(epochs[-1].losses) == {TAGS, BOX, "soft_tags", "hints"}
    assert epochs[-1].losses["hints"] < 0.8 * epochs[0].losses["hints"]


def test_a_block_that_reads_the_teachers_word_owes_nothing_to_the_blocks_before() -> None:
    student = networks.network(tags=LABELS, events=(), backbone="mobilenet_v3_small")
    master = teacher(backbone="mobilenet_v3_small")
    shown = student.backbone.normalize(torch.from_numpy(dataset(2).pixels))
    ends = shared_ends(student, master)
    theirs = Listener(master.backbone.trunk, ends)
    with torch.no_grad():
        theirs.run(shown)
    mine = Listener(student.backbone.trunk, ends, theirs.said)
    mine.run(shown)
    mine.said["add"].sum().backward()  # the first block with a way around it
    moved = {name.split(".")[1] for name, value in student.backbone.trunk.named_parameters() if value.grad is not None}
    assert moved == {"3"}


def test_blocks_are_shared_by_networks_of_one_architecture() -> None:
    small = teacher(backbone="mobilenet_v3_small")
    assert len(shared_ends(small, small)) == 13  # as many as torchvision's `features` has
    assert shared_ends(networks.network(), teacher(backbone="resnet18")) == {}
    _, epochs = taught(teacher(backbone="resnet18"), epochs=1)
    assert "hints" not in epochs[0].losses and "features" in epochs[0].losses


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "mobilenet_v3_small", "resnet18"])
def test_a_folded_teacher_says_on_the_way_what_its_batchnorm_would(backbone: str) -> None:
    master = teacher(backbone=backbone)
    pixels = master.backbone.normalize(torch.from_numpy(dataset(2).pixels))
    with torch.no_grad():
        plain = Listener(master.backbone.trunk, shared_ends(master, master))
        plain.run(pixels)
        folded = Listener(served_teacher(master).backbone.trunk, served_ends(master))
        folded.run(pixels)
    assert list(folded.said) == list(plain.said)
    for name, said in plain.said.items():
        torch.testing.assert_close(folded.said[name], said, rtol=1e-3, atol=1e-3)


def test_the_students_split_is_the_teachers_and_what_neither_met_is_held_out(tmp_path: Path) -> None:
    data, master = dataset(10, boxed=True), teacher()
    info = save(
        master,
        CheckpointInfo(spec=master.spec, version="", split={"train": data.digests[::3], "val": data.digests[1::3]}),
        tmp_path / "teacher.safetensors",
    )
    spec = networks.network(tags=LABELS, events=()).spec
    schedule = Schedule(epochs=1, batch=6)
    course = Course(spec=spec, blocks=schedule, schedule=schedule, seed=0)
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
    assert [progress.stage for progress in seen] == ["blocks", "distilled"]


def test_a_video_that_the_teacher_met_is_not_held_out_for_being_parted_otherwise() -> None:
    data = replace(dataset(2), digests=("one", "two", f"film{BLOCK}0", f"film{BLOCK}1", "film", "new"))
    info = CheckpointInfo(spec=networks.TINY, version="", split={"train": ("one", f"film{BLOCK}0"), "val": ("two",)})
    assert {name: rows.tolist() for name, rows in _parted(data, info).items()} == {
        "train": [0, 2, 3, 4],
        "val": [1],
        "heldout": [5],
    }


def test_a_student_goes_on_from_the_one_before_in_another_size(tmp_path: Path) -> None:
    data, master = dataset(10, boxed=True), teacher()
    info = CheckpointInfo(spec=master.spec, version="", split={"train": data.digests[::2], "val": data.digests[1::2]})
    first = networks.network(tags=LABELS, events=())
    known = CheckpointInfo(spec=first.spec, version="", training={"base": "random values"})
    none = Schedule(epochs=1, batch=16, rate=1e-9, backbone_rate=1e-9, weight_decay=0.0)
    spec = replace(first.spec, height_px=96, width_px=96)
    course = Course(spec=spec, blocks=none, schedule=none, seed=0, before=(first, known))
    seen: list[Progress] = []
    shown = dataset(10, side_px=96).pixels
    learned = teach(data, shown, (master, info), course, seen.append, tmp_path / "state")
    assert [progress.stage for progress in seen] == ["distilled"]
    assert learned.info.training["before"] == {"base": "random values"}
    kernels = [dict(made.backbone.trunk.named_parameters())["conv1.0.weight"] for made in (first, learned.network)]
    torch.testing.assert_close(*kernels)


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
