"""Training pictures made from the few there are: crops, mirrors, light. Boxes and points follow, by torchvision's own
transforms of them (`tv_tensors`). The same generator gives the same pictures."""

# B pictures, K points, M objects

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as v2
from torchvision.tv_tensors import BoundingBoxes, Image, KeyPoints

from models import geometry
from models.losses import Targets

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_LEAST_SEEN = 0.4  # a box of which less is inside the crop is no target any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How far pictures are changed. All zero, areas and `stretch` 1: not at all.

    `partners` are pairs of points that change places in the mirror, as a left and a right hand do.
    """

    smallest_area: float = 0.5  # share of the picture that a crop keeps at least
    largest_area: float = 1.0  # of a view; beyond the picture it is dark
    stretch: float = 1.25  # how far a crop's sides may depart from the picture's proportions
    mirror: float = 0.5  # probability
    light: float = 0.25  # brightness, contrast and saturation, as factors of 1 +- this
    partners: tuple[tuple[int, int], ...] = ()


NO_AUGMENTATION = Augmentation(smallest_area=1.0, stretch=1.0, mirror=0.0, light=0.0)


def partners(names: Sequence[str]) -> tuple[tuple[int, int], ...]:
    """Pairs of points whose names differ by `left` and `right` alone."""
    number = {name: k for k, name in enumerate(names)}
    mirrored = {name: name.replace("left", "right") for name in names if "left" in name}
    return tuple((number[left], number[right]) for left, right in mirrored.items() if right in number)


def augmented(
    pixels: Pixels,
    known: Targets,
    how: Augmentation,
    size_px: tuple[int, int],
    rng: np.random.Generator,
    *,
    device: torch.device | str = "cpu",
) -> tuple[Tensor, Targets]:
    """B pictures (B, H, W, 3) as uint8 (B, *size_px, 3) on `device`, where they are made, and the targets as they are
    then. A processor's rounding may be another, its crops are the same."""
    crops = random_crops(len(pixels), how, rng)
    mirror = rng.random(len(pixels)) < how.mirror
    light = rng.uniform(1 - how.light, 1 + how.light, (len(pixels), 3))
    whole_BHW3 = torch.from_numpy(pixels).to(device)
    out = whole_BHW3.new_empty((len(pixels), *size_px, 3))
    box, points, objects = known.box.clone(), _copy(known.points), _copy(known.objects)
    for k, picture_HW3 in enumerate(whole_BHW3):
        view = _View(pixels.shape[1:3], crops[k], size_px, mirror=bool(mirror[k]))
        seen = view.picture(picture_HW3.permute(2, 0, 1))
        out[k] = (_relit(seen, light[k]) if how.light else seen).permute(1, 2, 0)
        box[k] = _whole_box(view, known.box[k])
        if points is not None and known.points is not None:
            points[k] = _moved_points(view, known.points[k], how.partners)
        if objects is not None and known.objects is not None:
            objects[k] = _moved_objects(view, known.objects[k])
    return out, known._replace(box=box, points=points, objects=objects)


def _copy(values: Tensor | None) -> Tensor | None:
    return None if values is None else values.clone()


def random_crops(count: int, how: Augmentation, rng: np.random.Generator) -> Floats:
    """Parts of the picture, xyxy (count, 4), of random area, proportions and place. Where `largest_area` is above 1
    their areas are even in logarithms, and a larger one than the picture reaches beyond it."""
    if how.largest_area > 1:
        area = np.exp(rng.uniform(np.log(how.smallest_area), np.log(how.largest_area), count))
    else:
        area = rng.uniform(how.smallest_area, 1.0, count)
    stretch = np.exp(rng.uniform(-np.log(how.stretch), np.log(how.stretch), count))
    size = np.sqrt(np.stack([area * stretch, area / stretch], axis=1))
    if how.largest_area <= 1:
        size = np.minimum(size, 1.0)
    corner = rng.random((count, 2)) * (1.0 - size)
    return np.concatenate([corner, corner + size], axis=1).astype(np.float32)


class _View:
    """A crop of a picture, scaled, and perhaps in the mirror: for the picture, and for what lies in it."""

    def __init__(self, shape_px: tuple[int, ...], crop_xyxy: Floats, size_px: tuple[int, int], *, mirror: bool) -> None:
        self._height, self._width = shape_px
        edges = np.rint(crop_xyxy * [self._width, self._height, self._width, self._height]).astype(int).tolist()
        left, top, right, bottom = edges
        self._crop = top, left, max(bottom - top, 1), max(right - left, 1)
        self._size, self.mirrored = list(size_px), mirror

    def picture(self, pixels_3HW: Tensor) -> Tensor:
        """uint8 (3, H, W) -> (3, *size_px)."""
        return self._seen(Image(pixels_3HW)).as_subclass(Tensor)

    def boxes(self, xyxy: Tensor) -> Tensor:
        """Fractions (M, 4) of the picture -> of the view, not clipped."""
        canvas = (self._height, self._width)
        whole = torch.tensor([self._width, self._height] * 2)
        held = BoundingBoxes(xyxy * whole, format="XYXY", canvas_size=canvas, clamping_mode=None)
        return self._seen(held).as_subclass(Tensor) / torch.tensor(self._size[::-1] * 2)

    def points(self, xy: Tensor) -> Tensor:
        """Fractions (K, 2) of the picture -> of the view, also outside."""
        held = KeyPoints(xy * torch.tensor([self._width, self._height]), canvas_size=(self._height, self._width))
        seen = self._seen(held).as_subclass(Tensor)
        if self.mirrored:  # torchvision mirrors the centres of pixels; here a point is a place between 0 and the width
            seen = seen + torch.tensor([1, 0])
        return seen / torch.tensor(self._size[::-1])

    def _seen(self, what: Tensor) -> Tensor:
        top, left, height, width = self._crop
        if isinstance(what, Image) and (height, width) == tuple(self._size):
            part: Tensor = v2.crop(what, top, left, height, width)
        else:
            part = v2.resized_crop(what, top, left, height, width, size=self._size, antialias=True)
        if self.mirrored:
            part = v2.horizontal_flip(part)
        return part


def _whole_box(view: _View, xywh: Tensor) -> Tensor:
    """The main subject's box in the view, clipped; NaN where too little of it is left."""
    return _seen_boxes(view, _corners(xywh)[None])[0] if bool(xywh.isfinite().all()) else xywh


def _moved_objects(view: _View, objects_M5: Tensor) -> Tensor:
    """Objects of which too little is left are none."""
    xywh = _seen_boxes(view, objects_M5[:, 1:])
    left = xywh.isfinite().all(dim=1)
    moved = torch.cat([objects_M5[:, :1], _corners(xywh)], dim=1)
    none = torch.tensor([-1.0, 0, 0, 1, 1])
    return torch.where(objects_M5.isnan().any(), objects_M5, torch.where(left[:, None], moved, none))


def _corners(xywh: Tensor) -> Tensor:
    return torch.cat([xywh[..., :2], xywh[..., :2] + xywh[..., 2:]], dim=-1)


def _seen_boxes(view: _View, xyxy_M4: Tensor) -> Tensor:
    """The boxes x, y, w, h within the view, clipped to it; NaN where too little of a box is left."""
    inside = view.boxes(xyxy_M4).numpy()
    shown = geometry.clip(inside)
    share = geometry.area(shown) / np.maximum(geometry.area(inside), 1e-9)
    kept = np.where((share >= _LEAST_SEEN)[:, None], geometry.to_xywh(shown), np.nan)
    return torch.from_numpy(kept.astype(np.float32))


def _moved_points(view: _View, points_K3: Tensor, pairs: tuple[tuple[int, int], ...]) -> Tensor:
    """Points that leave the view are unknown."""
    place = view.points(points_K3[:, :2])
    inside = ((place >= 0) & (place <= 1)).all(dim=1, keepdim=True)
    moved = torch.where(inside, torch.cat([place, points_K3[:, 2:]], dim=1), torch.nan)
    if view.mirrored:
        for left, right in pairs:
            moved[[left, right]] = moved[[right, left]]
    return moved


def _relit(picture_3HW: Tensor, light: npt.NDArray[np.float64]) -> Tensor:
    """Brightness, contrast and saturation times these three factors."""
    brightness, contrast, saturation = light.tolist()
    picture_3HW = v2.adjust_brightness(picture_3HW, brightness)
    relit: Tensor = v2.adjust_saturation(v2.adjust_contrast(picture_3HW, contrast), saturation)
    return relit
