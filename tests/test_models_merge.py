"""Laws of merging, whichever way: the order of boxes is nothing, one object is one box, nothing comes from nowhere."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import geometry
from models.merge import MERGES, merge
from models.output import FoundBoxes
from pipeline.commands.predict import MERGES as OFFERED

WAYS = sorted(MERGES)
places = st.floats(-0.5, 1.5, width=32)
sides = st.floats(0.015625, 1, width=32)
scores = st.floats(0, 1, width=32)


def found(boxes: list[tuple[float, ...]]) -> FoundBoxes:
    """Boxes x0, y0, x1, y1, score, and where it is given label, picture."""
    table = np.array([(*box, 0, 0)[:7] for box in boxes], np.float64).reshape(-1, 7)
    label, picture = table[:, 5].astype(np.int64), table[:, 6].astype(np.int64)
    return FoundBoxes(picture, table[:, :4].astype(np.float32), table[:, 4].astype(np.float32), label)


@st.composite
def many(draw: st.DrawFn) -> FoundBoxes:
    """Up to 12 boxes of two pictures and two classes, some of them the same."""
    box = st.tuples(places, places, sides, sides, scores, st.integers(0, 1), st.integers(0, 1))
    drawn = draw(st.lists(box, max_size=8))
    drawn += draw(st.lists(st.sampled_from(drawn), max_size=4)) if drawn else []
    return found([(x, y, x + w, y + h, score, label, picture) for x, y, w, h, score, label, picture in drawn])


@pytest.mark.parametrize("way", WAYS)
@given(boxes=many(), seed=st.integers(0, 99))
def test_the_order_of_boxes_changes_nothing(way: str, boxes: FoundBoxes, seed: int) -> None:
    shuffled = boxes.rows(np.random.default_rng(seed).permutation(len(boxes.score)))
    for one, other in zip(merge(boxes, way), merge(shuffled, way), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("way", WAYS)
@given(boxes=many())
def test_no_box_leaves_the_hull_of_its_class_and_scores_are_shares(way: str, boxes: FoundBoxes) -> None:
    merged = merge(boxes, way)
    assert ((merged.score >= 0) & (merged.score <= 1)).all()
    assert (merged.xyxy[:, :2] < merged.xyxy[:, 2:]).all()
    for picture, xyxy, label in zip(merged.picture, merged.xyxy, merged.label, strict=True):
        its = boxes.xyxy[(boxes.picture == picture) & (boxes.label == label)]
        assert (its.min(axis=0) <= xyxy).all() and (xyxy <= its.max(axis=0)).all()


@pytest.mark.parametrize("way", WAYS)
@given(boxes=many())
def test_classes_and_pictures_are_merged_each_by_itself(way: str, boxes: FoundBoxes) -> None:
    merged = merge(boxes, way)
    assert (np.diff(merged.picture) >= 0).all()
    for picture, label in np.ndindex(2, 2):
        own = merge(boxes.rows(np.flatnonzero((boxes.picture == picture) & (boxes.label == label))), way)
        here = merged.rows(np.flatnonzero((merged.picture == picture) & (merged.label == label)))
        assert all(np.array_equal(one, other) for one, other in zip(own, here, strict=True))
        assert (np.diff(here.score) <= 0).all()


@pytest.mark.parametrize("way", WAYS)
@given(x=places, y=places, w=sides, h=sides, score=scores, copies=st.integers(1, 6))
def test_copies_of_a_box_become_that_box(
    way: str, x: float, y: float, w: float, h: float, score: float, copies: int
) -> None:
    box = found([(x, y, x + w, y + h, score)])
    merged = merge(box.rows(np.zeros(copies, np.int64)), way)
    assert np.array_equal(merged.xyxy, box.xyxy)
    assert merged.score == pytest.approx(box.score, rel=1e-6)


@pytest.mark.parametrize("way", WAYS)
@given(kept=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), scores), unique_by=lambda cell: cell[:2]))
def test_boxes_that_do_not_touch_all_stay_as_they_are(way: str, kept: list[tuple[int, int, float]]) -> None:
    boxes = found([(x / 5 + 0.01, y / 5 + 0.01, x / 5 + 0.19, y / 5 + 0.19, score) for x, y, score in kept])
    merged = merge(boxes, way)
    assert sorted(map(tuple, merged.xyxy.tolist())) == sorted(map(tuple, boxes.xyxy.tolist()))
    assert np.sort(merged.score) == pytest.approx(np.sort(boxes.score), rel=1e-6)


# By hand

OBJECT = [(0.1, 0.1, 0.5, 0.5, 0.9), (0.12, 0.1, 0.52, 0.5, 0.6), (0.1, 0.14, 0.5, 0.54, 0.3)]
OTHER = (0.7, 0.7, 0.9, 0.9, 0.8)


@pytest.mark.parametrize(
    ("way", "xyxy", "score"),
    [
        # the mean of all three; confidences add up to 1.8 and 0.8: the first gets the best of all, the other 4/9 of it
        ("greedy", [(0.10667, 0.11333, 0.50667, 0.51333), OTHER[:4]], [0.9, 0.4]),
        ("nms", [OBJECT[0][:4], OTHER[:4]], [0.9, 0.8]),
        # weighted 9 : 6 : 3, and the mean of their scores
        ("fusion", [OTHER[:4], (0.10667, 0.10667, 0.50667, 0.50667)], [0.8, 0.6]),
    ],
)
def test_three_boxes_of_one_object_and_one_of_another(
    way: str, xyxy: list[tuple[float, ...]], score: list[float]
) -> None:
    merged = merge(found([*OBJECT, OTHER]), way)
    assert merged.xyxy == pytest.approx(np.array(xyxy), abs=1e-4)
    assert merged.score == pytest.approx(score, abs=1e-6)


def test_soft_nms_lowers_what_overlaps_a_better_box_by_how_much_it_does() -> None:
    boxes = found([(0, 0, 0.4, 0.4, 0.9), (0.2, 0, 0.6, 0.4, 0.6), (0.04, 0, 0.44, 0.4, 0.5)])
    merged = merge(boxes, "soft-nms")
    third = np.exp(-((1 / 3) ** 2) / 0.5)  # the overlap of the second is 1/3; of the third 9/11, and it fades away
    assert merged.xyxy == pytest.approx(boxes.xyxy[:2])
    assert merged.score == pytest.approx([0.9, 0.6 * third], abs=1e-6)


def test_no_boxes_merge_into_none() -> None:
    assert [len(merge(found([]), way).score) for way in WAYS] == [0] * 4


def test_the_command_offers_the_ways_that_there_are() -> None:
    assert sorted(OFFERED) == WAYS


def test_greedy_merging_ends_where_boxes_overlap_by_less_than_a_half() -> None:
    """Two squares apart by a share f of their side have an IoU of (1 - f) / (1 + f): a half for f = 1/3."""
    for apart, count in ((0.3, 1), (0.35, 2)):
        boxes = found([(0, 0, 0.5, 0.5, 0.5), (apart / 2, 0, 0.5 + apart / 2, 0.5, 0.5)])
        assert (geometry.iou(*boxes.xyxy) > 0.5) == (count == 1)
        assert len(merge(boxes, "greedy").score) == count
