"""A small network from random values, taught by labels and by what a larger one says of the same pictures.

The student answers the labels and the main subject's box. Its teacher is a checkpoint that knows the labels: it gives
soft tags (arXiv 1503.02531), pooled features, and, where both are of one architecture, what each block of layers says
on the way (hints, arXiv 1412.6550). Such a student's blocks first learn side by side, each from what the teacher's
block before it said (arXiv 2012.03096): what lies below need not be right before what lies above can learn. Teacher and
student see exactly the same crops, for long (arXiv 2106.05237).
"""

# B pictures, D channels, F length of the teacher's vector, T tags

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from models.augment import Augmentation, Pixels, augmented
from models.backbone import Features, features_of
from models.losses import LossWeights, Targets, joint_loss
from models.network import TAGS, Network
from models.regimes import heads_of, paced
from models.serve import fused
from models.train import Ints, Job, Schedule
from models.windows import resized

_STILL = 1e-6
_MEASURED = 256  # pictures on which the teacher's maps are measured
_LEAST_SPREAD = 0.25  # of what its block says: as which a channel counts that hardly ever changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What is taught, and how. `pixels` (N, H, W, 3) are larger than either network needs, so that crops stay sharp."""

    pixels: Pixels
    targets: Targets
    teacher: Network
    weights: LossWeights
    how: Augmentation
    hints_weight: float = 2.0
    features_weight: float = 1.0
    bf16: bool = False  # the student computes in it while it learns, and keeps its weights in fp32


def blocks_apart(student: Network, lesson: Lesson, schedule: Schedule) -> Job:
    """The job of training each block on what the teacher's block before it says, and heads on its last one."""
    pupil = _Pupil(student, lesson, apart=True)
    for head in heads_of(student, student.heads).values():
        head.adapt(pupil.first_said.features)
    return _job(student, pupil, schedule)


def distillation(student: Network, lesson: Lesson, schedule: Schedule) -> Job:
    """The job of training the whole student on the lesson."""
    return _job(student, _Pupil(student, lesson, apart=False), schedule)


def _job(student: Network, pupil: _Pupil, schedule: Schedule) -> Job:
    rate, heads = schedule.backbone_rate, paced(heads_of(student, student.heads), schedule.rate)
    modules = [(student.backbone, rate), (pupil.toward, rate), *heads]
    return Job(modules=modules, loss_of=pupil.loss_of, count=pupil.pictures)


class _Pupil:
    """A student that listens: the teacher's word on each minibatch, and what the student is wrong by.

    With `apart` every block reads what the teacher's block before it said, of pictures of the student's size.
    """

    def __init__(self, student: Network, lesson: Lesson, *, apart: bool) -> None:
        student.to(memory_format=torch.channels_last)
        self._student, self._lesson, self._apart = student, lesson, apart
        self._ends = shared_ends(student, lesson.teacher)
        self._heard = served_ends(lesson.teacher) if self._ends else {}
        self._teacher = served_teacher(lesson.teacher)
        own, theirs = student.spec, lesson.teacher.spec
        seen = own if apart else theirs
        self._size_px, self._shown_px = (own.height_px, own.width_px), (seen.height_px, seen.width_px)
        self.first_said = self._of_some()
        self._spread = _spreads(self.first_said)
        self.toward = nn.Linear(student.backbone.sizes.vector, lesson.teacher.backbone.sizes.vector)
        self.pictures = len(lesson.pixels)

    def _of_some(self) -> Said:
        """The teacher's word on pictures spread over all."""
        pixels = self._lesson.pixels
        some = pixels[np.linspace(0, len(pixels) - 1, _MEASURED, dtype=np.int64)]
        return self._ask_teacher(resized(torch.from_numpy(some), self._shown_px))

    def loss_of(self, index: Ints, rng: np.random.Generator, _: int) -> dict[str, Tensor]:
        """One minibatch: both see the same part of each picture."""
        lesson = self._lesson
        known = lesson.targets.rows(torch.from_numpy(index))
        pictures, known = augmented(lesson.pixels[index], known, lesson.how, self._shown_px, rng)
        said = self._ask_teacher(torch.from_numpy(pictures))
        self._student.train()
        backbone = self._student.backbone
        with torch.autocast("cpu", torch.bfloat16, enabled=lesson.bf16):
            listener = _Listener(backbone.trunk, self._ends, said.maps if self._apart else None)
            shown = backbone.normalize(resized(torch.from_numpy(pictures), self._size_px))
            features = features_of(*listener.run(shown))
            answers = self._student.answers(features)
        known = known._replace(soft_tags=said.tags)
        parts = joint_loss({name: answer.float() for name, answer in answers.items()}, known, lesson.weights)
        if self._ends:
            parts["hints"] = self._hint_loss(listener.said, said.maps)
        if not self._apart:
            aim = (self.toward(features.vector.float()) - said.features.vector) / self._spread[""]
            parts["features"] = lesson.features_weight * aim.square().mean()
        return parts

    def _hint_loss(self, mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> Tensor:
        """The squared distance of each block in spreads of the teacher's channels: their weighed mean; of blocks that
        learn apart, where none takes anything from another, their sum."""
        wrong: list[Tensor] = []
        for name, said in mine.items():
            aim = functional.interpolate(theirs[name], said.shape[2:], mode="bilinear", align_corners=False)
            distance = _Distance.apply(said, aim.to(said.dtype), self._spread[name].reciprocal().to(said.dtype))
            wrong.append(distance)
        return torch.stack(wrong).sum() if self._apart else self._lesson.hints_weight * torch.stack(wrong).mean()

    def _ask_teacher(self, pixels_BHWC: Tensor) -> Said:
        """In bfloat16, which is twice as fast where a CPU has it: the student meets far larger noise elsewhere."""
        backbone = self._teacher.backbone
        listener = _Listener(backbone.trunk, self._heard)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            features = features_of(*listener.run(backbone.normalize(pixels_BHWC)))
            tags = self._teacher.answers(features, [TAGS])[TAGS]
        return Said(listener.said, Features(features.map, features.vector.float()), tags.float().softmax(dim=1))


def _spread(said_DN: Tensor) -> Tensor:
    """Of each channel, (D,), but no less than a part of the layer's: in units of their own, channels that are nearly
    still would count a million times as much as others."""
    least = _LEAST_SPREAD * float(said_DN.square().mean(dim=1).sqrt().mean())
    return said_DN.std(dim=1).clamp(min=max(least, _STILL))


class _Distance(torch.autograd.Function):
    """mean((mine - aim)^2 / spread^2) with its gradient written down: left to autograd, that of 52 maps took four
    times as long as all else that a student learned by."""

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
    """A teacher's word on B pictures: maps by block (B, D, h, w), what its heads read, soft tags (B, T)."""

    maps: Mapping[str, Tensor]
    features: Features
    tags: Tensor


def _spreads(said: Said) -> dict[str, Tensor]:
    """Of each channel of the teacher's maps, (D, 1, 1), and, under no name, of its features, (F,)."""
    maps = {name: _spread(heard.float().transpose(0, 1).flatten(1)) for name, heard in said.maps.items()}
    return {name: spread.view(-1, 1, 1) for name, spread in maps.items()} | {"": _spread(said.features.vector.T)}


class _Listener(fx.Interpreter):
    """One pass through a trunk that leaves in `said` what its blocks say, by their `ends`: nodes, and what they are
    called there. What is said of a block `instead` is what the next one reads."""

    def __init__(self, trunk: fx.GraphModule, ends: Mapping[str, str], instead: Mapping[str, Tensor] | None = None):
        super().__init__(trunk)
        self._ends, self._instead = ends, instead
        self.said: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n.name not in self._ends:
            return value
        name = self._ends[n.name]
        self.said[name] = value
        return value if self._instead is None else self._instead[name].to(value.dtype)


def block_ends(trunk: fx.GraphModule) -> list[fx.Node]:
    """What each block says: the last node of the layers whose names begin with the same two parts, as torchvision calls
    what belongs together; what is added behind them is theirs. A convolution says nothing before its BatchNorm."""
    last: dict[str, fx.Node] = {}
    block = ""
    for node in trunk.graph.nodes:
        if node.op == "call_module":
            block = ".".join(str(node.target).split(".")[:2])
        if block and node.op in ("call_module", "call_function", "call_method"):
            last[block] = node
    return [node for node in last.values() if not any(_is_batchnorm(trunk, user) for user in node.users)]


def _is_batchnorm(trunk: fx.GraphModule, node: fx.Node) -> bool:
    return node.op == "call_module" and isinstance(trunk.get_submodule(str(node.target)), nn.BatchNorm2d)


def shared_ends(student: Network, teacher: Network) -> dict[str, str]:
    """Nodes of the student by the name of the teacher's node that says the same; none of another architecture."""
    own, theirs = student.spec, teacher.spec
    if (own.backbone, own.attach) != (theirs.backbone, theirs.attach):
        return {}
    return {node.name: node.name for node in block_ends(student.backbone.trunk)}


def served_ends(teacher: Network) -> dict[str, str]:
    """The same of the teacher as it is served: a BatchNorm is part of the convolution that it read."""
    trunk, ends = teacher.backbone.trunk, dict[str, str]()
    for node in block_ends(trunk):
        ends[node.all_input_nodes[0].name if _is_batchnorm(trunk, node) else node.name] = node.name
    return ends


def served_teacher(teacher: Network) -> Network:
    """A copy with its BatchNorm folded into the kernels: the same answers in half the time."""
    served = copy.deepcopy(teacher).eval()
    served.backbone.trunk = fused(served.backbone.trunk)
    return served.to(memory_format=torch.channels_last)
