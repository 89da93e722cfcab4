"""How a file is opened safely, and how a decoded frame becomes a model's pixels. Knows nothing of sampling or networks.

Every container is opened here, so that the whitelists hold everywhere: an `.m3u8` or ffconcat text, even one named
`.mp4`, would otherwise make the demuxer open other files.
"""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from av.video.stream import VideoStream

from pipeline.errors import UnreadableVideo

VIDEO_FORMATS = "mov,matroska,mpegts,avi,flv,mpeg,asf,ogg,mxf,gif,ivf"
PICTURE_FORMATS = "jpeg_pipe,png_pipe,webp_pipe,bmp_pipe,tiff_pipe"
PICTURE_ENDINGS = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"))
RAW_STREAMS = {".264": "h264", ".h264": "h264", ".avc": "h264", ".265": "hevc", ".h265": "hevc", ".hevc": "hevc"}

# What a file starts with when it is no video, and what to do instead.
_FOREIGN = (
    (b"#EXTM3U", "an HLS playlist; download the stream first: ffmpeg -i URL -c copy out.mp4"),
    (b"ffconcat", "a concat script; join the parts first: ffmpeg -f concat -i list.txt -c copy out.mp4"),
    (b"<?xml", "an XML text (a DASH manifest?); download the stream first"),
    (b"<MPD", "a DASH manifest; download the stream first"),
    (b"\xff\xd8\xff", "a JPEG picture; give it its own ending and use `matchcut predict`"),
    (b"\x89PNG", "a PNG picture; give it its own ending and use `matchcut predict`"),
)
# Bilinear reads every source pixel when it shrinks; the other two make the result independent of the CPU's SIMD path.
_SCALING = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.BITEXACT
HD_HEIGHT_PX = 720  # from so many lines on, YUV of unstated matrix is taken for BT.709


@contextmanager
def open_media(path: Path, max_pixels: int = 0) -> Iterator[InputContainer]:
    """The container, closed at the end. Raises UnreadableVideo naming the cause and the repair.

    With `max_pixels` no picture that is larger is decoded to find out what the streams are; their sizes are told.
    """
    refuse_special_files(path)
    options = {"protocol_whitelist": "file", "format_whitelist": VIDEO_FORMATS}
    if max_pixels:
        options["max_pixels"] = str(max_pixels)
    try:
        container = av.open(f"file:{path.absolute()}", options=options)
    except (av.FFmpegError, MemoryError, ValueError) as error:
        raise UnreadableVideo(f"{path.name}: {_why_not_opened(path, error)}") from error
    with container:
        yield container


def video_stream(container: InputContainer, index: int) -> VideoStream:
    """The stream that `probe` chose."""
    stream = container.streams[index]
    assert isinstance(stream, VideoStream)
    assert stream.time_base is not None
    return stream


def audio_stream(container: InputContainer, track: int) -> AudioStream | None:
    """Number `track` of the audio streams, from 0; -1: the one that the file marks as default, or else the first.

    None where there is no such stream.
    """
    streams = container.streams.audio
    if track >= 0:
        return streams[track] if track < len(streams) else None
    marked = [stream for stream in streams if stream.disposition & Disposition.default]
    return next(iter([*marked, *streams]), None)


def refuse_special_files(path: Path) -> None:
    """A FIFO would hang the reader, a device is no recording, an empty file no video. Raises UnreadableVideo."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError as error:
        check = "that it is still there" if isinstance(error, FileNotFoundError) else "its permissions"
        raise UnreadableVideo(f"{path.name}: cannot be read ({error.strerror}). Check {check}") from error
    try:
        status = os.fstat(handle)
    finally:
        os.close(handle)
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableVideo(f"{path.name}: not a regular file (a pipe or device). Copy the video into a file first")
    if status.st_size == 0:
        raise UnreadableVideo(f"{path.name}: the file is empty (0 bytes). Copy or download it again")


def _why_not_opened(path: Path, error: Exception) -> str:
    """One sentence for a person, from the first bytes rather than from FFmpeg's error code."""
    head = path.open("rb").read(4096)
    for magic, sentence in _FOREIGN:
        if head.lstrip().startswith(magic):
            return f"this is {sentence}"
    if path.suffix.lower() in RAW_STREAMS:
        kind = RAW_STREAMS[path.suffix.lower()]
        remux = f"ffmpeg -fflags +genpts -f {kind} -i {path.name} -c copy out.mp4"
        return f"a raw {kind} stream has no times. Remux it: {remux}"
    if isinstance(error, MemoryError):
        return "its header asks for more memory than there is; it is damaged or hostile. Copy it from the source again"
    if b"moof" in head[:2048] and b"moov" not in head:
        return "a media segment without its init segment. Join them first: cat init.mp4 segment.m4s > whole.mp4"
    if not head.strip(b"\t\n\r\x20" + bytes(range(0x20, 0x7F))):
        return "this is a text file, not a video. Remove it or give it its own ending"
    return (
        f"no known video container ({error.__class__.__name__}); damaged, cut short or of another kind. Copy it again"
    )


def fit(frame: VideoFrame, height_px: int, width_px: int, scaler: VideoReformatter) -> npt.NDArray[np.uint8]:
    """The whole displayed picture squashed to uint8 (height_px, width_px, 3) RGB: the one way pixels enter a model.

    Aspect ratio is not kept, so nothing at the edges is lost and boxes are fractions of the displayed picture. Rotation
    (or a photograph's EXIF orientation) comes last, on the small picture. `scaler` belongs to one thread.
    """
    turns = frame_turns(frame)
    if turns % 2:
        height_px, width_px = width_px, height_px
    small: npt.NDArray[np.uint8] = scaler.reformat(
        frame,
        width=width_px,
        height=height_px,
        format="rgb24",
        interpolation=_SCALING,
        src_colorspace=_matrix(frame),
        dst_colorspace=Colorspace.ITU709,
        src_color_range=_range(frame),
        dst_color_range=ColorRange.JPEG,
        threads=1,
    ).to_ndarray()  # type: ignore[assignment]  # rgb24 is uint8
    return np.ascontiguousarray(np.rot90(small, turns)) if turns else small


def frame_turns(frame: VideoFrame) -> int:
    """Quarter turns counter-clockwise that bring the coded picture upright: 0 to 3. A broken matrix counts as none."""
    try:
        turns, rest = divmod(frame.rotation, 90)
    except ValueError:
        return 0
    return turns % 4 if rest == 0 else 0


def _matrix(frame: VideoFrame) -> int:
    """The YUV matrix the file states; unstated, what players assume: BT.709 from 720 lines on, BT.601 below."""
    if frame.colorspace in {int(space) for space in Colorspace}:
        return int(frame.colorspace)
    return int(Colorspace.ITU709 if frame.height >= HD_HEIGHT_PX else Colorspace.ITU601)


def _range(frame: VideoFrame) -> int:
    full = frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj")
    return int(ColorRange.JPEG if full else ColorRange.MPEG)


class Photograph(NamedTuple):
    """Model pixels, uint8 (H, W, 3), and the height and width as displayed before they were fitted."""

    pixels: npt.NDArray[np.uint8]
    shape_px: tuple[int, int]


def read_picture(path: Path, height_px: int, width_px: int) -> Photograph:
    """Raises UnreadableVideo."""
    frame = _decoded(path)
    shape_px = (frame.width, frame.height) if frame_turns(frame) % 2 else (frame.height, frame.width)
    return Photograph(fit(frame, height_px, width_px, VideoReformatter()), shape_px)


def _decoded(path: Path) -> VideoFrame:
    refuse_special_files(path)
    options = {"format_whitelist": PICTURE_FORMATS}
    try:  # from memory: by name, FFmpeg would take "%d" for a sequence of files
        with av.open(io.BytesIO(path.read_bytes()), "r", options=options) as container:
            return next(container.decode(video=0))
    except (av.FFmpegError, StopIteration, IndexError) as error:
        raise UnreadableVideo(f"{path.name}: not a picture that can be decoded. Save it as JPEG or PNG") from error
