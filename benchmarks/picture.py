"""Clips of any size and rate -> frames of one size and rate -> one H.264 or HEVC file. ffmpeg does the work.

A picture that does not fill the frame stands on a blurred copy of itself, as broadcasters show footage from telephones.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import ffmpeg
import imageio_ffmpeg

from pipeline.errors import DataError
from pipeline.media import open_media
from pipeline.timeline import NS_PER_S, ticks_to_ns

VIDEO_ENDINGS = (".mp4", ".mov", ".mkv", ".webm", ".avi")
QUIET: dict[str, Any] = {"loglevel": "error", "nostdin": None}
# The long GOPs and B-frames that real programmes have; the encoders' own defaults, written down.
ENCODERS: dict[str, dict[str, Any]] = {
    "h264": {"vcodec": "libx264", "bf": 3, "g": 250},
    "hevc": {"vcodec": "libx265", "tag:v": "hvc1", "x265-params": "log-level=error:pools=2:frame-threads=2"},
}
# The same bytes for the same frames: no version strings, no dates, a fixed number of threads.
REPEATABLE: dict[str, Any] = {
    "flags:v": "+bitexact",
    "flags:a": "+bitexact",
    "fflags": "+bitexact",
    "map_metadata": -1,
    "threads": 2,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What every frame of a programme has in common. `kbps` 0 = constant quality `crf`; `gop` 0 = the encoder's own."""

    width_px: int = 640
    height_px: int = 360
    rate: Fraction = Fraction(25)
    codec: str = "h264"
    preset: str = "veryfast"
    crf: int = 23
    kbps: int = 0
    gop: int = 0

    @property
    def frame_bytes(self) -> int:
        return self.width_px * self.height_px * 3 // 2

    def encoder(self) -> dict[str, Any]:
        rate = {"b:v": f"{self.kbps}k"} if self.kbps else {"crf": self.crf}
        gop = {"g": self.gop} if self.gop else {}
        return {**ENCODERS[self.codec], "preset": self.preset, **rate, **gop, **REPEATABLE}


@dataclass(frozen=True, slots=True)
class Shot:
    """`frames` frames of `source` from `first` on, counted at the rate of the look."""

    source: Path
    first: int
    frames: int


def clips_in(folder: Path) -> tuple[Path, ...]:
    """Every video below `folder`, sorted, so that a seed means the same clips everywhere. Raises DataError for none."""
    seen = (path for path in folder.rglob("*") if not path.name.startswith("."))
    clips = tuple(sorted(path for path in seen if path.suffix.lower() in VIDEO_ENDINGS))
    if not clips:
        raise DataError(f"{folder}: no video here ({' '.join(VIDEO_ENDINGS)}). Name a folder that holds clips")
    return clips


def frame_times_ns(path: Path) -> tuple[int, ...]:
    """When each frame is shown, from t = 0, and as last value when the last one ends. Read from the packets: exact."""
    with open_media(path) as container:
        stream = container.streams.video[0]
        base = stream.time_base or Fraction(1, NS_PER_S)
        packets = [packet for packet in container.demux(stream) if packet.size]
    # AVI has no pts; its dts are in the same steps, which is what matters here
    ticks = sorted(tick for packet in packets if (tick := packet.dts if packet.pts is None else packet.pts) is not None)
    if len(ticks) < 2:
        raise DataError(f"{path.name}: {len(ticks)} frames are no clip. Leave it out")
    end = ticks[-1] + (packets[-1].duration or ticks[-1] - ticks[-2])
    return tuple(ticks_to_ns(tick - ticks[0], base) for tick in (*ticks, end))


def frames_in(path: Path, rate: Fraction) -> int:
    """How many frames `path` gives at `rate`: whole frame times within its duration."""
    return int(frame_times_ns(path)[-1] * rate / NS_PER_S)


def write_video(
    shots: Sequence[Shot], look: Look, out: Path, *, sound: Path | None = None, flashes: Sequence[int] = ()
) -> None:
    """One file of `shots` in a row, hard cuts between; the frames numbered in `flashes` are white.

    Raises DataError where a clip gives fewer frames than its shot asks for.
    """
    with tempfile.TemporaryFile() as complaints:
        encoder = subprocess.Popen(
            _encode(look, out, sound, flashes), stdin=subprocess.PIPE, stderr=complaints, stdout=subprocess.DEVNULL
        )
        try:
            _feed(encoder, shots, look)
        except BrokenPipeError:
            pass  # the encoder stopped; it has said why
        finally:
            encoder.wait()
        if encoder.returncode:
            complaints.seek(0)
            raise DataError(f"{out.name} could not be encoded: {complaints.read().decode(errors='replace')[-500:]}")


def _feed(encoder: subprocess.Popen[bytes], shots: Iterable[Shot], look: Look) -> None:
    assert encoder.stdin is not None
    with encoder.stdin as pipe:
        for shot in shots:
            sent = sum(pipe.write(frame) for frame in _frames(shot, look))
            if sent != shot.frames * look.frame_bytes:
                raise DataError(
                    f"{shot.source.name}: {sent // look.frame_bytes} frames came out, {shot.frames} were asked for "
                    f"from frame {shot.first} on. The clip is damaged or shorter than it says; leave it out"
                )


def _frames(shot: Shot, look: Look) -> Iterator[bytes]:
    with subprocess.Popen(_decode(shot, look), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as decoder:
        assert decoder.stdout is not None
        yield from iter(partial(decoder.stdout.read, look.frame_bytes), b"")


def _decode(shot: Shot, look: Look) -> list[str]:
    """Raw frames of one shot on stdout."""
    whole = (
        ffmpeg.input(f"file:{shot.source.absolute()}", **QUIET)
        .video.filter("setpts", "PTS-STARTPTS")
        .filter("fps", str(look.rate))
        .filter("trim", start_frame=shot.first, end_frame=shot.first + shot.frames)
        .filter("scale", "iw*sar", "ih")
        .filter("setsar", 1)
        .filter_multi_output("split")
    )
    size = (look.width_px, look.height_px)
    behind = (
        whole[0]
        .filter("scale", *size, force_original_aspect_ratio="increase")
        .filter("crop", *size)
        .filter("boxblur", max(2, look.height_px // 18))
    )
    front = whole[1].filter("scale", *size, force_original_aspect_ratio="decrease", force_divisible_by=2)
    shown = ffmpeg.overlay(behind, front, x="(W-w)/2", y="(H-h)/2")
    output = shown.output("pipe:", format="rawvideo", pix_fmt="yuv420p", fps_mode="passthrough")
    return _command(output)


def _encode(look: Look, out: Path, sound: Path | None, flashes: Sequence[int]) -> list[str]:
    """Raw frames on stdin -> `out`, with the sound beside them."""
    raw = {"format": "rawvideo", "pix_fmt": "yuv420p", "framerate": str(look.rate), "loglevel": "error"}
    video = ffmpeg.input("pipe:", video_size=(look.width_px, look.height_px), **raw).video
    if flashes:
        now = "+".join(f"eq(n,{frame})" for frame in flashes)
        video = video.filter("drawbox", color="white", thickness="fill", enable=now)
    streams = [video]
    options = {**look.encoder(), "movflags": "+faststart", "pix_fmt": "yuv420p"}
    if sound is not None:
        streams.append(ffmpeg.input(f"file:{sound.absolute()}").audio)
        options |= {"acodec": "aac", "b:a": "96k"}
    return _command(ffmpeg.output(*streams, f"file:{out.absolute()}", **options))


def loop_video(path: Path, times: int, out: Path) -> None:
    """`path`, `times` times in a row, without encoding it again: an hour costs as little as a copy."""
    again = ffmpeg.input(f"file:{path.absolute()}", stream_loop=times - 1, **QUIET)
    output = again.output(f"file:{out.absolute()}", c="copy", movflags="+faststart", fflags="+bitexact")
    subprocess.run(_command(output), check=True, stdin=subprocess.DEVNULL)


def _command(output: Any) -> list[str]:
    command: list[str] = output.overwrite_output().compile(cmd=imageio_ffmpeg.get_ffmpeg_exe())
    return command
