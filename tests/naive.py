"""The reference for decoding: everything is decoded, plainly, in one pass. Shares no code with the plan."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from pipeline.media import fit


@dataclass(frozen=True)
class FullDecode:
    """Every frame that comes out, in the decoder's order, which is that of display: `pixels` uint8 (N, H, W, 3).

    `pts` are their ticks, sorted: packets of an AVI have no times of their own, FFmpeg numbers them as they are stored,
    and with B-frames that is not the order of display. `corrupt` frames were flagged so; `errors` counts the packets
    that the decoder refused and the reads that failed.
    """

    pts: tuple[int, ...]
    pixels: npt.NDArray[np.uint8]
    time_base: Fraction
    corrupt: int
    errors: int

    def time_ns(self, index: int) -> int:
        return int((self.pts[index] - self.pts[0]) * self.time_base * 10**9)

    def on_display(self, times_ns: list[int]) -> list[int]:
        """Indices of the frames on display at `times_ns`, each once: the greatest pts <= t."""
        starts = [self.time_ns(index) for index in range(len(self.pts))]
        return sorted({max(i for i, start in enumerate(starts) if start <= t) for t in times_ns})


def full_decode(path: Path, stream_index: int, height_px: int, width_px: int) -> FullDecode:
    """Decode the stream whole with one thread; damaged packets are passed over."""
    stamps: list[int] = []
    pictures: list[npt.NDArray[np.uint8]] = []
    corrupt = errors = 0
    scaler = VideoReformatter()
    with av.open(f"file:{path}") as container:
        stream = container.streams.get(stream_index)[0]
        stream.codec_context.thread_count = 1
        packets = container.demux(stream)
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except av.FFmpegError:
                errors += 1
                if errors > 100:
                    break
                continue
            try:
                frames = packet.decode()
            except av.FFmpegError:
                errors += 1
                continue
            for frame in frames:
                corrupt += frame.is_corrupt
                if frame.pts is not None:
                    stamps.append(frame.pts)
                    pictures.append(fit(frame, height_px, width_px, scaler))
        return FullDecode(tuple(sorted(stamps)), np.stack(pictures), stream.time_base, corrupt, errors)
