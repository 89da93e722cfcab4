"""All that has to be known about the source before pieces of it become one file. Reads the source, writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from av.audio.stream import AudioStream
from av.container import InputContainer

from pipeline.config import ExportConfig
from pipeline.errors import ExportFailed
from pipeline.export.cut import Cut, find_cut
from pipeline.export.sound import Samples, hear
from pipeline.export.treatment import Look, PictureTreatment, Treatment, treat_picture, treat_sound
from pipeline.media import audio_stream, open_media, video_stream
from pipeline.records import Video
from pipeline.timeline import NS_PER_S, Span

_LATE_SEEKS = ("mpegts", "mpeg")  # formats without an index: a seek lands somewhere after the time asked for
_SEEK_EARLY_NS = NS_PER_S
_SEEK_VERY_EARLY_NS = 15 * NS_PER_S
_READ_ON_NS = 2 * NS_PER_S  # beyond the out point: sound is stored up to a second away from its pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One cut of the source. ffmpeg reads `read_ns` of it from `seek_ns` after the container's start (0: no seek).

    `sound`: the source's own, at sound.RATE_HZ, to compare with; None where the source has none.
    """

    cut: Cut
    seek_ns: int
    read_ns: int
    sound: Samples | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundTrack:
    """The audio stream that is used, and what is done to it."""

    stream_index: int
    treatment: Treatment


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Pieces of one video in the order of the file that is made of them, and what is done to pictures and sound."""

    video: Video
    pieces: tuple[Piece, ...]
    picture: PictureTreatment
    track: SoundTrack | None
    changes: tuple[str, ...]

    @property
    def starts_ns(self) -> tuple[int, ...]:
        """When each piece starts in the file that is made."""
        return tuple(accumulate((piece.cut.span.duration_ns for piece in self.pieces[:-1]), initial=0))

    @property
    def duration_ns(self) -> int:
        return sum(piece.cut.span.duration_ns for piece in self.pieces)

    @property
    def times_ns(self) -> tuple[int, ...]:
        """When each picture appears in the file that is made."""
        pieces = zip(self.pieces, self.starts_ns, strict=True)
        return tuple(start_ns + t for piece, start_ns in pieces for t in piece.cut.clip_times_ns)

    @property
    def frames(self) -> int:
        return len(self.times_ns)


def find_recipe(video: Video, spans: Sequence[Span], config: ExportConfig, *, careful: bool = False) -> Recipe:
    """Read what is needed of the source: tens of milliseconds a span. `careful` decodes instead of believing the
    container, and reads from far ahead of each cut. Raises ExportFailed, UnreadableVideo."""
    with open_media(video.path) as container:
        picture = treat_picture(video, Look.of(video_stream(container, video.stream_index)), config)
        start_ns = (container.start_time or 0) * 1000 - video.origin_ns  # the container's start, on the video's clock
        seeks_late = container.format.name in _LATE_SEEKS
        track, changes = _track(video, container, config)
    cuts = [find_cut(video, span, decoded=careful) for span in spans]
    sounds, damage = _sounds(video, track, cuts)
    if not any(sound is not None for sound in sounds):
        track = None
    pieces = []
    for cut, sound in zip(cuts, sounds, strict=True):
        seek_ns = _seek_ns(cut, start_ns, seeks_late, careful)
        read_ns = cut.span.end_ns + _READ_ON_NS - start_ns - seek_ns
        pieces.append(Piece(cut=cut, seek_ns=seek_ns, read_ns=read_ns, sound=sound))
    deinterlaced = ("deinterlaced",) if video.interlaced else ()
    return Recipe(
        video=video,
        pieces=tuple(pieces),
        picture=picture,
        track=track,
        changes=(*deinterlaced, *picture.changes, *(track.treatment.changes if track else ()), *changes, *damage),
    )


def _seek_ns(cut: Cut, start_ns: int, seeks_late: bool, careful: bool) -> int:
    """Where ffmpeg is sent to, from the container's start. Its seek goes on to a key frame before that, if there is an
    index; if there is none, it ends somewhere near, and decoding starts at the next key frame."""
    if cut.number is not None:  # counted from the start of the file
        return 0
    if careful:
        return max(0, cut.key_ns - _SEEK_VERY_EARLY_NS - start_ns)
    return max(0, (cut.key_ns if seeks_late else cut.times_ns[0]) - _SEEK_EARLY_NS - start_ns)


def _track(video: Video, container: InputContainer, config: ExportConfig) -> tuple[SoundTrack | None, tuple[str, ...]]:
    """The stream that the settings name, and what is to be said where there is sound and it is not used."""
    if not container.streams.audio:
        return None, ()
    stream = audio_stream(container, config.audio_track)
    if stream is None:
        raise ExportFailed(
            f"{video.path.name}: export.audio_track = {config.audio_track}, but there are "
            f"{len(container.streams.audio)} audio tracks, counted from 0. Choose another, or -1 for the default one"
        )
    if not _has_decoder(stream):
        return None, ("sound left out: no decoder for its codec",)
    return SoundTrack(stream_index=stream.index, treatment=treat_sound(stream)), ()


def _has_decoder(stream: AudioStream) -> bool:
    context: object = stream.codec_context  # None for a codec that FFmpeg does not know, whatever its type says
    return context is not None


def _sounds(
    video: Video, track: SoundTrack | None, cuts: Sequence[Cut]
) -> tuple[list[Samples | None], tuple[str, ...]]:
    """The source's sound in every cut, None where there is none, and what is to be said about it."""
    if track is None:
        return [None] * len(cuts), ()
    heard = [
        hear(video.path, track.stream_index, video.origin_ns + cut.span.start_ns, cut.span.duration_ns) for cut in cuts
    ]
    damaged = sum(sound.damaged_packets for sound in heard)
    if all(sound.heard == 0 for sound in heard):
        why = f"none of its {damaged} packets decodes" if damaged else "the track has no sound here"
        return [None] * len(cuts), (f"sound left out: {why}",)
    damage = (f"{damaged} damaged packets of sound",) if damaged else ()
    return [sound.samples if sound.heard else None for sound in heard], damage
