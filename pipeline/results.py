"""One video's folder: clips, thumbnails, report and page, made from stored predictions.

New files are whole before old ones of ours are removed; nothing that Matchcut did not write is ever removed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline import export, page
from pipeline.aggregate import aggregate, event_tracks
from pipeline.config import Config
from pipeline.decode import frames_at
from pipeline.errors import UnusableResult
from pipeline.excite import excite
from pipeline.records import Clip, DecodeFacts, ModelFacts, Predictions, Reel, Report, Segment, Tag, Track, Video
from pipeline.report import from_json, to_json
from pipeline.select import select
from pipeline.store import load_predictions, read_json, write_json, write_text
from pipeline.tags import tags
from pipeline.timeline import ns_to_seconds, timecode

VERSION = 1
REPORT = "report.json"
_MISSING_NS = 1_000_000_000  # less than this is a rounding of the header's duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """How results are made: `clips=False` decodes nothing and keeps only the clips that still stand."""

    config: Config
    model: ModelFacts
    clips: bool
    afresh: bool = False  # make clips again even where they stand
    on_clip: Callable[[float], None] = lambda share: None


@dataclass(frozen=True, slots=True)
class Moments:
    """What is made of predictions without looking at a picture."""

    tracks: tuple[Track, ...]
    segments: tuple[Segment, ...]
    tags: tuple[Tag, ...]
    reel_plan: tuple[int, ...]


def find_moments(predictions: Predictions, config: Config, *, calibrated: bool) -> Moments:
    """Events where the model has some, excitement where it has none; tags; the reel's list."""
    tracks = event_tracks(predictions, calibrated) or (excite(predictions, config.excite),)
    segments = aggregate(tracks, predictions, config.aggregate)
    return Moments(tracks, segments, tags(predictions, config.tags), select(segments, config.select))


def read_report(folder: Path) -> Report:
    """The report that stands in `folder`. Raises UnusableResult, naming the repair."""
    data = read_json(folder / REPORT)
    if data is None:
        raise UnusableResult(f"{folder / REPORT}: not there. Run `matchcut run` again for this video")
    return from_json(data, folder)


def standing_report(folder: Path) -> Report | None:
    """The report that stands in `folder`; None where there is none, or none that can be read."""
    try:
        return read_report(folder)
    except UnusableResult:
        return None


def write_results(video: Video, folder: Path, making: Making, predict_seconds: float) -> Report:
    """All files of one video but its predictions. Raises ExportFailed, UnusableResult."""
    standing = standing_report(folder)
    predictions = load_predictions(folder)
    moments = find_moments(predictions, making.config, calibrated=making.model.calibrated)
    clips, reel = (_made if making.clips else _kept)(video, moments, folder, making, standing)
    report = Report(
        video=video,
        model=making.model,
        config_digest=making.config.digest(),
        segments=moments.segments,
        tags=moments.tags,
        clips=clips,
        reel=reel,
        reel_plan=moments.reel_plan,
        decode=predictions.decode,
        missing_signals=predictions.signals.missing,
        timing=_timing(video, predict_seconds),
        notes=_notes(video, predictions.decode),
    )
    thumbs = _thumbs(report, predictions, folder, making)
    write_text(folder / "report.html", page.render_report(report, predictions, thumbs, folder, moments.tracks))
    write_json(folder / REPORT, to_json(report, folder))
    _remove_outdated(folder, standing, report)
    return report


def _made(
    video: Video, moments: Moments, folder: Path, making: Making, standing: Report | None
) -> tuple[tuple[Clip, ...], Reel | None]:
    segments, settings = moments.segments, making.config.export
    done: list[Clip] = []

    def on_clip(clip: Clip) -> None:
        done.append(clip)
        making.on_clip(len(done) / (len(segments) + 1))

    kept = standing.clips if standing and not making.afresh else ()
    clips = export.export_clips(video, segments, folder, settings, frames_at, kept, on_clip)
    _, reel = _kept(video, moments, folder, making, None if making.afresh else standing)
    plan = moments.reel_plan
    return clips, reel or export.make_reel(video, segments, plan, folder, settings, frames_at=frames_at)


def _kept(
    video: Video, moments: Moments, folder: Path, making: Making, standing: Report | None
) -> tuple[tuple[Clip, ...], Reel | None]:
    """Those whose source, span, label and settings are still the same; the others wait for `matchcut export`."""
    if standing is None:
        return (), None
    settings, segments = making.config.export, moments.segments
    by_key = {clip.key: clip for clip in standing.clips if (folder / clip.path).is_file()}
    keys = [export.clip_key(video, segment, settings) for segment in segments]
    clips = tuple(replace(by_key[key], segment=index) for index, key in enumerate(keys) if key in by_key)
    reel = standing.reel
    if reel is None or not (folder / reel.path).is_file():
        return clips, None
    stands = reel.key == export.reel_key(video, segments, moments.reel_plan, settings)
    return clips, replace(reel, segments=moments.reel_plan) if stands else None


def _thumbs(report: Report, predictions: Predictions, folder: Path, making: Making) -> dict[int, str]:
    """Segment index -> picture, for those that stand; made only where clips are, since it takes decoding."""
    if making.clips and report.segments:

        def boxes_of(index: int) -> list[tuple[list[float], str, float]]:
            return boxes_at(predictions, report.segments[index].peak_ns)

        export.make_thumbs(report.video, report.segments, boxes_of, folder, making.config.export, frames_at)
    paths = export.thumb_paths(report.segments)
    return {index: path for index, path in enumerate(paths) if (folder / path).is_file()}


def boxes_at(predictions: Predictions, t_ns: int) -> list[tuple[list[float], str, float]]:
    """Corners, label and score of the boxes in the sample that is on display at `t_ns`."""
    boxes, names = predictions.boxes, predictions.scores.labels.names
    sample = int(predictions.scores.pts_ns.searchsorted(t_ns, side="right")) - 1
    found = (boxes.frame == sample).nonzero()[0]
    return [(boxes.xyxy[i].tolist(), names[int(boxes.label[i])], float(boxes.score[i])) for i in found]


def _timing(video: Video, predict_seconds: float) -> dict[str, float]:
    if not predict_seconds:
        return {}
    speed = ns_to_seconds(video.span.duration_ns) / predict_seconds
    return {"predict_seconds": predict_seconds, "video_seconds_per_second": round(speed, 2)}


def _notes(video: Video, facts: DecodeFacts) -> tuple[str, ...]:
    """What a person should know about this file before trusting its results."""
    notes = []
    if facts.corrupt:
        notes.append(f"{facts.corrupt} damaged pictures or packets were met; what they showed is not judged")
    if video.span.end_ns - facts.covered_ns > _MISSING_NS:
        covered, declared = timecode(facts.covered_ns), timecode(video.span.end_ns)
        notes.append(f"the file ends at {covered} although its header says {declared}; it was cut short")
    return tuple(notes)


def _remove_outdated(folder: Path, standing: Report | None, report: Report) -> None:
    """Clips and pictures that the older report named and the new one does not."""
    if standing is None:
        return
    ours = {clip.path for clip in report.clips} | {report.reel.path if report.reel else ""}
    ours |= set(export.thumb_paths(report.segments))
    theirs = {clip.path for clip in standing.clips} | set(export.thumb_paths(standing.segments))
    theirs |= {standing.reel.path} if standing.reel else set()
    for path in theirs - ours:
        (folder / path).unlink(missing_ok=True)
