"""Confusion is counted, and drawn where it is; a reliability diagram is red where confidence and truth part."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.figures.calibration import reliability
from models.figures.confusion import commonest, confusion
from models.figures.pictures import MOST_CLASSES, confusion_picture, reliability_picture

answers = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), max_size=30)


@given(answers)
def test_every_picture_is_counted_once_where_its_class_and_its_answer_meet(pairs: list[tuple[int, int]]) -> None:
    tag, answer = (np.array([pair[k] for pair in pairs], np.int64) for k in (0, 1))
    counts = confusion(answer, tag, 4)
    assert counts.shape == (4, 4)
    for row in range(4):
        for column in range(4):
            assert counts[row, column] == pairs.count((row, column))


def blueness(picture: np.ndarray) -> np.ndarray:
    return (picture[..., 2].astype(int) - picture[..., 0]).clip(0)


def test_a_right_network_is_blue_on_the_diagonal_only() -> None:
    names = ("dunk", "a name that goes on for longer than anybody reads")
    picture = confusion_picture(np.diag([5, 2]), names)
    assert picture.dtype == np.uint8 and picture.ndim == 3
    grid = blueness(picture[-60:, -60:])  # two cells of 30 px
    assert np.median(grid[:30, :30]) > 100 and np.median(grid[30:, 30:]) > 100
    assert grid[:30, 30:].max() == grid[30:, :30].max() == 0


def test_names_stand_beside_their_rows_and_above_their_columns() -> None:
    picture = confusion_picture(np.zeros((2, 2), np.int64), ("tennis", ""))
    left_px = picture.shape[1] - 60
    rows, columns = picture[left_px:, :left_px], picture[:left_px, left_px:]
    assert rows[:30].min() < 100 and rows[30:].min() == 255
    assert columns[:, :30].min() < 100 and columns[:, 30:].min() == 255
    assert np.array_equal(np.rot90(rows), columns)


def test_of_many_classes_the_commonest_are_drawn() -> None:
    counts = np.diag(np.arange(50))
    assert commonest(counts, 3).tolist() == [47, 48, 49]
    assert commonest(np.ones((4, 4), np.int64), 2).tolist() == [0, 1]
    many = confusion_picture(counts, [str(k % 10) for k in range(50)])
    few = confusion_picture(counts[:40, :40], [str(k % 10) for k in range(40)])
    assert many.shape == few.shape
    assert (many.shape[0] - 30 * MOST_CLASSES) < 60


def test_no_class_at_all_is_an_empty_picture() -> None:
    assert confusion_picture(np.zeros((0, 0), np.int64), ()).size <= 16 * 16 * 3


@pytest.mark.parametrize(("right", "red"), [(9, False), (5, True), (10, True)])
def test_a_gap_between_confidence_and_truth_is_red(right: int, red: bool) -> None:
    picture = reliability_picture(reliability(np.full(10, 0.9), np.arange(10) < right)).astype(int)
    reddish = (picture[..., 0] > picture[..., 2] + 50).sum()
    assert (reddish > 100) == red


def test_the_diagram_of_no_picture_is_drawn_too() -> None:
    empty = reliability_picture(reliability(np.empty(0), np.empty(0, bool)))
    assert empty.dtype == np.uint8 and empty.shape[2] == 3
