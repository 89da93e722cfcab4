"""Many objects on one map: which cell answers for which object, what it is wrong by, and boxes from its answers.

picture          4 x 4 cells        the object is taught in the cells whose centre lies in its box and near its
+---------+      . . . .            middle; the cell that holds its middle always is. Where two objects claim a
|  +---+  |      . # # .            cell the smaller one has it.  (FCOS with centre sampling, arXiv 1904.01355)
|  | o |  |      . # # .
|  +---+  |      . . . .
+---------+
"""

# B pictures, M objects at most in one picture, h x w cells, P cells that answer, C classes

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torchvision.ops import batched_nms, box_iou, generalized_box_iou_loss, sigmoid_focal_loss

_NEAR = 1.0  # cells around an object's middle that answer for it
_LEAST_REACH = 1e-3
_SAME = 0.55  # IoU from which two boxes of a class are one object
_AGREE = 0.02  # how far boxes may lie apart, in (1 - IoU) squared, and still say much of each other
_MOST = 100  # objects of a picture


class Assigned(NamedTuple):
    """What each cell is to answer: class (B, h, w), -1 for background; reach (B, h, w, 4) left, top, right, bottom."""

    label: Tensor
    reach: Tensor


def assign(objects_BM5: Tensor, height: int, width: int) -> Assigned:
    """Cells of `height` x `width` for objects (class, x0, y0, x1, y1); a class below 0 is no object."""
    centre = centres(height, width).view(-1, 1, 2)
    label, corners = objects_BM5[..., 0], objects_BM5[..., 1:]
    middle = (corners[..., :2] + corners[..., 2:])[:, None] / 2
    cell = torch.tensor([1 / width, 1 / height])
    off = ((centre - middle).abs() / cell).amax(dim=-1)  # (B, h*w, M), in cells
    low, high = centre - corners[:, None, :, :2], corners[:, None, :, 2:] - centre
    inside = (torch.minimum(low, high) > 0).all(dim=-1)
    answers = ((inside & (off <= _NEAR)) | (off <= 0.5)) & (label >= 0)[:, None]
    size = (corners[..., 2:] - corners[..., :2]).prod(dim=-1)[:, None]
    best = torch.where(answers, size, torch.inf).min(dim=-1)
    taken = best.values.isfinite()
    chosen = best.indices
    reach = torch.cat([low, high], dim=-1).gather(2, chosen[..., None, None].expand(-1, -1, 1, 4)).squeeze(2)
    found = torch.where(taken, label.gather(1, chosen), -1.0).long()
    shape = (len(objects_BM5), height, width)
    return Assigned(found.view(shape), reach.clamp(min=_LEAST_REACH).view(*shape, 4))


def centres(height: int, width: int) -> Tensor:
    """The middle of each cell, (h, w, 2) x, y as fractions of the picture."""
    y, x = torch.meshgrid((torch.arange(height) + 0.5) / height, (torch.arange(width) + 0.5) / width, indexing="ij")
    return torch.stack([x, y], dim=-1)


def object_loss(cells_BhwA: Tensor, objects_BM5: Tensor) -> Tensor:
    """Focal loss of the classes, GIoU of the boxes and cross-entropy of the centre-ness, each per answering cell.

    A picture whose objects are NaN, because nobody listed them, teaches nothing.
    """
    known_B = objects_BM5.isfinite().flatten(1).all(dim=1)
    cells, objects = cells_BhwA[known_B], objects_BM5[known_B]
    if not len(cells):
        return cells_BhwA.sum() * 0
    wanted = assign(objects, *cells.shape[1:3])
    here, labels = wanted.label >= 0, cells.shape[-1] - 5
    count = here.sum().clamp(min=1)
    yes = functional.one_hot(wanted.label.clamp(min=0), labels) * here[..., None]
    classes: Tensor = sigmoid_focal_loss(cells[..., :labels], yes.float(), alpha=0.25, gamma=2, reduction="sum") / count
    reach = wanted.reach[here]
    middle = centres(*cells.shape[1:3]).expand(len(cells), -1, -1, -1)[here]
    boxes = generalized_box_iou_loss(_corners(middle, cells[here][:, labels + 1 :].exp()), _corners(middle, reach))
    centred = functional.binary_cross_entropy_with_logits(cells[here][:, labels], _centreness(reach), reduction="sum")
    total: Tensor = classes + (boxes.sum() + centred) / count
    return total


def _corners(middle_P2: Tensor, reach_P4: Tensor) -> Tensor:
    """Boxes xyxy (P, 4) around points."""
    return torch.cat([middle_P2 - reach_P4[:, :2], middle_P2 + reach_P4[:, 2:]], dim=1)


def _centreness(reach_P4: Tensor) -> Tensor:
    """1 in the middle of the box, 0 at its edge, (P,)."""
    near = torch.minimum(reach_P4[:, :2], reach_P4[:, 2:]) / torch.maximum(reach_P4[:, :2], reach_P4[:, 2:])
    return near.prod(dim=1).sqrt()


class Objects(NamedTuple):
    """What was found in B pictures, the best first in each: picture (M,), xyxy (M, 4), score (M,), class (M,)."""

    picture: Tensor
    xyxy: Tensor
    score: Tensor
    label: Tensor


def objects_in(cells_BhwA: Tensor, min_score: float) -> Objects:
    """Boxes of all cells whose score is at least that, one for each object (NMS), where those that it stands for say on
    the whole, clipped to the picture.

    The score is the root of class probability times centre-ness.
    """
    labels = cells_BhwA.shape[-1] - 5
    likely = cells_BhwA[..., :labels].sigmoid() * cells_BhwA[..., labels, None].sigmoid()
    score_BhwC = likely.sqrt()
    picture, row, column, label = (score_BhwC >= min_score).nonzero(as_tuple=True)
    score = score_BhwC[picture, row, column, label]
    size = torch.tensor([cells_BhwA.shape[2], cells_BhwA.shape[1]], device=score.device)
    middle = (torch.stack([column, row], dim=1) + 0.5) / size  # as `centres` has it, for these cells alone
    xyxy = _corners(middle, cells_BhwA[picture, row, column, labels + 1 :].exp()).clamp(0, 1)
    group = picture * labels + label
    kept = batched_nms(xyxy, score, group, _SAME)
    kept = kept[torch.argsort(picture[kept], stable=True)]
    if len(kept) > _MOST:
        rank = torch.arange(len(kept), device=kept.device)
        first = torch.searchsorted(picture[kept], picture[kept])
        kept = kept[rank - first < _MOST]
    return Objects(picture[kept], _voted(xyxy, score, group, kept), score[kept], label[kept])


def _voted(xyxy: Tensor, score: Tensor, group: Tensor, kept: Tensor) -> Tensor:
    """The kept boxes, each the mean of all of its group, by their scores and by how much they are the same (box voting:
    Softer-NMS, arXiv 1809.08545, with equal variances)."""
    placed = xyxy[kept]
    for one in set(group[kept].tolist()):
        mine, everyone = (group[kept] == one).nonzero()[:, 0], (group == one).nonzero()[:, 0]
        iou = box_iou(xyxy[kept[mine]], xyxy[everyone]).nan_to_num()
        iou[torch.arange(len(mine)), torch.searchsorted(everyone, kept[mine])] = 1  # also of boxes without an area
        weight = score[everyone] * torch.exp(-((1 - iou) ** 2) / _AGREE)
        placed[mine] = weight @ xyxy[everyone] / weight.sum(dim=1, keepdim=True)
    return placed
