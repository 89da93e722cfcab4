"""One folder of training data: its files, and the class that the place of each gives it. Opens no file.

DATA/dunk/a.mp4  DATA/tennis/1.jpg         the class is the folder
DATA/1.jpg  DATA/1.xml                     a VOC file beside the picture, or in ../annotations
DATA/labels.json  DATA/events.csv          what such files say goes by `notes`
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

NOTES = frozenset((".json", ".csv"))

# Folders that hold a part of the data, or a kind of file, and are no class of it.
_NO_CLASS = re.compile(r"(jpeg)?images?|imgs?|videos?|train(ing)?\d*|val(id(ation)?)?\d*|test(ing)?\d*", re.IGNORECASE)
_ANNOTATIONS = ("annotations", "Annotations")


@dataclass(frozen=True, slots=True)
class Folder:
    """What lies in it, in a fixed order: pictures and clips; files that may say something of them; empty classes."""

    path: Path
    files: tuple[Path, ...]
    notes: tuple[Path, ...]
    empty: tuple[str, ...]

    def class_of(self, file: Path) -> str:
        """The nearest folder inside that may be a class; "" for files that lie right here."""
        parts = reversed(file.parent.relative_to(self.path).parts)
        return next((part for part in parts if not _NO_CLASS.fullmatch(part)), "")

    @property
    def has_classes(self) -> bool:
        """Are there at least two of them?"""
        return len({self.class_of(file) for file in self.files} - {""}) > 1


def look_into(folder: Path, takes: Callable[[Path], bool]) -> Folder:
    """All files inside that are not hidden. Links to folders are followed: data are put together by them."""
    there = sorted(path for path in _walk(folder) if path.is_file())
    files = tuple(path for path in there if takes(path))
    notes = tuple(path for path in there if path.suffix.lower() in NOTES)
    return Folder(folder, files, notes, tuple(_empty_classes(folder, there, files)))


def voc_of(file: Path) -> Path | None:
    """The VOC file of a picture."""
    beside = file.with_suffix(".xml")
    apart = (file.parent.parent / name / beside.name for name in _ANNOTATIONS)
    return next((xml for xml in (beside, *apart) if xml.is_file()), None)


def absolute(path: Path) -> Path:
    """One name for one file, whatever way it was given; links are not followed."""
    return Path(os.path.abspath(path))  # noqa: PTH100  Path.absolute keeps `..`, Path.resolve follows links


def _walk(folder: Path) -> Iterator[Path]:
    """No folder twice, so that a link to one above ends."""
    been = set[str]()
    for here, folders, files in os.walk(folder, followlinks=True):
        if (place := os.path.realpath(here)) in been:
            folders.clear()
            continue
        been.add(place)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(here, name) for name in files if not name.startswith("."))


def _empty_classes(folder: Path, there: Sequence[Path], files: Sequence[Path]) -> Iterator[str]:
    """Folders right below without a picture or clip; those that hold notes alone are no classes."""
    notes = [path for path in there if path.suffix.lower() in {*NOTES, ".xml"}]
    full = {path.relative_to(folder).parts[0] for path in (*files, *notes)}
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.name.startswith(".") and path.name not in full:
            yield path.name
