"""Records are complete and right at birth, and cannot be changed afterwards."""

from dataclasses import FrozenInstanceError
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records import (
    Boxes,
    DecodeFacts,
    FrameBatch,
    FrameScores,
    Labels,
    Predictions,
    Reason,
    Segment,
    Signals,
    Tag,
    Track,
    Video,
)
from pipeline.timeline import NS_PER_S, Span

LABELS = Labels(tags=("soccer", "none"), events=("goal",))


def video(**changes: Any) -> Video:
    facts: dict[str, Any] = {
        "path": Path("game.mp4"),
        "video_id": "0" * 64,
        "width_px": 1280,
        "height_px": 720,
        "span": Span(0, 10 * NS_PER_S),
        "time_base": Fraction(1, 90_000),
        "origin_pts": 126_000,
        "frame_rate": Fraction(30_000, 1001),
        "codec": "h264",
        "pixel_format": "yuv420p",
        "stream_index": 0,
        "audio_streams": 1,
    }
    return Video(**facts | changes)


def pictures(count: int) -> np.ndarray:
    return np.zeros((count, 4, 6, 3), np.uint8)


def grid(*pts_ns: int) -> np.ndarray:
    return np.array(pts_ns, np.int64)


def one_box(xyxy: tuple[float, float, float, float], frame: int = 0) -> Boxes:
    return Boxes(
        frame=np.array([frame]),
        xyxy=np.array([xyxy], np.float32),
        score=np.array([0.5], np.float32),
        label=np.array([0]),
    )


def predictions(pts_ns: np.ndarray, **changes: Any) -> Predictions:
    count = len(pts_ns)
    parts: dict[str, Any] = {
        "span": Span(0, 10),
        "scores": FrameScores(pts_ns, np.full((count, 3), 0.5, np.float32), LABELS),
        "boxes": one_box((0.1, 0.1, 0.9, 0.9)),
        "signals": Signals({"motion": np.zeros(count, np.float32)}),
        "decode": DecodeFacts(frames=count, corrupt=0, samples=count, covered_ns=10),
    }
    return Predictions(**parts | changes)


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        video().width_px = 5  # type: ignore[misc]


def test_the_origin_is_the_containers_time_of_the_first_frame() -> None:
    assert video().origin_ns == 1_400_000_000
    assert video(origin_pts=-9_000).origin_ns == -100_000_000


def test_a_video_has_audio_when_it_has_an_audio_stream() -> None:
    assert video(audio_streams=2).has_audio
    assert not video(audio_streams=0).has_audio


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"span": Span(1, 10)}, "starts at its first displayed frame"),
        ({"width_px": 0}, "0 x 720 px is no picture"),
        ({"height_px": -1}, "is no picture"),
        ({"time_base": Fraction(0)}, "time base 0 must be positive"),
    ],
)
def test_an_impossible_video_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        video(**changes)


@pytest.mark.parametrize(
    ("pixels", "pts_ns", "said"),
    [
        (pictures(2), grid(0), "2 pictures with 1 times"),
        (pictures(2), grid(5, 5), "strictly increasing"),
        (pictures(2), grid(5, 4), "strictly increasing"),
        (pictures(2), np.array([0.0, 1.0]), "must be int64"),
        (pictures(2), grid(0, 1).reshape(2, 1), "must be int64"),
        (pictures(2).astype(np.float32), grid(0, 1), "not uint8"),
        (pictures(2)[..., :1], grid(0, 1), r"not \(B, H, W, 3\)"),
        (pictures(2)[0], grid(0, 1), r"not \(B, H, W, 3\)"),
    ],
)
def test_a_batch_of_frames_is_checked(pixels: np.ndarray, pts_ns: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FrameBatch(pixels, pts_ns)


def test_an_empty_batch_is_a_batch() -> None:
    assert len(FrameBatch(pictures(0), grid())) == 0


def test_arrays_of_records_are_read_only_while_their_makers_own_is_not() -> None:
    own = pictures(1)
    batch = FrameBatch(own, grid(0))
    with pytest.raises(ValueError, match="read-only"):
        batch.pixels[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        batch.pts_ns[0] = 1
    own[0] = 7  # a decoder goes on to fill the rest of its array


def test_labels_are_tags_then_events_and_differ() -> None:
    assert LABELS.names == ("soccer", "none", "goal")
    assert [LABELS.column(name) for name in LABELS.names] == [0, 1, 2]
    with pytest.raises(ValueError, match="must differ"):
        Labels(tags=("goal",), events=("goal",))


@pytest.mark.parametrize(
    ("probs", "said"),
    [
        (np.full((2, 3), 1.1), r"\[0, 1\]"),
        (np.full((2, 3), -0.1), r"\[0, 1\]"),
        (np.full((2, 3), np.nan), r"\[0, 1\]"),
        (np.full((2, 2), 0.5), r"expected \(N, C\) = \(2, 3\)"),
        (np.full((3, 3), 0.5), r"expected \(N, C\) = \(2, 3\)"),
    ],
)
def test_scores_are_probabilities_one_column_per_label(probs: np.ndarray, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        FrameScores(grid(0, 1), probs.astype(np.float32), LABELS)


@pytest.mark.parametrize(
    "xyxy", [(0.5, 0.1, 0.5, 0.9), (0.1, 0.9, 0.9, 0.9), (0.9, 0.1, 0.1, 0.9), (0.1, 0.1, np.nan, 0.9)]
)
def test_a_box_has_its_corners_in_order(xyxy: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="x0 < x1 and y0 < y1"):
        one_box(xyxy)


def test_a_box_may_leave_the_picture() -> None:
    assert len(one_box((-0.5, -0.1, 1.5, 0.9))) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_signals_are_finite(value: float) -> None:
    with pytest.raises(ValueError, match="loudness_db must be finite"):
        Signals({"loudness_db": np.array([0.0, value], np.float32)})


def test_a_signal_that_could_not_be_measured_is_absent() -> None:
    assert Signals({}, missing={"loudness_db": "no sound"}).get("loudness_db") is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"signals": Signals({"motion": np.zeros(3, np.float32)})}, "motion has 3 values on a grid of 2"),
        ({"boxes": one_box((0, 0, 1, 1), frame=2)}, "beyond the grid"),
        ({"features": np.zeros((3, 8), np.float16)}, "one feature row per sample"),
    ],
)
def test_predictions_share_one_grid(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        predictions(grid(0, 5), **changes)


@given(st.sets(st.integers(0, 9), min_size=1))
def test_samples_together_stand_for_all_time_from_the_first_to_the_end(pts: set[int]) -> None:
    hold_ns = predictions(grid(*sorted(pts))).hold_ns()
    assert hold_ns.sum() == 10 - min(pts)
    assert (hold_ns > 0).all()


def test_a_track_is_scored_in_unit_intervals_with_its_causes_on_the_same_grid() -> None:
    with pytest.raises(ValueError, match="goal: scores lie in"):
        Track(label="goal", score=np.array([1.5], np.float32), score_kind="uncalibrated")
    with pytest.raises(ValueError, match="share the track's grid"):
        Track(
            label="goal",
            score=np.zeros(2, np.float32),
            score_kind="uncalibrated",
            causes={"motion": np.zeros(3, np.float32)},
        )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"event": Span(5, 25)}, "must lie inside"),
        ({"peak_ns": 15}, "peak 15 must lie inside"),  # the end is not in the event
        ({"peak_ns": 4}, "peak 4 must lie inside"),
        ({"score": 1.5}, "score 1.5 must lie in"),
        ({"score_kind": "likely"}, "score_kind 'likely' is unknown"),
    ],
)
def test_a_segment_holds_its_event_and_its_event_the_peak(changes: dict[str, Any], said: str) -> None:
    good: dict[str, Any] = {
        "span": Span(0, 20),
        "event": Span(5, 15),
        "label": "goal",
        "score": 0.5,
        "score_kind": "calibrated",
        "peak_ns": 5,
        "reasons": (Reason(name="loudness_db", value=9.0, text="9 dB louder than usual"),),
    }
    Segment(**good)
    with pytest.raises(ValueError, match=said):
        Segment(**good | changes)


def test_a_reason_has_a_finite_value() -> None:
    with pytest.raises(ValueError, match="must be finite"):
        Reason(name="motion", value=float("nan"), text="?")


@pytest.mark.parametrize(("score", "coverage"), [(1.1, 0.5), (0.5, -0.1)])
def test_a_tag_is_scored_in_unit_intervals(score: float, coverage: float) -> None:
    with pytest.raises(ValueError, match="unit intervals"):
        Tag(taxonomy="labels", id="1", name="soccer", score=score, coverage=coverage, spans=())
