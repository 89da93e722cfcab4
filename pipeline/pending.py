"""Which inputs a run has still to look at, and what stands for the others. Looks at no picture."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pipeline.errors import UnusableResult, VideoError
from pipeline.inputs import SUMMARY, Input, settled
from pipeline.records import VideoOutcome, path_from
from pipeline.run import Job, Work, job_of, predict_key, publish_key, published
from pipeline.store import Fingerprints, load_state, read_json, stored_key


@dataclass(frozen=True, slots=True)
class Pending:
    """`todo` has to be looked at; `standing` are the outcomes of inputs that would only end as they did before."""

    todo: tuple[Input, ...]
    standing: tuple[VideoOutcome, ...]


def pending(
    files: Sequence[Input], work: Work, fingerprints: Fingerprints, *, settle_s: float | None = None
) -> Pending:
    """Without `settle_s`: all that is not done. With it, for a watched folder: all that is new or has changed.

    Then a file is left for later until it stood still for `settle_s`, and one that could not be read is left until
    it changes: tried again every minute it would only fail every minute.
    """
    leave_failed = settle_s is not None and not work.force
    unnamed = _unnamed_failures(work) if leave_failed else {}
    todo, standing = [], []
    for file in files:
        outcome = _standing(file, work, fingerprints, unnamed, leave_failed=leave_failed)
        standing.append(outcome) if outcome else todo.append(file)
    return Pending(settled(todo, time.time(), settle_s) if settle_s is not None else tuple(todo), tuple(standing))


def _standing(
    file: Input, work: Work, fingerprints: Fingerprints, unnamed: Mapping[str, str], *, leave_failed: bool
) -> VideoOutcome | None:
    try:
        job = job_of(file, work, fingerprints)
    except VideoError as error:
        same = unnamed.get(path_from(work.out, file.path)) == str(error)
        return VideoOutcome(path=file.path, video_id=None, dir=None, error=str(error)) if same else None
    return _done(job, work) or (_failed_for_good(job, work) if leave_failed else None)


def _done(job: Job, work: Work) -> VideoOutcome | None:
    return published(job, work) if stored_key(job.folder) == predict_key(job.video_id, work) else None


def _failed_for_good(job: Job, work: Work) -> VideoOutcome | None:
    """The failure on this very content with these very settings, if it is of the kind that comes again."""
    keys = {
        "predict": predict_key(job.video_id, work),
        "publish": publish_key(job, work),
    }
    for name, stage in load_state(job.folder).stages.items():
        if stage.state == "failed" and stage.key == keys.get(name):
            folder = job.folder.relative_to(work.out).as_posix()
            return VideoOutcome(path=job.input.path, video_id=job.video_id, dir=folder, error=stage.error)
    return None


def _unnamed_failures(work: Work) -> Mapping[str, str]:
    """Of the last run, the inputs so broken that they have no id, and so no folder to remember it: path -> error."""
    try:
        before = read_json(work.out / SUMMARY) or {"videos": []}
        return {video["path"]: video["error"] for video in before["videos"] if video["id"] is None}
    except (UnusableResult, KeyError, TypeError):
        return {}
