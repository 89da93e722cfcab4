"""Single pictures by seeking: for thumbnails, verification and training. Same pixels as `decode`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import chain

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from pipeline.decode.access import RandomAccess
from pipeline.decode.chunks import wanted_ticks
from pipeline.decode.pictures import in_display_order, on_display
from pipeline.media import fit, open_media, video_stream
from pipeline.records import FrameBatch, Video
from pipeline.timeline import NS_PER_S, last_tick_at, ticks_to_ns

_EARLY_NS = 2 * NS_PER_S  # MPEG-TS seeks land late
_APART_NS = 4 * NS_PER_S  # times closer than this are read through without another seek


def frames_at(
    video: Video, times_ns: npt.NDArray[np.int64] | Sequence[int], height_px: int, width_px: int
) -> FrameBatch:
    """The frames on display at `times_ns`, each once, sorted. Raises UnreadableVideo."""
    scaler = VideoReformatter()
    found: dict[int, npt.NDArray[np.uint8]] = {}
    for group in _groups(wanted_ticks(video, sorted({int(t) for t in times_ns})), video):
        with ExitStack() as files:
            for frame in on_display(_frames_around(files, video, group), group):
                found[frame.pts or 0] = fit(frame, height_px, width_px, scaler)
    pts = sorted(found)
    pixels = np.stack([found[p] for p in pts]) if pts else np.empty((0, height_px, width_px, 3), dtype=np.uint8)
    return FrameBatch(pixels, np.array([_ns(p, video) for p in pts], dtype=np.int64))


def _ns(pts: int, video: Video) -> int:
    return ticks_to_ns(pts - video.origin_pts, video.time_base)


def _groups(ticks: Sequence[int], video: Video) -> Iterator[list[int]]:
    apart = last_tick_at(_APART_NS, video.time_base)
    group: list[int] = []
    for tick in ticks:
        if group and tick - group[-1] > apart:
            yield group
            group = []
        group.append(tick)
    if group:
        yield group


def _frames_around(files: ExitStack, video: Video, ticks: Sequence[int]) -> Iterator[VideoFrame]:
    """Frames in display order, from one on display at the first tick or before, until one after the last tick."""
    frames = None if video.pts_as_stored else _frames_from_key(files, video, ticks[0])
    for frame in frames or _frames_from_start(files, video):
        if frame.pts is None:
            continue
        yield frame
        if frame.pts > ticks[-1]:
            return


def _frames_from_key(files: ExitStack, video: Video, tick: int) -> Iterator[VideoFrame] | None:
    """From a key frame at or before `tick`; None when no seek lands on one."""
    container, stream = _open(files, video)
    access = RandomAccess(stream)
    back = last_tick_at(_EARLY_NS, video.time_base)
    while tick - back > video.origin_pts:
        try:
            container.seek(tick - back, stream=stream)
            packets = _packets(container, stream)
            key = next((packet for packet in packets if access.opens(packet)), None)
        except av.FFmpegError:
            return None
        if key is not None and key.pts is not None and key.pts <= tick:
            return _not_before(key.pts, _decode(stream, chain([key], packets)))
        back *= 4
    return None


def _frames_from_start(files: ExitStack, video: Video) -> Iterator[VideoFrame]:
    container, stream = _open(files, video)
    frames = _decode(stream, _packets(container, stream))
    return in_display_order(frames) if video.pts_as_stored else frames


def _open(files: ExitStack, video: Video) -> tuple[InputContainer, VideoStream]:
    container = files.enter_context(open_media(video.path))
    stream = video_stream(container, video.stream_index)
    stream.codec_context.thread_count = 1
    return container, stream


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    return (packet for packet in container.demux(stream) if packet.size)


def _not_before(pts: int, frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """Without the leading pictures of the first key frame: what they refer to was not decoded."""
    return (frame for frame in frames if frame.pts is not None and frame.pts >= pts)


def _decode(stream: VideoStream, packets: Iterator[Packet[VideoStream]]) -> Iterator[VideoFrame]:
    """Damaged packets are passed over, as in a full decode."""
    for packet in chain(packets, [None]):
        with suppress(av.FFmpegError):
            yield from stream.codec_context.decode(packet)
