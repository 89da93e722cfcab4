"""Boxes as fractions of the displayed picture: two notations, overlap, clipping, crops. Pure arithmetic.

`xyxy` is left, top, right, bottom; `xywh` is left, top, width, height (the corner, not the centre). Every function
takes arrays (..., 4) and keeps their leading dimensions.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

MIN_SIDE = 1e-3  # a box never collapses: x0 < x1 and y0 < y1 hold in float32 after clipping


def to_xyxy(xywh: Floats) -> Floats:
    """Corners of boxes given by corner and size."""
    xyxy = xywh.copy()
    xyxy[..., 2:] += xywh[..., :2]
    return xyxy


def to_xywh(xyxy: Floats) -> Floats:
    """Corner and size of boxes given by two corners."""
    return np.concatenate([xyxy[..., :2], xyxy[..., 2:] - xyxy[..., :2]], axis=-1)


def clip(xyxy: Floats) -> Floats:
    """The part inside the picture, at least MIN_SIDE wide and high: of a box outside, a sliver at the edge."""
    clipped = xyxy.copy()
    low, high = clipped[..., :2], clipped[..., 2:]
    np.minimum(np.maximum(low, 0.0, out=low), 1.0 - MIN_SIDE, out=low)
    np.minimum(np.maximum(high, low + MIN_SIDE, out=high), 1.0, out=high)
    return clipped


def iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union, (...), broadcast over leading dimensions; 0 where both boxes are empty."""
    inside = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0.0, None).prod(axis=-1)
    union = area(a) + area(b) - inside
    return np.asarray(np.divide(inside, union, out=np.zeros_like(union), where=union > 0))


def area(xyxy: Floats) -> Floats:
    """Share of the picture, (...); 0 for a box turned inside out."""
    return np.asarray(np.clip(xyxy[..., 2:] - xyxy[..., :2], 0.0, None).prod(axis=-1))


def within(xyxy: Floats, crop_xyxy: Floats) -> Floats:
    """The same boxes as fractions of a crop of the picture, not clipped."""
    origin = np.concatenate([crop_xyxy[..., :2]] * 2, axis=-1)
    size = np.concatenate([crop_xyxy[..., 2:] - crop_xyxy[..., :2]] * 2, axis=-1)
    return np.asarray((xyxy - origin) / size)


def placed(xyxy: Floats, crop_xyxy: Floats) -> Floats:
    """Boxes given as fractions of a crop, as fractions of the picture: the inverse of `within`."""
    origin = np.concatenate([crop_xyxy[..., :2]] * 2, axis=-1)
    size = np.concatenate([crop_xyxy[..., 2:] - crop_xyxy[..., :2]] * 2, axis=-1)
    return np.asarray(origin + xyxy * size)


def mirrored(xyxy: Floats) -> Floats:
    """The boxes in the picture seen in a mirror (left and right exchanged)."""
    return np.stack([1 - xyxy[..., 2], xyxy[..., 1], 1 - xyxy[..., 0], xyxy[..., 3]], axis=-1)
