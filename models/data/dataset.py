"""What is known about N pictures: one frozen record, whatever it was read from. Reads no files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

BLOCK = "@"  # in the digest of a block of time: the whole file's digest stands before it
ONE_SCENE = "one scene"  # kind of the problems that a val of one's own solves
_SHOWN = 3  # problems of one kind that are told in full
_SHOWN_VALUES = 12  # of one attribute


@dataclass(frozen=True, slots=True)
class Objects:
    """M objects in N pictures: `picture` int64 (M,) ascending, `xyxy` float32 (M, 4) fractions of it, `label` (M,)."""

    picture: Ints
    xyxy: Floats
    label: tuple[str, ...]

    def __post_init__(self) -> None:
        same = len(self.picture) == len(self.xyxy) == len(self.label)
        if not same or (np.diff(self.picture) < 0).any():
            raise ValueError("objects need a picture, a box and a label each, in the order of the pictures")

    def __len__(self) -> int:
        return len(self.label)

    def rows(self, index: Ints) -> Objects:
        """The objects of these pictures, which are numbered anew in the order of `index`."""
        first, last = (np.searchsorted(self.picture, index, side) for side in ("left", "right"))
        counts = last - first
        picture = np.repeat(np.arange(len(index)), counts)
        taken = np.arange(len(picture)) + np.repeat(first - (np.cumsum(counts) - counts), counts)
        return Objects(picture, self.xyxy[taken], tuple(self.label[k] for k in taken))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """N pictures and what is known of each; what is not known is masked: "" for a name, NaN for a number.

    `file` int64 (N,) numbers `paths`, `digests` and `groups`, one entry a file, or a block of time of a long video:
    its content's digest, and its scene.
    """

    pixels: Pixels  # (N, H, W, 3)
    label: tuple[str, ...]  # (N,) class
    box: Floats  # (N, 4) xyxy of the main subject, the largest object
    file: Ints
    paths: tuple[Path, ...]
    digests: tuple[str, ...]
    groups: tuple[str, ...]
    objects: Objects
    listed: Bools  # (N,) all objects of this picture are among `objects`: the rest of it is background
    attributes: Mapping[str, tuple[str, ...]]  # further sets of labels, (N,) each
    points: Floats  # (N, K, 3) of the main subject: x, y, and 1 visible or 0 occluded
    point_names: tuple[str, ...]  # (K,)
    time_ns: Ints  # (N,) when in its file; 0 for pictures
    kinds: tuple[str, ...] = ()  # what was found, in sentences
    problems: tuple[str, ...] = ()  # each `kind: what`

    def __post_init__(self) -> None:
        count = len(self.pixels)
        columns = (self.label, self.box, self.file, self.listed, self.points, self.time_ns, *self.attributes.values())
        if any(len(column) != count for column in columns) or self.points.shape[1:] != (len(self.point_names), 3):
            raise ValueError(
                f"{count} pictures need as many entries in every column, and {len(self.point_names)} points"
            )

    def __len__(self) -> int:
        return len(self.label)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.label) - {""}))

    @property
    def group(self) -> tuple[str, ...]:
        """The scene of each picture."""
        return tuple(self.groups[k] for k in self.file)

    @property
    def path(self) -> tuple[Path, ...]:
        """The file of each picture; blocks of one video share it."""
        return tuple(self.paths[k] for k in self.file)

    def rows(self, index: Ints) -> Dataset:
        """These pictures alone; the list of files stays."""

        def some(names: Sequence[str]) -> tuple[str, ...]:
            return tuple(names[k] for k in index)

        return replace(
            self,
            pixels=self.pixels[index],
            label=some(self.label),
            box=self.box[index],
            file=self.file[index],
            objects=self.objects.rows(index),
            listed=self.listed[index],
            attributes={name: some(values) for name, values in self.attributes.items()},
            points=self.points[index],
            time_ns=self.time_ns[index],
        )

    def digests_of(self, index: Ints) -> tuple[str, ...]:
        """Contents that these pictures come from, sorted."""
        return tuple(sorted({self.digests[k] for k in self.file[index]}))

    def described(self) -> tuple[str, ...]:
        """What was found, in lines for a person; of many problems of a kind the first few."""
        return (
            *self.kinds,
            *_class_lines(self),
            *_attribute_lines(self),
            *_point_lines(self),
            *_shortened(self.problems),
        )


def _class_lines(data: Dataset) -> Iterator[str]:
    files: dict[str, set[Path]] = {}
    for label, number in zip(data.label, data.file, strict=True):
        files.setdefault(label, set()).add(data.paths[number])
    pictures, objects = Counter(data.label), Counter(data.objects.label)
    boxes = Counter(label for label, box in zip(data.label, data.box, strict=True) if np.isfinite(box).all())
    for label in sorted({*pictures, *objects}, key=lambda name: (not name, name)):
        parts = [f"{len(files[label])} files, {pictures[label]} pictures"] if label in files else []
        parts += [f"{count} {what}" for count, what in ((boxes[label], "boxes"), (objects[label], "objects")) if count]
        yield f"{label or 'of no stated class'}: {', '.join(parts)}"


def _attribute_lines(data: Dataset) -> Iterator[str]:
    for name, values in data.attributes.items():
        counts = sorted(Counter(values).items(), key=lambda item: (not item[0], item[0]))
        told = [f"{value or 'unknown'} {count}" for value, count in counts]
        more = [f"{len(told) - _SHOWN_VALUES} more"] if len(told) > _SHOWN_VALUES else []
        yield f"attribute {name}: {', '.join(told[:_SHOWN_VALUES] + more)}"


def _point_lines(data: Dataset) -> Iterator[str]:
    if data.point_names:
        known = int(np.isfinite(data.points).any(axis=(1, 2)).sum())
        yield f"points {', '.join(data.point_names)}: of {known} main subjects"


def _shortened(problems: Sequence[str]) -> Iterator[str]:
    of_kind: dict[str, list[str]] = {}
    for problem in problems:
        of_kind.setdefault(problem.partition(": ")[0], []).append(problem)
    for kind, sentences in of_kind.items():
        few = sentences if len(sentences) <= _SHOWN + 1 else sentences[:_SHOWN]
        yield from few
        if few != sentences:
            yield f"{kind}: {len(sentences) - len(few)} more, {len(sentences)} in all"


def unknown_to(train: Dataset, val: Dataset) -> tuple[str, ...]:
    """What `val` has and `train` does not know, in sentences: classes, kinds of objects, values of attributes."""
    columns = {"class": (val.label, train.label), "object": (val.objects.label, train.objects.label)}
    columns |= {name: (val.attributes[name], train.attributes.get(name, ())) for name in val.attributes}
    return tuple(
        f"unknown class: {name} ({kind}), {count} in val, is never trained on"
        for kind, (judged, trained) in columns.items()
        for name, count in sorted((Counter(judged) - Counter({"": judged.count("")})).items())
        if name not in trained
    )
