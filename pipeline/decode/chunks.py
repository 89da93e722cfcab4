"""Several chunks of one video at once, handed on in order. The answer depends neither on the chunks nor on the threads.

    reader (under a lock) -> chunk 1 -> thread A -> lane 1 \\
                             chunk 2 -> thread B -> lane 2  > lanes are emptied in order
                             chunk 3 -> thread A -> lane 3 /

At most threads + 1 chunks are under way, and a lane holds a few batches: memory grows neither with the duration nor
with the length of a GOP. Threads help because the decoder and the scaler release the interpreter lock.
"""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from queue import Full, Queue

import numpy as np
import numpy.typing as npt

from pipeline.decode.packets import MAX_HELD_PACKETS, Chunk, PacketReader, Sound
from pipeline.decode.pictures import Decoded, Pictures, UnsafePlanError
from pipeline.media import open_media, video_stream
from pipeline.records import DecodeFacts, FrameBatch, Video
from pipeline.timeline import NS_PER_S, last_tick_at

CHUNK_NS = 10 * NS_PER_S
_LANE_BATCHES = 4
_MAX_CHUNK_SAMPLES = 64  # at high rates chunks are shorter, so that their pictures stay few
_POLL_S = 0.05


class _Stopped(Exception):
    """The consumer went away."""


def decode(
    video: Video,
    times_ns: npt.NDArray[np.int64] | Sequence[int],
    height_px: int,
    width_px: int,
    *,
    threads: int = 1,
    chunk_ns: int = CHUNK_NS,
    held_packets: int = MAX_HELD_PACKETS,
    sound: Sound | None = None,
) -> Generator[Decoded, None, None]:
    """Pictures on display at `times_ns` (sorted): for each time the frame of the greatest pts <= t, each frame once.

    Pictures are (height_px, width_px) RGB. The result equals a full decode bit for bit, whatever `threads`, `chunk_ns`
    and `held_packets`; a GOP of more packets is decoded as it is read, and with it the rest of the file. Where a stream
    cannot be parted safely, the rest of it is decoded whole. `sound` gets the packets of an audio track as the file is
    read, by one thread at a time. Raises UnreadableVideo.
    """
    ticks = wanted_ticks(video, times_ns)
    size = (height_px, width_px)
    given = 0
    length_ns = _chunk_length(ticks, video, chunk_ns)
    sound = sound.once() if sound else None
    whole = video.pts_as_stored
    run = _Run(video, ticks, size, sound, threads=threads, chunk_ns=length_ns, held_packets=held_packets, whole=whole)
    try:
        with closing(run.results()) as results:
            for decoded in results:
                given += len(decoded.batch)
                yield decoded
    except UnsafePlanError:
        yield from _whole_from(video, ticks, size, sound, given)


def wanted_ticks(video: Video, times_ns: npt.NDArray[np.int64] | Sequence[int]) -> list[int]:
    """Times as stream ticks: `pts <= tick` exactly when the frame's time is <= t."""
    return [video.origin_pts + last_tick_at(int(t), video.time_base) for t in times_ns]


def _chunk_length(ticks: Sequence[int], video: Video, chunk_ns: int) -> int:
    covered_ns = int((ticks[-1] - ticks[0]) * video.time_base * NS_PER_S) if len(ticks) > 1 else 0
    return min(chunk_ns, _MAX_CHUNK_SAMPLES * covered_ns // max(1, len(ticks) - 1)) if covered_ns else chunk_ns


def _whole_from(
    video: Video, ticks: Sequence[int], size: tuple[int, int], sound: Sound | None, given: int
) -> Iterator[Decoded]:
    """One chunk, everything decoded, without the pictures that were given already."""
    run = _Run(video, ticks, size, sound, threads=1, chunk_ns=0, whole=True)
    with closing(run.results()) as results:
        for decoded in results:
            fresh = decoded.batch.pts_ns[given:], decoded.batch.pixels[given:]
            given -= len(decoded.batch) - len(fresh[0])
            facts = decoded.facts
            yield Decoded(
                FrameBatch(fresh[1], fresh[0]),
                DecodeFacts(
                    frames=facts.frames, corrupt=facts.corrupt, samples=len(fresh[0]), covered_ns=facts.covered_ns
                ),
            )


_Lane = Queue["Decoded | Exception | None"]


class _Run:
    """One pass over one video: a reader, its threads, and the lanes between them and the consumer."""

    def __init__(
        self,
        video: Video,
        ticks: Sequence[int],
        size: tuple[int, int],
        sound: Sound | None,
        *,
        threads: int,
        chunk_ns: int,
        held_packets: int = MAX_HELD_PACKETS,
        whole: bool = False,
    ) -> None:
        self._video, self._ticks, self._size, self._sound, self._threads = video, ticks, size, sound, max(1, threads)
        self._chunk_ns, self._held_packets, self._whole = chunk_ns, held_packets, whole
        self._stop = threading.Event()
        self._reading = threading.Lock()
        self._under_way = threading.Semaphore(self._threads + 1)
        self._lanes: Queue[_Lane | None] = Queue()

    def results(self) -> Generator[Decoded, None, None]:
        with ExitStack() as stack:
            container = stack.enter_context(open_media(self._video.path))
            stream = video_stream(container, self._video.stream_index)
            reader = PacketReader(
                container,
                stream,
                self._chunk_ns,
                whole=self._whole,
                held_packets=self._held_packets,
                sound=self._sound,
            )
            workers = [
                threading.Thread(target=self._work, args=(reader,), name=f"decode-{n}", daemon=True)
                for n in range(self._threads)
            ]
            stack.callback(self._end, workers)
            for worker in workers:
                worker.start()
            while (lane := self._lanes.get()) is not None:
                yield from _empty(lane)
                self._under_way.release()
            if reader.damaged:
                yield self._damage(reader.damaged)

    def _work(self, reader: PacketReader) -> None:
        try:
            with self._reading:  # one at a time: opening a file takes room for its index, which is given back
                pictures = Pictures(self._video, *self._size, self._check)
            while self._one_chunk(reader, pictures):
                pass
        except _Stopped:
            return
        except Exception as error:  # noqa: BLE001  handed to the consumer, who raises it
            lane: _Lane = Queue()
            lane.put(error)
            self._lanes.put(lane)

    def _one_chunk(self, reader: PacketReader, pictures: Pictures) -> bool:
        while not self._under_way.acquire(timeout=_POLL_S):
            self._check()
        self._check()
        lane: _Lane = Queue(_LANE_BATCHES)
        with self._reading:
            chunk = reader.next_chunk()
            self._lanes.put(lane if chunk else None)
            if chunk is None:
                return False
            if chunk.rest is not None:  # still being read: the lock is kept until the end of the file
                self._fill(lane, chunk, pictures)
                return True
        self._fill(lane, chunk, pictures)
        return True

    def _fill(self, lane: _Lane, chunk: Chunk, pictures: Pictures) -> None:
        try:
            for decoded in pictures.decode(chunk, self._ticks_of(chunk)):
                self._put(lane, decoded)
            self._put(lane, None)
        except _Stopped:
            raise
        except Exception as error:  # noqa: BLE001  handed to the consumer, who raises it
            self._put(lane, error)

    def _ticks_of(self, chunk: Chunk) -> list[int]:
        return [tick for tick in self._ticks if chunk.shows(tick)]

    def _put(self, lane: _Lane, item: Decoded | Exception | None) -> None:
        while True:
            self._check()
            try:
                lane.put(item, timeout=_POLL_S)
                return
            except Full:
                continue

    def _check(self) -> None:
        if self._stop.is_set():
            raise _Stopped

    def _end(self, workers: list[threading.Thread]) -> None:
        self._stop.set()
        for worker in workers:
            worker.join()

    def _damage(self, packets: int) -> Decoded:
        empty = np.empty((0, *self._size, 3), dtype=np.uint8)
        facts = DecodeFacts(frames=0, corrupt=packets, samples=0, covered_ns=0)
        return Decoded(FrameBatch(empty, np.empty(0, dtype=np.int64)), facts)


def _empty(lane: _Lane) -> Iterator[Decoded]:
    while (item := lane.get()) is not None:
        if isinstance(item, Exception):
            raise item
        yield item
