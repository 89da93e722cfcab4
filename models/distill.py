"""A small network from random values, taught by labels and by what a larger one says of the same pictures.

The student answers the labels and the main subject's box. Its teacher is a checkpoint that knows the labels: it gives
soft tags (arXiv 1503.02531), pooled features, and, where both have the same layers, what each of them says on the way
(hints, arXiv 1412.6550). Teacher and student see exactly the same crops, for long (arXiv 2106.05237). Small pictures
come first (arXiv 2104.00298).
"""

# B pictures, D channels, F length of the teacher's vector, T tags

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.augment import Augmentation, Pixels, augmented
from models.backbone import read_by
from models.losses import LossWeights, Targets, joint_loss
from models.network import BOX, TAGS, Network
from models.regimes import heads_of
from models.serve import fused
from models.train import Ints, Job, Schedule
from models.windows import resized

_STILL = 1e-6
_MEASURED = 256  # pictures on which the teacher's maps are measured
_LEAST_SPREAD = 0.25  # of what its layer says: as which a channel counts that hardly ever changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What is taught, and how. `pixels` (N, H, W, 3) are larger than either network needs, so that crops stay sharp."""

    pixels: Pixels
    targets: Targets
    teacher: Network
    schedule: Schedule
    weights: LossWeights
    how: Augmentation
    small_px: int  # side of the pictures in the first epochs
    small_share: float = 0.4  # of all steps
    hints_weight: float = 2.0
    features_weight: float = 1.0
    bf16: bool = False  # the student computes in it while it learns, and keeps its weights in fp32


def distillation(student: Network, lesson: Lesson) -> Job:
    """The job of training the whole student on the lesson."""
    student.to(memory_format=torch.channels_last)
    pupil = _Pupil(student, lesson)
    taught = (student.backbone, *heads_of(student, student.heads).values(), pupil.toward)
    return Job(
        modules=[(module, lesson.schedule.rate) for module in taught],
        loss_of=pupil.loss_of,
        count=len(lesson.pixels),
    )


class _Pupil:
    """The student at its lesson: how far it is, and the layer towards the teacher's features."""

    def __init__(self, student: Network, lesson: Lesson) -> None:
        self._student, self._lesson = student, lesson
        self._layers = shared_layers(student, lesson.teacher)
        self._heard = {name: str(read_by(lesson.teacher.backbone.trunk, name).target) for name in self._layers}
        self._teacher = served_teacher(lesson.teacher)
        self._spread = self._measured()
        self.toward = nn.Linear(student.backbone.sizes.vector, lesson.teacher.backbone.sizes.vector)
        self._small_steps = round(lesson.small_share * lesson.schedule.steps(len(lesson.pixels)))

    def _measured(self) -> dict[str, Tensor]:
        """The spread of each channel of the teacher's maps, (D, 1, 1), and of its features, (F,)."""
        spec, pixels = self._teacher.spec, self._lesson.pixels
        some = pixels[np.linspace(0, len(pixels) - 1, _MEASURED, dtype=np.int64)]
        said = self._ask_teacher(resized(torch.from_numpy(some), (spec.height_px, spec.width_px)))
        maps = {name: _spread(said.maps[name].transpose(0, 1).flatten(1)).view(-1, 1, 1) for name in self._layers}
        return maps | {"": _spread(said.vector.T)}

    def loss_of(self, index: Ints, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        """One minibatch: both see the same part of each picture."""
        lesson = self._lesson
        known = lesson.targets.rows(torch.from_numpy(index))
        spec = lesson.teacher.spec
        pictures, known = augmented(lesson.pixels[index], known, lesson.how, (spec.height_px, spec.width_px), rng)
        said = self._ask_teacher(torch.from_numpy(pictures))
        size_px, heads = self._stage(step)
        self._student.train()
        bf16 = torch.autocast("cpu", torch.bfloat16, enabled=lesson.bf16)
        with bf16, listening(self._student, self._layers) as maps:
            features = self._student.backbone(resized(torch.from_numpy(pictures), size_px))
            answers = {name: self._student.heads[name](features) for name in heads}
        known = known._replace(soft_tags=said.tags)
        parts = joint_loss({name: answer.float() for name, answer in answers.items()}, known, lesson.weights)
        aim = (self.toward(features.vector.float()) - said.vector) / self._spread[""]
        parts["features"] = lesson.features_weight * aim.square().mean()
        if self._layers:
            parts["hints"] = lesson.hints_weight * self._hint_loss(maps, said.maps)
        return parts

    def _stage(self, step: int) -> tuple[tuple[int, int], list[str]]:
        """The pictures' size, and the heads that can be asked: a localizer knows maps of one size only."""
        spec, small = self._student.spec, self._lesson.small_px
        if step < self._small_steps:
            return (small, small), [name for name in self._student.heads if name != BOX]
        return (spec.height_px, spec.width_px), list(self._student.heads)

    def _hint_loss(self, mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> Tensor:
        """The mean over layers of the squared distance, in spreads of the teacher's channels."""
        wrong: list[Tensor] = []
        for name in self._layers:
            said = mine[name]
            aim = functional.interpolate(theirs[name], said.shape[2:], mode="bilinear", align_corners=False)
            distance = _Distance.apply(said, aim.to(said.dtype), self._spread[name].reciprocal().to(said.dtype))
            wrong.append(distance)
        return torch.stack(wrong).mean()

    def _ask_teacher(self, pixels_BHWC: Tensor) -> Said:
        """In bfloat16, which is twice as fast where a CPU has it: the student meets far larger noise elsewhere."""
        with (
            torch.no_grad(),
            torch.autocast("cpu", torch.bfloat16),
            listening(self._teacher, self._heard.values()) as maps,
        ):
            features, answers = self._teacher(pixels_BHWC)
        said = {name: maps[heard].float() for name, heard in self._heard.items()}
        return Said(said, features.vector.float(), answers[TAGS].float().softmax(dim=1))


def _spread(said_DN: Tensor) -> Tensor:
    """Of each channel, (D,), but no less than a part of the layer's: in units of their own, channels that are nearly
    still would count a million times as much as others."""
    least = _LEAST_SPREAD * float(said_DN.square().mean(dim=1).sqrt().mean())
    return said_DN.std(dim=1).clamp(min=max(least, _STILL))


class _Distance(torch.autograd.Function):
    """mean((mine - aim)^2 / spread^2) with its gradient written down: left to autograd, that of 52 maps takes four
    times as long as all else that a student learns by."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor, aim: Tensor, per_spread: Tensor) -> Tensor:
        wrong = (mine - aim).mul_(per_spread)
        ctx.save_for_backward(wrong, per_spread)
        return wrong.square().mean(dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        wrong, per_spread = ctx.saved_tensors
        return wrong * per_spread * (2 / wrong.numel() * gradients[0]).to(wrong.dtype), None, None


@dataclass(frozen=True, slots=True)
class Said:
    """A teacher's word on B pictures: maps by layer (B, D, h, w), features (B, F), soft tags (B, T)."""

    maps: Mapping[str, Tensor]
    vector: Tensor
    tags: Tensor


def shared_layers(student: Network, teacher: Network) -> list[str]:
    """BatchNorm layers behind an expansion or a projection that both networks have, the same width in both."""
    theirs = {
        name: layer for name, layer in teacher.backbone.trunk.named_modules() if isinstance(layer, nn.BatchNorm2d)
    }
    mine = {name: layer for name, layer in student.backbone.trunk.named_modules() if isinstance(layer, nn.BatchNorm2d)}
    if mine.keys() != theirs.keys():
        return []
    return [name for name in mine if mine[name].num_features == theirs[name].num_features]


def served_teacher(teacher: Network) -> Network:
    """A copy with its BatchNorm folded into the kernels: the same answers in half the time."""
    served = copy.deepcopy(teacher).eval()
    served.backbone.trunk = fused(served.backbone.trunk)
    return served.to(memory_format=torch.channels_last)


@contextmanager
def listening(network: Network, layers: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """Inside, a forward pass leaves what these layers of the trunk say in the dict."""
    heard: dict[str, Tensor] = {}

    def ear(name: str) -> object:
        def hear(_: nn.Module, __: object, said: Tensor) -> None:
            heard[name] = said

        return hear

    hooks = [network.backbone.trunk.get_submodule(name).register_forward_hook(ear(name)) for name in layers]  # type: ignore[arg-type]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()
