"""A picture of every segment at its peak, with the boxes drawn that the localizer found there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from pipeline.config import ExportConfig
from pipeline.errors import ExportFailed
from pipeline.export.clips import clip_stems
from pipeline.export.verify import FramesAt
from pipeline.records import Segment, Video
from pipeline.whole_files import whole_file

THUMBS = "thumbs"
_QUALITY = 85
_GREEN, _BLACK = (80, 220, 60), (0, 0, 0)  # RGB
_TEXT_PX, _MARGIN_PX = 12, 3

DrawnBox = tuple[Sequence[float], str, float]
"""(x0, y0, x1, y1) as fractions of the displayed picture, label, score."""


def make_thumbs(  # noqa: PLR0917  in the order of the other exports
    video: Video,
    segments: Sequence[Segment],
    boxes_of: Callable[[int], Sequence[DrawnBox]],
    folder: Path,
    config: ExportConfig,
    frames_at: FramesAt,
) -> tuple[str, ...]:
    """JPEG files at `folder`/thumbs, named as the clips, `config.thumb_width_px` wide; `boxes_of(peak_ns)`.

    Paths are relative to `folder`, in the order of the segments. Raises ExportFailed, DiskFull, UnreadableVideo.
    """
    width_px = config.thumb_width_px
    height_px = max(1, round(width_px * video.height_px / video.width_px))
    peaks_ns = [segment.peak_ns for segment in segments]
    batch = frames_at(video, sorted(set(peaks_ns)), height_px, width_px)
    paths = thumb_paths(segments)
    for path, peak_ns in zip(paths, peaks_ns, strict=True):
        at = int(np.searchsorted(batch.pts_ns, peak_ns, side="right")) - 1
        if at < 0:
            raise ExportFailed(f"{video.path.name}: no picture at {peak_ns / 1e9:.3f} s to show. Copy the file again")
        _write(folder / path, draw_boxes(batch.pixels[at], boxes_of(peak_ns)))
    return paths


def thumb_paths(segments: Sequence[Segment]) -> tuple[str, ...]:
    """Where the pictures of `segments` are, relative to the video's folder, whether or not they are made yet."""
    return tuple(f"{THUMBS}/{stem}.jpg" for stem in clip_stems(segments))


def draw_boxes(picture: npt.NDArray[np.uint8], boxes: Sequence[DrawnBox]) -> npt.NDArray[np.uint8]:
    """A copy of an RGB picture (H, W, 3) with outlines, labels and scores."""
    height_px, width_px = picture.shape[:2]
    drawn = picture.copy()
    for (x0, y0, x1, y1), label, score in boxes:
        top_left = (round(x0 * (width_px - 1)), round(y0 * (height_px - 1)))
        bottom_right = (round(x1 * (width_px - 1)), round(y1 * (height_px - 1)))
        cv2.rectangle(drawn, top_left, bottom_right, _GREEN, 2)
        _write_label(drawn, f"{label} {score:.2f}", top_left)
    return drawn


def _write_label(drawn: npt.NDArray[np.uint8], text: str, corner: tuple[int, int]) -> None:
    """Black on the box's colour: above the box if there is room, inside it otherwise; moved left to fit in."""
    face = cv2.FontFace("sans")  # the one that OpenCV carries; letters it lacks become question marks
    height_px, width_px = drawn.shape[:2]
    text_px = cv2.getTextSize((width_px, height_px), text, (0, 0), face, _TEXT_PX)[2] + 2 * _MARGIN_PX
    line_px = _TEXT_PX + _MARGIN_PX
    left = max(0, min(corner[0] - 1, width_px - text_px))
    top = corner[1] - line_px if corner[1] >= line_px else corner[1]
    cv2.rectangle(drawn, (left, top), (left + text_px, top + line_px), _GREEN, cv2.FILLED)
    cv2.putText(drawn, text, (left + _MARGIN_PX, top + _TEXT_PX), _BLACK, face, _TEXT_PX)


def _write(target: Path, picture: npt.NDArray[np.uint8]) -> None:
    made, data = cv2.imencode(".jpg", picture[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not made:
        raise ExportFailed(f"{target.name}: a picture of {picture.shape} could not be written as JPEG")
    with whole_file(target, len(data)) as part:
        part.write_bytes(data.tobytes())
