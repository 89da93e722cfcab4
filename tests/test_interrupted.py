"""Ctrl-C ends a command soon, with exit code 130, and what it leaves is whole."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from pipeline.decode.chunks import wanted_ticks
from pipeline.decode.packets import PacketReader
from pipeline.decode.pictures import Pictures
from pipeline.media import open_media, video_stream
from pipeline.probe import probe
from pipeline.store import load_predictions, save_settings
from tests.games import Desk, make_game, read, settings

SOON_S = 3.0
LIMIT_S = 60.0


@pytest.fixture(scope="module")
def long_game(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten silent minutes, of which nine are one moment."""
    path = tmp_path_factory.mktemp("long") / "a.mp4"
    return make_game(path, (30.0, 570.0), duration_s=600, sound=False)


@pytest.fixture
def desk(tmp_path: Path, long_game: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.games.mkdir()
    shutil.copy(long_game, desk.games / "a.mp4")
    return desk


def interrupted(arguments: list[str], said: Path, ready: Callable[[], bool]) -> tuple[int, float]:
    """Exit code, and seconds until the end, of a command that gets Ctrl-C once `ready`; what it says goes to `said`."""
    line = [sys.executable, "-P", "-m", "pipeline.cli", *arguments]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # tests run in the background ignore it, and so would this
    with (
        said.open("w") as file,
        subprocess.Popen(line, stderr=file, env=os.environ | {"OMP_NUM_THREADS": "1"}) as process,
    ):
        until = time.monotonic() + LIMIT_S
        while not ready():
            assert process.poll() is None and time.monotonic() < until, said.read_text()
            time.sleep(0.01)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        return process.wait(LIMIT_S), time.monotonic() - began


def assert_whole(out: Path) -> None:
    """No unfinished file is left, and every finished one can be read; no clip had its time to be finished."""
    assert not list(out.rglob(".matchcut-*"))
    assert all(read(path) for path in out.rglob("*.json"))
    assert all(load_predictions(path.parent) for path in out.rglob("predictions.npz"))
    assert not list(out.rglob("*.mp4"))


def programs_at_work_on(folder: Path) -> list[bytes]:
    """Command lines of all processes that name it."""
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended meanwhile
            lines.append(process.read_bytes())
    return [line for line in lines if os.fsencode(folder) in line]


FORKING = """
import os, signal, sys
from pathlib import Path
from pipeline.export.ffmpeg import encode
once = [1]
def in_fork():
    if once:
        once.pop()
        os.kill(os.getpid(), signal.SIGINT)
        sum(range(10))
os.register_at_fork(after_in_parent=in_fork)
try:
    encode(["-f", "lavfi", "-i", "testsrc2=d=1"], Path(sys.argv[1]), 60)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_in_the_moment_when_an_encoder_starts(tmp_path: Path) -> None:
    """Python's hooks around a fork swallow what is raised in them."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    line = [sys.executable, "-P", "-c", FORKING, str(tmp_path / "a.mp4")]
    assert subprocess.run(line, capture_output=True, text=True, check=True).stdout == "interrupted\n"


def test_while_it_is_looking(desk: Desk) -> None:
    """With the network that is shipped, at so many samples that looking takes its time."""
    said = desk.base / "said"
    arguments = ["run", str(desk.games), "--out", str(desk.out), "--sample-hz", "10", "--no-clips", "-v"]
    code, seconds = interrupted(arguments, said, lambda: said.exists() and "looking a.mp4" in said.read_text())
    assert code == 130 and seconds < SOON_S
    assert "matchcut run: interrupted; every file written so far is whole" in said.read_text()
    assert not list(desk.out.rglob("predictions.npz")) and not (desk.out / "summary.json").exists()
    assert_whole(desk.out)


def test_while_it_is_cutting(desk: Desk) -> None:
    desk.run(clips=False, aggregate={"max_s": 600.0})
    before, said = read(desk.folder() / "report.json"), desk.base / "said"
    save_settings(desk.out, settings(aggregate={"max_s": 600.0}, export={"preset": "placebo"}))
    unfinished = partial(desk.out.rglob, "clips/.matchcut-*")
    code, seconds = interrupted(["export", str(desk.out)], said, lambda: any(unfinished()))
    assert code == 130 and seconds < SOON_S
    assert "matchcut export: interrupted" in said.read_text()
    assert read(desk.folder() / "report.json") == before
    assert_whole(desk.out)
    assert programs_at_work_on(desk.out) == []


class EnoughError(Exception):
    """What `check` raises once the consumer went away."""


def test_a_chunk_is_left_in_its_midst(long_game: Path) -> None:
    """A chunk of large pictures takes seconds; here, all ten minutes are one."""
    video = probe(long_game)
    packets = 0

    def check() -> None:
        nonlocal packets
        packets += 1
        if packets == 10:
            raise EnoughError

    with open_media(video.path) as container:
        chunk = PacketReader(container, video_stream(container, video.stream_index), video.span.end_ns).next_chunk()
    assert chunk is not None and len(chunk.packets) > 700
    pictures = Pictures(video, 32, 48, check)
    with pytest.raises(EnoughError):
        list(pictures.decode(chunk, wanted_ticks(video, [0, video.span.end_ns - 1])))
    assert packets == 10
