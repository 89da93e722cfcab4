"""Segments -> clips: names, keys, and what is kept of an earlier run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from pipeline.config import ExportConfig, digest_of
from pipeline.errors import ExportFailed, UnreadableVideo
from pipeline.export.ffmpeg import Encode, encode
from pipeline.export.produce import Tools, produce
from pipeline.export.recipe import Recipe
from pipeline.export.verify import FramesAt, Proof
from pipeline.media import open_media
from pipeline.names import slug
from pipeline.records import Clip, Segment, Video
from pipeline.timeline import timecode

VERSION = 2  # raise it when the same settings make another file
CLIPS = "clips"
_NO_EFFECT = ("timeout_s", "thumb_width_px")  # settings that change no clip


def clip_key(video: Video, segment: Segment, config: ExportConfig) -> str:
    """Digest of all that a clip depends on."""
    return digest_of(
        {
            "version": VERSION,
            "video": video.video_id,
            "span": asdict(segment.span),
            "label": segment.label,
            "export": export_settings(config),
        }
    )


def export_settings(config: ExportConfig) -> dict[str, object]:
    """The settings that change what a file contains."""
    return {name: value for name, value in asdict(config).items() if name not in _NO_EFFECT}


def export_clips(  # noqa: PLR0917  what, where, how, then what an earlier run left
    video: Video,
    segments: Sequence[Segment],
    folder: Path,
    config: ExportConfig,
    frames_at: FramesAt,
    kept: tuple[Clip, ...] = (),
    on_clip: Callable[[Clip], None] | None = None,
    *,
    on_failure: Callable[[ExportFailed], None] | None = None,
    encode: Encode = encode,
) -> tuple[Clip, ...]:
    """One verified clip per segment, in their order, at `folder`/clips. `on_clip` hears of each, made or kept.

    A clip of `kept` is used again when its key is right and the file under its name says that it has that key. With
    `on_failure`, what cannot be made is told and left out. Raises ExportFailed (without it), DiskFull; clips made until
    then stay.
    """
    tools = Tools(config=config, frames_at=frames_at, encode=encode)
    clips: list[Clip] = []
    for index, (segment, path) in enumerate(zip(segments, clip_paths(segments), strict=True)):
        key = clip_key(video, segment, config)
        old = next((c for c in kept if (c.path, c.key) == (path, key) and holds_key(folder / path, key)), None)
        if old is not None:
            clip = replace(old, segment=index)
        else:
            try:
                recipe, proof = produce(video, [segment.span], folder / path, key, tools)
            except ExportFailed as error:
                if on_failure is None:
                    raise
                on_failure(error)
                continue
            clip = _clip(key, path, index, recipe, proof)
        clips.append(clip)
        if on_clip is not None:
            on_clip(clip)
    return tuple(clips)


def _clip(key: str, path: str, index: int, recipe: Recipe, proof: Proof) -> Clip:
    return Clip(
        key=key,
        path=path,
        segment=index,
        frames=proof.frames,
        duration_ns=proof.duration_ns,
        av_skew_ns=proof.av_skew_ns,
        verified=True,
        changes=recipe.changes,
    )


def holds_key(path: Path, key: str) -> bool:
    """Every file states its own key, so that a name which was written again since never passes for the old clip."""
    try:
        with open_media(path) as container:
            return container.metadata.get("comment") == key
    except UnreadableVideo:
        return False


def clip_paths(segments: Sequence[Segment]) -> tuple[str, ...]:
    """Where the clips of `segments` are, relative to the video's folder, whether or not they are made yet."""
    return tuple(f"{CLIPS}/{stem}.mp4" for stem in clip_stems(segments))


def clip_stems(segments: Sequence[Segment]) -> tuple[str, ...]:
    """File names without ending, `hh.mm.ss.mmm-label`, all different: the second of two equal ones ends in -2."""
    stems: list[str] = []
    for segment in segments:
        plain = f"{timecode(segment.span.start_ns, '.')}-{slug(segment.label)}"
        stem, count = plain, 1
        while stem in stems:
            count += 1
            stem = f"{plain}-{count}"
        stems.append(stem)
    return tuple(stems)
