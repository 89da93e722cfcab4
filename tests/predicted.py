"""Predictions made by hand: what a network and the meters could have said, for the stages that never see a picture."""

from collections.abc import Mapping, Sequence

import numpy as np
from hypothesis import strategies as st

from pipeline.records import Boxes, DecodeFacts, FrameScores, Labels, Predictions, Signals
from pipeline.timeline import NS_PER_S, Span

Series = Sequence[float] | np.ndarray
MS = 1_000_000


def grid(count: int, hz: float = 2.0, first_ns: int = 0) -> np.ndarray:
    """`count` sample times, `hz` a second."""
    return first_ns + (np.arange(count) * (NS_PER_S / hz)).astype(np.int64)


def predicted(
    pts_ns: Sequence[int] | np.ndarray,
    end_ns: int,
    *,
    tags: Mapping[str, Series] | None = None,
    events: Mapping[str, Series] | None = None,
    signals: Mapping[str, Series] | None = None,
    boxes: Sequence[Sequence[float]] | None = None,
    start_ns: int = 0,
) -> Predictions:
    """One series per label and signal; `boxes`, if any, are one `(x0, y0, x1, y1)` per sample."""
    pts_ns = np.asarray(pts_ns, np.int64)
    count, labels = len(pts_ns), Labels(tuple(tags or ()), tuple(events or ()))
    columns = [*(tags or {}).values(), *(events or {}).values()]
    xyxy = np.array(boxes if boxes is not None else np.empty((0, 4)), np.float32)
    return Predictions(
        span=Span(start_ns, end_ns),
        scores=FrameScores(pts_ns, np.array(columns, np.float32).reshape(len(columns), count).T, labels),
        boxes=Boxes(np.arange(len(xyxy)), xyxy, np.ones(len(xyxy), np.float32), np.zeros(len(xyxy), np.int64)),
        signals=Signals({name: np.asarray(series, np.float32) for name, series in (signals or {}).items()}),
        decode=DecodeFacts(frames=count, corrupt=0, samples=count, covered_ns=end_ns),
    )


def split_once(predictions: Predictions, k: int, at_ns: int) -> Predictions:
    """Sample `k` seen a second time at `at_ns`, while it holds: everything it says is said twice."""
    twice = np.sort(np.append(np.arange(len(predictions.scores.pts_ns)), k))
    labels, probs = predictions.scores.labels, predictions.scores.probs[twice]
    return Predictions(
        span=predictions.span,
        scores=FrameScores(np.insert(predictions.scores.pts_ns, k + 1, at_ns), probs, labels),
        boxes=predictions.boxes,
        signals=Signals({name: values[twice] for name, values in predictions.signals.series.items()}),
        decode=predictions.decode,
    )


@st.composite
def uneven_grids(draw: st.DrawFn, at_least: int = 1, at_most: int = 16) -> tuple[list[int], int]:
    """Sample times with uneven holds, the first at 0 or later, and the end of the video."""
    holds = draw(st.lists(st.sampled_from([40, 333, 500, 500, 500, 1000, 4000]), min_size=at_least, max_size=at_most))
    times = np.cumsum([draw(st.sampled_from([0, 0, 250])), *holds]) * MS
    return times[:-1].tolist(), int(times[-1])


def scores_for(count: int) -> st.SearchStrategy[list[float]]:
    """Scores with long level stretches, doubts and single outliers."""
    return st.lists(st.sampled_from([0.0, 0.0, 0.3, 0.5, 0.55, 0.7, 0.9, 1.0, 1.0]), min_size=count, max_size=count)


def shifted(predictions: Predictions, by_ns: int) -> Predictions:
    """The same, later."""
    scores = FrameScores(predictions.scores.pts_ns + by_ns, predictions.scores.probs, predictions.scores.labels)
    span = Span(predictions.span.start_ns + by_ns, predictions.span.end_ns + by_ns)
    return Predictions(
        span=span,
        scores=scores,
        boxes=predictions.boxes,
        signals=predictions.signals,
        decode=predictions.decode,
    )
