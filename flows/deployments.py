"""`make serve`: a watched folder. The flow on a schedule, for what is new or has changed, never twice at once."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Sequence
from contextlib import chdir
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from prefect import serve
from prefect.automations import Automation
from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy, StateType
from prefect.deployments.runner import RunnerDeployment
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.schedules import Cron, Interval, Schedule
from prefect.settings import PREFECT_SERVER_API_PORT, get_current_settings

from flows.highlights import NAME
from flows.server import serving
from flows.settings import HEARTBEAT_S
from pipeline.cli import INTERRUPTED
from pipeline.commands.work import add_work_arguments, given_path
from pipeline.config import digest_of, load_config
from pipeline.errors import MatchcutError
from pipeline.inputs import find_inputs
from pipeline.names import slug

SETTLE_S = 60.0
EVERY_S = 60.0
MISSED_HEARTBEATS = 3
ONE_AT_A_TIME = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)


def main(argv: Sequence[str] | None = None, flow: str = "flows.highlights.highlights") -> int:
    """Serve until interrupted; returns the exit code. `flow`: where a run's process imports it from."""
    options = vars(_parser().parse_args(argv))
    try:
        find_inputs(options["inputs"], options["out"])  # told now, not by a red run every minute
        load_config(options["config"])
        serve_flow(flow, options)
    except MatchcutError as error:
        sys.stderr.write(f"matchcut: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def serve_flow(flow: str, options: dict[str, Any]) -> None:
    """`options` as the parser gives them: what is not about when to run are the parameters of the flow."""
    schedule = _schedule(options.pop("every"), options.pop("cron"), options.pop("timezone"))
    name = options.pop("name") or _name_for(options["out"])
    parameters = {key: _anywhere(value) for key, value in options.items()}
    # Prefect imports a run's flow with the working directory first on the path, whatever PYTHONSAFEPATH says.
    with serving(PREFECT_SERVER_API_PORT.value()), chdir(get_current_settings().home):
        crash_the_silent()
        serve(
            RunnerDeployment.from_entrypoint(
                flow, name=name, schedule=schedule, parameters=parameters, concurrency_limit=ONE_AT_A_TIME
            )
        )


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m flows.deployments", description="watch folders of video, on a schedule")
    parser.add_argument(
        "--in", dest="inputs", nargs="+", type=given_path, required=True, metavar="INPUT", help="what is watched"
    )
    add_work_arguments(parser)
    when = parser.add_mutually_exclusive_group()
    when.add_argument("--every", type=_interval, default=EVERY_S, metavar="SECONDS", help="default: %(default)s")
    when.add_argument("--cron", type=_cron, metavar="EXPRESSION", help='such as "0 3 * * *"')
    parser.add_argument("--timezone", type=_timezone, metavar="NAME", help="of --cron; default: UTC")
    parser.add_argument(
        "--settle",
        dest="settle_s",
        type=_seconds,
        default=SETTLE_S,
        metavar="SECONDS",
        help="a file is taken when it stood still for so long; default: %(default)s",
    )
    parser.add_argument("--name", help="of the deployment; default: made from the output folder")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ArgumentTypeError(f"{text}: must be a number of seconds, 0 or more")
    return seconds


def _interval(text: str) -> float:
    if not (seconds := _seconds(text)):
        raise ArgumentTypeError("0: would start runs without end; give a number of seconds above 0")
    return seconds


def _cron(text: str) -> str:
    try:
        Cron(text)
    except ValueError:
        raise ArgumentTypeError(f'{text}: no cron expression, such as "0 3 * * *"') from None
    return text


def _timezone(text: str) -> str:
    if text not in available_timezones():
        raise ArgumentTypeError(f"{text}: no time zone by its IANA name, such as Europe/Berlin")
    return text


def _name_for(out: Path) -> str:
    """Its own for each output folder: a deployment of the same name would take the place of the one before."""
    return f"{slug(out.name)}-{digest_of(str(out.absolute()))[:8]}"


def _schedule(every_s: float, cron: str | None, timezone: str | None) -> Schedule:
    return Cron(cron, timezone=timezone) if cron else Interval(timedelta(seconds=every_s))


def _anywhere(value: Any) -> Any:
    """What a server can keep, and what means the same wherever a run is started: paths in full."""
    if isinstance(value, list):
        return [_anywhere(item) for item in value]
    is_path = isinstance(value, Path) or (isinstance(value, str) and Path(value).is_file())
    return str(Path(value).absolute()) if is_path else value


def crash_the_silent() -> None:
    """A run that was killed cannot say so, and would be Running for ever: without a heartbeat it has crashed."""
    automation = Automation(
        name="Matchcut: runs that fell silent have crashed",
        trigger=EventTrigger(
            after={"prefect.flow-run.heartbeat"},
            expect={"prefect.flow-run.*"},
            match=ResourceSpecification({"prefect.resource.id": "prefect.flow-run.*"}),
            match_related=ResourceSpecification({"prefect.resource.role": "flow", "prefect.resource.name": NAME}),
            for_each={"prefect.resource.id"},
            posture=Posture.Proactive,
            threshold=1,
            within=timedelta(seconds=MISSED_HEARTBEATS * HEARTBEAT_S),
        ),
        actions=[
            ChangeFlowRunState(
                state=StateType.CRASHED, name="Crashed", message="No heartbeat: it was killed.", force=False
            )
        ],
    )
    try:
        Automation.read(name=automation.name)  # type: ignore[unused-coroutine]  # done at once outside of a loop
    except ValueError:  # there is none of that name
        automation.create()


if __name__ == "__main__":
    sys.exit(main())
