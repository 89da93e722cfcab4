"""Mean average precision of boxes with labels, computed by COCO's own code (pycocotools), beside boxes that never look.

Boxes are xyxy in fractions of the picture; which pictures they are in is told by numbers, which labels by their place
in `names`.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Objects:
    """M boxes: `picture` (M,) and `label` (M,) are numbers, `xyxy` is (M, 4)."""

    picture: Ints
    label: Ints
    xyxy: Floats


def detection_figures(
    found: Objects, score: Floats, truth: Objects, names: Sequence[str], pictures: Ints
) -> dict[str, Any]:
    """mAP at IoU 0.5 and its mean over 0.5, 0.55 ... 0.95, with 101 recall points, objects of every size and the 100
    best boxes of a picture and label; `score` (D,) orders what was found, `pictures` (N,) numbers all that are judged.

    Labels without a true box are left out of the mean; with no true box at all only the counts are told. Beside it an
    answer that never looks: in every picture the mean true box of each label, scored by the label's share of all boxes.
    Boxes of equal score come in the order of their pictures, then as given.
    """
    known = np.unique(truth.label)
    if not len(known):
        return {"pictures": len(pictures), "boxes": 0}
    by_label = DetectionJudge(found, score, truth, len(names), pictures).precisions()
    blind = DetectionJudge(*_blind(truth, pictures), truth, len(names), pictures).precisions()
    return {
        "pictures": len(pictures),
        "boxes": len(truth.label),
        "map50": float(by_label[0, known].mean()),
        "map50_blind": float(blind[0, known].mean()),
        "map": float(by_label[:, known].mean()),
        "map_blind": float(blind[:, known].mean()),
        "map50_by_class": {names[k]: float(by_label[0, k]) for k in known},
        "map_by_class": {names[k]: float(by_label[:, k].mean()) for k in known},
    }


class DetectionJudge:
    """COCO's own evaluation. Boxes are matched once; what that is worth can be asked of any of the pictures."""

    def __init__(self, found: Objects, score: Floats, truth: Objects, labels: int, pictures: Ints) -> None:
        numbers = pictures.tolist()
        with contextlib.redirect_stdout(io.StringIO()):  # it tells how far it is
            judge = COCOeval(_coco(truth, np.ones(len(truth.label)), numbers, labels), None, "bbox")
            judge.cocoDt = _coco(found, score, numbers, labels)
            judge.params.maxDets, judge.params.areaRng, judge.params.areaRngLbl = [100], [[0, 1e10]], ["all"]
            judge.params.imgIds = numbers
            judge.evaluate()
        self._judge, self._count, self._matched = judge, len(numbers), judge.evalImgs

    def figures(self, rows: Ints) -> dict[str, float]:
        """`map50` and `map` of these pictures, by their place among all; one may come more than once."""
        by_label = self.precisions(rows)
        known = by_label[0] >= 0
        return {"map50": _mean(by_label[0, known]), "map": _mean(by_label[:, known])}

    def precisions(self, rows: Ints | None = None) -> npt.NDArray[np.float64]:
        """Average precision by IoU and label, (10, labels); -1 for a label without a true box."""
        chosen = range(self._count) if rows is None else rows.tolist()
        judge, every = self._judge, range(0, len(self._matched), max(1, self._count))
        judge.evalImgs = [self._matched[start + row] for start in every for row in chosen]
        judge.params.imgIds = judge._paramsEval.imgIds = list(chosen)
        with contextlib.redirect_stdout(io.StringIO()):
            judge.accumulate()
        return np.asarray(judge.eval["precision"][:, :, :, 0, 0].mean(axis=1))


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else float("nan")


def _blind(truth: Objects, pictures: Ints) -> tuple[Objects, Floats]:
    """The mean box of each label that there is, in every picture, and its share of all boxes."""
    labels = np.unique(truth.label)
    means = np.array([truth.xyxy[truth.label == label].mean(axis=0) for label in labels]).reshape(-1, 4)
    shares = np.array([(truth.label == label).mean() for label in labels])
    count = len(pictures)
    objects = Objects(np.repeat(pictures, len(labels)), np.tile(labels, count), np.tile(means, (count, 1)))
    return objects, np.tile(shares, count)


def _coco(objects: Objects, score: Floats, pictures: list[int], labels: int) -> Any:
    """As COCO's files have it: numbers of boxes count from 1, since 0 is what a box without a match is given."""
    corner, size = (
        objects.xyxy[:, :2].astype(np.float64),
        (objects.xyxy[:, 2:] - objects.xyxy[:, :2]).astype(np.float64),
    )
    boxes = zip(objects.picture, objects.label, np.concatenate([corner, size], axis=1), score, strict=True)
    coco = COCO()
    coco.dataset = {
        "images": [{"id": number} for number in pictures],
        "categories": [{"id": label} for label in range(labels)],
        "annotations": [
            {
                "id": number,
                "image_id": int(picture),
                "category_id": int(label),
                "bbox": xywh.tolist(),
                "area": float(xywh[2] * xywh[3]),
                "iscrowd": 0,
                "score": float(value),
            }
            for number, (picture, label, xywh, value) in enumerate(boxes, start=1)
        ],
    }
    coco.createIndex()
    return coco
