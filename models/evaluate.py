"""How good a network is, with the figure that needs no network beside every one. Judges what was not learned from."""

# N pictures, T tags, E events, A attributes, K boxes or points, M boxes found

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models import geometry
from models.backbone import Features
from models.data.dataset import BLOCK
from models.detect import objects_in
from models.figures.detection import Objects, detection_figures
from models.figures.localization import GOOD_IOU
from models.figures.ranks import ranks
from models.network import ATTRIBUTES, BOX, EVENTS, OBJECTS, POINTS, TAGS, Network, attribute
from models.spec import Spec
from models.targets import Truth

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

PLACES = ("heldout", "val", "train")  # of a split; a video with blocks in several counts as the last
NEAR = 0.1  # of the box's longer side: as near must a point be
_CHUNK = 16  # pictures at once: few fit a CPU's cache
_CONSTANTS = 400  # boxes tried as the constant answer
_LEAST_SCORE = 0.02  # of objects that are judged: nearly all, since precision is asked at every recall


@dataclass(frozen=True, slots=True)
class Found:
    """M objects in pictures by number: `score` (M,) orders them."""

    objects: Objects
    score: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """A network's answers for N pictures: logits (N, T), (N, E) and of each attribute, boxes xyxy (N, K, 4) with K one
    or one for each tag, points (N, K, 3) in units of the box, objects; None without that head."""

    tags: npt.NDArray[np.float32] | None = None
    events: npt.NDArray[np.float32] | None = None
    boxes: npt.NDArray[np.float32] | None = None
    attributes: tuple[npt.NDArray[np.float32], ...] = ()
    points: npt.NDArray[np.float32] | None = None
    objects: Found | None = None

    @property
    def box(self) -> npt.NDArray[np.float32] | None:
        """The box that is shown, (N, 4): the best tag's where each has its own."""
        if self.boxes is None or self.boxes.shape[1] == 1 or self.tags is None:
            return None if self.boxes is None else self.boxes[:, 0]
        best: npt.NDArray[np.float32] = self.boxes[np.arange(len(self.boxes)), self.tags.argmax(axis=1)]
        return best


def answers(network: Network, pixels: npt.NDArray[np.uint8], heads: Sequence[str] | None = None) -> Answers:
    """Run the network over uint8 (N, H, W, 3), in eval mode, on the device where it lies. Of all heads, or of these."""
    network.eval()
    parts, device = [], network.device
    with torch.inference_mode():
        for at in range(0, len(pixels), _CHUNK):
            features = network.backbone(torch.from_numpy(pixels[at : at + _CHUNK]).to(device))
            said = network.answers(features, heads)
            parts.append({name: part.cpu() for name, part in said.items()})
    return _joined(parts, network.spec)


def answers_from(network: Network, features: Features, heads: Sequence[str] | None = None) -> Answers:
    """The heads' answers on features computed before. Of all heads, or of these."""
    network.eval()
    parts = []
    with torch.inference_mode():
        for at in range(0, len(features.vector), _CHUNK):
            some = features.rows(slice(at, at + _CHUNK))
            parts.append(network.answers(Features(some.map.float(), some.vector.float()), heads))
    return _joined(parts, network.spec)


def _joined(parts: Sequence[Mapping[str, Tensor]], spec: Spec) -> Answers:
    heads = {name: torch.cat([part[name] for part in parts]) for name in (parts[0] if parts else ())}

    def array(name: str) -> npt.NDArray[np.float32] | None:
        return heads[name].numpy() if name in heads else None

    xywh = array(BOX)
    return Answers(
        tags=array(TAGS),
        events=array(EVENTS),
        boxes=None if xywh is None else geometry.clip(geometry.to_xyxy(xywh)).astype(np.float32),
        attributes=tuple(heads[attribute(k)].numpy() for k in range(len(spec.attributes)) if attribute(k) in heads),
        points=array(POINTS),
        objects=_found(heads[OBJECTS]) if OBJECTS in heads else None,
    )


def _found(cells_NhwA: Tensor) -> Found:
    picture, xyxy, score, label = (part.numpy() for part in objects_in(cells_NhwA, _LEAST_SCORE))
    return Found(Objects(picture, label, xyxy), score)


def judged(found: Answers, truth: Truth, spec: Spec) -> dict[str, Any]:
    """Figures by head, for the pictures whose truth is known; a head nothing is known for is left out."""
    figures: dict[str, Any] = {}
    known = truth.tag >= 0
    if found.tags is not None and known.any():
        figures[TAGS] = tag_figures(found.tags[known], truth.tag[known], spec.tags)
    if found.events is not None:
        of_events = [event_figures(found.events[:, k], truth.events[:, k]) for k in range(len(spec.events))]
        figures[EVENTS] = {name: part for name, part in zip(spec.events, of_events, strict=True) if part}
    boxed = np.isfinite(truth.box).all(axis=1)
    if found.box is not None and boxed.any():
        figures[BOX] = box_figures(found.box[boxed], truth.box[boxed])
    figures[ATTRIBUTES] = _attribute_figures(found, truth, spec)
    if found.points is not None:
        figures[POINTS] = point_figures(found.points, truth.points, truth.box)
    if found.objects is not None:
        figures[OBJECTS] = _object_figures(found.objects, truth.objects, spec.detector)
    return {name: part for name, part in figures.items() if part}


def tag_figures(logits: Floats, tag: Ints, names: Sequence[str]) -> dict[str, Any]:
    """Shares of pictures whose tag is first, or among the first five; chance is always naming the commonest ones. Of
    each class, its own share beside it: so often would a guess by frequency be right."""
    rank, share = ranks(logits, tag), np.bincount(tag, minlength=len(names)) / len(tag)
    common = np.sort(share)[::-1]
    there = [(k, name) for k, name in enumerate(names) if share[k]]
    return {
        "pictures": len(tag),
        "top1": float((rank == 0).mean()),
        "top1_chance": float(common[0]),
        "top5": float((rank < 5).mean()),
        "top5_chance": float(common[:5].sum()),
        "top1_by_class": {name: float((rank[tag == k] == 0).mean()) for k, name in there},
        "share_by_class": {name: float(share[k]) for k, name in there},
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
    """Share of boxes with IoU >= 0.5, and their mean IoU, beside the best answer that never looks at the picture."""
    iou, constant = geometry.iou(box, truth), geometry.iou(best_constant(truth)[None], truth)
    return {
        "pictures": len(truth),
        "iou50": float((iou >= GOOD_IOU).mean()),
        "iou50_constant": float((constant >= GOOD_IOU).mean()),
        "mean_iou": float(iou.mean()),
        "mean_iou_constant": float(constant.mean()),
    }


def best_constant(truth: Floats) -> Floats:
    """The one box (4,) that is right most often on these very pictures: chosen with their truth, so hard to beat."""
    spread = np.unique(np.linspace(0, len(truth) - 1, min(len(truth), _CONSTANTS)).astype(int))
    tried = np.concatenate([np.median(truth, axis=0)[None], truth.mean(axis=0)[None], truth[spread]])
    right = [(geometry.iou(candidate[None], truth) >= GOOD_IOU).mean() for candidate in tried]
    return np.asarray(tried[int(np.argmax(right))])


def _attribute_figures(found: Answers, truth: Truth, spec: Spec) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    if not found.attributes:  # heads of another stage are judged
        return figures
    for number, ((name, labels), logits) in enumerate(zip(spec.attributes, found.attributes, strict=True)):
        known = truth.attributes[:, number] >= 0
        if known.any():
            figures[name] = tag_figures(logits[known], truth.attributes[known, number], labels)
    return figures


def point_figures(points: Floats, truth: Floats, box: Floats) -> dict[str, Any]:
    """Share of points that are near enough, in units of the true box (PCK), beside the mean place of each."""
    known = known_points(truth, box)
    if not known.any():
        return {}
    place = _in_box(truth, box)
    usual = [place[known[:, k], k].mean(axis=0) if known[:, k].any() else [0.5, 0.5] for k in range(place.shape[1])]
    constant = np.broadcast_to(np.array(usual), place.shape)

    def near(answer: Floats) -> float:
        return float((point_distances(answer, truth, box)[known] <= NEAR).mean())

    return {"points": int(known.sum()), "pck": near(points[..., :2]), "pck_constant": near(constant)}


def known_points(truth: Floats, box: Floats) -> npt.NDArray[np.bool_]:
    """Which points can be judged, (N, K): their place is known, and the box that measures them."""
    return np.logical_and(np.isfinite(truth).all(axis=2), np.isfinite(box).all(axis=1, keepdims=True))


def point_distances(answer: Floats, truth: Floats, box: Floats) -> Floats:
    """From each point to where it is, in longer sides of the true box, (N, K); NaN where it or the box is unknown.
    `answer` (N, K, 2) is in units of the box, `truth` (N, K, 3) in units of the picture, `box` xyxy (N, 4)."""
    sides = geometry.to_xywh(box)[:, None, 2:]
    longer = sides / sides.max(axis=-1, keepdims=True)
    return np.asarray(np.linalg.norm((answer - _in_box(truth, box)) * longer, axis=-1))


def _in_box(truth: Floats, box: Floats) -> Floats:
    xywh = geometry.to_xywh(box)[:, None]
    return np.asarray((truth[..., :2] - xywh[..., :2]) / xywh[..., 2:])


class ToJudge(NamedTuple):
    """What was found and what is there, in those of the pictures whose objects are listed, by their numbers (N,)."""

    found: Objects
    score: npt.NDArray[np.float32]
    truth: Objects
    pictures: Ints

    @classmethod
    def of(cls, found: Found, truth: Floats) -> ToJudge:
        """`truth` (N, M, 5) as `Truth.objects` has it."""
        listed = np.flatnonzero(np.isfinite(truth).all(axis=(1, 2)))
        picture, place = np.nonzero(truth[listed, :, 0] >= 0)
        true, boxes, mine = truth[listed][picture, place], found.objects, np.isin(found.objects.picture, listed)
        return cls(
            Objects(boxes.picture[mine], boxes.label[mine], boxes.xyxy[mine]),
            found.score[mine],
            Objects(listed[picture], true[:, 0].astype(np.int64), true[:, 1:]),
            listed,
        )


def _object_figures(found: Found, truth: Floats, names: Sequence[str]) -> dict[str, Any]:
    judge = ToJudge.of(found, truth)
    if not len(judge.pictures):
        return {}
    return detection_figures(judge.found, judge.score, judge.truth, names, judge.pictures)


def score_of(figures: Mapping[str, Any]) -> float:
    """One number to choose an epoch by: the mean of what each head is judged by first."""
    parts = [figures[TAGS]["top1"]] if TAGS in figures else []
    parts += [event["average_precision"] for event in figures.get(EVENTS, {}).values()]
    parts += [figures[BOX]["iou50"]] if BOX in figures else []
    parts += [part["top1"] for part in figures.get(ATTRIBUTES, {}).values()]
    parts += [figures[POINTS]["pck"]] if POINTS in figures else []
    parts += [figures[OBJECTS]["map50"]] if OBJECTS in figures and "map50" in figures[OBJECTS] else []
    return float(np.mean(parts)) if parts else 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """How a checkpoint's training relates to the files at hand: which of them took part, by content."""

    place: tuple[str, ...]  # of each file: train, val, heldout or new

    @classmethod
    def of(cls, digests: Sequence[str], split: Mapping[str, Sequence[str]]) -> Seen:
        """A video, or a block of time of it, that did not take part as such did so as any part of it did."""
        known = {digest: name for name, part in split.items() for digest in part}
        whole = {digest.partition(BLOCK)[0]: name for name in PLACES for digest in split.get(name, ())}
        return cls(tuple(known.get(digest) or whole.get(digest.partition(BLOCK)[0], "new") for digest in digests))

    @staticmethod
    def over_time(now: Mapping[str, Sequence[str]], before: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
        """The split of a network that goes on from another: what either was taught it was taught, and what chose an
        epoch of either chose."""
        found, taken = dict[str, tuple[str, ...]](), set[str]()
        for name in reversed(PLACES):
            found[name] = tuple(sorted({*now.get(name, ()), *before.get(name, ())} - taken))
            taken.update(found[name])
        return found

    def judged(self, file: Ints) -> Ints:
        """Numbers of the pictures that may be judged: held-out and new ones; without those, val; never train."""
        place = np.array(self.place)[file]
        fresh = np.flatnonzero((place == "heldout") | (place == "new"))
        return fresh if len(fresh) else np.flatnonzero(place == "val")

    @property
    def flatters(self) -> bool:
        """Whether nothing but what chose the epoch may be judged."""
        return "val" in self.place and not {"heldout", "new"} & set(self.place)

    def sentence(self) -> str:
        """The overlap in words."""
        count = {name: self.place.count(name) for name in ("train", "val", "heldout", "new")}
        return (
            f"{len(self.place)} files: {count['new']} never seen, {count['heldout']} held out, "
            f"{count['val']} used to choose the epoch, {count['train']} trained on"
        )
