"""Which files of a folder are videos to be looked at. Decodes nothing; `probe` says what each file really is."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import UsageError

SUMMARY = "summary.json"
VIDEO_ENDINGS = frozenset(
    (".3g2", ".3gp", ".264", ".265", ".asf", ".avi", ".flv", ".gif", ".h264", ".h265", ".hevc", ".ivf", ".m2ts", ".m4s")
    + (".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv")
)


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
    """Walk folders; take files that are named as they are. Raises UsageError for a path that does not exist.

    Left out: hidden files and folders, `out`, and any folder that holds a summary.json of ours. Links to folders are
    not followed. The same file given twice counts once.
    """
    found: dict[Path, Input] = {}
    ignored = 0
    for root in given:
        if not root.exists():
            raise UsageError(f"{root}: no such file or folder")
        for path in _walk(root, out.resolve()):
            if path != root and path.suffix.lower() not in VIDEO_ENDINGS:
                ignored += 1
            else:
                relative = path.name if path == root else path.relative_to(root).as_posix()
                found.setdefault(path.resolve(), Input(path, relative))
    return Inputs(tuple(sorted(found.values())), ignored)


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
    """A summary.json of ours, not just any: cameras and other tools write files of that name too."""
    try:
        with (folder / SUMMARY).open("rb") as file:
            return b'"matchcut.summary/' in file.read(4096)
    except OSError:
        return False


def settled(files: Sequence[Input], now_s: float, quiet_s: float) -> tuple[Input, ...]:
    """Those whose size and time stood still for `quiet_s`: a file that is still being copied is not taken.

    A file's own time may lie in the past (cp -p), so its inode's change time counts as well.
    """
    return tuple(file for file in files if now_s - _last_change_s(file.path) >= quiet_s)


def _last_change_s(path: Path) -> float:
    status = path.stat()
    return max(status.st_mtime, status.st_ctime)
