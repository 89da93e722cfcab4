"""Motion, cuts and loudness: what they answer to, what they ignore, and at which time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import ExportConfig
from pipeline.decode import Sound, decode
from pipeline.export.recipe import find_recipe
from pipeline.media import open_media
from pipeline.probe import probe
from pipeline.records import FrameBatch, Signals
from pipeline.sample import sample_times
from pipeline.signals import SILENCE_DB, Loudness, LoudnessMeter, PictureMeter, measure_loudness, signals
from pipeline.timeline import NS_PER_S, Span
from tests.media import ffmpeg

Make = Callable[[str], Path]
STILL = "-f lavfi -i color=gray:size=32x32:rate=25:duration=8"


def sine(dbfs: float, gate: str = "1") -> str:
    """A 1 kHz sine in both channels, `dbfs` its peak, multiplied by `gate`, an expression of t; 8 s."""
    wave = f"{10 ** (dbfs / 20)}*sin(2*PI*1000*t)*({gate})"
    return f"-f lavfi -i \"aevalsrc='{wave}|{wave}':sample_rate=48000:duration=8\""


def movie(path: Path, sound: str, more: str = "-c:a pcm_s16le") -> Path:
    return ffmpeg(f"{STILL} {sound} -c:v mpeg4 {more}", path)


def scene(seed: int, height_px: int = 48, width_px: int = 80) -> np.ndarray:
    """A picture of coarse coloured patches: like a shot, and unlike another seed's."""
    patches = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return patches.repeat(height_px // 6, axis=0).repeat(width_px // 8, axis=1)


def measured(pictures: list[np.ndarray], cuts_at: tuple[int, ...] = ()) -> dict[str, np.ndarray]:
    """Series of pictures that arrive in batches which end before `cuts_at`."""
    meter = PictureMeter()
    for part in np.split(np.arange(len(pictures)), sorted(cuts_at)):
        if len(part):
            meter.add(FrameBatch(np.stack([pictures[i] for i in part]), part.astype(np.int64)))
    return meter.series()


# Motion and cuts.


def test_a_still_picture_has_neither_motion_nor_cuts() -> None:
    series = measured([scene(1)] * 5)
    assert series["motion"].tolist() == [0] * 5
    assert series["cut"].max() < 1e-3


def test_the_first_sample_has_nothing_to_differ_from() -> None:
    series = measured([scene(1), scene(2)])
    assert series["motion"][0] == series["cut"][0] == 0
    assert series["motion"][1] > 0
    assert series["cut"][1] > 0


@settings(max_examples=25)
@given(st.sets(st.integers(1, 8)))
def test_batches_change_no_value(cuts_at: set[int]) -> None:
    pictures = [scene(seed) for seed in (1, 1, 2, 3, 3, 4, 5, 5, 6)]
    whole, parted = measured(pictures), measured(pictures, tuple(cuts_at))
    assert all(np.array_equal(whole[name], parted[name]) for name in whole)


@given(st.lists(st.sampled_from(["black", "white", "noise", "scene"]), min_size=2, max_size=5), st.integers(0, 99))
def test_any_pictures_give_values_in_unit_intervals(kinds: list[str], seed: int) -> None:
    rng = np.random.default_rng(seed)
    made = {
        "black": np.zeros((48, 80, 3), np.uint8),
        "white": np.full((48, 80, 3), 255, np.uint8),
        "noise": rng.integers(0, 256, (48, 80, 3), dtype=np.uint8),
        "scene": scene(seed),
    }
    for values in measured([made[kind] for kind in kinds]).values():
        assert values.dtype == np.float32
        assert ((values >= 0) & (values <= 1)).all()


def test_a_larger_thing_moves_more() -> None:
    def square(side: int, x: int) -> np.ndarray:
        picture = np.zeros((48, 80, 3), np.uint8)
        picture[10 : 10 + side, x : x + side] = 255
        return picture

    small, large = (measured([square(side, 5), square(side, 40)])["motion"][1] for side in (8, 24))
    assert 0 < small < large


def test_sensor_noise_moves_less_than_a_player() -> None:
    rng = np.random.default_rng(3)
    grey = np.full((48, 80, 3), 128, np.uint8)
    noisy = [(grey + rng.normal(0, 6, grey.shape)).clip(0, 255).astype(np.uint8) for _ in range(2)]
    player = [grey.copy(), grey.copy()]
    player[0][20:40, 10:18] = 30
    player[1][20:40, 50:58] = 30
    assert measured(noisy)["motion"][1] < 0.5 * measured(player)["motion"][1]


def test_a_cut_is_told_from_a_pan_a_flash_and_a_fade() -> None:
    before = scene(1)
    cut = measured([before, scene(2)])["cut"][1]
    pan = measured([before, np.roll(before, 10, axis=1)])["cut"][1]
    flash = measured([before, (before.astype(int) + 60).clip(0, 255).astype(np.uint8)])["cut"][1]
    fade = measured([before, (before * 0.8).astype(np.uint8)])["cut"][1]
    assert max(pan, flash, fade) < 0.75 * cut


def test_the_cuts_of_an_edited_film_stand_at_their_seconds(tmp_path: Path) -> None:
    film = ffmpeg(
        "-f lavfi -i mandelbrot=size=160x96:rate=25 -f lavfi -i testsrc2=size=160x96:rate=25 "
        "-f lavfi -i smptebars=size=160x96:rate=25 "
        '-filter_complex "[0]trim=end=3[a];[1]trim=end=2[b];[2]trim=end=3[c];[a][b][c]concat=n=3" '
        "-c:v libx264 -preset ultrafast",
        tmp_path / "film.mp4",
    )
    video, meter = probe(film), PictureMeter()
    for piece in decode(video, sample_times(video.span, 2), 96, 160):
        meter.add(piece.batch)
    cut = meter.series()["cut"]
    assert sorted(np.argsort(cut)[-2:].tolist()) == [6, 10]  # two samples a second; cuts at 3 s and 5 s


# Loudness.


@pytest.mark.parametrize("dbfs", [-23.0, -33.0])
def test_a_sine_has_the_loudness_that_the_standard_gives_it(tmp_path: Path, dbfs: float) -> None:
    """EBU Tech 3341, test signals 1 and 2: a stereo 1 kHz sine of -23 dBFS has -23 +/- 0.1 LUFS."""
    loudness = measure_loudness(probe(movie(tmp_path / "tone.mkv", sine(dbfs))))
    steady = loudness.lufs[(loudness.times_ns > NS_PER_S) & (loudness.times_ns < 7 * NS_PER_S)]
    assert len(steady) > 50
    assert np.abs(steady - dbfs).max() <= 0.1


STEP = sine(-20, "gte(t,3)")


@pytest.mark.parametrize(
    ("name", "more"),
    [
        ("step.mkv", "-c:a pcm_s16le"),
        ("step.mp4", "-c:a aac"),  # AAC begins with priming samples
        ("late.ts", "-c:v mpeg2video -c:a mp2 -output_ts_offset 59857"),
        ("opus.webm", "-c:v libvpx -c:a libopus"),
    ],
)
def test_a_rise_in_loudness_stands_at_its_second_of_the_picture(tmp_path: Path, name: str, more: str) -> None:
    loudness = measure_loudness(probe(movie(tmp_path / name, STEP, more)))
    louder = loudness.times_ns[loudness.lufs > -23]  # half the energy of a 400 ms window is in at its centre
    assert abs(int(louder[0]) - 3 * NS_PER_S) <= 0.11 * NS_PER_S


@pytest.mark.parametrize(("picture_s", "sound_s", "heard_s"), [(0, 0, 3.0), (0, 1.5, 4.5), (1.5, 0, 1.5)])
def test_sound_and_picture_that_start_apart_share_the_clock_of_the_picture(
    tmp_path: Path, picture_s: float, sound_s: float, heard_s: float
) -> None:
    film = ffmpeg(
        f"-itsoffset {picture_s} {STILL} -itsoffset {sound_s} {STEP} -c:v mpeg4 -c:a pcm_s16le", tmp_path / "apart.mkv"
    )
    loudness = measure_loudness(probe(film))
    assert abs(int(loudness.times_ns[loudness.lufs > -23][0]) - heard_s * NS_PER_S) <= 0.11 * NS_PER_S


def test_silence_is_the_absolute_gate_and_never_minus_infinity(tmp_path: Path) -> None:
    loudness = measure_loudness(probe(movie(tmp_path / "silent.mkv", sine(-20, "0"))))
    assert set(loudness.lufs.tolist()) == {SILENCE_DB}


def test_missing_sound_is_named(make: Make) -> None:
    assert measure_loudness(probe(make("h264_bframes.mp4"))).missing == "no audio stream"
    assert "track 3 does not exist" in measure_loudness(probe(make("sound.mp4")), track=3).missing


def test_another_track_is_another_loudness(tmp_path: Path) -> None:
    film = ffmpeg(
        f"{STILL} {sine(-23)} {sine(-43)} -map 0 -map 1 -map 2 -c:v mpeg4 -c:a pcm_s16le", tmp_path / "two.mkv"
    )
    means = [measure_loudness(probe(film), track).lufs[5:-5].mean() for track in (0, 1)]
    assert np.allclose(means, [-23, -43], atol=0.2)


def test_loudness_and_clips_use_the_track_that_the_file_marks_as_default(tmp_path: Path) -> None:
    film = ffmpeg(
        f"{STILL} {sine(-23)} {sine(-43)} -map 0 -map 1 -map 2 -c:v mpeg4 -c:a pcm_s16le "
        "-disposition:a:0 0 -disposition:a:1 default",
        tmp_path / "second.mkv",
    )
    assert measure_loudness(probe(film)).lufs[5:-5].mean() == pytest.approx(-43, abs=0.2)
    track = find_recipe(probe(film), [Span(0, NS_PER_S)], ExportConfig()).track
    assert track is not None and track.stream_index == 2


def test_damaged_sound_is_measured_where_it_can_be(tmp_path: Path) -> None:
    film = movie(tmp_path / "film.mp4", sine(-20), "-c:a aac")
    data = bytearray(film.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = np.random.default_rng(5).integers(0, 256, 4000, dtype=np.uint8).tobytes()
    film.write_bytes(bytes(data))
    loudness = measure_loudness(probe(film))
    assert loudness.missing == ""
    assert np.isfinite(loudness.lufs).all()
    assert (np.diff(loudness.times_ns) > 0).all()


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize(
    ("name", "more"),
    [("a.mkv", "-c:a pcm_s16le"), ("b.mp4", "-c:a aac"), ("c.ts", "-c:v mpeg2video -c:a mp2"), ("d.avi", "-c:a mp2")],
)
def test_sound_that_is_heard_while_pictures_are_read_is_all_of_it(
    tmp_path: Path, name: str, more: str, threads: int
) -> None:
    """A file is read once, for both; how it is parted into chunks changes nothing of the sound."""
    video = probe(movie(tmp_path / name, STEP, more))
    meter = LoudnessMeter(video, -1)
    times_ns = sample_times(video.span, 2)
    for _ in decode(video, times_ns, 8, 8, threads=threads, chunk_ns=NS_PER_S, sound=Sound(-1, meter.add)):
        pass
    heard, alone = meter.result(), measure_loudness(video)
    assert heard.missing == "" and len(heard.lufs) > 70
    assert np.array_equal(heard.times_ns, alone.times_ns) and np.array_equal(heard.lufs, alone.lufs)


def test_a_file_that_is_read_again_from_its_start_is_heard_once(tmp_path: Path) -> None:
    """As where a stream turns out to be one that cannot be parted."""
    video = probe(movie(tmp_path / "a.mkv", STEP))
    meter = LoudnessMeter(video, -1)
    sound = Sound(-1, meter.add).once()
    for part in (40, None):
        with open_media(video.path) as container:
            for packet in islice(container.demux(container.streams.audio[0]), part):
                sound.take(packet)
    assert np.array_equal(meter.result().lufs, measure_loudness(video).lufs)


# Both on one grid.


def on_grid(loudness: Loudness, pts_ns: list[int], end_ns: int) -> Signals:
    meter = PictureMeter()
    meter.add(FrameBatch(np.zeros((len(pts_ns), 4, 4, 3), np.uint8), np.array(pts_ns, np.int64)))
    return signals(meter, loudness, np.array(pts_ns, np.int64), end_ns)


MS = 1_000_000


def levels_on_grid(times_ns: np.ndarray, levels: np.ndarray, pts_ns: list[int], end_ns: int) -> np.ndarray:
    found = on_grid(Loudness(times_ns, levels), pts_ns, end_ns).get("loudness_db")
    assert found is not None
    return found


def test_a_sample_is_as_loud_as_the_mean_from_half_a_period_before_it_to_half_a_period_before_the_next() -> None:
    """100 ms of each level around its time, and nothing measured from 1.75 s on."""
    times_ns = np.arange(0, 1700, 100, dtype=np.int64) * MS
    levels = np.where(times_ns < 700 * MS, -30, -20).astype(np.float32)
    loudness_db = levels_on_grid(times_ns, levels, [0, 500 * MS, 1000 * MS, 1500 * MS], end_ns=2000 * MS)
    quiet, loud = 4 / 5, 1 / 5  # of 250 to 750 ms: the step is at 650 ms
    heard, silent = 4 / 7.5, 3.5 / 7.5  # of 1250 to 2000 ms: the last moment ends at 1650 ms
    expected = [-30, -30 * quiet - 20 * loud, -20, -20 * heard + SILENCE_DB * silent]
    assert loudness_db == pytest.approx(expected, abs=1e-4)


@given(st.integers(1000, 7000), st.sampled_from([40, 100, 500, 1000]))
def test_a_step_of_sound_shows_in_the_first_sample_after_it_as_one_of_the_picture(step_ms: int, period_ms: int) -> None:
    times_ns = np.arange(50, 9000, 100, dtype=np.int64) * MS
    levels = np.where(times_ns < step_ms * MS, -40, -20).astype(np.float32)
    pts_ns = list(range(0, 9000 * MS, period_ms * MS))
    found = levels_on_grid(times_ns, levels, pts_ns, end_ns=9000 * MS)
    first = pts_ns[int(np.argmax(found >= -30))]
    late_ms = first // MS - step_ms
    assert -51 <= late_ms <= period_ms + 51  # loudness is told every 100 ms


def test_a_picture_held_for_long_is_as_loud_as_all_that_is_heard_meanwhile() -> None:
    times_ns = np.arange(50, 10_000, 100, dtype=np.int64) * MS
    levels = np.where(times_ns < 6000 * MS, -40, -20).astype(np.float32)
    loudness_db = levels_on_grid(times_ns, levels, [0, 500 * MS, 1000 * MS, 9500 * MS], end_ns=10_000 * MS)
    assert -40 < loudness_db[2] < -20
    assert loudness_db[3] == pytest.approx(-20, abs=1e-4)


def test_a_video_without_sound_has_no_loudness_and_says_why() -> None:
    silent = Loudness(np.empty(0, np.int64), np.empty(0, np.float32), "no audio stream")
    found = on_grid(silent, [0, 10], end_ns=20)
    assert found.get("loudness_db") is None
    assert found.missing == {"loudness_db": "no audio stream"}
    assert set(found.series) == {"motion", "cut"}
