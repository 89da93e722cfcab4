"""One video's folder: clips, thumbnails, report and page, made from stored predictions.

New files are whole before old ones of ours are removed; nothing that Matchcut did not write is ever removed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pipeline import export, page
from pipeline.aggregate import aggregate, event_tracks
from pipeline.config import Config, digest_of
from pipeline.decode import frames_at
from pipeline.errors import ChangedWhileRead, ExportFailed, UnusableResult
from pipeline.excite import excite
from pipeline.media import refuse_special_files
from pipeline.probe import fingerprint
from pipeline.records import (
    Clip,
    DecodeFacts,
    ModelFacts,
    Predictions,
    Reel,
    Report,
    Segment,
    Tag,
    Track,
    Video,
    path_from,
)
from pipeline.report import from_json, to_json
from pipeline.select import select
from pipeline.store import (
    State,
    file_facts,
    load_predictions,
    read_json,
    save_state,
    stored_key,
    write_json,
    write_text,
)
from pipeline.tags import tags
from pipeline.timeline import ns_to_seconds, timecode

VERSION = 1
REPORT = "report.json"
PUBLISH, PUBLISH_WITHOUT_CLIPS = "publish", "publish without clips"  # the names of this stage in state.json
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


def publish_key(folder: Path, source: Path, config: Config, model: ModelFacts) -> str:
    """All that results depend on: the predictions that stand (not those that the settings would give), where the
    source is, the settings, and the versions of the stages."""
    versions = (VERSION, export.VERSION)
    return digest_of([stored_key(folder), path_from(folder, source), config.digest(), model.calibrated, versions])


def whole_results(folder: Path, source: Path, making: Making, state: State) -> Report | None:
    """The report that stands, where nothing of it has to be made again; else None."""
    key = publish_key(folder, source, making.config, making.model)
    done = state.is_done(PUBLISH, key) or (not making.clips and state.is_done(PUBLISH_WITHOUT_CLIPS, key))
    report = standing_report(folder) if done and not making.afresh else None
    if report is None or not all((folder / path).is_file() for path in _exported(report)):
        return None
    return report


def write_results(video: Video, folder: Path, making: Making, state: State) -> Report:
    """All files of one video but its predictions; done or not, `state` and the files that are ours are recorded.

    What is to be written is recorded before it is: after a kill the next run knows that the results do not stand, and
    which files to take away. A clip that cannot be made leaves the others, the report and the page as they should be;
    then ExportFailed is raised, at the end. Raises ChangedWhileRead, UnusableResult.
    """
    began = time.monotonic()
    standing = standing_report(folder)
    predictions = load_predictions(folder, features=False)  # nothing that is published reads them
    moments = find_moments(predictions, making.config, calibrated=making.model.calibrated)
    known = {*state.files, *(_files(standing) if standing else ()), *_planned(moments)}
    state = state.without(PUBLISH, PUBLISH_WITHOUT_CLIPS).owning(known)
    save_state(folder, state)
    failures: list[ExportFailed] = []
    reusable = None if making.clips and making.afresh else standing
    clips, reel = _kept(video, moments, folder, making, reusable)
    cutting = making.clips and (making.afresh or not _all_stands(moments, folder, clips, reel))
    with _unchanging(video) if cutting else nullcontext():  # without need the source is not asked for
        if cutting:
            clips, reel = _made(video, moments, folder, making, clips, reel, failures)
        report = _report(video, making, predictions, moments, clips, reel, state.seconds("predict"))
        thumbs = _thumbs(report, predictions, folder, making.config, cutting=cutting)
    html = page.render_report(report, predictions, thumbs, folder, tracks=moments.tracks, config=making.config)
    write_text(folder / "report.html", html)
    write_json(folder / REPORT, to_json(report, folder))
    ours = _files(report)
    _remove(folder, known - ours)
    stage = PUBLISH if _is_complete(moments, clips, reel) else PUBLISH_WITHOUT_CLIPS
    key = publish_key(folder, video.path, making.config, making.model)
    save_state(folder, state.owning(ours).done(stage, key, time.monotonic() - began))
    if failures:
        more = f" ({len(failures) - 1} more could not be made)" if len(failures) > 1 else ""
        raise ExportFailed(f"{failures[0]}{more}")
    return report


def _report(  # noqa: PLR0917  what it is about, what was found, what was made
    video: Video,
    making: Making,
    predictions: Predictions,
    moments: Moments,
    clips: tuple[Clip, ...],
    reel: Reel | None,
    predict_seconds: float,
) -> Report:
    return Report(
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


def _planned(moments: Moments) -> set[str]:
    return {*export.clip_paths(moments.segments), *export.thumb_paths(moments.segments), export.REEL}


def _exported(report: Report) -> set[str]:
    return {clip.path for clip in report.clips} | ({report.reel.path} if report.reel else set())


def _files(report: Report) -> set[str]:
    return _exported(report) | set(export.thumb_paths(report.segments))


def _is_complete(moments: Moments, clips: tuple[Clip, ...], reel: Reel | None) -> bool:
    """Every clip stands, and the reel where one is planned."""
    return len(clips) == len(moments.segments) and (reel is not None or not moments.reel_plan)


@contextmanager
def _unchanging(video: Video) -> Iterator[None]:
    """The source is looked at again: it must be the file that was predicted from, before and after."""
    refuse_special_files(video.path)
    before = file_facts(video.path)
    if fingerprint(video.path) != video.video_id:
        raise ChangedWhileRead(f"{video.path.name}: not the file any more that was looked at. Run again")
    yield
    if file_facts(video.path) != before:
        raise ChangedWhileRead(f"{video.path.name}: the file changed while it was cut. Run again when it is complete")


def _made(  # noqa: PLR0917  what, where, how, then what stands and what fails
    video: Video,
    moments: Moments,
    folder: Path,
    making: Making,
    kept: tuple[Clip, ...],
    reel: Reel | None,
    failures: list[ExportFailed],
) -> tuple[tuple[Clip, ...], Reel | None]:
    """Clips and reel, made where they are not among those kept; what could not be made is added to `failures`."""
    segments, settings = moments.segments, making.config.export
    done: list[Clip] = []

    def on_clip(clip: Clip) -> None:
        done.append(clip)
        making.on_clip(len(done) / (len(segments) + 1))

    clips = export.export_clips(video, segments, folder, settings, frames_at, kept, on_clip, on_failure=failures.append)
    try:
        plan = moments.reel_plan
        reel = reel or export.make_reel(video, segments, plan, folder, settings, frames_at=frames_at)
    except ExportFailed as error:
        failures.append(error)
    return clips, reel


def _kept(
    video: Video, moments: Moments, folder: Path, making: Making, standing: Report | None
) -> tuple[tuple[Clip, ...], Reel | None]:
    """Those whose source, span, label and settings are still the same; the others wait for `matchcut export`."""
    if standing is None:
        return (), None
    settings, segments = making.config.export, moments.segments
    by_key = {clip.key: clip for clip in standing.clips if export.holds_key(folder / clip.path, clip.key)}
    keys = [export.clip_key(video, segment, settings) for segment in segments]
    clips = tuple(replace(by_key[key], segment=index) for index, key in enumerate(keys) if key in by_key)
    reel = standing.reel
    key = export.reel_key(video, segments, moments.reel_plan, settings)
    if reel is None or reel.key != key or not export.holds_key(folder / reel.path, key):
        return clips, None
    return clips, replace(reel, segments=moments.reel_plan)


def _all_stands(moments: Moments, folder: Path, clips: tuple[Clip, ...], reel: Reel | None) -> bool:
    """Every clip, the reel and every thumbnail is there already."""
    thumbs = export.thumb_paths(moments.segments)
    return _is_complete(moments, clips, reel) and all((folder / path).is_file() for path in thumbs)


def _thumbs(report: Report, predictions: Predictions, folder: Path, config: Config, *, cutting: bool) -> dict[int, str]:
    """Segment index -> picture, for those that stand; made only where clips are, since it takes decoding."""
    if cutting and report.segments:
        boxes_of = partial(boxes_at, predictions)
        export.make_thumbs(report.video, report.segments, boxes_of, folder, config.export, frames_at)
    paths = export.thumb_paths(report.segments)
    return {index: path for index, path in enumerate(paths) if (folder / path).is_file()}


def boxes_at(predictions: Predictions, t_ns: int) -> list[tuple[list[float], str, float]]:
    """Corners, label and score of the boxes in the sample that is on display at `t_ns`."""
    boxes, names = predictions.boxes, predictions.scores.labels.names
    sample = int(predictions.scores.pts_ns.searchsorted(t_ns, side="right")) - 1
    found = (boxes.frame == sample).nonzero()[0]
    name = (*names, "")  # label -1: a box without a name
    return [(boxes.xyxy[i].tolist(), name[int(boxes.label[i])], float(boxes.score[i])) for i in found]


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


def _remove(folder: Path, paths: Iterable[str]) -> None:
    """Files of ours that the report does not name any more. The list comes from a file: it must not lead out."""
    home = folder.resolve()
    for path in sorted(paths):
        target = folder / path
        if home in Path(os.path.realpath(target)).parents:
            target.unlink(missing_ok=True)
