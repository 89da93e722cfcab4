"""Excitement, where no event head speaks: the video's own loudness, motion and main subject -> one track, `moment`.

    score    = (logistic(bias + evidence) - logistic(bias)) / (1 - logistic(bias))     no evidence: exactly 0
    evidence = sum of weight * min(rise / scale, cap)

A rise is measured against the video's own running median, in decibels for sound and in doublings for pictures, and
never from below an absolute floor: a still picture that flickers and a silence that crackles do not rise. Where there
is no sound, motion takes its weight over, and the other way round: either has to say it all, and can. The main
subject's box comes from a noisy regression: it only adds to a rise of sound or motion, its weight is small, and never
grows. Tags only gate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.config import MOMENT, ExciteConfig
from pipeline.records import Array, Predictions, Track
from pipeline.steps import Steps, Values
from pipeline.timeline import NS_PER_S, seconds_to_ns


def excite(predictions: Predictions, config: ExciteConfig) -> Track:
    """The track `moment`, uncalibrated. Its causes are what the reasons tell, float32 (N,), each only where measured:
    `loudness_rise_db`, `motion_ratio`, `subject_size_ratio`, `subject_speed_ratio`; 0 dB and ratio 1 are as usual.

    The model has all of `gate_tags` (`config.require_labels`).
    """
    columns = [predictions.scores.labels.column(tag) for tag in config.gate_tags]
    rises = _rises(predictions, config) if len(predictions.scores.pts_ns) else {}
    evidence = _evidence(rises, config, len(predictions.scores.pts_ns))
    if columns and rises:
        evidence = evidence * _gate(predictions, columns, config)
    nothing = _logistic(config.bias)
    score = (_logistic(config.bias + evidence) - nothing) / (1 - nothing)
    return Track(
        label=MOMENT,
        score=score.clip(0, 1).astype(np.float32),
        score_kind="uncalibrated",
        causes={name: rise.told.astype(np.float32) for name, rise in rises.items()},
    )


@dataclass(frozen=True, slots=True)
class _Rise:
    """Over the running median, never below it: `told` in what people read, `size` in scales and at most `cap`."""

    told: Values
    size: Values


def _rises(predictions: Predictions, config: ExciteConfig) -> dict[str, _Rise]:
    """By cause, one for each signal that was measured. A sound track that is silent all the way is no sound."""
    rises: dict[str, _Rise] = {}
    loudness_db, motion = predictions.signals.get("loudness_db"), predictions.signals.get("motion")
    if loudness_db is not None and (loudness_db > config.loudness_floor_db).any():
        heard_db = np.maximum(loudness_db, config.loudness_floor_db)
        rises["loudness_rise_db"] = _Rise(*_rise(heard_db, config.loudness_scale_db, predictions, config))
    if motion is not None:
        motion = _between_cuts(motion, predictions, config)
        rises["motion_ratio"] = _doublings(motion, config.motion_floor, config.motion_scale, predictions, config)
    if len(predictions.boxes):
        size, speed = _subject(predictions)
        speed = _between_cuts(speed, predictions, config)
        floors, scale = (config.subject_size_floor, config.subject_speed_floor), config.subject_scale
        rises["subject_size_ratio"] = _doublings(size, floors[0], scale, predictions, config)
        rises["subject_speed_ratio"] = _doublings(speed, floors[1], scale, predictions, config)
    return rises


def _doublings(series: Array, floor: float, scale: float, predictions: Predictions, config: ExciteConfig) -> _Rise:
    height, size = _rise(np.log2(np.maximum(series, floor)), scale, predictions, config)
    return _Rise(np.exp2(height), size)


def _rise(level: Array, scale: float, predictions: Predictions, config: ExciteConfig) -> tuple[Values, Values]:
    """Height over the running median, and the same in units of `scale`, or of `spread` times the running median
    absolute deviation where that is more: where a signal never rests, a rise must be larger to mean anything."""
    steps, pts_ns, width_ns = Steps.of(predictions, level), predictions.scores.pts_ns, seconds_to_ns(config.median_s)
    away = steps.at(pts_ns) - steps.running_median(width_ns, pts_ns)
    usual = Steps.of(predictions, np.abs(away)).running_median(width_ns, pts_ns)
    height = np.maximum(0, away)
    return height, np.minimum(height / np.maximum(scale, config.spread * usual), config.cap)


def _between_cuts(series: Array, predictions: Predictions, config: ExciteConfig) -> Array:
    """A cut is no movement: there the value is the lower one of the nearest samples before and after without a cut."""
    cut = predictions.signals.get("cut")
    if cut is None:
        return series
    calm, every = np.flatnonzero(cut < config.cut_limit), np.arange(len(cut))
    if len(calm) == 0:
        return np.zeros_like(series)
    before = calm[np.maximum(calm.searchsorted(every, side="right") - 1, 0)]
    after = calm[np.minimum(calm.searchsorted(every), len(calm) - 1)]
    return np.minimum(series[before], series[after])


def _subject(predictions: Predictions) -> tuple[Values, Values]:
    """Size (square root of the area) and speed (per second, of the centre) of each sample's best box, as fractions of
    the picture, (N,); 0 where there is none."""
    boxes, pts_ns = predictions.boxes, predictions.scores.pts_ns
    best = np.lexsort((boxes.score, boxes.frame))  # of a frame's boxes, the last one written is the best
    xyxy = np.full((len(pts_ns), 4), np.nan)
    xyxy[boxes.frame[best]] = boxes.xyxy[best]
    corner, opposite = xyxy[:, :2], xyxy[:, 2:]
    moved = np.linalg.norm(np.diff((corner + opposite) / 2, axis=0, prepend=np.nan), axis=1)
    seconds = np.diff(pts_ns, prepend=pts_ns[0] - NS_PER_S) / NS_PER_S
    return np.nan_to_num(np.sqrt((opposite - corner).prod(axis=1))), np.nan_to_num(moved / seconds)


def _evidence(rises: Mapping[str, _Rise], config: ExciteConfig, count: int) -> Values:
    """The sum of the parts, (N,), >= 0. Where neither sound nor motion rises there is none, whatever the boxes say."""
    weights = {"loudness_rise_db": config.loudness_weight, "motion_ratio": config.motion_weight}
    measured = sum(weight for name, weight in weights.items() if name in rises)
    if measured == 0:
        return np.zeros(count)
    share = sum(weights.values()) / measured
    main = sum(
        (share * weight * rises[name].size for name, weight in weights.items() if name in rises), np.zeros(count)
    )
    subject = [rises[name].size for name in ("subject_size_ratio", "subject_speed_ratio") if name in rises]
    return main + (main > 0) * config.subject_weight / 2 * sum(subject, np.zeros(count))


def _gate(predictions: Predictions, columns: list[int], config: ExciteConfig) -> npt.NDArray[np.bool_]:
    """Where the best of the gate's tags has a median of at least `gate_score` over `gate_s`."""
    best = predictions.scores.probs[:, columns].max(axis=1)
    steps = Steps.of(predictions, best)
    return steps.running_median(seconds_to_ns(config.gate_s), predictions.scores.pts_ns) >= config.gate_score


def _logistic(x: Values | float) -> Values:
    return np.asarray(1 / (1 + np.exp(-x)))
