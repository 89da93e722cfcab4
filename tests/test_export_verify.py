"""No clip appears that was not proven: encoders that stop, lie, shift or run out of room, and runs that are killed."""

from __future__ import annotations

import dataclasses
import errno
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pipeline.config import ExportConfig
from pipeline.decode import frames_at
from pipeline.errors import DiskFull, ExportFailed, MachineError
from pipeline.export import export_clips
from pipeline.export.command import arguments
from pipeline.export.ffmpeg import Encode, EncodeError, encode
from pipeline.export.recipe import find_recipe
from pipeline.probe import probe
from pipeline.records import Clip, Video
from pipeline.timeline import Span
from tests.clips import X264, flashes_and_beeps, segment
from tests.doomed import WITH_TESTS

CONFIG = ExportConfig()
FRAME_S = 0.04


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Video:
    return probe(flashes_and_beeps(tmp_path_factory.mktemp("source") / "a.mp4"))


def cut_short(left_out: int) -> Encode:
    """What a full disk or a stopped encoder leaves behind, while the exit code says that all is well."""

    def lie(args: Sequence[str], output: Path, timeout_s: float) -> None:
        encode(args, output, timeout_s)
        os.truncate(output, output.stat().st_size - left_out)

    return lie


def edited(pattern: str, change: Callable[[re.Match[str]], str]) -> Encode:
    """An encoder that was asked for something slightly different."""

    def lie(args: Sequence[str], output: Path, timeout_s: float) -> None:
        changed = [re.sub(pattern, change, argument) for argument in args]
        assert changed != list(args), f"{pattern} matches nothing in {args}"
        encode(changed, output, timeout_s)

    return lie


def plus(seconds: float) -> Callable[[re.Match[str]], str]:
    return lambda match: f"{match[1]}{float(match[2]) + seconds:.6f}{match[3]}"


def one_picture_later(args: Sequence[str], output: Path, timeout_s: float) -> None:
    """Number, times, duration and sound are right; only the pictures are each the next one."""

    def shifted(match: re.Match[str]) -> str:
        return re.sub(
            r"(\()(\d+\.\d+)(\))", plus(FRAME_S), re.sub(r"((?:start|end)=)([\d.]+)()", plus(FRAME_S), match[0])
        )

    pictures = r"\[0:0\]trim=[^;]*;[^;]*setpts=[^;]*;"
    edited(pictures, shifted)(args, output, timeout_s)


LIES = {
    "the last byte is missing": (cut_short(1), "cut short|cannot be read"),
    "the second half is missing": (cut_short(20_000), "pictures, but the source shows|cut short|cannot be read"),
    "a picture is missing at the end": (edited(r"(]trim=end=)([\d.]+)(:)", plus(-FRAME_S)), "24 pictures, but .* 25"),
    "the pictures are one late": (one_picture_later, "neighbour has"),
    "the sound is 60 ms late": (edited(r"(asetpts=round\(PTS-\()([\d.]+)(\))", plus(-0.06)), r"\+\d+\.\d ms off"),
    "the sound is 60 ms early": (edited(r"(asetpts=round\(PTS-\()([\d.]+)(\))", plus(0.06)), r"-\d+\.\d ms off"),
    "the sound is missing": (edited(r"^aac$", lambda _: "copy"), "ffmpeg ended with"),
    "the pictures are a grid": (edited(r"(1/)(90000)()", lambda _: "1/10"), "pictures, but|time of picture"),
    "it is another video": (edited(r"(setsar=)(sar=1)()", lambda _: "negate,setsar=1"), "PSNR"),
    "it is half the size": (edited(r"(:h=)(72)(:w=128)", lambda _: ":h=36:w=64"), "pictures of 64x36, 128x72 were"),
}


@pytest.mark.parametrize("lie", LIES)
def test_what_does_not_verify_does_not_appear(lie: str, video: Video, tmp_path: Path) -> None:
    encoder, message = LIES[lie]
    with pytest.raises(ExportFailed, match=f"a.mp4: 00.00.01.000-goal.mp4 was not published: .*({message})"):
        export(video, tmp_path, encoder)
    assert everything_in(tmp_path) == []


@pytest.mark.parametrize("late_s", [-0.03, 0.0, 0.02])
def test_the_skew_that_is_reported_is_the_skew_that_is_there(late_s: float, video: Video, tmp_path: Path) -> None:
    encoder = edited(r"(asetpts=round\(PTS-\()([\d.]+)(\))", plus(-late_s)) if late_s else encode
    assert export(video, tmp_path, encoder).av_skew_ns == pytest.approx(late_s * 1e9, abs=1e6)


def test_a_skew_above_the_limit_fails_and_below_passes(video: Video, tmp_path: Path) -> None:
    late = edited(r"(asetpts=round\(PTS-\()([\d.]+)(\))", plus(-0.02))
    with pytest.raises(ExportFailed, match="max_av_skew_ms is 10"):
        export(video, tmp_path, late, dataclasses.replace(CONFIG, max_av_skew_ms=10.0))


def test_what_fails_once_is_made_again_with_more_care(video: Video, tmp_path: Path) -> None:
    asked: list[Sequence[str]] = []

    def fails_once(args: Sequence[str], output: Path, timeout_s: float) -> None:
        asked.append(args)
        (cut_short(1) if len(asked) == 1 else encode)(args, output, timeout_s)

    assert export(video, tmp_path, fails_once).verified
    assert len(asked) == 2


def test_a_full_disk_is_named_with_what_is_needed(video: Video, tmp_path: Path) -> None:
    def full(args: Sequence[str], output: Path, timeout_s: float) -> None:
        output.write_bytes(b"half a clip")
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFull, match=r"clips/00.00.01.000-goal.mp4: the disk is full; about \d+ bytes are needed"):
        export(video, tmp_path, full)
    assert everything_in(tmp_path) == []


def test_ffmpegs_own_words_for_a_full_disk_are_understood(
    video: Video, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(
        "MATCHCUT_FFMPEG",
        str(program(tmp_path, "echo 'av_interleaved_write_frame(): No space left on device' >&2; exit 228")),
    )
    with pytest.raises(DiskFull):
        export(video, tmp_path / "out")


def test_a_program_that_does_not_end_is_stopped(video: Video, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MATCHCUT_FFMPEG", str(program(tmp_path, "exec sleep 60")))
    with pytest.raises(ExportFailed, match=r"did not end within 0 s\. Raise export\.timeout_s"):
        export(video, tmp_path / "out", encode, dataclasses.replace(CONFIG, timeout_s=0.2))
    assert everything_in(tmp_path / "out") == []


def test_a_missing_program_is_a_fault_of_the_machine(
    video: Video, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MATCHCUT_FFMPEG", "/no/such/ffmpeg")
    with pytest.raises(MachineError, match="MATCHCUT_FFMPEG=/no/such/ffmpeg: no such program"):
        export(video, tmp_path)


def test_the_program_follows_no_playlist(video: Video, tmp_path: Path) -> None:
    """Python refuses them first; the program must, too, should the file be exchanged in between."""
    recipe = find_recipe(video, [Span(0, 10**9)], CONFIG)
    evil = tmp_path / "evil.mp4"
    for text in (
        f"ffconcat version 1.0\nfile '{video.path}'\n",
        f"#EXTM3U\n#EXTINF:1,\n{video.path}\n#EXT-X-ENDLIST\n",
    ):
        evil.write_text(text)
        exchanged = dataclasses.replace(recipe, video=dataclasses.replace(video, path=evil))
        with pytest.raises(EncodeError, match=r"Invalid data|not allowed|whitelist"):
            encode(arguments(exchanged, CONFIG, "key"), tmp_path / "out.mp4", 10)


KILLED = """
import sys
from pathlib import Path
from pipeline.config import ExportConfig
from pipeline.decode import frames_at
from pipeline.export import export_clips
from pipeline.probe import probe
from tests.clips import segment
export_clips(probe(Path(sys.argv[1])), [segment(0, 5)], Path(sys.argv[2]), ExportConfig(preset="placebo"), frames_at)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child's life to its parent's")
def test_a_run_that_is_killed_leaves_no_clip_and_no_encoder(tmp_path: Path) -> None:
    source = flashes_and_beeps(tmp_path / "large.mp4", f"-vf scale=1280:720 {X264} -c:a aac")
    run = subprocess.Popen([sys.executable, "-c", KILLED, str(source), str(tmp_path / "out")], env=WITH_TESTS)
    wait_for(lambda: bool(everything_in(tmp_path / "out")), "the encoder to start")
    (unfinished,) = everything_in(tmp_path / "out")
    encoders = [int(entry.name) for entry in Path("/proc").iterdir() if is_child(entry, run.pid)]
    assert len(encoders) == 1
    run.send_signal(signal.SIGKILL)
    run.wait()
    wait_for(lambda: not is_alive(encoders[0]), "the encoder to end")
    assert everything_in(tmp_path / "out") == [unfinished]
    assert unfinished.name.startswith(".matchcut-")


def export(video: Video, folder: Path, encoder: Encode = encode, config: ExportConfig = CONFIG) -> Clip:
    return export_clips(video, [segment(1, 2)], folder, config, frames_at, encode=encoder)[0]


def everything_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def program(folder: Path, script: str) -> Path:
    path = folder / "ffmpeg"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def wait_for(condition: Callable[[], bool], what: str) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until, f"waited 30 s for {what}"
        time.sleep(0.02)


def is_child(process: Path, parent: int) -> bool:
    try:
        return process.name.isdecimal() and f"PPid:\t{parent}\n" in (process / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
