"""Training pictures made from the few there are: crops, mirrors, light. Boxes follow. Pure, given a generator."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models import geometry

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_LEAST_SEEN = 0.4  # a box of which less is inside the crop is no target any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How far pictures are changed. All zero and `smallest_area` 1: not at all."""

    smallest_area: float = 0.5  # share of the picture that a crop keeps at least
    stretch: float = 1.25  # how far a crop's sides may depart from the picture's proportions
    mirror: float = 0.5  # probability
    light: float = 0.25  # brightness and contrast, as a factor of 1 +- this


NO_AUGMENTATION = Augmentation(smallest_area=1.0, stretch=1.0, mirror=0.0, light=0.0)


def augmented(  # noqa: PLR0917  pictures and boxes, then how
    pixels: Pixels,
    xywh: Floats,
    how: Augmentation,
    size_px: tuple[int, int],
    rng: np.random.Generator,
    crops: Floats | None = None,
) -> tuple[Pixels, Floats]:
    """B pictures (B, H, W, 3) as (B, *size_px, 3), and their boxes (B, 4) x, y, w, h (NaN: none) as they are then.

    `crops` xyxy (B, 4), where given, take the place of random ones.
    """
    crops = random_crops(len(pixels), how, rng) if crops is None else crops
    mirror = rng.random(len(pixels)) < how.mirror
    out = np.empty((len(pixels), *size_px, 3), np.uint8)
    for k, picture in enumerate(pixels):
        part = cropped(picture, crops[k], size_px)
        out[k] = part[:, ::-1] if mirror[k] else part
    seen = _seen_boxes(geometry.to_xyxy(xywh), crops, mirror)
    return _relit(out, how.light, rng), geometry.to_xywh(seen).astype(np.float32)


def random_crops(count: int, how: Augmentation, rng: np.random.Generator) -> Floats:
    """Parts of the picture, xyxy (count, 4), of random area, proportions and place."""
    area = rng.uniform(how.smallest_area, 1.0, count)
    stretch = np.exp(rng.uniform(-np.log(how.stretch), np.log(how.stretch), count))
    size = np.minimum(np.sqrt(np.stack([area * stretch, area / stretch], axis=1)), 1.0)
    corner = rng.random((count, 2)) * (1.0 - size)
    return np.concatenate([corner, corner + size], axis=1).astype(np.float32)


def cropped(picture: Pixels, crop_xyxy: Floats, size_px: tuple[int, int]) -> Pixels:
    """That part of one picture (H, W, 3), scaled to `size_px` (height, width)."""
    height, width = picture.shape[:2]
    x0, y0, x1, y1 = np.rint(crop_xyxy * [width, height, width, height]).astype(int)
    part = picture[y0 : max(y1, y0 + 1), x0 : max(x1, x0 + 1)]
    if part.shape[:2] == size_px:
        return part
    shrinks = part.shape[0] > size_px[0]
    scaled = cv2.resize(part, size_px[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(scaled, np.uint8)


def _seen_boxes(xyxy: Floats, crops: Floats, mirror: npt.NDArray[np.bool_]) -> Floats:
    """The boxes within the crops, clipped; NaN where too little of a box is left."""
    inside = geometry.within(xyxy, crops)
    shown = geometry.clip(inside)
    share = geometry.area(shown) / np.maximum(geometry.area(inside), 1e-9)
    kept = np.where((share >= _LEAST_SEEN)[:, None], shown, np.nan)
    return np.where(mirror[:, None], geometry.mirrored(kept), kept)


def _relit(pixels: Pixels, light: float, rng: np.random.Generator) -> Pixels:
    if light == 0:
        return pixels
    gain, shift = rng.uniform(1 - light, 1 + light, (2, len(pixels), 1, 1, 1)).astype(np.float32)
    return np.asarray(np.clip(pixels * gain + (shift - 1) * 128, 0, 255), np.uint8)
