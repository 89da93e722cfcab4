"""What the tests of `export` share: a source whose pictures and sound tell the time, and how a clip is read back."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt

from pipeline.records import Segment
from pipeline.timeline import NS_PER_S, Span
from tests.media import ffmpeg

PERIOD = 20  # frames of 40 ms: every 0.8 s the picture is white for two frames, and a tone sounds
SECONDS = 5
SOURCE = (
    f'-f lavfi -i "testsrc2=size=128x72:rate=25:duration={SECONDS},'
    f"drawbox=color=white:thickness=fill:enable='lt(mod(n,{PERIOD}),2)',format=yuv420p\" "
    f"-f lavfi -i \"aevalsrc='0.5*sin(2*PI*1000*t)*lt(mod(t,{PERIOD / 25}),0.08)+0.002*random(0)':"
    f'sample_rate=48000:duration={SECONDS}" -c:v rawvideo -c:a pcm_s16le'
)
X264 = "-c:v libx264 -preset ultrafast -bf 2 -g 50 -threads 1"


def flashes_and_beeps(path: Path, options: str = X264 + " -c:a aac") -> Path:
    """Made from one lossless source beside the test's own folder, so that it is computed once."""
    source = path.parent.parent / "flashes_and_beeps.nut"
    return ffmpeg(f"-i {source if source.exists() else ffmpeg(SOURCE, source)} {options}", path)


def segment(start_s: float, end_s: float, label: str = "goal") -> Segment:
    span = Span(round(start_s * NS_PER_S), round(end_s * NS_PER_S))
    return Segment(
        span=span, event=span, label=label, score=0.9, score_kind="uncalibrated", peak_ns=span.start_ns, reasons=()
    )


@dataclass(frozen=True)
class Played:
    """A file as a player shows it: `pictures` RGB with their `times_s`, mono `sound` from time 0 at `rate_hz`."""

    times_s: tuple[Fraction, ...]
    pictures: tuple[npt.NDArray[np.uint8], ...]
    sound: npt.NDArray[np.float32]
    rate_hz: int

    def flashes_s(self) -> list[float]:
        """When the picture turns white."""
        white = [bool(picture.mean() > 200) for picture in self.pictures]
        return [float(t) for t, (before, now) in zip(self.times_s[1:], pairwise(white), strict=True) if now > before]

    def beeps_s(self) -> list[float]:
        """When a tone sets in after silence."""
        level = np.convolve(np.abs(self.sound), np.ones(48) / 48, "same")
        loud = np.flatnonzero(level > 0.1)
        starts = loud[np.flatnonzero(np.diff(loud, prepend=-self.rate_hz) > self.rate_hz // 5)]
        return [float(start) / self.rate_hz for start in starts]

    def lags_s(self) -> list[float]:
        """How much later than the nearest flash every tone sounds; tones without a flash are passed over."""
        nearest = [min((beep - flash for flash in self.flashes_s()), key=abs) for beep in self.beeps_s()]
        return [lag for lag in nearest if abs(lag) < PERIOD / 25 / 2]


def play(path: Path) -> Played:
    with av.open(str(path)) as container:
        start_s = Fraction(container.start_time or 0, 1_000_000)
        frames = [(f.pts * f.time_base - start_s, f.to_ndarray(format="rgb24")) for f in container.decode(video=0)]
    frames.sort(key=lambda frame: frame[0])
    sound, rate_hz = _sound(path, start_s)
    return Played(tuple(t for t, _ in frames), tuple(picture for _, picture in frames), sound, rate_hz)


def _sound(path: Path, start_s: Fraction) -> tuple[npt.NDArray[np.float32], int]:
    with av.open(str(path)) as container:
        if not container.streams.audio:
            return np.zeros(0, dtype=np.float32), 48_000
        rate_hz = container.streams.audio[0].rate
        pieces = [(f.pts * f.time_base - start_s, _mono(f)) for f in container.decode(audio=0)]
    sound = np.zeros(max(0, round(pieces[-1][0] * rate_hz)) + len(pieces[-1][1]), dtype=np.float32)
    for at_s, piece in pieces:
        at = round(at_s * rate_hz)
        inside = piece[max(0, -at) :]
        sound[max(0, at) : max(0, at) + len(inside)] = inside
    return sound, rate_hz


def _mono(frame: av.AudioFrame) -> npt.NDArray[np.float32]:
    """The channels added up, full scale 1."""
    samples = frame.to_ndarray()
    channels = samples if frame.format.is_planar else samples.reshape(-1, len(frame.layout.channels)).T
    scale = np.iinfo(samples.dtype).max if samples.dtype.kind == "i" else 1
    return (channels.astype(np.float32) / scale).sum(axis=0)
