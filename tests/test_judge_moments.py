"""Moments against truth: a perfect answer scores one, a stricter overlap never helps, chance stands beside."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.judge import Moment, judge_moments, moments_of_videos
from pipeline.judge.matching import interpolated_precision, matched, tious
from pipeline.judge.moments import TIOUS
from pipeline.timeline import NS_PER_S, Span

MINUTE_NS = 60 * NS_PER_S


def moment(start_s: float, end_s: float, score: float = 0.5, label: str = "goal", video: str = "a") -> Moment:
    span = Span(round(start_s * NS_PER_S), round(end_s * NS_PER_S))
    return Moment(video=video, label=label, span=span, score=score)


@st.composite
def moments(draw: st.DrawFn, most: int = 8) -> list[Moment]:
    """In two videos of a minute, of two labels, with scores that may be equal."""
    found = []
    for _ in range(draw(st.integers(0, most))):
        start = draw(st.integers(0, 58))
        end = draw(st.integers(start + 1, 60))
        score, label, video = draw(st.integers(0, 4)), draw(st.sampled_from("gs")), draw(st.sampled_from("ab"))
        found.append(moment(start, end, score / 4, label, video))
    return found


DURATIONS = {"a": MINUTE_NS, "b": MINUTE_NS}


# --- laws ---


@given(moments(), moments())
def test_drawing_every_video_once_gives_the_figures_themselves(found: list[Moment], truth: list[Moment]) -> None:
    """Twice each: the same shares and medians of as many again, up to the order of moments of equal score."""
    figures = judge_moments(found, truth, DURATIONS)
    once = moments_of_videos(found, truth, DURATIONS, ["a", "b"])
    assert once == {name: figures[name] if name in figures else figures["map_by_tiou"][name[4:]] for name in once}
    twice = moments_of_videos(found, truth, DURATIONS, ["a", "b", "a", "b"])
    for name in ("recall", "false_alarms_per_minute", "in_error_s", "out_shift_s"):
        assert twice[name] == (None if once[name] is None else pytest.approx(once[name]))


def test_a_video_that_is_not_drawn_says_nothing() -> None:
    found, truth = [moment(1, 2, video="b"), moment(5, 6, video="a")], [moment(1, 2, video="b")]
    assert moments_of_videos(found, truth, DURATIONS, ["b"])["false_alarms_per_minute"] == 0
    assert moments_of_videos(found, truth, DURATIONS, ["a"])["map"] is None


@given(moments())
def test_a_perfect_answer_finds_all_and_is_never_wrong(truth: list[Moment]) -> None:
    figures = judge_moments(truth, truth, DURATIONS)
    assert figures["false_alarms_per_minute"] == 0
    if truth:
        assert (figures["map"], figures["recall"]) == (pytest.approx(1), 1)
        assert figures["in_error_s"] == figures["out_error_s"] == figures["in_shift_s"] == figures["out_shift_s"] == 0


@given(moments(), moments())
def test_a_stricter_overlap_never_raises_average_precision(found: list[Moment], truth: list[Moment]) -> None:
    by_tiou = list(judge_moments(found, truth, DURATIONS)["map_by_tiou"].values())
    assert truth == [] or all(a >= b - 1e-12 for a, b in pairwise(by_tiou))


@given(moments(), moments(), st.integers(0, 100))
def test_the_order_in_which_moments_are_told_does_not_matter(
    found: list[Moment], truth: list[Moment], seed: int
) -> None:
    before, mixer = judge_moments(found, truth, DURATIONS), random.Random(seed)
    mixed, known = (mixer.sample(some, len(some)) for some in (found, truth))
    after = judge_moments(mixed, known, DURATIONS)
    assert {k: v for k, v in after.items() if "chance" not in k} == {
        k: v for k, v in before.items() if "chance" not in k
    }


@given(moments(), moments())
def test_an_alarm_below_all_others_changes_no_precision(found: list[Moment], truth: list[Moment]) -> None:
    last = moment(59, 60, score=-1, label="g", video="c")
    durations = DURATIONS | {"c": MINUTE_NS}
    before, after = (judge_moments(some, truth, durations) for some in (found, [*found, last]))
    assert after["map"] == before["map"]
    assert after["false_alarms_per_minute"] == pytest.approx(before["false_alarms_per_minute"] + 1 / 3)


@given(moments(), moments())
def test_every_figure_is_a_share(found: list[Moment], truth: list[Moment]) -> None:
    figures = judge_moments(found, truth, DURATIONS)
    shares = [figures[name] for name in ("map", "map_chance", "recall", "recall_chance")]
    assert all(share is None or 0 <= share <= 1 for share in shares)
    assert figures["matched"] <= min(len(found), len(truth))


# --- by hand ---


def test_figures_of_three_answers_to_two_truths() -> None:
    """The best is 1 s late at both ends of 10 s (tIoU 9/11), the next is nowhere, the third ends 4 s early (0.6)."""
    truth = [moment(10, 20), moment(40, 50)]
    found = [moment(11, 21, 0.9), moment(30, 35, 0.8), moment(40, 46, 0.7)]
    figures = judge_moments(found, truth, {"a": 2 * MINUTE_NS})
    both = (1 + 2 / 3) / 2
    assert figures["map_by_tiou"] == pytest.approx(dict(zip(map(str, TIOUS), [both] * 4 + [0.5], strict=True)))
    assert figures["map"] == pytest.approx((4 * both + 0.5) / 5)
    assert (figures["recall"], figures["false_alarms_per_minute"]) == (1.0, 0.5)
    assert (figures["in_error_s"], figures["in_shift_s"]) == (0.5, 0.5)
    assert (figures["out_error_s"], figures["out_shift_s"]) == (2.5, -1.5)
    assert (figures["videos"], figures["minutes"], figures["truths"], figures["found"]) == (1, 2.0, 2, 3)


def test_a_truth_is_found_once_and_the_best_score_has_it() -> None:
    found = [moment(10, 20, 0.9), moment(10, 20, 0.8)]
    figures = judge_moments(found, [moment(10, 20)], {"a": MINUTE_NS})
    assert (figures["map"], figures["false_alarms_per_minute"]) == (1.0, 1.0)
    worse_first = judge_moments([moment(12, 20, 0.9), moment(10, 20, 0.8)], [moment(10, 20)], {"a": MINUTE_NS})
    assert worse_first["in_shift_s"] == 2.0


def test_a_moment_whose_best_truth_is_taken_takes_the_next_one() -> None:
    truth = [moment(0, 10), moment(8, 18)]
    figures = judge_moments([moment(0, 10, 0.9), moment(2, 14, 0.8)], truth, {"a": MINUTE_NS})
    assert figures["map_by_tiou"]["0.3"] == 1.0  # 6 of 16 s with the second truth
    assert figures["map_by_tiou"]["0.4"] == 0.5


def test_other_videos_and_other_labels_are_no_match() -> None:
    truth = [moment(0, 10)]
    found = [moment(0, 10, label="save"), moment(0, 10, video="b")]
    figures = judge_moments(found, truth, DURATIONS)
    assert (figures["map"], figures["recall"], figures["false_alarms_per_minute"]) == (0.0, 0.0, 1.0)
    assert figures["in_error_s"] is None
    assert list(figures["map_by_label"]) == ["goal"]


def test_the_mean_is_over_labels_not_over_moments() -> None:
    truth = [moment(0, 5), moment(10, 15), moment(20, 25), moment(40, 50, label="save")]
    figures = judge_moments(truth[:3], truth, {"a": MINUTE_NS})
    assert figures["map_by_label"] == {"goal": pytest.approx(1), "save": 0}
    assert figures["map"] == pytest.approx(0.5)
    assert figures["recall"] == 0.75


def test_where_there_is_nothing_to_find_only_false_alarms_are_told() -> None:
    figures = judge_moments([moment(0, 5)], [], {"a": MINUTE_NS})
    assert (figures["map"], figures["recall"], figures["false_alarms_per_minute"]) == (None, None, 1.0)
    assert judge_moments([], [], {})["false_alarms_per_minute"] is None


def test_chance_is_what_its_lengths_make_it() -> None:
    """Any 40 s of a minute overlap the 40 s in its middle by 30/50 or more; a second hardly ever hits a second."""
    long = judge_moments([moment(0, 40)], [moment(10, 50)], {"a": MINUTE_NS})
    assert long["recall_chance"] == 1.0 and long["map_by_tiou_chance"]["0.6"] == 1.0
    assert long["map_by_tiou_chance"]["0.7"] < 1
    short = judge_moments([moment(0, 1)], [moment(30, 31)], {"a": MINUTE_NS})
    assert short["recall_chance"] <= 0.1


def test_chance_is_the_same_every_time_and_another_with_another_seed() -> None:
    truth, found = [moment(10, 30)], [moment(5, 30)]
    first, again = (judge_moments(found, truth, {"a": MINUTE_NS}) for _ in range(2))
    assert first == again
    assert judge_moments(found, truth, {"a": MINUTE_NS}, seed=1)["map_chance"] != first["map_chance"]


def test_spans_that_only_touch_do_not_overlap() -> None:
    assert tious(np.array([[0, 5]]), np.array([[5, 9], [0, 10], [0, 5]])).tolist() == [[0.0, 0.5, 1.0]]
    assert matched(np.array([[0.0]]), 0.5).tolist() == [-1]


@pytest.mark.parametrize(
    ("hit", "true", "expected"),
    [
        ([1, 1], 2, 1.0),
        ([0, 1, 1], 2, 2 / 3),  # monotone: 2/3 counts for the first hit too
        ([1, 0, 0, 1], 4, (1 + 0.5) / 4),
        ([0, 0], 3, 0.0),
        ([], 3, 0.0),
    ],
)
def test_interpolated_average_precision_by_hand(hit: list[int], true: int, expected: float) -> None:
    assert interpolated_precision(np.array(hit, bool), true) == pytest.approx(expected)
