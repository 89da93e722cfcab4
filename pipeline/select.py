"""Segments -> the reel: which of them, under a duration budget."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config import SelectConfig
from pipeline.records import Segment
from pipeline.timeline import seconds_to_ns


def select(segments: Sequence[Segment], config: SelectConfig) -> tuple[int, ...]:
    """Indices into `segments` for the reel, in order of time.

    Best score first (of equals the earlier, then the lower index), each taken whole if it still fits the budget and
    its span shares no picture with one already taken. The budget is a promise: a segment longer than what is left is
    passed over, even when it is the only one, and the next best gets its chance.
    """
    order = sorted(range(len(segments)), key=lambda k: (-segments[k].score, segments[k].span))
    left_ns = seconds_to_ns(config.reel_s)
    taken: list[int] = []
    for k in order:
        span = segments[k].span
        fits = span.duration_ns <= left_ns
        if fits and not any(span.overlap_ns(segments[other].span) for other in taken):
            taken.append(k)
            left_ns -= span.duration_ns
    return tuple(sorted(taken, key=lambda k: segments[k].span))
