"""A bed of crowd noise that rises at known times, with beeps where they are asked for. Knows samples, not pictures."""

from __future__ import annotations

import wave
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.timeline import NS_PER_S, Span

RATE_HZ = 48_000
BED_DB = -38.0  # RMS of the quiet crowd, relative to full scale
ATTACK_NS, RELEASE_NS = 200_000_000, 500_000_000  # a roar comes faster than it goes
BEEP_HZ, BEEP_LEVEL = 1_000, 0.5
_TILE_S = 20


def write_crowd(
    path: Path, *, duration_ns: int, rises: Sequence[Span], rise_db: float, beeps: Sequence[Span], seed: int
) -> None:
    """Mono 16-bit WAV of `duration_ns`. A rise is `rise_db` louder, its ramps inside its span; memory stays flat."""
    tile = _murmur(seed)
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        for index in _blocks(duration_ns * RATE_HZ // NS_PER_S):
            t_ns = index * NS_PER_S // RATE_HZ
            gain = 10 ** ((BED_DB + rise_db * _height(t_ns, rises)) / 20)
            sound = gain * tile[index % len(tile)] + _beeping(t_ns, beeps)
            out.writeframes((np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes())


def _murmur(seed: int) -> npt.NDArray[np.float32]:
    """Noise in the band of many voices, RMS 1. Shaped in frequency, so its end joins its start without a click."""
    noise = np.random.default_rng(seed).standard_normal(_TILE_S * RATE_HZ)
    hz = np.fft.rfftfreq(len(noise), 1 / RATE_HZ)
    voices = (hz / (hz + 200)) / (1 + (hz / 900) ** 2)
    murmur = np.fft.irfft(np.fft.rfft(noise) * voices, len(noise))
    return np.asarray(murmur / murmur.std(), np.float32)


def _blocks(samples: int) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, samples, RATE_HZ):
        yield np.arange(start, min(start + RATE_HZ, samples), dtype=np.int64)


def _height(t_ns: npt.NDArray[np.int64], rises: Sequence[Span]) -> npt.NDArray[np.float64]:
    """0 in the quiet, 1 in the middle of a rise, straight ramps (in decibels) between."""
    height = np.zeros(len(t_ns))
    for rise in rises:
        up = (t_ns - rise.start_ns) / ATTACK_NS
        down = (rise.end_ns - t_ns) / RELEASE_NS
        height = np.maximum(height, np.clip(np.minimum(up, down), 0, 1))
    return height


def _beeping(t_ns: npt.NDArray[np.int64], beeps: Sequence[Span]) -> npt.NDArray[np.float64]:
    sound = np.zeros(len(t_ns))
    for beep in beeps:
        inside = (t_ns >= beep.start_ns) & (t_ns < beep.end_ns)
        sound[inside] = BEEP_LEVEL * np.sin(2 * np.pi * BEEP_HZ * (t_ns[inside] - beep.start_ns) / NS_PER_S)
    return sound
