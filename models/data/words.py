"""Names inside files that others wrote, made fit to be labels: printable, on one line, short."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

Locate = Callable[[str], Path]  # the name of a picture or clip in such a file -> where it lies; raises DataError

_LONGEST = 100


def name_in(value: object) -> str:
    """A label as a file states it; "" for what is none (nothing, a list, a mapping)."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, str | int | float):
        return ""
    printable = "".join(c if c.isprintable() else " " for c in str(value)[: 2 * _LONGEST])
    return " ".join(printable.split())[:_LONGEST].rstrip()
