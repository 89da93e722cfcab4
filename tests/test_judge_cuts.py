"""Shot boundaries: the three ways of counting, by hand, and what holds for all of them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.judge import Transitions, cuts_of_videos, judge_cuts
from pipeline.judge.cuts import WAYS, Transition

ROOT = Path(__file__).parents[1]
FOLDER = Path(os.environ.get("MATCHCUT_DATA", ROOT / "../shared/data")) / "annotations" / "clipshots_anno"

FRAMES = 400


def cuts(*ends: int) -> Transitions:
    """Hard cuts whose new shots start at these frames."""
    return Transitions.of([(end - 1, end) for end in ends], FRAMES)


def of(*rows: Transition) -> Transitions:
    return Transitions.of(rows, FRAMES)


def judged(found: Transitions, true: Transitions, way: str) -> dict[str, Any]:
    return judge_cuts({"a": found}, {"a": true})[way]


@st.composite
def programmes(draw: st.DrawFn) -> Transitions:
    """Transitions that do not meet."""
    rows, at = [], draw(st.integers(0, 20))
    for _ in range(draw(st.integers(0, 8))):
        length = draw(st.sampled_from([1, 1, 1, 5, 20]))
        rows.append((at, at + length))
        at += length + draw(st.integers(1, 20))
    return of(*rows)


# --- laws ---


@given(programmes())
def test_a_perfect_answer_has_precision_and_recall_one(true: Transitions) -> None:
    figures = judge_cuts({"a": true}, {"a": true})
    for of_way in figures.values():
        assert not of_way["true"] or (of_way["precision"], of_way["recall"], of_way["f1"]) == (1, 1, 1)


@given(programmes(), programmes(), st.randoms(use_true_random=False))
def test_the_order_of_transitions_does_not_matter(found: Transitions, true: Transitions, random: Any) -> None:
    before = {way: count(found, true) for way, count in WAYS.items()}
    mixed = [of(*random.sample(some.every, len(some.every))) for some in (found, true)]
    assert {way: count(*mixed) for way, count in WAYS.items()} == before


@given(programmes(), programmes())
def test_one_to_one_ways_do_not_care_which_is_the_truth(found: Transitions, true: Transitions) -> None:
    for way in ("one_to_one", "transnet"):
        there, back = WAYS[way](found, true), WAYS[way](true, found)
        assert there.right == back.right <= min(there.found, there.true)


@given(programmes(), programmes(), st.integers(1, 50))
def test_a_later_start_changes_nothing(found: Transitions, true: Transitions, frames: int) -> None:
    moved = [of(*((begin + frames, end + frames) for begin, end in some.every)) for some in (found, true)]
    for count in WAYS.values():
        assert count(*moved) == count(found, true)


# --- by hand ---


@pytest.mark.parametrize(
    ("found", "true", "right"),
    [
        (cuts(10, 50), cuts(10, 50), 2),
        (cuts(12), cuts(10), 1),
        (cuts(13), cuts(10), 0),
        (cuts(9, 11), cuts(10), 1),  # one truth is found once
        (cuts(10, 11, 12), cuts(11), 1),
        (cuts(12, 15), cuts(10, 13), 1),  # nearest first: 12 and 13; then 15 and 10 are too far apart
        (of((10, 20)), cuts(15), 0),  # gradual ones are not looked at
        (cuts(), cuts(10), 0),
    ],
)
def test_one_to_one_by_hand(found: Transitions, true: Transitions, right: int) -> None:
    assert WAYS["one_to_one"](found, true).right == right


@pytest.mark.parametrize(
    ("found", "true", "right"),
    [  # the examples that TransNet V2 gives of a tolerance of 2, and gradual ones
        (cuts(6), cuts(6), 1),
        (cuts(6), cuts(5), 1),
        (cuts(6), cuts(4), 1),
        (cuts(6), cuts(3), 0),
        (of((10, 20)), cuts(15), 1),
        (of((10, 20)), of((21, 30)), 1),
        (of((10, 20)), of((22, 30)), 0),
        (of((10, 30)), cuts(15, 25), 1),  # one to one
        (of((22, 30), (0, 10)), of((0, 10), (22, 30)), 2),
    ],
)
def test_transnet_by_hand(found: Transitions, true: Transitions, right: int) -> None:
    assert WAYS["transnet"](found, true).right == right


@pytest.mark.parametrize(
    ("found", "true", "right"),
    [
        (cuts(10), cuts(10), (1, 0, 1)),
        (cuts(11), cuts(10), (1, 0, 1)),  # (10, 11) shares frame 10 with (9, 10)
        (cuts(12), cuts(10), (0, 0, 0)),
        (of((0, 30)), cuts(10, 20), (0, 0, 2)),  # of another kind: right among all only, and twice
        (of((0, 30)), of((5, 9), (20, 40)), (0, 2, 2)),
        (of((20, 30)), of((10, 19)), (0, 0, 0)),
        (cuts(10), of((9, 9)), (0, 0, 1)),  # an odd truth is of no kind
    ],
)
def test_clipshots_by_hand(found: Transitions, true: Transitions, right: tuple[int, int, int]) -> None:
    ways = ("clipshots_cut", "clipshots_gradual", "clipshots_all")
    assert tuple(WAYS[way](found, true).right for way in ways) == right


def test_precision_recall_and_f1_are_over_all_videos_together() -> None:
    found = {"a": cuts(10, 50, 90), "b": cuts(), "beside": cuts(1)}
    truth = {"a": cuts(10, 50), "b": cuts(20, 30)}
    figures = judge_cuts(found, truth)["one_to_one"]
    assert (figures["precision"], figures["recall"]) == (2 / 3, 0.5)
    assert figures["f1"] == pytest.approx(2 * (2 / 3) * 0.5 / (2 / 3 + 0.5))
    assert (figures["found"], figures["true"]) == (3, 4)


def test_any_videos_can_be_counted_and_one_more_than_once() -> None:
    found, true = {"a": cuts(10), "b": cuts(10, 50)}, {"a": cuts(10), "b": cuts(70)}
    figures = judge_cuts(found, true)
    every = cuts_of_videos(found, true, ["a", "b"])
    assert every == {f"{way} {name}": figures[way][name] for way in WAYS for name in ("precision", "recall", "f1")}
    assert cuts_of_videos(found, true, ["a", "a", "b"])["one_to_one recall"] == pytest.approx(2 / 3)


def test_in_clipshots_way_a_long_one_can_be_right_about_several() -> None:
    assert judged(of((0, 30)), of((1, 5), (7, 11), (13, 20)), "clipshots_gradual")["precision"] == 3


def test_chance_is_told_where_the_number_of_frames_is_known() -> None:
    figures = judged(cuts(*range(10, 400, 20)), cuts(*range(10, 400, 20)), "one_to_one")
    assert figures["recall"] == 1
    assert 0.1 < figures["recall_chance"] < 0.35  # twenty of 400 frames, each reaching two to both sides
    unknown = judge_cuts({"a": cuts(5)}, {"a": Transitions.of([(4, 5)])})
    assert "recall_chance" not in unknown["one_to_one"]


def test_a_video_without_an_answer_is_named() -> None:
    with pytest.raises(DataError, match="1 of 2 videos of the truth have no answer: b"):
        judge_cuts({"a": cuts()}, {"a": cuts(), "b": cuts()})


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real data: {FOLDER} is absent")
def test_the_truth_of_clipshots_agrees_with_itself() -> None:
    rows = json.loads((FOLDER / "test.json").read_text(encoding="utf-8"))
    truth = {
        name: Transitions.of([(begin, end) for begin, end in row["transitions"]], int(row["frame_num"]))
        for name, row in rows.items()
    }
    figures = judge_cuts(truth, truth)
    assert (figures["clipshots_cut"]["true"], figures["clipshots_gradual"]["true"]) == (4903, 2301)
    assert figures["one_to_one"]["f1"] == figures["clipshots_cut"]["f1"] == figures["transnet"]["f1"] == 1
    assert figures["transnet"]["f1_chance"] < 0.2
