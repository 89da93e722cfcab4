"""The page of a whole run: every input, failures first. Pure: a summary in, HTML out."""

from __future__ import annotations

from pipeline.page.templates import fill
from pipeline.records import Summary


def render_index(summary: Summary) -> str:
    """The HTML of `index.html` in the output folder."""
    known_ns = [video.duration_ns for video in summary.videos if video.duration_ns is not None]
    return fill(
        "index.html",
        script="index.js",
        summary=summary,
        videos=sorted(summary.videos, key=lambda video: (video.state == "done", video.path)),
        duration_ns=sum(known_ns),
        segments=sum(video.segments for video in summary.videos),
        clips=sum(video.clips for video in summary.videos),
    )
