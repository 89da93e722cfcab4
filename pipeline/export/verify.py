"""Does a file hold exactly what its recipe says? Proven from the file itself, before anybody may see it.

What is compared            with
every picture's time        the times of the source's pictures
the first picture(s)        the source's picture there, and its neighbours
the sound                   the source's sound, by correlation

An encoder that was stopped, ran out of room or met a truncated input may end with success and a shorter file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from pipeline.config import ExportConfig
from pipeline.errors import UnreadableVideo
from pipeline.export.recipe import Piece, Recipe
from pipeline.export.sound import OtherSoundError, hear, lag_ns
from pipeline.media import fit, open_media
from pipeline.records import FrameBatch, Video
from pipeline.timeline import NS_PER_MS, NS_PER_S, last_tick_at, ticks_to_ns

_TIME_TOLERANCE_NS = NS_PER_MS  # ticks of 1/90000 s on our side, of 1/1000 s in Matroska and FLV sources
_AAC_FRAME_NS = 130 * NS_PER_MS  # 1,024 samples at 8 kHz: sound ends on a whole one
_LOOK_HEIGHT_PX = 180  # small: noise, lost lines and combing average out, another picture does not
_BETTER_DB = 1.0  # a neighbour that fits the source's picture better than this means an off-by-one

Picture = npt.NDArray[np.uint8]
_BRIGHTNESS = np.array([0.299, 0.587, 0.114])  # of R, G, B: 4:2:0 takes colour from small pictures, not this


class FramesAt(Protocol):
    """The source's pictures on display at given times, each once, sorted (as `pipeline.decode.frames_at`)."""

    def __call__(self, video: Video, times_ns: Sequence[int], height_px: int, width_px: int, /) -> FrameBatch: ...


class CheckError(Exception):
    """The file is not what it should be; the message has the figures."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was measured. `av_skew_ns`: how much later the sound is, against the pictures, than in the source."""

    frames: int
    duration_ns: int
    av_skew_ns: int | None


def verify(path: Path, recipe: Recipe, config: ExportConfig, frames_at: FramesAt | None) -> Proof:
    """Raises CheckError. Without `frames_at` the pictures are known by their times alone."""
    try:
        duration_ns = _check_times(path, recipe)
        if frames_at is not None:
            _check_pictures(path, recipe, config, frames_at)
    except (UnreadableVideo, av.FFmpegError) as error:
        raise CheckError(f"the written file cannot be read: {error}") from error
    return Proof(frames=recipe.frames, duration_ns=duration_ns, av_skew_ns=_check_sound(path, recipe, config))


def _check_times(path: Path, recipe: Recipe) -> int:
    """All packets are there, every picture appears when the source's does; how long the pictures last in all."""
    with open_media(path) as container:
        packets = [packet for packet in container.demux() if packet.size]
        stream = container.streams.video[0]
        _check_size(stream, recipe)
        _check_packets(container, packets, recipe)
        times_ns = sorted(_ns(packet.pts, stream) for packet in packets if packet.stream is stream)
        duration_ns = _ns(stream.duration, stream)
    wanted_ns = recipe.times_ns
    if len(times_ns) != len(wanted_ns):
        raise CheckError(f"{len(times_ns)} pictures, but the source shows {len(wanted_ns)} in that time")
    for number, (found, wanted) in enumerate(zip(times_ns, wanted_ns, strict=True)):
        _check_near(f"time of picture {number}", found, wanted)
    _check_near("duration", duration_ns, recipe.duration_ns)
    return duration_ns


def _check_size(stream: VideoStream, recipe: Recipe) -> None:
    size = (stream.codec_context.width, stream.codec_context.height)
    wanted = (recipe.picture.width_px, recipe.picture.height_px)
    if size != wanted:
        raise CheckError(f"pictures of {size[0]}x{size[1]}, {wanted[0]}x{wanted[1]} were asked for")


def _check_packets(container: InputContainer, packets: Sequence[Packet[Stream]], recipe: Recipe) -> None:
    """Every packet is in full, and the sound lasts as long as the pictures."""
    broken = sum(packet.is_corrupt for packet in packets)
    if broken:
        raise CheckError(f"{broken} packets are cut short")
    streams = container.streams.audio
    if len(streams) != (1 if recipe.track else 0):
        raise CheckError(f"{len(streams)} sound tracks, expected {1 if recipe.track else 0}")
    if streams:
        spans = [(_ns(p.pts, streams[0]), _ns(p.duration, streams[0])) for p in packets if p.stream is streams[0]]
        _check_near("start of the sound", min(spans, default=(-1 << 40, 0))[0], 0, _AAC_FRAME_NS)
        _check_near("end of the sound", sum(max(spans, default=(0, 0))), recipe.duration_ns, _AAC_FRAME_NS)


def _check_near(what: str, found_ns: int, wanted_ns: int, tolerance_ns: int = _TIME_TOLERANCE_NS) -> None:
    if abs(found_ns - wanted_ns) > tolerance_ns:
        raise CheckError(f"{what}: {found_ns / NS_PER_S:.4f} s instead of {wanted_ns / NS_PER_S:.4f} s")


def _ticks(t_ns: int, stream: Stream) -> int:
    assert stream.time_base is not None
    return last_tick_at(t_ns, stream.time_base)


def _ns(ticks: int | None, stream: Stream) -> int:
    assert stream.time_base is not None
    return ticks_to_ns(ticks or 0, stream.time_base)


def _check_pictures(path: Path, recipe: Recipe, config: ExportConfig, frames_at: FramesAt) -> None:
    """The first picture of every piece is the source's at that instant, and no neighbour of it fits better."""
    scale = min(1.0, _LOOK_HEIGHT_PX / recipe.picture.height_px)
    width_px, height_px = (max(1, round(side_px * scale)) for side_px in recipe.picture.whole_px)
    for piece, picture in zip(recipe.pieces, _first_pictures(path, recipe, scale), strict=True):
        cut = piece.cut
        times_ns = [t for t in (cut.before_ns, *cut.times_ns[:2]) if t is not None]
        batch = frames_at(recipe.video, times_ns, height_px, width_px)
        psnr_db = [_psnr_db(picture, pixels, recipe) for pixels in batch.pixels]
        own = np.flatnonzero(batch.pts_ns == cut.times_ns[0])
        where = f"first picture, {cut.times_ns[0] / NS_PER_S:.3f} s in the source"
        if not len(own):
            raise CheckError(f"{where}: no such picture was found there")
        if (own_db := psnr_db[own[0]]) < config.min_psnr_db:
            raise CheckError(f"{where}: PSNR {own_db:.1f} dB, export.min_psnr_db is {config.min_psnr_db}")
        if max(psnr_db) > own_db + _BETTER_DB:
            raise CheckError(f"{where}: PSNR {own_db:.1f} dB, but its neighbour has {max(psnr_db):.1f} dB")


def _first_pictures(path: Path, recipe: Recipe, scale: float) -> list[Picture]:
    """Where each piece starts in the written file, scaled."""
    width_px, height_px = (max(1, round(side * scale)) for side in (recipe.picture.width_px, recipe.picture.height_px))
    scaler = VideoReformatter()
    pictures: list[Picture] = []
    with open_media(path) as container:
        stream = container.streams.video[0]
        for start_ns in recipe.starts_ns:
            frame = _frame_at(container, stream, start_ns)
            if frame is None:
                raise CheckError(f"the picture at {start_ns / NS_PER_S:.3f} s cannot be decoded")
            pictures.append(fit(frame, height_px, width_px, scaler))
    return pictures


def _frame_at(container: InputContainer, stream: VideoStream, start_ns: int) -> VideoFrame | None:
    """The picture that appears at `start_ns`. A seek goes by the time of decoding, which, where pictures are held for
    long, is far before that of display: it may land too late, and is tried again from further ahead."""
    early_ns = 0
    while True:
        container.seek(_ticks(max(0, start_ns - early_ns), stream), stream=stream)
        first = True
        for frame in container.decode(stream):
            late_ns = _ns(frame.pts, stream) - start_ns
            if abs(late_ns) <= _TIME_TOLERANCE_NS:
                return frame
            if late_ns > 0:
                break
            first = False
        if not first or early_ns >= start_ns:
            return None
        early_ns = 2 * early_ns + NS_PER_S


def _psnr_db(picture: Picture, source: Picture, recipe: Recipe) -> float:
    """Peak signal to noise ratio of the brightness of two RGB pictures; what `picture` lacks at the right and at the
    bottom was cut off. After tone mapping: of what a straight line through the values leaves."""
    found = picture @ _BRIGHTNESS
    wanted = source[: found.shape[0], : found.shape[1]] @ _BRIGHTNESS
    if recipe.video.hdr and wanted.std() > 0:
        gain = np.mean((found - found.mean()) * (wanted - wanted.mean())) / wanted.var()
        wanted = (wanted - wanted.mean()) * gain + found.mean()
    error = float(np.mean((found - wanted) ** 2))
    return 10 * math.log10(255**2 / max(error, 1e-3))


def _check_sound(path: Path, recipe: Recipe, config: ExportConfig) -> int | None:
    """The largest lag of sound against pictures over all pieces, None where the source has no sound."""
    if recipe.track is None:
        return None
    lags = [_lag(path, piece, start_ns) for piece, start_ns in zip(recipe.pieces, recipe.starts_ns, strict=True)]
    skew_ns = max((lag for lag in lags if lag is not None), key=abs, default=0)
    if abs(skew_ns) > config.max_av_skew_ms * NS_PER_MS:
        raise CheckError(
            f"sound is {skew_ns / NS_PER_MS:+.1f} ms off the pictures, export.max_av_skew_ms is {config.max_av_skew_ms}"
        )
    return skew_ns


def _lag(path: Path, piece: Piece, start_ns: int) -> int | None:
    """None where the source is silent: then the times of the packets, checked before, have to do."""
    if piece.sound is None:
        return None
    stream_index = 1  # ffmpeg writes streams in the order they are mapped: pictures, sound
    copy = hear(path, stream_index, start_ns, piece.cut.span.duration_ns)
    try:
        return lag_ns(copy.samples, piece.sound)
    except OtherSoundError as error:
        raise CheckError(f"the sound is not the source's: {error}") from error
