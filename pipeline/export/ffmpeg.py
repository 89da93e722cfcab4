"""Runs the ffmpeg program: which one, how long, and what it said when it failed. Knows nothing of what it is asked."""

from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import imageio_ffmpeg

from pipeline.children import ctrl_c_waits, ends_with_parent
from pipeline.errors import ExportFailed, MachineError

_TAIL_LINES = 4
_NO_SPACE = os.strerror(errno.ENOSPC)

Encode = Callable[[Sequence[str], Path, float], None]
"""Write a file: (arguments without the program and the output, output, limit in seconds). Raises when it fails."""


class EncodeError(Exception):
    """ffmpeg ended with an error; the message is what it said last."""


def encode(arguments: Sequence[str], output: Path, timeout_s: float) -> None:
    """Run ffmpeg until it ends. Raises EncodeError, OSError on a full disk, ExportFailed when it takes too long."""
    command = [ffmpeg_program(), "-nostdin", "-hide_banner", "-loglevel", "error", *arguments, "-y", f"file:{output}"]
    try:
        code, stderr = _run(command, timeout_s)
    except subprocess.TimeoutExpired:
        raise ExportFailed(
            f"{output.name}: ffmpeg did not end within {timeout_s:.0f} s. Raise export.timeout_s, or choose a faster "
            "export.preset"
        ) from None
    if code != 0:
        said = stderr.decode(errors="replace").strip()
        if _NO_SPACE in said:
            raise OSError(errno.ENOSPC, _NO_SPACE, str(output))
        raise EncodeError(f"ffmpeg ended with {code}: " + " / ".join(said.splitlines()[-_TAIL_LINES:]))


def _run(command: Sequence[str], timeout_s: float) -> tuple[int, bytes]:
    """Exit code, and what it wrote to standard error; whatever ends the waiting ends the program too."""
    process: subprocess.Popen[bytes] | None = None
    try:
        with ctrl_c_waits():
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                preexec_fn=ends_with_parent(),  # noqa: PLW1509  one C call
            )
        _, stderr = process.communicate(timeout=timeout_s)
        return process.returncode, stderr
    finally:
        if process is not None and process.poll() is None:
            process.kill()
            process.communicate()


def ffmpeg_program() -> str:
    """The binary in use: MATCHCUT_FFMPEG, or the one that imageio-ffmpeg carries. Raises MachineError."""
    named = os.environ.get("MATCHCUT_FFMPEG")
    if not named:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    if not os.access(named, os.X_OK):
        raise MachineError(
            f"MATCHCUT_FFMPEG={named}: no such program. Correct it, or unset it to use the one that is installed"
        )
    return named
