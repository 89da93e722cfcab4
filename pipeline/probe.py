"""What a file is: a `Video` that can be decoded, or a sentence that says why not. Decodes one picture, keeps none."""

from __future__ import annotations

import hashlib
from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from pipeline.config import DecodeConfig
from pipeline.errors import UnreadableVideo
from pipeline.media import frame_turns, open_media, refuse_special_files
from pipeline.records import Video
from pipeline.timeline import Span, ticks_to_ns

_FINGERPRINT_PART = 1 << 20
_HDR_TRANSFERS = (16, 18)  # AVColorTransferCharacteristic: SMPTE ST 2084 (PQ), ARIB STD-B67 (HLG)
_PROGRESSIVE = (0, 1)  # AVFieldOrder: unknown, progressive
_STORAGE_ORDER = ("avi",)
_NO_TRUE_DURATION = ("ivf", "gif")  # counted in frames, or not at all
_PROTECTED = (b"encv", b"sinf", b"schm", b"tenc")  # boxes of ISO/IEC 23001-7, all of them in the sample entry
_MAX_STREAMS = 64
_FIRST_PICTURES = 24  # looked at to tell an encrypted file from a damaged one


def probe(path: Path, config: DecodeConfig | None = None) -> Video:
    """Open, check the limits before anything is allocated, decode the first picture. Raises UnreadableVideo."""
    config = config or DecodeConfig()
    refuse_special_files(path)
    with open_media(path, config.max_pixels) as container:
        stream = _video_stream(container, path)
        _refuse_encrypted(path)
        _check_limits(stream, config, path)
        stamps = _Stamps()
        first = _first_displayed(container, stream, path, stamps)
        origin_pts = first.pts or 0
        width_px, height_px = _displayed_size(stream, first)
        return Video(
            path=path,
            video_id=fingerprint(path),
            width_px=width_px,
            height_px=height_px,
            span=Span(0, _duration_ns(container, stream, first, path)),
            time_base=_time_base(stream),
            origin_pts=origin_pts,
            frame_rate=stream.average_rate or stream.base_rate or Fraction(0),
            codec=stream.codec_context.name.removeprefix("lib").replace("dav1d", "av1"),
            pixel_format=first.format.name,
            stream_index=stream.index,
            audio_streams=len([audio for audio in container.streams.audio if audio.codec_context is not None]),
            rotation_deg=frame_turns(first) * 90,
            interlaced=stream.codec_context.field_order not in _PROGRESSIVE or first.interlaced_frame,
            hdr=int(first.color_trc) in _HDR_TRANSFERS,
            pts_as_stored=container.format.name in _STORAGE_ORDER or stamps.are_those_of_storage(stream),
        )


def fingerprint(path: Path) -> str:
    """The video's id: sha256 of its size and its first, middle and last MiB. Follows the content, not the name.

    Raises UnreadableVideo where the file went away or its disk fails.
    """
    try:
        size = path.stat().st_size
        digest = hashlib.sha256(str(size).encode())
        with path.open("rb") as file:
            for offset in (0, max(0, size // 2 - _FINGERPRINT_PART // 2), max(0, size - _FINGERPRINT_PART)):
                file.seek(offset)
                digest.update(file.read(_FINGERPRINT_PART))
    except OSError as error:
        raise UnreadableVideo(
            f"{path.name}: cannot be read ({error.strerror}). Check that it is still there, or copy it again"
        ) from error
    return digest.hexdigest()


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    """FFmpeg's best video stream; cover art is a picture, not a video."""
    if len(container.streams) > _MAX_STREAMS:
        raise UnreadableVideo(
            f"{path.name}: {len(container.streams)} streams, at most {_MAX_STREAMS} are read. Remux it"
        )
    stream = container.streams.best("video")
    if stream is None or stream.disposition & av.stream.Disposition.attached_pic:
        raise UnreadableVideo(f"{path.name}: {_what_instead(container)}. Give a file with pictures")
    assert isinstance(stream, VideoStream)
    if stream.codec_context is None:
        raise UnreadableVideo(f"{path.name}: no decoder for its video codec. Convert it to H.264 first")
    return stream


def _what_instead(container: InputContainer) -> str:
    if container.streams.audio:
        return f"audio only ({container.streams.audio[0].name}), no video stream"
    return "no video stream, only " + (", ".join({stream.type for stream in container.streams}) or "an empty container")


def _refuse_encrypted(path: Path) -> None:
    """FFmpeg decodes a protected MP4 to noise, and AV1 without one complaint; its sample entry says what it is."""
    with path.open("rb") as file:
        head = file.read(_FINGERPRINT_PART)
        file.seek(max(0, path.stat().st_size - _FINGERPRINT_PART))
        tail = file.read()
    if any(all(mark in part for mark in _PROTECTED) for part in (head, tail)):
        raise UnreadableVideo(f"{path.name}: the stream is encrypted (ISO common encryption). Decrypt it first")


def _check_limits(stream: VideoStream, config: DecodeConfig, path: Path) -> None:
    width_px, height_px = stream.codec_context.width, stream.codec_context.height
    if max(width_px, height_px) > config.max_side_px or width_px * height_px > config.max_pixels:
        raise UnreadableVideo(
            f"{path.name}: {width_px} x {height_px} pixels, more than decode.max_pixels = {config.max_pixels} or "
            f"decode.max_side_px = {config.max_side_px}. Scale it down, or raise the limit"
        )


class _Stamps:
    """Do the first packets say when pictures are shown, or only in which order they are stored?"""

    def __init__(self) -> None:
        self._seen = 0
        self._differ = False

    def note(self, packet: Packet[VideoStream]) -> None:
        if packet.size:
            self._seen += 1
            self._differ |= packet.pts != packet.dts

    def are_those_of_storage(self, stream: VideoStream) -> bool:
        """B-frames are stored late and shown early; where every pts equals its dts, the muxer did not know it."""
        return stream.codec_context.has_b_frames and self._seen > 1 and not self._differ


def _first_displayed(container: InputContainer, stream: VideoStream, path: Path, stamps: _Stamps) -> VideoFrame:
    """The first picture that comes out: its time is t = 0. A stream of damaged pictures only is named as such."""
    context = stream.codec_context
    context.thread_count = 1
    first, packets, damaged, pictures = None, 0, 0, 0
    try:
        for packet in container.demux(stream):
            packets += packet.size > 0
            stamps.note(packet)
            try:
                frames = context.decode(packet)
            except av.FFmpegError:
                damaged += 1
                continue
            for frame in frames:
                first = first or frame
                pictures += 1
                damaged += frame.is_corrupt
                if not damaged or pictures >= _FIRST_PICTURES:
                    return _whole_picture(first, path, damaged, pictures)
    except av.FFmpegError:
        damaged += 1
    if first is None:
        raise UnreadableVideo(f"{path.name}: {_no_frames(packets, stream)}")
    return _whole_picture(first, path, damaged, pictures)


def _whole_picture(first: VideoFrame, path: Path, damaged: int, pictures: int) -> VideoFrame:
    """`first`, unless nearly every picture so far was damaged: encrypted streams decode to garbage without an error."""
    if pictures >= _FIRST_PICTURES and damaged > 0.8 * pictures:
        raise UnreadableVideo(
            f"{path.name}: {damaged} of the first {pictures} pictures are damaged; the stream is encrypted or broken. "
            "Decrypt it, or copy it from the source again"
        )
    if first.pts is None:
        raise UnreadableVideo(
            f"{path.name}: its pictures carry no times. Remux it: ffmpeg -fflags +genpts -i {path.name} -c copy out.mp4"
        )
    return first


def _no_frames(packets: int, stream: VideoStream) -> str:
    if packets == 0:
        return "the header names a video stream but there are no pictures (an init segment alone?). Join its segments"
    return (
        f"none of {packets} packets decodes ({stream.codec_context.name}); encrypted or damaged. "
        "Decrypt it, or copy it from the source again"
    )


def _displayed_size(stream: VideoStream, frame: VideoFrame) -> tuple[int, int]:
    """Width and height after sample aspect ratio (as ffmpeg does: the width gives way), then rotation."""
    ratio = stream.sample_aspect_ratio or Fraction(1)
    width_px, height_px = max(1, round(frame.width * ratio)), frame.height
    return (height_px, width_px) if frame_turns(frame) % 2 else (width_px, height_px)


def _time_base(stream: VideoStream) -> Fraction:
    assert stream.time_base is not None
    return stream.time_base


def _duration_ns(container: InputContainer, stream: VideoStream, first: VideoFrame, path: Path) -> int:
    """From the first displayed frame to the end of the last: as the header says, or else by reading every packet."""
    time_base = _time_base(stream)
    origin_pts = first.pts or 0
    if container.format.name in _STORAGE_ORDER and stream.duration:
        end_pts = origin_pts + stream.duration
    elif container.format.name not in _NO_TRUE_DURATION and stream.duration:
        end_pts = (stream.start_time or 0) + stream.duration
    else:
        end_pts = _last_end_pts(path, stream.index)
    shortest = max(first.duration or 0, 1)
    return max(ticks_to_ns(max(end_pts - origin_pts, shortest), time_base), 1)


def _last_end_pts(path: Path, stream_index: int) -> int:
    """End of the last packet, in ticks: a pass over the file that decodes nothing."""
    end_pts = 0
    with open_media(path) as container:
        try:
            for packet in container.demux(container.streams[stream_index]):
                if packet.pts is not None:
                    end_pts = max(end_pts, packet.pts + (packet.duration or 0))
        except av.FFmpegError:
            return end_pts
    return end_pts
