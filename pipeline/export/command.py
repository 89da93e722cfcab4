"""A recipe -> the arguments of ffmpeg. Pure: runs nothing, reads nothing.

    piece k --[deinterlace]--trim--setpts--[upright, square, even, 8 bit]-- interleave --\\
                                                                                        libx264 + AAC in MP4
    piece k ------------------atrim--asetpts--[fill gaps, 2 channels]------ concat -----/

Every time is the container's own (`-copyts`), and one and the same constant is taken off the times of a piece's
pictures and sound. Taking each stream's first time off instead would shift one against the other.

Pieces are joined by giving every picture its final time; the concat filter would take a piece's last picture to last
as long as its mean, which is wrong for variable frame rates and nothing for a piece of one picture. Of sound it knows
the exact length.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import ffmpeg

from pipeline.config import ExportConfig
from pipeline.export.cut import Cut
from pipeline.export.recipe import Piece, Recipe
from pipeline.export.treatment import Step
from pipeline.media import VIDEO_FORMATS
from pipeline.records import Video
from pipeline.timeline import NS_PER_S

TIME_BASE_HZ = 90_000  # of the pictures: whole ticks at every usual rate, and 11 microseconds otherwise
# The same bytes every time: another count of threads makes others, and so does a look-ahead in a thread of its own,
# which sees more or less of what is to come as the machine has time (11 of 40 files differed). This costs no time.
_THREADS, _X264 = 4, "sync-lookahead=0"
_MAX_GAP_S = 0.03  # sound that is further off its time stamps is put right by silence or by cutting
_DISTINCT_NS = 1000  # ffmpeg-python takes equal inputs for one and the same; a microsecond tells two pieces apart

# ffmpeg-python is untyped: its nodes are Any.
Node = Any


def arguments(recipe: Recipe, config: ExportConfig, key: str) -> list[str]:
    """All arguments but the program, the global ones and the output. `key` is written into the file as its comment."""
    sources = [ffmpeg.input(_SOURCE, **_reading(recipe, piece, n)) for n, piece in enumerate(recipe.pieces)]
    nodes = [_joined_pictures(sources, recipe)]
    if recipe.track:
        nodes.append(_joined_sound(sources, recipe))
    output = ffmpeg.output(*nodes, _PLACE, **_encoding(recipe, config, key))
    compiled: list[str] = output.compile()[1:]
    source = f"file:{recipe.video.path.absolute()}"
    return [source if argument == _SOURCE else argument for argument in compiled[: compiled.index(_PLACE)]]


_SOURCE = "SOURCE"  # stands for the input file: ffmpeg-python cannot take a name that is no UTF-8
_PLACE = "OUTPUT"  # stands for the output file, which the encoder appends itself


def _reading(recipe: Recipe, piece: Piece, number: int) -> dict[str, Any]:
    options: dict[str, Any] = {
        "copyts": None,
        "t": _seconds(piece.read_ns + number * _DISTINCT_NS),
        "noautorotate": None,  # the picture is turned as everywhere else in this project: by quarter turns
        "protocol_whitelist": "file",
        "format_whitelist": VIDEO_FORMATS,
    }
    if piece.seek_ns > 0:
        options["ss"] = _seconds(piece.seek_ns)
    if len(recipe.pieces) > 1:
        options["threads"] = 1  # one decoder per piece is open at a time: frame threads would multiply their memory
    return options


def _joined_pictures(sources: Sequence[Node], recipe: Recipe) -> Node:
    nodes = [_pictures(source, recipe, n) for n, source in enumerate(sources)]
    return nodes[0] if len(nodes) == 1 else ffmpeg.filter(nodes, "interleave", n=len(nodes))


def _pictures(source: Node, recipe: Recipe, number: int) -> Node:
    video, cut, at_ns = recipe.video, recipe.pieces[number].cut, recipe.starts_ns[number]
    node = source[str(video.stream_index)]
    if video.interlaced:  # before the cut, so that the first picture has a neighbour to take its lines from
        node = node.filter("bwdif", mode="send_frame", deint="interlaced")
    if cut.number is None:
        shift = f"({_seconds(video.origin_ns + cut.span.start_ns - at_ns, digits=9)})/TB"
    else:
        shift = f"STARTPTS-({_seconds(at_ns + cut.times_ns[0] - cut.span.start_ns, digits=9)})/TB"
    node = node.filter("trim", **_selection(video, cut))
    node = node.filter("setpts", f"round(max({_seconds(at_ns, digits=9)}/TB,PTS-({shift})))")
    return _apply(node, recipe.picture.steps).filter("sidedata", mode="delete")


def _selection(video: Video, cut: Cut) -> dict[str, str | int]:
    """Microseconds are enough: the floor of a picture's time selects that picture, whatever the time base."""
    if cut.number is not None:
        return {"start_frame": cut.number, "end_frame": cut.number + len(cut.times_ns)}
    end = {"end": _seconds(video.origin_ns + cut.after_ns)} if cut.after_ns is not None else {}
    return {"start": _seconds(video.origin_ns + cut.times_ns[0]), **end}


def _joined_sound(sources: Sequence[Node], recipe: Recipe) -> Node:
    nodes = [
        _sound(source, recipe, piece) if piece.sound is not None else _silence(recipe, piece, n)
        for n, (source, piece) in enumerate(zip(sources, recipe.pieces, strict=True))
    ]
    return nodes[0] if len(nodes) == 1 else ffmpeg.concat(*nodes, v=0, a=1)


def _sound(source: Node, recipe: Recipe, piece: Piece) -> Node:
    assert recipe.track is not None
    span, origin_ns = piece.cut.span, recipe.video.origin_ns
    shift = _seconds(origin_ns + span.start_ns, digits=9)
    node = source[str(recipe.track.stream_index)]
    node = node.filter("atrim", start=_seconds(origin_ns + span.start_ns), end=_seconds(origin_ns + span.end_ns))
    node = node.filter("asetpts", f"round(PTS-({shift})/TB)")
    # `async=1`: no stretching, but gaps are filled and overlaps cut, from time 0 on.
    node = node.filter("aresample", **{"async": 1, "min_hard_comp": _MAX_GAP_S, "first_pts": 0})
    return _whole_length(_apply(node, recipe.track.treatment.steps), piece)


def _silence(recipe: Recipe, piece: Piece, number: int) -> Node:
    assert recipe.track is not None
    source = ffmpeg.input("anullsrc", f="lavfi", t=_seconds(piece.cut.span.duration_ns + number * _DISTINCT_NS))
    return _whole_length(_apply(source.audio, recipe.track.treatment.steps), piece)


def _whole_length(node: Node, piece: Piece) -> Node:
    """As long as the pictures, to the sample: shorter, and the next piece would start early."""
    duration = _seconds(piece.cut.span.duration_ns)
    return node.filter("apad", whole_dur=duration).filter("atrim", end=duration)


def _apply(node: Node, steps: tuple[Step, ...]) -> Node:
    for name, options in steps:
        node = node.filter(name, **options)
    return node


def _encoding(recipe: Recipe, config: ExportConfig, key: str) -> dict[str, Any]:
    pictures = {
        "c:v": "libx264",
        "preset": config.preset,
        "crf": config.crf,
        "threads": _THREADS,
        "x264-params": _X264,
        "fps_mode": "vfr",
        "enc_time_base": f"1/{TIME_BASE_HZ}",  # the default is 1 / frame rate, which moves pictures of VFR onto a grid
        "video_track_timescale": TIME_BASE_HZ,
        "bsf:v": _durations(recipe),
        "force_key_frames": ",".join(map(_seconds, _before_pieces(recipe))),
        "flags:v": "+bitexact",
    }
    sound = {"c:a": "aac", "b:a": f"{config.audio_kbps}k", "flags:a": "+bitexact"} if recipe.track else {}
    container = {
        "f": "mp4",
        "movflags": "+faststart",
        "fflags": "+bitexact",
        "map_metadata": -1,
        "map_chapters": -1,
        "metadata": f"comment={key}",
    }
    return {**pictures, **sound, **container}


def _before_pieces(recipe: Recipe) -> Iterator[int]:
    """Times half way from the last picture of each piece to the first of the next, after which a key frame is due: the
    picture's own time, rounded to the source's time base, may lie before the one asked for."""
    yield 0
    ends_ns = (
        start + piece.cut.clip_times_ns[-1] for start, piece in zip(recipe.starts_ns, recipe.pieces, strict=True)
    )
    yield from ((end_ns + start_ns) // 2 for end_ns, start_ns in zip(ends_ns, recipe.starts_ns[1:], strict=False))


def _durations(recipe: Recipe) -> str:
    """The file ends at the out point, however long the last picture lasts in the source.

    The packet shown last makes the length of the edit list, which players follow; the one decoded last makes the length
    of the media, which must not be less. Where they are one, its decoding time is put where no picture were missing.
    Times have been rounded to the source's time base: half way from the picture before tells the last one.
    """
    times_ns = (0, *recipe.times_ns)[-2:]
    end, last = (round(t * TIME_BASE_HZ / NS_PER_S) for t in (recipe.duration_ns, sum(times_ns) / 2))
    is_last_shown, is_last_decoded = f"gte(PTS,{last})", f"eq(N,{recipe.frames - 1})"
    dts = f"if({is_last_shown}*{is_last_decoded},max(DTS,STARTDTS+PTS),DTS)"
    inner = f"if({is_last_decoded},STARTDTS+{end}-DTS,min(DURATION,{end}-PTS))"
    duration = f"if({is_last_shown},{end}-PTS,{inner})"
    return f"setts=pts=PTS:dts={dts}:duration={duration}".replace(",", "\\,")


def _seconds(t_ns: int, digits: int = 6) -> str:
    """Decimal seconds, rounded down; ffmpeg's options keep six digits."""
    scaled = t_ns // 10 ** (9 - digits)
    sign, scaled = ("-", -scaled) if scaled < 0 else ("", scaled)
    return f"{sign}{scaled // 10**digits}.{scaled % 10**digits:0{digits}d}"
