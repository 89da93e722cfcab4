"""Figures: known by hand, with chance beside them, and only for what was not learned from."""

from __future__ import annotations

import numpy as np
import pytest

from models.evaluate import (
    Answers,
    Found,
    Seen,
    average_precision,
    best_constant,
    box_figures,
    event_figures,
    judged,
    score_of,
    tag_figures,
)
from models.figures.detection import Objects
from models.spec import Spec
from models.targets import Truth


def logits(*best: int, classes: int = 3) -> np.ndarray:
    """One row each, in which that class is first and the others follow in their order."""
    rows = -np.arange(classes, dtype=np.float32)[None].repeat(len(best), 0)
    rows[np.arange(len(best)), list(best)] = 1
    return rows


def test_top_1_counts_the_first_and_chance_is_always_naming_the_commonest() -> None:
    figures = tag_figures(logits(0, 0, 1, 2), np.array([0, 0, 0, 2]), ("a", "b", "c"))
    assert figures["top1"] == 0.75
    assert figures["top1_chance"] == 0.75
    assert figures["top1_by_class"] == {"a": pytest.approx(2 / 3), "c": 1.0}
    assert figures["top5"] == figures["top5_chance"] == 1.0


def test_top_5_counts_the_first_five() -> None:
    figures = tag_figures(logits(0, 0, classes=7), np.array([4, 5]), tuple("abcdefg"))
    assert (figures["top1"], figures["top5"]) == (0.0, 0.5)


def test_answers_that_are_no_numbers_are_never_right() -> None:
    diverged = np.full((4, 7), np.nan, np.float32)
    figures = tag_figures(diverged, np.array([0, 1, 2, 6]), tuple("abcdefg"))
    assert (figures["top1"], figures["top5"]) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("score", "yes", "expected"),
    [
        ([0.9, 0.8, 0.7], [1, 1, 0], 1.0),
        ([0.9, 0.8, 0.7], [0, 1, 1], (1 / 2 + 2 / 3) / 2),
        ([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0], 0.25),  # equal scores tell nothing: the share of yes
        ([0.9, 0.1], [0, 0], 0.0),
    ],
)
def test_average_precision_by_hand(score: list[float], yes: list[int], expected: float) -> None:
    assert average_precision(np.array(score), np.array(yes, bool)) == pytest.approx(expected)


def test_event_figures_leave_out_what_is_unknown() -> None:
    figures = event_figures(np.array([2.0, -1.0, 5.0, -3.0]), np.array([1.0, 1.0, np.nan, 0.0]))
    assert figures["pictures"] == 3
    assert figures["right"] == pytest.approx(2 / 3)
    assert figures["right_chance"] == pytest.approx(2 / 3)
    assert event_figures(np.array([1.0]), np.array([np.nan])) == {}


def test_boxes_are_compared_with_the_best_box_that_never_looks() -> None:
    truth = np.array([[0, 0, 0.5, 0.5]] * 3 + [[0.5, 0.5, 1, 1]], np.float32)
    figures = box_figures(truth[[0, 0, 3, 3]], truth)
    assert figures["iou50"] == 0.75
    assert figures["iou50_constant"] == 0.75
    assert best_constant(truth).tolist() == [0, 0, 0.5, 0.5]


def truth(count: int, **known: np.ndarray) -> Truth:
    """Nothing is known but what is given."""
    nothing: dict[str, np.ndarray] = {
        "tag": np.full(count, -1),
        "events": np.full((count, 1), np.nan, np.float32),
        "box": np.full((count, 4), np.nan, np.float32),
        "attributes": np.full((count, 1), -1),
        "points": np.full((count, 2, 3), np.nan, np.float32),
        "objects": np.full((count, 1, 5), np.nan, np.float32),
    }
    return Truth(**nothing | known)


SPEC = Spec(
    backbone="resnet18",
    height_px=64,
    width_px=64,
    tags=("a", "b", "c"),
    events=("dunk",),
    localizer=True,
    attributes=(("age", ("young", "old")),),
    points=("left", "right"),
    detector=("ball", "goal"),
)
BOXES = np.array([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]], np.float32)
FOUND = Answers(
    tags=logits(0, 1),
    events=np.array([[1.0], [-1.0]], np.float32),
    boxes=BOXES[:, None],
    attributes=(logits(0, 1, classes=2),),
    points=np.array([[[0.5, 0.5, 1], [0.5, 0.5, 1]]] * 2, np.float32),
    objects=Found(Objects(np.array([0, 1]), np.array([0, 1]), BOXES), np.array([0.9, 0.8], np.float32)),
)


def test_a_head_nothing_is_known_for_has_no_figures() -> None:
    assert judged(FOUND, truth(2), SPEC) == {}


def test_every_head_is_judged_where_something_is_known() -> None:
    known = truth(
        2,
        tag=np.array([0, 2]),
        events=np.array([[1], [np.nan]], np.float32),
        box=BOXES,
        attributes=np.array([[-1], [1]]),
        points=np.array([[[0.25, 0.25, 1], [0.5, 0.5, 1]], [[np.nan] * 3] * 2], np.float32),
        objects=np.array([[[0, *BOXES[0]]], [[0, *BOXES[1]]]], np.float32),
    )
    figures = judged(FOUND, known, SPEC)
    assert figures["tags"]["top1"] == 0.5
    assert figures["events"]["dunk"]["right"] == 1.0
    assert figures["box"]["iou50"] == 1.0
    assert figures["attributes"]["age"] == {**figures["attributes"]["age"], "pictures": 1, "top1": 1.0}
    assert figures["points"]["pck"] == 0.5 and figures["points"]["points"] == 2  # the right one is half a box away
    assert figures["objects"]["map50"] == pytest.approx(0.505, abs=0.01)  # one of two balls, at the first place
    assert score_of(figures) == pytest.approx((0.5 + 1 + 1 + 1 + 0.5 + figures["objects"]["map50"]) / 6)


def test_only_pictures_whose_objects_are_listed_judge_the_detector() -> None:
    known = truth(2, objects=np.array([[[0, *BOXES[0]]], [[np.nan] * 5]], np.float32))
    assert judged(FOUND, known, SPEC)["objects"]["map50"] == pytest.approx(1.0)


def test_of_boxes_for_each_class_the_best_tags_counts() -> None:
    both = np.stack([BOXES, BOXES, BOXES], axis=1)[:, [0, 1, 2]].copy()
    both[0, 1:] = both[1, [0, 2]] = 0.1
    assert Answers(tags=logits(0, 1), boxes=both).box == pytest.approx(BOXES)


SPLIT = {"train": ("t1", "t2"), "val": ("v",), "heldout": ("h",)}


def test_only_what_was_not_learned_from_is_judged() -> None:
    seen = Seen.of(("t1", "n", "v", "h"), SPLIT)
    assert seen.judged(np.array([0, 1, 1, 2, 3])).tolist() == [1, 2, 4]
    assert seen.sentence() == "4 files: 1 never seen, 1 held out, 1 used to choose the epoch, 1 trained on"


def test_val_is_judged_where_there_is_nothing_better_and_train_never() -> None:
    assert Seen.of(("t1", "v"), SPLIT).judged(np.array([0, 1])).tolist() == [1]
    assert Seen.of(("t1", "t2"), SPLIT).judged(np.array([0, 1])).tolist() == []
