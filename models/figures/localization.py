"""Where the main subject is: ILSVRC's localization error, and MaxBoxAccV2, each beside the best centred box.

Boxes are xyxy in fractions of the picture. A picture has one true box or several, float (M, 4) with M >= 1 each, of its
one class; a box is right where it overlaps any of them enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from models import geometry
from models.figures.ranks import ranks

Floats = npt.NDArray[np.floating]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

GOOD_IOU = 0.5
V2_IOUS = (0.3, 0.5, 0.7)
_SIDES = np.linspace(0.01, 1, 100)  # of centred boxes that are tried


def localization_errors(logits: Floats, box: Floats, tag: Ints, truth: Sequence[Floats]) -> dict[str, Any]:
    """ILSVRC's localization error (arXiv 1409.0575, 4.2) of N pictures, for the first guess and the first five: a guess
    is right where its class is and its box has IoU >= 0.5. GT-known asks for the box alone.

    `logits` (N, C), `box` (N, 4) or one per class (N, C, 4). Among equal logits the earlier class comes first. Beside
    each stands the same network with the box that never looks: centred, in the picture's proportions, of the one size
    that is right most often on these very pictures.
    """
    centred = _centred_hits(truth, GOOD_IOU)
    best = int(centred.mean(axis=1).argmax())
    blind = np.broadcast_to(centred_box(_SIDES[best]), (len(tag), 4))
    figures: dict[str, Any] = {"pictures": len(tag), "centred_side": float(_SIDES[best])}
    for suffix, found in (("", box), ("_centred", blind)):
        of_each = wrongly_localized(logits, found, tag, truth)
        figures |= {f"{name}{suffix}": float(wrong.mean()) for name, wrong in of_each.items()}
    return figures


def wrongly_localized(logits: Floats, box: Floats, tag: Ints, truth: Sequence[Floats]) -> dict[str, Bools]:
    """The same picture by picture: by the error's name which ones it counts, (N,)."""
    own = box if box.ndim == 2 else box[np.arange(len(tag)), tag]
    hit = best_ious(own, truth) >= GOOD_IOU
    rank, guesses = ranks(logits, tag), {"top1_error": 1, "top5_error": 5, "gt_known_error": logits.shape[1]}
    return {name: ~(hit & (rank < most)) for name, most in guesses.items()}


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


def max_box_accuracy(box: Floats, truth: Sequence[Floats]) -> dict[str, Any]:
    """MaxBoxAccV2 (arXiv 2007.04178) of boxes (N, 4) that were not cut out of a map at some threshold: the mean over
    IoU of 0.3, 0.5 and 0.7 of the share that is right. Beside it the best centred box, its size chosen for each."""
    ious = best_ious(box, truth)
    shares = {str(iou): float((ious >= iou).mean()) for iou in V2_IOUS}
    centred = [float(_centred_hits(truth, iou).mean(axis=1).max()) for iou in V2_IOUS]
    return {
        "pictures": len(truth),
        "max_box_acc_v2": float(np.mean(list(shares.values()))),
        "max_box_acc_v2_centred": float(np.mean(centred)),
        "by_iou": shares,
    }


def share_of_ious(iou: Floats) -> npt.NDArray[np.float64]:
    """What each picture adds to MaxBoxAccV2, (N,), by the overlap of its box."""
    return np.asarray(np.mean([iou >= least for least in V2_IOUS], axis=0))
