"""Which times are looked at. Knows no files: `decode` takes these times, whatever they are."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import numpy.typing as npt

from pipeline.timeline import NS_PER_S, Span


def sample_times(span: Span, hz: float) -> npt.NDArray[np.int64]:
    """int64 (N,): `floor(k / hz)` ns for k = 0, 1, ... inside `span`. Exact: 29.97 Hz does not drift over hours."""
    rate = Fraction(hz).limit_denominator(1_000_000)
    period = Fraction(NS_PER_S) / rate
    first = -(-span.start_ns // period)
    count = -(-span.end_ns // period) - first
    return np.array([int((first + k) * period) for k in range(int(count))], dtype=np.int64)
