"""One video's page: what was found, where, and why. Pure: records in, HTML out; knows no files but by their paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import Config
from pipeline.page import drawing
from pipeline.page.lanes import score_lanes, signal_lanes, tag_lane
from pipeline.page.moments import hues, moments_of
from pipeline.page.no_moments import lower_bar, why_no_moments
from pipeline.page.templates import fill
from pipeline.page.words import address, count, duration
from pipeline.records import Predictions, Report, Track, Video, path_from
from pipeline.timeline import NS_PER_S, ns_to_seconds

# What every current browser plays, as 4:2:0 pictures: codec -> pixel formats.
_PLAYABLE = {
    "h264": ("yuv420p", "yuvj420p"),
    "vp8": ("yuv420p",),
    "vp9": ("yuv420p",),
    "av1": ("yuv420p", "yuv420p10le"),
}
_PLAYABLE_ENDINGS = (".mp4", ".m4v", ".webm")
_LAST_TICK = 93  # percents of the width: the text of a later one would run over the edge
_SHORTFALL_NS = NS_PER_S  # decoded time may end this much early before the page warns


def render_report(
    report: Report,
    predictions: Predictions,
    thumbs: Mapping[int, str],
    folder: Path,
    *,
    tracks: Sequence[Track],
    config: Config,
) -> str:
    """The HTML of `report.html` in `folder`.

    `thumbs`: segment index -> picture of its peak, relative to `folder`. `tracks`: the scores that segments were made
    of. `config`: the settings they were made by.
    """
    moments = moments_of(report, thumbs)
    whole = report.video.span
    return fill(
        "report.html",
        script="report.js",
        report=report,
        facts=_facts(report),
        moments=moments,
        moment_rows=1 + max((moment.row for moment in moments), default=0),
        lanes=(*score_lanes(predictions, tracks, hues(report)), *signal_lanes(predictions)),
        tags=tuple(tag_lane(tag, whole) for tag in report.tags),
        ticks=[(t_ns, left) for t_ns in drawing.ticks_ns(whole) if (left := drawing.share(t_ns, whole)) <= _LAST_TICK],
        why_empty=() if moments else why_no_moments(predictions, tracks, config),
        lower=lower_bar(config.aggregate),
        player=_player(report, folder),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A line of the header; `warn` when the reader should look twice."""

    name: str
    text: str
    detail: str = ""
    warn: bool = False


def _facts(report: Report) -> tuple[Fact, ...]:
    video, decode, model = report.video, report.decode, report.model
    rate = f"{float(video.frame_rate):.5g} fps average"
    speed = report.timing.get("video_seconds_per_second")
    short = video.span.duration_ns - decode.covered_ns > _SHORTFALL_NS
    corrupt = f"{decode.corrupt:,} of {decode.frames:,} damaged" if decode.corrupt else "none damaged"
    return (
        Fact(name="Length", text=duration(video.span.duration_ns), detail=rate),
        Fact(
            name="Picture",
            text=f"{video.width_px} \N{MULTIPLICATION SIGN} {video.height_px}",
            detail=_picture_details(video),
        ),
        Fact(name="Codec", text=video.codec, detail=video.pixel_format),
        Fact(name="Sound", text=count(video.audio_streams, "track")),
        Fact(name="Decoded", text=count(decode.frames, "frame"), detail=corrupt, warn=decode.corrupt > 0),
        Fact(name="Covered", text=duration(decode.covered_ns), detail=count(decode.samples, "sample"), warn=short),
        Fact(name="Speed", text=f"{speed:.3g}\N{MULTIPLICATION SIGN}" if speed else "not timed", detail="real time"),
        Fact(name="Content", text=video.video_id[:12], detail="fingerprint"),
        Fact(name="Model", text=model.name, detail=model.version[:12]),
        Fact(name="Settings", text=report.config_digest[:12], detail="digest"),
    )


def _picture_details(video: Video) -> str:
    facts = (
        "as displayed",
        f"rotated {video.rotation_deg}°" if video.rotation_deg else "",
        "interlaced" if video.interlaced else "",
        "HDR" if video.hdr else "",
    )
    return ", ".join(filter(None, facts))


def _player(report: Report, folder: Path) -> dict[str, object]:
    """What the page's script needs: addresses and times in seconds, as JSON."""
    moments = [
        {
            "start_s": ns_to_seconds(segment.span.start_ns),
            "end_s": ns_to_seconds(segment.span.end_ns),
            "clip": address(clip.path) if (clip := report.clip_of(index)) else None,
        }
        for index, segment in enumerate(report.segments)
    ]
    return {
        "duration_s": ns_to_seconds(report.video.span.duration_ns),
        "source": playable_source(report.video, folder),
        "reel": report.reel and {"url": address(report.reel.path), "segments": report.reel.segments},
        "moments": moments,
    }


def playable_source(video: Video, folder: Path) -> str | None:
    """The source's address where any current browser plays it; None for every other container, codec or layout."""
    plays = (
        video.path.suffix.lower() in _PLAYABLE_ENDINGS
        and video.pixel_format in _PLAYABLE.get(video.codec, ())
        and video.rotation_deg % 90 == 0
    )
    return address(path_from(folder, video.path)) if plays else None
