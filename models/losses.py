"""What each head is wrong by, summed with weights. A picture without a target for a head teaches that head nothing."""

# B pictures, T tags, E events, A attributes, K boxes or points, M objects, F length of a teacher's vector

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import generalized_box_iou_loss

from models.detect import object_loss
from models.network import ATTRIBUTES, BOX, EVENTS, OBJECTS, POINTS, TAGS, attribute
from pipeline.errors import ConfigError

SOFT_TAGS = "soft_tags"
_MOST_UNEQUAL = 20.0
_BEND = 0.1  # of the picture: from there on smooth L1 is a straight line
_USUAL = {TAGS: 1.0, EVENTS: 1.0, BOX: 2.0, ATTRIBUTES: 1.0, POINTS: 1.0, OBJECTS: 1.0, SOFT_TAGS: 1.0}
PARTS_OF = {  # what each head is wrong by
    "classifier": (TAGS, EVENTS),
    "localizer": (BOX,),
    "attributes": (ATTRIBUTES,),
    "points": (POINTS,),
    "detector": (OBJECTS,),
}


class Targets(NamedTuple):
    """What is known about B pictures. Unknown: tag and attribute -1, and NaN for all others."""

    tag: Tensor  # int64 (B,)
    events: Tensor  # float32 (B, E): 1 yes, 0 no
    box: Tensor  # float32 (B, 4) x, y, w, h
    soft_tags: Tensor | None = None  # float32 (B, T): a teacher's probabilities
    attributes: Tensor | None = None  # int64 (B, A)
    points: Tensor | None = None  # float32 (B, K, 3): x, y as fractions of the picture, visible 1 or 0
    objects: Tensor | None = None  # float32 (B, M, 5): class, x0, y0, x1, y1; class -1 fills up

    def rows(self, index: Tensor) -> Targets:
        """The targets of these pictures."""
        return Targets(*(None if part is None else part[index] for part in self))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """How much each part counts (by its name, attributes together; what is not given counts as usual), and how boxes
    are compared.

    `tag_share` and `event_yes`: how much each class, and a yes to each event, count; () is 1 each.
    """

    parts: Mapping[str, float] = field(default_factory=dict)
    box_loss: str = "smooth-l1"
    label_smoothing: float = 0.0
    tag_share: tuple[float, ...] = ()
    event_yes: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        for name, weight in self.parts.items():
            if not weight >= 0:
                raise ConfigError(f"the loss weight {name} = {weight}: use 0 or more")
        if self.box_loss not in BOX_LOSSES:
            raise ConfigError(f"the box loss {self.box_loss!r}: use one of {', '.join(BOX_LOSSES)}")

    def of(self, part: str) -> float:
        """Each attribute counts as `ATTRIBUTES` says."""
        known = part if part in _USUAL else ATTRIBUTES
        return self.parts.get(known, _USUAL[known])


def joint_loss(answers: Mapping[str, Tensor], targets: Targets, weights: LossWeights) -> dict[str, Tensor]:
    """The weighted parts by name, each a mean over the pictures that have the target (0 where none has)."""
    return {name: weights.of(name) * part for name, part in _parts(answers, targets, weights).items()}


def _parts(answers: Mapping[str, Tensor], targets: Targets, weights: LossWeights) -> dict[str, Tensor]:
    parts = {}
    if TAGS in answers:
        parts[TAGS] = tag_loss(answers[TAGS], targets.tag, weights.label_smoothing, weights.tag_share)
        if targets.soft_tags is not None:
            parts[SOFT_TAGS] = soft_tag_loss(answers[TAGS], targets.soft_tags)
    if EVENTS in answers:
        parts[EVENTS] = event_loss(answers[EVENTS], targets.events, weights.event_yes)
    if BOX in answers:
        parts[BOX] = box_loss(box_of_class(answers[BOX], targets.tag), targets.box, weights.box_loss)
    if targets.attributes is not None:
        for number, known in enumerate(targets.attributes.unbind(dim=1)):
            if attribute(number) in answers:
                parts[attribute(number)] = tag_loss(answers[attribute(number)], known, weights.label_smoothing)
    if POINTS in answers and targets.points is not None:
        parts[POINTS] = point_loss(answers[POINTS], targets.points, targets.box)
    if OBJECTS in answers and targets.objects is not None:
        parts[OBJECTS] = object_loss(answers[OBJECTS], targets.objects)
    return parts


def tag_loss(logits_BT: Tensor, tag_B: Tensor, label_smoothing: float = 0.0, share: tuple[float, ...] = ()) -> Tensor:
    """Cross-entropy over the pictures whose tag is known (>= 0), each as heavy as its class: `share` (T,).

    Not torch's own weights: with smoothing they would weigh what is smoothed over, so that rare classes pull at the
    pictures of common ones.
    """
    losses_B = functional.cross_entropy(
        logits_BT, tag_B, ignore_index=-1, reduction="none", label_smoothing=label_smoothing
    )
    if share:
        losses_B = losses_B * torch.tensor(share)[tag_B]  # of an unknown tag the loss is 0
    return losses_B.sum() / (tag_B >= 0).sum().clamp(min=1)


def soft_tag_loss(logits_BT: Tensor, probs_BT: Tensor) -> Tensor:
    """Kullback-Leibler divergence from a teacher's probabilities (arXiv 1503.02531, temperature 1)."""
    known_B = probs_BT.isfinite().all(dim=1)
    log_probs = functional.log_softmax(logits_BT[known_B], dim=1)
    return functional.kl_div(log_probs, probs_BT[known_B], reduction="sum") / known_B.sum().clamp(min=1)


def event_loss(logits_BE: Tensor, targets_BE: Tensor, yes: tuple[float, ...] = ()) -> Tensor:
    """Binary cross-entropy over the known entries; `yes` (E,) are the weights of the positive ones."""
    known = targets_BE.isfinite()
    truth = torch.where(known, targets_BE, 0.0)
    weight = torch.tensor(yes) if yes else None
    losses = functional.binary_cross_entropy_with_logits(logits_BE, truth, reduction="none", pos_weight=weight)
    return (losses * known).sum() / known.sum().clamp(min=1)


def event_balance(targets_NE: Tensor) -> tuple[float, ...]:
    """Weights that let a rare event's few yeses count as much as its many noes, (E,); at most 20 to 1 either way."""
    yes, no = (targets_NE == 1).sum(0).float(), (targets_NE == 0).sum(0).float()
    ratio = (no / yes.clamp(min=1)).clamp(1 / _MOST_UNEQUAL, _MOST_UNEQUAL)
    return tuple(torch.where(yes > 0, ratio, 1.0).tolist())


def tag_balance(tag_N: Tensor, tags: int) -> tuple[float, ...]:
    """Weights by which classes count the same, however many pictures they have, (T,); at most 20 times the usual.

    Their mean over the pictures is 1.
    """
    count = torch.bincount(tag_N[tag_N >= 0], minlength=tags).float()
    if not count.sum():
        return (1.0,) * tags
    share = (count.sum() / (tags * count.clamp(min=1))).clamp(max=_MOST_UNEQUAL)
    return tuple((share * count.sum() / (share * count).sum()).tolist())


def box_of_class(boxes_BK4: Tensor, tag_B: Tensor) -> Tensor:
    """The one box, or that of each picture's class, (B, 4); NaN, which is no answer, where the class is unknown."""
    if boxes_BK4.shape[1] == 1:
        return boxes_BK4[:, 0]
    mine = boxes_BK4[torch.arange(len(tag_B)), tag_B.clamp(min=0)]
    return torch.where((tag_B >= 0)[:, None], mine, torch.nan)


def box_loss(box_B4: Tensor, target_B4: Tensor, kind: str = "smooth-l1") -> Tensor:
    """Between (x, y, w, h), over the pictures whose box is known and was answered for."""
    known_B = (target_B4.isfinite() & box_B4.isfinite()).all(dim=1)
    return BOX_LOSSES[kind](box_B4[known_B], target_B4[known_B]).sum() / known_B.sum().clamp(min=1)


def _smooth_l1(found_B4: Tensor, target_B4: Tensor) -> Tensor:
    """Fast R-CNN, arXiv 1504.08083."""
    return functional.smooth_l1_loss(found_B4, target_B4, beta=_BEND, reduction="none")


def _l2(found_B4: Tensor, target_B4: Tensor) -> Tensor:
    """The same without the bend, so that one weight suits both: half the square, in units of it."""
    return (found_B4 - target_B4).square() / (2 * _BEND)


def _giou(found_B4: Tensor, target_B4: Tensor) -> Tensor:
    """1 - generalised IoU (arXiv 1902.09630), (B,): 0 where boxes agree, up to 2 where they are far apart."""
    losses: Tensor = generalized_box_iou_loss(_corners(found_B4), _corners(target_B4))
    return losses


def _corners(xywh_B4: Tensor) -> Tensor:
    return torch.cat([xywh_B4[:, :2], xywh_B4[:, :2] + xywh_B4[:, 2:].clamp(min=1e-3)], dim=1)


BOX_LOSSES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"smooth-l1": _smooth_l1, "l2": _l2, "giou": _giou}


def point_loss(found_BK3: Tensor, target_BK3: Tensor, box_B4: Tensor) -> Tensor:
    """Smooth L1 of x, y in units of the true box (DeepPose), and cross-entropy of visible, per known point."""
    known = target_BK3.isfinite().all(dim=2) & box_B4.isfinite().all(dim=1, keepdim=True)
    box = box_B4[:, None]
    wanted = (target_BK3[..., :2] - box[..., :2]) / box[..., 2:]
    place = functional.smooth_l1_loss(found_BK3[known][:, :2], wanted[known], beta=_BEND, reduction="sum")
    seen = functional.binary_cross_entropy_with_logits(found_BK3[known][:, 2], target_BK3[known][:, 2], reduction="sum")
    return (place + seen) / known.sum().clamp(min=1)
