"""Clips: the right pictures at the right times, the sound with them, in files that anything plays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from pipeline.config import ExportConfig
from pipeline.decode import frames_at
from pipeline.errors import ExportFailed, UnreadableVideo
from pipeline.export import clip_key, clip_stems, export_clips
from pipeline.probe import probe
from pipeline.records import Clip
from pipeline.timeline import NS_PER_S
from tests.clips import PERIOD, X264, flashes_and_beeps, play, segment
from tests.media import RECIPES, ffmpeg, number_in

CONFIG = ExportConfig()

# In and out point in seconds. The first is at the start, the others between two pictures, one of them inside a GOP.
EXACT = {
    "h264_open_gop.ts": (1.93, 3.05),
    "h264_bframes.avi": (2.41, 3.4),  # no times in the file at all: pictures are counted
    "h264_intra_refresh.ts": (2.2, 3.1),
    "h264_interlaced.ts": (2.41, 3.4),
    "h264_444_odd.mp4": (0.97, 1.8),
    "hevc_defaults.mp4": (0.95, 2.0),
    "hevc_hdr.mkv": (0.95, 2.0),
    "vp8.webm": (2.9, 4.8),
    "gif.gif": (1.0, 2.0),
    "vfr_irregular.mkv": (0.9, 2.7),
    "vfr_still.mp4": (3.2, 5.5),  # the in point lies in a picture that is shown for three seconds
    "edit_list_open_gop.mp4": (0.3, 1.2),
    "late_start.ts": (1.93, 3.05),
    "clock_wraps.ts": (1.93, 3.05),
    "one_frame.mp4": (0.0, 0.04),
}


@pytest.mark.parametrize("name", EXACT)
def test_a_clip_shows_the_pictures_that_are_on_display_between_its_points(
    name: str, make: Callable[[str], Path], tmp_path: Path
) -> None:
    video, (start_s, end_s) = probe(make(name)), EXACT[name]
    clip = export_one(video.path, start_s, end_s, tmp_path)
    played = play(tmp_path / clip.path)
    shown = RECIPES[name].display
    assert shown is not None
    first = shown.number_at(round(start_s * NS_PER_S))
    wanted = [n for n, t in zip(shown.numbers, shown.times_s, strict=True) if n >= first and t < Fraction(str(end_s))]
    assert [number_in(picture) for picture in played.pictures] == wanted
    assert clip.frames == len(wanted)


@pytest.mark.parametrize("name", ["h264_open_gop.mp4", "vfr_dropped.mp4", "vfr_irregular.mkv", "vfr_still.mp4"])
def test_pictures_keep_the_times_they_have_in_the_source(
    name: str, make: Callable[[str], Path], tmp_path: Path
) -> None:
    clip = export_one(make(name), 1.0, 2.7, tmp_path)
    played = play(tmp_path / clip.path)
    shown = RECIPES[name].display
    assert shown is not None
    times = dict(zip(shown.numbers, shown.times_s, strict=True))
    source = [times[number_in(picture)] for picture in played.pictures]
    drift = [abs((t - source[0]) - played_t) for t, played_t in zip(source, played.times_s, strict=True)]
    assert max(drift) < Fraction(1, 1000)


def test_a_picture_that_stands_long_is_shared_at_the_cut_and_a_short_one_is_shown_whole(
    make: Callable[[str], Path], tmp_path: Path
) -> None:
    """Frame 49 of the source is shown from 1.96 s to 5 s."""
    long = export_one(make("vfr_still.mp4"), 3.2, 4.2, tmp_path / "long")
    assert (long.frames, long.duration_ns) == (1, pytest.approx(1.0 * NS_PER_S, abs=1e6))
    short = export_one(make("vfr_still.mp4"), 1.01, 1.49, tmp_path / "short")
    assert (short.frames, short.duration_ns) == (13, pytest.approx(0.52 * NS_PER_S, abs=1e6))


def test_rotation_is_baked_in(make: Callable[[str], Path], tmp_path: Path) -> None:
    for name, back in {"rotated_90.mp4": -1, "rotated_180.mp4": -2, "rotated_270.mp4": 1}.items():
        clip = export_one(make(name), 1.0, 1.5, tmp_path / name)
        first = play(tmp_path / name / clip.path).pictures[0]
        assert number_in(np.rot90(first, back)) == 25, name
        with av.open(str(tmp_path / name / clip.path)) as container:
            assert next(container.decode(video=0)).rotation == 0
        assert any("turned upright" in change for change in clip.changes)


SOURCES = {
    "h264.mp4": f"{X264} -c:a aac",
    "vfr.mp4": f"-vf \"select='lt(mod(n,{PERIOD}),2)+mod(n,3)'\" -fps_mode vfr {X264} -c:a aac",
    "late.ts": f"{X264} -c:a mp2 -output_ts_offset 59857",
    "opus.mkv": f"{X264} -c:a libopus",
    "hevc10.mkv": "-c:v libx265 -preset ultrafast -x265-params pools=1:log-level=error -pix_fmt yuv420p10le -c:a flac",
    "xvid.avi": "-c:v libxvid -q:v 4 -g 50 -c:a libmp3lame",
    "surround.mp4": f"{X264} -c:a aac -ac 6",
    "sound_starts_late.mp4": f"-af atrim=start=2 {X264} -c:a aac",
}


@pytest.mark.parametrize("name", SOURCES)
def test_sound_stays_with_its_picture_to_ten_milliseconds(name: str, tmp_path: Path) -> None:
    source = flashes_and_beeps(tmp_path / name, SOURCES[name])
    clip = export_one(source, 1.013, 4.487, tmp_path)
    late_s = float(np.mean(play(source).lags_s()))  # of the source itself: MP3 in AVI sounds a frame late
    lags_s = play(tmp_path / clip.path).lags_s()
    assert len(lags_s) >= 3
    assert lags_s == pytest.approx([late_s] * len(lags_s), abs=0.010)
    assert clip.av_skew_ns == pytest.approx(0, abs=2e6)


def test_without_sound_there_is_no_skew_to_measure_and_silence_has_none(tmp_path: Path) -> None:
    mute = flashes_and_beeps(tmp_path / "mute.mp4", f"{X264} -an")
    assert export_one(mute, 1, 2, tmp_path / "a").av_skew_ns is None
    silent = flashes_and_beeps(tmp_path / "silent.mp4", f"-af volume=0 {X264} -c:a aac")
    assert export_one(silent, 1, 2, tmp_path / "b").av_skew_ns == 0


def test_sound_that_cannot_be_decoded_is_left_out_and_named(tmp_path: Path) -> None:
    source = flashes_and_beeps(tmp_path / "a.mkv")
    source.write_bytes(source.read_bytes().replace(b"A_AAC", b"A_XYZ"))
    clip = export_one(source, 1, 2, tmp_path)
    assert (clip.av_skew_ns, clip.changes) == (None, ("sound left out: no decoder for its codec",))


def test_sound_that_ended_is_left_out_and_named(tmp_path: Path) -> None:
    source = flashes_and_beeps(tmp_path / "a.mp4", f"-af atrim=end=2 {X264} -c:a aac")
    clip = export_one(source, 3, 4, tmp_path)
    assert (clip.av_skew_ns, clip.changes) == (None, ("sound left out: the track has no sound here",))


def test_another_audio_track_can_be_chosen(tmp_path: Path) -> None:
    two = "-map 0:v -map 0:a -map 0:a -filter:a:0 volume=0 -c:a aac"
    source = flashes_and_beeps(tmp_path / "two.mp4", f"{two} {X264}")
    quiet = export_one(source, 1, 3, tmp_path / "0", dataclasses.replace(CONFIG, audio_track=0))
    loud = export_one(source, 1, 3, tmp_path / "1", dataclasses.replace(CONFIG, audio_track=1))
    assert np.abs(play(tmp_path / "0" / quiet.path).sound).max() < 0.01
    assert np.abs(play(tmp_path / "1" / loud.path).sound).max() > 0.3
    with pytest.raises(ExportFailed, match="2 audio tracks, counted from 0"):
        export_one(source, 1, 3, tmp_path / "2", dataclasses.replace(CONFIG, audio_track=2))


@pytest.mark.parametrize(
    ("filters", "size", "change"),
    [
        ("format=yuv444p,crop=127:71:0:0", (126, 70), "127x71 made 126x70"),
        ("setsar=4/3", (170, 72), "128x72 shown as 171x72"),
        ("scale=256:144", (178, 100), "scaled down from 256x144 to 178x100"),
        ("format=yuv420p10le", (128, 72), "yuv420p10le converted to yuv420p"),
        ("scale=out_range=full,format=yuvj420p", (128, 72), "yuvj420p of full range converted"),
    ],
)
def test_what_changes_is_made_playable_and_named(
    filters: str, size: tuple[int, int], change: str, tmp_path: Path
) -> None:
    source = ffmpeg(f"{FLASHLESS} -vf {filters} {X264}", tmp_path / "source.mp4")
    clip = export_one(source, 0.4, 0.8, tmp_path, dataclasses.replace(CONFIG, max_height_px=100))
    assert change in " ".join(clip.changes)
    with av.open(str(tmp_path / clip.path)) as container:
        context = container.streams.video[0].codec_context
        assert (context.width, context.height) == size
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")


FLASHLESS = "-f lavfi -i testsrc2=size=128x72:rate=25:duration=1"


def test_colours_survive_scaling_from_hd_to_sd(tmp_path: Path) -> None:
    """Unstated, the matrix is guessed by height: BT.709 for the source, BT.601 for a small clip, unless it says so."""
    source = ffmpeg("-f lavfi -i color=red:size=1280x720:rate=25:duration=0.4 -vf scale=out_color_matrix=bt709,"
                    f"format=yuv420p,setparams=colorspace=unknown {X264}", tmp_path / "red.mp4")  # fmt: skip
    clip = export_one(source, 0, 0.4, tmp_path, dataclasses.replace(CONFIG, max_height_px=180))
    copy = frames_at(probe(tmp_path / clip.path), [0], 18, 32).pixels[0]
    assert np.abs(copy.astype(int) - [255, 0, 0]).max() <= 6


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    source = flashes_and_beeps(tmp_path / "a.mp4")
    clips = [export_one(source, 1, 3, tmp_path / name) for name in ("one", "two")]
    assert clips[0] == clips[1]
    assert (tmp_path / "one" / clips[0].path).read_bytes() == (tmp_path / "two" / clips[1].path).read_bytes()


NAMES = ["-rf.mp4", "a\nb.mp4", 'it\'s "so".mp4', "%d.mp4", "concat:a|b.mp4", "[0:v];x,y=z\\.mp4", "é" * 120 + ".mp4"]


@pytest.mark.parametrize("name", NAMES)
def test_hostile_file_names_are_data(name: str, tmp_path: Path) -> None:
    source = flashes_and_beeps(tmp_path / "a.mp4").rename(tmp_path / name)
    assert export_one(source, 1, 2, tmp_path / "out").frames == 25


def test_names_tell_start_and_label_and_never_collide() -> None:
    labels = ["Dünk!", "dunk", "dunk-2", "dunk", "進球", "../../etc"]
    stems = clip_stems([segment(3661.5, 3662, label) for label in labels])
    start = "01.01.01.500"
    assert stems == tuple(f"{start}-{name}" for name in ("dunk", "dunk-2", "dunk-2-2", "dunk-3", "x", "etc"))


def test_the_key_follows_all_that_a_clip_depends_on_and_nothing_else(make: Callable[[str], Path]) -> None:
    video = probe(make("h264_bframes.mp4"))
    base = clip_key(video, segment(1, 2), CONFIG)
    others = [
        clip_key(dataclasses.replace(video, video_id="other"), segment(1, 2), CONFIG),
        clip_key(video, segment(1, 2.1), CONFIG),
        clip_key(video, segment(1, 2, "dunk"), CONFIG),
        clip_key(video, segment(1, 2), dataclasses.replace(CONFIG, crf=30)),
    ]
    assert len({base, *others}) == 5
    elsewhere = dataclasses.replace(video, path=Path("moved.mp4"))
    assert clip_key(elsewhere, segment(1, 2), dataclasses.replace(CONFIG, timeout_s=1.0, thumb_width_px=8)) == base


def test_clips_that_stand_are_used_again_and_only_those(make: Callable[[str], Path], tmp_path: Path) -> None:
    video = probe(make("h264_bframes.mp4"))
    segments = [segment(0, 0.5), segment(1, 1.5)]
    first = export_clips(video, segments, tmp_path, CONFIG, frames_at)
    heard: list[Clip] = []
    again = export_clips(video, segments, tmp_path, CONFIG, frames_at, first, heard.append, encode=_never)
    assert again == first == tuple(heard)
    swapped = export_clips(video, segments[::-1], tmp_path, CONFIG, frames_at, first, encode=_never)
    assert [clip.segment for clip in swapped] == [0, 1]
    assert [clip.path for clip in swapped] == [clip.path for clip in first[::-1]]


def test_a_clip_whose_file_is_gone_or_another_is_made_again(make: Callable[[str], Path], tmp_path: Path) -> None:
    video, (one, other) = probe(make("h264_bframes.mp4")), (segment(0, 0.5), segment(0, 0.7))
    first = export_clips(video, [one], tmp_path, CONFIG, frames_at)
    bytes_before = (tmp_path / first[0].path).read_bytes()
    export_clips(video, [other], tmp_path, CONFIG, frames_at)  # the same name, another clip
    export_clips(video, [one], tmp_path, CONFIG, frames_at, first)
    assert (tmp_path / first[0].path).read_bytes() == bytes_before
    (tmp_path / first[0].path).unlink()
    assert export_clips(video, [one], tmp_path, CONFIG, frames_at, first) == first
    assert (tmp_path / first[0].path).read_bytes() == bytes_before


def test_a_span_beyond_the_last_picture_shows_that_picture(make: Callable[[str], Path], tmp_path: Path) -> None:
    """A header may promise more than there is."""
    video = probe(make("h264_bframes.mp4"))
    promised = dataclasses.replace(video, span=dataclasses.replace(video.span, end_ns=100 * NS_PER_S))
    clip = export_clips(promised, [segment(50, 60)], tmp_path, CONFIG, frames_at)[0]
    assert (clip.frames, clip.duration_ns) == (1, pytest.approx(0.04 * NS_PER_S, abs=1e6))


def test_a_source_that_became_a_playlist_is_not_followed(make: Callable[[str], Path], tmp_path: Path) -> None:
    video = probe(make("h264_bframes.mp4"))
    evil = tmp_path / "evil.mp4"
    evil.write_text(f"ffconcat version 1.0\nfile '{video.path}'\n")
    with pytest.raises(UnreadableVideo, match="concat script"):
        export_clips(dataclasses.replace(video, path=evil), [segment(0, 1)], tmp_path, CONFIG, frames_at)


def export_one(source: Path, start_s: float, end_s: float, folder: Path, config: ExportConfig = CONFIG) -> Clip:
    return export_clips(probe(source), [segment(start_s, end_s)], folder, config, frames_at)[0]


def _never(arguments: Sequence[str], output: Path, timeout_s: float) -> None:
    raise AssertionError(f"nothing should be encoded, but {output.name} was asked for")
