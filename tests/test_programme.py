"""The composer's truth is the truth: what programme.json says is what stands in programme.mp4, measured by decoding."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
import pytest
from av.video.frame import PictureType
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.picture import Look, Shot, frame_times_ns, frames_in, write_video
from benchmarks.programme import Recipe, Stretch, Truth, compose, layout, read_truth
from pipeline.errors import DataError
from pipeline.timeline import NS_PER_S, Span, ticks_to_ns

LOOK = Look(width_px=64, height_px=36, preset="ultrafast", crf=10)
SHORT = Recipe(
    seconds=12.0,
    label="goal",
    clips_per_event=(1, 2),
    background_s=(1.5, 2.5),
    shot_s=(0.8, 1.6),
    marks=2,
    look=LOOK,
)
FLASH_LUMA, EVENT_LUMA = 220, 120  # flash above, events between (160), background below (60)
QUIET_DB, LOUD_DB = -33.0, -23.0


def make_clip(path: Path, luma: int, *, seconds: float, rate: str, size: str) -> Path:
    """A still grey clip: `luma` says whether it is an event (160) or background (60)."""
    source = f"color=c=0x{luma:02x}{luma:02x}{luma:02x}:size={size}:rate={rate}:duration={seconds}"
    path.parent.mkdir(exist_ok=True)
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    subprocess.run([ffmpeg, "-v", "error", "-f", "lavfi", "-i", source, "-y", str(path)], check=True)
    return path


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[Path]]:
    """Clips of different rates, sizes and shapes, as they come from different cameras."""
    root = tmp_path_factory.mktemp("clips")
    events = [
        make_clip(root / "events" / "tall.mp4", 160, seconds=0.9, rate="60", size="72x128"),
        make_clip(root / "events" / "wide.mp4", 160, seconds=1.3, rate="25", size="128x64"),
    ]
    background = [
        make_clip(root / "background" / "ntsc.mp4", 60, seconds=2.0, rate="30000/1001", size="96x96"),
        make_clip(root / "background" / "film.mp4", 60, seconds=1.7, rate="24", size="64x36"),
    ]
    return events, background


@pytest.fixture(scope="module")
def programme(clips: tuple[list[Path], list[Path]], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Truth]:
    out = tmp_path_factory.mktemp("programme")
    return out / "programme.mp4", compose(SHORT, *clips, out)


def luma_of_frames(path: Path) -> tuple[npt.NDArray[np.float64], list[int]]:
    """Mean luma and time in ns of every frame, in display order."""
    with av.open(str(path)) as container:
        frames = list(container.decode(video=0))
    times_ns = [ticks_to_ns(frame.pts or 0, frame.time_base or Fraction(1)) for frame in frames]
    return np.array([frame.to_ndarray(format="gray").mean() for frame in frames]), times_ns


def spans_where(shown: npt.NDArray[np.bool_], times_ns: list[int], end_ns: int) -> tuple[Span, ...]:
    """Runs of True as spans in the times of the frames."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], shown, [False]]).astype(int)))
    bounds = [*times_ns, end_ns]
    return tuple(Span(bounds[start], bounds[end]) for start, end in edges.reshape(-1, 2))


def sound_of(path: Path) -> npt.NDArray[np.float64]:
    """Mono samples at 48 kHz, from t = 0 on: what lies before is the encoder's lead-in."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    lead_in = -(frames[0].pts or 0)  # in samples, the time base of MP4 sound
    samples = np.concatenate([frame.to_ndarray().reshape(-1) for frame in frames]).astype(np.float64)
    return samples[max(0, lead_in) :]


def level_db(sound: npt.NDArray[np.float64], span: Span) -> float:
    part = sound[span.start_ns * 48_000 // NS_PER_S : span.end_ns * 48_000 // NS_PER_S]
    return float(20 * np.log10(np.sqrt(np.mean(part**2))))


def test_events_stand_in_the_file_to_the_frame(programme: tuple[Path, Truth]) -> None:
    path, truth = programme
    luma, times_ns = luma_of_frames(path)
    quiet = luma.copy()
    for index in np.flatnonzero(luma > FLASH_LUMA):
        quiet[index] = luma[index - 1]  # a flash lasts one frame and says nothing about what it covers
    assert len(truth.events) >= 2
    assert spans_where(quiet > EVENT_LUMA, times_ns, truth.duration_ns) == truth.events


def test_flashes_and_beeps_are_where_the_truth_says(programme: tuple[Path, Truth]) -> None:
    path, truth = programme
    luma, times_ns = luma_of_frames(path)
    assert spans_where(luma > FLASH_LUMA, times_ns, truth.duration_ns) == truth.marks
    sound = sound_of(path)
    for mark in truth.marks:
        window = sound[(mark.start_ns - NS_PER_S // 10) * 48_000 // NS_PER_S :][: 48_000 // 5]
        onset_s = np.flatnonzero(np.abs(window) > 0.35)[0] / 48_000 - 0.1
        assert abs(onset_s) < 0.002


@pytest.mark.parametrize("rises", ["events", "background"])
def test_the_crowd_rises_where_it_is_asked_to_and_only_there(
    rises: str, clips: tuple[list[Path], list[Path]], tmp_path: Path
) -> None:
    truth = compose(replace(SHORT, marks=0, rises=rises), *clips, tmp_path)
    sound = sound_of(tmp_path / "programme.mp4")
    assert (truth.rises == truth.events) == (rises == "events")
    assert len(truth.rises) >= 2
    for rise in truth.rises:
        assert level_db(sound, Span(rise.start_ns + 200_000_000, rise.end_ns - 500_000_000)) > LOUD_DB
        assert level_db(sound, Span(rise.start_ns - 300_000_000, rise.start_ns)) < QUIET_DB
        assert level_db(sound, Span(rise.end_ns, rise.end_ns + 300_000_000)) < QUIET_DB


def test_sound_and_picture_are_equally_long(programme: tuple[Path, Truth]) -> None:
    path, truth = programme
    assert truth.duration_ns == 12 * NS_PER_S
    assert abs(len(sound_of(path)) / 48_000 - 12) < 0.025  # AAC ends on a whole packet of 1,024 samples


def test_the_same_seed_gives_the_same_bytes_and_another_seed_another_programme(
    clips: tuple[list[Path], list[Path]], programme: tuple[Path, Truth], tmp_path: Path
) -> None:
    path, truth = programme
    assert compose(SHORT, *clips, tmp_path) == truth
    assert (tmp_path / "programme.mp4").read_bytes() == path.read_bytes()
    lengths_of = [{clip: frames_in(clip, LOOK.rate) for clip in kind} for kind in clips]
    assert layout(replace(SHORT, seed=8), *lengths_of) != layout(SHORT, *lengths_of)


def test_the_truth_file_reads_back_as_it_was(programme: tuple[Path, Truth]) -> None:
    path, truth = programme
    assert read_truth(path.with_suffix(".json")) == truth


def test_copies_repeat_the_programme_without_losing_the_truth(
    clips: tuple[list[Path], list[Path]], programme: tuple[Path, Truth], tmp_path: Path
) -> None:
    _, once = programme
    truth = compose(replace(SHORT, copies=3, marks=0), *clips, tmp_path)
    luma, times_ns = luma_of_frames(tmp_path / "programme.mp4")
    assert len(truth.events) == 3 * len(once.events)
    assert spans_where(luma > EVENT_LUMA, times_ns, truth.duration_ns) == truth.events


def test_a_real_programme_has_b_frames_and_long_gops(clips: tuple[list[Path], list[Path]], tmp_path: Path) -> None:
    compose(replace(SHORT, look=replace(LOOK, preset="veryfast")), *clips, tmp_path)
    with av.open(str(tmp_path / "programme.mp4")) as container:
        kinds = [frame.pict_type for frame in container.decode(video=0)]
    assert PictureType.B in kinds
    assert kinds.count(PictureType.I) < len(kinds) / 10  # the cuts, and nothing else


def test_every_clip_gives_the_frames_it_is_counted_for_and_no_more(
    clips: tuple[list[Path], list[Path]], tmp_path: Path
) -> None:
    for clip in (*clips[0], *clips[1]):
        frames = frames_in(clip, LOOK.rate)
        write_video([Shot(clip, 0, frames)], LOOK, tmp_path / "whole.mp4")
        assert len(frame_times_ns(tmp_path / "whole.mp4")) - 1 == frames
        with pytest.raises(DataError, match=f"{clip.name}.*came out"):
            write_video([Shot(clip, 5, frames)], LOOK, tmp_path / "more.mp4")


def test_a_programme_too_short_for_an_event_is_refused(clips: tuple[list[Path], list[Path]], tmp_path: Path) -> None:
    with pytest.raises(DataError, match="hold no event"):
        compose(replace(SHORT, seconds=2.0), *clips, tmp_path)
    assert not tmp_path.joinpath("programme.mp4").exists()


lengths = st.lists(st.integers(30, 300), min_size=1, max_size=5)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), seconds=st.integers(60, 300), events=lengths, background=lengths)
def test_a_layout_fills_its_time_exactly(seed: int, seconds: int, events: list[int], background: list[int]) -> None:
    recipe = Recipe(seconds=seconds, seed=seed)
    event_clips = {Path(f"e{index}"): frames for index, frames in enumerate(events)}
    other_clips = {Path(f"b{index}"): frames for index, frames in enumerate(background)}
    stretches = layout(recipe, event_clips, other_clips)
    assert sum(stretch.frames for stretch in stretches) == seconds * 25
    assert [stretch.is_event for stretch in stretches] == [bool(index % 2) for index in range(len(stretches))]
    assert all(stretch.frames >= 8 * 25 for stretch in stretches if not stretch.is_event)
    assert all_shots_lie_in_their_clips(stretches, event_clips | other_clips)


def all_shots_lie_in_their_clips(stretches: tuple[Stretch, ...], clips: dict[Path, int]) -> bool:
    shots = [shot for stretch in stretches for shot in stretch.shots]
    return all(shot.first >= 0 and shot.frames > 0 and shot.first + shot.frames <= clips[shot.source] for shot in shots)


def test_frame_times_are_those_of_the_container(programme: tuple[Path, Truth]) -> None:
    path, truth = programme
    _, decoded = luma_of_frames(path)
    assert list(frame_times_ns(path)) == [*decoded, truth.duration_ns]
