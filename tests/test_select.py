"""The reel: the best moments that fit, in order of time, no picture twice."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config import SelectConfig
from pipeline.records import Segment
from pipeline.select import select
from pipeline.timeline import NS_PER_S, Span


def moment(start_s: int, end_s: int, score: float, label: str = "goal") -> Segment:
    span = Span(start_s * NS_PER_S, end_s * NS_PER_S)
    return Segment(
        span=span,
        event=span,
        label=label,
        score=score,
        score_kind="calibrated",
        peak_ns=span.start_ns,
        reasons=(),
    )


MOMENTS = st.lists(
    st.builds(
        lambda start, length, score: moment(start, start + length, score),
        st.integers(0, 200),
        st.integers(1, 40),
        st.sampled_from([0.6, 0.7, 0.8, 0.9, 1.0]),
    ),
    max_size=12,
)
BUDGETS = st.sampled_from([5.0, 20.0, 90.0, 1000.0]).map(lambda seconds: SelectConfig(reel_s=seconds))


@given(MOMENTS, BUDGETS)
def test_the_reel_keeps_to_its_length(moments: list[Segment], config: SelectConfig) -> None:
    chosen = [moments[k].span.duration_ns for k in select(moments, config)]
    assert sum(chosen) <= config.reel_s * NS_PER_S


@given(MOMENTS, BUDGETS)
def test_the_reel_is_in_order_of_time_and_shows_no_picture_twice(moments: list[Segment], config: SelectConfig) -> None:
    spans = [moments[k].span for k in select(moments, config)]
    assert all(a.end_ns <= b.start_ns for a, b in pairwise(spans))


@given(MOMENTS, BUDGETS)
def test_what_was_left_out_would_not_have_fitted(moments: list[Segment], config: SelectConfig) -> None:
    """Whatever is missing is beaten: what is at least as good overlaps it, or leaves too little of the budget."""
    chosen = select(moments, config)
    for k in set(range(len(moments))) - set(chosen):
        better = [moments[i].span for i in chosen if moments[i].score >= moments[k].score]
        overlaps = any(span.overlap_ns(moments[k].span) for span in better)
        left_ns = config.reel_s * NS_PER_S - sum(span.duration_ns for span in better)
        assert overlaps or moments[k].span.duration_ns > left_ns


@given(MOMENTS, BUDGETS, st.randoms())
def test_the_order_of_the_list_does_not_matter(moments: list[Segment], config: SelectConfig, random: Random) -> None:
    mixed = list(moments)
    random.shuffle(mixed)
    assert [mixed[k] for k in select(mixed, config)] == [moments[k] for k in select(moments, config)]


@pytest.mark.parametrize(
    ("moments", "reel_s", "expected"),
    [
        pytest.param([], 90, (), id="nothing found"),
        pytest.param([(50, 60, 0.7), (0, 10, 0.9)], 90, (1, 0), id="in order of time"),
        pytest.param([(0, 10, 0.7), (20, 30, 0.9), (40, 50, 0.8)], 20, (1, 2), id="the best that fit"),
        pytest.param([(0, 10, 0.9), (5, 15, 0.8), (10, 20, 0.7)], 90, (0, 2), id="the worse of an overlap stays out"),
        pytest.param([(0, 10, 0.8), (20, 30, 0.8)], 10, (0,), id="of equals the earlier"),
        pytest.param([(0, 60, 0.9), (70, 80, 0.6)], 30, (1,), id="too long is passed over, the next gets its chance"),
        pytest.param([(0, 60, 0.9)], 30, (), id="too long even alone: the length is a promise"),
        pytest.param([(0, 30, 0.9)], 30, (0,), id="exactly the length"),
    ],
)
def test_a_reel(moments: list[tuple[int, int, float]], reel_s: float, expected: tuple[int, ...]) -> None:
    assert select([moment(*m) for m in moments], SelectConfig(reel_s=reel_s)) == expected


def test_two_labels_at_the_same_time_are_one_moment_of_the_reel() -> None:
    both = [moment(0, 10, 0.8, "goal"), moment(2, 12, 0.9, "save")]
    assert select(both, SelectConfig()) == (1,)
