"""From one score per sample to moments with an in and an out point."""

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.aggregate import aggregate, event_tracks
from pipeline.config import AggregateConfig, LabelRule
from pipeline.records import Predictions, Segment, Track
from pipeline.timeline import NS_PER_S, Span
from tests.predicted import MS, Series, grid, predicted, scores_for, shifted, split_once, uneven_grids

PLAIN = AggregateConfig(smooth_s=0.0, gap_s=0.0, min_s=0.0, pre_s=0.0, post_s=0.0)  # hysteresis and nothing else


@st.composite
def programmes(draw: st.DrawFn) -> Predictions:
    """A video with one event label and, perhaps, cuts; mostly sampled twice a second."""
    pts_ns, end_ns = draw(uneven_grids())
    cuts = draw(st.lists(st.sampled_from([0.0, 0.0, 0.9]), min_size=len(pts_ns), max_size=len(pts_ns)))
    signals = {"cut": cuts} if draw(st.booleans()) else {}
    return predicted(pts_ns, end_ns, events={"goal": draw(scores_for(len(pts_ns)))}, signals=signals)


@st.composite
def rules(draw: st.DrawFn) -> AggregateConfig:
    enter = draw(st.sampled_from([0.55, 0.65, 0.9]))
    return AggregateConfig(
        enter=enter,
        leave=draw(st.sampled_from([0.2, 0.5])),
        smooth_s=draw(st.sampled_from([0.0, 0.5, 1.0, 2.0])),
        gap_s=draw(st.sampled_from([0.0, 0.6, 2.0])),
        min_s=draw(st.sampled_from([0.0, 0.75])),
        max_s=draw(st.sampled_from([2.0, 60.0])),
        pre_s=draw(st.sampled_from([0.0, 1.0, 6.0])),
        post_s=draw(st.sampled_from([0.0, 3.0])),
    )


def segments(predictions: Predictions, config: AggregateConfig) -> tuple[Segment, ...]:
    return aggregate(event_tracks(predictions, calibrated=False), predictions, config)


def goals(scores: Series, config: AggregateConfig, hz: float = 2.0, **parts: Any) -> tuple[Segment, ...]:
    """The segments of one label, sampled evenly."""
    end_ns = int(len(scores) * NS_PER_S / hz)
    return segments(predicted(grid(len(scores), hz), end_ns, events={"goal": scores}, **parts), config)


def seconds(found: Sequence[Segment]) -> list[tuple[float, float]]:
    return [(segment.event.start_ns / NS_PER_S, segment.event.end_ns / NS_PER_S) for segment in found]


# --- laws ---


@given(programmes(), rules())
def test_peak_in_event_in_clip_in_video(predictions: Predictions, config: AggregateConfig) -> None:
    for segment in segments(predictions, config):
        assert predictions.span.covers(segment.span)
        assert segment.span.covers(segment.event)
        assert segment.event.holds(segment.peak_ns)


@given(programmes(), rules())
def test_events_and_clips_of_a_label_never_overlap(predictions: Predictions, config: AggregateConfig) -> None:
    found = segments(predictions, config)
    for a, b in pairwise(found):
        assert a.event.end_ns <= b.event.start_ns
        assert a.span.end_ns <= b.span.start_ns


@given(programmes(), rules())
def test_every_event_reaches_enter_and_keeps_to_its_lengths(predictions: Predictions, config: AggregateConfig) -> None:
    for segment in segments(predictions, config):
        assert segment.score >= config.enter
        assert config.min_s * NS_PER_S <= segment.event.duration_ns <= config.max_s * NS_PER_S


@given(programmes(), rules(), st.integers(0, 10**13))
def test_a_later_start_moves_everything_and_changes_nothing(
    predictions: Predictions, config: AggregateConfig, by_ns: int
) -> None:
    def later(span: Span) -> Span:
        return Span(span.start_ns + by_ns, span.end_ns + by_ns)

    expected = [
        replace(segment, span=later(segment.span), event=later(segment.event), peak_ns=segment.peak_ns + by_ns)
        for segment in segments(predictions, config)
    ]
    assert list(segments(shifted(predictions, by_ns), config)) == expected


@given(st.lists(st.sampled_from([1, 1, 1, 1, 2, 5]), min_size=8, max_size=20), rules(), st.data())
def test_a_sample_seen_twice_while_it_holds_changes_nothing(
    holds: list[int], config: AggregateConfig, data: st.DataObject
) -> None:
    assume(sorted(holds)[len(holds) // 2 + 1] == 1)  # the period is what it was, with one hold in two parts
    times = np.cumsum([0, *holds]) * 500 * MS
    once = predicted(times[:-1], int(times[-1]), events={"goal": data.draw(scores_for(len(holds)))})
    k = data.draw(st.integers(0, len(holds) - 1))
    twice = split_once(once, k, data.draw(st.integers(int(times[k]) + 1, int(times[k + 1]) - 1)))
    before, after = segments(once, config), segments(twice, config)
    assert [replace(segment, peak_ns=segment.event.start_ns) for segment in after] == [
        replace(segment, peak_ns=segment.event.start_ns) for segment in before
    ]
    for a, b in zip(before, after, strict=True):  # the peak is a sample: it may now be the second half of that one
        assert b.peak_ns == a.peak_ns or (a.peak_ns == times[k] and b.peak_ns < times[k + 1])


@given(programmes(), rules(), st.sampled_from([0.01, 0.05, 0.2]))
def test_raising_enter_finds_nothing_new(predictions: Predictions, config: AggregateConfig, more: float) -> None:
    no_cuts = replace(config, snap_cut=2.0, max_s=1e6)
    assume(no_cuts.enter + more <= 1)
    found = [segment.event for segment in segments(predictions, no_cuts)]
    fewer = segments(predictions, replace(no_cuts, enter=no_cuts.enter + more))
    assert all(any(event.covers(segment.event) for event in found) for segment in fewer)


@given(programmes(), rules())
def test_lead_in_and_tail_change_no_event(predictions: Predictions, config: AggregateConfig) -> None:
    bare = replace(config, pre_s=0.0, post_s=0.0)
    assert [s.event for s in segments(predictions, config)] == [s.event for s in segments(predictions, bare)]
    assert all(segment.span == segment.event for segment in segments(predictions, bare))


@given(programmes(), programmes(), rules())
def test_a_label_is_judged_without_regard_to_the_others(
    one: Predictions, other: Predictions, config: AggregateConfig
) -> None:
    count = len(one.scores.pts_ns)
    miss = np.resize(other.scores.probs[:, 0], count).astype(np.float32)
    tracks = [*event_tracks(one, calibrated=True), Track(label="miss", score=miss, score_kind="calibrated")]
    together = aggregate(tracks, one, config)
    assert aggregate(tracks[::-1], one, config) == together
    assert [s for s in together if s.label == "goal"] == list(aggregate(tracks[:1], one, config))
    assert list(together) == sorted(together, key=lambda s: (s.event, s.label))


@given(
    hz=st.sampled_from([1.0, 2.0, 3.0, 5.0, 10.0]),
    start_ms=st.integers(5_000, 6_500),
    length_ms=st.integers(1_700, 9_000),
    levels=st.sampled_from([(0.0, 1.0), (0.0, 0.7), (0.45, 1.0), (0.4, 0.7)]),
)
def test_an_event_of_1_7_seconds_is_found_within_half_a_sample_period(
    hz: float, start_ms: int, length_ms: int, levels: tuple[float, float]
) -> None:
    truth = Span(start_ms * MS, (start_ms + length_ms) * MS)
    scores = [levels[truth.holds(int(t))] for t in grid(int(30 * hz), hz)]
    found = goals(scores, AggregateConfig(), hz)
    assert len(found) == 1
    half_ns = NS_PER_S / hz / 2 + 1
    assert abs(found[0].event.start_ns - truth.start_ns) <= half_ns
    assert abs(found[0].event.end_ns - truth.end_ns) <= half_ns


def test_doubtful_scores_of_1_7_seconds_are_found_with_edges_well_under_half_a_second() -> None:
    """Inside 0.75 +- 0.14, outside 0.25 +- 0.14, at every phase of the sampling grid."""
    rng, errors, found_count = np.random.default_rng(7), [], 0
    for trial in range(200):
        truth = Span((10_000 + 7 * trial) * MS, (11_700 + 7 * trial) * MS)
        inside = np.array([truth.holds(int(t)) for t in grid(60)])
        found = goals(np.where(inside, rng.beta(6, 2, 60), rng.beta(2, 6, 60)), AggregateConfig())
        hits = [segment.event for segment in found if segment.event.overlap_ns(truth)]
        found_count += len(hits) == 1
        errors += [abs(hit.start_ns - truth.start_ns) for hit in hits] + [
            abs(hit.end_ns - truth.end_ns) for hit in hits
        ]
    assert found_count >= 0.9 * 200
    assert np.median(errors) <= 0.2 * NS_PER_S


# --- examples ---


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        pytest.param([0.2, 0.8, 0.9, 0.6, 0.3, 0.8, 0.2], [(0.25, 1.75), (2.25, 2.75)], id="stays inside above leave"),
        pytest.param([0.2, 0.6, 0.8, 0.6, 0.2], [(0.25, 1.75)], id="begins where it left the floor, not at its height"),
        pytest.param([0.6, 0.6, 0.6], [], id="never reaches enter"),
        pytest.param([0.9, 0.9, 0.1, 0.1], [(0.0, 0.75)], id="begins with the video"),
        pytest.param([0.1, 0.1, 0.9, 0.9], [(0.75, 2.0)], id="lasts to the end"),
        pytest.param([0.9, 0.9], [(0.0, 1.0)], id="is the whole video"),
        pytest.param([0.7], [(0.0, 0.5)], id="is one sample, exactly at enter"),
        pytest.param([0.0, 0.0], [], id="is not there"),
    ],
)
def test_an_event(scores: list[float], expected: list[tuple[float, float]]) -> None:
    assert seconds(goals(scores, replace(PLAIN, enter=0.7, leave=0.5))) == expected


def test_a_single_outlier_is_no_event_and_a_single_dropout_ends_none() -> None:
    lone, dropout = [0.0] * 20, [0.0] * 20
    lone[10], dropout[5:15] = 1.0, [1.0] * 10
    dropout[10] = 0.0
    assert goals(lone, AggregateConfig()) == ()
    assert seconds(goals(dropout, AggregateConfig())) == [(2.25, 7.25)]


@pytest.mark.parametrize(("gap_s", "count"), [(0.9, 2), (1.0, 1)])
def test_events_a_gap_apart_or_closer_are_one(gap_s: float, count: int) -> None:
    scores = [0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0]  # 1 s between them
    assert len(goals(scores, replace(PLAIN, gap_s=gap_s))) == count


def test_a_weak_stretch_beside_a_strong_one_does_not_join_it() -> None:
    weak_beside = [0.0, 0.6, 0.0, 0.9, 0.9, 0.0]
    assert seconds(goals(weak_beside, replace(PLAIN, gap_s=2.0))) == [(1.25, 2.25)]


def test_a_long_event_is_cut_down_around_its_peak() -> None:
    scores = [0.7] * 40
    scores[30:32] = [1.0, 1.0]  # 15 to 16 s
    found = goals(scores, replace(PLAIN, max_s=4.0))
    assert seconds(found) == [(13.25, 17.25)]
    assert found[0].peak_ns == 15_500 * MS


def test_the_peak_of_a_level_event_is_the_sample_in_its_middle() -> None:
    scores = [0.0] * 4 + [1.0] * 5 + [0.0] * 4
    assert goals(scores, AggregateConfig())[0].peak_ns == grid(13)[6]


def test_the_score_is_the_mean_of_the_best_second() -> None:
    scores = [0.0] * 4 + [0.6, 0.7, 0.9, 0.8, 0.6] + [0.0] * 4
    assert goals(scores, AggregateConfig())[0].score == pytest.approx(0.85)


def test_variable_frame_rate_weighs_a_picture_by_how_long_it_is_shown() -> None:
    flicker = [k * 50 * MS for k in range(10)]  # ten pictures in half a second, then one for 9.5 s
    pts_ns, scores = [*flicker, 500 * MS], [1.0] * 10 + [0.0]
    brief = predicted(pts_ns, 10 * NS_PER_S, events={"goal": scores})
    assert segments(brief, AggregateConfig(smooth_s=2.0)) == ()
    lasting = predicted(pts_ns, 10 * NS_PER_S, events={"goal": [1 - score for score in scores]})
    assert len(segments(lasting, AggregateConfig(smooth_s=2.0))) == 1


@pytest.mark.parametrize("strength", [0.59, 0.6])
def test_an_edge_that_doubts_is_put_on_a_strong_cut(strength: float) -> None:
    scores, cut = [0.1] * 6 + [0.3, 0.9, 0.9, 0.9, 0.4] + [0.1] * 6, [0.0] * 17
    cut[6] = cut[11] = strength  # the shot lasts from between 2.5 and 3 s to between 5 and 5.5 s
    found = goals(scores, AggregateConfig(), signals={"cut": cut})
    on_cuts = [(2.75, 5.25)]
    assert (seconds(found) == on_cuts) == (strength >= AggregateConfig().snap_cut)


def test_a_cut_further_away_than_the_average_reaches_moves_no_edge() -> None:
    scores, cut = [0.0] * 6 + [1.0] * 4 + [0.0] * 6, [0.0] * 16
    expected = seconds(goals(scores, AggregateConfig()))
    cut[4] = cut[12] = 1.0
    assert seconds(goals(scores, AggregateConfig(), signals={"cut": cut})) == expected


def test_a_cut_inside_a_short_event_does_not_swallow_it() -> None:
    scores, cut = [0.0] * 6 + [1.0] * 4 + [0.0] * 6, [0.0] * 16
    cut[8] = 1.0  # in its middle, a second from either edge
    found = goals(scores, AggregateConfig(smooth_s=2.0), signals={"cut": cut})
    assert seconds(found) == [(2.75, 4.75)]


def test_an_event_that_begins_or_ends_with_the_video_keeps_that_edge() -> None:
    cut = [0.0, 0.9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.9]
    assert seconds(goals([1.0] * 8, AggregateConfig(), signals={"cut": cut})) == [(0.0, 4.0)]


@pytest.mark.parametrize(
    ("between_s", "tail_s", "lead_in_s"),
    [(12, 3.0, 6.0), (9, 3.0, 6.0), (6, 2.0, 4.0), (3, 1.0, 2.0)],
)
def test_neighbours_share_the_time_between_them(between_s: int, tail_s: float, lead_in_s: float) -> None:
    scores = [0.0] * 40 + [1.0] * 8 + [0.0] * 2 * between_s + [1.0] * 8 + [0.0] * 40
    first, second = goals(scores, AggregateConfig())
    assert (first.span.end_ns - first.event.end_ns) / NS_PER_S == tail_s
    assert (second.event.start_ns - second.span.start_ns) / NS_PER_S == lead_in_s


def test_a_label_with_a_rule_of_its_own_follows_it() -> None:
    scores = [0.0] * 20 + [0.6] * 8 + [0.0] * 20
    config = AggregateConfig(labels={"goal": LabelRule(enter=0.55, pre_s=1.0)})
    assert goals(scores, AggregateConfig()) == ()
    (found,) = goals(scores, config)
    assert found.event.start_ns - found.span.start_ns == NS_PER_S


@pytest.mark.parametrize(
    ("causes", "sentences"),
    [
        ({"loudness_rise_db": 13.6}, ["sound rose 14 dB over its running median"]),
        ({"loudness_rise_db": 0.4, "motion_ratio": 3.04}, ["picture motion 3.0 times its running median"]),
        ({"subject_size_ratio": 1.8, "subject_speed_ratio": 1.1}, ["main subject 1.8 times its median size"]),
        ({"gymnast": 0.94}, ["gymnast 0.94 at the peak"]),
    ],
)
def test_reasons_are_sentences_with_the_highest_value_inside(causes: dict[str, float], sentences: list[str]) -> None:
    score = np.array([0, 0, 0, 1, 1, 1, 1, 0, 0], np.float32)
    shapes = {name: value * np.array([9, 9, 9, 0.5, 0.9, 1, 0.3, 9, 9], np.float32) for name, value in causes.items()}
    track = Track(label="moment", score=score, score_kind="uncalibrated", causes=shapes)
    (found,) = aggregate([track], predicted(grid(9), 4500 * MS), AggregateConfig())
    assert [reason.text for reason in found.reasons] == sentences
    assert {reason.name: pytest.approx(reason.value) for reason in found.reasons}.items() <= causes.items()


def test_every_event_label_is_a_track_with_its_kind() -> None:
    predictions = predicted(grid(2), NS_PER_S, tags={"soccer": [1, 1]}, events={"goal": [0, 1], "save": [1, 0]})
    tracks = event_tracks(predictions, calibrated=True)
    assert [(track.label, track.score.tolist(), track.score_kind) for track in tracks] == [
        ("goal", [0, 1], "calibrated"),
        ("save", [1, 0], "calibrated"),
    ]
    assert event_tracks(predicted(grid(2), NS_PER_S, tags={"soccer": [1, 1]}), calibrated=True) == ()


def test_a_video_without_samples_has_no_moments() -> None:
    assert segments(predicted([], NS_PER_S, events={"goal": []}), AggregateConfig()) == ()


def test_ninety_minutes_with_24_busy_labels_take_well_under_half_a_second() -> None:
    rng = np.random.default_rng(0)
    scores = rng.beta(2, 6, (24, 10_800))
    for start in rng.integers(0, 10_800, 50):  # 1,200 events of 5 s
        scores[:, start : start + 10] = 0.9
    events = {f"event {k}": row for k, row in enumerate(scores)}
    predictions = predicted(grid(10_800), 5400 * NS_PER_S, events=events)
    began = time.process_time()
    found = segments(predictions, AggregateConfig())
    assert time.process_time() - began < 1.0  # 0.2 s on an idle core; this one may be shared
    assert len(found) > 1000
