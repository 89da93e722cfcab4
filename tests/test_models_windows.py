"""Windows over pictures: where they lie, what a picture is said to show, and whose object is whose."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from models import geometry
from models.dense import Dense
from models.merge import MERGES
from models.output import FoundBoxes
from models.predictor import InTorch, Predictor
from models.spec import Spec
from models.window_predictor import WindowPredictor
from models.windows import Seen, candidates, find, in_picture, look, of_picture, resized, window_targets, windows
from pipeline.errors import ConfigError
from tests import networks

Floats = npt.NDArray[np.float64]
SPEC = Spec(
    backbone="shufflenet_v2_x0_5",
    height_px=64,
    width_px=96,
    tags=("goal", "none", "save"),
    events=("dunk",),
    localizer=True,
    box_per_class=True,
)


@pytest.fixture(scope="module")
def dense() -> Dense:
    return Dense(networks.settled(SPEC))


def pictures(dense: Dense, scale: float, count: int = 2) -> Tensor:
    return torch.from_numpy(networks.patches(count, *dense.size_px(scale), seed=1))


# Where windows lie


def test_windows_lie_row_by_row_one_stride_apart_and_reach_both_ends(dense: Dense) -> None:
    found = windows(dense, 128, 128)
    expected_px = [(x, y, x + 96, y + 64) for y in (0, 32, 64) for x in (0, 32)]
    assert found * 128 == pytest.approx(np.array(expected_px))
    assert found.min() == 0 and found.max() == 1


@given(box=arrays(np.float64, 4, elements=st.floats(-2, 2)), x=st.floats(0, 0.5), y=st.floats(0, 0.5))
def test_a_box_placed_from_a_window_is_within_that_window_again(box: Floats, x: float, y: float) -> None:
    window = np.array([x, y, x + 0.5, y + 0.25])
    assert geometry.within(geometry.placed(box, window), window) == pytest.approx(box, abs=1e-9)
    assert geometry.placed(np.array([0, 0, 1, 1]), window) == pytest.approx(window)


def test_a_window_says_what_the_network_says_of_it_and_where_in_the_picture(dense: Dense) -> None:
    pixels = pictures(dense, 1)
    seen, (_, answers) = look(dense, pixels), dense.network(pixels)
    assert (seen.probs.shape, seen.boxes.shape) == ((2, 1, 4), (2, 1, 3, 4))
    assert seen.probs[:, 0, :3] == pytest.approx(answers["tags"].softmax(dim=1).detach().numpy(), abs=1e-5)
    assert geometry.to_xywh(seen.boxes[:, 0]) == pytest.approx(answers["box"].detach().numpy(), abs=1e-4)
    wide = look(dense, pictures(dense, 2))
    local = dense(pictures(dense, 2))["box"].flatten(1, 2).detach().numpy()
    corner = windows(dense, *dense.size_px(2))[:, None, :2]
    assert wide.boxes[..., :2] == pytest.approx(corner + local[..., :2] / 2, abs=1e-5)


def test_a_picture_keeps_its_pixels_in_its_own_size_and_its_mean_in_another(dense: Dense) -> None:
    pixels = pictures(dense, 2)
    assert resized(pixels, (128, 192)) is pixels
    smaller = resized(pixels, (64, 96))
    assert (smaller.dtype, tuple(smaller.shape)) == (torch.uint8, (2, 64, 96, 3))
    assert float(smaller.float().mean()) == pytest.approx(float(pixels.float().mean()), abs=1)


# What a picture shows


def test_a_picture_is_scored_by_its_best_window_and_the_mean_of_scales(dense: Dense) -> None:
    pixels = pictures(dense, 2)
    output = find(dense, pixels, (1, 2), "nms")
    small, large = look(dense, resized(pixels, (64, 96))).probs, look(dense, pixels).probs
    assert output.probs == pytest.approx((of_picture(small, SPEC) + of_picture(large, SPEC)) / 2, abs=1e-6)


def test_a_picture_shows_what_any_window_shows_and_nothing_where_no_window_shows_anything() -> None:
    probs = np.array([[[0.1, 0.9, 0.0, 0.2], [0.3, 0.2, 0.5, 0.1]]])  # goal, none, save; dunk
    assert of_picture(probs, SPEC).tolist() == [[0.3, 0.2, 0.5, 0.2]]


@pytest.mark.parametrize("way", MERGES)
def test_at_scale_1_there_is_one_window_and_it_says_what_the_predictor_says(way: str) -> None:
    """Where the best tag is not `none` and its box not turned inside out."""
    network = networks.settled(SPEC)
    pixels = pictures(Dense(network), 1, count=16)
    one = find(Dense(network), pixels, (1,), way)
    usual = Predictor(SPEC, InTorch(network, torch.device("cpu"), bf16=False), batch=16).submit(pixels.numpy()).result()
    assert one.probs == pytest.approx(usual.probs, abs=1e-5)
    assert one.boxes is not None and usual.boxes is not None
    best = usual.probs[:, :3].argmax(axis=1)
    sized = (usual.boxes.xyxy[:, 2:] - usual.boxes.xyxy[:, :2] > 2 * geometry.MIN_SIDE).all(axis=1)
    rows = np.flatnonzero((best != 1) & sized)
    assert len(rows) > 2
    for picture in rows:
        mine = (one.boxes.picture == picture) & (one.boxes.label == best[picture])
        assert one.boxes.xyxy[mine][0] == pytest.approx(usual.boxes.xyxy[picture], abs=1e-4)
        assert one.boxes.score[mine][0] == pytest.approx(usual.probs[picture, best[picture]], abs=1e-5)


@pytest.mark.parametrize("way", MERGES)
def test_boxes_lie_in_their_picture_are_of_a_tag_and_of_pictures_in_order(dense: Dense, way: str) -> None:
    boxes = find(dense, pictures(dense, 2, count=3), (1, 1.5, 2), way).boxes
    assert boxes is not None and len(boxes.picture) > 3
    assert (np.diff(boxes.picture) >= 0).all()
    assert ((boxes.xyxy >= 0) & (boxes.xyxy <= 1)).all() and (boxes.xyxy[:, :2] < boxes.xyxy[:, 2:]).all()
    assert set(boxes.label) <= {0, 2}
    assert (boxes.xyxy.dtype, boxes.score.dtype, boxes.label.dtype) == (np.float32, np.float32, np.int64)


def test_the_answer_for_a_picture_does_not_depend_on_its_neighbours(dense: Dense) -> None:
    pixels = pictures(dense, 2, count=3)
    together = find(dense, pixels, (1, 2), "greedy")
    assert together.boxes is not None
    for picture in range(3):
        alone = find(dense, pixels[picture : picture + 1], (1, 2), "greedy")
        assert alone.boxes is not None
        assert alone.probs[0] == pytest.approx(together.probs[picture], abs=1e-5)
        its = together.boxes.rows(np.flatnonzero(together.boxes.picture == picture))
        assert its.xyxy == pytest.approx(alone.boxes.xyxy, abs=1e-4)


def test_a_box_beyond_the_picture_is_none_and_one_at_its_edge_is_cut() -> None:
    corners = np.array([[-0.5, 0.2, -0.1, 0.5], [-0.5, 0.2, 0.5, 1.2], [0.1, 1, 0.2, 1.5]], np.float32)
    three = FoundBoxes(np.zeros(3, np.int64), corners, np.ones(3, np.float32), np.arange(3))
    kept = in_picture(three)
    assert kept.label.tolist() == [1]
    assert kept.xyxy == pytest.approx(np.array([[0, 0.2, 0.5, 1]]))


def test_a_box_needs_a_sure_window_and_a_likely_class_and_a_size() -> None:
    tags = tuple("abcdef")
    spec = Spec(backbone="alexnet", height_px=64, width_px=64, tags=tags, localizer=True)
    probs = np.full((1, 3, 6), 0.1)
    probs[0, 0], probs[0, 1, 5] = [0.21, 0.22, 0.23, 0.24, 0.25, 0.3], 0.9
    boxes = np.array([[[[0, 0, 1, 1]], [[0, 0, 0.5, 1]], [[0.5, 0, 0.4, 1]]]], np.float64)
    found = candidates(Seen(probs, boxes), spec)
    assert sorted(zip(found.label.tolist(), found.score.round(2).tolist(), strict=True)) == [
        (1, 0.22),  # a is the sixth best
        (2, 0.23),
        (3, 0.24),
        (4, 0.25),
        (5, 0.3),
        (5, 0.9),
    ]
    probs[0, 2, 5] = 1.0
    assert len(candidates(Seen(probs, boxes), spec).label) == 6  # turned inside out


# Serving


def test_windows_are_servedin_pictures_as_large_as_the_largest_scale(dense: Dense) -> None:
    served = WindowPredictor(dense, device=torch.device("cpu"), batch=2, scales=(2.0, 1.0), way="nms")
    assert (served.height_px, served.width_px, served.tags, served.events) == (128, 192, SPEC.tags, SPEC.events)
    pixels = pictures(dense, 2)
    assert np.array_equal(served.submit(pixels.numpy()).result().probs, find(dense, pixels, (2, 1), "nms").probs)


@pytest.mark.parametrize(
    ("scale", "why"), [(0.5, "would not fit"), (float("nan"), "would not fit"), (99, "at most 4096")]
)
def test_a_scale_that_cannot_be_is_refused(dense: Dense, scale: float, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        WindowPredictor(dense, device=torch.device("cpu"), batch=2, scales=(1, scale), way="nms")


# Whose object

corners = st.tuples(*[st.floats(0, 0.6)] * 2, *[st.floats(0.05, 0.4)] * 2)


@st.composite
def boxes(draw: st.DrawFn) -> Floats:
    x, y, w, h = draw(corners)
    return np.array([x, y, x + w, y + h])


@given(boxes(), st.lists(boxes(), min_size=1, max_size=5))
def test_a_window_that_holds_an_object_has_its_centre_and_half_of_it(thing: Floats, all_windows: list[Floats]) -> None:
    targets = window_targets(thing, np.array(all_windows))
    centre = (thing[:2] + thing[2:]) / 2
    for window, holds, xywh in zip(all_windows, *targets, strict=True):
        inside = (window[:2] <= centre).all() and (centre < window[2:]).all()
        both = np.array([*np.maximum(thing[:2], window[:2]), *np.minimum(thing[2:], window[2:])])
        share = float(geometry.area(both) / geometry.area(thing))
        if abs(share - 0.5) > 1e-6 and np.abs(np.concatenate([centre - window[:2], centre - window[2:]])).min() > 1e-6:
            assert holds == (inside and share > 0.5)
        assert np.isnan(xywh).all() != holds
        if holds:
            assert geometry.placed(geometry.to_xyxy(xywh.astype(np.float64)), window) == pytest.approx(thing, abs=1e-5)


@given(boxes(), boxes())
def test_the_window_around_an_object_holds_it_and_the_whole_picture_always_does(thing: Floats, other: Floats) -> None:
    assert window_targets(thing, thing).holds
    assert window_targets(thing, thing).xywh == pytest.approx([0, 0, 1, 1], abs=1e-5)
    assert window_targets(thing, np.array([0, 0, 1, 1])).xywh == pytest.approx(geometry.to_xywh(thing), abs=1e-6)
    assert not window_targets(thing, other + 2).holds


def test_whose_object_it_is_by_hand() -> None:
    thing = np.array([0.25, 0.25, 0.5, 0.5])
    table = [
        ((0.25, 0.25, 0.5, 0.5), True),
        ((0.375, 0.25, 0.875, 0.5), True),  # its right half, and its centre lies on the window's edge
        ((0.0, 0.25, 0.375, 0.5), False),  # its left half: the centre is the other window's
        ((0.0, 0.0, 0.4375, 0.4375), True),  # 56 %
        ((0.0, 0.0, 0.42, 0.42), False),  # 46 %, with the centre
        ((0.625, 0.625, 1.0, 1.0), False),
    ]
    targets = window_targets(thing, np.array([window for window, _ in table]))
    assert targets.holds.tolist() == [holds for _, holds in table]
    assert targets.xywh[3] == pytest.approx(np.full(4, 0.25) / 0.4375)
    assert targets.xywh.dtype == np.float32


def test_a_picture_without_a_box_and_a_box_without_a_size_are_no_windows_object() -> None:
    for nothing in (np.full(4, np.nan), np.array([0.5, 0.5, 0.5, 0.5])):
        targets = window_targets(nothing, np.array([[0, 0, 1, 1], [0.2, 0.2, 0.9, 0.9]]))
        assert not targets.holds.any()
        assert np.isnan(targets.xywh).all()


def test_windows_of_many_pictures_at_once() -> None:
    things = np.array([[0.1, 0.1, 0.2, 0.2], [0.7, 0.7, 0.9, 0.9]])
    targets = window_targets(things[:, None], np.array([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1], [0, 0, 1, 1]]))
    assert targets.holds.tolist() == [[True, False, True], [False, True, True]]
