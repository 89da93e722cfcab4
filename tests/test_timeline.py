"""The laws of time: exact conversions, half-open spans, timecodes."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.timeline import (
    NS_PER_S,
    Span,
    last_tick_at,
    ns_to_seconds,
    seconds_to_ns,
    ticks_to_ns,
    timecode,
)

HOUR_NS = 3600 * NS_PER_S
TIME_BASES = st.one_of(
    st.sampled_from(
        [Fraction(1, 90_000), Fraction(1001, 30_000), Fraction(1, 12_800), Fraction(1, 1_000), Fraction(1)]
    ),
    st.builds(Fraction, st.integers(1, 2_000), st.integers(1, 2_000_000)),
)
TICKS = st.integers(-(10**12), 10**12)
SPANS = st.builds(
    lambda start, length: Span(start, start + length), st.integers(0, 200), st.integers(1, 60)
)  # small numbers, so that every instant can be looked at


def instants(spans: tuple[Span, ...] | list[Span]) -> set[int]:
    return {t_ns for span in spans for t_ns in range(span.start_ns, span.end_ns)}


@given(TICKS, TIME_BASES)
def test_a_tick_falls_on_the_nanosecond_below_its_exact_time(ticks: int, time_base: Fraction) -> None:
    exact_ns = ticks * time_base * NS_PER_S
    assert ticks_to_ns(ticks, time_base) <= exact_ns < ticks_to_ns(ticks, time_base) + 1


@given(TICKS, TICKS, TIME_BASES)
def test_conversion_keeps_the_order_of_ticks(one: int, other: int, time_base: Fraction) -> None:
    earlier, later = sorted((one, other))
    assert ticks_to_ns(earlier, time_base) <= ticks_to_ns(later, time_base)


@given(st.integers(-HOUR_NS, 24 * HOUR_NS), TIME_BASES)
def test_last_tick_at_is_the_greatest_tick_that_is_not_later(t_ns: int, time_base: Fraction) -> None:
    tick = last_tick_at(t_ns, time_base)
    assert ticks_to_ns(tick, time_base) <= t_ns < ticks_to_ns(tick + 1, time_base)


@given(TICKS, st.builds(Fraction, st.integers(1, 2_000), st.integers(1, 1_000_000)))
def test_a_tick_is_the_last_one_at_its_own_time(ticks: int, time_base: Fraction) -> None:
    assert last_tick_at(ticks_to_ns(ticks, time_base), time_base) == ticks


@given(st.fractions(min_value=0, max_value=10**6, max_denominator=10**9))
def test_exact_seconds_become_the_nearest_nanosecond(seconds: Fraction) -> None:
    assert abs(seconds_to_ns(seconds) - seconds * NS_PER_S) <= Fraction(1, 2)


@given(st.integers(0, 2**52))
def test_seconds_as_floats_lose_less_than_a_microsecond(t_ns: int) -> None:
    assert abs(seconds_to_ns(ns_to_seconds(t_ns)) - t_ns) < 1_000


@pytest.mark.parametrize(("start_ns", "end_ns"), [(-1, 5), (5, 5), (6, 5), (-2, -1)])
def test_a_span_is_never_empty_backwards_or_before_zero(start_ns: int, end_ns: int) -> None:
    with pytest.raises(ValueError, match="0 <= start < end"):
        Span(start_ns, end_ns)


@given(SPANS, st.integers(0, 300))
def test_a_span_holds_its_start_and_not_its_end(span: Span, t_ns: int) -> None:
    assert span.holds(span.start_ns)
    assert not span.holds(span.end_ns)
    assert span.holds(t_ns) == (t_ns in range(span.start_ns, span.end_ns))
    assert span.duration_ns == len(range(span.start_ns, span.end_ns))


@given(SPANS, SPANS)
def test_overlap_and_iou_count_the_instants_in_common(one: Span, other: Span) -> None:
    shared = instants([one]) & instants([other])
    either = instants([one]) | instants([other])
    assert one.overlap_ns(other) == other.overlap_ns(one) == len(shared)
    assert one.iou(other) == other.iou(one) == len(shared) / len(either)
    assert one.covers(other) == (instants([other]) <= instants([one]))


@pytest.mark.parametrize(
    ("t_ns", "expected"),
    [
        (0, "00:00:00.000"),
        (999_999, "00:00:00.000"),  # rounded down, so a printed time is never after the instant
        (59 * NS_PER_S + 999_999_999, "00:00:59.999"),
        (HOUR_NS, "01:00:00.000"),
        (123 * HOUR_NS, "123:00:00.000"),
    ],
)
def test_a_timecode_is_rounded_down(t_ns: int, expected: str) -> None:
    assert timecode(t_ns) == expected


@given(st.integers(0, 200 * HOUR_NS))
def test_a_timecode_reads_back_to_its_millisecond(t_ns: int) -> None:
    hours, minutes, seconds = timecode(t_ns).split(":")
    read_ns = (int(hours) * 3600 + int(minutes) * 60) * NS_PER_S + round(float(seconds) * 1000) * 1_000_000
    assert read_ns == t_ns - t_ns % 1_000_000


def test_a_timecode_for_a_file_name_has_no_colon() -> None:
    assert timecode(3_723_456 * 1_000_000, separator=".") == "01.02.03.456"
