"""The segments of the reel's list -> one file with hard cuts, made from the source in one encoding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pipeline.config import ExportConfig, digest_of
from pipeline.export.clips import VERSION, export_settings
from pipeline.export.ffmpeg import Encode, encode
from pipeline.export.produce import Tools, produce
from pipeline.export.verify import FramesAt
from pipeline.records import Reel, Segment, Video

REEL = "reel.mp4"


def reel_key(video: Video, segments: Sequence[Segment], plan: tuple[int, ...], config: ExportConfig) -> str:
    """Digest of all that the reel depends on."""
    return digest_of(
        {
            "version": VERSION,
            "video": video.video_id,
            "spans": [asdict(segments[index].span) for index in _in_order(segments, plan)],
            "export": export_settings(config),
        }
    )


def make_reel(
    video: Video,
    segments: Sequence[Segment],
    plan: tuple[int, ...],
    folder: Path,
    config: ExportConfig,
    *,
    frames_at: FramesAt | None = None,
    encode: Encode = encode,
) -> Reel | None:
    """The verified reel at `folder`/reel.mp4, in order of time; None when the plan is empty.

    Without `frames_at` its pictures are known by number and time only. Raises ExportFailed, DiskFull.
    """
    if not plan:
        return None
    order = _in_order(segments, plan)
    key = reel_key(video, segments, plan, config)
    spans = [segments[index].span for index in order]
    tools = Tools(config=config, frames_at=frames_at, encode=encode)
    _, proof = produce(video, spans, folder / REEL, key, tools)
    return Reel(key=key, path=REEL, segments=order, duration_ns=proof.duration_ns)


def _in_order(segments: Sequence[Segment], plan: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(sorted(plan, key=lambda index: (segments[index].span, index)))
