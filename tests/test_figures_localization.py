"""Localization: a right box of a wrong class is an error, and any of several true boxes counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.figures.localization import best_ious, centred_box, localization_errors, max_box_accuracy

SIDE_PX = 224
LEFT, RIGHT, MIDDLE = [0, 0, 0.4, 1.0], [0.6, 0, 1, 1.0], [0.25, 0.25, 0.75, 0.75]


@st.composite
def boxes(draw: st.DrawFn) -> list[float]:
    """At least 10 % wide and high."""
    x0, y0 = draw(st.integers(0, SIDE_PX - 30)), draw(st.integers(0, SIDE_PX - 30))
    x1, y1 = draw(st.integers(x0 + 25, SIDE_PX)), draw(st.integers(y0 + 25, SIDE_PX))
    return [x0 / SIDE_PX, y0 / SIDE_PX, x1 / SIDE_PX, y1 / SIDE_PX]


def truths(*pictures: list[list[float]]) -> list[np.ndarray]:
    return [np.array(picture, float) for picture in pictures]


def logits(*best: int, classes: int = 7) -> np.ndarray:
    """One row each, in which that class is first and the others follow in their order."""
    rows = -np.arange(classes, dtype=np.float32)[None].repeat(len(best), 0)
    rows[np.arange(len(best)), list(best)] = 1
    return rows


# --- laws ---


@given(st.lists(boxes(), min_size=1, max_size=5))
def test_a_perfect_answer_has_no_error(true: list[list[float]]) -> None:
    tag = np.arange(len(true))
    found = localization_errors(np.eye(len(true)), np.array(true), tag, truths(*([box] for box in true)))
    assert (found["top1_error"], found["top5_error"], found["gt_known_error"]) == (0, 0, 0)
    assert max_box_accuracy(np.array(true), truths(*([box] for box in true)))["max_box_acc_v2"] == 1


@given(st.lists(boxes(), min_size=1, max_size=6), st.integers(0, 1000))
def test_errors_shrink_with_guesses_and_do_not_depend_on_the_order(true: list[list[float]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    count = len(true)
    scores, tag = rng.normal(size=(count, 8)), rng.integers(0, 8, count)
    found, truth = rng.permutation(np.array(true)), truths(*([box] for box in true))
    figures = localization_errors(scores, found, tag, truth)
    assert figures["top1_error"] >= figures["top5_error"] >= figures["gt_known_error"]
    order = rng.permutation(count)
    again = localization_errors(scores[order], found[order], tag[order], [truth[k] for k in order])
    assert again == pytest.approx(figures)


@given(boxes(), boxes())
def test_one_more_true_box_never_hurts(answer: list[float], other: list[float]) -> None:
    one, two = truths([[0.3, 0.3, 0.6, 0.6]]), truths([[0.3, 0.3, 0.6, 0.6], other])
    assert best_ious(np.array([answer]), two) >= best_ious(np.array([answer]), one)


# --- by hand ---


@pytest.mark.parametrize(
    ("best", "box", "expected"),  # the class is 5 and its box the middle one
    [
        (5, MIDDLE, (0, 0, 0)),
        (5, LEFT, (1, 1, 1)),  # class right, box wrong
        (0, MIDDLE, (1, 1, 0)),  # 5 comes sixth: not among the first five
        (6, MIDDLE, (1, 1, 0)),
    ],
)
def test_localization_error_by_hand(best: int, box: list[float], expected: tuple[int, int, int]) -> None:
    found = localization_errors(logits(best), np.array([box]), np.array([5]), truths([MIDDLE]))
    assert (found["top1_error"], found["top5_error"], found["gt_known_error"]) == expected


def test_the_second_guess_is_among_the_first_five() -> None:
    found = localization_errors(logits(3), np.array([MIDDLE]), np.array([0]), truths([MIDDLE]))
    assert (found["top1_error"], found["top5_error"]) == (1, 0)


def test_with_a_box_per_class_that_of_the_true_class_counts() -> None:
    per_class = np.array([[LEFT, MIDDLE]])
    found = localization_errors(logits(1, classes=2), per_class, np.array([1]), truths([MIDDLE]))
    assert found["top1_error"] == 0
    found = localization_errors(logits(0, classes=2), per_class, np.array([0]), truths([MIDDLE]))
    assert found["gt_known_error"] == 1


def test_any_of_several_true_boxes_counts() -> None:
    found = localization_errors(logits(0), np.array([RIGHT]), np.array([0]), truths([LEFT, RIGHT]))
    assert found["top1_error"] == 0


def test_a_network_that_says_the_same_of_all_classes_is_not_right_about_all() -> None:
    found = localization_errors(np.zeros((2, 4)), np.array([MIDDLE] * 2), np.array([0, 3]), truths([MIDDLE], [MIDDLE]))
    assert found["top1_error"] == 0.5


def test_the_best_centred_box_stands_beside() -> None:
    """Of these four, the box of half the width and height is right for two."""
    truth = truths([MIDDLE], [MIDDLE], [LEFT], [RIGHT])
    found = localization_errors(logits(0, 0, 0, 0), np.array([LEFT] * 4), np.zeros(4, int), truth)
    assert found["gt_known_error"] == 0.75
    assert found["gt_known_error_centred"] == 0.5
    assert best_ious(centred_box(found["centred_side"])[None], truths([MIDDLE]))[0] >= 0.5
    beside = max_box_accuracy(np.array([LEFT] * 4), truth)["max_box_acc_v2_centred"]
    assert beside == pytest.approx((1 + 0.5 + 0.5) / 3)  # a side of 0.9 overlaps all four by 0.3 or more


def test_accuracy_of_boxes_is_the_mean_over_three_ious() -> None:
    """IoU of 1, 0.6, 0.4 and 0.1 with the true box."""
    found = max_box_accuracy(
        np.array([[0, 0, width, 1] for width in (1, 0.6, 0.4, 0.1)]), truths(*[[[0, 0, 1, 1]]] * 4)
    )
    assert found["by_iou"] == {"0.3": 0.75, "0.5": 0.5, "0.7": 0.25}
    assert found["max_box_acc_v2"] == 0.5
