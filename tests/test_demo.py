"""The demo's judge is right: events are matched one to one, and its verdict is the one that is documented."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.demo import compare
from pipeline.timeline import NS_PER_S, Span


def seconds(start: float, end: float) -> Span:
    return Span(round(start * NS_PER_S), round(end * NS_PER_S))


KNOWN = [seconds(10 * k, 10 * k + 4) for k in range(1, 11)]


@given(shift_ms=st.integers(-900, 900))
def test_the_error_of_shifted_events_is_the_shift(shift_ms: int) -> None:
    comparison = compare(KNOWN, [Span(s.start_ns + shift_ms * 10**6, s.end_ns + shift_ms * 10**6) for s in KNOWN])
    assert comparison.recall == 1
    assert comparison.edge_errors_s == pytest.approx([abs(shift_ms) / 1000] * 20)
    assert comparison.passed == (abs(shift_ms) <= 500)


def test_one_missed_of_ten_passes_and_two_do_not() -> None:
    assert compare(KNOWN, KNOWN[1:]).passed
    assert not compare(KNOWN, KNOWN[2:]).passed


def test_nothing_found_fails() -> None:
    assert not compare(KNOWN, []).passed


def test_an_event_is_found_once_and_by_its_best_overlap() -> None:
    worse, better = seconds(10, 13), seconds(10.2, 14)
    comparison = compare(KNOWN[:1], [worse, better])
    assert comparison.pairs == ((KNOWN[0], better),)
    assert comparison.extra == (worse,)


def test_one_long_segment_does_not_find_two_events() -> None:
    comparison = compare(KNOWN[:2], [seconds(10, 24)])
    assert comparison.recall == 0
    assert len(comparison.extra) == 1
