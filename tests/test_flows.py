"""A schedule fires and leaves a report; under Prefect a run gives what the command gives, and what failed is seen.

One server for all tests of this file: that of a folder which is watched from a process of its own, as users do it.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from sqlite3 import connect
from typing import Any

import pytest
from prefect import State
from prefect.states import Completed, Failed

from flows.highlights import exit_code, highlights_flow, main, may_pass
from flows.settings import set_defaults
from pipeline.errors import ConfigError, DirectoryLocked, DiskFull, UnreadableVideo
from pipeline.run import Work
from pipeline.store import locked
from tests.fakes import FakeModel
from tests.games import Desk, contents, files, make_game, read

ROOT = Path(__file__).parent.parent
BROKEN = "this is no video\n"
LIMIT_S = 120  # far above what is needed, so that a test fails and does not hang
EVERY_S = 8


def wait_for(what: Callable[[], Any], process: subprocess.Popen[Any] | None = None) -> Any:
    """What `what` gives once that is true. Fails after LIMIT_S, or when `process` ends before."""
    until = time.monotonic() + LIMIT_S
    while not (found := what()):
        assert time.monotonic() < until, "it did not come"
        assert process is None or process.poll() is None, "the process ended"
        time.sleep(0.2)
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module", autouse=True)
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of what Prefect keeps for the user is seen or touched."""
    before = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("PREFECT_")]:
        del os.environ[name]
    os.environ |= {"PREFECT_HOME": str(tmp_path_factory.mktemp("home")), "OMP_NUM_THREADS": "1"}
    set_defaults()
    yield
    os.environ.clear()
    os.environ.update(before)
    set_defaults({})


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory that holds folders of the same names as our packages; importing one leaves a trace."""
    folder = tmp_path_factory.mktemp("elsewhere")
    for name in ("models", "flows", "pipeline", "tests"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text(f"open({str(folder / 'trace')!r}, 'a').write({name!r})\n")
    return folder


def start(module: str, arguments: list[str], cwd: Path, home: Path, log: Path, **more: str) -> subprocess.Popen[bytes]:
    """As make does: by module, with nothing of the working directory on the path."""
    settings = {"PREFECT_HOME": str(home), "PYTHONSAFEPATH": "1", "PYTHONPATH": str(ROOT), **more}
    with log.with_suffix(".out").open("wb") as out, log.with_suffix(".err").open("wb") as err:
        return subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=cwd,
            env={**os.environ, **settings},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )


def end(process: subprocess.Popen[bytes]) -> None:
    """Politely, then at once; whatever it had started ends with it."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(20)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@dataclass(frozen=True)
class Watched:
    """A folder that is served: `a.mp4` is a game, `broken.mp4` is text."""

    desk: Desk
    process: subprocess.Popen[bytes]
    api: str

    def wait_for(self, what: Callable[[], Any]) -> Any:
        return wait_for(what, self.process)

    def ask(self, path: str, **body: Any) -> Any:
        """POST to the server's API; while it is too busy (503), again."""
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.api}/{path}", json.dumps(body).encode(), headers)

        def answer() -> list[Any]:
            try:
                with urllib.request.urlopen(request, timeout=60) as response:
                    return [json.loads(response.read() or "null")]
            except urllib.error.HTTPError as error:
                if error.code != 503:
                    raise
                return []

        return self.wait_for(answer)[0]

    def runs(self) -> list[dict[str, Any]]:
        """Every run that began or was refused, in the order of their schedule."""
        found = self.ask("flow_runs/filter", sort="EXPECTED_START_TIME_ASC")
        return [run for run in found if run["state_type"] != "SCHEDULED" and run["deployment_id"]]

    def tasks(self, run_id: str) -> set[tuple[str, str]]:
        found = self.ask("task_runs/filter", flow_runs={"id": {"any_": [run_id]}})
        return {(task["name"], task["state_name"]) for task in found}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, elsewhere: Path) -> Iterator[Watched]:
    """`python -m flows.deployments`, but for the network, with a server of its own; after its first run."""
    desk, port = Desk(tmp_path_factory.mktemp("watched")), free_port()
    make_game(desk.games / "a.mp4")
    (desk.games / "broken.mp4").write_text(BROKEN)
    options = ["--in", str(desk.games), "--out", str(desk.out), "--every", str(EVERY_S), "--settle", "0", "--no-clips"]
    settings = {"PREFECT_SERVER_API_PORT": str(port), "PREFECT_RUNNER_POLL_FREQUENCY": "1"}
    process = start("tests.fake_flow", options, elsewhere, desk.base / "home", desk.base / "serve", **settings)
    try:
        wait_for((desk.out / "index.html").exists, process)
        yield Watched(desk, process, f"http://127.0.0.1:{port}/api")
    finally:
        end(process)


@pytest.fixture(scope="module")
def alone(
    tmp_path_factory: pytest.TempPathFactory, elsewhere: Path, watched: Watched
) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """`python -m flows.highlights`, network and all, under way in that folder; it brings a server of its own."""
    base = tmp_path_factory.mktemp("alone")
    make_game(base / "in" / "a.mp4")
    (base / "in" / "broken.mp4").write_text(BROKEN)
    options = [str(base / "in"), "--out", str(base / "out"), "--json", "--no-clips"]
    (base / "home").mkdir()
    with (
        closing(connect(watched.desk.base / "home" / "prefect.db")) as made,
        closing(connect(base / "home" / "prefect.db")) as mine,
    ):
        made.backup(mine)  # to make another from nothing takes ten seconds
    process = start("flows.highlights", options, elsewhere, base / "home", base / "flow")
    try:
        yield base, process
    finally:
        end(process)


@pytest.fixture
def served_api(watched: Watched, alone: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Flows in this process use the server of the watched folder."""
    monkeypatch.setenv("PREFECT_API_URL", watched.api)
    set_defaults({})
    yield
    monkeypatch.undo()
    set_defaults({})


@dataclass
class FlowDesk(Desk):
    """A desk whose runs are flows, in this process. Opening the network fails `coughs` times, as on a network drive."""

    coughs: int = 0
    opened_in: list[int] = field(default_factory=list)

    def flow(self, *more: str) -> int:
        """The exit code of `python -m flows.highlights GAMES --out OUT`."""
        return main([str(self.games), "--out", str(self.out), *more], highlights_flow(self.make_work))

    def make_work(self, options: Namespace) -> Work:
        return self.work(clips=not options.no_clips, force=options.force)

    def open(self) -> FakeModel:
        self.opened_in.append(threading.get_ident())
        if len(self.opened_in) <= self.coughs:
            raise OSError(errno.EIO, "the drive does not answer")
        return super().open()


@pytest.fixture
def desk(tmp_path: Path, watched: Watched, served_api: None) -> FlowDesk:
    """A game and a broken one, nothing done yet."""
    desk = FlowDesk(tmp_path)
    desk.games.mkdir()
    for name in ("a.mp4", "broken.mp4"):
        shutil.copy(watched.desk.games / name, desk.games / name)
    return desk


# A folder is watched


def test_a_schedule_fires_and_leaves_a_report(watched: Watched, alone: object) -> None:
    states = {Path(video["path"]).name: video["state"] for video in watched.desk.summary()["videos"]}
    assert states == {"a.mp4": "done", "broken.mp4": "failed"}
    assert [segment["label"] for segment in watched.desk.report()["segments"]] == ["flash"]
    assert (watched.desk.out / "index.html").exists()


def test_a_video_that_failed_is_a_failed_task_and_the_others_went_on(watched: Watched) -> None:
    first = watched.wait_for(lambda: [run for run in watched.runs() if run["state_name"] == "PartiallyFailed"])[0]
    assert first["state_type"] == "FAILED"
    expected = {("predict a.mp4", "Completed"), ("publish a.mp4", "Completed"), ("predict broken.mp4", "Failed")}
    watched.wait_for(lambda: watched.tasks(first["id"]) == expected)


def test_a_file_that_arrives_is_taken_up_and_nothing_else_is_touched(watched: Watched) -> None:
    before = {path: path.stat().st_mtime_ns for path in (watched.desk.out / "videos").rglob("*")}
    shutil.copy(watched.desk.games / "a.mp4", watched.desk.games / ".part")
    (watched.desk.games / ".part").rename(watched.desk.games / "b.mp4")
    watched.wait_for(lambda: watched.desk.summary()["done"] == 2)
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_no_two_runs_are_ever_under_way_at_once(watched: Watched) -> None:
    deployment = watched.runs()[0]["deployment_id"]
    asked = [watched.ask(f"deployments/{deployment}/create_flow_run")["id"] for _ in range(3)]
    ended = ("COMPLETED", "FAILED", "CANCELLED")

    def all_ended() -> bool:
        return {run["id"] for run in watched.runs() if run["state_type"] in ended} >= set(asked)

    watched.wait_for(all_ended)
    runs = watched.runs()
    spans = sorted((run["start_time"], run["end_time"]) for run in runs if run["state_type"] in ("COMPLETED", "FAILED"))
    assert len(spans) > 1
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    assert "CANCELLED" in {run["state_type"] for run in runs if run["id"] in asked}


def test_a_run_with_nothing_new_is_green_and_starts_no_task(watched: Watched) -> None:
    def quiet() -> list[dict[str, Any]]:
        return [run for run in watched.runs() if run["state_name"] == "Completed" and not watched.tasks(run["id"])]

    assert watched.wait_for(quiet)
    assert watched.desk.summary()["failed"] == 1  # which is still said, though it was not tried again


# A flow, once


def test_the_flow_gives_what_the_command_gives(desk: FlowDesk) -> None:
    assert desk.run().failed == 1
    by_command = contents(desk.out)
    shutil.rmtree(desk.out)
    assert desk.flow() == 1
    assert contents(desk.out) == by_command


def test_every_video_is_predicted_in_the_thread_of_the_flow_and_a_second_run_changes_nothing(desk: FlowDesk) -> None:
    (desk.games / "broken.mp4").unlink()
    shutil.copy(desk.games / "a.mp4", desk.games / "b.mp4")
    assert desk.flow("--no-clips") == 0
    assert desk.opened_in == [threading.get_ident()] * 2
    before = {name: path.stat().st_mtime_ns for name, path in files(desk.out / "videos").items()}
    assert desk.flow("--no-clips") == 0
    assert len(desk.opened_in) == 2
    assert {name: path.stat().st_mtime_ns for name, path in files(desk.out / "videos").items()} == before


def test_an_error_that_passes_is_tried_again(desk: FlowDesk) -> None:
    (desk.games / "broken.mp4").unlink()
    desk.coughs = 1
    assert desk.flow("--no-clips") == 0
    assert len(desk.opened_in) == 2


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (OSError(errno.EIO, ""), True),
        (TimeoutError(errno.ETIMEDOUT, ""), True),
        (ConnectionResetError(errno.ECONNRESET, ""), True),
        (FileNotFoundError(errno.ENOENT, ""), False),
        (PermissionError(errno.EACCES, ""), False),
        (UnreadableVideo("cut short"), False),
        (DiskFull("full"), False),
        (ValueError("a mistake of ours"), False),
    ],
)
def test_only_errors_that_may_pass_are_tried_again(error: Exception, again: bool) -> None:
    assert may_pass(error) is again


# Exit codes, as of `matchcut run`


@pytest.mark.parametrize(("state", "code"), [(Completed(), 0), (Failed(name="PartiallyFailed"), 1)])
def test_the_end_of_a_flow_is_the_exit_code_of_the_command(state: State[Any], code: int) -> None:
    assert exit_code(state) == code


@pytest.mark.parametrize("error", [ConfigError(""), DirectoryLocked(""), ZeroDivisionError("")])
def test_what_stops_a_flow_is_no_exit_code_of_its_own(error: Exception) -> None:
    with pytest.raises(type(error)):
        exit_code(Failed(data=error))


def test_a_missing_folder_is_the_callers_mistake(
    tmp_path: Path, served_api: None, capfd: pytest.CaptureFixture[str]
) -> None:
    assert FlowDesk(tmp_path).flow() == 2
    said = capfd.readouterr().err
    assert "no such file or folder" in said
    assert "Traceback" not in said


def test_a_folder_that_another_run_writes_to_is_left_alone(desk: FlowDesk) -> None:
    with locked(desk.out):
        assert desk.flow() == 3
    assert not (desk.out / "summary.json").exists()


# The commands, as users start them


def test_alone_it_brings_its_own_server(alone: tuple[Path, subprocess.Popen[bytes]]) -> None:
    base, process = alone
    assert process.wait(LIMIT_S) == 1, (base / "flow.err").read_text()
    assert json.loads((base / "flow.out").read_text()) == read(base / "out" / "summary.json")
    assert "1 done, 1 failed" in (base / "flow.err").read_text()


def test_nothing_is_imported_from_the_working_directory(
    elsewhere: Path, watched: Watched, alone: tuple[Path, subprocess.Popen[bytes]]
) -> None:
    alone[1].wait(LIMIT_S)
    assert watched.process.poll() is None
    assert not (elsewhere / "trace").exists()


@pytest.mark.parametrize(
    "when", ["--every 2x", "--every 0", "--every -1", "--cron soon", "--timezone Mars/Base", "--every 9 --cron *"]
)
def test_a_schedule_that_is_none_is_refused(when: str) -> None:
    from flows import deployments

    with pytest.raises(SystemExit) as refused:
        deployments.main(["--in", ".", "--out", "out", *when.split()])
    assert refused.value.code == 2


def test_a_watched_folder_that_does_not_exist_is_refused_before_a_server_starts(tmp_path: Path) -> None:
    from flows import deployments

    assert deployments.main(["--in", str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 2
    assert not (tmp_path / "out").exists()
