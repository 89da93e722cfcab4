"""One reader splits a file into chunks of whole GOPs, in decode order. Decodes nothing, seeks nowhere.

Reading once, in order, is what makes chunks exact: a seek may land late (MPEG-TS) or nowhere (no index), and every
chunk would need its own rules for it. Packets are small; handing them to the decoders costs nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

import av
from av.audio.stream import AudioStream
from av.container import Container, InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from pipeline.decode.access import RandomAccess
from pipeline.media import audio_stream
from pipeline.timeline import last_tick_at

MAX_HELD_PACKETS = 1500
MAX_HELD_BYTES = 32 << 20
_MAX_READ_ERRORS = 64


@dataclass(frozen=True, slots=True)
class Chunk:
    """GOPs that are decoded together, then the coda: the next key frame and its leading pictures.

    `starts` index each GOP's key packet, the coda's included. Displayed by this chunk: `start_pts <= pts < end_pts`;
    None stands for the open ends of the stream. `rest` goes on where a GOP is too long to be held in memory.
    """

    packets: list[Packet[VideoStream]]
    starts: list[int]
    start_pts: int | None
    end_pts: int | None
    rest: Iterator[Packet[VideoStream]] | None = None

    @property
    def plannable(self) -> bool:
        """False where a plan could be wrong: a packet without pts, a start that is no key frame, an endless GOP."""
        return self.rest is None and self.starts[:1] == [0] and all(p.pts is not None for p in self.packets)

    def shows(self, pts: int) -> bool:
        return (self.start_pts is None or pts >= self.start_pts) and (self.end_pts is None or pts < self.end_pts)


@dataclass(frozen=True, slots=True)
class Sound:
    """Who wants the packets of an audio track (as `media.audio_stream` numbers them) while the file is read."""

    track: int
    take: Callable[[Packet[AudioStream]], None]

    def once(self) -> Sound:
        """The same, though the file may be read again from its start: each packet is handed on once."""
        return Sound(self.track, _Once(self.take))


class _Once:
    """Counts packets, since the file always gives the same ones in the same order."""

    def __init__(self, take: Callable[[Packet[AudioStream]], None]) -> None:
        self._take = take
        self._taken = self._seen = 0
        self._reading: Container | None = None

    def __call__(self, packet: Packet[AudioStream]) -> None:
        if packet.stream.container is not self._reading:
            self._reading, self._seen = packet.stream.container, 0
        self._seen += 1
        if self._seen > self._taken:
            self._taken = self._seen
            self._take(packet)


class PacketReader:
    """Chunks of about `chunk_ns`, one after the other; with `whole=True` one chunk. For one thread at a time."""

    def __init__(
        self,
        container: InputContainer,
        stream: VideoStream,
        chunk_ns: int,
        *,
        whole: bool = False,
        held_packets: int = MAX_HELD_PACKETS,
        sound: Sound | None = None,
    ) -> None:
        assert stream.time_base is not None
        self.damaged = 0  # packets that the container flags as damaged, and reads that failed
        self._source = self._read(container, stream, sound)
        self._access = RandomAccess(stream)
        self._chunk_ticks = max(1, last_tick_at(chunk_ns, stream.time_base))
        self._whole, self._held_packets = whole, held_packets
        self._ahead: deque[Packet[VideoStream]] = deque()
        self._start_pts: int | None = None

    def next_chunk(self) -> Chunk | None:
        """The next GOPs, or None at the end of the file. A chunk's `rest` must be used up before the next call."""
        packets: list[Packet[VideoStream]] = []
        starts: list[int] = []
        size = 0
        while (packet := self._take()) is not None:
            if self._whole:
                return Chunk([packet], [], None, None, iter(self._take, None))
            if self._access.opens(packet):
                if packets and self._is_full(packets, packet, size) and (coda := self._coda(packet)):
                    return self._close(packets, starts, coda)
                starts.append(len(packets))
            packets.append(packet)
            size += packet.size
            if len(packets) > self._held_packets or size > MAX_HELD_BYTES:
                return Chunk(packets, starts, self._start_pts, None, iter(self._take, None))
        return Chunk(packets, starts, self._start_pts, None) if packets else None

    def _is_full(self, packets: list[Packet[VideoStream]], key: Packet[VideoStream], size: int) -> bool:
        first = packets[0]
        if first.pts is None or key.pts is None:
            return False
        half_held = size >= MAX_HELD_BYTES // 2 or len(packets) >= self._held_packets // 2
        return half_held or key.pts - first.pts >= self._chunk_ticks

    def _coda(self, key: Packet[VideoStream]) -> list[Packet[VideoStream]]:
        """`key` up to its last leading picture, left in the queue for the next chunk; empty: no place to part.

        A leading picture has dts <= pts < the key's pts, so from the first packet with a later dts on there is none.
        """
        assert key.pts is not None
        self._ahead.appendleft(key)
        for count in range(1, self._held_packets):
            if len(self._ahead) == count and (packet := next(self._source, None)) is not None:
                self._ahead.append(packet)
            if len(self._ahead) == count:
                break  # end of the file
            packet = self._ahead[count]
            if packet.dts is None or packet.pts is None:
                self._ahead.popleft()
                return []
            if packet.dts >= key.pts:
                break
        leading = [i for i, packet in enumerate(self._ahead) if i and (packet.pts or 0) < key.pts]
        return list(self._ahead)[: leading[-1] + 1 if leading else 1]

    def _close(self, packets: list[Packet[VideoStream]], starts: list[int], coda: list[Packet[VideoStream]]) -> Chunk:
        end_pts = coda[0].pts
        chunk = Chunk([*packets, *coda], [*starts, len(packets)], self._start_pts, end_pts)
        self._start_pts = end_pts
        return chunk

    def _take(self) -> Packet[VideoStream] | None:
        return self._ahead.popleft() if self._ahead else next(self._source, None)

    def _read(
        self, container: InputContainer, stream: VideoStream, sound: Sound | None
    ) -> Iterator[Packet[VideoStream]]:
        """Every packet that holds data; those of the sound go aside. A damaged place is counted and read past."""
        beside = audio_stream(container, sound.track) if sound else None
        streams = [stream, beside] if beside is not None else [stream]
        errors = 0
        while errors < _MAX_READ_ERRORS:
            try:
                for packet in container.demux(streams):
                    if sound and packet.stream is beside:
                        sound.take(cast("Packet[AudioStream]", packet))
                        continue
                    self.damaged += packet.is_corrupt
                    if packet.size:
                        yield cast("Packet[VideoStream]", packet)
                return
            except av.EOFError:
                return
            except av.FFmpegError:
                self.damaged += 1
                errors += 1
