"""Figures: known by hand, with chance beside them, and only for what was not learned from."""

from __future__ import annotations

import numpy as np
import pytest

from models.evaluate import (
    Answers,
    Seen,
    average_precision,
    best_constant,
    box_figures,
    event_figures,
    judged,
    tag_figures,
)
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


def test_a_head_nothing_is_known_for_has_no_figures() -> None:
    truth = Truth(np.array([-1, -1]), np.full((2, 1), np.nan, np.float32), np.full((2, 4), np.nan, np.float32))
    found = Answers(logits(0, 1), np.zeros((2, 1), np.float32), np.zeros((2, 4), np.float32))
    assert judged(found, truth, ("a", "b", "c"), ("dunk",)) == {}


SPLIT = {"train": ("t1", "t2"), "val": ("v",), "heldout": ("h",)}


def test_only_what_was_not_learned_from_is_judged() -> None:
    seen = Seen.of(("t1", "n", "v", "h"), SPLIT)
    assert seen.judged(np.array([0, 1, 1, 2, 3])).tolist() == [1, 2, 4]
    assert seen.sentence() == "4 files: 1 never seen, 1 held out, 1 used to choose the epoch, 1 trained on"


def test_val_is_judged_where_there_is_nothing_better_and_train_never() -> None:
    assert Seen.of(("t1", "v"), SPLIT).judged(np.array([0, 1])).tolist() == [1]
    assert Seen.of(("t1", "t2"), SPLIT).judged(np.array([0, 1])).tolist() == []
