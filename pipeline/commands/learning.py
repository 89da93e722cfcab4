"""What `train` and `eval` share: files become pixels through the pipeline, datasets and figures become lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.data import Dataset, Found, Reader, find, read
from models.precision import BF16
from models.spec import NONE
from pipeline.decode import decode
from pipeline.errors import UnreadableVideo
from pipeline.inputs import VIDEO_ENDINGS
from pipeline.media import PICTURE_ENDINGS, picture_shape, read_picture
from pipeline.probe import probe

FRAMES = 24  # of a clip, evenly spread: neighbours show the same


def read_frames(path: Path, frames: int, height_px: int, width_px: int) -> npt.NDArray[np.uint8]:
    """At most `frames` pictures of a clip, evenly spread, uint8 (N, height_px, width_px, 3). Raises UnreadableVideo."""
    video = probe(path)
    times_ns = [(2 * k + 1) * video.span.end_ns // (2 * frames) for k in range(frames)]
    batches = [decoded.batch.pixels for decoded in decode(video, times_ns, height_px, width_px)]
    pixels = np.concatenate(
        [batch for batch in batches if len(batch)] or [np.empty((0, height_px, width_px, 3), np.uint8)]
    )
    if not len(pixels):
        raise UnreadableVideo(f"{path.name}: no picture could be decoded. Remove it, or copy it again")
    return pixels


READER = Reader(
    picture=read_picture,
    video=read_frames,
    shape=picture_shape,
    picture_endings=PICTURE_ENDINGS,
    video_endings=VIDEO_ENDINGS,
)


def read_data(
    folders: Sequence[Path], background: Path | None, size_px: tuple[int, int], frames: int = FRAMES
) -> Dataset:
    """All pictures of `folders` (a class each) and of `background` (class `none`). Raises DataError."""
    found = find(folders, READER)
    if background is not None:
        beside = find([background], READER, label=NONE)
        found = Found(found.sources + beside.sources, found.empty)
    return read(found, READER, size_px, frames=frames)


def figure_lines(figures: Mapping[str, Any]) -> Iterator[str]:
    """Every figure with the one beside it that needs no network."""
    if "tags" in figures:
        tags = figures["tags"]
        yield (
            f"tags   top-1 {tags['top1']:.1%} (chance {tags['top1_chance']:.1%}), "
            f"top-5 {tags['top5']:.1%} (chance {tags['top5_chance']:.1%}) of {tags['pictures']} pictures"
        )
    for name, event in figures.get("events", {}).items():
        yield (
            f"event  {name}: average precision {event['average_precision']:.3f} "
            f"(chance {event['average_precision_chance']:.3f}), right {event['right']:.1%} "
            f"(always the commoner: {event['right_chance']:.1%}) of {event['pictures']} pictures"
        )
    if "box" in figures:
        box = figures["box"]
        yield (
            f"boxes  IoU >= 0.5: {box['iou50']:.1%} (best constant box: {box['iou50_constant']:.1%}), "
            f"mean IoU {box['mean_iou']:.2f} of {box['pictures']} pictures"
        )
    if figures.get(BF16):
        bf16 = figures[BF16]
        yield f"bf16   keeps {bf16['kept']:.1%} of the answers, moves a score by up to {bf16['change']:.3f}"
