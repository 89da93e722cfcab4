"""Figures in words: with a unit, with as many digits as their interval leaves them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from benchmarks.study.question import Column
from benchmarks.study.seeds import Spread

_NUMBERS = {1: "one seed", 2: "two seeds", 3: "three seeds", 4: "four seeds", 5: "five seeds"}
_MOST_DIGITS = 4  # behind the point; smaller numbers are told by their power of ten
_PERCENT = ".1f"


def value(column: Column, found: Spread) -> str:
    """`62.1 ± 1.3 %` of a share, `0.0123 ± 0.0004` of another number."""
    return f"{cell(column, found)}{' %' if column.share else ''}"


def cell(column: Column, found: Spread) -> str:
    """The same in a table, whose head says the unit."""
    return number(in_percent(found), _PERCENT) if column.share else number(found)


def amount(column: Column, gap: Spread) -> str:
    """A difference: `8.3 ± 2.1 points` of a share."""
    return f"{cell(column, gap)}{' points' if column.share else ''}"


def change(column: Column, gap: Spread) -> str:
    """The same with its sign: `+8.3 ± 2.1 points`."""
    return f"{'+' if gap.mean >= 0 else ''}{amount(column, gap)}"


def in_percent(found: Spread) -> Spread:
    return Spread(100 * found.mean, None if found.half is None else 100 * found.half, found.seeds)


def number(found: Spread, form: str = "") -> str:
    """In a form such as `.1f`; without one with two digits that count of its interval."""
    if not math.isfinite(found.mean):
        return "no number"
    form = form or _form(found)
    return f"{found.mean:{form}}" if found.half is None else f"{found.mean:{form}} ± {found.half:{form}}"


def _form(found: Spread) -> str:
    """Without an interval, three digits of the number."""
    scale = found.half or abs(found.mean) / 10
    digits = max(0, 1 - math.floor(math.log10(scale))) if scale > 0 else 1
    return f".{digits}f" if digits <= _MOST_DIGITS else ".1e"


def listed(parts: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def capital(sentence: str) -> str:
    """With a capital letter, as it begins."""
    return sentence[:1].upper() + sentence[1:]


def counted(gaps: Mapping[str, Spread]) -> str:
    """How many seeds stand behind these differences: `three seeds`."""
    most = max((gap.seeds for gap in gaps.values()), default=0)
    return _NUMBERS.get(most, f"{most} seeds")
