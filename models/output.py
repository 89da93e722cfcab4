"""What the heads' raw answers say, as numpy arrays: probabilities by label, boxes in the picture, points, features."""

# B pictures, C columns of scores, M boxes, K points, D channels

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models import geometry
from models.detect import objects_in
from models.network import BOX, EVENTS, OBJECTS, POINTS, TAGS, attribute
from models.spec import Spec

MIN_OBJECT_SCORE = 0.2
_FLOAT16_MAX = 65504.0
Floats = npt.NDArray[np.float32]


class FoundBoxes(NamedTuple):
    """M boxes of a batch, ordered by picture: `picture` int64 (M,), `xyxy` float32 (M, 4) with x0 < x1 and y0 < y1 as
    fractions of the displayed picture, `score` float32 (M,), `label` int64 (M,) column of the scores, -1 where the
    network has no name for it."""

    picture: npt.NDArray[np.int64]
    xyxy: Floats
    score: Floats
    label: npt.NDArray[np.int64]

    def rows(self, chosen: npt.NDArray[np.int64]) -> FoundBoxes:
        """Those boxes, in that order."""
        return FoundBoxes(self.picture[chosen], self.xyxy[chosen], self.score[chosen], self.label[chosen])


def joined(parts: Sequence[FoundBoxes]) -> FoundBoxes:
    """All boxes of the parts, of which there is at least one, one after the other."""
    picture, xyxy, score, label = (np.concatenate(fields) for fields in zip(*parts, strict=True))
    return FoundBoxes(picture, xyxy, score, label)


class Output(NamedTuple):
    """What the network says of B pictures.

    probs float32 (B, C), columns as `Spec.columns`: tags and each attribute a softmax, events a sigmoid each. boxes:
    of each picture first the main subject's, then all of the detector's; None without either. features float16 (B, D),
    or None. points float32 (B, K, 3): x, y as fractions of the picture, and the probability of being visible; None
    without that head.
    """

    probs: Floats
    boxes: FoundBoxes | None
    features: npt.NDArray[np.float16] | None
    points: Floats | None = None


def output(
    vector_BD: Tensor, answers: Mapping[str, Tensor], spec: Spec, least_score: float = MIN_OBJECT_SCORE
) -> Output:
    """Everything that the answers of all heads say; of the detector's boxes those of `least_score` or more. Tensors of
    any floating kind, on the CPU."""
    answers = {name: answer.float() for name, answer in answers.items()}
    probs = probabilities(answers, spec)
    subject = _subject_boxes(answers, spec)
    features = vector_BD.float().clamp(-_FLOAT16_MAX, _FLOAT16_MAX).half().numpy()  # NumPy takes 60 times as long
    points = _points(answers[POINTS], subject) if POINTS in answers else None
    mine = None if subject is None else _of_subject(subject, probs, spec)
    return Output(probs, _with_objects(mine, answers, spec, least_score), features, points)


def probabilities(answers: Mapping[str, Tensor], spec: Spec) -> Floats:
    """(B, C) float32, columns as `Spec.columns`, of answers (B, ...) in float32."""
    parts = [answers[TAGS].softmax(dim=1)] if TAGS in answers else []
    parts += [answers[attribute(number)].softmax(dim=1) for number in range(len(spec.attributes))]
    if OBJECTS in answers:
        parts.append(_presence(answers[OBJECTS], spec))
    if EVENTS in answers:
        parts.append(answers[EVENTS].sigmoid())
    return torch.cat(parts, dim=1).numpy() if parts else np.empty((len(next(iter(answers.values()))), 0), np.float32)


def _presence(cells_BhwA: Tensor, spec: Spec) -> Tensor:
    """The best score of each class that only the detector knows, (B, ...)."""
    mine = [k for k, name in enumerate(spec.detector) if name not in {*spec.tags, *spec.events}]
    classes, centred = cells_BhwA[..., mine], cells_BhwA[..., len(spec.detector), None]
    return (classes.sigmoid() * centred.sigmoid()).sqrt().flatten(1, 2).amax(dim=1)


def _subject_boxes(answers: Mapping[str, Tensor], spec: Spec) -> Floats | None:
    """The main subject's box xyxy (B, 4), clipped: of a localizer with a box for each class, the best tag's."""
    if BOX not in answers:
        return None
    boxes_BK4 = answers[BOX]
    best = answers[TAGS].argmax(dim=1).view(-1, 1, 1).expand(-1, 1, 4) if spec.box_per_class else None
    xywh = (boxes_BK4 if best is None else boxes_BK4.gather(1, best)).numpy()[:, 0]
    return geometry.clip(geometry.to_xyxy(xywh)).astype(np.float32)


def _points(answer_BK3: Tensor, subject: Floats | None) -> Floats:
    """From units of the main subject's box (without a localizer: of the picture) to those of the picture."""
    values = answer_BK3.numpy()
    xyxy = np.array([[0, 0, 1, 1]], np.float32) if subject is None else subject
    xywh = geometry.to_xywh(xyxy)[:, None]
    place = xywh[..., :2] + values[..., :2] * xywh[..., 2:]
    return np.concatenate([place, answer_BK3[..., 2:].sigmoid().numpy()], axis=-1).astype(np.float32)


def _with_objects(
    mine: FoundBoxes | None, answers: Mapping[str, Tensor], spec: Spec, least_score: float
) -> FoundBoxes | None:
    if OBJECTS not in answers:
        return mine
    picture, xyxy, score, label = (part.numpy() for part in objects_in(answers[OBJECTS], least_score))
    found = FoundBoxes(picture, geometry.clip(xyxy).astype(np.float32), score, _columns(spec)[label])
    return found if mine is None else _by_picture(mine, found)


def _of_subject(subject: Floats, probs: Floats, spec: Spec) -> FoundBoxes:
    """One a picture, with its best tag; in a network without tags with its best event; without either a box alone, of
    which nothing says how sure it is."""
    pictures, names = np.arange(len(subject)), spec.tags or spec.events
    if not names:
        return FoundBoxes(pictures, subject, np.ones(len(subject), np.float32), np.full(len(subject), -1))
    columns = np.array([spec.columns.index(name) for name in names], np.int64)
    best = columns[probs[:, columns].argmax(axis=1)]
    return FoundBoxes(pictures, subject, probs[pictures, best], best)


def _by_picture(first: FoundBoxes, then: FoundBoxes) -> FoundBoxes:
    """All boxes of each picture together, those of `first` before those of `then`."""
    boxes = joined([first, then])
    return boxes.rows(np.argsort(boxes.picture, kind="stable"))


@cache
def _columns(spec: Spec) -> npt.NDArray[np.int64]:
    """Of the detector's classes, (C,)."""
    return np.array([spec.columns.index(name) for name in spec.detector], np.int64)
