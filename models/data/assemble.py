"""What was read of each file -> one record for all: columns are joined, what one file lacks is masked. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from models.data.dataset import BLOCK, ONE_SCENE, Dataset, Floats, Ints, Objects, Pixels
from models.data.find import Found, Source
from models.data.marks import NOTHING, Placed

_MOST_VALUES = 100  # of one attribute: a column of more is a name or a number
_MOST_ATTRIBUTES = 50
_MOST_POINTS = 200
_NO_TIMES = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """The pictures of one file: `label`, `block` and `time_ns` of each. Only a single picture has `placed` objects."""

    source: Source
    label: tuple[str, ...] = ()
    block: tuple[int, ...] = ()
    time_ns: Ints = field(default_factory=lambda: _NO_TIMES)
    digest: str = ""
    placed: Placed = NOTHING
    from_zero: bool = False  # its VOC file holds a 0, and counts from 1
    problems: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.label)

    @property
    def attributes(self) -> Mapping[str, str]:
        """A table is believed before an annotation."""
        main = self.placed.marks[self.placed.main].attributes if self.placed.marks else {}
        return {**main, **self.source.attributes}


def assembled(pixels: Pixels, pieces: Sequence[Piece], found: Found) -> Dataset:
    """`pixels` (N, H, W, 3) are those of all pieces, in their order."""
    full = [piece for piece in pieces if len(piece)]
    counts = [len(piece) for piece in full]
    files = [file for piece in full for file in _files(piece)]
    attributes, said = _attributes(full)
    points, point_names, surplus = _points(full)
    label = tuple(name for piece in full for name in piece.label)
    groups = tuple(group for _, _, group, _ in files)
    file = np.repeat(np.arange(len(files)), [count for _, _, _, count in files])
    problems = [problem for piece in pieces for problem in piece.problems]
    return Dataset(
        pixels=pixels,
        label=label,
        box=np.repeat(_boxes(full), counts, axis=0),
        file=file,
        paths=tuple(path for path, _, _, _ in files),
        digests=tuple(digest for _, digest, _, _ in files),
        groups=groups,
        objects=_objects(full),
        listed=np.repeat([piece.placed.listed for piece in full], counts),
        attributes=attributes,
        points=points,
        point_names=point_names,
        time_ns=np.concatenate([piece.time_ns for piece in full]),
        kinds=found.kinds,
        problems=(
            *found.problems,
            *problems,
            *_from_zero(full),
            *_lost(found, label),
            *said,
            *surplus,
            *_alone(label, file, groups),
        ),
    )


def _files(piece: Piece) -> Iterator[tuple[Path, str, str, int]]:
    """Path, digest, group and number of pictures: of the file, or of each block of time that it is parted into."""
    path, group = piece.source.path, piece.source.group
    blocks = sorted(set(piece.block))
    if len(blocks) == 1:
        yield path, piece.digest, group, len(piece)
        return
    for block in blocks:
        times_ns = piece.time_ns[np.array(piece.block) == block]
        span = f"{times_ns[0]}-{times_ns[-1]}"
        yield path, f"{piece.digest}{BLOCK}{span}", f"{group}{BLOCK}{block}", len(times_ns)


def _boxes(pieces: Sequence[Piece]) -> Floats:
    """The main objects' boxes, one for each piece."""
    unknown = np.full(4, np.nan, np.float32)
    return np.array([p.placed.xyxy[p.placed.main] if p.placed.marks else unknown for p in pieces], np.float32)


def _objects(pieces: Sequence[Piece]) -> Objects:
    starts = np.cumsum([0, *(len(piece) for piece in pieces)])[:-1]
    return Objects(
        np.repeat(starts, [len(piece.placed.marks) for piece in pieces]),
        np.concatenate([piece.placed.xyxy for piece in pieces]),
        tuple(label for piece in pieces for label in piece.placed.label),
    )


def _points(pieces: Sequence[Piece]) -> tuple[Floats, tuple[str, ...], list[str]]:
    """(N, K, 3), the K names in the order of their files, and what is said of those that are too many."""
    every = dict.fromkeys(name for piece in pieces for name in piece.placed.points)
    number = {name: k for k, name in enumerate([*every][:_MOST_POINTS])}
    points = np.full((sum(map(len, pieces)), len(number), 3), np.nan, np.float32)
    row = 0
    for piece in pieces:
        for name, point in piece.placed.points.items():
            if name in number:
                points[row, number[name]] = point
        row += len(piece)
    surplus = [f"points: {name}: {_MOST_POINTS} at most; left out" for name in [*every][_MOST_POINTS:]]
    return points, tuple(number), surplus


def _attributes(pieces: Sequence[Piece]) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Columns by name, sorted; and what is said of those that are none."""
    known = [piece.attributes for piece in pieces for _ in range(len(piece))]
    values = defaultdict[str, set[str]](set)
    for name, value in (item for attributes in known for item in attributes.items()):
        values[name].add(value)
    wide = [name for name in values if len(values[name]) > _MOST_VALUES]
    names = sorted(set(values) - set(wide))
    kept, over = names[:_MOST_ATTRIBUTES], names[_MOST_ATTRIBUTES:]
    said = [f"attribute: {name}: {len(values[name])} values, {_MOST_VALUES} at most; left out" for name in wide]
    said += [f"attribute: {name}: {_MOST_ATTRIBUTES} at most, sorted by name; left out" for name in over]
    return {name: tuple(attributes.get(name, "") for attributes in known) for name in kept}, said


def _from_zero(pieces: Sequence[Piece]) -> Iterator[str]:
    holding = [piece.source.path.name for piece in pieces if piece.from_zero]
    if holding:
        yield (
            f"coordinates: the boxes of {len(holding)} pictures (the first: {holding[0]}) hold a 0, and are read as "
            "counting from 1. They may count from 0: use --boxes-from 0"
        )


def _lost(found: Found, label: Sequence[str]) -> Iterator[str]:
    """Classes of folders, tables and events of which nothing could be read."""
    hoped = {s.label for s in found.sources if not s.events} | {e.label for s in found.sources for e in s.events}
    for name in sorted({*found.empty, *hoped} - {*label, ""}):
        yield f"empty class: {name}: no picture and no clip of it can be read"


def _alone(label: Sequence[str], file: Ints, groups: Sequence[str]) -> Iterator[str]:
    """Classes that a split by scene cannot judge."""
    scenes = defaultdict[str, set[str]](set)
    for name, number in zip(label, file, strict=True):
        scenes[name].add(groups[number])
    for name in sorted(set(scenes) - {""}):
        if len(scenes[name]) < 2:
            yield f"{ONE_SCENE}: {name}: all its pictures are of it; without --val they are learned and not judged"
