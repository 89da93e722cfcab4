"""Moments found against moments known: average precision by overlap, recall, false alarms, errors of in and out points.

Beside the figures stand those of chance: as many moments of the same lengths and scores, at random places.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.judge.matching import UNMATCHED, interpolated_precision, matched, tious
from pipeline.timeline import NS_PER_S, Span

TIOUS = (0.3, 0.4, 0.5, 0.6, 0.7)
GOOD_TIOU = 0.5
DRAWS = 20
_OF_CHANCE = ("map", "recall", "false_alarms_per_minute", "in_error_s", "out_error_s")
SINGLE = (*_OF_CHANCE, "in_shift_s", "out_shift_s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Something called `label` in `video`, which is any name. `score` orders what was found; a truth needs none."""

    video: str
    label: str
    span: Span
    score: float = 0.0


Moments = Sequence[Moment]
Pair = tuple[Moment, Moment | None]  # what was found, and the truth that it is matched with
Durations = Mapping[str, int]


def judge_moments(found: Moments, truth: Moments, duration_ns: Durations, *, seed: int = 0) -> dict[str, Any]:
    """Figures of all that was found in videos whose truth is known.

    Average precision is ActivityNet's (eval_detection.py): by label, greedy by score over all videos, each truth once,
    VOC-2011 interpolation; the mean is over labels that have a truth, then over tIoU 0.3, 0.4 ... 0.7. Recall, false
    alarms and errors are at tIoU 0.5. Errors are medians over matched moments in seconds, of their size and, as
    `shift`, with their sign: late is positive. Equal scores come in order of video, then of start.

    `duration_ns` has every video that was looked at: false alarms count per minute of it. A figure of nothing is None.
    Chance is the mean of 20 draws; of errors, of the draws in which anything was matched.
    """
    rng = np.random.default_rng(seed)
    figures = _figures(found, truth, duration_ns)
    drawn = [_figures(_anywhere(found, duration_ns, rng), truth, duration_ns) for _ in range(DRAWS)]
    chance: dict[str, Any] = {f"{name}_chance": _mean([draw[name] for draw in drawn]) for name in _OF_CHANCE}
    for name in ("map_by_tiou", "map_by_label"):
        chance[f"{name}_chance"] = {key: _mean([draw[name][key] for draw in drawn]) for key in figures[name]}
    counts = {"videos": len(duration_ns), "minutes": _minutes(duration_ns), "truths": len(truth), "found": len(found)}
    return counts | figures | chance


def moments_of_videos(
    found: Moments, truth: Moments, duration_ns: Durations, videos: Sequence[str]
) -> dict[str, float | None]:
    """The single figures, of these videos alone; a video that comes twice counts as two. `map@T` is that of tIoU T."""
    turns = [(f"{number} {video}", video) for number, video in enumerate(videos)]
    ours, known = (
        [replace(moment, video=name) for name, video in turns for moment in moments if moment.video == video]
        for moments in (found, truth)
    )
    figures = _figures(ours, known, {name: duration_ns.get(video, 0) for name, video in turns})
    by_tiou = {f"map@{tiou}": value for tiou, value in figures["map_by_tiou"].items()}
    return by_tiou | {name: figures[name] for name in SINGLE}


def _figures(found: Moments, truth: Moments, duration_ns: Durations) -> dict[str, Any]:
    labels = sorted({moment.label for moment in truth})
    pairs = _pairs(found, truth)
    precision = {label: [_precision(pairs[tiou], truth, label) for tiou in TIOUS] for label in labels}
    hits = [(one, true) for one, true in pairs[GOOD_TIOU] if true is not None]
    minutes = _minutes(duration_ns)
    return {
        "map": _mean([part for parts in precision.values() for part in parts]),
        "map_by_tiou": {str(tiou): _mean([parts[k] for parts in precision.values()]) for k, tiou in enumerate(TIOUS)},
        "map_by_label": {label: _mean(parts) for label, parts in precision.items()},
        "recall": len(hits) / len(truth) if truth else None,
        "false_alarms_per_minute": (len(found) - len(hits)) / minutes if minutes else None,
        "matched": len(hits),
        **_errors(hits),
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _minutes(duration_ns: Durations) -> float:
    return sum(duration_ns.values()) / (60 * NS_PER_S)


def _precision(pairs: Sequence[Pair], truth: Moments, label: str) -> float:
    hit = np.array([true is not None for one, true in pairs if one.label == label], np.bool_)
    return interpolated_precision(hit, sum(moment.label == label for moment in truth))


def _errors(hits: Sequence[tuple[Moment, Moment]]) -> dict[str, float | None]:
    if not hits:
        return dict.fromkeys(("in_error_s", "out_error_s", "in_shift_s", "out_shift_s"))
    ones, trues = zip(*hits, strict=True)
    late_s = (_rows(ones) - _rows(trues)) / NS_PER_S
    (in_error, out_error), (in_shift, out_shift) = np.median(abs(late_s), axis=0), np.median(late_s, axis=0)
    return {
        "in_error_s": float(in_error),
        "out_error_s": float(out_error),
        "in_shift_s": float(in_shift),
        "out_shift_s": float(out_shift),
    }


def _pairs(found: Moments, truth: Moments) -> dict[float, list[Pair]]:
    """By tIoU all that was found, the best first."""
    known, pairs = _by_place(truth), {tiou: list[Pair]() for tiou in TIOUS}
    for place, ones in _by_place(found).items():
        true = known.get(place, [])
        overlap = tious(_rows(ones), _rows(true))
        for tiou, so_far in pairs.items():
            taken = matched(overlap, tiou).tolist()
            so_far += [(one, None if k == UNMATCHED else true[k]) for one, k in zip(ones, taken, strict=True)]
    return {tiou: sorted(of_tiou, key=lambda pair: _order(pair[0])) for tiou, of_tiou in pairs.items()}


def _by_place(moments: Moments) -> dict[tuple[str, str], list[Moment]]:
    """Those of one video and label together, the best first."""
    places: dict[tuple[str, str], list[Moment]] = defaultdict(list)
    for moment in sorted(moments, key=_order):
        places[moment.video, moment.label].append(moment)
    return places


def _order(moment: Moment) -> tuple[float, str, Span]:
    return -moment.score, moment.video, moment.span


def _rows(moments: Moments) -> npt.NDArray[np.int64]:
    return np.array([(moment.span.start_ns, moment.span.end_ns) for moment in moments], np.int64).reshape(-1, 2)


def _anywhere(found: Moments, duration_ns: Durations, rng: np.random.Generator) -> list[Moment]:
    """Each somewhere in its own video."""
    drawn = []
    for moment in found:
        length_ns = moment.span.duration_ns
        start_ns = int(rng.integers(0, max(0, duration_ns[moment.video] - length_ns), endpoint=True))
        drawn.append(replace(moment, span=Span(start_ns, start_ns + length_ns)))
    return drawn
