"""Content ids of inputs, remembered while size, time and inode stand, so that a second run reads no video."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from pipeline.errors import UnusableResult
from pipeline.store.files import read_json, write_json
from pipeline.store.lock import PRIVATE


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What changes when a file is written to."""

    size: int
    mtime_ns: int
    inode: int


def file_facts(path: Path) -> FileFacts:
    status = path.stat()
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
        key = os.fspath(path.resolve())
        facts = asdict(file_facts(path))
        entry = self._known.get(key)
        if isinstance(entry, dict) and entry.get("facts") == facts and isinstance(entry.get("id"), str):
            return str(entry["id"])
        self._changed = True
        self._known[key] = {"facts": facts, "id": compute(path)}
        return str(self._known[key]["id"])

    def save(self) -> None:
        if self._changed:
            write_json(self._path, self._known)
            self._changed = False
