"""A small network from random values, taught by labels and by what larger networks say of the same pictures.

The student answers the labels, the main subject's box, and - through a layer that is thrown away afterwards - the
pooled features of its teacher (FitNets, arXiv 1412.6550); soft tags come from a linear probe on those features, fitted
on other pictures than those it speaks about. Small pictures come first (EfficientNetV2, arXiv 2104.00298).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.augment import Augmentation, augmented
from models.losses import LossWeights, Targets, joint_loss
from models.network import BOX, Network
from models.train import Epoch, Schedule, optimise

Pixels = npt.NDArray[np.uint8]
_PROBE_STEPS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What is taught, and how. `teacher` (N, F) are the teacher's features of the whole pictures."""

    pixels: Pixels
    targets: Targets
    teacher: Tensor
    schedule: Schedule
    weights: LossWeights
    how: Augmentation
    small_px: int  # side of the pictures in the first epochs
    small_share: float = 0.5  # of all epochs
    teacher_weight: float = 2.0


def distil(network: Network, lesson: Lesson, seed: int) -> Iterator[Epoch]:
    """Train the whole network on the lesson, one epoch at each step."""
    torch.manual_seed(seed)
    rng = np.random.default_rng((seed, 1))
    exit_layer = nn.Linear(network.backbone.sizes.vector, lesson.teacher.shape[1])
    aim = standardised(lesson.teacher)
    final_px = network.spec.height_px, network.spec.width_px
    steps_done = 0

    def loss_of(index: npt.NDArray[np.int64]) -> dict[str, Tensor]:
        nonlocal steps_done
        rows = torch.from_numpy(index)
        known = lesson.targets.rows(rows)
        early = steps_done < lesson.small_share * lesson.schedule.steps(len(lesson.pixels))
        steps_done += 1
        size_px = (lesson.small_px, lesson.small_px) if early else final_px
        pictures, boxes = augmented(lesson.pixels[index], known.box.numpy(), lesson.how, size_px, rng)
        features = network.backbone(torch.from_numpy(pictures))
        heads = {name: head for name, head in network.heads.items() if not (early and name == BOX)}
        answers = {name: head(features) for name, head in heads.items()}
        parts = joint_loss(answers, known._replace(box=torch.from_numpy(boxes)), lesson.weights)
        distance = functional.mse_loss(exit_layer(features.vector), aim[rows])
        return parts | {"teacher": lesson.teacher_weight * distance}

    parameters = [*network.parameters(), *exit_layer.parameters()]
    network.train()
    return optimise(loss_of, [{"params": parameters}], len(lesson.pixels), lesson.schedule, seed)


def standardised(features: Tensor) -> Tensor:
    """Every feature with mean 0 and spread 1 over the pictures, (N, F); a constant one is 0."""
    spread, mean = torch.std_mean(features, dim=0)
    return (features - mean) / spread.clamp(min=1e-3)


def cross_fitted(features: Tensor, tag: Tensor, tags: int, cluster: npt.NDArray[np.int64], folds: int = 4) -> Tensor:
    """Soft tags (N, tags) of a linear probe that never saw the cluster it speaks about; tag -1: not learned from."""
    numbers = np.unique(cluster, return_inverse=True)[1] % folds
    fold = torch.from_numpy(numbers)
    vectors = functional.normalize(standardised(features), dim=1)
    soft = torch.empty(len(features), tags)
    for k in range(folds):
        learn = (fold != k) & (tag >= 0)
        probe = fitted_probe(vectors[learn], tag[learn], tags)
        with torch.inference_mode():
            soft[fold == k] = probe(vectors[fold == k]).softmax(dim=1)
    return soft


def fitted_probe(vectors: Tensor, tag: Tensor, tags: int, decay: float = 1e-5) -> nn.Linear:
    """Multinomial logistic regression on unit vectors, by L-BFGS."""
    probe = nn.Linear(vectors.shape[1], tags)
    nn.init.zeros_(probe.weight)
    nn.init.zeros_(probe.bias)
    optimiser = torch.optim.LBFGS(probe.parameters(), max_iter=_PROBE_STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = functional.cross_entropy(probe(vectors), tag) + decay * probe.weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return probe
