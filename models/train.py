"""Minibatch gradient descent over whatever computes a loss: full networks, heads on cached features, students.

SGD with momentum and Nesterov's step, shuffled epochs, warm-up and a cosine down to nothing. The same seed on the same
machine gives the same weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.augment import Augmentation, augmented
from models.backbone import Features
from models.heads import Classifier, Detector, Regression
from models.losses import LossWeights, Targets, joint_loss
from models.network import Network

Pixels = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
LossOf = Callable[[Ints], dict[str, Tensor]]  # pictures by number -> parts of the loss
_CHUNK = 64  # pictures at once where only a forward pass is made


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long and how fast. Rates are those at the top of the curve."""

    epochs: int = 30
    batch: int = 32
    rate: float = 0.05  # of the heads, and of everything when learning from scratch
    backbone_rate: float = 0.005
    momentum: float = 0.9
    weight_decay: float = 5e-4
    warm_up: float = 0.05  # share of all steps
    clip_norm: float = 5.0

    def steps(self, count: int) -> int:
        """Minibatches in all epochs over `count` pictures."""
        return self.epochs * math.ceil(count / self.batch)


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the data gave: the number from 0, and the mean of each part of the loss."""

    number: int
    losses: Mapping[str, float]


def optimise(
    loss_of: LossOf, groups: list[dict[str, object]], count: int, schedule: Schedule, seed: int
) -> Iterator[Epoch]:
    """Train the parameters of `groups` (each with its "lr") on `count` pictures, one epoch at each step.

    The caller may look, store and stop between epochs.
    """
    optimiser = torch.optim.SGD(
        groups, lr=schedule.rate, momentum=schedule.momentum, nesterov=True, weight_decay=schedule.weight_decay
    )
    steps = schedule.steps(count)
    curve = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: rate_at(step, steps, schedule.warm_up))
    parameters = [value for group in optimiser.param_groups for value in group["params"]]
    for number in range(schedule.epochs):
        order = np.random.default_rng((seed, number)).permutation(count)
        sums: dict[str, float] = {}
        for start in range(0, count, schedule.batch):
            index = order[start : start + schedule.batch]
            parts = loss_of(index)
            optimiser.zero_grad()
            torch.stack(list(parts.values())).sum().backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, schedule.clip_norm)
            optimiser.step()
            curve.step()
            for name, part in parts.items():
                sums[name] = sums.get(name, 0.0) + float(part.detach()) * len(index) / count
        yield Epoch(number, sums)


def rate_at(step: int, steps: int, warm_up: float) -> float:
    """The factor on the rate: from 0 up in a straight line, then half a cosine down to 0 (arXiv 1608.03983)."""
    rising = max(1, round(warm_up * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def frozen(  # noqa: PLR0917  the order is that of every function here
    network: Network,
    features: Features,
    targets: Targets,
    schedule: Schedule,
    weights: LossWeights,
    seed: int,
    *,
    kept: Sequence[str] = (),
) -> Iterator[Epoch]:
    """Train the heads alone, on features computed once: a hundred epochs cost seconds.

    The backbone stays as it is, bit for bit, and so do the heads named in `kept`.
    """
    heads = {name: head for name, head in network.heads.items() if name not in kept}
    for head in heads.values():
        assert isinstance(head, Classifier | Regression | Detector)
        head.adapt(features)

    maps = features.map if any(not isinstance(head, Classifier) for head in heads.values()) else features.map[:, :0]

    def loss_of(index: Ints) -> dict[str, Tensor]:
        rows = torch.from_numpy(index)
        part = Features(maps[rows].float(), features.vector[rows].float())
        return joint_loss({name: head(part) for name, head in heads.items()}, targets.rows(rows), weights)

    parameters = [value for head in heads.values() for value in head.parameters()]
    return optimise(loss_of, [{"params": parameters, "lr": schedule.rate}], len(targets.tag), schedule, seed)


@dataclass(frozen=True, slots=True)
class Pictures:
    """What a whole network learns from: uint8 (N, H, W, 3), their targets, and how they are varied."""

    pixels: Pixels
    targets: Targets
    how: Augmentation


def whole(network: Network, pictures: Pictures, schedule: Schedule, weights: LossWeights, seed: int) -> Iterator[Epoch]:
    """Train backbone and heads, each at its own rate (regimes finetune and scratch), on augmented pictures."""
    rng = np.random.default_rng((seed, 1))
    network.to(memory_format=torch.channels_last)

    def loss_of(index: Ints) -> dict[str, Tensor]:
        network.train()
        known = pictures.targets.rows(torch.from_numpy(index))
        size_px = network.spec.height_px, network.spec.width_px
        varied, boxes = augmented(pictures.pixels[index], known.box.numpy(), pictures.how, size_px, rng)
        _, answers = network(torch.from_numpy(varied))
        return joint_loss(answers, known._replace(box=torch.from_numpy(boxes)), weights)

    return optimise(loss_of, rate_groups(network, schedule), len(pictures.targets.tag), schedule, seed)


def rate_groups(network: Network, schedule: Schedule) -> list[dict[str, object]]:
    """Two learning rates: what was learned before changes slowly, what is new changes fast."""
    return [
        {"params": list(network.backbone.parameters()), "lr": schedule.backbone_rate},
        {"params": list(network.heads.parameters()), "lr": schedule.rate},
    ]


def features_of(network: Network, pixels: Pixels) -> Features:
    """The backbone's answers for N pictures, as float16: maps (N, D, h, w) and vectors (N, F). BatchNorm in eval."""
    network.eval()
    with torch.inference_mode():
        parts = [network.backbone(torch.from_numpy(pixels[at : at + _CHUNK])) for at in range(0, len(pixels), _CHUNK)]
    maps, vectors = zip(*parts, strict=True)
    return Features(torch.cat(maps).half().clone(), torch.cat(vectors).half().clone())
