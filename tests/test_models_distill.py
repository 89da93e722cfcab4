"""A student from random values: taught only what was not fitted on the same pictures, small pictures first."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from models.augment import NO_AUGMENTATION, random_crops
from models.distill import Lesson, Views, cross_fitted, distil
from models.losses import LossWeights
from models.network import BOX, Network
from models.targets import truth_of
from models.train import Schedule
from tests import networks
from tests.lessons import dataset

TAGS = ("dunk", "pass")  # of the data's classes; `rest` is unknown
FEATURES = 6


def test_a_probe_never_speaks_about_what_it_was_fitted_on() -> None:
    """Label 2 is in one cluster alone: whoever speaks about that cluster cannot have met it."""
    cluster = np.repeat(np.arange(12), 4)
    tag = torch.from_numpy(np.repeat([0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 2], 4))
    vectors = nn.functional.one_hot(tag, FEATURES).float() + 0.01 * torch.randn(48, FEATURES)
    soft = cross_fitted(vectors[None].half(), tag, 3, cluster)[0]
    assert soft[tag == 2, 2].max() < 0.2
    assert (soft[tag < 2].argmax(1) == tag[tag < 2]).all()
    assert soft.sum(1).numpy() == pytest.approx(1.0, abs=1e-5)


def lesson(epochs: int, small_share: float) -> Lesson:
    data = dataset(6, boxed=True)
    truth = truth_of(data, TAGS, ())
    count = len(data)
    crops = np.stack([random_crops(count, NO_AUGMENTATION, np.random.default_rng(0))] * 2)
    classes = nn.Linear(FEATURES, 4).requires_grad_(requires_grad=False)
    views = Views(crops=crops, features=torch.randn(2, count, FEATURES).half(), classes=classes)
    return Lesson(
        pixels=data.pixels,
        targets=truth.targets(),
        views=views,
        soft_tags=torch.full((2, count, 2), 0.5),
        schedule=Schedule(epochs=epochs, batch=6),
        weights=LossWeights(),
        small_px=48,
        small_share=small_share,
    )


def taught(epochs: int = 2, small_share: float = 0.5, seed: int = 0) -> tuple[Network, list[set[str]]]:
    """The student, and by epoch which parts its loss had."""
    torch.manual_seed(0)
    plan = lesson(epochs, small_share)
    student = networks.network(tags=TAGS, events=())
    return student, [set(epoch.losses) for epoch in distil(student, plan, seed)]


def test_boxes_are_taught_once_the_pictures_have_their_full_size() -> None:
    _, parts = taught()
    assert parts == [
        {"tags", "soft_tags", "features", "classes"},
        {"tags", "soft_tags", "features", "classes", BOX},
    ]


def test_the_same_seed_gives_the_same_student() -> None:
    states = [taught(seed=seed)[0].state_dict() for seed in (0, 0, 1)]
    same = [all(torch.equal(states[0][name], other[name]) for name in other) for other in states[1:]]
    assert same == [True, False]
