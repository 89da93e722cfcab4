"""What `eval` says of results and predictions: figures for programs, a line each for people, with chance beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from models.figures.bootstrap import bootstrap
from pipeline.commands.truths import read_moments, read_rows, read_scores, read_transitions
from pipeline.commands.words import shown
from pipeline.judge import (
    BRIEF,
    Moment,
    cuts_of_videos,
    judge_cuts,
    judge_moments,
    judge_qvhighlights,
    judge_tvsum,
    moments_of_videos,
    read_tvsum,
    reference_points,
)
from pipeline.records import Summary
from pipeline.republish import read_summary
from pipeline.results import read_report

Figures = dict[str, Any]
RESAMPLES = 200  # each is judged anew


@dataclass(frozen=True, slots=True)
class Judgement:
    """Figures, a line for each, and what to know before trusting them."""

    figures: Figures
    lines: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    def as_json(self) -> str:
        return json.dumps({**self.figures, "warnings": list(self.warnings)}, indent=1) + "\n"

    def as_text(self) -> str:
        return "".join(f"{shown(line)}\n" for line in (*(f"warning: {text}" for text in self.warnings), *self.lines))


def moments(folder: Path, truth: Path) -> Judgement:
    """The moments in the videos that the truth speaks of, as they were found: without lead-in and tail."""
    summary = read_summary(folder)
    known = read_moments(truth, [str(video.path) for video in summary.videos])
    found, duration_ns, failed = _found(folder, summary, known.watched)
    figures = judge_moments(found, known.moments, duration_ns)
    figures |= _sure(lambda videos: moments_of_videos(found, known.moments, duration_ns, videos), known.watched)
    labels = {moment.label for moment in found}
    warnings = [f"{path}: no such video in {folder}; what is said of it is left out" for path in known.unknown]
    warnings += [f"{video}: it failed; all its moments count as missed" for video in failed]
    warnings += [
        f"label {label}: nothing that was found bears it; found: {', '.join(sorted(labels)) or 'nothing'}"
        for label in sorted({moment.label for moment in known.moments} - labels)
    ]
    return Judgement(figures, tuple(_lines_of_moments(figures)), tuple(warnings))


def _sure(figures_of: Callable[[Sequence[str]], Mapping[str, float | None]], videos: Iterable[str]) -> Figures:
    """Intervals by bootstrap over videos."""
    names = sorted(videos)

    def figures(rows: npt.NDArray[np.int64]) -> dict[str, float]:
        found = figures_of([names[k] for k in rows])
        return {name: float("nan") if value is None else value for name, value in found.items()}

    return {f"{name}_interval": found for name, found in bootstrap(figures, names, resamples=RESAMPLES).items()}


def _found(
    folder: Path, summary: Summary, watched: frozenset[str]
) -> tuple[list[Moment], dict[str, int], tuple[str, ...]]:
    """What was found in those videos, how long each is, and which of them failed."""
    videos = [video for video in summary.videos if str(video.path) in watched]
    reports = {str(video.path): read_report(folder / video.dir) for video in videos if video.dir and not video.error}
    found = [
        Moment(video=name, label=segment.label, span=segment.event, score=segment.score)
        for name, report in reports.items()
        for segment in report.segments
    ]
    duration_ns = {name: report.video.span.duration_ns for name, report in reports.items()}
    return found, duration_ns, tuple(sorted(watched - set(reports)))


def _lines_of_moments(figures: Figures) -> Iterator[str]:
    of_truths, of_found = f"of {figures['truths']} moments known", f"of {figures['found']} found"
    yield f"{figures['videos']} videos, {figures['minutes']:.1f} minutes"
    yield f"mAP     {_beside(figures, 'map')} over tIoU 0.3:0.1:0.7, {of_truths}"
    for tiou, value in figures["map_by_tiou"].items():
        sure = _interval(figures, f"map@{tiou}")
        yield f"mAP     {_number(value)}{sure} at tIoU {tiou} (chance {_number(figures['map_by_tiou_chance'][tiou])})"
    for label, value in figures["map_by_label"].items():
        yield f"label   {label}: mAP {_number(value)} (chance {_number(figures['map_by_label_chance'][label])})"
    yield f"recall  {_beside(figures, 'recall')} at tIoU 0.5, {of_truths}"
    yield f"alarms  {_beside(figures, 'false_alarms_per_minute')} false ones a minute, {of_found}"
    for side in ("in", "out"):
        error, shift = figures[f"{side}_error_s"], figures[f"{side}_shift_s"]
        told = "none" if error is None else f"{error:.2f} s off, {abs(shift):.2f} s {'late' if shift >= 0 else 'early'}"
        told += _interval(figures, f"{side}_error_s")
        chance = _number(figures[f"{side}_error_s_chance"])
        yield f"{side:<7} {told} (medians of {figures['matched']} matched; off by chance {chance})"


def qvhighlights(predictions: Path, truth: Path) -> Judgement:
    """In percent, by the names that the official evaluation gives them."""
    figures = judge_qvhighlights(read_rows(predictions), read_rows(truth))
    lines = [
        f"{name:<20} {figures[name]:6.2f} (chance {figures[f'{name}_chance']:.2f}) of {_queries(figures, name)} queries"
        for name in BRIEF
        if name in figures
    ]
    return Judgement(figures, tuple(lines))


def _queries(figures: Figures, name: str) -> int:
    """Of `MR-long-mAP` those with a long window, of highlights all."""
    of_length = f"{'-'.join(name.split('-')[:2])}-queries"
    return int(figures[of_length if of_length in figures else "queries"])


def tvsum(what: Path, annotations: Path | None = None) -> Judgement:
    """Scores of frames; or, without any, how far people agree."""
    if annotations is None:
        known = read_tvsum(what)
        figures: Figures = {"videos": len(known), **reference_points(known)}
    else:
        figures = judge_tvsum(read_scores(what), read_tvsum(annotations))
        by_video = figures["by_video"]
        figures |= _sure(
            lambda names: {key: fmean(by_video[name][key] for name in names) for key in ("tau", "rho")}, by_video
        )
    return Judgement(figures, tuple(_lines_of_tvsum(figures)))


def _lines_of_tvsum(figures: Figures) -> Iterator[str]:
    for name, title in (("tau", "Kendall tau-b"), ("rho", "Spearman rho")):
        value, human, chance = (figures.get(key) for key in (name, f"{name}_human", f"{name}_chance"))
        told = (
            f"{_number(value)}{_interval(figures, name)} (human {_number(human)}, chance {_number(chance)})"
            if name in figures
            else (f"human {_number(human)}, chance {_number(chance)}")
        )
        yield f"{title:<14} {told} of {figures['videos']} videos"


def cuts(predictions: Path, truth: Path) -> Judgement:
    """Shot boundaries, counted in each of the ways."""
    found, known = read_transitions(predictions), read_transitions(truth)
    figures = judge_cuts(found, known)
    for name, interval in _sure(lambda videos: cuts_of_videos(found, known, videos), known).items():
        way, figure = name.split(" ")
        figures[way][figure] = interval
    return Judgement(figures, tuple(_lines_of_cuts(figures)))


def _lines_of_cuts(figures: Figures) -> Iterator[str]:
    for way, of_way in figures.items():
        yield f"{way:<18} precision {_beside(of_way, 'precision')} of {of_way['found']} found"
        yield f"{way:<18} recall    {_beside(of_way, 'recall')} of {of_way['true']} true"
        yield f"{way:<18} f1        {_beside(of_way, 'f1')}"


def _beside(figures: Figures, name: str) -> str:
    return f"{_number(figures[name])}{_interval(figures, name)} (chance {_number(figures.get(f'{name}_chance'))})"


def _interval(figures: Figures, name: str) -> str:
    """95 %, where there are videos enough to tell."""
    found = figures.get(f"{name}_interval")
    return f" [{_number(found[0])}, {_number(found[1])}]" if found else ""


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{round(value, 3) + 0.0:.3f}"  # no minus before nothing
