"""A file appears under its name only when it is whole: written beside it, flushed to the disk, renamed."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import DiskFull
from pipeline.names import TEMPORARY

_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def whole_file(target: Path, needed_bytes: int = 0) -> Iterator[Path]:
    """A path beside `target` to write to; it takes the name of `target` when the block ends well, and goes otherwise.

    Raises DiskFull with `needed_bytes` (an estimate; 0: unknown) when there is no room.
    """
    part = target.with_name(f"{TEMPORARY}{os.getpid()}-{target.name}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield part
        _flush(part)
        part.replace(target)
        _flush(target.parent)  # a rename is on disk only once its folder is
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
    standing = next(parent for parent in target.parents if parent.exists())
    needed = f"about {needed_bytes} bytes are needed" if needed_bytes else "more is needed"
    return f"{target}: the disk is full; {needed}, {shutil.disk_usage(standing).free} are free. Make room and run again"
