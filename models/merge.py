"""The boxes of many windows -> one box for each object: four ways, each picture and each class by itself.

A way is a function of the boxes of one class in one picture, xyxy (M, 4) and score (M,) in float64, best first (ties by
coordinates, so that the order in which boxes come changes nothing); it answers as many or fewer. M is at least 1.

    greedy      OverFeat's: the best matching pair becomes its mean, until no pair matches   arXiv 1312.6229, 4.3
    nms         the best box stays, what overlaps it goes                                    torchvision.ops
    soft-nms    what overlaps a better box loses score                                       arXiv 1704.04503
    fusion      what overlaps a better box is averaged with it, weighted by score            arXiv 1910.13302
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torchvision.ops import nms as torchvision_nms

from models import geometry
from models.output import FoundBoxes, joined

Floats = npt.NDArray[np.float64]
Way = Callable[[Floats, Floats], tuple[Floats, Floats]]

_MATCH = 0.7  # match score up to which two boxes are one: of two that are equally large, an IoU of a half
_SAME = 0.55  # IoU from which two boxes are one object
_SOFT = 0.5  # the sigma of soft-NMS
_FADED = 0.2  # share of its score below which a box has faded away


def merge(found: FoundBoxes, way: str) -> FoundBoxes:
    """What MERGES[way] makes of the boxes of each class in each picture; ordered by picture, then the best first.

    Boxes may leave the picture; each needs x0 < x1 and y0 < y1. A single box stays as it is, and no box leaves the hull
    of those that it was made from.
    """
    groups = []
    for rows in _groups(found):
        xyxy, score = MERGES[way](found.xyxy[rows].astype(np.float64), found.score[rows].astype(np.float64))
        picture, label = (np.full(len(score), part[rows[0]]) for part in (found.picture, found.label))
        groups.append(FoundBoxes(picture, xyxy.astype(np.float32), score.astype(np.float32), label))
    if not groups:
        return found
    merged = joined(groups)
    return merged.rows(_best_first(merged))


def _groups(found: FoundBoxes) -> list[npt.NDArray[np.int64]]:
    """The rows of each class in each picture, best first."""
    order = _best_first(found)
    kinds = np.stack([found.picture[order], found.label[order]], axis=1)
    _, group = np.unique(kinds, axis=0, return_inverse=True)
    return [order[group == number] for number in range(group.max(initial=-1) + 1)]


def _best_first(found: FoundBoxes) -> npt.NDArray[np.int64]:
    """Ordered by picture, falling score, coordinates, label."""
    return np.lexsort((found.label, *found.xyxy.T, -found.score, found.picture))


def greedy(xyxy: Floats, score: Floats) -> tuple[Floats, Floats]:
    """OverFeat: merge the pair with the least match score until it exceeds a threshold.

    Taken from the paper: the loop, and a mean of coordinates. It calls the match score the "sum of the distance between
    centers of the two bounding boxes and the intersection area of the boxes", and is silent about units, about the
    threshold, and about how a larger intersection could lower what is minimised. Here: the distance in diagonals of the
    hull of both, plus one minus the intersection's share of the union, so 0 for the same box and above 1 for boxes that
    do not touch. It leaves open whether a merged box counts once or as often as windows are in it: here the latter.

    The final confidence is the paper's, class scores "cumulatively added" over the windows of a box; since a sum is no
    probability, sums are scaled so that the largest becomes the best score of a single window. Their order is kept.
    """
    boxes, total, count = xyxy.copy(), score.copy(), np.ones(len(score))
    alive = np.ones(len(score), bool)
    match = _match_score(boxes[:, None], boxes)
    np.fill_diagonal(match, np.inf)
    while True:
        one, other = np.unravel_index(match.argmin(), match.shape)
        if match[one, other] > _MATCH:
            break
        boxes[one] = np.average(boxes[[one, other]], axis=0, weights=count[[one, other]])
        total[one], count[one] = total[one] + total[other], count[one] + count[other]
        alive[other] = False
        match[one] = np.where(alive, _match_score(boxes[one], boxes), np.inf)
        match[one, one] = match[other] = np.inf
        match[:, one], match[:, other] = match[one], np.inf
    total = total[alive]
    return boxes[alive], total * (score.max() / total.max() if total.any() else 0.0)


def _match_score(a: Floats, b: Floats) -> Floats:
    apart = (a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) / 2
    hull = np.maximum(a[..., 2:], b[..., 2:]) - np.minimum(a[..., :2], b[..., :2])
    distance = np.linalg.norm(apart, axis=-1) / np.linalg.norm(hull, axis=-1)
    return np.asarray(distance + 1 - geometry.iou(a, b))


def nms(xyxy: Floats, score: Floats) -> tuple[Floats, Floats]:
    """Non-maximum suppression."""
    kept = torchvision_nms(torch.from_numpy(xyxy), torch.from_numpy(score), _SAME).numpy()
    return xyxy[kept], score[kept]


def soft_nms(xyxy: Floats, score: Floats) -> tuple[Floats, Floats]:
    """Soft-NMS with the Gaussian penalty. A box left with less than a fifth of its score is dropped: the paper's small
    absolute threshold would leave copies of a box, since a copy keeps exp(-1 / sigma) = 14 %."""
    left, share = np.ones(len(score), bool), np.ones(len(score))
    while left.any():
        best = int(np.where(left, score * share, -1.0).argmax())
        left[best] = False
        penalty = np.exp(-(geometry.iou(xyxy[best], xyxy) ** 2) / _SOFT)
        share = np.where(left, share * penalty, share)
        left &= share >= _FADED
    kept = share >= _FADED
    return xyxy[kept], (score * share)[kept]


def fusion(xyxy: Floats, score: Floats) -> tuple[Floats, Floats]:
    """Weighted boxes fusion: each box joins the fused box that it overlaps most, or starts one. A fused box is the mean
    of its boxes weighted by their scores, its score their mean. The paper then lowers boxes that few of its models
    found; windows are no models, and many never see the object, so here that is left out."""
    weight = np.maximum(score, np.finfo(np.float32).tiny)
    fused, members = np.empty((0, 4)), list[list[int]]()
    for row, box in enumerate(xyxy):
        overlap = geometry.iou(box, fused)
        if overlap.max(initial=0.0) > _SAME:
            joined = int(overlap.argmax())
            members[joined].append(row)
            fused[joined] = np.average(xyxy[members[joined]], axis=0, weights=weight[members[joined]])
        else:
            members.append([row])
            fused = np.concatenate([fused, box[None]])
    return fused, np.array([score[rows].mean() for rows in members])


MERGES: Mapping[str, Way] = {"greedy": greedy, "nms": nms, "soft-nms": soft_nms, "fusion": fusion}
