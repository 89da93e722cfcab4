"""A file appears under its name only when it is whole: written beside it, flushed to the disk, renamed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import DiskFull

_FULL = (errno.ENOSPC, errno.EDQUOT)
_TEMPORARY = ".matchcut-"  # as all unfinished files begin, so that what a killed run leaves is found and removed


@contextmanager
def published(target: Path, needed_bytes: int = 0) -> Iterator[Path]:
    """A path beside `target` to write to; it takes the name of `target` when the block ends well, and goes otherwise.

    Raises DiskFull with `needed_bytes` (an estimate; 0: unknown) when there is no room.
    """
    part = target.with_name(f"{_TEMPORARY}{os.getpid()}-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield part
        _flush(part)
        part.replace(target)
        _flush(target.parent)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise DiskFull(_no_room(target, needed_bytes)) from error
    finally:
        part.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _no_room(target: Path, needed_bytes: int) -> str:
    free_bytes = shutil.disk_usage(target.parent).free
    needed = f"about {needed_bytes / 1e6:.2f} MB are needed" if needed_bytes else "more is needed"
    return f"{target}: the disk is full; {needed}, {free_bytes / 1e6:.2f} MB are free. Make room and run again"
