"""Runs over a desk of games in processes of their own, which die where they are told to.

    python -m tests.doomed     one JSON object per line in: {"base", "settings", "die_at"}; its exit status per line out

Every run is a fork of this process, so that what is imported is imported once. `die_at` n: SIGKILL just before the n-th
file is renamed or removed or the n-th program is started; 0: never.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow.parquet  # noqa: F401  once, not in every run

from tests.games import Desk

WITH_TESTS = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}  # PYTHONSAFEPATH leaves the folder out
STEPS = ("os.rename", "os.remove", "subprocess.Popen")


class Executioner:
    """The other end of such a process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, base: Path, die_at: int = 0, **settings: Any) -> bool:
        """True when the run came to its end, False when it died on the way."""
        assert self._process.stdin is not None and self._process.stdout is not None
        order = {"base": str(base), "settings": settings, "die_at": die_at}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        status = os.waitstatus_to_exitcode(int(self._process.stdout.readline()))
        assert status in (0, -signal.SIGKILL)
        return status == 0


@contextmanager
def executioner() -> Iterator[Executioner]:
    command = [sys.executable, "-m", "tests.doomed"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes, text=True, env=WITH_TESTS) as process:
        yield Executioner(process)


def die_before_step(number: int) -> None:
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if event not in STEPS or (event == "os.remove" and not os.path.lexists(arguments[0])):
            return
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            if order["die_at"]:
                die_before_step(order["die_at"])
            Desk(Path(order["base"])).run(**order["settings"])
            os._exit(0)
        _, status = os.waitpid(child, 0)
        print(status, flush=True)


if __name__ == "__main__":
    main()
