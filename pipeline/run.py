"""The line: a video in, its predictions, moments and report out; a directory of them, each on its own.

    probe -> decode -> signals, infer -> predictions | aggregate -> tags -> select -> export -> report, page

Left of the bar pictures are looked at (`predict`); right of it only small, stored records (`publish`), except that
clips are cut from the source. Knows no networks: a model is handed in, opened when the first stale video needs it.
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from pipeline import export, infer, page, results, signals
from pipeline.config import Config, digest_of
from pipeline.decode import Decoded, Sound, decode
from pipeline.errors import ChangedWhileRead, MatchcutError, UnreadableVideo, VideoError
from pipeline.inputs import SUMMARY, Input, Inputs
from pipeline.media import refuse_special_files
from pipeline.names import VIDEOS, video_folder_name
from pipeline.probe import fingerprint, probe
from pipeline.records import (
    DecodeFacts,
    FrameBatch,
    ModelFacts,
    Predictions,
    Report,
    Summary,
    Video,
    VideoOutcome,
    path_from,
)
from pipeline.report import summary_to_json
from pipeline.sample import sample_times
from pipeline.signals import LoudnessMeter, PictureMeter
from pipeline.store import (
    Fingerprints,
    State,
    clean_leftovers,
    file_facts,
    load_state,
    locked,
    save_predictions,
    save_settings,
    save_state,
    stored_key,
    write_json,
    write_tables,
    write_text,
)
from pipeline.timeline import Span

DECODE_VERSION = 1
_DAMAGED_SHARE = 0.5  # above this share of damaged pictures nothing that is found can be trusted


class OpenModel(infer.Model, Protocol):
    """A network that is ready, and the size of the pictures it wants."""

    @property
    def height_px(self) -> int: ...
    @property
    def width_px(self) -> int: ...


class Watch(Protocol):
    """Told how far a stage of a video is; `share` in [0, 1]."""

    def __call__(self, video: Path, stage: str, share: float) -> None: ...


def unwatched(video: Path, stage: str, share: float) -> None:
    """Nobody looks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What all videos of a run share. `open_model` is called only when a video has to be looked at."""

    out: Path
    config: Config
    model: ModelFacts
    open_model: Callable[[], OpenModel]
    clips: bool = True
    force: bool = False
    watch: Watch = unwatched


@dataclass(frozen=True, slots=True)
class Job:
    """One input and its folder in the output."""

    input: Input
    video_id: str
    folder: Path


def analyze(video: Video, model: OpenModel, config: Config, watch: Watch = unwatched) -> Predictions:
    """Read the whole video once: sampled pictures through the network, picture signals, and loudness on the way."""
    times_ns = sample_times(video.span, config.decode.sample_hz)
    threads = config.decode.threads or len(os.sched_getaffinity(0))
    meter, track = PictureMeter(), config.export.audio_track
    loudness = LoudnessMeter(video, track)
    facts: list[DecodeFacts] = []
    sound = Sound(track, loudness.add)
    pictures = decode(video, times_ns, model.height_px, model.width_px, threads=threads, sound=sound)
    with closing(pictures):
        inferred = infer.infer(_watched(pictures, meter, facts, video, watch), model, expected=len(times_ns))
        pts_ns = inferred.scores.pts_ns
        if not len(pts_ns):
            raise UnreadableVideo(f"{video.path.name}: no picture could be decoded. Copy it from the source again")
        span = _seen(video, _total(facts), int(pts_ns[-1]))
        measured = signals.signals(meter, loudness.result(), pts_ns, span.end_ns)
    return Predictions(
        span=span,
        scores=inferred.scores,
        boxes=inferred.boxes,
        signals=measured,
        decode=_total(facts),
        features=inferred.features,
    )


def _seen(video: Video, facts: DecodeFacts, last_ns: int) -> Span:
    """What there really was: a header may promise an hour where seconds follow, and nothing is found in a promise."""
    return Span(0, min(max(facts.covered_ns, last_ns + 1), video.span.end_ns))


def _watched(
    pictures: Iterable[Decoded], meter: PictureMeter, facts: list[DecodeFacts], video: Video, watch: Watch
) -> Iterator[FrameBatch]:
    """Hand the batches on; on the way the meter sees every picture, and the facts are kept."""
    for decoded in pictures:
        meter.add(decoded.batch)
        facts.append(decoded.facts)
        if len(decoded.batch):
            watch(video.path, "looking", int(decoded.batch.pts_ns[-1]) / video.span.end_ns)
            yield decoded.batch


def _total(facts: Sequence[DecodeFacts]) -> DecodeFacts:
    return DecodeFacts(
        frames=sum(part.frames for part in facts),
        corrupt=sum(part.corrupt for part in facts),
        samples=sum(part.samples for part in facts),
        covered_ns=max(part.covered_ns for part in facts),
    )


def predict_key(video_id: str, work: Work) -> str:
    """All that predictions depend on: content, settings, network, and the versions of the stages."""
    versions = (DECODE_VERSION, signals.VERSION, infer.VERSION)
    settings = work.config.digest("decode", "infer"), work.config.export.audio_track
    return digest_of([video_id, work.model.version, settings, versions])


def publish_key(job: Job, work: Work) -> str:
    """All that results depend on, `results.publish_key` says what."""
    return results.publish_key(job.folder, job.input.path, work.config, work.model)


def predict(job: Job, work: Work) -> None:
    """Make sure that the stored predictions are those of this file, network and settings. Raises VideoError."""
    key = predict_key(job.video_id, work)
    if not work.force and stored_key(job.folder) == key:
        if not (state := _state(job, work)).is_done("predict", key):  # killed before it was recorded
            save_state(job.folder, state.done("predict", key, 0.0))
        return
    began = time.monotonic()
    before = file_facts(job.input.path)
    video = probe(job.input.path, work.config.decode)
    predictions = analyze(video, work.open_model(), work.config, work.watch)
    _refuse_damaged(video, predictions.decode)
    if file_facts(job.input.path) != before or video.video_id != job.video_id:
        raise _changed(job)
    save_predictions(job.folder, predictions, key)
    save_state(job.folder, _state(job, work).done("predict", key, time.monotonic() - began))


def _refuse_damaged(video: Video, facts: DecodeFacts) -> None:
    if facts.corrupt > _DAMAGED_SHARE * facts.frames:
        raise UnreadableVideo(
            f"{video.path.name}: {facts.corrupt} of {facts.frames} decoded pictures are damaged; the stream is "
            "encrypted or broken. Decrypt it, or copy it from the source again"
        )


def _changed(job: Job) -> ChangedWhileRead:
    return ChangedWhileRead(f"{job.input.path.name}: the file changed while it was read. Run again when it is complete")


def publish(job: Job, work: Work) -> VideoOutcome:
    """Segments, tags, clips, report and page from the stored predictions. Does nothing where all of it stands."""
    standing = published(job, work)
    if standing is not None:
        return standing
    video = probe(job.input.path, work.config.decode)
    if video.video_id != job.video_id:
        raise _changed(job)
    report = results.write_results(video, job.folder, _making(job, work), _state(job, work))
    return outcome_of(report, job.folder, work.out)


def published(job: Job, work: Work) -> VideoOutcome | None:
    """The outcome of a video whose results all stand, those of the predictions that are stored; else None."""
    report = results.whole_results(job.folder, job.input.path, _making(job, work), load_state(job.folder))
    return outcome_of(report, job.folder, work.out) if report else None


def _making(job: Job, work: Work) -> results.Making:
    return results.Making(
        config=work.config,
        model=work.model,
        clips=work.clips,
        afresh=work.force,
        on_clip=lambda share: work.watch(job.input.path, "cutting", share),
    )


def process(input_: Input, work: Work, fingerprints: Fingerprints) -> VideoOutcome:
    """One video from file to report. A file that cannot be done is an outcome, not an exception."""
    try:
        job = job_of(input_, work, fingerprints)
        predict(job, work)
        return publish(job, work)
    except VideoError as error:
        return failed(input_, work, fingerprints, error)
    except MatchcutError:
        raise
    except Exception as error:  # noqa: BLE001  what one file brings to light must not stop the others
        return failed(input_, work, fingerprints, unforeseen(input_.path.name, error))


def unforeseen(name: str, error: Exception) -> VideoError:
    """A mistake of ours rather than of the file's; where it happened is all that a report of it needs."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return VideoError(
        f"{name}: {type(error).__name__} in {Path(place.filename).name}:{place.lineno}: {error}. "
        "This is a mistake in Matchcut: please report it"
    )


def failed(input_: Input, work: Work, fingerprints: Fingerprints, error: VideoError) -> VideoOutcome:
    """Record why this video could not be done; what stood before still stands."""
    try:
        job = job_of(input_, work, fingerprints)
    except VideoError:  # so broken that it has no fingerprint, and therefore no folder
        return VideoOutcome(path=input_.path, video_id=None, dir=None, error=str(error))
    state, key, stage = _state(job, work), predict_key(job.video_id, work), "predict"
    if state.is_done(stage, key):
        key, stage = publish_key(job, work), results.PUBLISH
    lasting = isinstance(error, UnreadableVideo)  # the same content will meet it again
    save_state(job.folder, state.failed(stage, error=str(error), key=key if lasting else ""))
    folder = job.folder.relative_to(work.out).as_posix()
    return VideoOutcome(path=input_.path, video_id=job.video_id, dir=folder, error=str(error))


def process_directory(
    inputs: Inputs, work: Work, *, wait: bool = False, on_outcome: Callable[[VideoOutcome], None] = lambda outcome: None
) -> Summary:
    """Every input, one after the other; then summary.json, the tables and index.html. Raises DirectoryLocked."""
    with writing(work, wait=wait) as fingerprints:
        outcomes: list[VideoOutcome] = []
        for input_ in inputs.files:
            outcomes.append(process(input_, work, fingerprints))
            on_outcome(outcomes[-1])
        return summarise(inputs, outcomes, work)


@contextmanager
def writing(work: Work, *, wait: bool = False) -> Iterator[Fingerprints]:
    """The output folder for one run: locked, without leftovers; known fingerprints are kept. Raises DirectoryLocked."""
    with locked(work.out, wait=wait):
        clean_leftovers(work.out)
        save_settings(work.out, work.config)
        fingerprints = Fingerprints(work.out)
        yield fingerprints
        fingerprints.save()


def summarise(inputs: Inputs, outcomes: Sequence[VideoOutcome], work: Work) -> Summary:
    """The whole run as a record, written as summary.json, the tables and index.html."""
    summary = Summary(
        model=work.model,
        config_digest=work.config.digest(),
        videos=tuple(outcomes),
        ignored=inputs.ignored,
    )
    write_summary(summary, work.out)
    return summary


def job_of(input_: Input, work: Work, fingerprints: Fingerprints) -> Job:
    """Where this input's results go. Raises UnreadableVideo for what is not a regular file with content."""
    refuse_special_files(input_.path)
    video_id = fingerprints.get(input_.path, fingerprint)
    name = video_folder_name(input_.path.stem, video_id, input_.relative)
    return Job(input_, video_id, work.out / VIDEOS / name)


def write_summary(summary: Summary, out: Path) -> None:
    """The three views of a whole run: for machines, for tables, for people."""
    reports = []
    for video in summary.videos:
        report = results.standing_report(out / video.dir) if video.dir and video.error is None else None
        if report is not None and video.dir is not None:
            reports.append((video.dir, report))
    write_tables(out, reports)
    write_json(out / SUMMARY, summary_to_json(summary, out))
    write_text(out / "index.html", page.render_index(summary))


def _state(job: Job, work: Work) -> State:
    """The folder's record, made out to this input, network and configuration."""
    return replace(
        load_state(job.folder),
        input=path_from(job.folder, job.input.path),
        video_id=job.video_id,
        model_version=work.model.version,
        config_digest=work.config.digest(),
    )


def outcome_of(report: Report, folder: Path, out: Path) -> VideoOutcome:
    thumbs = [path for path in export.thumb_paths(report.segments) if (folder / path).is_file()]
    name = folder.relative_to(out).as_posix()
    return VideoOutcome(
        path=report.video.path,
        video_id=report.video.video_id,
        dir=name,
        segments=len(report.segments),
        clips=len(report.clips),
        duration_ns=report.video.span.duration_ns,
        tags=tuple(tag.name for tag in report.tags),
        thumb=f"{name}/{thumbs[0]}" if thumbs else None,
    )
