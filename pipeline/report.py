"""Report <-> `report.json` and Summary -> `summary.json`: the keys, as docs/report.md documents them.

Knows no files but the folder that paths are relative to; `store` reads and writes. Whatever comes back is untrusted:
each key is checked for its type, and each path must stay inside the folder.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from pipeline.errors import UnusableResult
from pipeline.records import (
    Clip,
    DecodeFacts,
    Labels,
    ModelFacts,
    Reason,
    Reel,
    Report,
    Segment,
    Summary,
    Tag,
    Video,
    VideoOutcome,
    path_from,
)
from pipeline.timeline import Span, timecode

REPORT_SCHEMA = "matchcut.report/1"
SUMMARY_SCHEMA = "matchcut.summary/1"

Json = dict[str, Any]
Kind = TypeVar("Kind")


def to_json(report: Report, folder: Path) -> Json:
    """What `report.json` in `folder` holds: plain JSON values; `from_json(to_json(r, f), f) == r`."""
    return {
        "schema": REPORT_SCHEMA,
        "video": _video_to_json(report.video, folder),
        "model": _model_to_json(report.model),
        "config_digest": report.config_digest,
        "segments": [_segment_to_json(s, report.clip_of(index)) for index, s in enumerate(report.segments)],
        "tags": [_tag_to_json(tag) for tag in report.tags],
        "ads": [],
        "breaks": [],
        "clips": [asdict(clip) | {"changes": list(clip.changes)} for clip in report.clips],
        "reel": report.reel and asdict(report.reel) | {"segments": list(report.reel.segments)},
        "reel_plan": list(report.reel_plan),
        "decode": asdict(report.decode),
        "missing_signals": dict(report.missing_signals),
        "timing": dict(report.timing),
        "notes": list(report.notes),
    }


def summary_to_json(summary: Summary, folder: Path) -> Json:
    """What `summary.json` in the output folder holds."""
    return {
        "schema": SUMMARY_SCHEMA,
        "model": _model_to_json(summary.model),
        "config_digest": summary.config_digest,
        "done": summary.done,
        "failed": summary.failed,
        "ignored": summary.ignored,
        "videos": [_outcome_to_json(video, folder) for video in summary.videos],
    }


def from_json(data: object, folder: Path) -> Report:
    """The record that `to_json` wrote. `data` is parsed JSON of any shape.

    Raises UnusableResult, naming the key and the repair: another schema, a key missing or of the wrong type, an
    impossible value, or a path that leads out of `folder`.
    """
    try:
        return _report(_Node(data, ""), folder)
    except (ValueError, ArithmeticError) as error:
        raise UnusableResult(
            f"{folder / 'report.json'}: {error}. "
            "Delete this folder, or run again with --force, and the result is made anew"
        ) from error


def summary_from_json(data: object, folder: Path) -> Summary:
    """The record that `summary_to_json` wrote for `folder`, whatever shape `data` has. Raises UnusableResult."""
    try:
        return _summary(_Node(data, ""), folder)
    except ValueError as error:
        raise UnusableResult(f"{folder / 'summary.json'}: {error}. Run again, and it is made anew") from error


def _video_to_json(video: Video, folder: Path) -> Json:
    return {
        "path": path_from(folder, video.path),
        "id": video.video_id,
        "duration_ns": video.span.duration_ns,
        "width_px": video.width_px,
        "height_px": video.height_px,
        "codec": video.codec,
        "has_audio": video.has_audio,
        "frame_rate": str(video.frame_rate),
        "pixel_format": video.pixel_format,
        "rotation_deg": video.rotation_deg,
        "interlaced": video.interlaced,
        "hdr": video.hdr,
        "pts_as_stored": video.pts_as_stored,
        "stream_index": video.stream_index,
        "audio_streams": video.audio_streams,
        "time_base": str(video.time_base),
        "origin_pts": video.origin_pts,
    }


def _model_to_json(model: ModelFacts) -> Json:
    labels = {"tags": list(model.labels.tags), "events": list(model.labels.events)}
    return {"name": model.name, "version": model.version, "labels": labels, "calibrated": model.calibrated}


def _segment_to_json(segment: Segment, clip: Clip | None) -> Json:
    return {
        "start_ns": segment.span.start_ns,
        "end_ns": segment.span.end_ns,
        "start": timecode(segment.span.start_ns),
        "end": timecode(segment.span.end_ns),
        "event_start_ns": segment.event.start_ns,
        "event_end_ns": segment.event.end_ns,
        "label": segment.label,
        "score": segment.score,
        "score_kind": segment.score_kind,
        "peak_ns": segment.peak_ns,
        "reasons": [asdict(reason) for reason in segment.reasons],
        "clip": clip and clip.path,
    }


def _tag_to_json(tag: Tag) -> Json:
    return asdict(tag) | {"spans": [asdict(span) for span in tag.spans]}


def _outcome_to_json(video: VideoOutcome, folder: Path) -> Json:
    return {
        "path": path_from(folder, video.path),
        "id": video.video_id,
        "dir": video.dir,
        "state": video.state,
        "error": video.error,
        "segments": video.segments,
        "clips": video.clips,
        "duration_ns": video.duration_ns,
        "tags": list(video.tags),
        "thumb": video.thumb,
    }


@dataclass(frozen=True, slots=True)
class _Node:
    """A JSON value and the name it goes by in a message: `segments[3]`; the whole file has none."""

    value: object
    name: str

    def __getitem__(self, key: str) -> _Node:
        if not isinstance(self.value, Mapping):
            raise ValueError(f"{self.name or 'the whole file'} is not an object with keys")
        name = f"{self.name}.{key}" if self.name else key
        if key not in self.value:
            raise ValueError(f"{name} is missing")
        return _Node(self.value[key], name)

    def as_a(self, kind: type[Kind]) -> Kind:
        """The value itself; bool is no number, and a float is finite."""
        whole_float = kind is float and type(self.value) is int
        value: object = float(self.value) if whole_float else self.value  # type: ignore[arg-type]
        right = isinstance(value, kind) and isinstance(value, bool) == (kind is bool)
        if not right or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(f"{self.name} = {self.value!r:.60}: a {kind.__name__} is wanted")
        return value  # type: ignore[return-value]  # narrowed by `right`

    def or_none(self, kind: type[Kind]) -> Kind | None:
        return None if self.value is None else self.as_a(kind)

    def items(self) -> tuple[_Node, ...]:
        return tuple(_Node(item, f"{self.name}[{index}]") for index, item in enumerate(self.as_a(list)))

    def all_of(self, kind: type[Kind]) -> tuple[Kind, ...]:
        return tuple(item.as_a(kind) for item in self.items())

    def mapping_to(self, kind: type[Kind]) -> dict[str, Kind]:
        return {key: self[key].as_a(kind) for key in self.as_a(dict)}

    def index_below(self, count: int) -> int:
        index = self.as_a(int)
        if not 0 <= index < count:
            raise ValueError(f"{self.name} = {index}: there are {count} segments")
        return index

    def as_path(self) -> str:
        """Text that can name a file: no NUL, no surrogate that stands for no byte. Raises ValueError."""
        path = self.as_a(str)
        if "\0" in path or os.fsencode(path) == b"":
            raise ValueError(f"{self.name} = {path!r:.60}: no file can have this name")
        return path

    def path_inside(self, folder: Path) -> str:
        path = self.as_path()
        home, target = folder.resolve(), _resolved(folder / path)
        if target is None or home not in target.parents:
            raise ValueError(f"{self.name} = {path!r:.60}: leads out of the report's folder")
        return path


def _resolved(path: Path) -> Path | None:
    """Where a path leads, through symbolic links; None for one that leads nowhere (a loop)."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return None


def _report(data: _Node, folder: Path) -> Report:
    schema = data["schema"].value
    if schema != REPORT_SCHEMA:
        raise ValueError(f"schema is {schema!r:.60}, this version reads {REPORT_SCHEMA!r}")
    segments = tuple(_segment(node) for node in data["segments"].items())
    reel = data["reel"]
    return Report(
        video=_video(data["video"], folder),
        model=_model(data["model"]),
        config_digest=data["config_digest"].as_a(str),
        segments=segments,
        tags=tuple(_tag(node) for node in data["tags"].items()),
        clips=tuple(_clip(node, len(segments), folder) for node in data["clips"].items()),
        reel=None if reel.value is None else _reel(reel, len(segments), folder),
        reel_plan=tuple(node.index_below(len(segments)) for node in data["reel_plan"].items()),
        decode=_decode(data["decode"]),
        missing_signals=data["missing_signals"].mapping_to(str),
        timing=data["timing"].mapping_to(float),
        notes=data["notes"].all_of(str),
    )


def _video(node: _Node, folder: Path) -> Video:
    """The source is the one path that may lie outside: it is where the user keeps it."""
    return Video(
        path=Path(os.path.normpath(folder.resolve() / node["path"].as_path())),
        video_id=node["id"].as_a(str),
        width_px=node["width_px"].as_a(int),
        height_px=node["height_px"].as_a(int),
        span=Span(0, node["duration_ns"].as_a(int)),
        time_base=Fraction(node["time_base"].as_a(str)),
        origin_pts=node["origin_pts"].as_a(int),
        frame_rate=Fraction(node["frame_rate"].as_a(str)),
        codec=node["codec"].as_a(str),
        pixel_format=node["pixel_format"].as_a(str),
        stream_index=node["stream_index"].as_a(int),
        audio_streams=node["audio_streams"].as_a(int),
        rotation_deg=node["rotation_deg"].as_a(int),
        interlaced=node["interlaced"].as_a(bool),
        hdr=node["hdr"].as_a(bool),
        pts_as_stored=node["pts_as_stored"].as_a(bool),
    )


def _model(node: _Node) -> ModelFacts:
    labels = Labels(node["labels"]["tags"].all_of(str), node["labels"]["events"].all_of(str))
    return ModelFacts(
        name=node["name"].as_a(str),
        version=node["version"].as_a(str),
        labels=labels,
        calibrated=node["calibrated"].as_a(bool),
    )


def _segment(node: _Node) -> Segment:
    return Segment(
        span=_span(node),
        event=Span(node["event_start_ns"].as_a(int), node["event_end_ns"].as_a(int)),
        label=node["label"].as_a(str),
        score=node["score"].as_a(float),
        score_kind=node["score_kind"].as_a(str),
        peak_ns=node["peak_ns"].as_a(int),
        reasons=tuple(_reason(reason) for reason in node["reasons"].items()),
    )


def _reason(node: _Node) -> Reason:
    return Reason(name=node["name"].as_a(str), value=node["value"].as_a(float), text=node["text"].as_a(str))


def _tag(node: _Node) -> Tag:
    return Tag(
        taxonomy=node["taxonomy"].as_a(str),
        id=node["id"].as_a(str),
        name=node["name"].as_a(str),
        score=node["score"].as_a(float),
        coverage=node["coverage"].as_a(float),
        spans=tuple(_span(span) for span in node["spans"].items()),
    )


def _span(node: _Node) -> Span:
    return Span(node["start_ns"].as_a(int), node["end_ns"].as_a(int))


def _clip(node: _Node, segments: int, folder: Path) -> Clip:
    return Clip(
        key=node["key"].as_a(str),
        path=node["path"].path_inside(folder),
        segment=node["segment"].index_below(segments),
        frames=node["frames"].as_a(int),
        duration_ns=node["duration_ns"].as_a(int),
        av_skew_ns=node["av_skew_ns"].or_none(int),
        verified=node["verified"].as_a(bool),
        changes=node["changes"].all_of(str),
    )


def _reel(node: _Node, segments: int, folder: Path) -> Reel:
    return Reel(
        key=node["key"].as_a(str),
        path=node["path"].path_inside(folder),
        segments=tuple(index.index_below(segments) for index in node["segments"].items()),
        duration_ns=node["duration_ns"].as_a(int),
    )


def _decode(node: _Node) -> DecodeFacts:
    return DecodeFacts(**{name: node[name].as_a(int) for name in ("frames", "corrupt", "samples", "covered_ns")})


def _summary(data: _Node, folder: Path) -> Summary:
    schema = data["schema"].value
    if schema != SUMMARY_SCHEMA:
        raise ValueError(f"schema is {schema!r:.60}, this version reads {SUMMARY_SCHEMA!r}")
    return Summary(
        model=_model(data["model"]),
        config_digest=data["config_digest"].as_a(str),
        videos=tuple(_outcome(node, folder) for node in data["videos"].items()),
        ignored=data["ignored"].as_a(int),
    )


def _outcome(node: _Node, folder: Path) -> VideoOutcome:
    return VideoOutcome(
        path=Path(os.path.normpath(folder.resolve() / node["path"].as_path())),
        video_id=node["id"].or_none(str),
        dir=None if node["dir"].value is None else node["dir"].path_inside(folder),
        error=node["error"].or_none(str),
        segments=node["segments"].as_a(int),
        clips=node["clips"].as_a(int),
        duration_ns=node["duration_ns"].or_none(int),
        tags=node["tags"].all_of(str),
        thumb=None if node["thumb"].value is None else node["thumb"].path_inside(folder),
    )
