"""A decoder of one thread: follows the plan of a chunk, keeps the frames on display, checks that the plan held."""

from __future__ import annotations

import ctypes
import heapq
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import av
import numpy as np
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from pipeline.decode.packets import Chunk
from pipeline.decode.plan import Action, Plan, plan
from pipeline.media import fit, open_media, video_stream
from pipeline.records import DecodeFacts, FrameBatch, Video
from pipeline.timeline import ticks_to_ns

BATCH = 32
_REORDER_DEPTH = 16  # H.264 and HEVC allow no more


@dataclass(frozen=True, slots=True)
class Decoded:
    """A run of sampled pictures, and what it took to get them. `facts.covered_ns` is where this run ends."""

    batch: FrameBatch
    facts: DecodeFacts


class UnsafePlanError(Exception):
    """This stream cannot be parted here; internal: the caller decodes it whole."""


class Pictures:
    """Decodes chunks of one video to (height_px, width_px) pictures. Owns a decoder.

    `check` is called before every packet and may raise: a chunk of large pictures takes seconds, Ctrl-C must not.
    """

    def __init__(self, video: Video, height_px: int, width_px: int, check: Callable[[], None] = lambda: None) -> None:
        self._video = video
        self._check = check
        self._size = (height_px, width_px)
        self._scaler = VideoReformatter()
        self._context = _decoder(video)
        self._count = _Count()

    def decode(self, chunk: Chunk, ticks: Sequence[int]) -> Iterator[Decoded]:
        """The frames on display at `ticks` (all inside the chunk). Raises UnsafePlanError before anything is given."""
        self._count = _Count()
        if not ticks and chunk.rest is None:
            yield self._facts_only(chunk)
        elif chunk.plannable:
            yield from self._planned(chunk, ticks)
        else:
            yield from self._whole(chunk, ticks)

    def _planned(self, chunk: Chunk, ticks: Sequence[int]) -> Iterator[Decoded]:
        packets = chunk.packets
        pts = [packet.pts or 0 for packet in packets]
        shown = [not packet.is_discard and chunk.shows(p) for packet, p in zip(packets, pts, strict=True)]
        fields = self._video.interlaced and _fields_apart(pts, self._video)
        decision = plan(pts, shown, chunk.starts, ticks, fields=fields)
        taken = list(self._select(_follow(self._context, self._checked(packets), decision, self._count), chunk, ticks))
        came_out = fields or {p for p, _ in taken} >= decision.wanted
        if self._count.late:
            raise UnsafePlanError
        if came_out and not self._count.corrupt:
            yield from self._batches(taken, chunk)
        else:  # damage reaches other pictures when fewer are decoded
            yield from self._whole(chunk, ticks)

    def _whole(self, chunk: Chunk, ticks: Sequence[int]) -> Iterator[Decoded]:
        """Every packet is decoded. A chunk that fits in memory is checked before anything is given away."""
        self._count = _Count(self._count.frames)
        frames = _decode_all(self._context, self._checked(chain(chunk.packets, chunk.rest or ())), self._count)
        if chunk.rest is not None:
            yield from self._batches(self._select(in_display_order(frames), chunk, ticks), chunk)
            return
        taken = list(self._select(frames, chunk, ticks))
        if self._count.late or (chunk.start_pts is not None and chunk.start_pts != self._count.first_pts):
            raise UnsafePlanError
        yield from self._batches(taken, chunk)

    def _checked(self, packets: Iterable[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
        for packet in packets:
            self._check()
            yield packet

    def _select(
        self, frames: Iterable[VideoFrame], chunk: Chunk, ticks: Sequence[int]
    ) -> Iterator[tuple[int, np.ndarray]]:
        mine = (frame for frame in frames if frame.pts is not None and chunk.shows(frame.pts))
        for frame in on_display(self._count.watch(mine), ticks):
            yield frame.pts or 0, fit(frame, *self._size, self._scaler)

    def _batches(self, taken: Iterable[tuple[int, np.ndarray]], chunk: Chunk) -> Iterator[Decoded]:
        """`taken` in batches; the facts of the whole chunk go with the last one."""
        held: list[tuple[int, np.ndarray]] = []
        for item in taken:
            if len(held) == BATCH:
                yield Decoded(self._batch(held), DecodeFacts(frames=0, corrupt=0, samples=len(held), covered_ns=0))
                held = []
            held.append(item)
        yield Decoded(self._batch(held), self._facts(chunk, len(held)))

    def _batch(self, held: list[tuple[int, np.ndarray]]) -> FrameBatch:
        pixels = np.empty((len(held), *self._size, 3), dtype=np.uint8)
        for row, (_, picture) in zip(pixels, held, strict=True):
            row[...] = picture
        return FrameBatch(pixels, np.array([self._ns(pts) for pts, _ in held], dtype=np.int64))

    def _facts_only(self, chunk: Chunk) -> Decoded:
        return Decoded(self._batch([]), self._facts(chunk, 0))

    def _facts(self, chunk: Chunk, samples: int) -> DecodeFacts:
        ends = [p.pts + (p.duration or 0) for p in chunk.packets if p.pts is not None and chunk.shows(p.pts)]
        reached = max([self._count.end_pts, *ends]) if chunk.plannable else self._count.end_pts
        covered_ns = min(max(self._ns(reached), 0), self._video.span.end_ns)
        return DecodeFacts(
            frames=self._count.frames, corrupt=self._count.corrupt, samples=samples, covered_ns=covered_ns
        )

    def _ns(self, pts: int) -> int:
        return ticks_to_ns(pts - self._video.origin_pts, self._video.time_base)


def _decoder(video: Video) -> VideoCodecContext:
    """Set up as the file says. It outlives the container, whose index of an hour takes 10 MB."""
    with open_media(video.path) as container:
        context = video_stream(container, video.stream_index).codec_context
        context.thread_count = 1  # skipping is exact only without frame threads; chunks are the parallelism
        context.open()  # now, since dav1d takes the skipping in force when it opens for its whole life
    _trim()
    return context


def _trim() -> None:
    """What was freed goes back to the system; glibc would keep it, for each thread."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class _Count:
    """What came out of the decoder while one chunk was read."""

    def __init__(self, frames: int = 0) -> None:
        self.frames = frames
        self.corrupt = 0
        self.late = 0  # frames whose time is not after the one before: no time at which they could be shown
        self.first_pts: int | None = None
        self.last_pts = self.end_pts = -(1 << 62)

    def watch(self, frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
        for frame in frames:
            assert frame.pts is not None
            late = frame.pts <= self.last_pts
            self.late += late
            self.corrupt += frame.is_corrupt or late
            self.last_pts = max(self.last_pts, frame.pts)
            self.first_pts = frame.pts if self.first_pts is None else self.first_pts
            self.end_pts = max(self.end_pts, frame.pts + (frame.duration or 0))
            yield frame


def _fields_apart(pts: Sequence[int], video: Video) -> bool:
    """Do the two fields of a picture come as packets of their own (PAFF)? Then packets are closer than pictures."""
    frame_ticks = 1 / (video.frame_rate * video.time_base) if video.frame_rate else 0
    ordered = sorted(set(pts))
    return any(b - a < 0.75 * frame_ticks for a, b in pairwise(ordered)) or not frame_ticks


def in_display_order(frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
    """Frames leave the decoder in display order; where the container numbers pictures as they are stored, their pts do
    not. The n-th frame gets the n-th smallest pts: a window deeper than any reordering finds it."""
    waiting: deque[VideoFrame] = deque()
    stamps: list[int] = []
    for frame in frames:
        if frame.pts is None:
            continue
        waiting.append(frame)
        heapq.heappush(stamps, frame.pts)
        if len(waiting) > _REORDER_DEPTH:
            yield _stamped(waiting.popleft(), heapq.heappop(stamps))
    while waiting:
        yield _stamped(waiting.popleft(), heapq.heappop(stamps))


def _stamped(frame: VideoFrame, pts: int) -> VideoFrame:
    frame.pts = pts
    return frame


def on_display(frames: Iterable[VideoFrame], ticks: Sequence[int]) -> Iterator[VideoFrame]:
    """Each frame that is on display at one of `ticks` (sorted), once, in order: the greatest pts <= tick.

    Frames that arrive out of order are passed over; before the first frame nothing is on display.
    """
    at = 0
    current: VideoFrame | None = None
    for frame in frames:
        pts = frame.pts or 0
        if current is not None and pts <= (current.pts or 0):
            continue
        seen = at
        while at < len(ticks) and ticks[at] < pts:
            at += 1
        if current is not None and at > seen:
            yield current
        current = frame
    if current is not None and at < len(ticks):
        yield current


def _follow(
    context: VideoCodecContext, packets: Iterable[Packet[VideoStream]], decision: Plan, count: _Count
) -> Iterator[VideoFrame]:
    """Carry out a plan; at the end the decoder is empty and remembers nothing."""
    for index, (packet, action) in enumerate(zip(packets, decision.actions, strict=True)):
        if index in decision.flush:
            yield from _drain(context, count)
        if action is not Action.DROP:
            context.skip_frame = "DEFAULT" if action is Action.DECODE else "NONREF"
            yield from _send(context, packet, count)
    context.skip_frame = "DEFAULT"
    yield from _drain(context, count)


def _decode_all(
    context: VideoCodecContext, packets: Iterable[Packet[VideoStream]], count: _Count
) -> Iterator[VideoFrame]:
    context.skip_frame = "DEFAULT"
    for packet in packets:
        yield from _send(context, packet, count)
    yield from _drain(context, count)


def _send(context: VideoCodecContext, packet: Packet[VideoStream] | None, count: _Count) -> Iterator[VideoFrame]:
    """Damaged data is counted and passed over: the pictures after it may be whole."""
    try:
        frames = context.decode(packet)
    except av.EOFError:
        return
    except av.FFmpegError:
        count.corrupt += 1
        return
    count.frames += len(frames)
    yield from frames


def _drain(context: VideoCodecContext, count: _Count) -> Iterator[VideoFrame]:
    yield from _send(context, None, count)
    context.flush_buffers()
