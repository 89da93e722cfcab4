"""DATA as people give it -> every file once, with all that is said about it. Decodes nothing.

What is said of one file comes together, from wherever: its class from a table, or else its folder, or else (VOC) its
main object; boxes and points from VOC and COCO; attributes from both. A file of which nothing is said is left out.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from models.data.folders import NOTES, Folder, absolute, look_into, voc_of
from models.data.marks import Marks
from models.data.notes import Notes, read_notes
from models.data.reader import Reader
from models.data.table import Known
from models.data.timed import Event
from models.spec import NONE
from models.split import group_in_name
from pipeline.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file and what is known before it is read. `marks`: what JSON files say, and a VOC file that is yet to be read.

    With `events` it is a long video, of which only they and what lies between them are looked at.
    """

    path: Path
    group: str
    label: str = ""
    marks: tuple[Marks | Path, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)
    events: tuple[Event, ...] = ()

    @property
    def says_something(self) -> bool:
        return bool(self.label or self.marks or self.attributes or self.events)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All files. `boxes_from` is the first pixel's number in VOC files, `blocks` how often a long video is parted."""

    sources: tuple[Source, ...]
    empty: tuple[str, ...] = ()
    boxes_from: int = 1
    blocks: int = 1
    kinds: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def find(places: Iterable[Path], reader: Reader, *, background: Path | None = None, boxes_from: int = 1) -> Found:
    """Files to learn from, in a fixed order. `places` are folders and annotation files. Raises DataError.

    All files of the folder `background` are of the class `none`, also where it lies inside another.
    """
    folders, given = _sorted_out(places)
    roots = tuple(dict.fromkeys([*map(absolute, folders), *map(_root_of, given)]))
    looked = [look_into(folder, reader.takes) for folder in folders]
    for folder in looked:
        _refuse(not folder.files and not folder.notes, folder.path)
    notes = read_notes(given, [note for folder in looked for note in folder.notes], roots, reader.takes)
    within = Path(os.path.commonpath(roots if background is None else (*roots, absolute(background))))
    sources = {absolute(source.path): source for folder in looked for source in _in_folder(folder, notes, within)}
    for path in notes.files:
        sources[path] = _noted(sources.get(path, Source(path=path, group=_group(path, within))), path, notes)
    beside = {absolute(path): path for path in _background(background, reader)}
    known = [source for path, source in sources.items() if source.says_something and path not in beside]
    unknown = [source for source in sources.values() if not source.says_something]
    _refuse(not known, *places)
    return Found(
        sources=(*known, *(Source(path=path, group=_group(path, within), label=NONE) for path in beside.values())),
        empty=tuple(name for folder in looked for name in folder.empty),
        boxes_from=boxes_from,
        blocks=notes.blocks,
        kinds=(*_kinds(known, len(beside), reader, boxes_from), *notes.kinds, *notes.parting),
        problems=(
            *notes.problems,
            *(f"no class: {source.path.name}: nothing says what it shows" for source in unknown),
        ),
    )


def _refuse(nothing: bool, *places: Path) -> None:
    if nothing:
        raise DataError(f"{', '.join(map(str, places))}: holds no picture and no clip that could be learned from")


def _sorted_out(places: Iterable[Path]) -> tuple[list[Path], list[Path]]:
    """Folders, and annotation files."""
    folders, files = list[Path](), list[Path]()
    for place in places:
        if not place.is_dir() and not (place.is_file() and place.suffix.lower() in NOTES):
            raise DataError(
                f"{place}: no such folder, and no annotation file (.json, .csv). "
                "Give a folder of pictures or clips, one folder for each class"
            )
        (folders if place.is_dir() else files).append(place)
    return folders, files


def _root_of(note: Path) -> Path:
    """Where names in an annotation file may lead; `annotations` lies beside what it is about."""
    folder = absolute(note).parent
    return folder.parent if folder.name.lower() == "annotations" else folder


def _group(path: Path, within: Path) -> str:
    """The scene, by the names below the folder that all data lie in."""
    whole = absolute(path)
    return group_in_name(whole.relative_to(within) if whole.is_relative_to(within) else Path(path.name)) or str(path)


def _in_folder(folder: Folder, notes: Notes, within: Path) -> Iterator[Source]:
    """Where some files are annotated, the rest is of a folder's class only if there are several to choose from."""
    xml = {path: voc for path in folder.files if (voc := voc_of(path))}
    annotated = bool(xml) or any(absolute(path) in notes.naming for path in folder.files)
    otherwise = "" if annotated else absolute(folder.path).name
    by_folder = not annotated or folder.has_classes
    for path in folder.files:
        label = folder.class_of(path) or otherwise if by_folder else ""
        yield Source(path=path, group=_group(path, within), label=label, marks=(xml[path],) if path in xml else ())


def _noted(source: Source, path: Path, notes: Notes) -> Source:
    """With what JSON and CSV files say of it."""
    known = notes.known.get(path, Known("", {}))
    return replace(
        source,
        label=known.label or source.label,
        marks=(*source.marks, *notes.marks.get(path, ())),
        attributes=known.attributes,
        events=notes.events.get(path, ()),
    )


def _background(folder: Path | None, reader: Reader) -> tuple[Path, ...]:
    if folder is None:
        return ()
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    files = look_into(folder, reader.takes).files
    _refuse(not files, folder)
    return files


def _kinds(known: Sequence[Source], beside: int, reader: Reader, boxes_from: int) -> Iterator[str]:
    placed = [source for source in known if source.label and not source.events]
    clips = sum(reader.is_video(source.path) for source in placed)
    if placed:
        classes = len({source.label for source in placed})
        yield f"{len(placed) - clips} pictures and {clips} clips of {classes} classes"
    boxed = sum(any(isinstance(mark, Path) for mark in source.marks) for source in known)
    if boxed:
        yield f"{boxed} VOC files; coordinates count from {boxes_from}"
    if beside:
        yield f"{beside} files of background"
