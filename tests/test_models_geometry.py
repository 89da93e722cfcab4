"""Laws of boxes: both notations say the same, overlap is a share, nothing leaves the picture."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import geometry

Floats = npt.NDArray[np.float64]

unit = st.floats(0, 1)


@st.composite
def boxes(draw: st.DrawFn) -> Floats:
    """One xyxy inside the picture, at least 1 % wide and high."""
    x0, y0 = draw(st.floats(0, 0.98)), draw(st.floats(0, 0.98))
    x1, y1 = draw(st.floats(x0 + 0.01, 1)), draw(st.floats(y0 + 0.01, 1))
    return np.array([x0, y0, x1, y1])


@given(boxes())
def test_corner_and_size_say_the_same_as_two_corners(box: Floats) -> None:
    assert geometry.to_xyxy(geometry.to_xywh(box)) == pytest.approx(box)


@given(boxes())
def test_a_box_overlaps_itself_wholly(box: Floats) -> None:
    assert geometry.iou(box, box) == pytest.approx(1.0)


@given(boxes(), boxes())
def test_overlap_is_a_share_and_does_not_depend_on_the_order(a: Floats, b: Floats) -> None:
    assert 0 <= geometry.iou(a, b) <= 1
    assert geometry.iou(a, b) == geometry.iou(b, a)


@given(boxes(), boxes(), boxes())
def test_overlap_does_not_depend_on_the_part_of_the_picture_that_is_shown(a: Floats, b: Floats, crop: Floats) -> None:
    shown = geometry.iou(geometry.within(a, crop), geometry.within(b, crop))
    assert shown == pytest.approx(float(geometry.iou(a, b)), abs=1e-6)


@given(boxes(), boxes())
def test_a_mirror_keeps_overlaps_and_shows_itself_unchanged_twice(a: Floats, b: Floats) -> None:
    assert geometry.iou(geometry.mirrored(a), geometry.mirrored(b)) == pytest.approx(float(geometry.iou(a, b)))
    assert geometry.mirrored(geometry.mirrored(a)) == pytest.approx(a)


@given(st.lists(st.floats(-3, 4), min_size=4, max_size=4))
def test_a_clipped_box_is_inside_and_never_empty_also_in_single_precision(corners: list[float]) -> None:
    x0, y0, x1, y1 = geometry.clip(np.array(corners, np.float32))
    assert 0 <= x0 < x1 <= 1
    assert 0 <= y0 < y1 <= 1


def test_overlap_of_boxes_known_by_hand() -> None:
    left, right = np.array([0, 0, 0.5, 1.0]), np.array([0.25, 0, 0.75, 1.0])
    assert geometry.iou(left, right) == pytest.approx(1 / 3)
    assert geometry.iou(left, np.array([0.5, 0, 1, 1.0])) == 0
    assert geometry.iou(np.zeros(4), np.zeros(4)) == 0
