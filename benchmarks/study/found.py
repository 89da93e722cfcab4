"""What boxes found in pictures are worth: all of them, and the surest of each picture as the one that is shown."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.study.question import Figure
from models import geometry
from models.data.dataset import Dataset
from models.evaluate import best_constant
from models.figures.detection import Objects, detection_figures
from models.figures.localization import GOOD_IOU
from models.output import FoundBoxes


def found_figures(found: FoundBoxes, names: Sequence[str], data: Dataset) -> dict[str, Figure]:
    """`found.label` are numbers of `names`. A picture in which nothing was found has an overlap of 0."""
    number = {name: k for k, name in enumerate(names)}
    label = np.array([number[name] for name in data.objects.label], np.int64)
    truth = Objects(data.objects.picture, label, data.objects.xyxy)
    mine = Objects(found.picture, found.label, found.xyxy)
    every = detection_figures(mine, found.score, truth, names, np.arange(len(data)))
    known = np.flatnonzero(np.isfinite(data.box).all(axis=1))
    surest = _surest(found, len(data))[known]
    there = surest >= 0
    iou = np.zeros(len(known))
    iou[there] = geometry.iou(found.xyxy[surest[there]], data.box[known[there]])
    right = np.zeros(len(known), bool)
    right[there] = found.label[surest[there]] == [number[data.label[row]] for row in known[there]]
    constant = geometry.iou(best_constant(data.box[known])[None], data.box[known])
    return {
        "map50": every["map50"],
        "map50_blind": every["map50_blind"],
        "iou50": float((iou >= GOOD_IOU).mean()),
        "iou50_constant": float((constant >= GOOD_IOU).mean()),
        "mean_iou": float(iou.mean()),
        "mean_iou_constant": float(constant.mean()),
        "both": float((right & (iou >= GOOD_IOU)).mean()),
        "after": len(found.score) / len(data),
    }


def _surest(found: FoundBoxes, pictures: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """The row of the best box of each picture; -1 where there is none."""
    rows = np.full(pictures, -1, np.int64)
    for row in np.argsort(found.score, kind="stable"):
        rows[found.picture[row]] = row
    return rows
