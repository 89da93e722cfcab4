"""What comes from files is data, also to a terminal: no character of a name may move its cursor."""

from __future__ import annotations


def shown(text: str) -> str:
    """One line; control characters as Python writes them, `\\x1b` for ESC."""
    return "".join(c if c.isprintable() or "\udc80" <= c <= "\udcff" else repr(c)[1:-1] for c in text)
