"""Scores, signals and tags -> the rows of the timeline below the moments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.page import drawing
from pipeline.page.drawing import Bar
from pipeline.page.words import percent
from pipeline.records import Array, Predictions, Tag, Track
from pipeline.timeline import Span

_LEAST_CUT = 0.1  # weaker ones are noise on the timeline
_LEAST_MOTION = 0.05  # top of the scale for a still picture, so that it looks still
_LEAST_RANGE_DB = 12  # of the scale, so that a steady sound looks steady


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A curve with what its base (`low`) and top (`high`) mean; or `missing`, why there is none."""

    name: str
    kind: str  # its class in page.css
    path: str = ""
    low: float = 0.0
    high: float = 1.0
    unit: str = ""
    missing: str = ""
    hue: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TagLane:
    """A tag and where it holds."""

    tag: Tag
    coverage: str
    bars: tuple[Bar, ...]


def score_lanes(predictions: Predictions, tracks: Sequence[Track], hues: Mapping[str, int]) -> tuple[Lane, ...]:
    pts_ns, span = predictions.scores.pts_ns, predictions.span
    return tuple(
        Lane(
            name=track.label,
            kind="score",
            path=drawing.area(pts_ns, track.score, span, 0.0, 1.0),
            hue=hues.get(track.label, 0),
        )
        for track in tracks
    )


def signal_lanes(predictions: Predictions) -> tuple[Lane, ...]:
    """Every signal there is, then every one that is missing, with the reason."""
    signals = predictions.signals
    drawn = (_signal_lane(name, values, predictions) for name, values in signals.series.items() if len(values))
    missing = (Lane(name=_spoken(name), kind="missing", missing=why) for name, why in signals.missing.items())
    return (*drawn, *missing)


def tag_lane(tag: Tag, whole: Span) -> TagLane:
    return TagLane(tag=tag, coverage=percent(tag.coverage), bars=tuple(drawing.bar(span, whole) for span in tag.spans))


def _signal_lane(name: str, values: Array, predictions: Predictions) -> Lane:
    pts_ns, span = predictions.scores.pts_ns, predictions.span
    if name == "cut":
        return Lane(name=_spoken(name), kind="stems", path=drawing.stems(pts_ns, values, span, _LEAST_CUT))
    low, high = _scale(name, values)
    path = drawing.area(pts_ns, values, span, low, high)
    return Lane(name=_spoken(name), kind="signal", path=path, low=low, high=high, unit=_unit(name))


def _scale(name: str, values: Array) -> tuple[float, float]:
    """What base and top mean. A still or steady series must look so: the range never shrinks to its noise."""
    if name.endswith("_db"):
        low, high = 6 * math.floor(np.quantile(values, 0.02) / 6), 6 * math.ceil(values.max() / 6)
        return low, max(high, low + _LEAST_RANGE_DB)
    if name == "motion":
        return 0.0, drawing.nice_ceiling(float(values.max()), least=_LEAST_MOTION)
    return min(0.0, float(values.min())), max(1.0, float(values.max()))


def _spoken(name: str) -> str:
    """A series' name for people, without its unit: `loudness_db` is loudness, `cut` is cuts."""
    return {"cut": "cuts"}.get(name, name.removesuffix("_db").replace("_", " "))


def _unit(name: str) -> str:
    return {"loudness_db": "LUFS"}.get(name, "dB" if name.endswith("_db") else "")
