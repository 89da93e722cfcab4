"""What a video is about, where, and how much of it."""

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.config import TagsConfig
from pipeline.records import NO_LABEL, Predictions, Tag
from pipeline.tags import tags
from pipeline.timeline import NS_PER_S, Span
from tests.predicted import Series, grid, predicted, scores_for, shifted, split_once, uneven_grids

NAMES = ("soccer", "tennis", NO_LABEL)


@st.composite
def videos(draw: st.DrawFn) -> Predictions:
    pts_ns, end_ns = draw(uneven_grids())
    series = {name: draw(scores_for(len(pts_ns))) for name in NAMES}
    return predicted(pts_ns, end_ns, tags=series, events={"goal": draw(scores_for(len(pts_ns)))})


CONFIGS = st.builds(
    TagsConfig,
    min_score=st.sampled_from([0.0, 0.3, 0.5, 0.9]),
    min_coverage=st.sampled_from([0.0, 0.05, 0.5]),
    smooth_s=st.sampled_from([0.0, 1.0, 4.0]),
)


def told(series: dict[str, Series], config: TagsConfig | None = None) -> list[Tag]:
    """Sampled twice a second."""
    count = len(next(iter(series.values())))
    return list(tags(predicted(grid(count), count * NS_PER_S // 2, tags=series), config or TagsConfig(smooth_s=0.0)))


@given(videos(), CONFIGS)
def test_coverage_is_the_share_of_the_video_in_the_spans(video: Predictions, config: TagsConfig) -> None:
    for tag in tags(video, config):
        assert all(video.span.covers(span) for span in tag.spans)
        assert all(a.end_ns < b.start_ns for a, b in zip(tag.spans, tag.spans[1:], strict=False))
        covered_ns = sum(span.duration_ns for span in tag.spans)
        assert tag.coverage == pytest.approx(covered_ns / video.span.duration_ns)
        assert tag.coverage >= config.min_coverage


@given(videos(), CONFIGS)
def test_tags_come_by_coverage_times_score(video: Predictions, config: TagsConfig) -> None:
    found = tags(video, config)
    weights = [tag.coverage * tag.score for tag in found]
    assert weights == sorted(weights, reverse=True)
    assert tags(video, replace(config, max_tags=1)) == found[:1]


@given(videos(), CONFIGS)
def test_none_is_never_a_tag_and_neither_is_an_event(video: Predictions, config: TagsConfig) -> None:
    assert {tag.name for tag in tags(video, config)} <= {"soccer", "tennis"}


@given(videos(), CONFIGS, st.integers(0, 10**13))
def test_a_later_start_moves_the_spans_and_changes_nothing(video: Predictions, config: TagsConfig, by_ns: int) -> None:
    def later(span: Span) -> Span:
        return Span(span.start_ns + by_ns, span.end_ns + by_ns)

    expected = [replace(tag, spans=tuple(later(span) for span in tag.spans)) for tag in tags(video, config)]
    assert list(tags(shifted(video, by_ns), config)) == expected


@given(st.integers(6, 12), CONFIGS, st.data())
def test_a_sample_seen_twice_while_it_holds_changes_nothing(
    count: int, config: TagsConfig, data: st.DataObject
) -> None:
    once = predicted(grid(count), count * NS_PER_S // 2, tags={"soccer": data.draw(scores_for(count))})
    k = data.draw(st.integers(0, count - 1))
    twice = split_once(once, k, int(grid(count)[k]) + data.draw(st.integers(1, NS_PER_S // 2 - 1)))
    assert tags(twice, config) == tags(once, config)


@given(videos(), CONFIGS, st.sampled_from([0.05, 0.2]))
def test_asking_for_a_higher_score_covers_no_more(video: Predictions, config: TagsConfig, more: float) -> None:
    assume(config.min_score + more <= 1)
    found = {tag.name: tag.coverage for tag in tags(video, config)}
    for tag in tags(video, replace(config, min_score=config.min_score + more)):
        assert tag.coverage <= found[tag.name] + 1e-9


def test_a_tag_says_where_it_holds_how_much_and_how_surely() -> None:
    (tag,) = told({"soccer": [0.1] * 10 + [0.8] * 10 + [0.1] * 20})
    assert (tag.taxonomy, tag.id, tag.name) == ("labels", "soccer", "soccer")
    assert tag.spans == (Span(4_750_000_000, 9_750_000_000),)  # between the samples
    assert (tag.score, tag.coverage) == pytest.approx((0.8, 0.25))


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        pytest.param({"soccer": [0.9] * 4, "tennis": [0.5] * 4}, ["soccer", "tennis"], id="surer first"),
        pytest.param({"soccer": [0.9, 0, 0, 0], "tennis": [0.5] * 4}, ["tennis", "soccer"], id="longer first"),
        pytest.param({"tennis": [0.9] * 4, "soccer": [0.9] * 4}, ["soccer", "tennis"], id="of equals by name"),
        pytest.param({"soccer": [0.2] * 4}, [], id="too unsure"),
        pytest.param({"soccer": [0.9] + [0.0] * 39}, [], id="too short"),
        pytest.param({NO_LABEL: [0.9] * 4}, [], id="about nothing we know"),
    ],
)
def test_the_tags_of_a_video(series: dict[str, list[float]], expected: list[str]) -> None:
    assert [tag.name for tag in told(series)] == expected


def test_a_tag_that_wavers_for_a_sample_still_holds() -> None:
    (tag,) = told({"soccer": [0.9] * 10 + [0.0] + [0.9] * 10}, TagsConfig())
    assert tag.coverage == pytest.approx(1.0)


def test_ids_are_plain() -> None:
    assert [tag.id for tag in told({"Ping-Pong / Doubles": [0.9]})] == ["ping-pong-doubles"]


def test_a_video_without_samples_or_a_model_without_tags_has_none() -> None:
    assert tags(predicted([], NS_PER_S, tags={"soccer": []}), TagsConfig()) == ()
    assert tags(predicted(grid(2), NS_PER_S, events={"goal": [1, 1]}), TagsConfig()) == ()


def test_ninety_minutes_with_a_thousand_labels_take_well_under_half_a_second() -> None:
    scores = np.random.default_rng(0).dirichlet(np.full(1000, 0.01), 10_800).astype(np.float32)
    predictions = predicted(grid(10_800), 5400 * NS_PER_S, tags={f"label {k}": scores[:, k] for k in range(1000)})
    began = time.process_time()
    tags(predictions, TagsConfig())
    assert time.process_time() - began < 1.0
