"""Content ids of inputs, remembered while size, time and inode stand, so that a second run reads no video."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.errors import UnusableResult
from pipeline.names import PRIVATE
from pipeline.store.files import read_json, write_json


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What changes when a file is written to."""

    size: int
    mtime_ns: int
    inode: int


def file_facts(path: Path) -> FileFacts | None:
    """None where no file can be looked at (any more)."""
    try:
        status = path.stat()
    except OSError:
        return None
    return FileFacts(status.st_size, status.st_mtime_ns, status.st_ino)


class Fingerprints:
    """A small cache in the output folder. Losing it costs a few reads."""

    def __init__(self, out: Path) -> None:
        self._path = out / PRIVATE / "fingerprints.json"
        try:
            known = read_json(self._path)
        except UnusableResult:
            known = None
        self._known: dict[str, dict[str, object]] = known if isinstance(known, dict) else {}
        self._changed = False

    def get(self, path: Path, compute: Callable[[Path], str]) -> str:
        """The id of `path`, from the cache while the file stands as it was."""
        key, facts = os.path.realpath(path), file_facts(path)
        if facts is None:
            return compute(path)  # which says why
        entry = self._known.get(key)
        if isinstance(entry, dict) and entry.get("facts") == asdict(facts) and isinstance(entry.get("id"), str):
            return str(entry["id"])
        video_id = compute(path)
        self._known[key] = {"facts": asdict(facts), "id": video_id}
        self._changed = True
        return video_id

    def save(self) -> None:
        if self._changed:
            write_json(self._path, self._known)
            self._changed = False
