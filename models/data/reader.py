"""What reading needs of the caller: which files are pictures and clips, and how they become pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.data.dataset import Ints, Pixels


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """`picture(path, height_px, width_px)` -> uint8 (H, W, 3), and its displayed (height, width) before.

    `frames_at(path, times_ns, height_px, width_px)` -> the pictures of a clip on display at these ascending times, each
    once, uint8 (N, H, W, 3), and since when each is shown, int64 (N,); `duration_ns(path)` -> its length. All raise
    VideoError.
    """

    picture: Callable[[Path, int, int], tuple[Pixels, tuple[int, int]]]
    frames_at: Callable[[Path, Sequence[int], int, int], tuple[Pixels, Ints]]
    duration_ns: Callable[[Path], int]
    picture_endings: frozenset[str]
    video_endings: frozenset[str]

    def takes(self, path: Path) -> bool:
        return path.suffix.lower() in self.picture_endings | self.video_endings

    def is_video(self, path: Path) -> bool:
        return path.suffix.lower() in self.video_endings
