"""From classes of folders to what each head is to answer: tags, events, boxes; what is unknown stays unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from models import geometry
from models.data import Dataset
from models.losses import Targets
from models.spec import NONE
from pipeline.errors import DataError


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known about N pictures: tag (N,) or -1; events (N, E) 1, 0 or NaN; box (N, 4) xyxy or NaN."""

    tag: npt.NDArray[np.int64]
    events: npt.NDArray[np.float32]
    box: npt.NDArray[np.float32]

    def targets(self) -> Targets:
        """The same as tensors for a loss; boxes as x, y, w, h."""
        xywh = geometry.to_xywh(self.box).astype(np.float32)
        return Targets(torch.from_numpy(self.tag), torch.from_numpy(self.events), torch.from_numpy(xywh))


@dataclass(frozen=True, slots=True)
class Plan:
    """Which labels the data teach, by kind."""

    tags: tuple[str, ...]
    events: tuple[str, ...]
    boxes: bool


def plan_labels(classes: Sequence[str], events: Sequence[str], *, boxes: bool) -> Plan:
    """Sort the classes found into tags and events. `none` is what negatives are called.

    Classes beside events become tags where there are two of them or more; a single one is their background. One class
    alone can still teach its boxes. Raises DataError.
    """
    unknown = sorted(set(events) - set(classes))
    if unknown:
        raise DataError(f"--events {' '.join(unknown)}: no such class; found {', '.join(sorted(classes))}")
    others = tuple(sorted(set(classes) - set(events)))
    if events and not others:
        raise DataError(_no_negatives(events))
    if events and len(others) == 1:
        return Plan((), tuple(events), boxes)
    if not events and len(others) == 1:
        if boxes:
            return Plan((), (), boxes)
        raise DataError(_no_negatives(others))
    return Plan(others, tuple(events), boxes)


def _no_negatives(labels: Sequence[str]) -> str:
    return (
        f"only {', '.join(labels)}: a single label without negatives teaches nothing. "
        "Add folders of other classes, or --background DIR with what it is not"
    )


def truth_of(data: Dataset, tags: Sequence[str], events: Sequence[str]) -> Truth:
    """The data's classes as those labels. A class that is an event has no tag; any other class is no event.

    A class that the labels do not know teaches (and judges) neither; of its boxes nothing is lost.
    """
    number = {name: k for k, name in enumerate(tags)}
    tag = np.array([number.get(label, -1) for label in data.label], np.int64)
    yes = np.array([[label == event for event in events] for label in data.label], np.float32)
    return Truth(tag, yes.reshape(len(data), len(events)), data.box)


def unknown_classes(data: Dataset, tags: Sequence[str], events: Sequence[str]) -> tuple[str, ...]:
    """Classes of the data that are no labels; beside events they are their negatives."""
    return tuple(sorted(set(data.classes) - {*tags, *events, NONE}))
