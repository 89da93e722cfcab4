"""Spans of a video -> one file under its name, proven. Used for clips (one span) and for the reel (many)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.config import ExportConfig
from pipeline.errors import ExportFailed
from pipeline.export.command import arguments
from pipeline.export.ffmpeg import Encode, EncodeError
from pipeline.export.recipe import Recipe, find_recipe
from pipeline.export.verify import CheckError, FramesAt, Proof, verify
from pipeline.records import Video
from pipeline.timeline import Span
from pipeline.whole_files import whole_file


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What every file is made with. Without `frames_at` its pictures are known by number and time only."""

    config: ExportConfig
    frames_at: FramesAt | None
    encode: Encode


def produce(video: Video, spans: Sequence[Span], target: Path, key: str, tools: Tools) -> tuple[Recipe, Proof]:
    """Encode, verify, publish. What does not verify is made once more from what decoding says of the source, read from
    far ahead of the cut; containers without an index and streams without true key frames need that.

    Raises ExportFailed with the check that failed, DiskFull.
    """
    quick = find_recipe(video, spans, tools.config)
    try:
        return quick, _attempt(quick, target, key, tools)
    except (CheckError, EncodeError):
        careful = find_recipe(video, spans, tools.config, careful=True)
    try:
        return careful, _attempt(careful, target, key, tools)
    except (CheckError, EncodeError) as error:
        raise ExportFailed(
            f"{video.path.name}: {target.name} was not published: {error}. The source may be damaged there: remux it "
            f"(ffmpeg -i IN -c copy out.mkv) and run again"
        ) from error


def _attempt(recipe: Recipe, target: Path, key: str, tools: Tools) -> Proof:
    with whole_file(target, _needed_bytes(recipe)) as part:
        tools.encode(arguments(recipe, tools.config, key), part, tools.config.timeout_s)
        return verify(part, recipe, tools.config, tools.frames_at)


def _needed_bytes(recipe: Recipe) -> int:
    """A guess: the source's own rate."""
    size = recipe.video.path.stat().st_size
    return size * recipe.duration_ns // recipe.video.span.duration_ns + (1 << 20)
