"""Which pictures of the source a clip shows, and the times at which its pictures and its sound are both cut.

    pictures   |----0----|----1----|----2----|----3----|
    wanted            [=================)
    cut        [=============================)              pictures are never split: 0, 1 and 2 are shown whole,

unless that would move the cut by more than `WHOLE_PICTURE_NS`: a slide shown for a minute is shared at the cut.
Knows the source only; nothing of clips, filters or encoders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from pipeline.errors import ExportFailed
from pipeline.media import open_media, video_stream
from pipeline.records import Video, require
from pipeline.timeline import NS_PER_S, Span, last_tick_at, ticks_to_ns

WHOLE_PICTURE_NS = 100_000_000
_LOOK_BACK_S = (2, 10, 60)  # how far before the in point reading starts, until a key frame at or before it is met

# Codecs whose containers hold one packet per displayed picture; VP8 has hidden ones, interlaced streams may have two.
_PACKET_IS_PICTURE = frozenset({"h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg", "mpeg1video", "mpeg2video"})
_REORDERED = 32  # more pictures than any codec stores out of order


class Shown(NamedTuple):
    """A picture of the source, in ns since t = 0. `duration_ns` is 0 where the container does not say."""

    t_ns: int
    duration_ns: int
    key: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A piece of the source: `span` is cut out of both streams, `times_ns` are its pictures (the first may be older).

    `after_ns` is the first picture not shown, None at the end of the video; `before_ns` the one before the first.
    `key_ns` is the last key frame at or before the first picture, 0 where the start of the file is the only one.
    `number` is given where the container's times cannot tell its pictures apart: the first one's, counted from the
    start of the file.
    """

    span: Span
    times_ns: tuple[int, ...]
    before_ns: int | None
    after_ns: int | None
    key_ns: int
    number: int | None = None

    def __post_init__(self) -> None:
        require(len(self.times_ns) > 0, "a cut shows at least one picture")
        require(self.times_ns[0] <= self.span.start_ns, "the first picture is on display at the in point")

    @property
    def clip_times_ns(self) -> tuple[int, ...]:
        """When each picture appears, counted from the in point."""
        return tuple(max(0, t - self.span.start_ns) for t in self.times_ns)


def find_cut(video: Video, wanted: Span, *, decoded: bool = False) -> Cut:
    """The pictures on display during `wanted`: from the packets' times, or with `decoded` from decoding them.

    Packets cost a few milliseconds; they are not believed where a packet need not be a picture. Raises ExportFailed.
    """
    numbered = decoded and video.pts_as_stored
    pictures = None if decoded or not _packets_are_pictures(video) else _pictures(video, wanted, _from_packets)
    if pictures is None:
        pictures = _pictures(video, wanted, _from_frames, from_start=numbered) or []
    # Pictures come in order of display: whatever their stamps, the n-th one is shown at the n-th time.
    times_ns = sorted({picture.t_ns for picture in pictures if picture.t_ns >= 0})
    shown = [t for t in times_ns if t < wanted.end_ns]
    first = max((i for i, t in enumerate(shown) if t <= wanted.start_ns), default=-1)
    if first < 0:
        raise ExportFailed(
            f"{video.path.name}: no picture can be read at {wanted.start_ns / NS_PER_S:.3f} s, though the video should "
            "last longer. The file is damaged there; copy it from the source again"
        )
    after_ns = next((t for t in times_ns if t >= wanted.end_ns), None)
    return Cut(
        span=_whole_pictures(wanted, shown[first], after_ns or _end_of(shown[-1], pictures, video)),
        times_ns=tuple(shown[first:]),
        before_ns=shown[first - 1] if first else None,
        after_ns=after_ns,
        key_ns=max((picture.t_ns for picture in pictures if picture.key and picture.t_ns <= shown[first]), default=0),
        number=first + sum(picture.t_ns < 0 for picture in pictures) if numbered else None,
    )


def _packets_are_pictures(video: Video) -> bool:
    return video.codec in _PACKET_IS_PICTURE and not video.interlaced and not video.pts_as_stored


def _whole_pictures(wanted: Span, first_ns: int, end_ns: int) -> Span:
    """`wanted`, moved outwards to where the first picture appears and the last one gives way, if that is near.

    Where the pictures end early (a file cut short), so does the span.
    """
    start_ns = first_ns if wanted.start_ns - first_ns <= WHOLE_PICTURE_NS else wanted.start_ns
    end_ns = end_ns if end_ns - wanted.end_ns <= WHOLE_PICTURE_NS else wanted.end_ns
    return Span(start_ns if start_ns < end_ns else first_ns, end_ns)


def _end_of(last_ns: int, pictures: list[Shown], video: Video) -> int:
    """When the last picture of the file gives way: its own duration says, or else that of pictures on average."""
    usual_ns = NS_PER_S // video.frame_rate if video.frame_rate else 0
    return last_ns + max(next(p.duration_ns for p in pictures if p.t_ns == last_ns) or usual_ns, 1)


Reader = Callable[[InputContainer, Video, int], "list[Shown] | None"]


def _pictures(video: Video, wanted: Span, read: Reader, *, from_start: bool = False) -> list[Shown] | None:
    """Pictures from a key frame at or before the in point until one after the out point; None if `read` cannot say."""
    for back_s in () if from_start else _LOOK_BACK_S:
        from_ns = wanted.start_ns - back_s * NS_PER_S
        if from_ns <= 0:
            break
        with open_media(video.path) as container:
            stream = video_stream(container, video.stream_index)
            try:
                container.seek(video.origin_pts + last_tick_at(from_ns, video.time_base), stream=stream)
            except av.FFmpegError:  # no index, or a format that cannot seek
                break
            pictures = read(container, video, wanted.end_ns)
        if pictures is None or any(picture.key and 0 <= picture.t_ns <= wanted.start_ns for picture in pictures):
            return pictures
    with open_media(video.path) as container:
        return read(container, video, wanted.end_ns)


def _from_packets(container: InputContainer, video: Video, end_ns: int) -> list[Shown] | None:
    """None when a packet does not say when its picture is shown."""
    pictures: list[Shown] = []
    after_ns: int | None = None
    try:
        for packet in container.demux(video_stream(container, video.stream_index)):
            if not packet.size or packet.is_discard:
                continue
            if packet.pts is None or packet.dts is None:
                return None
            t_ns = ticks_to_ns(packet.pts - video.origin_pts, video.time_base)
            pictures.append(Shown(t_ns, ticks_to_ns(packet.duration or 0, video.time_base), packet.is_keyframe))
            if t_ns >= end_ns:
                after_ns = min(t_ns, after_ns or t_ns)
            # No later packet is shown before it is decoded: beyond this one, nothing can come before `after_ns`.
            if after_ns is not None and ticks_to_ns(packet.dts - video.origin_pts, video.time_base) >= after_ns:
                break
    except av.FFmpegError:
        return None
    return pictures


def _from_frames(container: InputContainer, video: Video, end_ns: int) -> list[Shown]:
    pictures: list[Shown] = []
    wait_for = _REORDERED if video.pts_as_stored else 1
    for picture in _decode(container, video):
        pictures.append(picture)
        wait_for -= picture.t_ns >= end_ns
        if wait_for == 0:
            break
    return pictures


def _decode(container: InputContainer, video: Video) -> Iterator[Shown]:
    """Damaged packets are passed over, as in every other pass over a video."""
    stream = video_stream(container, video.stream_index)
    stream.thread_type = "SLICE"  # frame threads lose the pictures behind a damaged one at the end
    for packet in _packets(container, stream):
        with suppress(av.FFmpegError):
            for frame in packet.decode():
                if frame.pts is not None:
                    t_ns = ticks_to_ns(frame.pts - video.origin_pts, video.time_base)
                    yield Shown(t_ns, ticks_to_ns(frame.duration or 0, video.time_base), frame.key_frame)


def _packets(container: InputContainer, stream: VideoStream) -> Iterator[Packet[VideoStream]]:
    """Until the end of what can be read, the empty packet included that brings out the decoder's last pictures."""
    with suppress(av.FFmpegError):
        yield from container.demux(stream)
