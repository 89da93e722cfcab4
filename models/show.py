"""Pictures with what a network said of them drawn in: what was named wrongly, and boxes beside the true ones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from models import geometry
from models.evaluate import Answers
from models.figures.calibration import sigmoid, softmax
from models.spec import Spec
from models.targets import Truth

Pixels = npt.NDArray[np.uint8]

_SIDE_PX = 224
_TRUE, _SAID = (80, 220, 80), (240, 80, 60)  # RGB


def wrong_shown(pixels: Pixels, found: Answers, truth: Truth, spec: Spec, most: int) -> Pixels:
    """Up to `most` pictures (M, H, W, 3) whose best tag is another than the true one, or whose event is taken for there
    or not there when it is the other; the surest mistakes first."""
    mistakes = sorted([*_wrong_tags(found, truth, spec), *_wrong_events(found, truth, spec)], key=lambda one: -one.sure)
    return _sheet([_named(pixels[one.picture], one.true, f"{one.said} {one.sure:.2f}") for one in mistakes[:most]])


class _Mistake(NamedTuple):
    picture: int
    true: str
    said: str
    sure: float


def _wrong_tags(found: Answers, truth: Truth, spec: Spec) -> Iterator[_Mistake]:
    if found.tags is None:
        return
    probs = softmax(found.tags)
    said = probs.argmax(axis=1)
    for k in np.flatnonzero((truth.tag >= 0) & (said != truth.tag)).tolist():
        yield _Mistake(k, spec.tags[truth.tag[k]], spec.tags[said[k]], float(probs[k, said[k]]))


def _wrong_events(found: Answers, truth: Truth, spec: Spec) -> Iterator[_Mistake]:
    if found.events is None:
        return
    probs, known = sigmoid(found.events), np.isfinite(truth.events)
    for k, event in np.argwhere(known & ((probs > 0.5) != (truth.events == 1))).tolist():
        names, prob = (f"no {spec.events[event]}", spec.events[event]), float(probs[k, event])
        there = int(truth.events[k, event])
        yield _Mistake(k, names[there], names[1 - there], prob if prob > 0.5 else 1 - prob)


def boxes_shown(pixels: Pixels, found: Answers, truth: Truth, most: int) -> Pixels:
    """Up to `most` pictures (M, H, W, 3) with the true box in green and the found one in red, the worst first."""
    boxed = np.flatnonzero(np.isfinite(truth.box).all(axis=1))
    if found.box is None or not len(boxed):
        return np.empty((0, _SIDE_PX, _SIDE_PX, 3), np.uint8)
    overlap = geometry.iou(found.box[boxed], truth.box[boxed])
    shown = []
    for k in np.argsort(overlap, kind="stable")[:most]:
        number = boxed[k]
        picture = _enlarged(pixels[number])
        for box, colour in ((truth.box[number], _TRUE), (found.box[number], _SAID)):
            left, top, right, bottom = np.rint(box * (_SIDE_PX - 1)).astype(int).tolist()
            cv2.rectangle(picture, (left, top), (right, bottom), colour, 2)
        shown.append(_written(picture, f"IoU {overlap[k]:.2f}", _SIDE_PX - 8, _SAID))
    return _sheet(shown)


def _sheet(pictures: list[Pixels]) -> Pixels:
    return np.stack(pictures) if pictures else np.empty((0, _SIDE_PX, _SIDE_PX, 3), np.uint8)


def _named(picture: Pixels, true: str, said: str) -> Pixels:
    return _written(_written(_enlarged(picture), true, 18, _TRUE), said, _SIDE_PX - 8, _SAID)


def _enlarged(picture: Pixels) -> Pixels:
    return np.ascontiguousarray(cv2.resize(picture, (_SIDE_PX, _SIDE_PX), interpolation=cv2.INTER_AREA), np.uint8)


def _written(picture: Pixels, text: str, foot_px: int, colour: tuple[int, int, int]) -> Pixels:
    """The text over the picture, dark round it so that it can be read on anything."""
    plain = text.encode("ascii", "replace").decode()
    for width, ink in ((4, (0, 0, 0)), (1, colour)):
        cv2.putText(picture, plain, (6, foot_px), cv2.FONT_HERSHEY_SIMPLEX, 0.55, ink, width, cv2.LINE_AA)
    return picture
