"""Segments -> what the page shows of each: its clip, its picture, its place and colour on the timeline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.page import drawing
from pipeline.page.drawing import Bar
from pipeline.records import Clip, Report, Segment

_HUES = 6  # colours that page.css has for labels


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A segment as the page shows it. `bar` lies on the timeline, in `row`; `event` and `peak` lie inside `bar`."""

    index: int
    segment: Segment
    clip: Clip | None
    thumb: str | None
    in_reel: bool
    hue: int
    row: int
    bar: Bar
    event: Bar
    peak: float


def hues(report: Report) -> dict[str, int]:
    """Label -> number of its colour, the same on the timeline, on the curves and in the list."""
    found = (segment.label for segment in report.segments)
    labels = dict.fromkeys((*found, *report.model.labels.events))
    return {label: index % _HUES for index, label in enumerate(labels)}


def moments_of(report: Report, thumbs: Mapping[int, str]) -> tuple[Moment, ...]:
    """One per segment, in the report's order. `thumbs`: segment index -> path."""
    colours, rows = hues(report), drawing.rows([segment.span for segment in report.segments])
    return tuple(
        Moment(
            index=index,
            segment=segment,
            clip=report.clip_of(index),
            thumb=thumbs.get(index),
            in_reel=index in report.reel_plan,
            hue=colours[segment.label],
            row=rows[index],
            bar=drawing.bar(segment.span, report.video.span),
            event=drawing.bar(segment.event, segment.span),
            peak=drawing.share(segment.peak_ns, segment.span),
        )
        for index, segment in enumerate(report.segments)
    )
