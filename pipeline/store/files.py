"""Bytes, text and JSON as whole files; what a killed run left is removed."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.errors import UnusableResult
from pipeline.names import PRIVATE, TEMPORARY, VIDEOS
from pipeline.whole_files import whole_file

MAX_JSON_BYTES = 64 << 20
_UNFINISHED = re.compile(re.escape(TEMPORARY) + r"\d+-")


def write_atomically(path: Path, write: Callable[[BinaryIO], object], needed_bytes: int = 0) -> None:
    """`write` gets the open temporary file. Afterwards `path` holds all of it, or what it held before.

    Raises DiskFull with `needed_bytes` (0: unknown).
    """
    with whole_file(path, needed_bytes) as part, part.open("wb") as file:
        write(file)


def write_bytes(path: Path, data: bytes) -> None:
    """Nothing is written where the file holds just that: a second run changes no file."""
    if not (path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data):
        write_atomically(path, lambda file: file.write(data), len(data))


def write_text(path: Path, text: str) -> None:
    """UTF-8. A byte of a file name that is none stands there as JSON writes it: `\\udc80` to `\\udcff`."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


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
    except OSError as error:
        raise UnusableResult(f"{path}: cannot be read ({error.strerror}). Give access to it, or delete it") from error
    except (ValueError, RecursionError) as error:
        raise UnusableResult(f"{path}: not valid JSON ({error}). Delete it and run again") from error


def clean_leftovers(out: Path) -> None:
    """Remove the unfinished files that a killed run left in the output folder `out`. Call it under the lock."""
    places = (out.glob("*"), (out / PRIVATE).glob("*"), (out / VIDEOS).rglob("*"))
    for path in chain.from_iterable(places):
        if _UNFINISHED.match(path.name) and path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)
