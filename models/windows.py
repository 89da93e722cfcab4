"""What is in a picture, seen through windows at several scales: labels, and boxes wherever a window shows something.

Each scale is one pass (`models.dense`). A window says what it shows and where in the window; boxes are brought into the
picture, merged over all windows and scales (`models.merge`), and cut at the picture's edge last. OverFeat, arXiv
1312.6229; where windows differ from it, it is said.
"""

# B pictures, H x W pixels, W windows of all positions, C columns of scores, K boxes of a window

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as v2

from models import geometry
from models.dense import Dense
from models.merge import merge
from models.network import BOX
from models.output import MIN_OBJECT_SCORE, FoundBoxes, Output, joined, probabilities
from models.spec import NONE, Spec

Floats = npt.NDArray[np.floating]

_CLASSES = 5  # the best of a scale, whose boxes are taken
_HELD = 0.5  # share of an object that a window must hold to be taught to find it


class Seen(NamedTuple):
    """One scale: probs (B, W, C), columns of `answering(spec)`; boxes xyxy (B, W, K, 4) that may leave the picture."""

    probs: Floats
    boxes: Floats


def answering(spec: Spec) -> Spec:
    """The network as windows answer for it: with the heads that are about windows, and their columns."""
    return replace(spec, points=(), detector=())


def find(dense: Dense, pixels_BHWC: Tensor, scales: Sequence[float], way: str) -> Output:
    """Labels and boxes of uint8 pictures, as large as the largest scale asks for (`Dense.size_px`) or larger.

    A picture's score for a label is the best of its windows', the mean over scales.
    """
    seen = [look(dense, resized(pixels_BHWC, dense.size_px(scale))) for scale in scales]
    spec = answering(dense.spec)
    best = np.stack([of_picture(scale.probs, spec) for scale in seen])
    found = joined([candidates(scale, spec) for scale in seen])
    return Output(best.mean(axis=0), in_picture(merge(found, way)), None)


def resized(pixels_BHWC: Tensor, size_px: tuple[int, int]) -> Tensor:
    """The same pictures in another size, every pixel weighing in; still uint8, as the network has learned from."""
    if pixels_BHWC.shape[1:3] == size_px:
        return pixels_BHWC
    small: Tensor = v2.resize(pixels_BHWC.permute(0, 3, 1, 2), list(size_px), antialias=True)
    return small.permute(0, 2, 3, 1)


def look(dense: Dense, pixels_BHWC: Tensor) -> Seen:
    """What all windows of pictures say, for a size that windows fill."""
    with torch.inference_mode():
        answers = {name: said.float().cpu() for name, said in dense(pixels_BHWC).items()}
    flat = {name: said.flatten(0, 2) for name, said in answers.items()}
    count, (height_px, width_px) = len(pixels_BHWC), pixels_BHWC.shape[1:3]
    probs = probabilities(flat, answering(dense.spec))
    boxes = geometry.to_xyxy(answers[BOX].flatten(1, 2).numpy())
    where = windows(dense, height_px, width_px)[:, None]
    return Seen(probs.reshape(count, -1, probs.shape[1]), geometry.placed(boxes, where))


def windows(dense: Dense, height_px: int, width_px: int) -> Floats:
    """Where the windows of a picture of that size lie, row by row: xyxy (W, 4) float64, fractions of the picture."""
    rows, columns = dense.positions(height_px, width_px)
    down, right = dense.stride_px
    top, left = np.meshgrid(np.arange(rows) * down, np.arange(columns) * right, indexing="ij")
    corner_px = np.stack([left, top], axis=-1).reshape(-1, 2)
    xyxy_px = np.concatenate([corner_px, corner_px + dense.window_px[::-1]], axis=1)
    return np.asarray(xyxy_px / np.array([width_px, height_px] * 2))


def of_picture(probs_BWC: Floats, spec: Spec) -> Floats:
    """One scale's scores of pictures, (B, C): the maximum over windows. For `none`, which the paper does not have, the
    minimum: a picture shows nothing where no window shows anything."""
    best: Floats = probs_BWC.max(axis=1)
    if NONE in spec.columns:
        column = spec.columns.index(NONE)
        best[:, column] = probs_BWC[:, :, column].min(axis=1)
    return best


def candidates(seen: Seen, spec: Spec) -> FoundBoxes:
    """The boxes of one scale for the best classes of each picture, from windows that are sure enough of them.

    A box is of a tag (not of `none`) or, in a network without tags, of an event. The paper takes every window's box.
    """
    names = [name for name in spec.tags or spec.events if name != NONE]
    columns = np.array([spec.columns.index(name) for name in names], np.int64)
    score_BWC = seen.probs[:, :, columns]
    best_BC = score_BWC.max(axis=1)
    likely_BC = best_BC >= np.sort(best_BC, axis=1)[:, -_CLASSES:][:, :1]
    picture, window, name = np.nonzero((score_BWC >= MIN_OBJECT_SCORE) & likely_BC[:, None])
    xyxy = seen.boxes[picture, window, columns[name] if spec.box_per_class else 0].astype(np.float32)
    found = FoundBoxes(picture, xyxy, score_BWC[picture, window, name], columns[name])
    return found.rows(np.flatnonzero((xyxy[:, :2] < xyxy[:, 2:]).all(axis=1)))


def in_picture(found: FoundBoxes) -> FoundBoxes:
    """What of the boxes lies in the picture."""
    kept = found.rows(np.flatnonzero(((found.xyxy[:, 2:] > 0) & (found.xyxy[:, :2] < 1)).all(axis=1)))
    return kept._replace(xyxy=geometry.clip(kept.xyxy))


class WindowTargets(NamedTuple):
    """What windows are to answer: `holds` (...) whether the object is theirs; `xywh` (..., 4) float32 its box as
    fractions of the window, which it may leave, and NaN where it is not."""

    holds: npt.NDArray[np.bool_]
    xywh: npt.NDArray[np.float32]


def window_targets(object_xyxy: Floats, window_xyxy: Floats) -> WindowTargets:
    """Whose object it is: the window has its centre (the left and top edges belong to it) and at least half of it.

    Boxes and windows (..., 4) as fractions of the picture, broadcast. The half is the paper's, for training the boxes.
    A picture without a box (NaN) has background only.
    """
    local = geometry.within(object_xyxy, window_xyxy)
    centre = (local[..., :2] + local[..., 2:]) / 2
    inside, whole = geometry.area(np.clip(local, 0, 1)), geometry.area(local)
    holds = ((centre >= 0) & (centre < 1)).all(axis=-1) & (inside >= _HELD * whole) & (whole > 0)
    xywh = np.where(holds[..., None], geometry.to_xywh(local), np.nan).astype(np.float32)
    return WindowTargets(holds, xywh)
