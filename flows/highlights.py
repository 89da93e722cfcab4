"""`matchcut run` as a Prefect flow: the same results, and beside them tasks, retries and artifacts to look at.

    every input -> predict, one at a time in the flow's thread -> publish, beside the next one's predict -> summary

Decides nothing about video: `pipeline.pending` says what to do, `pipeline.run` does it, and what stands on disk is
the record. Across the border of a task go paths and small records; the network stays in the closure that opens it.
"""

from __future__ import annotations

import errno
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, Literal

from prefect import Flow, State, Task, flow, task
from prefect.artifacts import create_link_artifact, create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.futures import PrefectFuture, wait
from prefect.logging.configuration import setup_logging
from prefect.states import Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner

from flows.server import serving
from flows.settings import PRIVATE, QUIET, server_url, set_defaults
from pipeline import run
from pipeline.cli import INTERRUPTED
from pipeline.commands.console import Console
from pipeline.commands.run import add_arguments
from pipeline.commands.work import DEFAULT_MODEL, work_from
from pipeline.errors import MatchcutError, VideoError
from pipeline.inputs import SUMMARY, Input, find_inputs
from pipeline.pending import pending
from pipeline.records import Summary, VideoOutcome
from pipeline.report import summary_to_json
from pipeline.run import Job, Work
from pipeline.store import Fingerprints

NAME = "highlights"
PARTIALLY_FAILED = "PartiallyFailed"
PUBLISHING_AT_ONCE = 2
RETRY_DELAYS_S = (1, 10, 60)
# What a network drive or a busy machine says once and not again. A missing file or a full disk stays as it is.
_PASSING = """
    EAGAIN EBUSY EINTR EIO ESTALE ETIMEDOUT
    ECONNABORTED ECONNREFUSED ECONNRESET EHOSTDOWN EHOSTUNREACH ENETDOWN ENETRESET ENETUNREACH ENOTCONN
"""
TRANSIENT = frozenset(getattr(errno, name) for name in _PASSING.split())


def may_pass(error: object) -> bool:
    """Only what may be gone in a moment is tried again; what is wrong with a video stays wrong."""
    return isinstance(error, OSError) and error.errno in TRANSIENT


def _try_again(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:
    return may_pass(state.result(raise_on_failure=False))


# Whether there is anything to do is told by the keys of `pipeline.run`, so Prefect keeps no results of its own.
_AS_TASK: dict[str, Any] = {
    "retries": len(RETRY_DELAYS_S),
    "retry_delay_seconds": list(RETRY_DELAYS_S),
    "retry_condition_fn": _try_again,
    "cache_policy": NO_CACHE,
    "persist_result": False,
}

MakeWork = Callable[[Namespace], Work]


def highlights_flow(make_work: MakeWork) -> Flow[..., State[Any]]:
    """The flow, for work that `make_work` makes from the options of `matchcut run` (`pipeline.commands.work`)."""

    publishing: ThreadPoolTaskRunner[Any] = ThreadPoolTaskRunner(max_workers=PUBLISHING_AT_ONCE)

    @flow(
        name=NAME,
        task_runner=publishing,  # type: ignore[arg-type]  # Prefect's own kind of future is one of its futures
        retries=0,  # what has failed is recorded, and the next run takes it up
        persist_result=False,
    )
    def highlights(  # noqa: PLR0917  what Prefect's page asks for, one by one
        inputs: list[Path],
        out: Path,
        config: Path | None = None,
        model: str = DEFAULT_MODEL,
        device: Literal["auto", "cpu", "cuda"] = "auto",
        runtime: Literal["torch", "openvino"] | None = None,
        sample_hz: float | None = None,
        audio: int | None = None,
        no_clips: bool = False,
        force: bool = False,
        wait: bool = False,
        settle_s: float | None = None,
    ) -> State[Any]:
        """Find the moments worth showing in videos: segments, tags, clips, a reel, reports and pages.

        Args:
            inputs: videos, or folders of videos
            out: where results go
            config: settings (TOML)
            model: default, dunk, torchvision:NAME or a file
            device: where the network runs
            runtime: who runs it; openvino: on the CPU, if installed
            sample_hz: pictures looked at per second of video
            audio: the audio track, counted from 0; without it the file's default one
            no_clips: find moments, cut nothing
            force: do everything again
            wait: wait for another run that writes to the same folder
            settle_s: for a watched folder: only new and changed files, when they stood still for so many seconds
        """
        network = {"model": model, "device": device, "runtime": runtime}
        what = {"config": config, "sample_hz": sample_hz, "audio": audio, "no_clips": no_clips}
        try:
            work = make_work(Namespace(out=out, force=force, **network, **what))
            return _follow(inputs, work, wait=wait, settle_s=settle_s)
        except MatchcutError as error:  # it says in words what to do; a traceback would hide them
            return Failed(message=str(error), data=error)

    return highlights


def _follow(inputs: Sequence[Path], work: Work, *, wait: bool, settle_s: float | None) -> State[Any]:
    """`pipeline.run.process_directory`, with tasks."""
    console = Console(verbose=False)
    found = find_inputs(inputs, work.out)
    console.begin(len(found.files), found.ignored)
    with run.writing(work, wait=wait) as fingerprints:
        plan = pending(found.files, work, fingerprints, settle_s=settle_s)
        fresh = _process(plan.todo, work, fingerprints, console)
        outcomes = sorted((*plan.standing, *fresh), key=lambda outcome: outcome.path)
        summary = run.summarise(found, outcomes, work)
    console.end(summary, work.out, as_json=False)
    if fresh:
        _publish_artifacts(summary, work.out)
    return _ended(summary, fresh)


def _process(todo: Sequence[Input], work: Work, fingerprints: Fingerprints, console: Console) -> list[VideoOutcome]:
    """Predict in this thread, one video at a time; each is published beside the predicting of the next."""
    stop = Event()
    predict = _predict_task(replace(work, watch=console.watch), fingerprints)
    publish = _publish_task(replace(work, watch=partial(_raise_if, stop)), console)

    def failed(video: Input, error: VideoError) -> VideoOutcome:
        outcome = run.failed(video, work, fingerprints, error)
        console.outcome(outcome)
        return outcome

    def begin(video: Input) -> PrefectFuture[VideoOutcome] | VideoOutcome:
        try:
            return publish.submit(predict(video))
        except VideoError as error:
            return failed(video, error)

    def end(video: Input, begun: PrefectFuture[VideoOutcome] | VideoOutcome) -> VideoOutcome:
        try:
            return begun if isinstance(begun, VideoOutcome) else begun.result()
        except VideoError as error:
            return failed(video, error)

    under_way: list[PrefectFuture[VideoOutcome] | VideoOutcome] = []
    try:
        for video in todo:
            under_way.append(begin(video))
        return [end(video, begun) for video, begun in zip(todo, under_way, strict=True)]
    except BaseException:
        stop.set()
        raise
    finally:  # nothing writes once the lock is given up
        wait([begun for begun in under_way if not isinstance(begun, VideoOutcome)])


class _Stopped(Exception):
    """The run has ended for another reason."""


def _raise_if(stop: Event, video: Path, stage: str, share: float) -> None:
    """Told how far publishing is, which is how it can be stopped."""
    if stop.is_set():
        raise _Stopped(f"{stage} {video.name}: the run was stopped")


def _predict_task(work: Work, fingerprints: Fingerprints) -> Task[..., Any]:
    @task(name="predict", task_run_name="predict {video.relative}", **_AS_TASK)
    def predict(video: Input) -> Job:
        job = run.job_of(video, work, fingerprints)
        run.predict(job, work)
        return job

    return predict


def _publish_task(work: Work, console: Console) -> Task[..., Any]:
    @task(name="publish", task_run_name="publish {job.input.relative}", **_AS_TASK)
    def publish(job: Job) -> VideoOutcome:
        outcome = run.publish(job, work)
        console.outcome(outcome)
        return outcome

    return publish


def _publish_artifacts(summary: Summary, out: Path) -> None:
    """What Prefect's page shows of the run. The record is `summary.json`."""
    page = (out / "index.html").absolute()
    create_table_artifact(summary_to_json(summary, out)["videos"], key="highlights-videos", description=str(page))
    create_link_artifact(page.as_uri(), link_text="the moments found", key="highlights-page", description=str(page))


def _ended(summary: Summary, fresh: Sequence[VideoOutcome]) -> State[Any]:
    """Red where a video that was taken up has failed. `Completed` by any other name would read as success."""
    message = f"{summary.done} done, {summary.failed} failed"
    if any(outcome.error is not None for outcome in fresh):
        return Failed(name=PARTIALLY_FAILED, message=message)
    return Completed(message=message)


highlights = highlights_flow(work_from)


def main(argv: Sequence[str] | None = None, run_flow: Flow[..., State[Any]] = highlights) -> int:
    """The flow once, from the options of `matchcut run`; returns that command's exit code."""
    parser = ArgumentParser(prog="python -m flows.highlights", description="`matchcut run`, under Prefect")
    add_arguments(parser)
    options = vars(parser.parse_args(argv))
    as_json, verbose = options.pop("json"), options.pop("verbose")
    set_defaults({} if verbose else QUIET)
    set_defaults({} if server_url() else PRIVATE)
    setup_logging()
    try:
        with serving():
            code = exit_code(run_flow(**options, return_state=True))
    except MatchcutError as error:
        sys.stderr.write(f"matchcut: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    if as_json:
        sys.stdout.write((options["out"] / SUMMARY).read_text(encoding="utf-8"))
    return code


def exit_code(state: State[Any]) -> int:
    """0 all done, 1 some inputs failed: as `matchcut run`. Raises what stopped the flow."""
    if state.is_completed():
        return 0
    if state.name == PARTIALLY_FAILED:
        return 1
    raise state.result(raise_on_failure=False)


if __name__ == "__main__":
    sys.exit(main())
