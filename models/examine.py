"""All that can be said of a network's answers: the figures of `models.evaluate` with their intervals, localization as
ILSVRC counts it, and whether the scores are probabilities. For the end; epochs are chosen by less."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models import geometry
from models.calibrate import uncalibrated
from models.evaluate import NEAR, Answers, ToJudge, average_precision, judged, known_points, point_distances
from models.figures.bootstrap import Interval, bootstrap
from models.figures.calibration import event_calibration, event_reliability, tag_calibration, tag_reliability
from models.figures.confusion import confusion
from models.figures.detection import DetectionJudge
from models.figures.localization import (
    GOOD_IOU,
    best_ious,
    localization_errors,
    max_box_accuracy,
    share_of_ious,
    wrongly_localized,
)
from models.figures.pictures import confusion_picture, reliability_picture
from models.figures.ranks import ranks
from models.network import ATTRIBUTES, BOX, EVENTS, OBJECTS, POINTS, TAGS
from models.spec import Spec
from models.targets import Truth

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]
Groups = Sequence[Hashable]

_FEW = 200  # resamples where each costs as much as all of the others


def examined(found: Answers, truth: Truth, spec: Spec, groups: Groups) -> dict[str, Any]:
    """Figures by head. `groups` (N,) are the scenes of the pictures: intervals are by bootstrap over them."""
    figures = judged(found, truth, spec)
    if TAGS in figures and found.tags is not None:
        figures[TAGS] |= _of_tags(found.tags, truth.tag, spec.tags, groups)
    for number, name in enumerate(spec.events):
        if name in figures.get(EVENTS, {}) and found.events is not None:
            figures[EVENTS][name] |= _of_event(found.events[:, number], truth.events[:, number], groups)
    for number, (name, labels) in enumerate(spec.attributes):
        if name in figures.get(ATTRIBUTES, {}):
            figures[ATTRIBUTES][name] |= _of_tags(found.attributes[number], truth.attributes[:, number], labels, groups)
    if BOX in figures:
        figures |= _of_boxes(figures[BOX], found, truth, groups)
    if POINTS in figures and found.points is not None:
        near = point_distances(found.points[..., :2], truth.points, truth.box) <= NEAR
        said = np.where(known_points(truth.points, truth.box), near, np.nan)
        figures[POINTS] |= _means({"pck": said}, groups)
    if "map50" in figures.get(OBJECTS, {}) and found.objects is not None:
        figures[OBJECTS] |= _of_objects(ToJudge.of(found.objects, truth.objects), len(spec.detector), groups)
    return figures


def _named(intervals: Mapping[str, Interval | None]) -> dict[str, list[float] | None]:
    """Beside the figure, as JSON has them."""
    return {f"{name}_interval": None if found is None else list(found) for name, found in intervals.items()}


def _means(values: Mapping[str, Floats], groups: Groups) -> dict[str, Any]:
    """Intervals of the means of what each picture says, (N, ...); NaN is no part of any mean."""
    sums = {name: np.nansum(part.reshape(len(part), -1), axis=1) for name, part in values.items()}
    counts = {name: np.isfinite(part.reshape(len(part), -1)).sum(axis=1) for name, part in values.items()}

    def means(rows: Ints) -> dict[str, float]:
        with np.errstate(invalid="ignore"):
            return {name: float(sums[name][rows].sum() / counts[name][rows].sum()) for name in values}

    return _named(bootstrap(means, groups))


def _some(groups: Groups, rows: Ints) -> Groups:
    return [groups[k] for k in rows]


def _of_tags(logits: Floats, tag: Ints, names: Sequence[str], groups: Groups) -> dict[str, Any]:
    known = np.flatnonzero(tag >= 0)
    logits, tag, groups = logits[known], tag[known], _some(groups, known)
    rank = ranks(logits, tag)
    first = (rank == 0).astype(np.float64)
    by_class = {name: np.where(tag == k, first, np.nan) for k, name in enumerate(names) if (tag == k).any()}
    calibration = tag_calibration(logits, tag)
    return {
        **_means({"top1": first, "top5": (rank < 5).astype(np.float64)}, groups),
        "top1_by_class_interval": {name.removesuffix("_interval"): v for name, v in _means(by_class, groups).items()},
        "calibration": calibration | _ece(lambda rows: tag_reliability(logits[rows], tag[rows]).ece, groups),
    }


def _ece(statistic: Callable[[Ints], float], groups: Groups) -> dict[str, Any]:
    return _named(bootstrap(lambda rows: {"ece": statistic(rows)}, groups, resamples=_FEW))


def _of_event(logit: Floats, truth: Floats, groups: Groups) -> dict[str, Any]:
    known = np.flatnonzero(np.isfinite(truth))
    score, yes, groups = logit[known], truth[known] == 1, _some(groups, known)

    def figures(rows: Ints) -> dict[str, float]:
        precision = average_precision(score[rows], yes[rows]) if yes[rows].any() else float("nan")
        return {"average_precision": precision, "right": float(((score[rows] > 0) == yes[rows]).mean())}

    calibration = event_calibration(score, yes)
    return {
        **_named(bootstrap(figures, groups)),
        "calibration": calibration | _ece(lambda rows: event_reliability(score[rows], yes[rows]).ece, groups),
    }


def _of_boxes(figures: Mapping[str, Any], found: Answers, truth: Truth, groups: Groups) -> dict[str, Any]:
    """Of the main subject, and of any like it, as MaxBoxAccV2 and ILSVRC have it; the latter with the class too, where
    that is known and answered for."""
    assert found.box is not None and found.boxes is not None
    rows = np.flatnonzero(np.isfinite(truth.box).all(axis=1))
    iou = geometry.iou(found.box[rows], truth.box[rows])
    alike = truth.boxes(rows)
    v2, any_iou = max_box_accuracy(found.box[rows], alike), best_ious(found.box[rows], alike)
    said = {"iou50": (iou >= GOOD_IOU).astype(np.float64), "mean_iou": iou, "max_box_acc_v2": share_of_ious(any_iou)}
    sure = _means(said, _some(groups, rows))
    v2["max_box_acc_v2_interval"] = sure.pop("max_box_acc_v2_interval")
    answered = {BOX: dict(figures) | sure | {"v2": v2}}
    rows = rows[truth.tag[rows] >= 0]
    if found.tags is None or not len(rows):
        return answered
    boxes = found.boxes[rows, 0] if found.boxes.shape[1] == 1 else found.boxes[rows]
    about = found.tags[rows], boxes, truth.tag[rows], truth.boxes(rows)
    wrong = {name: part.astype(np.float64) for name, part in wrongly_localized(*about).items()}
    return answered | {"localization": localization_errors(*about) | _means(wrong, _some(groups, rows))}


def _of_objects(about: ToJudge, labels: int, groups: Groups) -> dict[str, Any]:
    judge = DetectionJudge(about.found, about.score, about.truth, labels, about.pictures)
    return _named(bootstrap(judge.figures, _some(groups, about.pictures), resamples=_FEW))


def pictured(found: Answers, truth: Truth, spec: Spec, calibration: Mapping[str, Any]) -> dict[str, Pixels]:
    """Pictures by name: what is taken for what, and how often a score of 0.7 is right, now and before `calibration`."""
    pages: dict[str, Pixels] = {}
    known = truth.tag >= 0
    if found.tags is not None and known.any():
        said = confusion(found.tags[known].argmax(axis=1), truth.tag[known], len(spec.tags))
        pages["confusion"] = confusion_picture(said, spec.tags)
    pages |= _reliabilities(found, truth, spec)
    if calibration:
        before = _reliabilities(uncalibrated(found, spec, calibration), truth, spec)
        pages |= {f"{name} before calibration": page for name, page in before.items()}
    return pages


def _reliabilities(found: Answers, truth: Truth, spec: Spec) -> dict[str, Pixels]:
    pages: dict[str, Pixels] = {}
    known = truth.tag >= 0
    if found.tags is not None and known.any():
        pages["reliability of tags"] = reliability_picture(tag_reliability(found.tags[known], truth.tag[known]))
    for number, name in enumerate(spec.events):
        told = np.isfinite(truth.events[:, number])
        if found.events is not None and told.any():
            yes = truth.events[told, number] == 1
            pages[f"reliability of {name}"] = reliability_picture(event_reliability(found.events[told, number], yes))
    return pages
