"""Which files of a folder are videos to be looked at. Decodes nothing; `probe` says what each file really is."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError
from pipeline.names import PRIVATE

SUMMARY = "summary.json"
_ENDINGS = """
    3g2 3gp 264 265 asf avi flv gif h264 h265 hevc ivf m2ts m4s m4v mkv mov mp4 mpeg mpg mts mxf ogv ts vob webm wmv
"""
VIDEO_ENDINGS = frozenset(f".{ending}" for ending in _ENDINGS.split())


@dataclass(frozen=True, slots=True, order=True)
class Input:
    """A file and the name it has relative to the INPUT it was found under."""

    path: Path
    relative: str


@dataclass(frozen=True, slots=True)
class Inputs:
    """What was found, sorted by path; `ignored` counts the files that are no videos by their ending."""

    files: tuple[Input, ...]
    ignored: int


def find_inputs(given: Sequence[Path], out: Path) -> Inputs:
    """Walk folders; take files that are named as they are. Raises UsageError for a path that does not exist, or
    is `out` itself.

    Left out: hidden files and folders, `out`, and any folder that holds results of ours. Links to folders are not
    followed. The same file given twice counts once.
    """
    found: dict[str, Input] = {}
    taken: set[tuple[str, int]] = set()
    ignored: set[str] = set()
    for name in given:
        root = name.absolute()  # so that whatever is told of it is the same the next time
        _check_input(root, out)
        for path in _walk(root, out.resolve()):
            file = os.path.realpath(path)
            if path != root and path.suffix.lower() not in VIDEO_ENDINGS:
                ignored.add(file)
            elif file not in found:
                found[file] = Input(path, _name_of(path, root, taken))
    return Inputs(tuple(sorted(found.values())), len(ignored))


def _check_input(root: Path, out: Path) -> None:
    if not root.exists():
        raise UsageError(f"{root}: no such file or folder")
    if root.resolve() == out.resolve():
        raise UsageError(f"{root}: is the output folder too, which is never looked into. Choose another --out")


def _name_of(path: Path, root: Path, taken: set[tuple[str, int]]) -> str:
    """The path relative to the INPUT. Of files that would share it, and may be equal (their size is), the later ones
    go by their whole path: results are kept by content and this name, and no two files may share a folder."""
    relative = path.name if path == root else path.relative_to(root).as_posix()
    name = relative if (relative, _size(path)) not in taken else path.absolute().as_posix()
    taken.add((name, _size(path)))
    return name


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # a link to nowhere: `probe` says so
        return 0


def _walk(root: Path, out: Path) -> Iterator[Path]:
    if not root.is_dir():
        yield root
        return
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        if here.resolve() == out or _holds_results(here):
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (here / name for name in sorted(files) if not name.startswith("."))


def _holds_results(folder: Path) -> bool:
    """The private folder of a run, ended or not; or a summary.json of ours, not just any: cameras and other tools write
    files of that name too."""
    if (folder / PRIVATE).is_dir():
        return True
    summary = folder / SUMMARY
    try:
        return summary.is_file() and b'"matchcut.summary/' in _head(summary)
    except OSError:
        return False


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4096)


def settled(files: Sequence[Input], now_s: float, quiet_s: float) -> tuple[Input, ...]:
    """Those whose size and time stood still for `quiet_s`: a file that is still being copied is not taken.

    A file's own time may lie in the past (cp -p), so its inode's change time counts as well. One that has gone is not
    taken either.
    """
    return tuple(file for file in files if now_s - _last_change_s(file.path) >= quiet_s)


def _last_change_s(path: Path) -> float:
    try:
        status = path.stat()
    except OSError:
        return math.inf
    return max(status.st_mtime, status.st_ctime)
