"""A small network from random values, taught by labels and by what larger networks say of the same pictures.

The student answers the labels, the main subject's box, and - through a layer that is thrown away afterwards - the
pooled features of its teacher (arXiv 2203.14001: the teacher's own class layer stands on the student's guess). It
is shown exactly the crops that the teacher saw (arXiv 2106.05237). Soft tags come from a linear probe on the teacher's
features that was fitted on other pictures than those it speaks about. Small pictures come first (arXiv 2104.00298).
"""

# V views, N pictures, F teacher's features, T tags

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
from models.train import Epoch, Ints, Schedule, optimise

_PROBE_STEPS = 60
_SOFTNESS = 2.0  # temperature of the teacher's classes


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """What the teacher saw of N pictures and said: crops xyxy (V, N, 4), features float16 (V, N, F).

    `classes` is the teacher's class layer on those features.
    """

    crops: npt.NDArray[np.float32]
    features: Tensor
    classes: nn.Linear

    def rows(self, index: Ints) -> Views:
        """The views of these pictures."""
        return Views(crops=self.crops[:, index], features=self.features[:, index], classes=self.classes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What is taught, and how. `soft_tags` (V, N, T) are probabilities."""

    pixels: npt.NDArray[np.uint8]
    targets: Targets
    views: Views
    soft_tags: Tensor
    schedule: Schedule
    weights: LossWeights
    small_px: int  # side of the pictures in the first epochs
    small_share: float = 0.4  # of all steps
    features_weight: float = 2.0
    classes_weight: float = 0.5


def distil(network: Network, lesson: Lesson, seed: int) -> Iterator[Epoch]:
    """Train the whole network on the lesson, one epoch at each step."""
    torch.manual_seed(seed)
    student = _Student(network, lesson, np.random.default_rng((seed, 1)))
    groups: list[dict[str, object]] = [{"params": student.parameters()}]
    return optimise(student.loss_of, groups, len(lesson.pixels), lesson.schedule, seed)


class _Student:
    """The network in training: how far it is, and the layer towards the teacher's features."""

    def __init__(self, network: Network, lesson: Lesson, rng: np.random.Generator) -> None:
        self._network, self._lesson, self._rng = network, lesson, rng
        self._toward = nn.Linear(network.backbone.sizes.vector, lesson.views.features.shape[2])
        self._spread, self._mean = torch.std_mean(lesson.views.features[0].float())
        self._small_steps = round(lesson.small_share * lesson.schedule.steps(len(lesson.pixels)))
        network.to(memory_format=torch.channels_last)

    def parameters(self) -> list[nn.Parameter]:
        return [*self._network.parameters(), *self._toward.parameters()]

    def loss_of(self, index: Ints) -> dict[str, Tensor]:
        """One minibatch: each picture in one of its views, in the mirror or not."""
        self._network.train()
        lesson, rows = self._lesson, torch.from_numpy(index)
        view = self._rng.integers(len(lesson.views.crops), size=len(index))
        known = lesson.targets.rows(rows)
        size_px, heads = self._stage()
        how = Augmentation(mirror=0.5, light=0.25)
        crops = lesson.views.crops[view, index]
        pictures, boxes = augmented(lesson.pixels[index], known.box.numpy(), how, size_px, self._rng, crops)
        features = self._network.backbone(torch.from_numpy(pictures))
        known = known._replace(box=torch.from_numpy(boxes), soft_tags=lesson.soft_tags[view, index])
        parts = joint_loss({name: self._network.heads[name](features) for name in heads}, known, lesson.weights)
        return parts | self._teacher_loss(features.vector, lesson.views.features[view, index].float())

    def _stage(self) -> tuple[tuple[int, int], list[str]]:
        """The pictures' size, and the heads that can be asked: a localizer knows maps of one size only."""
        spec, small = self._network.spec, self._lesson.small_px
        self._small_steps -= 1
        if self._small_steps >= 0:
            return (small, small), [name for name in self._network.heads if name != BOX]
        return (spec.height_px, spec.width_px), list(self._network.heads)

    def _teacher_loss(self, vector_BF: Tensor, teacher_BF: Tensor) -> dict[str, Tensor]:
        guess = self._toward(vector_BF)
        aim = (teacher_BF - self._mean) / self._spread
        classes = self._lesson.views.classes
        with torch.no_grad():
            wanted = functional.softmax(classes(teacher_BF) / _SOFTNESS, dim=1)
        said = functional.log_softmax(classes(guess * self._spread + self._mean) / _SOFTNESS, dim=1)
        return {
            "features": self._lesson.features_weight * functional.mse_loss(guess, aim),
            "classes": self._lesson.classes_weight * functional.kl_div(said, wanted, reduction="batchmean"),
        }


def cross_fitted(features: Tensor, tag: Tensor, tags: int, cluster: Ints, folds: int = 4) -> Tensor:
    """Soft tags (V, N, tags) of probes that never saw the cluster they speak about. `features` (V, N, F).

    Fitted on view 0 of the pictures whose tag is known (>= 0).
    """
    fold = torch.from_numpy(np.unique(cluster, return_inverse=True)[1] % folds)
    vectors = functional.normalize(standardised(features.float()), dim=2)
    soft = torch.empty(*features.shape[:2], tags)
    for k in range(folds):
        learn = (fold != k) & (tag >= 0)
        probe = fitted_probe(vectors[0, learn], tag[learn], tags)
        with torch.inference_mode():
            soft[:, fold == k] = probe(vectors[:, fold == k]).softmax(dim=2)
    return soft


def standardised(features: Tensor) -> Tensor:
    """Every feature with mean 0 and spread 1 over the first view, (V, N, F); a constant one is 0."""
    spread, mean = torch.std_mean(features[0], dim=0)
    return (features - mean) / spread.clamp(min=1e-3)


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
