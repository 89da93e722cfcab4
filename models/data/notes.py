"""What JSON and CSV files say of pictures and videos. Names inside them lead nowhere but into the given DATA."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path

from models.data.coco import is_coco, read_coco
from models.data.folders import absolute
from models.data.marks import Marks
from models.data.table import Known, is_table, read_table
from models.data.timed import BLOCKS, Event
from models.data.words import name_in
from pipeline.errors import DataError

_ENOUGH_VIDEOS = 5  # to keep some for judging

Takes = Callable[[Path], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notes:
    """All that was said, by absolute path; `kinds` and `problems` are sentences."""

    marks: Mapping[Path, tuple[Marks, ...]] = field(default_factory=dict)
    known: Mapping[Path, Known] = field(default_factory=dict)
    events: Mapping[Path, tuple[Event, ...]] = field(default_factory=dict)
    kinds: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(sorted({*self.marks, *self.known, *self.events}))

    @property
    def naming(self) -> frozenset[Path]:
        """Files of which they say what is to be seen, and not only of which kind it is."""
        return frozenset({*self.marks, *self.events, *(path for path, row in self.known.items() if row.label)})

    @property
    def blocks(self) -> int:
        """Into how many blocks of time a video is parted, at most."""
        return 1 if len(self.events) >= _ENOUGH_VIDEOS else BLOCKS

    @property
    def parting(self) -> tuple[str, ...]:
        """How long videos are parted, in words."""
        if not self.events or self.blocks == 1:
            return ()
        return (f"fewer than {_ENOUGH_VIDEOS} long videos: blocks of time are parted, not videos",)


def read_notes(given: Sequence[Path], found: Sequence[Path], roots: Sequence[Path], takes: Takes) -> Notes:
    """Read the files `given`, and of those `found` in folders the ones that are annotations.

    One that cannot be read is a problem where it was found. Raises DataError for one that was given.
    """
    asked = dict.fromkeys(map(absolute, given))
    read = [_read_note(path, roots, takes) for path in asked]
    for path in dict.fromkeys(path for path in map(absolute, found) if path not in asked):
        if not (is_coco if path.suffix.lower() == ".json" else is_table)(path):
            what = "no COCO file" if path.suffix.lower() == ".json" else "no column `path`"
            read.append(Notes(problems=(f"not used: {path.name}: {what}",)))
            continue
        try:
            read.append(_read_note(path, roots, takes))
        except DataError as error:
            read.append(Notes(problems=(f"unreadable: {error}",)))
    return _joined(read)


def _read_note(path: Path, roots: Sequence[Path], takes: Takes) -> Notes:
    try:
        return _noted(path, roots, takes)
    except OSError as error:
        raise DataError(f"{path.name}: cannot be read ({error.strerror}). Check its permissions") from None


def _noted(path: Path, roots: Sequence[Path], takes: Takes) -> Notes:
    locate = partial(located, bases=(*_around(path), *roots), roots=roots, takes=takes)
    if path.suffix.lower() == ".json":
        coco = read_coco(path, locate)
        objects = sum(len(part.objects) for parts in coco.marks.values() for part in parts)
        kind = f"{path.name}: COCO, {len(coco.marks)} pictures, {objects} objects; coordinates count from 0"
        return Notes(marks=coco.marks, kinds=(kind,), problems=coco.problems)
    table = read_table(path, locate)
    what = f"{sum(map(len, table.events.values()))} events in {len(table.events)} videos"
    if not table.events:
        what = f"a table of {len(table.known)} files"
    return Notes(
        known=table.known,
        events=table.events,
        kinds=(f"{path.name}: {what}",),
        problems=table.problems,
    )


def _joined(parts: Sequence[Notes]) -> Notes:
    """Of two labels for one file the first counts; marks and events come together."""
    marks: dict[Path, tuple[Marks, ...]] = {}
    known: dict[Path, Known] = {}
    events: dict[Path, tuple[Event, ...]] = {}
    for part in parts:
        for path in part.marks:
            marks[path] = (*marks.get(path, ()), *part.marks[path])
        for path in part.events:
            events[path] = (*events.get(path, ()), *part.events[path])
        for path, new in part.known.items():
            old = known.get(path, new)
            known[path] = Known(old.label or new.label, {**new.attributes, **old.attributes})
    return Notes(
        marks=marks,
        known=known,
        events=events,
        kinds=tuple(kind for part in parts for kind in part.kinds),
        problems=tuple(problem for part in parts for problem in part.problems),
    )


def _around(path: Path) -> Iterator[Path]:
    """Where files named in `path` may lie: beside it or its folder, in `images`, and in COCO's `val2017`."""
    part = path.stem.rpartition("_")[2]
    for folder in (path.parent, path.parent.parent):
        yield from (folder, folder / "images", folder / part, folder / "images" / part)


def located(name: str, bases: Sequence[Path], roots: Sequence[Path], takes: Takes) -> Path:
    """The picture or clip of that name in the first of `bases` that has it; the first is the file's own folder.

    Whatever the name, nothing outside `roots` is looked at: a path is taken as it is written, without `..` and links.
    Raises DataError.
    """
    told = repr(name_in(name))
    if not name.strip() or "\0" in name:
        raise DataError(f"{told}: no name of a file")
    places = (_inside(base, name, roots) for base in bases)
    own = next(places)
    if own is None:
        raise DataError(f"{told} leads out of the given DATA and is refused. Give the folder that holds it as well")
    if not takes(own):
        raise DataError(f"{told} is no picture and no clip by its ending")
    for path in chain([own], places):
        if path is not None and _is_file(path):
            return path
    raise DataError(f"{told}: no such file")


def _inside(base: Path, name: str, roots: Sequence[Path]) -> Path | None:
    path = Path(os.path.normpath(base / name))
    return path if any(path.is_relative_to(root) for root in roots) else None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False
