"""The reel, thumbnails, and the laws of the parts that clips are made with."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import ExportConfig
from pipeline.decode import frames_at
from pipeline.errors import ExportFailed
from pipeline.export import make_reel, make_thumbs, reel_key, thumb_paths
from pipeline.export.cut import WHOLE_PICTURE_NS, find_cut
from pipeline.export.sound import RATE_HZ, OtherSoundError, lag_ns
from pipeline.export.thumbs import draw_boxes
from pipeline.media import open_media
from pipeline.probe import probe
from pipeline.timeline import NS_PER_S, Span
from tests.clips import X264, flashes_and_beeps, play, segment
from tests.media import number_in
from tests.test_export_verify import cut_short, everything_in

CONFIG = ExportConfig()
SEGMENTS = [segment(3.0, 3.6), segment(0.2, 0.84), segment(1.61, 2.0)]


@pytest.mark.parametrize("name", ["h264_open_gop.ts", "vfr_irregular.mkv", "vfr_dropped.mp4"])
def test_the_reel_shows_its_segments_in_order_of_time(name: str, make: Callable[[str], Path], tmp_path: Path) -> None:
    video = probe(make(name))
    reel = make_reel(video, SEGMENTS, (0, 1, 2), tmp_path, CONFIG, frames_at=frames_at)
    assert reel is not None
    assert (reel.path, reel.segments) == ("reel.mp4", (1, 2, 0))
    played = play(tmp_path / reel.path)
    cuts = [find_cut(video, SEGMENTS[index].span) for index in reel.segments]
    wanted = frames_at(video, [t for cut in cuts for t in cut.times_ns], 96, 160).pixels
    assert [number_in(picture) for picture in played.pictures] == [number_in(picture) for picture in wanted]
    starts_s = [sum(cut.span.duration_ns for cut in cuts[:n]) / NS_PER_S for n in range(4)]
    firsts = [sum(len(cut.times_ns) for cut in cuts[:n]) for n in range(3)]
    assert [float(played.times_s[n]) for n in firsts] == pytest.approx(starts_s[:3], abs=0.001)
    assert reel.duration_ns / NS_PER_S == pytest.approx(starts_s[3], abs=0.001)


def test_every_piece_of_the_reel_begins_with_a_key_frame_wherever_it_is_cut(
    make: Callable[[str], Path], tmp_path: Path
) -> None:
    """Pictures are held for up to 3 s here, and pieces begin while one is: players jump to pieces by key frames."""
    video = probe(make("vfr_still.mp4"))
    pieces = [segment(0.123457, 0.9), segment(1.3333333, 1.9), segment(2.7182818, 5.2), segment(5.3000001, 6.1)]
    assert make_reel(video, pieces, (0, 1, 2, 3), tmp_path, CONFIG, frames_at=frames_at) is not None
    with open_media(tmp_path / "reel.mp4") as container:
        stream = container.streams.video[0]
        keys = [packet.pts * stream.time_base for packet in container.demux(stream) if packet.is_keyframe]
    cuts = [find_cut(video, piece.span) for piece in pieces]
    starts = [sum(cut.span.duration_ns for cut in cuts[:n]) / NS_PER_S for n in range(4)]
    assert [min(abs(float(key) - start) for key in keys) for start in starts] == pytest.approx([0] * 4, abs=0.001)


def test_sound_stays_with_its_picture_through_every_cut_of_the_reel(tmp_path: Path) -> None:
    video = probe(flashes_and_beeps(tmp_path / "a.mp4"))
    segments = [segment(start, start + 0.613) for start in (0.61, 1.391, 2.2, 2.95, 3.77)]
    make_reel(video, segments, (0, 1, 2, 3, 4), tmp_path, CONFIG, frames_at=frames_at)
    played = play(tmp_path / "reel.mp4")
    assert len(played.flashes_s()) == 5
    assert played.lags_s() == pytest.approx([0] * 5, abs=0.010)


def test_silence_fills_the_reel_where_the_source_has_no_sound(tmp_path: Path) -> None:
    video = probe(flashes_and_beeps(tmp_path / "a.mp4", f"-af atrim=start=2 {X264} -c:a aac"))
    segments = [segment(0.52, 1.0), segment(2.2, 3.0)]
    make_reel(video, segments, (0, 1), tmp_path, CONFIG, frames_at=frames_at)
    played = play(tmp_path / "reel.mp4")
    assert played.beeps_s() == pytest.approx([0.48 + 2.4 - 2.2], abs=0.010)
    assert len(played.sound) / played.rate_hz == pytest.approx(1.28, abs=0.05)


def test_pieces_of_one_picture_and_equal_pieces_keep_their_length(make: Callable[[str], Path], tmp_path: Path) -> None:
    video = probe(make("h264_bframes.mp4"))
    segments = [segment(1.0, 1.04), segment(1.0, 1.04), segment(2.0, 2.04)]
    reel = make_reel(video, segments, (0, 1, 2), tmp_path, CONFIG)
    assert reel is not None
    played = play(tmp_path / reel.path)
    assert [number_in(picture) for picture in played.pictures] == [25, 25, 50]
    assert [float(t) for t in played.times_s] == pytest.approx([0, 0.04, 0.08], abs=1e-3)


def test_an_empty_plan_makes_no_reel_and_a_reel_cut_short_does_not_appear(
    make: Callable[[str], Path], tmp_path: Path
) -> None:
    video = probe(make("h264_bframes.mp4"))
    assert make_reel(video, SEGMENTS, (), tmp_path, CONFIG) is None
    with pytest.raises(ExportFailed, match=r"reel\.mp4 was not published"):
        make_reel(video, SEGMENTS, (0, 1), tmp_path, CONFIG, encode=cut_short(1))
    assert everything_in(tmp_path) == []


def test_the_reel_does_not_depend_on_the_order_of_its_plan(make: Callable[[str], Path]) -> None:
    video = probe(make("h264_bframes.mp4"))
    assert reel_key(video, SEGMENTS, (0, 1, 2), CONFIG) == reel_key(video, SEGMENTS, (2, 0, 1), CONFIG)
    assert reel_key(video, SEGMENTS, (0, 1, 2), CONFIG) != reel_key(video, SEGMENTS, (0, 1), CONFIG)


def test_thumbnails_show_the_peak_with_its_boxes(make: Callable[[str], Path], tmp_path: Path) -> None:
    video = probe(make("anamorphic.mp4"))
    segments = [segment(1.0, 2.0), segment(0.0, 1.0)]
    segments = [dataclasses.replace(item, peak_ns=item.span.start_ns + NS_PER_S // 2) for item in segments]
    asked: list[int] = []

    def boxes_of(peak_ns: int) -> list[tuple[tuple[float, ...], str, float]]:
        asked.append(peak_ns)
        return [((0.25, 0.5, 0.75, 1.0), "player", 0.9)]

    paths = make_thumbs(video, segments, boxes_of, tmp_path, CONFIG, frames_at)
    assert paths == thumb_paths(segments) == ("thumbs/00.00.01.000-goal.jpg", "thumbs/00.00.00.000-goal.jpg")
    assert asked == [item.peak_ns for item in segments]
    for path, number in zip(paths, (37, 12), strict=True):
        picture = cv2.imread(str(tmp_path / path))
        assert picture.shape == (144, 320, 3)  # 213 x 96 as displayed
        assert number_in(picture) == number
        blue, green, red = picture[100, 80].astype(int)  # on the box's left edge
        assert green > max(blue, red) + 60


def test_a_box_is_drawn_on_a_copy() -> None:
    picture = np.zeros((72, 128, 3), dtype=np.uint8)
    drawn = draw_boxes(picture, [((0.0, 0.0, 1.0, 1.0), "é <b>", 0.5)])
    assert drawn[0].any() and not picture.any()


@settings(max_examples=40)
@given(start_ms=st.integers(0, 4700), length_ms=st.integers(1, 4000))
def test_a_cut_covers_what_was_wanted_and_little_more(
    start_ms: int, length_ms: int, make: Callable[[str], Path]
) -> None:
    video = probe(make("vfr_dropped.mp4"))
    wanted = Span(start_ms * 10**6, min((start_ms + length_ms) * 10**6, video.span.end_ns))
    cut = find_cut(video, wanted)
    first = cut.times_ns[0]
    assert first <= cut.span.start_ns <= wanted.start_ns and wanted.end_ns <= cut.span.end_ns
    assert wanted.start_ns - cut.span.start_ns <= WHOLE_PICTURE_NS
    assert cut.span.end_ns - wanted.end_ns <= WHOLE_PICTURE_NS
    assert cut.times_ns[-1] < wanted.end_ns <= (cut.after_ns or video.span.end_ns)


@pytest.mark.parametrize(
    "name",
    ["h264_open_gop.mp4", "hevc_defaults.ts", "vfr_dropped.mp4", "edit_list_open_gop.mp4", "h264_no_bframes.flv"],
)
def test_packets_and_decoded_frames_tell_the_same_cut(name: str, make: Callable[[str], Path]) -> None:
    video = probe(make(name))
    for start in range(0, video.span.end_ns - NS_PER_S // 2, 7 * NS_PER_S // 10):
        span = Span(start, start + NS_PER_S // 2)
        quick, careful = find_cut(video, span), find_cut(video, span, decoded=True)
        assert (quick.span, quick.times_ns, quick.after_ns) == (careful.span, careful.times_ns, careful.after_ns)


@settings(max_examples=25)
@given(lag=st.integers(-RATE_HZ // 2, RATE_HZ // 2), seed=st.integers(0, 99), seconds=st.floats(1.2, 6))
def test_a_lag_is_found_to_the_sample(lag: int, seed: int, seconds: float) -> None:
    random = np.random.default_rng(seed)
    length = int(seconds * RATE_HZ)
    noise = random.normal(0, 0.1, length + RATE_HZ).astype(np.float32)
    source = noise[RATE_HZ // 2 : RATE_HZ // 2 + length]
    copy = noise[RATE_HZ // 2 - lag : RATE_HZ // 2 - lag + length]
    coded = copy + random.normal(0, 0.02, length).astype(np.float32)
    assert lag_ns(coded, source) == lag * NS_PER_S // RATE_HZ


def test_a_hum_has_the_smallest_lag_that_fits_and_silence_none() -> None:
    t = np.arange(3 * RATE_HZ) / RATE_HZ
    hum = (0.3 * np.sin(2 * np.pi * 400 * t)).astype(np.float32)
    assert lag_ns(np.roll(hum, 20 * 5), hum) == 0  # five whole periods
    assert lag_ns(hum * 1e-4, hum * 1e-4) is None


def test_another_sound_is_no_lag_at_all() -> None:
    random = np.random.default_rng(3)
    one, other = (random.normal(0, 0.1, 3 * RATE_HZ).astype(np.float32) for _ in range(2))
    with pytest.raises(OtherSoundError, match=r"likeness 0\.\d\d at the best lag"):
        lag_ns(one, other)


def test_sound_that_drifts_shows_in_the_later_half() -> None:
    rumble = np.convolve(np.random.default_rng(5).normal(0, 1, 60 * RATE_HZ), np.ones(80) / 80, "same")
    samples = np.arange(len(rumble))
    drifting = np.interp(samples * 0.999, samples, rumble)  # one millisecond a second
    lag = lag_ns(drifting.astype(np.float32), rumble.astype(np.float32))
    assert lag is not None and 0.03 * NS_PER_S < lag < 0.06 * NS_PER_S
