"""Where the main subject is: ILSVRC's localization error, and MaxBoxAccV2, each beside the best centred box.

Boxes are xyxy in fractions of the picture. A picture has one true box or several, float (M, 4) with M >= 1 each, of its
one class; a box is right where it overlaps any of them enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from models import geometry

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]

GOOD_IOU = 0.5
V2_IOUS = (0.3, 0.5, 0.7)
MAP_PX = 224  # what score maps are enlarged to before they are cut, in the reference implementation
_SIDES = np.linspace(0.01, 1, 100)  # of centred boxes that are tried


def localization_errors(logits: Floats, box: Floats, tag: Ints, truth: Sequence[Floats]) -> dict[str, Any]:
    """ILSVRC's localization error (arXiv 1409.0575, 4.2) of N pictures, for the first guess and the first five: a guess
    is right where its class is and its box has IoU >= 0.5. GT-known asks for the box alone.

    `logits` (N, C), `box` (N, 4) or one per class (N, C, 4). Among equal logits the earlier class comes first. Beside
    each stands the same network with the box that never looks: centred, in the picture's proportions, of the one size
    that is right most often on these very pictures.
    """
    own = box if box.ndim == 2 else box[np.arange(len(tag)), tag]
    hit = best_ious(own, truth) >= GOOD_IOU
    centred = _centred_hits(truth, GOOD_IOU)
    best = int(centred.mean(axis=1).argmax())
    rank = _ranks(logits, tag)
    figures: dict[str, Any] = {"pictures": len(tag), "centred_side": float(_SIDES[best])}
    for name, guesses in (("top1", 1), ("top5", 5), ("gt_known", logits.shape[1])):
        figures[f"{name}_error"] = float(1 - (hit & (rank < guesses)).mean())
        figures[f"{name}_error_centred"] = float(1 - (centred[best] & (rank < guesses)).mean())
    return figures


def _ranks(logits: Floats, tag: Ints) -> Ints:
    """How many classes come before the true one, (N,)."""
    own = np.take_along_axis(logits, tag[:, None], axis=1)
    earlier = np.arange(logits.shape[1]) < tag[:, None]
    return np.asarray(((logits > own) | ((logits == own) & earlier)).sum(axis=1))


def best_ious(box: Floats, truth: Sequence[Floats]) -> npt.NDArray[np.float64]:
    """Of N boxes (N, 4) the overlap with the true box of its picture that it overlaps most, (N,)."""
    counts = np.array([len(boxes) for boxes in truth], np.int64)
    flat = np.concatenate([np.asarray(boxes, np.float64) for boxes in truth])
    ious = geometry.iou(np.repeat(np.asarray(box, np.float64), counts, axis=0), flat)
    return np.asarray(np.maximum.reduceat(ious, np.append(0, counts.cumsum()[:-1])))


def centred_box(side: float) -> npt.NDArray[np.float64]:
    """xyxy (4,) of a box in the middle that takes `side` of the width and of the height."""
    return np.array([0.5 - side / 2, 0.5 - side / 2, 0.5 + side / 2, 0.5 + side / 2])


def _centred_hits(truth: Sequence[Floats], iou: float) -> npt.NDArray[np.bool_]:
    """(sides, N): whether the centred box of each size is right."""
    boxes = [np.broadcast_to(centred_box(side), (len(truth), 4)) for side in _SIDES]
    return np.array([best_ious(box, truth) >= iou for box in boxes])


def max_box_accuracy(boxes: Sequence[Floats], truth: Sequence[Floats]) -> dict[str, Any]:
    """MaxBoxAccV2 (arXiv 2007.04178) of boxes that were not cut out of a map, the same at every threshold: float (K, 4)
    for each picture, K >= 0, of which any may be right. See `max_box_accuracy_of_maps`."""
    ious = np.array([_best_iou(found, true) for found, true in zip(boxes, truth, strict=True)])
    return _accuracies([float((ious >= iou).mean()) for iou in V2_IOUS], truth)


def max_box_accuracy_of_maps(maps: Sequence[Floats], truth: Sequence[Floats]) -> dict[str, Any]:
    """MaxBoxAccV2 of N score maps (H, W) of any size: cut at a threshold, a map is right where the box round any of its
    connected parts overlaps any true box enough. For each IoU of 0.3, 0.5 and 0.7 the one threshold counts that is best
    over all pictures; the mean of the three is the figure. Beside it the best centred box, its size chosen likewise.

    All as the reference implementation (clovaai/wsolevaluation) has it: maps become 224 x 224 by bicubic interpolation,
    0 to 255 from their least to their greatest value, and are cut above each level; holes have contours of their own;
    boxes are whole pixels, both ends included, true ones rounded down.
    """
    ious = np.array([_ious_by_level(score, true) for score, true in zip(maps, truth, strict=True)])
    return _accuracies([float((ious >= iou).mean(axis=0).max()) for iou in V2_IOUS], truth)


def _accuracies(shares: Sequence[float], truth: Sequence[Floats]) -> dict[str, Any]:
    centred = [float(_centred_hits(truth, iou).mean(axis=1).max()) for iou in V2_IOUS]
    return {
        "pictures": len(truth),
        "max_box_acc_v2": float(np.mean(shares)),
        "max_box_acc_v2_centred": float(np.mean(centred)),
        "by_iou": {str(iou): share for iou, share in zip(V2_IOUS, shares, strict=True)},
    }


def _best_iou(found: Floats, true: Floats) -> float:
    """The largest overlap of any of K boxes with any of M; 0 for K = 0."""
    every = geometry.iou(np.asarray(found, np.float64)[:, None], np.asarray(true, np.float64)[None])
    return float(every.max(initial=0.0))


def _ious_by_level(score: Floats, true: Floats) -> npt.NDArray[np.float64]:
    """(255,) the best overlap of any part of the map above each level, 0 to 254, with any true box."""
    image = _stretched(score)
    inside = np.minimum(np.floor(np.asarray(true, np.float64) * MAP_PX + 1e-6), MAP_PX - 1)
    levels = np.unique(image)  # between two of these the parts are the same
    best = [_best_iou(_half_open(_parts_above(image, int(level))), _half_open(inside)) for level in levels]
    return np.array(best)[np.searchsorted(levels, np.arange(255), side="right") - 1]


def _stretched(score: Floats) -> npt.NDArray[np.uint8]:
    """A map that is the same everywhere becomes 0."""
    large = cv2.resize(np.asarray(score, np.float32), (MAP_PX, MAP_PX), interpolation=cv2.INTER_CUBIC)
    low, high = float(large.min()), float(large.max())
    return ((large - low) / (high - low) * 255).astype(np.uint8) if high > low else np.zeros_like(large, np.uint8)


def _parts_above(image: npt.NDArray[np.uint8], level: int) -> npt.NDArray[np.float64]:
    """Boxes (K, 4) in pixels, both ends included; where nothing is above, the corner's pixel."""
    above = (image > level).astype(np.uint8)
    contours = cv2.findContours(above, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[0]
    rectangles = [cv2.boundingRect(contour) for contour in contours]
    last = MAP_PX - 1
    boxes = [(x, y, min(x + width, last), min(y + height, last)) for x, y, width, height in rectangles]
    return np.array(boxes or [(0, 0, 0, 0)], np.float64)


def _half_open(pixels: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(pixels + np.array([0.0, 0, 1, 1]))
