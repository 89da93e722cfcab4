"""Folders of pictures and clips -> pixels with what is known about them. Reading is done by functions handed in.

DATA/dunk/a.mp4  DATA/other/b.mp4     clips: the class is the folder
DATA/tennis/1.jpg                     pictures: the class is the folder
DATA/1.jpg  DATA/1.xml                boxes (VOC XML): beside the picture, or in ../annotations; the class is in the
                                      file, the size is the picture's own, coordinates count from 1
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from models import geometry
from models.spec import NONE, digest_of_file
from models.split import group_in_name
from pipeline.errors import DataError, VideoError

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

_MAX_XML_BYTES = 1_000_000
_NO_BOX: tuple[float, ...] = (np.nan,) * 4


@dataclass(frozen=True, slots=True)
class Reader:
    """Which files are pictures and clips by their endings, and how they become pixels: given by the caller.

    picture(path, height_px, width_px) -> uint8 (H, W, 3); video(path, frames, height_px, width_px) -> at most so many
    pictures, evenly spread, uint8 (N, H, W, 3); shape(path) -> displayed (height, width). All raise VideoError.
    """

    picture: Callable[[Path, int, int], Pixels]
    video: Callable[[Path, int, int, int], Pixels]
    shape: Callable[[Path], tuple[int, int]]
    picture_endings: frozenset[str]
    video_endings: frozenset[str]

    def takes(self, path: Path) -> bool:
        return path.suffix.lower() in self.picture_endings | self.video_endings

    def is_video(self, path: Path) -> bool:
        return path.suffix.lower() in self.video_endings


@dataclass(frozen=True, slots=True)
class Source:
    """A file found, and what its place says: the class, and the scene it belongs to."""

    path: Path
    label: str
    group: str
    annotation: Path | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """All files under some folders, and the classes that have none."""

    sources: tuple[Source, ...]
    empty: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Dataset:
    """N pictures: pixels uint8 (N, H, W, 3), the class of each, main-subject boxes float32 (N, 4) xyxy or NaN.

    `file` int64 (N,) numbers `paths`, `digests` and `groups`, one entry a file: its content's sha256, and its scene.
    """

    pixels: Pixels
    label: tuple[str, ...]
    box: Floats
    file: npt.NDArray[np.int64]
    paths: tuple[Path, ...]
    digests: tuple[str, ...]
    groups: tuple[str, ...]
    unreadable: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.label)

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(sorted(set(self.label)))

    @property
    def group(self) -> tuple[str, ...]:
        """The scene of each picture."""
        return tuple(self.groups[k] for k in self.file)

    def rows(self, index: npt.NDArray[np.int64]) -> Dataset:
        """These pictures alone; the list of files stays."""
        return replace(
            self,
            pixels=self.pixels[index],
            label=tuple(self.label[k] for k in index),
            box=self.box[index],
            file=self.file[index],
        )

    def relabelled(self, names: Mapping[str, str]) -> Dataset:
        """The same pictures under other class names; a class renamed to nothing is left out."""
        labels = tuple(names.get(label, label) for label in self.label)
        return replace(self, label=labels).rows(np.flatnonzero([bool(label) for label in labels]))

    def digests_of(self, index: npt.NDArray[np.int64]) -> tuple[str, ...]:
        """Contents that these pictures come from, sorted."""
        return tuple(sorted({self.digests[k] for k in self.file[index]}))

    def described(self) -> tuple[str, ...]:
        """What was found, in lines for a person."""
        files: dict[str, set[int]] = {}
        for label, number in zip(self.label, self.file, strict=True):
            files.setdefault(label, set()).add(int(number))
        pictures = Counter(self.label)
        boxes = Counter(label for label, box in zip(self.label, self.box, strict=True) if np.isfinite(box).all())
        lines = [
            f"{label}: {len(files[label])} files, {pictures[label]} pictures"
            + (f", {boxes[label]} boxes" if boxes[label] else "")
            for label in self.classes
        ]
        lines += [f"empty class: {name}" for name in self.empty]
        return (*lines, *(f"unreadable: {sentence}" for sentence in self.unreadable))


def find(folders: Iterable[Path], reader: Reader, *, label: str | None = None) -> Found:
    """Files to learn from, in a fixed order. `label` names them all (a background). Raises DataError."""
    sources: list[Source] = []
    empty: list[str] = []
    for folder in folders:
        if not folder.is_dir():
            raise DataError(f"{folder}: no such folder. Give a folder of pictures or clips, one folder for each class")
        here = [_source(path, label) for path in sorted(folder.rglob("*")) if _is_input(path, folder, reader)]
        if not here:
            raise DataError(f"{folder}: holds no picture and no clip that could be learned from")
        sources += here
        empty += _empty_classes(folder, reader)
    return Found(tuple(sources), tuple(empty))


def _is_input(path: Path, folder: Path, reader: Reader) -> bool:
    hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return not hidden and reader.takes(path) and path.is_file()


def _empty_classes(folder: Path, reader: Reader) -> list[str]:
    folders = [path for path in sorted(folder.iterdir()) if path.is_dir() and not path.name.startswith(".")]
    with_files = [path for path in folders if any(_is_input(file, path, reader) for file in path.rglob("*"))]
    only_notes = {path for path in folders if any(path.rglob("*.xml"))}
    return [path.name for path in folders if path not in with_files and path not in only_notes]


def _source(path: Path, label: str | None) -> Source:
    beside = path.with_suffix(".xml")
    apart = path.parent.parent / "annotations" / beside.name
    annotation = next((xml for xml in (beside, apart) if xml.is_file()), None)
    name = label or path.parent.name
    scene = group_in_name(path)
    return Source(path, name, scene or str(path), annotation if label is None else None)


def read(found: Found, reader: Reader, size_px: tuple[int, int], *, frames: int, threads: int = 2) -> Dataset:
    """All pictures of all files at `size_px` (height, width), at most `frames` of a clip. What cannot be read is named.

    Raises DataError where nothing can be read.
    """
    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(lambda source: _read_one(source, reader, size_px, frames), found.sources))
    unreadable = tuple(result for result in results if isinstance(result, str))
    read_files = [result for result in results if not isinstance(result, str)]
    if not read_files:
        raise DataError(f"none of {len(results)} files can be read; the first: {unreadable[0]}")
    counts = [len(file.pixels) for file in read_files]
    labels = tuple(file.label for file in read_files for _ in range(len(file.pixels)))
    return Dataset(
        np.concatenate([file.pixels for file in read_files]),
        labels,
        np.repeat(np.array([file.box for file in read_files], np.float32), counts, axis=0),
        np.repeat(np.arange(len(read_files)), counts),
        tuple(file.path for file in read_files),
        tuple(file.digest for file in read_files),
        tuple(file.group for file in read_files),
        unreadable,
        tuple(sorted({*found.empty, *_lost_classes(found, labels)})),
    )


def _lost_classes(found: Found, labels: Sequence[str]) -> set[str]:
    """Classes whose every file was unreadable."""
    return {source.label for source in found.sources if source.annotation is None} - set(labels)


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    pixels: Pixels
    label: str
    box: tuple[float, ...]
    digest: str
    group: str


def _read_one(source: Source, reader: Reader, size_px: tuple[int, int], frames: int) -> _File | str:
    try:
        if reader.is_video(source.path):
            pixels = reader.video(source.path, frames, *size_px)
        else:
            pixels = reader.picture(source.path, *size_px)[None]
        label, box = source.label, _NO_BOX
        if source.annotation is not None:
            label, box = main_object(source.annotation, reader.shape(source.path))
        return _File(source.path, pixels, label, box, digest_of_file(source.path), source.group)
    except (VideoError, DataError, OSError) as error:
        return str(error)


def main_object(xml: Path, shape_px: tuple[int, int]) -> tuple[str, tuple[float, ...]]:
    """The largest object of a VOC file: its class and its box xyxy as fractions of a picture of (height, width).

    The sizes inside such files are often wrong and are not read. A file without objects shows `none`. Raises DataError.
    """
    if xml.stat().st_size > _MAX_XML_BYTES:
        raise DataError(f"{xml.name}: {xml.stat().st_size} bytes are too many for an annotation. Remove it")
    try:
        tree = ElementTree.fromstring(xml.read_bytes())  # noqa: S314  entities are bounded by the size; expat >= 2.4
        objects = [_object(node, shape_px) for node in tree.iter("object")]
    except (ElementTree.ParseError, AttributeError, TypeError, ValueError) as error:
        raise DataError(f"{xml.name}: not a VOC annotation ({error}). Correct or remove it") from error
    if not objects:
        return NONE, _NO_BOX
    return max(objects, key=lambda item: float(geometry.area(np.array(item[1]))))


def _object(node: ElementTree.Element, shape_px: tuple[int, int]) -> tuple[str, tuple[float, ...]]:
    height, width = shape_px
    left, top, right, bottom = (
        float(node.findtext(f"bndbox/{side}") or "") for side in ("xmin", "ymin", "xmax", "ymax")
    )
    if right < left or bottom < top:
        raise ValueError(f"a box from {left}, {top} to {right}, {bottom}")
    box = np.array([(left - 1) / width, (top - 1) / height, right / width, bottom / height])
    return node.findtext("name") or "", tuple(geometry.clip(box).tolist())
