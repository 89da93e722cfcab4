"""Whole files only: written under a temporary name in the same folder, flushed to disk, renamed into place."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.errors import DiskFull, UnusableResult

TEMPORARY = ".matchcut-"  # how unfinished files begin; a killed run may leave some, the next one removes them
MAX_JSON_BYTES = 64 << 20


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """`write` gets the open temporary file. Afterwards `path` holds all of it, or what it held before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name[-100:]}")
    try:
        with temporary.open("wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"{path}: the disk is full ({error.strerror}). Free some room and run again") from error
        raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda file: file.write(text.encode("utf-8")))


def write_json(path: Path, value: object) -> None:
    """Readable, and the same bytes for the same value."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Parsed JSON, or None where there is no such file. Raises UnusableResult for anything else."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise UnusableResult(f"{path}: larger than {MAX_JSON_BYTES >> 20} MiB, so it is none of ours. Delete it")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise UnusableResult(f"{path}: not valid JSON ({error}). Delete it and run again") from error


def clean_leftovers(folder: Path) -> None:
    """Remove the unfinished files that a killed run left anywhere below `folder`. Call it under the lock."""
    for path in folder.rglob(f"{TEMPORARY}*"):
        if path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """A rename is on disk only once its folder is."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
