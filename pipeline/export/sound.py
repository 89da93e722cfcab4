"""What a stretch of a file sounds like, and by how much a copy of it lags behind. 8 kHz mono tells 0.2 ms apart.

Method: normalized cross-correlation of short stretches (Knapp & Carter 1976, for time delay), through the FFT.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer

from pipeline.media import open_media
from pipeline.timeline import NS_PER_MS, NS_PER_S

RATE_HZ = 8_000
_STRETCH = 2 * RATE_HZ  # samples compared at a time
_REACH = RATE_HZ  # the largest lag looked for, either way
_SILENCE = 1e-3  # 60 dB below full scale: too little to compare
_SAME = 0.5  # correlation below which it is another sound; AAC keeps more than 0.95
_TIE = 0.99  # a hum correlates as well one period off: of nearly equal peaks the smallest lag counts
_JITTER_NS = 10 * NS_PER_MS
_NOWHERE_NS = -(1 << 62)
_SEEK_EARLY_NS = 500 * NS_PER_MS

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sound:
    """`samples` float32 (n,) at RATE_HZ from the start of the stretch; `heard` of them came out, the rest are 0."""

    samples: Samples
    heard: int
    damaged_packets: int


class OtherSoundError(Exception):
    """The two stretches do not hold the same sound at any lag within reach."""


def hear(path: Path, stream_index: int, start_ns: int, duration_ns: int) -> Sound:
    """A stretch of an audio stream, from `start_ns` in the container's own time. Damaged packets are passed over."""
    samples = np.zeros(max(1, duration_ns * RATE_HZ // NS_PER_S), dtype=np.float32)
    heard = 0
    with open_media(path) as container:
        ear = _Ear(container, stream_index)
        ear.seek(start_ns - _SEEK_EARLY_NS)
        for from_ns, piece in ear.pieces():
            at = (from_ns - start_ns) * RATE_HZ // NS_PER_S
            if at >= len(samples):
                break
            heard += _place(samples, piece, at)
    return Sound(samples, heard, ear.damaged_packets)


def _place(samples: Samples, piece: Samples, at: int) -> int:
    """Copy `piece` to index `at`, what falls outside is left out; how many samples came to lie inside."""
    piece = piece[max(0, -at) :]
    at = max(0, at)
    inside = max(0, min(len(piece), len(samples) - at))
    samples[at : at + inside] = piece[:inside]
    return inside


class _Ear:
    """Decodes one audio stream to mono pieces with times; a change of format on the way gets a new resampler."""

    def __init__(self, container: InputContainer, stream_index: int) -> None:
        stream = container.streams[stream_index]
        assert isinstance(stream, AudioStream)
        self._container, self._stream = container, stream
        self._resampler: AudioResampler | None = None
        self._format: tuple[str, str, int] | None = None
        self._next_ns = _NOWHERE_NS
        self.damaged_packets = 0

    def seek(self, container_ns: int) -> None:
        """Near or before; where there is no seeking, reading starts at the beginning."""
        time_base = self._stream.time_base
        assert time_base is not None
        if self._stream.start_time is not None and container_ns / NS_PER_S <= self._stream.start_time * time_base:
            return
        try:
            self._container.seek(int(container_ns / NS_PER_S / time_base), stream=self._stream)
        except av.FFmpegError:
            return

    def pieces(self) -> Iterator[tuple[int, Samples]]:
        """(container time in ns of the first sample, float32 mono samples)."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
                frames = list(packet.decode()) if packet is not None else None
            except av.FFmpegError:
                self.damaged_packets += 1
                continue
            if frames is None:
                return
            for piece in chain.from_iterable(self._mono(frame) for frame in frames):
                samples: Samples = piece.to_ndarray().ravel()  # type: ignore[assignment]  # format "flt"
                start_ns = self._start_ns(piece)
                self._next_ns = start_ns + len(samples) * NS_PER_S // RATE_HZ
                yield start_ns, samples

    def _start_ns(self, piece: AudioFrame) -> int:
        """Where the piece before ended, unless its own time says something clearly different: Matroska and FLV round
        times to milliseconds, which would tear the wave apart."""
        if piece.pts is None or piece.time_base is None:
            return self._next_ns
        stated_ns = int(piece.pts * piece.time_base * NS_PER_S)
        return self._next_ns if abs(stated_ns - self._next_ns) < _JITTER_NS else stated_ns

    def _mono(self, frame: AudioFrame) -> list[AudioFrame]:
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or kind != self._format:
            self._format, self._resampler = kind, av.AudioResampler(format="flt", layout="mono", rate=RATE_HZ)
        return self._resampler.resample(frame)


def lag_ns(copy: Samples, source: Samples) -> int | None:
    """How much later `copy` sounds than `source` (same length, same start); None where there is nothing to compare.

    The liveliest two seconds of each half are looked for in the copy; of both lags the larger counts, so that drift
    shows. Raises OtherSoundError.
    """
    starts = {_liveliest(source, 0, len(source) // 2), _liveliest(source, len(source) // 2, len(source))}
    lags = [lag for start in starts if (lag := _stretch_lag(copy, source, start)) is not None]
    return max(lags, key=abs) * NS_PER_S // RATE_HZ if lags else None


def _liveliest(source: Samples, first: int, end: int) -> int:
    """Start of the stretch within [first, end) with the most energy in its changes (a steady hum has few)."""
    stretch = min(_STRETCH, len(source))
    energy = np.concatenate([[0.0], np.cumsum(np.diff(source, prepend=source[:1]).astype(np.float64) ** 2)])
    starts = np.arange(first, max(first + 1, end - stretch + 1), RATE_HZ // 10)
    starts = np.minimum(starts, len(source) - stretch)
    return int(starts[np.argmax(energy[starts + stretch] - energy[starts])])


def _stretch_lag(copy: Samples, source: Samples, start: int) -> int | None:
    template = source[start : start + _STRETCH].astype(np.float64)
    around = np.zeros(len(template) + 2 * _REACH)
    _place(around, copy, _REACH - start)  # type: ignore[arg-type]  # float64 is fine to copy into
    if np.sqrt(np.mean(template**2)) < _SILENCE:
        return None
    likeness = _likeness(around, template)
    if likeness.max() < _SAME:
        raise OtherSoundError(f"likeness {likeness.max():.2f} at the best lag, at least {_SAME} is required")
    candidates = np.flatnonzero(likeness >= _TIE * likeness.max()) - _REACH
    return int(candidates[np.argmin(np.abs(candidates))])


def _likeness(around: npt.NDArray[np.float64], template: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Normalized correlation of `template` (n,) with `around` (n + 2 reach,) at every lag: (2 reach + 1,)."""
    size = len(around) + len(template)
    product = np.fft.rfft(around, size) * np.conj(np.fft.rfft(template, size))
    dots = np.fft.irfft(product, size)[: len(around) - len(template) + 1]
    energy = np.concatenate([[0.0], np.cumsum(around**2)])
    under = energy[len(template) :] - energy[: len(around) - len(template) + 1]
    scale = np.sqrt(np.maximum(under, 1e-12) * np.sum(template**2))
    return np.asarray(dots / scale)
