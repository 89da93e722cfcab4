"""Boxes with labels: COCO's own figures, known by hand, beside those of boxes that never look."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.figures import detection
from models.figures.detection import DetectionJudge, Objects

NAMES = ("ball", "player")
WHOLE, LEFT, RIGHT = [0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0]


def objects(*rows: tuple[int, int, list[float]]) -> Objects:
    """(picture, label, xyxy) each."""
    pictures, labels, boxes = [row[0] for row in rows], [row[1] for row in rows], [row[2] for row in rows]
    return Objects(np.array(pictures, np.int64), np.array(labels, np.int64), np.array(boxes, float).reshape(-1, 4))


def detection_figures(found: Objects, score: np.ndarray, truth: Objects, names: tuple[str, ...]) -> dict[str, Any]:
    """In the pictures that hold anything."""
    return detection.detection_figures(found, score, truth, names, np.union1d(found.picture, truth.picture))


@st.composite
def scenes(draw: st.DrawFn) -> Objects:
    rows = []
    for picture in range(draw(st.integers(1, 4))):
        for number in range(draw(st.integers(1, 3))):
            x, y = draw(st.integers(0, 5)) / 10, number * 0.3
            rows.append((picture, draw(st.integers(0, 1)), [x, y, x + 0.4, y + 0.25]))
    return objects(*rows)


@settings(max_examples=30)
@given(scenes())
def test_a_perfect_answer_scores_one(truth: Objects) -> None:
    found = detection_figures(truth, np.linspace(1, 0.5, len(truth.label)), truth, NAMES)
    assert (found["map50"], found["map"]) == pytest.approx((1, 1))


@settings(max_examples=30)
@given(scenes(), scenes(), st.integers(0, 100))
def test_the_order_of_boxes_does_not_matter_and_a_stricter_iou_never_helps(
    found: Objects, truth: Objects, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    score, order = rng.permutation(len(found.label)) / 100, rng.permutation(len(found.label))
    figures = detection_figures(found, score, truth, NAMES)
    mixed = Objects(found.picture[order], found.label[order], found.xyxy[order])
    assert detection_figures(mixed, score[order], truth, NAMES) == figures
    assert figures["map"] <= figures["map50"] + 1e-12


def test_average_precision_by_hand() -> None:
    """Two balls: the best answer is right, the next is not, the third is right by a little more than half.

    Precision is 1 up to half of the recall and 2/3 up to the whole: of COCO's 101 points 51 and 50.
    """
    truth = objects((0, 0, LEFT), (1, 0, WHOLE))
    found = objects((0, 0, LEFT), (0, 0, RIGHT), (1, 0, [0.0, 0.0, 0.58, 1.0]))
    figures = detection_figures(found, np.array([0.9, 0.8, 0.7]), truth, NAMES)
    at_50, above = (51 + 50 * 2 / 3) / 101, 51 / 101
    assert figures["map50"] == pytest.approx(at_50)
    assert figures["map"] == pytest.approx((2 * at_50 + 8 * above) / 10)  # 0.58 is enough for 0.5 and 0.55
    assert (figures["pictures"], figures["boxes"]) == (2, 2)


def test_a_box_of_another_label_is_no_match_and_a_label_without_truth_does_not_count() -> None:
    truth = objects((0, 1, LEFT), (1, 1, LEFT))
    found = objects((0, 0, LEFT), (1, 1, LEFT))
    figures = detection_figures(found, np.array([0.9, 0.8]), truth, NAMES)
    assert figures["map50"] == pytest.approx(51 / 101)
    assert list(figures["map50_by_class"]) == ["player"]


def test_a_true_box_is_found_once() -> None:
    truth = objects((0, 0, LEFT), (1, 0, LEFT))
    found = objects((0, 0, LEFT), (0, 0, LEFT), (1, 0, LEFT))
    figures = detection_figures(found, np.array([0.9, 0.8, 0.7]), truth, NAMES)
    assert figures["map50"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_boxes_that_never_look_are_right_where_all_boxes_are_alike() -> None:
    """A ball in the left half of each of two pictures and one player: of the players' two boxes one is right."""
    truth = objects((0, 0, LEFT), (1, 0, LEFT), (1, 1, RIGHT))
    nothing = detection_figures(objects(), np.empty(0), truth, NAMES)
    assert (nothing["map50"], nothing["map"]) == (0, 0)
    assert nothing["map50_blind"] == pytest.approx((1 + 0.5) / 2)


def test_where_nothing_is_true_there_is_no_figure() -> None:
    assert detection_figures(objects((0, 0, LEFT)), np.ones(1), objects(), NAMES) == {"pictures": 1, "boxes": 0}


def test_nothing_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    detection_figures(objects((0, 0, LEFT)), np.ones(1), objects((0, 0, LEFT)), NAMES)
    assert capsys.readouterr() == ("", "")


def test_a_picture_with_nothing_in_it_makes_boxes_that_never_look_wrong() -> None:
    truth = objects((2, 0, LEFT), (3, 0, LEFT))
    figures = detection.detection_figures(truth, np.array([0.9, 0.8]), truth, NAMES, np.arange(4))
    assert (figures["pictures"], figures["map50"]) == (4, pytest.approx(1))
    assert figures["map50_blind"] == pytest.approx(0.5)  # two wrong ones come first


def test_pictures_drawn_more_than_once_count_as_often() -> None:
    """The same as if they were there as often."""
    truth, found = objects((0, 0, LEFT), (1, 0, WHOLE)), objects((0, 0, LEFT), (1, 0, RIGHT))
    judge = DetectionJudge(found, np.array([0.9, 0.8]), truth, 2, np.arange(2))
    mine, true = (objects(*[(k, 0, LEFT if k < 2 else box) for k in range(3)]) for box in (RIGHT, WHOLE))
    there = detection.detection_figures(mine, np.array([0.9, 0.9, 0.8]), true, NAMES, np.arange(3))
    assert judge.figures(np.array([0, 0, 1])) == pytest.approx({"map50": there["map50"], "map": there["map"]})
    assert judge.figures(np.array([0]))["map50"] == pytest.approx(1)
    assert np.isnan(DetectionJudge(found, np.ones(2), objects(), 2, np.arange(2)).figures(np.array([1]))["map50"])
