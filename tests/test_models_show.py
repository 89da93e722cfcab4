"""Pages of pictures: what was taken for something else, the surest first, and boxes beside the true ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from models.evaluate import Answers
from models.show import _wrong_events, _wrong_tags, boxes_shown, wrong_shown
from models.spec import Spec
from models.targets import Truth

SPEC = Spec(backbone="resnet18", height_px=64, width_px=64, tags=("a", "b"), events=("dunk",), localizer=True)
PIXELS = np.zeros((4, 64, 64, 3), np.uint8)
TRUTH = Truth(
    np.array([0, 1, -1, 1]),
    np.array([[1], [0], [np.nan], [0]], np.float32),
    np.array([[0.1, 0.1, 0.5, 0.5]] * 3 + [[np.nan] * 4], np.float32),
    np.empty((4, 0), np.int64),
    np.empty((4, 0, 3), np.float32),
    np.full((4, 1, 5), np.nan, np.float32),
)
FOUND = Answers(
    tags=np.array([[0, 1], [3, 0], [0, 9], [0, 5]], np.float32),
    events=np.array([[-2], [4], [9], [-1]], np.float32),
    boxes=np.array(
        [[[0.1, 0.1, 0.5, 0.5]], [[0.6, 0.6, 0.9, 0.9]], [[0.1, 0.1, 0.5, 0.4]], [[0, 0, 1, 1]]], np.float32
    ),
)


def test_a_mistake_is_another_tag_than_the_true_one_or_an_event_on_the_wrong_side() -> None:
    assert [one[:3] for one in _wrong_tags(FOUND, TRUTH, SPEC)] == [(0, "a", "b"), (1, "b", "a")]
    assert [one[:3] for one in _wrong_events(FOUND, TRUTH, SPEC)] == [(0, "dunk", "no dunk"), (1, "no dunk", "dunk")]
    assert all(one.sure > 0.5 for one in _wrong_events(FOUND, TRUTH, SPEC))


def test_mistakes_are_shown_up_to_a_number_and_none_where_there_is_none() -> None:
    assert [len(wrong_shown(PIXELS, FOUND, TRUTH, SPEC, most)) for most in (0, 3, 9)] == [0, 3, 4]
    only_events = replace(FOUND, tags=None)
    assert len(wrong_shown(PIXELS, only_events, TRUTH, SPEC, 9)) == 2
    right = Answers(tags=np.eye(2, dtype=np.float32)[np.maximum(TRUTH.tag, 0)])
    assert len(wrong_shown(PIXELS, right, TRUTH, SPEC, 9)) == 0


def test_the_worst_box_comes_first_with_the_true_one_in_green() -> None:
    shown = boxes_shown(PIXELS, FOUND, TRUTH, 2)
    assert len(shown) == 2
    side = shown.shape[1] - 1
    left, top = round(0.1 * side), round(0.1 * side)
    assert tuple(shown[0][top + 20, left]) == (80, 220, 80)
    assert tuple(shown[0][round(0.6 * side) + 20, round(0.6 * side)]) == (240, 80, 60)
