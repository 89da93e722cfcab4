"""Crops and mirrors: what lies in the picture goes where it is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models import geometry
from models.augment import NO_AUGMENTATION, Augmentation, augmented, partners, random_crops
from models.losses import Targets

Floats = npt.NDArray[np.float32]
UNKNOWN = Targets(torch.tensor([0]), torch.zeros(1, 0), torch.full((1, 4), torch.nan))


def square(xyxy: Floats, side_px: int = 64) -> npt.NDArray[np.uint8]:
    """A black picture with a white rectangle at `xyxy`."""
    picture = np.zeros((side_px, side_px, 3), np.uint8)
    x0, y0, x1, y1 = np.rint(xyxy * side_px).astype(int)
    picture[y0:y1, x0:x1] = 255
    return picture


def seen(picture: npt.NDArray[np.uint8]) -> Floats:
    """Where the white is, xyxy."""
    rows, columns = np.nonzero(picture[:, :, 0] > 127)
    corners = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], np.float32)
    return corners / picture.shape[0]


BOX = np.array([0.375, 0.25, 0.625, 0.75], np.float32)


@given(seed=st.integers(0, 10_000), largest=st.sampled_from([1.0, 2.0]))
def test_boxes_objects_and_points_follow_through_crop_and_mirror(seed: int, largest: float) -> None:
    known = UNKNOWN._replace(
        box=torch.from_numpy(geometry.to_xywh(BOX)[None]),
        objects=torch.tensor([[[3.0, *BOX], [-1, 0, 0, 1, 1]]]),
        points=torch.tensor([[[BOX[0], BOX[1], 1], [BOX[2], BOX[3], 0]]]),
    )
    how, rng = Augmentation(largest_area=largest, light=0, partners=((0, 1),)), np.random.default_rng(seed)
    pixels, moved = augmented(square(BOX)[None], known, how, (64, 64), rng)
    assert moved.objects is not None and moved.points is not None
    assert moved.objects[0, 1, 0] == -1
    if torch.isnan(moved.box).any():
        assert moved.objects[0, 0, 0] == -1
        return
    there = seen(pixels[0].numpy())
    assert geometry.iou(there, geometry.to_xyxy(moved.box.numpy()[0])) > 0.85
    assert geometry.iou(there, moved.objects[0, 0, 1:].numpy()) > 0.85
    for x, y, visible in moved.points[0].tolist():
        if np.isfinite(x):
            corners = np.array([[there[0], there[1]], [there[2], there[3]], [there[0], there[3]], [there[2], there[1]]])
            assert np.abs(corners - [x, y]).max(axis=1).min() < 0.04
            assert visible in (0, 1)


def test_in_the_mirror_left_and_right_change_places() -> None:
    assert partners(["nose", "left eye", "right eye", "left out"]) == ((1, 2),)
    how = Augmentation(smallest_area=1, stretch=1, mirror=1, light=0, partners=((1, 2),))
    points = torch.tensor([[[0.5, 0.1, 1.0], [0.25, 0.2, 1.0], [0.75, 0.3, 0.0]]])
    picture = np.zeros((1, 64, 64, 3), np.uint8)
    _, moved = augmented(picture, UNKNOWN._replace(points=points), how, (64, 64), np.random.default_rng(0))
    assert moved.points is not None
    expected = torch.tensor([[0.5, 0.1, 1.0], [0.25, 0.3, 0.0], [0.75, 0.2, 1.0]])
    torch.testing.assert_close(moved.points[0], expected)


def test_a_point_that_leaves_the_picture_is_unknown_and_so_is_a_box_of_which_too_little_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known = UNKNOWN._replace(box=torch.tensor([[0.0, 0.0, 0.3, 0.3]]), points=torch.tensor([[[0.1, 0.1, 1.0]]]))
    monkeypatch.setattr("models.augment.random_crops", lambda *_: np.array([[0.25, 0.25, 1, 1]], np.float32))
    picture = np.zeros((1, 64, 64, 3), np.uint8)
    _, moved = augmented(picture, known, NO_AUGMENTATION, (64, 64), np.random.default_rng(0))
    assert moved.points is not None
    assert torch.isnan(moved.points).all() and torch.isnan(moved.box).all()


def test_no_augmentation_changes_nothing() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)
    known = Targets(torch.zeros(3, dtype=torch.int64), torch.zeros(3, 0), torch.full((3, 4), 0.25))
    out, moved = augmented(pixels, known, NO_AUGMENTATION, (40, 40), np.random.default_rng(1))
    assert np.array_equal(out.numpy(), pixels)
    assert moved.box == pytest.approx(known.box)


def test_light_changes_every_picture_in_its_own_way_and_moves_nothing() -> None:
    pixels = np.full((4, 32, 32, 3), 100, np.uint8)
    known = Targets(torch.zeros(4, dtype=torch.int64), torch.zeros(4, 0), torch.full((4, 4), 0.25))
    how = Augmentation(smallest_area=1, stretch=1, mirror=0, light=0.3)
    out, moved = augmented(pixels, known, how, (32, 32), np.random.default_rng(0))
    assert len({int(picture.float().mean()) for picture in out}) == 4
    assert torch.equal(moved.box, known.box)


@given(st.floats(0.1, 1), st.integers(0, 1000))
def test_crops_lie_inside_and_keep_the_area_they_promise(smallest: float, seed: int) -> None:
    crops = random_crops(20, Augmentation(smallest_area=smallest, stretch=1.0), np.random.default_rng(seed))
    assert (crops >= 0).all()
    assert (crops <= 1 + 1e-6).all()
    assert (geometry.area(crops) >= smallest - 1e-4).all()


def test_views_larger_than_the_picture_hold_all_of_it_if_not_stretched() -> None:
    how, rng = Augmentation(largest_area=2.0, stretch=1.0), np.random.default_rng(0)
    crops = random_crops(200, how, rng)
    area = geometry.area(crops)
    assert area.min() < 0.6 and area.max() > 1.8
    assert 0.4 < (area > 1).mean() < 0.6
    larger = crops[area > 1]
    assert (larger[:, :2] <= 0).all() and (larger[:, 2:] >= 1).all()
    white, known = np.full((20, 32, 32, 3), 255, np.uint8), UNKNOWN.rows(torch.zeros(20, dtype=torch.int64))
    out, _ = augmented(white, known, replace(how, smallest_area=1.5, light=0), (64, 64), rng)
    share = (out.float().mean(dim=(1, 2, 3)) / 255).numpy()
    assert share.min() < 0.55 and share.max() < 0.7  # of 1 / 2 to 1 / 1.5
    assert set(out.flatten().tolist()) >= {0, 255}
