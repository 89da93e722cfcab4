"""What flows between the stages: frozen records, complete at birth, arrays read-only.

Suffixes: `_ns` nanoseconds since the first displayed frame, `_px` pixels of the displayed picture, `_hz`, `_db`.
No suffix: a unit interval or a count. Letters in shapes: B batch, N samples, M boxes, C labels, D feature channels.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from pipeline.timeline import Span, ticks_to_ns

Scalar = TypeVar("Scalar", bound=np.generic)
Array = npt.NDArray[Any]
NO_LABEL = "none"  # the tag of pictures that are about none of the others; never reported


def readonly(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    """A view that cannot be written through."""
    view = array.view()
    view.flags.writeable = False
    return view


def require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


def require_grid(pts_ns: Array) -> None:
    require(
        pts_ns.ndim == 1 and pts_ns.dtype == np.int64, f"pts_ns must be int64 (N,), not {pts_ns.dtype} {pts_ns.shape}"
    )
    require(bool((np.diff(pts_ns) > 0).all()), "pts_ns must be strictly increasing")


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """A file that can be decoded, as `probe` found it. Made only by `probe`.

    `width_px` x `height_px` is the displayed picture: after rotation and sample aspect ratio. `frame_rate` is an
    average for people to read; it never computes a time. `origin_pts` is the stream's tick at t = 0.
    """

    path: Path
    video_id: str
    width_px: int
    height_px: int
    span: Span
    time_base: Fraction
    origin_pts: int
    frame_rate: Fraction
    codec: str
    pixel_format: str
    stream_index: int
    audio_streams: int
    rotation_deg: int = 0
    interlaced: bool = False
    hdr: bool = False
    pts_as_stored: bool = False  # the container numbers pictures in storage order, which B-frames are not shown in

    def __post_init__(self) -> None:
        require(self.span.start_ns == 0, "a video's span starts at its first displayed frame, t = 0")
        require(self.width_px > 0 and self.height_px > 0, f"{self.width_px} x {self.height_px} px is no picture")
        require(self.time_base > 0, f"time base {self.time_base} must be positive")

    @property
    def has_audio(self) -> bool:
        return self.audio_streams > 0

    @property
    def origin_ns(self) -> int:
        """The container's own time at t = 0: what ffmpeg's `-copyts` counts from."""
        return ticks_to_ns(self.origin_pts, self.time_base)


@dataclass(frozen=True, slots=True)
class FrameBatch:
    """Pictures in display order: `pixels` uint8 (B, H, W, 3) RGB, `pts_ns` int64 (B,) strictly increasing."""

    pixels: npt.NDArray[np.uint8]
    pts_ns: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        require(self.pixels.ndim == 4 and self.pixels.shape[3] == 3, f"pixels {self.pixels.shape} are not (B, H, W, 3)")
        require(self.pixels.dtype == np.uint8, f"pixels are {self.pixels.dtype}, not uint8")
        require(len(self.pixels) == len(self.pts_ns), f"{len(self.pixels)} pictures with {len(self.pts_ns)} times")
        require_grid(self.pts_ns)
        object.__setattr__(self, "pixels", readonly(self.pixels))
        object.__setattr__(self, "pts_ns", readonly(self.pts_ns))

    def __len__(self) -> int:
        return len(self.pts_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodeFacts:
    """What decoding met. `frames` were decoded to get `samples`; `corrupt` counts damaged ones, and damaged packets.

    `covered_ns` is the end of the last displayed frame that came out; far below the duration, the file is damaged.
    """

    frames: int
    corrupt: int
    samples: int
    covered_ns: int


@dataclass(frozen=True, slots=True)
class Labels:
    """Columns of the scores: tags first (a softmax: what the picture is about), then events (a sigmoid each)."""

    tags: tuple[str, ...]
    events: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(len(set(self.names)) == len(self.names), f"labels must differ from each other: {self.names}")

    @property
    def names(self) -> tuple[str, ...]:
        return self.tags + self.events

    def column(self, name: str) -> int:
        return self.names.index(name)


@dataclass(frozen=True, slots=True)
class FrameScores:
    """Probabilities per sample: `pts_ns` int64 (N,), `probs` float32 (N, C), one column per label."""

    pts_ns: npt.NDArray[np.int64]
    probs: npt.NDArray[np.float32]
    labels: Labels

    def __post_init__(self) -> None:
        require_grid(self.pts_ns)
        expected = (len(self.pts_ns), len(self.labels.names))
        require(self.probs.shape == expected, f"probs are {self.probs.shape}, expected (N, C) = {expected}")
        require(bool(((self.probs >= 0) & (self.probs <= 1)).all()), "probs must lie in [0, 1]")
        object.__setattr__(self, "pts_ns", readonly(self.pts_ns))
        object.__setattr__(self, "probs", readonly(self.probs))


@dataclass(frozen=True, slots=True)
class Boxes:
    """M boxes: `frame` int64 (M,) index of the sample, `xyxy` float32 (M, 4) fractions of the displayed picture,
    `score` float32 (M,), `label` int64 (M,) column of the scores, -1: without a name. x0 < x1, y0 < y1 always."""

    frame: npt.NDArray[np.int64]
    xyxy: npt.NDArray[np.float32]
    score: npt.NDArray[np.float32]
    label: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        count = len(self.frame)
        require(self.xyxy.shape == (count, 4), f"xyxy is {self.xyxy.shape}, expected ({count}, 4)")
        require(self.score.shape == self.label.shape == (count,), "one score and one label per box")
        corners_ordered = (self.xyxy[:, :2] < self.xyxy[:, 2:]).all()
        require(bool(corners_ordered), "every box needs x0 < x1 and y0 < y1")
        for name in ("frame", "xyxy", "score", "label"):
            object.__setattr__(self, name, readonly(getattr(self, name)))

    def __len__(self) -> int:
        return len(self.frame)


@dataclass(frozen=True, slots=True)
class Signals:
    """Named series on the sample grid, float32 (N,), finite: `motion` and `cut` in [0, 1], `loudness_db` in LUFS.

    A signal that cannot be measured (no sound) is absent and named in `missing`, with the reason.
    """

    series: Mapping[str, npt.NDArray[np.float32]]
    missing: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in self.series.items():
            require(bool(np.isfinite(values).all()), f"signal {name} must be finite")

    def get(self, name: str) -> npt.NDArray[np.float32] | None:
        return self.series.get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """All that later stages need: no picture is looked at again to find segments, tags or ads.

    `span` is the video's. `features` float16 (N, D), the pooled backbone features, where the model gives them.
    """

    span: Span
    scores: FrameScores
    boxes: Boxes
    signals: Signals
    decode: DecodeFacts
    features: npt.NDArray[np.float16] | None = None

    def __post_init__(self) -> None:
        count = len(self.scores.pts_ns)
        for name, values in self.signals.series.items():
            require(len(values) == count, f"signal {name} has {len(values)} values on a grid of {count}")
        require(self.features is None or len(self.features) == count, "one feature row per sample")
        require(len(self.boxes) == 0 or int(self.boxes.frame.max()) < count, "a box names a sample beyond the grid")

    def hold_ns(self) -> npt.NDArray[np.int64]:
        """How long each sample stands for, int64 (N,): until the next one, the last until the end of the video."""
        pts_ns = self.scores.pts_ns
        return np.diff(pts_ns, append=max(self.span.end_ns, int(pts_ns[-1]) + 1)) if len(pts_ns) else pts_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One cause of a decision: a signal or label, its value, and the sentence a person reads."""

    name: str
    value: float
    text: str

    def __post_init__(self) -> None:
        require(math.isfinite(self.value), f"reason {self.name}: value {self.value} must be finite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One label's score over time, before it becomes segments: `score` float32 (N,) on the sample grid.

    `causes`: what the score is made of, name -> float32 (N,), larger = spoke more for it; reasons are read from these.
    """

    label: str
    score: npt.NDArray[np.float32]
    score_kind: str
    causes: Mapping[str, npt.NDArray[np.float32]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require(bool(((self.score >= 0) & (self.score <= 1)).all()), f"track {self.label}: scores lie in [0, 1]")
        require(all(len(cause) == len(self.score) for cause in self.causes.values()), "causes share the track's grid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A moment: `event` as found, `span` with lead-in and tail (the clip's in and out point), `peak_ns` within both."""

    span: Span
    event: Span
    label: str
    score: float
    score_kind: str
    peak_ns: int
    reasons: tuple[Reason, ...]

    def __post_init__(self) -> None:
        require(self.span.covers(self.event), f"event {self.event} must lie inside {self.span}")
        require(self.event.holds(self.peak_ns), f"peak {self.peak_ns} must lie inside {self.event}")
        require(0.0 <= self.score <= 1.0, f"score {self.score} must lie in [0, 1]")
        require(self.score_kind in ("calibrated", "uncalibrated"), f"score_kind {self.score_kind!r} is unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """What the video is about: `score` the mean over its spans, `coverage` the share of the video's time."""

    taxonomy: str
    id: str
    name: str
    score: float
    coverage: float
    spans: tuple[Span, ...]

    def __post_init__(self) -> None:
        require(0.0 <= self.score <= 1.0 and 0.0 <= self.coverage <= 1.0, f"tag {self.name}: unit intervals")


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """A file that was verified before it was published. `segment` is its index; `path` is relative to the report.

    `key` is the digest of all that the file depends on: source, span, label, export settings.
    """

    key: str
    path: str
    segment: int
    frames: int
    duration_ns: int
    av_skew_ns: int | None  # None: the source has no sound there
    verified: bool
    changes: tuple[str, ...] = ()  # what differs from the source, e.g. "deinterlaced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reel:
    """The best moments in one file: `segments` are their indices, in order of time; `key` as for a clip."""

    key: str
    path: str
    segments: tuple[int, ...]
    duration_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """Which network spoke. `version` is the digest of the checkpoint, precision and runtime included.

    `calibrated`: its scores are probabilities, fitted on footage that it was not trained on.
    """

    name: str
    version: str
    labels: Labels
    calibrated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result for one video, as `report.json` holds it (docs/report.md). Paths are relative to its folder."""

    video: Video
    model: ModelFacts
    config_digest: str
    segments: tuple[Segment, ...]
    tags: tuple[Tag, ...]
    clips: tuple[Clip, ...]
    reel: Reel | None
    reel_plan: tuple[int, ...]  # segments chosen for the reel, whether or not it is made yet
    decode: DecodeFacts
    missing_signals: Mapping[str, str]
    timing: Mapping[str, float]
    notes: tuple[str, ...] = ()  # sentences for the reader: what was unusual about this file

    def clip_of(self, segment: int) -> Clip | None:
        return next((clip for clip in self.clips if clip.segment == segment), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoOutcome:
    """How one input ended: done, or failed with `error`, the sentence that names the cause.

    `dir` and `thumb` are relative to the output folder. None: the file failed before that was known.
    """

    path: Path
    video_id: str | None
    dir: str | None
    error: str | None = None
    segments: int = 0
    clips: int = 0
    duration_ns: int | None = None
    tags: tuple[str, ...] = ()  # names, the most covered first
    thumb: str | None = None

    def __post_init__(self) -> None:
        require(self.error is not None or self.dir is not None, f"{self.path.name} is done, so it has a folder")

    @property
    def state(self) -> str:
        return "done" if self.error is None else "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """A whole run, as `summary.json` and the index page tell it. `ignored` counts the files that were no inputs."""

    model: ModelFacts
    config_digest: str
    videos: tuple[VideoOutcome, ...]
    ignored: int = 0

    @property
    def done(self) -> int:
        return len(self.videos) - self.failed

    @property
    def failed(self) -> int:
        return sum(video.error is not None for video in self.videos)


def path_from(folder: Path, path: Path) -> str:
    """`path` as files in `folder` name it: relative, so that both can move together; absolute where they share nothing
    but the root, so that either can move alone. `folder / path_from(folder, path)` is the same file."""
    start = os.fspath(folder.resolve())
    shared = Path(os.path.commonpath([start, path.absolute()]))
    return os.path.relpath(path, start) if shared != Path(shared.anchor) else os.path.normpath(path.absolute())
