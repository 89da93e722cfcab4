"""The results of a whole folder again, from what is stored in it: what `rescore` and `export` do."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipeline.config import Config
from pipeline.errors import UsageError, VideoError
from pipeline.inputs import SUMMARY
from pipeline.records import Labels, ModelFacts, Summary, VideoOutcome
from pipeline.results import Making, read_report, write_results
from pipeline.run import Watch, outcome_of, publish_key, publish_stage, write_summary
from pipeline.store import clean_leftovers, load_state, locked, read_json, save_state


def republish_directory(
    out: Path,
    config: Config,
    *,
    clips: bool,
    wait: bool,
    watch: Watch,
    on_outcome: Callable[[VideoOutcome], None],
) -> Summary:
    """Every video that was done, again; those that failed stay as they are. Raises UsageError, DirectoryLocked.

    A video whose results cannot be made again is an outcome, and its old results stand.
    """
    with locked(out, wait=wait):
        before = read_json(out / SUMMARY)
        if not isinstance(before, dict) or "videos" not in before:
            raise UsageError(f"{out}: no {SUMMARY} here. Give the --out folder of a `matchcut run` that has ended")
        clean_leftovers(out)
        outcomes = []
        for entry in before["videos"]:
            outcomes.append(_again(out, entry, config, clips=clips, watch=watch))
            on_outcome(outcomes[-1])
        summary = Summary(
            model=_model(before["model"]),
            config_digest=config.digest(),
            videos=tuple(outcomes),
            ignored=before["ignored"],
        )
        write_summary(summary, out)
        return summary


def _again(out: Path, entry: dict[str, Any], config: Config, *, clips: bool, watch: Watch) -> VideoOutcome:
    path, video_id, directory = out / entry["path"], entry["id"], entry["dir"]
    if entry["state"] == "failed":
        return VideoOutcome(path=path, video_id=video_id, dir=directory, error=entry["error"])
    folder = out / directory
    try:
        began = time.monotonic()
        report = read_report(folder)

        def on_clip(share: float) -> None:
            watch(report.video.path.name, "cutting", share)

        making = Making(config=config, model=report.model, clips=clips, on_clip=on_clip)
        fresh = write_results(report.video, folder, making, report.timing.get("predict_seconds", 0.0))
        key = publish_key(folder, config, report.model)
        save_state(folder, load_state(folder).done(publish_stage(clips=clips), key, time.monotonic() - began))
        return outcome_of(fresh, folder, out)
    except VideoError as error:
        return VideoOutcome(path=path, video_id=video_id, dir=directory, error=str(error))


def _model(data: dict[str, Any]) -> ModelFacts:
    labels = Labels(tuple(data["labels"]["tags"]), tuple(data["labels"]["events"]))
    return ModelFacts(name=data["name"], version=data["version"], labels=labels, calibrated=data["calibrated"])
