"""The grid of times that are looked at: exact, without drift, inside the span."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sample import sample_times
from pipeline.timeline import NS_PER_S, Span

HOUR_NS = 3600 * NS_PER_S
RATES = st.fractions(min_value=Fraction(1, 10), max_value=100, max_denominator=1001)
SPANS = st.builds(lambda start, length: Span(start, start + length), st.just(0), st.integers(1, 20 * NS_PER_S))


@given(SPANS, RATES)
def test_the_kth_time_is_exactly_k_periods_rounded_down(span: Span, rate: Fraction) -> None:
    times_ns = sample_times(span, float(rate))
    assert times_ns.dtype == np.int64
    assert times_ns.tolist() == [int(k * NS_PER_S / rate) for k in range(len(times_ns))]


@given(SPANS, RATES)
def test_the_grid_starts_at_zero_and_fills_the_span_to_its_end(span: Span, rate: Fraction) -> None:
    times_ns = sample_times(span, float(rate)).tolist()
    assert times_ns[0] == 0
    assert all(span.holds(t) for t in times_ns)
    assert int(len(times_ns) * NS_PER_S / rate) >= span.end_ns  # one more would be outside


@given(SPANS, RATES, st.integers(0, 19 * NS_PER_S))
def test_a_part_of_a_span_has_the_times_that_the_whole_has_there(span: Span, rate: Fraction, start_ns: int) -> None:
    if start_ns >= span.end_ns:
        return
    part = Span(start_ns, span.end_ns)
    inside = [t for t in sample_times(span, float(rate)).tolist() if part.holds(t)]
    assert sample_times(part, float(rate)).tolist() == inside


def test_broadcast_rates_do_not_drift_over_hours() -> None:
    late = Span(3 * HOUR_NS, 3 * HOUR_NS + NS_PER_S)
    k = -(-3 * HOUR_NS * 30 // (1001 * 10**6))  # the first period that begins after three hours
    assert sample_times(late, 30_000 / 1001)[0] == k * 1001 * 10**6 // 30


@pytest.mark.parametrize(("hz", "count"), [(2.0, 20), (0.1, 1), (0.05, 1), (3.0, 30), (29.97, 300)])
def test_ten_seconds_hold_the_times_before_their_end(hz: float, count: int) -> None:
    assert len(sample_times(Span(0, 10 * NS_PER_S), hz)) == count


def test_the_shortest_video_is_looked_at_once() -> None:
    assert sample_times(Span(0, 1), 2.0).tolist() == [0]
