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

import numpy as np
import torch
from torch import Tensor, nn

from models.augment import Augmentation, Pixels, augmented
from models.backbone import Features, features_of
from models.hints import Listener, distances, map_spread, served_ends, shared_ends, spread
from models.losses import LossWeights, Targets, joint_loss
from models.network import TAGS, Network
from models.regimes import heads_of, paced
from models.serve import fused
from models.spec import Spec
from models.train import Ints, Job, Schedule
from models.windows import resized

_MEASURED = 256  # pictures on which the spreads of the teacher's channels are measured


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
    device: str = "cpu"  # where both networks compute; what is wrong is added up on the CPU

    def shown(self, index: Ints, seen: Spec, rng: np.random.Generator) -> tuple[Tensor, Targets]:
        """Crops of pictures in the size of `seen`, uint8 (B, H, W, 3), and what is true of them."""
        known = self.targets.rows(torch.from_numpy(index))
        return augmented(self.pixels[index], known, self.how, (seen.height_px, seen.width_px), rng, device=self.device)

    def some(self, seen: Spec) -> Tensor:
        """Whole pictures from everywhere among all, in the same form."""
        spread_over = np.linspace(0, len(self.pixels) - 1, _MEASURED, dtype=np.int64)
        return resized(torch.from_numpy(self.pixels[spread_over]).to(self.device), (seen.height_px, seen.width_px))


@dataclass(frozen=True, slots=True)
class Said:
    """A teacher's word on B pictures: maps by block (B, D, h, w), what its heads read, soft tags (B, T) on the CPU."""

    maps: Mapping[str, Tensor]
    features: Features
    tags: Tensor


class _Teacher:
    """A network as it is asked: served, in bfloat16. That is twice as fast where a CPU has it, and a student meets far
    larger noise elsewhere."""

    def __init__(self, network: Network, device: str, *, heard: bool) -> None:
        self._served = served_teacher(network).to(device)
        self._ends = served_ends(network) if heard else {}

    def of(self, pixels_BHWC: Tensor) -> Said:
        backbone = self._served.backbone
        listener = Listener(backbone.trunk, self._ends)
        with torch.no_grad(), torch.autocast(pixels_BHWC.device.type, torch.bfloat16):
            features = features_of(*listener.run(backbone.normalize(pixels_BHWC)))
            tags = self._served.answers(features, [TAGS])[TAGS]
        return Said(listener.said, Features(features.map, features.vector.float()), tags.float().softmax(dim=1).cpu())


class _Student:
    """A network as it learns, and what its blocks say on the way by the teacher's names of them."""

    def __init__(self, network: Network, lesson: Lesson) -> None:
        self.network = network.to(lesson.device).to(memory_format=torch.channels_last)
        self.ends = shared_ends(network, lesson.teacher)
        self._lesson = lesson

    def of(
        self, pixels_BHWC: Tensor, known: Targets, instead: Mapping[str, Tensor] | None = None
    ) -> tuple[dict[str, Tensor], Features, Mapping[str, Tensor]]:
        """What its answers are wrong by, what its heads read, and its maps by block."""
        network = self.network.train()
        backbone, size_px = network.backbone, (network.spec.height_px, network.spec.width_px)
        with torch.autocast(pixels_BHWC.device.type, torch.bfloat16, enabled=self._lesson.bf16):
            listener = Listener(backbone.trunk, self.ends, instead)
            features = features_of(*listener.run(backbone.normalize(resized(pixels_BHWC, size_px))))
            answers = network.answers(features)
        said = {name: answer.float().cpu() for name, answer in answers.items()}
        wrong = joint_loss(said, known, self._lesson.weights)
        return wrong, features, listener.said


def blocks_apart(student: Network, lesson: Lesson, schedule: Schedule) -> Job:
    """The job of training each block on what the teacher's block before it says, of pictures of the student's size, and
    the heads on its last one. No block takes anything from another, so what they are wrong by is added up."""
    seen = student.spec
    pupil, teacher = _Student(student, lesson), _Teacher(lesson.teacher, lesson.device, heard=True)
    said_first = teacher.of(lesson.some(seen))
    spreads = {name: map_spread(said) for name, said in said_first.maps.items()}
    for head in heads_of(student, student.heads).values():
        head.adapt(said_first.features)

    def loss_of(index: Ints, rng: np.random.Generator, _: int) -> dict[str, Tensor]:
        pictures, known = lesson.shown(index, seen, rng)
        said = teacher.of(pictures)
        wrong, _features, maps = pupil.of(pictures, known._replace(soft_tags=said.tags), said.maps)
        return wrong | {"hints": distances(maps, said.maps, spreads).sum()}

    return Job(modules=_learning(student, schedule), loss_of=loss_of, count=len(lesson.pixels))


def distillation(student: Network, lesson: Lesson, schedule: Schedule) -> Job:
    """The job of training the whole student on the lesson: what its blocks are wrong by is their mean, since what one
    says is the others' matter too. Without hints its features alone follow the teacher's."""
    seen = lesson.teacher.spec
    pupil = _Student(student, lesson)
    teacher = _Teacher(lesson.teacher, lesson.device, heard=bool(pupil.ends))
    said_first = teacher.of(lesson.some(seen))
    spreads = {name: map_spread(said) for name, said in said_first.maps.items()}
    of_vector = spread(said_first.features.vector.T)
    toward = nn.Linear(student.backbone.sizes.vector, lesson.teacher.backbone.sizes.vector).to(lesson.device)

    def loss_of(index: Ints, rng: np.random.Generator, _: int) -> dict[str, Tensor]:
        pictures, known = lesson.shown(index, seen, rng)
        said = teacher.of(pictures)
        wrong, features, maps = pupil.of(pictures, known._replace(soft_tags=said.tags))
        far = (toward(features.vector.float()) - said.features.vector) / of_vector
        wrong["features"] = lesson.features_weight * far.square().mean().cpu()
        return wrong | ({"hints": lesson.hints_weight * distances(maps, said.maps, spreads).mean()} if maps else {})

    modules = [*_learning(student, schedule), (toward, schedule.backbone_rate)]
    return Job(modules=modules, loss_of=loss_of, count=len(lesson.pixels))


def _learning(student: Network, schedule: Schedule) -> list[tuple[nn.Module, float]]:
    heads = paced(heads_of(student, student.heads), schedule.rate)
    return [(student.backbone, schedule.backbone_rate), *heads]


def served_teacher(teacher: Network) -> Network:
    """A copy with its BatchNorm folded into the kernels: the same answers in half the time."""
    served = copy.deepcopy(teacher).eval()
    served.backbone.trunk = fused(served.backbone.trunk)
    return served.to(memory_format=torch.channels_last)
