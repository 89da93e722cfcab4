"""All that can be said of a network's answers: the figures of `models.evaluate` with their intervals, localization as
ILSVRC counts it, and whether the scores are probabilities. For the end; epochs are chosen by less."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models import geometry
from models.evaluate import GOOD_IOU, Answers, average_precision, judged
from models.figures.bootstrap import Interval, bootstrap
from models.figures.calibration import event_calibration, event_reliability, tag_calibration, tag_reliability
from models.figures.confusion import confusion
from models.figures.localization import localization_errors, max_box_accuracy
from models.figures.pictures import confusion_picture, reliability_picture
from models.network import BOX, EVENTS, TAGS
from models.spec import Spec
from models.targets import Truth

Ints = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]


def examined(found: Answers, truth: Truth, spec: Spec, groups: Sequence[Hashable]) -> dict[str, Any]:
    """Figures by head. `groups` (N,) are the scenes of the pictures: intervals are by bootstrap over them."""
    figures = judged(found, truth, spec)
    known = np.flatnonzero(truth.tag >= 0)
    if TAGS in figures and found.tags is not None:
        logits, tag = found.tags[known], truth.tag[known]
        right = logits.argmax(axis=1) == tag
        figures[TAGS] |= {"top1_interval": _interval(_mean_of(right), groups, known)}
        figures[TAGS] |= {"calibration": tag_calibration(logits, tag)}
    for number, name in enumerate(spec.events):
        if name in figures.get(EVENTS, {}) and found.events is not None:
            figures[EVENTS][name] |= _event(found.events[:, number], truth.events[:, number], groups)
    boxed = np.flatnonzero(np.isfinite(truth.box).all(axis=1))
    if BOX in figures and found.box is not None and found.boxes is not None:
        right = geometry.iou(found.box[boxed], truth.box[boxed]) >= GOOD_IOU
        figures[BOX] |= {"iou50_interval": _interval(_mean_of(right), groups, boxed)}
        shown = [found.box[k][None] for k in boxed]
        figures[BOX] |= {"v2": max_box_accuracy(shown, [truth.box[k][None] for k in boxed])}
        figures |= _localization(found, truth, boxed[truth.tag[boxed] >= 0])
    return figures


def _interval(statistic: Callable[[Ints], float], groups: Sequence[Hashable], rows: Ints) -> list[float] | None:
    found: Interval = bootstrap(statistic, [groups[k] for k in rows])
    return None if found.low is None or found.high is None else [found.low, found.high]


def _mean_of(right: npt.NDArray[np.bool_]) -> Callable[[Ints], float]:
    return lambda rows: float(right[rows].mean())


def _event(
    logit: npt.NDArray[np.float32], truth: npt.NDArray[np.float32], groups: Sequence[Hashable]
) -> dict[str, Any]:
    known = np.flatnonzero(np.isfinite(truth))
    score, yes = logit[known], truth[known] == 1

    def precision(rows: Ints) -> float:
        return average_precision(score[rows], yes[rows]) if yes[rows].any() else float("nan")

    return {
        "average_precision_interval": _interval(precision, groups, known),
        "calibration": event_calibration(score, yes),
    }


def _localization(found: Answers, truth: Truth, rows: Ints) -> dict[str, Any]:
    """Where class and box are both known, and both are answered for."""
    if not len(rows) or found.tags is None or found.boxes is None:
        return {}
    boxes = found.boxes[rows]
    boxes = boxes[:, 0] if boxes.shape[1] == 1 else boxes
    true = [truth.box[k][None] for k in rows]
    return {"localization": localization_errors(found.tags[rows], boxes, truth.tag[rows], true)}


def pictured(found: Answers, truth: Truth, spec: Spec) -> dict[str, Pixels]:
    """Pictures by name: what is taken for what, and how often a score of 0.7 is right."""
    pages: dict[str, Pixels] = {}
    known = truth.tag >= 0
    if found.tags is not None and known.any():
        logits, tag = found.tags[known], truth.tag[known]
        pages["confusion"] = confusion_picture(confusion(logits.argmax(axis=1), tag, len(spec.tags)), spec.tags)
        pages["reliability of tags"] = reliability_picture(tag_reliability(logits, tag))
    for number, name in enumerate(spec.events):
        told = np.isfinite(truth.events[:, number])
        if found.events is not None and told.any():
            yes = truth.events[told, number] == 1
            pages[f"reliability of {name}"] = reliability_picture(event_reliability(found.events[told, number], yes))
    return pages
