"""What each head is wrong by, summed with weights. A picture without a target for a head teaches that head nothing."""

# B pictures, T tags, E events, F length of a teacher's vector

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from models.network import BOX, EVENTS, TAGS
from pipeline.errors import ConfigError

_MOST_UNEQUAL = 20.0


class Targets(NamedTuple):
    """What is known about B pictures. Unknown: tag -1, and NaN for events, boxes and soft tags."""

    tag: Tensor  # int64 (B,)
    events: Tensor  # float32 (B, E): 1 yes, 0 no
    box: Tensor  # float32 (B, 4) x, y, w, h
    soft_tags: Tensor | None = None  # float32 (B, T): a teacher's probabilities

    def rows(self, index: Tensor) -> Targets:
        """The targets of these pictures."""
        soft = None if self.soft_tags is None else self.soft_tags[index]
        return Targets(self.tag[index], self.events[index], self.box[index], soft)


@dataclass(frozen=True, slots=True, kw_only=True)
class LossWeights:
    """How much each part counts."""

    tags: float = 1.0
    events: float = 1.0
    box: float = 2.0
    soft_tags: float = 1.0
    label_smoothing: float = 0.0
    event_yes: tuple[float, ...] = ()  # per event, how much a yes counts; () is 1 each. `balance` gives them

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name != "event_yes" and not getattr(self, field.name) >= 0:
                raise ConfigError(f"the loss weight {field.name} = {getattr(self, field.name)}: use 0 or more")


def joint_loss(answers: dict[str, Tensor], targets: Targets, weights: LossWeights) -> dict[str, Tensor]:
    """The weighted parts by name, each a mean over the pictures that have the target (0 where none has)."""
    parts = {}
    if TAGS in answers:
        parts[TAGS] = weights.tags * tag_loss(answers[TAGS], targets.tag, weights.label_smoothing)
        if targets.soft_tags is not None:
            parts["soft_tags"] = weights.soft_tags * soft_tag_loss(answers[TAGS], targets.soft_tags)
    if EVENTS in answers:
        parts[EVENTS] = weights.events * event_loss(answers[EVENTS], targets.events, weights.event_yes)
    if BOX in answers:
        parts[BOX] = weights.box * box_loss(answers[BOX], targets.box)
    return parts


def tag_loss(logits_BT: Tensor, tag_B: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy over the pictures whose tag is known (>= 0)."""
    total = functional.cross_entropy(
        logits_BT, tag_B, ignore_index=-1, reduction="sum", label_smoothing=label_smoothing
    )
    return total / (tag_B >= 0).sum().clamp(min=1)


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


def balance(targets_NE: Tensor) -> tuple[float, ...]:
    """Weights that let a rare event's few yeses count as much as its many noes, (E,); at most 20 to 1 either way."""
    yes, no = (targets_NE == 1).sum(0).float(), (targets_NE == 0).sum(0).float()
    ratio = (no / yes.clamp(min=1)).clamp(1 / _MOST_UNEQUAL, _MOST_UNEQUAL)
    return tuple(torch.where(yes > 0, ratio, 1.0).tolist())


def box_loss(box_B4: Tensor, target_B4: Tensor) -> Tensor:
    """Smooth L1 between (x, y, w, h), with the turning point at 0.1 of the picture (Fast R-CNN, arXiv 1504.08083)."""
    known_B = target_B4.isfinite().all(dim=1)
    total = functional.smooth_l1_loss(box_B4[known_B], target_B4[known_B], beta=0.1, reduction="sum")
    return total / known_B.sum().clamp(min=1)
