"""From classes of folders to what each head is to answer: tags, events, boxes; what is unknown stays unknown."""

# N pictures, E events, A attributes, K points, M objects at most in one picture

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models import geometry
from models.data.dataset import Dataset
from models.losses import Targets
from models.network import BOX, EVENTS, OBJECTS, POINTS, TAGS, attribute
from models.spec import HEADS, NONE, Spec
from pipeline.errors import DataError

_MANY = 2  # objects in a picture, from which on one box does not tell it all
_FILL = (-1.0, 0.0, 0.0, 1.0, 1.0)  # no object


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which labels the data teach, by head."""

    tags: tuple[str, ...] = ()
    events: tuple[str, ...] = ()
    boxes: bool = False
    box_per_class: bool = False
    attributes: tuple[tuple[str, tuple[str, ...]], ...] = ()
    points: tuple[str, ...] = ()
    detector: tuple[str, ...] = ()

    @property
    def heads(self) -> tuple[str, ...]:
        """Those of `HEADS` that are taught."""
        taught = (self.tags or self.events, self.boxes, self.attributes, self.points, self.detector)
        return tuple(head for head, there in zip(HEADS, taught, strict=True) if there)

    @property
    def places_alone(self) -> bool:
        """Whether boxes, points or objects are asked for, and no class, event or attribute of the picture."""
        return bool(self.heads) and not (self.tags or self.events or self.attributes)

    @classmethod
    def of(cls, spec: Spec) -> Plan:
        """What the heads of a network answer."""
        return cls(
            tags=spec.tags,
            events=spec.events,
            boxes=spec.localizer,
            box_per_class=spec.box_per_class,
            attributes=spec.attributes,
            points=spec.points,
            detector=spec.detector,
        )


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known about N pictures: tag (N,) or -1; events (N, E) 1, 0 or NaN; box (N, 4) xyxy or NaN; attributes
    (N, A) or -1; points (N, K, 3) or NaN; objects (N, M, 5) class, x0, y0, x1, y1, filled up with class -1, NaN where
    nobody listed them; alike (N, L, 4) the boxes of all objects of the largest one's own class, filled up with NaN: who
    shows any of them is right. Without it the main subject is the only one."""

    tag: npt.NDArray[np.int64]
    events: npt.NDArray[np.float32]
    box: npt.NDArray[np.float32]
    attributes: npt.NDArray[np.int64]
    points: npt.NDArray[np.float32]
    objects: npt.NDArray[np.float32]
    alike: npt.NDArray[np.float32] | None = None

    def boxes(self, index: npt.NDArray[np.int64]) -> list[npt.NDArray[np.float32]]:
        """Of each of these pictures, which have a main subject, the boxes of which any is right, (M, 4): its own first,
        and perhaps once more, then those of objects like it."""
        main = self.box[index, None]
        boxes = main if self.alike is None else np.concatenate([main, self.alike[index]], axis=1)
        return [some[np.isfinite(some).all(axis=1)] for some in boxes]

    def targets(self) -> Targets:
        """The same as tensors for a loss; boxes as x, y, w, h."""
        xywh = geometry.to_xywh(self.box).astype(np.float32)
        tensors: list[Tensor] = [
            torch.from_numpy(part) for part in (self.tag, self.events, xywh, self.attributes, self.points, self.objects)
        ]
        tag, events, box, attributes, points, objects = tensors
        return Targets(tag, events, box, attributes=attributes, points=points, objects=objects)

    def digest(self) -> str:
        """Of all that is taught, for what must be done again when it has changed."""
        parts = (self.tag, self.events, self.box, self.attributes, self.points, self.objects)
        return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()

    def rows(self, index: npt.NDArray[np.int64]) -> Truth:
        """What is known about these pictures."""
        return Truth(
            self.tag[index],
            self.events[index],
            self.box[index],
            self.attributes[index],
            self.points[index],
            self.objects[index],
            None if self.alike is None else self.alike[index],
        )

    def without(self, heads: Sequence[str]) -> Truth:
        """The same, with nothing known for these heads: the data do not speak about them."""
        unknown: dict[str, dict[str, Any]] = {
            TAGS: {"tag": np.full_like(self.tag, -1)},
            EVENTS: {"events": np.full_like(self.events, np.nan)},
            BOX: {"box": np.full_like(self.box, np.nan)},
            POINTS: {"points": np.full_like(self.points, np.nan)},
            OBJECTS: {"objects": np.full_like(self.objects, np.nan)},
            attribute(0): {"attributes": np.full_like(self.attributes, -1)},
        }
        return replace(self, **{name: value for head in heads for name, value in unknown.get(head, {}).items()})


def plan_labels(
    data: Dataset, events: Sequence[str], heads: Sequence[str] = (), *, box_per_class: bool = False
) -> Plan:
    """Sort what was found into labels by head. `none` is what negatives are called.

    Classes beside events become tags where there are two of them or more; a single one is their background. One class
    alone can still teach its boxes. `heads` are the wanted ones of HEADS; none named: all that the data can teach, the
    detector where a picture lists more than one object. Raises DataError.
    """
    wanted = set(heads or HEADS)
    boxes = "localizer" in wanted and bool(np.isfinite(data.box).all(axis=1).any())
    detector = _detector(data, asked="detector" in heads) if "detector" in wanted else ()
    points = data.point_names if "points" in wanted and boxes else ()  # they are placed in the main subject's box
    attributes = _attributes(data) if "attributes" in wanted else ()
    where = boxes or bool(detector) or bool(attributes)
    tags, events = _classes(data.classes, events, alone=where)
    tags = tags if "classifier" in wanted else ()
    if box_per_class and not (boxes and tags):
        raise DataError("--box-per-class: the data have no boxes, or no classes. Give both, or leave it out")
    for head, found in (("localizer", boxes), ("detector", detector), ("points", points), ("attributes", attributes)):
        if head in heads and not found:
            beside = " without boxes and --heads localizer" if head == "points" and data.point_names else ""
            raise DataError(f"--heads {head}: the data teach nothing of that{beside}. docs/models.md says what is read")
    return Plan(
        tags=tags,
        events=events,
        boxes=boxes,
        box_per_class=box_per_class,
        attributes=attributes,
        points=points,
        detector=detector,
    )


def _classes(classes: Sequence[str], events: Sequence[str], *, alone: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tags and events. `alone`: a class without negatives is no error, since something else is taught."""
    unknown = sorted(set(events) - set(classes))
    if unknown:
        raise DataError(f"--events {' '.join(unknown)}: no such class; found {', '.join(sorted(classes))}")
    others = tuple(sorted(set(classes) - set(events)))
    if not (others or events or alone):
        raise DataError("nothing says what the pictures show: no class and no box. Add folders of classes, or boxes")
    if events and not others:
        raise DataError(_no_negatives(events))
    if len(others) >= _MANY:
        return others, tuple(events)
    if not events and not alone:
        raise DataError(_no_negatives(others))
    return (), tuple(events)


def _no_negatives(labels: Sequence[str]) -> str:
    return (
        f"only {', '.join(labels)}: a single label without negatives teaches nothing. "
        "Add folders of other classes, or --background DIR with what it is not"
    )


def _detector(data: Dataset, *, asked: bool) -> tuple[str, ...]:
    """Classes of objects, where pictures list several of them or it was asked for."""
    many = len(data.objects) > 0 and int(np.bincount(data.objects.picture).max()) >= _MANY
    return tuple(sorted(set(data.objects.label) - {""})) if asked or many else ()


def _attributes(data: Dataset) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Sets with two values or more, by name."""
    values = {name: tuple(sorted(set(column) - {""})) for name, column in data.attributes.items()}
    return tuple((name, labels) for name, labels in sorted(values.items()) if len(labels) >= _MANY)


def truth_of(data: Dataset, plan: Plan) -> Truth:
    """The data's classes as those labels. A class that is an event has no tag; any other class is no event.

    A class that the labels do not know has no tag, and no class at all is unknown for both; no box is lost for that.
    """
    tag = _numbers(data.label, plan.tags)
    yes = np.array([[label == event if label else np.nan for event in plan.events] for label in data.label], np.float32)
    sets = [_numbers(data.attributes.get(name, ("",) * len(data)), labels) for name, labels in plan.attributes]
    return Truth(
        tag,
        yes.reshape(len(data), len(plan.events)),
        data.box,
        np.stack(sets, axis=1) if sets else np.empty((len(data), 0), np.int64),
        _points(data, plan.points),
        _objects(data, plan.detector),
        _alike(data) if plan.boxes else None,
    )


def _numbers(names: Sequence[str], labels: Sequence[str]) -> npt.NDArray[np.int64]:
    number = {name: k for k, name in enumerate(labels)}
    return np.array([number.get(name, -1) for name in names], np.int64)


def _points(data: Dataset, names: Sequence[str]) -> npt.NDArray[np.float32]:
    """The points of those names, NaN where the data do not have them."""
    found = np.full((len(data), len(names), 3), np.nan, np.float32)
    for k, name in enumerate(names):
        if name in data.point_names:
            found[:, k] = data.points[:, data.point_names.index(name)]
    return found


def _objects(data: Dataset, names: Sequence[str]) -> npt.NDArray[np.float32]:
    """Objects of those classes by picture. A class that is not known is background."""
    known = _numbers(data.objects.label, names)
    rows = np.flatnonzero(known >= 0)
    picture = data.objects.picture[rows]
    place = _place(picture)
    most = int(place.max(initial=-1)) + 1 if names else 0
    objects = np.tile(np.array(_FILL, np.float32), (len(data), max(most, 1), 1))
    if names:
        objects[picture, place, 0] = known[rows]
        objects[picture, place, 1:] = data.objects.xyxy[rows]
    objects[~data.listed] = np.nan
    return objects


def _place(picture: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Which object of its picture each is, counted from 0; `picture` (M,) ascending."""
    return np.arange(len(picture)) - np.searchsorted(picture, picture)


def _alike(data: Dataset) -> npt.NDArray[np.float32]:
    """All objects of the class that the largest one of their picture has, of equal ones the first."""
    objects, main = data.objects, np.full(len(data), -1)
    from_small = np.argsort(-geometry.area(objects.xyxy), kind="stable")[::-1]
    main[objects.picture[from_small]] = from_small  # the last one stays
    label = np.array(objects.label, dtype=object)
    same = np.flatnonzero(label == label[main[objects.picture]])
    picture = objects.picture[same]
    place = _place(picture)
    boxes = np.full((len(data), int(place.max(initial=-1)) + 1, 4), np.nan, np.float32)
    boxes[picture, place] = objects.xyxy[same]
    return boxes


def unknown_classes(data: Dataset, plan: Plan) -> tuple[str, ...]:
    """Classes of the data that are no labels. Beside events alone they are their negatives, and known as that."""
    if not (plan.tags or plan.detector):
        return ()
    return tuple(sorted(set(data.classes) - {*plan.tags, *plan.events, *plan.detector, NONE}))
