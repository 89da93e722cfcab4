"""Spans -> places on a time line; series -> small SVG paths. Knows no report, no words and no colours.

Spans become percents of the width. A path is drawn on `WIDTH` x `HEIGHT` whole units, y downwards, and stretched to
the page by the browser.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.records import Array
from pipeline.timeline import NS_PER_S, Span

WIDTH = 1000
HEIGHT = 100
BUCKETS = 500  # two points each

_STEPS_S = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800)
_MOST_TICKS = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A span as percents of a width."""

    left: float
    width: float


def bar(inner: Span, outer: Span) -> Bar:
    left = share(inner.start_ns, outer)
    return Bar(left=left, width=round(share(inner.end_ns, outer) - left, 3))


def share(t_ns: int, span: Span) -> float:
    """Percents of the way through `span`; a time beyond it is drawn at its edge."""
    return round(100 * min(1.0, max(0.0, (t_ns - span.start_ns) / span.duration_ns)), 3)


def rows(spans: Sequence[Span]) -> dict[int, int]:
    """Index of a span -> the first row where it overlaps none before it, so that overlapping ones are all seen."""
    ends_ns: list[int] = []
    placed: dict[int, int] = {}
    for index, span in sorted(enumerate(spans), key=lambda item: item[1]):
        row = next((row for row, end_ns in enumerate(ends_ns) if end_ns <= span.start_ns), len(ends_ns))
        ends_ns[row : row + 1] = [span.end_ns]
        placed[index] = row
    return placed


def extremes(values: Array, buckets: int = BUCKETS) -> npt.NDArray[np.intp]:
    """Indices into `values` (N,), increasing, at most 2 * `buckets`: the least and the greatest of each bucket.

    No peak is lost, however short. A series of at most 2 * `buckets` values keeps all of them.
    """
    if len(values) <= 2 * buckets:
        return np.arange(len(values))
    parts = np.array_split(np.arange(len(values)), buckets)
    kept = [part[[values[part].argmin(), values[part].argmax()]] for part in parts]
    return np.unique(np.concatenate(kept))


def area(pts_ns: Array, values: Array, span: Span, low: float, high: float) -> str:
    """The `d` of a path: along the series, closed to the base line; empty for no values. `low` is drawn at the base,
    `high` at the top, and what lies beyond is drawn at the edge."""
    if not len(values):
        return ""
    kept = extremes(values)
    x, y = _columns(pts_ns[kept], span), _heights(values[kept], low, high)
    line = "L".join(f"{column} {height}" for column, height in zip(x, y, strict=True))
    return f"M{x[0]} {HEIGHT}L{line}H{WIDTH}V{HEIGHT}"


def stems(pts_ns: Array, values: Array, span: Span, least: float) -> str:
    """The `d` of a path: one upright line for each column whose greatest value is `least` or more, of a unit series."""
    tops: dict[int, int] = {}
    strong = values >= least
    for x, y in zip(_columns(pts_ns[strong], span), _heights(values[strong], 0.0, 1.0), strict=True):
        tops[x] = min(y, tops.get(x, HEIGHT))
    return "".join(f"M{x} {HEIGHT}V{y}" for x, y in tops.items())


def _columns(pts_ns: Array, span: Span) -> list[int]:
    shares = (pts_ns - span.start_ns) / span.duration_ns
    columns: list[int] = np.rint(np.clip(shares, 0, 1) * WIDTH).astype(int).tolist()
    return columns


def _heights(values: Array, low: float, high: float) -> list[int]:
    shares = (values.astype(np.float64) - low) / (high - low)
    heights: list[int] = np.rint((1 - np.clip(shares, 0, 1)) * HEIGHT).astype(int).tolist()
    return heights


def nice_ceiling(value: float, least: float) -> float:
    """The next round number, such as 0.05, 0.3 or 8, that is below neither `value` nor `least`."""
    wanted = max(value, least)
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(step * power for step in (1, 2, 3, 4, 5, 6, 8, 10) if step * power >= wanted * (1 - 1e-9))


def ticks_ns(span: Span) -> tuple[int, ...]:
    """Round times inside `span`, from its start: one to nine of them."""
    wanted_s = span.duration_ns / (_MOST_TICKS * NS_PER_S)
    step_s = next((step for step in _STEPS_S if step >= wanted_s), math.ceil(wanted_s))
    return tuple(range(span.start_ns, span.end_ns, step_s * NS_PER_S))
