"""How good a network is, with the figure that needs no network beside every one. Judges what was not learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models import geometry
from models.backbone import Features
from models.network import BOX, EVENTS, TAGS, Network
from models.targets import Truth

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

GOOD_IOU = 0.5
_CHUNK = 64
_CONSTANTS = 400  # boxes tried as the constant answer


@dataclass(frozen=True, slots=True)
class Answers:
    """A network's answers for N pictures: logits (N, T) and (N, E), boxes xyxy (N, K, 4), K one or one for each tag;
    None without that head."""

    tags: npt.NDArray[np.float32] | None
    events: npt.NDArray[np.float32] | None
    boxes: npt.NDArray[np.float32] | None

    @property
    def box(self) -> npt.NDArray[np.float32] | None:
        """The box that is shown, (N, 4): the best tag's where each has its own."""
        if self.boxes is None or self.boxes.shape[1] == 1 or self.tags is None:
            return None if self.boxes is None else self.boxes[:, 0]
        best: npt.NDArray[np.float32] = self.boxes[np.arange(len(self.boxes)), self.tags.argmax(axis=1)]
        return best


def answers(network: Network, pixels: npt.NDArray[np.uint8]) -> Answers:
    """Run the network over uint8 (N, H, W, 3), in eval mode."""
    network.eval()
    with torch.inference_mode():
        parts = [network(torch.from_numpy(pixels[at : at + _CHUNK]))[1] for at in range(0, len(pixels), _CHUNK)]
    return _joined(parts)


def answers_from(network: Network, features: Features) -> Answers:
    """The heads' answers on features computed before."""
    with torch.inference_mode():
        part = network.eval().answers(Features(features.map.float(), features.vector.float()))
    return _joined([part])


def _joined(parts: Sequence[Mapping[str, torch.Tensor]]) -> Answers:
    def all_of(head: str) -> npt.NDArray[np.float32] | None:
        return torch.cat([part[head] for part in parts]).numpy() if parts and head in parts[0] else None

    xywh = all_of(BOX)
    box = None if xywh is None else geometry.clip(geometry.to_xyxy(xywh)).astype(np.float32)
    return Answers(all_of(TAGS), all_of(EVENTS), box)


def judged(found: Answers, truth: Truth, tags: Sequence[str], events: Sequence[str]) -> dict[str, Any]:
    """Figures by head, for the pictures whose truth is known; a head nothing is known for is left out."""
    figures: dict[str, Any] = {}
    known = truth.tag >= 0
    if found.tags is not None and known.any():
        figures[TAGS] = tag_figures(found.tags[known], truth.tag[known], tags)
    if found.events is not None:
        of_events = [event_figures(found.events[:, k], truth.events[:, k]) for k in range(len(events))]
        figures |= {EVENTS: {name: part for name, part in zip(events, of_events, strict=True) if part}}
        figures = {name: part for name, part in figures.items() if part}
    boxed = np.isfinite(truth.box).all(axis=1)
    if found.box is not None and boxed.any():
        figures[BOX] = box_figures(found.box[boxed], truth.box[boxed])
    return figures


def tag_figures(logits: Floats, tag: Ints, names: Sequence[str]) -> dict[str, Any]:
    """Shares of pictures whose tag is first, or among the first five; chance is always naming the commonest ones."""
    rank = (logits > np.take_along_axis(logits, tag[:, None], axis=1)).sum(axis=1)
    common = np.sort(np.bincount(tag, minlength=len(names)))[::-1] / len(tag)
    by_class = {name: float((rank[tag == k] == 0).mean()) for k, name in enumerate(names) if (tag == k).any()}
    return {
        "pictures": len(tag),
        "top1": float((rank == 0).mean()),
        "top1_chance": float(common[0]),
        "top5": float((rank < 5).mean()),
        "top5_chance": float(common[:5].sum()),
        "top1_by_class": by_class,
    }


def event_figures(logit: Floats, truth: Floats) -> dict[str, Any]:
    """Share right at probability 0.5 and average precision, beside always saying the commoner and the share of yes."""
    known = np.isfinite(truth)
    yes = truth[known] == 1
    if not known.any():
        return {}
    return {
        "pictures": int(known.sum()),
        "right": float(((logit[known] > 0) == yes).mean()),
        "right_chance": float(max(yes.mean(), 1 - yes.mean())),
        "average_precision": average_precision(logit[known], yes),
        "average_precision_chance": float(yes.mean()),
    }


def average_precision(score: Floats, yes: npt.NDArray[np.bool_]) -> float:
    """Mean of the precision at each yes, from the best score down; equal scores count as one step. No yes: 0."""
    order = np.argsort(-score, kind="stable")
    score, yes = score[order], yes[order]
    last_of_step = np.append(score[1:] != score[:-1], True)
    hits = np.cumsum(yes)[last_of_step]
    precision = hits / (np.flatnonzero(last_of_step) + 1)
    found = np.diff(np.append(0, hits))
    return float((precision * found).sum() / hits[-1]) if len(hits) and hits[-1] else 0.0


def box_figures(box: Floats, truth: Floats) -> dict[str, Any]:
    """Share of boxes with IoU >= 0.5, beside the best answer that never looks at the picture."""
    right = geometry.iou(box, truth) >= GOOD_IOU
    constant = best_constant(truth)
    return {
        "pictures": len(truth),
        "iou50": float(right.mean()),
        "iou50_constant": float((geometry.iou(constant[None], truth) >= GOOD_IOU).mean()),
        "mean_iou": float(geometry.iou(box, truth).mean()),
    }


def best_constant(truth: Floats) -> Floats:
    """The one box (4,) that is right most often on these very pictures: chosen with their truth, so hard to beat."""
    spread = np.unique(np.linspace(0, len(truth) - 1, min(len(truth), _CONSTANTS)).astype(int))
    tried = np.concatenate([np.median(truth, axis=0)[None], truth.mean(axis=0)[None], truth[spread]])
    right = [(geometry.iou(candidate[None], truth) >= GOOD_IOU).mean() for candidate in tried]
    return np.asarray(tried[int(np.argmax(right))])


@dataclass(frozen=True, slots=True)
class Seen:
    """How a checkpoint's training relates to the files at hand: which of them took part, by content."""

    place: tuple[str, ...]  # of each file: train, val, heldout or new

    @classmethod
    def of(cls, digests: Sequence[str], split: Mapping[str, Sequence[str]]) -> Seen:
        known = {digest: name for name, part in split.items() for digest in part}
        return cls(tuple(known.get(digest, "new") for digest in digests))

    def judged(self, file: Ints) -> Ints:
        """Numbers of the pictures that may be judged: held-out and new ones; without those, val; never train."""
        place = np.array(self.place)[file]
        fresh = np.flatnonzero((place == "heldout") | (place == "new"))
        return fresh if len(fresh) else np.flatnonzero(place == "val")

    def sentence(self) -> str:
        """The overlap in words."""
        count = {name: self.place.count(name) for name in ("train", "val", "heldout", "new")}
        return (
            f"{len(self.place)} files: {count['new']} never seen, {count['heldout']} held out, "
            f"{count['val']} used to choose the epoch, {count['train']} trained on"
        )
