"""The results of a whole folder again, from what is stored in it: what `rescore` and `export` do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pipeline.config import Config, require_labels
from pipeline.errors import MatchcutError, UnusableResult, UsageError, VideoError
from pipeline.inputs import SUMMARY
from pipeline.records import Summary, VideoOutcome
from pipeline.report import summary_from_json
from pipeline.results import PUBLISH, Making, read_report, standing_report, write_results
from pipeline.run import Watch, outcome_of, unforeseen, write_summary
from pipeline.store import clean_leftovers, load_settings, load_state, locked, read_json, save_settings, save_state


def republish_directory(
    out: Path,
    config: Config | None,
    *,
    clips: bool,
    wait: bool,
    watch: Watch,
    on_outcome: Callable[[VideoOutcome], None],
) -> Summary:
    """Every video that has results, again; by the settings of the run where no `config` is given.

    A video whose results cannot be made again is an outcome, and its old results stand; the next time it is tried
    again. Raises UsageError, ConfigError, DirectoryLocked.
    """
    read_summary(out)  # a folder that is none of ours gets no lock
    with locked(out, wait=wait):
        before = read_summary(out)
        config = config or load_settings(out)
        require_labels(config, before.model.labels.tags, before.model.labels.events)
        clean_leftovers(out)
        save_settings(out, config)
        outcomes = []
        for outcome in before.videos:
            outcomes.append(_again(out, outcome, config, clips=clips, watch=watch))
            on_outcome(outcomes[-1])
        summary = replace(before, config_digest=config.digest(), videos=tuple(outcomes))
        write_summary(summary, out)
        return summary


def read_summary(out: Path) -> Summary:
    """What the last run told of the folder. Raises UsageError where there is none, or none that can be read."""
    try:
        data = read_json(out / SUMMARY)
        if data is not None:
            return summary_from_json(data, out)
    except UnusableResult as error:
        raise UsageError(str(error)) from error
    raise UsageError(f"{out}: no {SUMMARY} here. Give the --out folder of a `matchcut run` that has ended")


def _again(out: Path, before: VideoOutcome, config: Config, *, clips: bool, watch: Watch) -> VideoOutcome:
    folder = out / before.dir if before.dir else None
    if folder is None or (before.error and not _can_be_tried(folder)):
        return before
    try:
        report = read_report(folder)

        def on_clip(share: float) -> None:
            watch(report.video.path, "cutting", share)

        making = Making(config=config, model=report.model, clips=clips, on_clip=on_clip)
        state = replace(load_state(folder), config_digest=config.digest())
        return outcome_of(write_results(report.video, folder, making, state), folder, out)
    except VideoError as error:
        return _failed(before, folder, error)
    except MatchcutError:
        raise
    except Exception as error:  # noqa: BLE001  as in a run: what one file brings to light must not stop the others
        return _failed(before, folder, unforeseen(before.path.name, error))


def _failed(before: VideoOutcome, folder: Path, error: VideoError) -> VideoOutcome:
    save_state(folder, load_state(folder).failed(PUBLISH, str(error)))
    return replace(before, error=str(error))


def _can_be_tried(folder: Path) -> bool:
    """It was looked at, and has results: what failed is making them again, as for a source that was not there."""
    return standing_report(folder) is not None and not load_state(folder).has_failed("predict")
