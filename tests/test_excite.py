"""Excitement: what rises above the video's own usual level, and nothing else, is a moment."""

import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.aggregate import aggregate
from pipeline.config import AggregateConfig, ExciteConfig
from pipeline.excite import excite
from pipeline.records import Predictions, Segment
from pipeline.timeline import NS_PER_S, Span
from tests.predicted import Series, grid, predicted, shifted, uneven_grids

CENTRED = (0.4, 0.3, 0.6, 0.7)
CONFIGS = st.builds(
    ExciteConfig,
    median_s=st.sampled_from([5.0, 60.0, 600.0]),
    spread=st.sampled_from([0.0, 4.0]),
    cap=st.sampled_from([0.5, 1.5, 100.0]),
    bias=st.sampled_from([-30.0, -3.0, 0.0]),
    loudness_scale_db=st.sampled_from([0.1, 8.0]),
    loudness_weight=st.sampled_from([0.0, 4.0, 100.0]),
    motion_scale=st.sampled_from([0.1, 2.0]),
    motion_weight=st.sampled_from([0.0, 2.0, 100.0]),
    subject_weight=st.sampled_from([0.0, 0.5, 100.0]),
)
SERIES = st.lists(st.sampled_from([0.0, 0.01, 0.04, 0.05, 0.2]), min_size=12, max_size=12)
LOUDNESS = st.lists(st.sampled_from([-70.0, -40.0, -25.0, -24.0, -10.0]), min_size=12, max_size=12)


def video(boxes: Series | None = None, **signals: Series) -> Predictions:
    """Sampled twice a second."""
    count = len(next(iter(signals.values())))
    return predicted(grid(count), count * NS_PER_S // 2, tags={"soccer": [1.0] * count}, signals=signals, boxes=boxes)


def moments(predictions: Predictions, config: ExciteConfig | None = None) -> tuple[Segment, ...]:
    return aggregate([excite(predictions, config or ExciteConfig())], predictions, AggregateConfig())


@st.composite
def boxes(draw: st.DrawFn, count: int) -> list[tuple[float, float, float, float]]:
    """A subject that jumps about, as a poor regression sees it."""
    sizes = st.sampled_from([0.02, 0.1, 0.3, 0.9])
    places = st.sampled_from([0.0, 0.1, 0.6])
    corners = [(draw(places), draw(places), draw(sizes), draw(sizes)) for _ in range(count)]
    return [(x, y, x + width, y + height) for x, y, width, height in corners]


# --- laws ---


@given(CONFIGS, st.lists(st.floats(0, 0.0039), min_size=12, max_size=12), boxes(12), st.booleans())
def test_a_static_silent_video_has_no_moment_whatever_the_settings(
    config: ExciteConfig, flicker: list[float], subject: list[tuple[float, ...]], has_sound_track: bool
) -> None:
    sound = {"loudness_db": [-70.0, -50.5] * 6} if has_sound_track else {}
    still = video(subject, motion=flicker, **sound)
    assert excite(still, config).score.max() == 0.0
    assert moments(still, config) == ()


@given(CONFIGS, st.floats(-80, 0), st.floats(0, 1))
def test_what_never_changes_is_no_moment_however_loud_and_wild(
    config: ExciteConfig, loudness_db: float, motion: float
) -> None:
    assert excite(video(loudness_db=[loudness_db] * 12, motion=[motion] * 12), config).score.max() == 0.0


@given(CONFIGS, SERIES, LOUDNESS, boxes(12), st.integers(0, 10**13))
def test_a_later_start_changes_no_score(
    config: ExciteConfig, motion: list[float], loudness_db: list[float], subject: list[tuple[float, ...]], by_ns: int
) -> None:
    early = video(subject, motion=motion, loudness_db=loudness_db)
    assert (excite(shifted(early, by_ns), config).score == excite(early, config).score).all()


@given(st.lists(st.floats(-40, -20), min_size=12, max_size=12), st.sampled_from([-8.0, 5.0, 12.5]))
def test_turning_the_volume_changes_no_score(loudness_db: list[float], gain_db: float) -> None:
    quiet, loud = video(loudness_db=loudness_db), video(loudness_db=np.array(loudness_db) + gain_db)
    scores = excite(quiet, ExciteConfig()).score, excite(loud, ExciteConfig()).score
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)


@given(st.lists(st.floats(0.01, 0.2), min_size=12, max_size=12), st.sampled_from([0.5, 2.0, 4.0]))
def test_a_nearer_camera_changes_no_score(motion: list[float], times: float) -> None:
    far, near = video(motion=motion), video(motion=np.array(motion) * times)
    assert excite(far, ExciteConfig()).score == pytest.approx(excite(near, ExciteConfig()).score, abs=1e-3)


@given(uneven_grids(at_least=2), CONFIGS, st.data())
def test_scores_are_unit_intervals_on_any_grid(
    samples: tuple[list[int], int], config: ExciteConfig, data: st.DataObject
) -> None:
    count = len(samples[0])
    wild = st.lists(st.floats(0, 1, width=32), min_size=count, max_size=count)
    signals = {"motion": data.draw(wild), "cut": data.draw(wild)}
    track = excite(predicted(*samples, signals=signals, boxes=data.draw(boxes(count))), config)
    assert ((track.score >= 0) & (track.score <= 1)).all()
    assert all(np.isfinite(cause).all() for cause in track.causes.values())


@given(SERIES, LOUDNESS, boxes(12))
def test_the_subject_only_adds_and_never_more_than_its_weight(
    motion: list[float], loudness_db: list[float], subject: list[tuple[float, ...]]
) -> None:
    config = ExciteConfig()

    def evidence(predictions: Predictions) -> np.ndarray:
        nothing = 1 / (1 + np.exp(-config.bias))
        p = excite(predictions, config).score.astype(np.float64) * (1 - nothing) + nothing
        return np.log(p / (1 - p))

    without = evidence(video(motion=motion, loudness_db=loudness_db))
    more = evidence(video(subject, motion=motion, loudness_db=loudness_db)) - without
    assert (more >= -1e-3).all()
    assert (more <= config.subject_weight * config.cap + 1e-3).all()


# --- sound, motion, and one without the other ---


def with_rise(base: float, risen: float, count: int = 240, at: slice = slice(100, 108)) -> np.ndarray:
    """Two minutes at `base`, but for four seconds from 50 s on."""
    series = np.full(count, base)
    series[at] = risen
    return series


CALM = {"motion": np.full(240, 0.04)}


@pytest.mark.parametrize(
    ("signals", "found"),
    [
        pytest.param({"loudness_db": with_rise(-25, -17)} | CALM, True, id="sound alone"),
        pytest.param({"loudness_db": with_rise(-25, -19)} | CALM, False, id="hardly louder"),
        pytest.param({"loudness_db": with_rise(-25, -45)} | CALM, False, id="a hush"),
        pytest.param({"loudness_db": with_rise(-69, -55)} | CALM, False, id="a rise within silence"),
        pytest.param({"loudness_db": with_rise(-70, -30)} | CALM, True, id="sound out of silence"),
        pytest.param({"motion": with_rise(0.04, 0.12)}, True, id="motion, and no sound track"),
        pytest.param({"motion": with_rise(0.0005, 0.003)}, False, id="flicker of a still picture"),
        pytest.param({"motion": with_rise(0.0, 0.05)}, True, id="a still picture comes alive"),
        pytest.param({"motion": with_rise(0.04, 0.12), "loudness_db": with_rise(-25, -25)}, False, id="a mute rush"),
        pytest.param({"motion": with_rise(0.04, 0.12), "loudness_db": with_rise(-25, -20)}, True, id="both, a little"),
    ],
)
def test_a_moment_is_a_rise(signals: dict[str, np.ndarray], found: bool) -> None:
    events = [segment.event for segment in moments(video(**signals))]
    assert events == ([Span(49_750_000_000, 53_750_000_000)] if found else [])


def test_a_sound_track_that_is_silent_is_no_sound_track() -> None:
    motion = with_rise(0.04, 0.12)
    silent = excite(video(motion=motion, loudness_db=[-70.0] * 240), ExciteConfig())
    assert (silent.score == excite(video(motion=motion), ExciteConfig()).score).all()
    assert "loudness_rise_db" not in silent.causes


def test_where_a_signal_never_rests_the_same_rise_is_no_moment() -> None:
    restless = with_rise(-25, -15) + np.tile([-6.0, 0.0, 6.0], 80) * (with_rise(1, 0) > 0)
    assert moments(video(loudness_db=restless, **CALM)) == ()


@pytest.mark.parametrize(("strength", "found"), [(0.9, 0), (0.0, 6)])
def test_a_cut_is_no_motion(strength: float, found: int) -> None:
    motion, cut = np.full(240, 0.04), np.zeros(240)
    for at in range(30, 210, 30):
        motion[at : at + 4] = 0.3
        cut[at : at + 4] = strength
    assert len(moments(video(motion=motion, cut=cut))) == found


def test_a_fade_through_black_is_no_motion() -> None:
    motion, cut = np.full(240, 0.04), np.zeros(240)
    motion[100:102] = 0.4, 0.5  # into the black, which looks much like the picture before, and out of it
    cut[100:102] = 0.3, 0.9
    assert moments(video(motion=motion, cut=cut)) == ()


def test_a_video_of_nothing_but_cuts_has_no_motion() -> None:
    assert excite(video(motion=[0.1, 0.5] * 6, cut=[0.9] * 12), ExciteConfig()).score.max() == 0.0


def test_the_subject_tips_the_balance() -> None:
    nearly = {"motion": with_rise(0.04, 0.08), "loudness_db": with_rise(-25, -20)}
    near = [(0.1, 0.1, 0.9, 0.9) if 100 <= k < 108 else CENTRED for k in range(240)]
    assert moments(video([CENTRED] * 240, **nearly)) == ()
    (found,) = moments(video(near, **nearly))
    assert "main subject 2.8 times its median size" in [reason.text for reason in found.reasons]


def test_of_several_boxes_in_a_picture_the_surest_is_the_subject() -> None:
    one = video([CENTRED] * 12, motion=[0.04] * 12)
    twice = np.repeat(np.arange(12), 2)
    other = np.tile(np.array([CENTRED, (0, 0, 1, 1)], np.float32), (12, 1))
    sure = np.tile(np.array([0.9, 0.2], np.float32), 12)
    crowd = replace(one.boxes, frame=twice, xyxy=other, score=sure, label=twice)
    causes = excite(replace(one, boxes=crowd), ExciteConfig()).causes
    assert {name: cause.tolist() for name, cause in causes.items()} == {
        name: cause.tolist() for name, cause in excite(one, ExciteConfig()).causes.items()
    }


def test_a_rise_out_of_silence_is_counted_from_the_floor() -> None:
    causes = excite(video(loudness_db=with_rise(-70, -30), motion=with_rise(0.0, 0.016)), ExciteConfig()).causes
    assert causes["loudness_rise_db"][104] == 20  # from -50 LUFS
    assert causes["motion_ratio"][104] == pytest.approx(4)  # from 0.004


def test_causes_tell_decibels_and_ratios() -> None:
    causes = excite(video(loudness_db=with_rise(-25, -11), motion=with_rise(0.04, 0.12)), ExciteConfig()).causes
    assert causes["loudness_rise_db"][[0, 104]].tolist() == [0, 14]
    assert causes["motion_ratio"][[0, 104]] == pytest.approx([1, 3])


def test_a_gate_lets_moments_through_only_where_its_tag_holds() -> None:
    signals = {"loudness_db": np.maximum(with_rise(-25, -15), with_rise(-25, -15, at=slice(180, 188)))}
    tags = {"soccer": [0.9] * 140 + [0.1] * 100, "none": [0.1] * 140 + [0.9] * 100}
    predictions = predicted(grid(240), 120 * NS_PER_S, tags=tags, signals=signals)
    assert len(moments(predictions)) == 2
    gated = moments(predictions, ExciteConfig(gate_tags=("soccer",)))
    assert [segment.event.start_ns for segment in gated] == [49_750_000_000]


def test_without_samples_or_signals_there_is_an_empty_track() -> None:
    assert len(excite(predicted([], NS_PER_S), ExciteConfig()).score) == 0
    assert excite(predicted(grid(2), NS_PER_S), ExciteConfig()).score.tolist() == [0.0, 0.0]


# --- whole programmes ---


def test_rises_of_sound_and_motion_at_known_times_are_found_where_they_are() -> None:
    """Three minutes, nine rises of 2 to 4 s at every phase of the grid: all found, edges within half a sample."""
    truth = [
        Span(a, a + (2000 + 250 * k) * 1_000_000)
        for k, a in enumerate(range(12_050_000_000, 175 * 10**9, 18_111_000_000))
    ]
    inside = np.array([any(span.holds(int(t)) for span in truth) for t in grid(360)])
    rng = np.random.default_rng(3)
    loudness_db = np.where(inside, -14, -26) + rng.normal(0, 1, 360)
    motion = np.where(inside, 0.1, 0.04) * np.exp(rng.normal(0, 0.3, 360))
    found = moments(video(loudness_db=loudness_db, motion=motion))
    assert len(found) == len(truth) == 9
    pairs = [(segment.event, span) for segment, span in zip(found, truth, strict=True)]
    errors = [e for a, b in pairs for e in (abs(a.start_ns - b.start_ns), abs(a.end_ns - b.end_ns))]
    assert np.median(errors) <= 0.25 * NS_PER_S
    assert max(errors) <= 0.5 * NS_PER_S


def game(seed: int) -> tuple[Predictions, list[Span]]:
    """Ninety minutes: a crowd at -25 LUFS that breathes and swells, restless pictures with cuts, six roars of 8 to
    15 dB for 4 s."""
    rng, count = np.random.default_rng(seed), 10_800
    swell = np.interp(np.arange(count), np.arange(0, count + 60, 60), rng.normal(0, 1.5, count // 60 + 1))
    breath = np.convolve(rng.normal(0, 1.5, count + 2), [0.5, 0.7, 0.5], "valid")
    loudness_db = -25 + swell + breath
    cut = np.where(rng.random(count) < 0.05, 0.9, 0.1)
    motion = np.where(cut > 0.5, 0.3, 0.04 * np.exp(rng.normal(0, 0.5, count)))
    roars = [Span(s, s + 4 * NS_PER_S) for s in sorted(rng.choice(5300, 6, replace=False) * NS_PER_S + 7 * 10**8)]
    for roar in roars:
        loudness_db[[roar.holds(int(t)) for t in grid(count)]] += rng.uniform(8, 15)
    return video(loudness_db=loudness_db, motion=motion, cut=cut), roars


def test_the_roars_of_games_are_found_and_little_else() -> None:
    found, false = 0, 0
    for seed in range(3):
        predictions, roars = game(seed)
        events = [segment.event for segment in moments(predictions)]
        found += sum(any(event.overlap_ns(roar) for event in events) for roar in roars)
        false += sum(not any(event.overlap_ns(roar) for roar in roars) for event in events)
    assert found >= 17  # of 18; one of 8 dB may drown in the crowd's own breath
    assert false <= 2  # in four and a half hours


def test_ninety_minutes_are_judged_in_well_under_half_a_second() -> None:
    predictions, _ = game(0)
    crowd = replace(predictions, boxes=video([CENTRED] * 10_800, motion=[0.0] * 10_800).boxes)
    began = time.process_time()
    excite(crowd, ExciteConfig())
    assert time.process_time() - began < 1.0  # 0.15 s on an idle core; this one may be shared
