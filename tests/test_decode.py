"""The laws of decoding: whatever is skipped, chunked or threaded, the answer is that of a full decode."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.decode import Decoded, decode, frames_at
from pipeline.probe import probe
from pipeline.records import FrameBatch, Video
from pipeline.sample import sample_times
from pipeline.timeline import NS_PER_S, Span
from tests.media import COUNT, RECIPES, number_in
from tests.naive import FullDecode, full_decode

SIZE_PX = (48, 80)
WHOLE = sorted(name for name, recipe in RECIPES.items() if recipe.display)
TIMED = ("vfr", "ntsc", "edit_list", "no_edit_list", "late_start", "clock_wraps", "tuned_in")
DAMAGED = sorted(RECIPES.keys() - set(WHOLE))


@dataclass(frozen=True)
class Case:
    """One recipe's file, as probed and as decoded whole."""

    video: Video
    full: FullDecode

    def expected(self, times_ns: Sequence[int]) -> FrameBatch:
        shown = self.full.on_display([int(t) for t in times_ns])
        pts_ns = np.array([self.full.time_ns(index) for index in shown], np.int64)
        return FrameBatch(self.full.pixels[shown], pts_ns)

    def number(self, picture: np.ndarray) -> int:
        return number_in(np.rot90(picture, -self.video.rotation_deg // 90))


@pytest.fixture(scope="session")
def case(make: Callable[[str], Path]) -> Callable[[str], Case]:
    @cache
    def open_case(name: str) -> Case:
        video = probe(make(name))
        return Case(video, full_decode(video.path, video.stream_index, *SIZE_PX))

    return open_case


def every(hz: float, video: Video) -> np.ndarray:
    return sample_times(video.span, hz)


def decoded(video: Video, times_ns: Sequence[int] | np.ndarray, *, chunks: int = 1, threads: int = 1) -> list[Decoded]:
    chunk_ns = -(-video.span.duration_ns // chunks)
    return list(decode(video, times_ns, *SIZE_PX, threads=threads, chunk_ns=chunk_ns))


def union(pieces: list[Decoded]) -> FrameBatch:
    """All batches as one; FrameBatch itself refuses times that do not increase."""
    return FrameBatch(
        np.concatenate([piece.batch.pixels for piece in pieces]),
        np.concatenate([piece.batch.pts_ns for piece in pieces]),
    )


def assert_same(found: FrameBatch, expected: FrameBatch) -> None:
    assert found.pts_ns.tolist() == expected.pts_ns.tolist()
    wrong = [i for i, (a, b) in enumerate(zip(found.pixels, expected.pixels, strict=True)) if not np.array_equal(a, b)]
    assert not wrong, f"{len(wrong)} of {len(expected)} pictures differ, the first at {found.pts_ns[wrong[0]]} ns"


@pytest.mark.parametrize("name", WHOLE)
def test_a_file_shows_the_frames_that_its_recipe_says(case: Callable[[str], Case], name: str) -> None:
    full, display = case(name).full, RECIPES[name].display
    assert display is not None
    assert [case(name).number(picture) for picture in full.pixels] == list(display.numbers)
    assert [full.time_ns(i) for i in range(len(full.pts))] == [int(time_s * NS_PER_S) for time_s in display.times_s]


@pytest.mark.parametrize("name", WHOLE)
def test_time_zero_is_the_first_displayed_frame(case: Callable[[str], Case], name: str) -> None:
    video, full = case(name).video, case(name).full
    assert (video.origin_pts, video.time_base) == (full.pts[0], full.time_base)
    assert video.origin_ns == full.pts[0] * full.time_base * NS_PER_S // 1


def test_streams_may_begin_before_zero_and_late_in_the_day(case: Callable[[str], Case]) -> None:
    assert case("clock_wraps.ts").video.origin_pts < 0
    assert case("late_start.ts").video.origin_ns > 50_000 * NS_PER_S


@pytest.mark.parametrize(("chunks", "threads"), [(1, 1), (2, 2), (3, 1), (7, 2)])
@pytest.mark.parametrize("name", WHOLE)
def test_sampled_pixels_are_those_of_a_full_decode(
    case: Callable[[str], Case], name: str, chunks: int, threads: int
) -> None:
    video = case(name).video
    times_ns = every(10, video)
    found = union(decoded(video, times_ns, chunks=chunks, threads=threads))
    assert_same(found, case(name).expected(times_ns))


@pytest.mark.parametrize("name", WHOLE)
def test_a_gop_that_is_too_long_to_be_held_shows_the_same(case: Callable[[str], Case], name: str) -> None:
    """Anything longer than 40 packets counts as such here: most of these files, or some of their GOPs."""
    video = case(name).video
    times_ns = every(10, video)
    chunk_ns = video.span.duration_ns // 3
    found = union(list(decode(video, times_ns, *SIZE_PX, threads=2, chunk_ns=chunk_ns, held_packets=40)))
    assert_same(found, case(name).expected(times_ns))


def test_many_short_gops_are_not_taken_for_a_long_one(case: Callable[[str], Case]) -> None:
    """A second of 240 frames is ten GOPs, of which no two chunks hold more than 60 packets."""
    video = case("h264_240_fps.mp4").video
    pieces = list(decode(video, every(4, video), *SIZE_PX, held_packets=60))
    assert sum(piece.facts.frames for piece in pieces) < COUNT / 2


@pytest.mark.parametrize(("chunks", "threads"), [(1, 1), (2, 2), (3, 1), (7, 2)])
@pytest.mark.parametrize("name", DAMAGED)
def test_what_damage_left_whole_is_given_whole(
    case: Callable[[str], Case], name: str, chunks: int, threads: int
) -> None:
    """What stands in for a lost picture depends on what the decoder saw before; the others are the original's."""
    video, full, original = case(name).video, case(name).full, case(RECIPES[name].base).full
    times_ns = every(10, video)
    found = union(decoded(video, times_ns, chunks=chunks, threads=threads))
    shown = full.on_display(times_ns.tolist())
    assert found.pts_ns.tolist() == [full.time_ns(index) for index in shown]
    undamaged = {original.time_ns(index): picture for index, picture in enumerate(original.pixels)}
    whole = [np.array_equal(full.pixels[index], undamaged[full.time_ns(index)]) for index in shown]
    assert sum(whole) > 15
    assert_same(
        FrameBatch(found.pixels[whole], found.pts_ns[whole]),
        FrameBatch(full.pixels[shown][whole], found.pts_ns[whole]),
    )


@pytest.mark.parametrize("name", WHOLE)
def test_the_frame_for_a_time_is_the_one_on_display_then(case: Callable[[str], Case], name: str) -> None:
    video, display = case(name).video, RECIPES[name].display
    assert display is not None
    times_ns = every(7, video)  # in no simple relation to the frame rate
    found = union(decoded(video, times_ns, chunks=3))
    numbers = [case(name).number(picture) for picture in found.pixels]
    assert numbers == sorted({display.number_at(int(t)) for t in times_ns})


@pytest.mark.parametrize("name", ["h264_bframes.mp4", *sorted(name for name in WHOLE if name.startswith(TIMED))])
def test_every_displayed_frame_can_be_had(case: Callable[[str], Case], name: str) -> None:
    video, full = case(name).video, case(name).full
    times_ns = [full.time_ns(index) for index in range(len(full.pts))]
    assert_same(union(decoded(video, times_ns)), case(name).expected(times_ns))


@pytest.mark.parametrize("name", WHOLE)
def test_single_frames_by_seeking_are_those_of_decode(case: Callable[[str], Case], name: str) -> None:
    video = case(name).video
    times_ns = [int(share * video.span.end_ns) for share in (0, 0.31, 0.34, 0.5, 0.87, 0.99)]
    assert_same(frames_at(video, times_ns, *SIZE_PX), case(name).expected(times_ns))
    alone = times_ns[3:4]
    assert_same(frames_at(video, alone, *SIZE_PX), case(name).expected(alone))


@pytest.mark.parametrize("name", ["h264_open_gop.mp4", "hevc_defaults.ts", "vp9.webm", "vfr_dropped.mp4"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_subset_of_times_gives_the_same_pixels(case: Callable[[str], Case], name: str, data: st.DataObject) -> None:
    video = case(name).video
    times_ns = sorted(data.draw(st.sets(st.integers(0, video.span.end_ns - 1), min_size=1, max_size=12)))
    chunks = data.draw(st.integers(1, 9))
    assert_same(union(decoded(video, times_ns, chunks=chunks)), case(name).expected(times_ns))


def test_a_frame_wanted_by_several_times_comes_once(case: Callable[[str], Case]) -> None:
    video = case("vfr_still.mp4").video
    times_ns = every(50, video)  # twice the frame rate, and one frame stands for three seconds
    found = union(decoded(video, times_ns, chunks=3))
    assert len(found) == COUNT
    assert_same(found, case("vfr_still.mp4").expected(times_ns))


def test_no_wanted_time_gives_no_picture(case: Callable[[str], Case]) -> None:
    assert sum(len(piece.batch) for piece in decoded(case("h264_bframes.mp4").video, [])) == 0
    assert len(frames_at(case("h264_bframes.mp4").video, [], *SIZE_PX)) == 0


# What the plan saves, and that it is honest.


def frames_decoded(pieces: list[Decoded]) -> int:
    return sum(piece.facts.frames for piece in pieces)


@pytest.mark.parametrize(
    ("name", "hz", "share"),
    [
        ("h264_bframes.mp4", 1, 0.35),
        ("h264_bframes.mkv", 2, 0.5),
        ("hevc_defaults.mp4", 1, 0.2),
        # at 7 Hz leading pictures are wanted: their GOP keeps its references, and they come out at the first attempt
        ("h264_open_gop.mp4", 7, 0.7),
        ("hevc_defaults.ts", 7, 0.7),
        ("mpeg2.ts", 7, 0.6),
    ],
)
def test_only_wanted_frames_and_what_they_refer_to_are_decoded(
    case: Callable[[str], Case], name: str, hz: int, share: float
) -> None:
    video = case(name).video
    assert frames_decoded(decoded(video, every(hz, video), chunks=3)) < share * len(case(name).full.pts)


@pytest.mark.parametrize(
    "name", ["h264_intra_refresh.ts", "h264_one_gop.mp4", "hevc_defaults.ts", "mpeg2.ts", "vp9.webm", "xvid.avi"]
)
def test_no_more_is_decoded_than_a_full_decode_would(case: Callable[[str], Case], name: str) -> None:
    """Chunks overlap by a key frame and its leading pictures; nothing else may be paid for twice."""
    video = case(name).video
    pieces = decoded(video, every(10, video), chunks=7)
    assert frames_decoded(pieces) <= len(case(name).full.pts) + 8 * len(pieces)


@pytest.mark.parametrize("name", WHOLE)
def test_whole_files_are_reported_as_such(case: Callable[[str], Case], name: str) -> None:
    video = case(name).video
    pieces = decoded(video, every(1, video), chunks=3)
    assert sum(piece.facts.corrupt for piece in pieces) == 0
    assert sum(piece.facts.samples for piece in pieces) == sum(len(piece.batch) for piece in pieces)
    assert 0 <= video.span.end_ns - max(piece.facts.covered_ns for piece in pieces) <= 0.1 * NS_PER_S


@pytest.mark.parametrize("name", [name for name in DAMAGED if name.startswith("bad_block")])
def test_damaged_frames_are_counted(case: Callable[[str], Case], name: str) -> None:
    video = case(name).video
    pieces = decoded(video, every(25, video), chunks=3)
    assert sum(piece.facts.corrupt for piece in pieces) > 0


@pytest.mark.parametrize("name", [name for name in DAMAGED if name.startswith("truncated")])
def test_the_time_that_is_covered_tells_a_file_cut_short(case: Callable[[str], Case], name: str) -> None:
    video, full = case(name).video, case(name).full
    covered_ns = max(piece.facts.covered_ns for piece in decoded(video, every(10, video), chunks=3))
    frame_ns = NS_PER_S // 25
    assert (
        abs(covered_ns - (full.time_ns(len(full.pts) - 1) + frame_ns)) <= 6 * frame_ns
    )  # packets come in the order of decoding


# Threads and memory.


def decode_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread is not threading.main_thread()}


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_a_consumer_that_stops_leaves_no_thread_behind(case: Callable[[str], Case], threads: int) -> None:
    video = case("h264_one_gop.mp4" if threads == 1 else "long.mp4").video
    before = decode_threads()
    pieces = decode(video, every(25, video), *SIZE_PX, threads=threads, chunk_ns=NS_PER_S)
    assert len(next(pieces).batch) > 0
    pieces.close()  # type: ignore[attr-defined]
    assert decode_threads() == before


def test_pictures_under_way_do_not_grow_with_duration(case: Callable[[str], Case]) -> None:
    """A consumer that stands still: the decoders must, too. All pictures together would be 30 MB."""
    video = case("long.mp4").video
    tracemalloc.start()
    try:
        pieces = decode(video, every(25, video), 96, 160, threads=2, chunk_ns=NS_PER_S)
        next(pieces)
        time.sleep(0.7)
        held = tracemalloc.get_traced_memory()[0]
        pieces.close()  # type: ignore[attr-defined]
    finally:
        tracemalloc.stop()
    assert held < 12e6


def test_batches_come_in_order_of_time(case: Callable[[str], Case]) -> None:
    video = case("long.mp4").video
    pieces = decoded(video, every(25, video), chunks=26, threads=3)
    firsts = [int(piece.batch.pts_ns[0]) for piece in pieces if len(piece.batch)]
    assert all(earlier < later for earlier, later in pairwise(firsts))
    assert_same(union(pieces), case("long.mp4").expected(every(25, video)))


def test_after_the_end_the_last_frame_stays_on_display(case: Callable[[str], Case]) -> None:
    video = case("h264_bframes.mp4").video
    times_ns = sample_times(Span(0, 2 * video.span.end_ns), 10)
    assert_same(union(decoded(video, times_ns, chunks=2)), case("h264_bframes.mp4").expected(times_ns.tolist()))
