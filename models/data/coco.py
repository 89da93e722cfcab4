"""One COCO file (JSON) -> what it says of each picture. Coordinates are pixels and count from 0.

A picture of a COCO file has no class of its own: it is there for its boxes and points.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.data.marks import Mark, Marks, Point, keypoints
from models.data.words import Locate, name_in
from pipeline.errors import DataError

_MAX_BYTES = 500_000_000  # COCO's own largest, of 118,000 pictures, has 470 million
_LISTS = ("images", "annotations", "categories")
_SAID = {
    "crowd": "crowds are left out; their pictures hold more than is listed",
    "unknown class": "annotations of a category that is not listed are left out",
    "no box": "annotations without four numbers as bbox are left out",
    "points": "annotations have other numbers of points than their category names; their boxes are kept",
    "unknown picture": "annotations of a picture that is not listed are left out",
}

Id = int | str


@dataclass(frozen=True, slots=True)
class Coco:
    """What a file says, by picture; and what it says wrongly, in sentences."""

    marks: Mapping[Path, tuple[Marks, ...]]
    problems: tuple[str, ...]


def is_coco(path: Path) -> bool:
    """Does a JSON file name the three lists? It is not parsed for that; one that is too large is taken for one."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            return True
        content = path.read_bytes()
    except OSError:
        return False
    return all(f'"{name}"'.encode() in content for name in _LISTS)


def read_coco(path: Path, locate: Locate) -> Coco:
    """Boxes, keypoints and attributes (as CVAT writes them) of all pictures. Raises DataError.

    What is left out may well be in the picture: such a picture is not `listed`. A crowd is one box around many.
    """
    content = _parsed(path)
    images = {key: entry for entry in content["images"] if (key := _id(entry, "id")) is not None}
    categories = {key: entry for entry in content["categories"] if (key := _id(entry, "id")) is not None}
    objects, incomplete, counts = defaultdict[Id, list[Mark]](list), set[Id](), Counter[str]()
    for entry in content["annotations"]:
        image = _id(entry, "image_id")
        mark, wrong = _mark(entry, categories) if image is not None and image in images else (None, "unknown picture")
        counts.update([wrong] if wrong else [])
        if image is not None and mark:
            objects[image].append(mark)
        elif image is not None:
            incomplete.add(image)
    said = tuple(f"{kind}: {path.name}: {counts[kind]} {_SAID[kind]}" for kind in _SAID if counts[kind])
    marks, lost = defaultdict[Path, tuple[Marks, ...]](tuple), list[str]()
    for key, entry in images.items():
        try:
            place = locate(str(entry.get("file_name")))
        except DataError as error:
            lost.append(f"missing: {path.name}: {error}")
            continue
        found = Marks(objects=tuple(objects[key]), listed=key not in incomplete, size_px=_stated_size(entry))
        marks[place] += (found,)
    return Coco(marks, (*said, *lost))


def _parsed(path: Path) -> dict[str, list[Any]]:
    if path.stat().st_size > _MAX_BYTES:
        raise DataError(f"{path.name}: {path.stat().st_size} bytes, {_MAX_BYTES} at most. Part it into several files")
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name}: no JSON that can be read ({error}). Export it again") from None
    lists = content if isinstance(content, dict) else {}
    for name in _LISTS:
        if not isinstance(lists.get(name), list):
            raise DataError(f"{path.name}: no COCO file: it has no list `{name}`. Export it as COCO")
    return lists


def _id(entry: object, key: str) -> Id | None:
    value = entry.get(key) if isinstance(entry, dict) else None
    return value if isinstance(value, int | str) else None


def _mark(entry: Mapping[str, Any], categories: Mapping[Id, Mapping[str, Any]]) -> tuple[Mark | None, str]:
    """The object, or None; and which of the sentences applies, or ""."""
    if entry.get("iscrowd"):
        return None, "crowd"
    key = _id(entry, "category_id")
    category = categories.get(key) if key is not None else None
    label = name_in(category.get("name")) if category else ""
    if category is None or not label:
        return None, "unknown class"
    bbox: Any = entry.get("bbox")
    if not _numbers(bbox) or len(bbox) != 4:
        return None, "no box"
    left, top, width, height = map(float, bbox)
    points = _points(entry.get("keypoints"), category.get("keypoints"))
    mark = Mark(
        label=label,
        edges_px=(left, top, left + width, top + height),
        points_px=points or {},
        attributes=dict(_attributes(entry.get("attributes"))),
    )
    return mark, "points" if points is None else ""


def _numbers(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(v, int | float) and abs(v) < 1e9 for v in values)


def _points(values: Any, names: Any) -> dict[str, Point] | None:
    """By name; nothing where none are given, None where they cannot be told apart."""
    if not values:
        return {}
    if not _numbers(values) or not isinstance(names, list):
        return None
    try:
        return keypoints(names, values)
    except ValueError:
        return None


def _attributes(values: object) -> Iterator[tuple[str, str]]:
    if isinstance(values, dict):
        for name, value in values.items():
            if name_in(name) and name_in(value):
                yield name_in(name), name_in(value)


def _stated_size(entry: Mapping[str, Any]) -> tuple[float, float] | None:
    size = [entry.get("height"), entry.get("width")]
    return (float(size[0]), float(size[1])) if _numbers(size) else None  # type: ignore[arg-type]
