"""A series as a function of time: where it was sampled does not matter, only what it is when."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.steps import Ramp, Steps, backdated, spans_above
from pipeline.timeline import NS_PER_S
from tests.predicted import MS, grid, predicted, scores_for, uneven_grids

Series = tuple[list[int], int, list[float]]


@st.composite
def series(draw: st.DrawFn) -> Series:
    pts_ns, end_ns = draw(uneven_grids())
    return pts_ns, end_ns, draw(scores_for(len(pts_ns)))


def steps(series: Series) -> Steps:
    pts_ns, end_ns, values = series
    return Steps.of(predicted(pts_ns, end_ns), np.array(values, np.float32))


def integral(series: Series, start_ns: int, end_ns: int) -> Fraction:
    """Step by step in exact arithmetic; outside, the outermost values go on."""
    pts_ns, _, values = series
    starts, ends = [min(start_ns, pts_ns[0]), *pts_ns[1:]], [*pts_ns[1:], end_ns]
    held = zip(starts, ends, values, strict=True)
    return sum((max(0, min(b, end_ns) - max(a, start_ns)) * Fraction(str(v)) for a, b, v in held), Fraction(0))


@given(series(), st.integers(1, 6000).map(lambda ms: 2 * ms * MS), st.data())
def test_the_moving_average_is_the_integral_over_its_window(series: Series, width_ns: int, data: st.DataObject) -> None:
    ramp = steps(series).moving_average(width_ns)
    t_ns = data.draw(st.integers(series[0][0], series[1]))
    mean = integral(series, t_ns - width_ns // 2, t_ns + width_ns // 2) / width_ns
    assert np.interp(t_ns, ramp.t_ns, ramp.value) == pytest.approx(float(mean), abs=1e-9)


@given(series())
def test_an_average_over_nothing_is_the_function_itself(series: Series) -> None:
    ramp = steps(series).moving_average(0)
    assert ramp.t_ns[0] == series[0][0]
    assert ramp.t_ns[-1] == series[1]
    assert set(ramp.value) == set(series[2])


@given(series(), st.data())
def test_a_sample_split_in_two_equal_ones_is_the_same_function(series: Series, data: st.DataObject) -> None:
    pts_ns, end_ns, values = series
    k = data.draw(st.integers(0, len(pts_ns) - 1))
    middle = data.draw(st.integers(pts_ns[k] + 1, [*pts_ns[1:], end_ns][k] - 1))
    split = [*pts_ns[: k + 1], middle, *pts_ns[k + 1 :]], end_ns, [*values[: k + 1], values[k], *values[k + 1 :]]
    whole, halves = steps(series), steps(split)
    assert whole.start_ns.tolist() == halves.start_ns.tolist()
    assert whole.value.tolist() == halves.value.tolist()


@given(series())
def test_the_mean_over_spans_is_weighted_by_time(series: Series) -> None:
    pts_ns, end_ns, _ = series
    spans = np.array([(pts_ns[0], end_ns)])
    expected = integral(series, pts_ns[0], end_ns) / (end_ns - pts_ns[0])
    assert steps(series).mean(spans) == pytest.approx(float(expected), abs=1e-9)


@given(series(), st.sampled_from([0, 1000, 2500]), st.sampled_from([0.2, 0.4, 0.5, 0.8]))
def test_spans_above_a_level_hold_what_is_above_it_and_no_more(series: Series, width_ms: int, level: float) -> None:
    ramp = steps(series).moving_average(width_ms * MS)
    spans = spans_above(ramp, level)
    assert (np.diff(spans.ravel()) > 0).all()
    for start, end in spans.tolist():
        assert ramp.t_ns[0] <= start < end <= ramp.t_ns[-1]
    if width_ms:
        middles = (ramp.t_ns[:-1] + ramp.t_ns[1:]) // 2
        values = np.interp(middles, ramp.t_ns, ramp.value)
        inside = (np.searchsorted(spans.ravel(), middles, "right") % 2).astype(bool)
        clear = np.abs(values - level) > 1e-6
        assert (inside == (values >= level))[clear].all()


@pytest.mark.parametrize(
    ("corners", "values", "level", "expected"),
    [
        ([0, 10], [0, 1], 0.5, [(5, 10)]),
        ([0, 10, 20], [0, 1, 0], 0.5, [(5, 15)]),
        ([0, 10, 20], [1, 0, 1], 0.2, [(0, 8), (12, 20)]),
        ([0, 10], [1, 1], 0.5, [(0, 10)]),
        ([0, 10], [0, 0], 0.5, []),
        ([0, 10, 20], [0, 0.5, 0], 0.5, []),  # it touches the level for no time
        ([0, 10, 10, 20], [0, 0, 1, 1], 0.5, [(10, 20)]),  # a jump
    ],
)
def test_crossings_are_where_the_straight_lines_cross(
    corners: list[int], values: list[float], level: float, expected: list[tuple[int, int]]
) -> None:
    ramp = Ramp(np.array(corners, np.int64), np.array(values, np.float64))
    assert [tuple(row) for row in spans_above(ramp, level).tolist()] == expected


@given(series(), st.sampled_from([1, 10, 60]))
def test_a_running_median_is_a_value_between_the_lowest_and_the_highest(series: Series, width_s: int) -> None:
    median = steps(series).running_median(width_s * NS_PER_S, np.array(series[0]))
    assert (median >= min(series[2]) - 1e-6).all()
    assert (median <= max(series[2]) + 1e-6).all()


def test_a_running_median_follows_a_lasting_change_and_ignores_a_short_one() -> None:
    values = np.full(1200, 1.0)
    values[600:] = 5.0  # for good, after 300 s
    values[200:216] = 9.0  # for 8 s
    median = steps((grid(1200).tolist(), 600 * NS_PER_S, values.tolist())).running_median(60 * NS_PER_S, grid(1200))
    assert (median[:580] == 1.0).all()
    assert (median[620:] == 5.0).all()


def test_at_the_ends_the_median_still_looks_at_a_whole_window() -> None:
    values = [9.0] * 8 + [1.0] * 112  # 4 s of noise, then a minute of quiet
    median = steps((grid(120).tolist(), 60 * NS_PER_S, values)).running_median(60 * NS_PER_S, grid(120))
    assert (median == 1.0).all()


def test_a_median_counts_time_and_not_samples() -> None:
    many_short = [k * 10 * MS for k in range(100)]  # 100 samples in 1 s, then one that holds for 9 s
    values = [7.0] * 100 + [2.0]
    median = steps(([*many_short, NS_PER_S], 10 * NS_PER_S, values)).running_median(60 * NS_PER_S, np.array([0]))
    assert median.tolist() == [2.0]


@given(uneven_grids(), st.data())
def test_placing_changes_earlier_keeps_their_order(samples: tuple[list[int], int], data: st.DataObject) -> None:
    pts_ns, end_ns = samples
    times = np.array(sorted(data.draw(st.lists(st.integers(pts_ns[0], end_ns), min_size=2, max_size=9))), np.int64)
    placed = backdated(times, predicted(pts_ns, end_ns))
    assert (np.diff(placed) >= 0).all()
    assert (placed <= times).all()
    assert (placed >= pts_ns[0]).all()


def test_a_change_is_placed_half_way_between_the_sample_before_and_the_one_that_shows_it() -> None:
    two_a_second = predicted(grid(10), 5 * NS_PER_S)
    times = np.array([0, 1000, 2500, 5000]) * MS  # the first sample and the end of the video are no changes
    assert (backdated(times, two_a_second) // MS).tolist() == [0, 750, 2250, 5000]
