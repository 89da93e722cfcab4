"""What annotations say of one picture, in pixels, and the same as fractions of the picture that is really there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from models import geometry
from models.data.words import name_in

Floats = npt.NDArray[np.float32]
Point = tuple[float, float, float]  # x, y, and 1 visible or 0 occluded; NaN where it is not known

_UNKNOWN = (math.nan, math.nan, math.nan)

_ROUNDING_PX = 1.5  # boxes leave the picture by so much where tools count from another end


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One object: its class, and its edges left, top, right, bottom in pixels, the picture being 0 to its width."""

    label: str
    edges_px: tuple[float, float, float, float]
    points_px: Mapping[str, Point] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """All that is said of one picture. `listed`: no object is missing; `size_px` (height, width) is what was stated.

    `named`: the main object's class is that of the picture, where no folder and no table says another.
    """

    objects: tuple[Mark, ...] = ()
    listed: bool = False
    named: bool = False
    size_px: tuple[float, float] | None = None
    holds_zero: bool = False  # a coordinate 0 in a file that should count from 1
    problems: tuple[str, ...] = ()


def joined(marks: Sequence[Marks]) -> Marks:
    """What several files say of one picture. An object that two of them name counts once, with the points of either."""
    objects: dict[tuple[object, ...], Mark] = {}
    for mark in (mark for part in marks for mark in part.objects):
        key = (mark.label, *(round(edge, 1) for edge in mark.edges_px))
        known = objects.get(key, mark)
        points = {**mark.points_px, **{name: at for name, at in known.points_px.items() if math.isfinite(at[0])}}
        objects[key] = replace(known, points_px=points, attributes={**mark.attributes, **known.attributes})
    return Marks(
        objects=tuple(objects.values()),
        listed=bool(marks) and all(part.listed for part in marks),
        named=any(part.named for part in marks),
        size_px=next((part.size_px for part in marks if part.size_px), None),
        holds_zero=any(part.holds_zero for part in marks),
        problems=tuple(problem for part in marks for problem in part.problems),
    )


@dataclass(frozen=True, slots=True)
class Placed:
    """M objects as fractions of their picture: xyxy float32 (M, 4); `main` is the number of the largest, or -1."""

    xyxy: Floats
    marks: tuple[Mark, ...]
    main: int
    listed: bool
    points: Mapping[str, Point]  # of the main object
    problems: tuple[str, ...]

    @property
    def label(self) -> tuple[str, ...]:
        return tuple(mark.label for mark in self.marks)


NOTHING = Placed(np.empty((0, 4), np.float32), (), -1, False, {}, ())


def placed(marks: Marks, shape_px: tuple[int, int], name: str) -> Placed:
    """The objects inside a picture of (height, width). `name` is the file's, for what is said of the others.

    An object that is left out, since its box is none or lies outside, may well be in the picture: it is no longer
    `listed`. A box that only reaches beyond the edge is cut there.
    """
    seen = [_seen(mark, shape_px, name) for mark in marks.objects]
    kept = [(mark, box) for mark, box, _ in seen if box is not None]
    said = tuple(sentence for _, _, sentence in seen if sentence)
    xyxy = np.array([box for _, box in kept], np.float32).reshape(-1, 4)
    main = int(np.argmax(geometry.area(xyxy))) if kept else -1
    points, strays = _points(kept[main][0], shape_px, name) if kept else ({}, ())
    return Placed(
        xyxy,
        tuple(mark for mark, _ in kept),
        main,
        marks.listed and len(kept) == len(seen),
        points,
        (*marks.problems, *_size_problem(marks, shape_px, name), *said, *strays),
    )


def _seen(mark: Mark, shape_px: tuple[int, int], name: str) -> tuple[Mark, Floats | None, str]:
    """The object, its box (4,) or None where it has none in the picture, and what is wrong with it or ""."""
    height, width = shape_px
    left, top, right, bottom = mark.edges_px
    where = f"{name}: {mark.label} at {left:g}, {top:g} to {right:g}, {bottom:g}"
    if not all(map(math.isfinite, mark.edges_px)):
        return mark, None, f"no box: {where} is left out"
    if right <= left or bottom <= top:
        return mark, None, f"box without area: {where} is left out"
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        return mark, None, f"box outside: {where} of {width} x {height} pixels is left out"
    box = geometry.clip(np.array(mark.edges_px) / [width, height, width, height]).astype(np.float32)
    beyond = max(-left, -top, right - width, bottom - height)
    said = f"box beyond the edge: {where} of {width} x {height} pixels is cut there" if beyond > _ROUNDING_PX else ""
    return mark, box, said


def _points(mark: Mark, shape_px: tuple[int, int], name: str) -> tuple[dict[str, Point], tuple[str, ...]]:
    height, width = shape_px
    points = {key: (x / width, y / height, seen) for key, (x, y, seen) in mark.points_px.items()}
    strays = [key for key, (x, y, _) in points.items() if max(abs(x - 0.5), abs(y - 0.5)) > 0.5]
    said = tuple(f"point outside: {name}: {key} is left out" for key in strays)
    return points | dict.fromkeys(strays, _UNKNOWN), said


def _size_problem(marks: Marks, shape_px: tuple[int, int], name: str) -> Iterator[str]:
    """A wrong size is common, and harmless, since it is not used. A turned one may mean boxes of a turned picture."""
    if marks.size_px is None or marks.size_px == shape_px:
        return
    (stated_height, stated_width), (height, width) = marks.size_px, shape_px
    turned = " (turned: are its boxes?)" if marks.size_px == shape_px[::-1] else ""
    yield (
        f"stated size: {name}: {stated_width:g} x {stated_height:g} pixels are stated, "
        f"it has {width} x {height}, which count{turned}"
    )


def keypoints(names: Sequence[object], values: Sequence[float]) -> dict[str, Point]:
    """COCO's x, y, v for each name: v = 0 unlabelled, 1 occluded, 2 visible. Raises ValueError."""
    if len(values) != 3 * len(names):
        raise ValueError(f"{len(values)} numbers for {len(names)} points")
    triples = zip(names, values[::3], values[1::3], values[2::3], strict=True)
    points = {name_in(name): (float(x), float(y), float(v > 1)) if v > 0 else _UNKNOWN for name, x, y, v in triples}
    if len(points) < len(names) or "" in points:
        raise ValueError("points without a name, or two of one name")
    return points
