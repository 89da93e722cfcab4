"""Many objects on one map: which cell answers for which, and that a map which knows gives the boxes back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from models import geometry
from models.detect import assign, centres, object_loss, objects_in

HEIGHT, WIDTH, CLASSES = 4, 6, 3
SURE = 12.0  # a logit


def objects(*rows: tuple[float, ...]) -> Tensor:
    """One picture's, (1, M, 5)."""
    return torch.tensor([rows])


def knowing(wanted: Tensor) -> Tensor:
    """Cells (1, h, w, C + 5) that answer exactly what they are asked."""
    known = assign(wanted, HEIGHT, WIDTH)
    cells = torch.full((1, HEIGHT, WIDTH, CLASSES + 5), -SURE)
    here = known.label >= 0
    cells[here] = cells[here].scatter(1, known.label[here][:, None], SURE)
    near = torch.minimum(known.reach[..., :2], known.reach[..., 2:])
    far = torch.maximum(known.reach[..., :2], known.reach[..., 2:])
    centred = (near / far).prod(-1).sqrt().clamp(1e-6, 1 - 1e-6)
    cells[..., CLASSES] = torch.where(here, torch.logit(centred), -SURE)
    cells[..., CLASSES + 1 :] = known.reach.log()
    return cells


def test_the_cells_around_an_objects_middle_answer_for_it() -> None:
    label = assign(objects((2, 1 / 3, 0.25, 2 / 3, 0.75)), HEIGHT, WIDTH).label[0]
    assert (label[1:3, 2:4] == 2).all()
    assert (label >= 0).sum() == 4


def test_an_object_smaller_than_a_cell_has_the_cell_that_holds_it() -> None:
    label = assign(objects((0, 0.02, 0.02, 0.05, 0.05)), HEIGHT, WIDTH).label[0]
    assert label[0, 0] == 0 and (label >= 0).sum() == 1


def test_where_two_claim_a_cell_the_smaller_has_it() -> None:
    large, small = (0, 0.0, 0.0, 1.0, 1.0), (1, 0.35, 0.3, 0.65, 0.7)
    for pair in ((large, small), (small, large)):
        label = assign(objects(*pair), HEIGHT, WIDTH).label[0]
        assert label[1:3, 2:4].eq(1).all()


def test_rows_that_fill_up_are_no_objects() -> None:
    assert (assign(objects((-1, 0, 0, 1, 1)), HEIGHT, WIDTH).label == -1).all()


SIDE = st.floats(0.3, 0.6)


@settings(max_examples=40, deadline=None)
@given(x=st.floats(0, 0.4), y=st.floats(0, 0.4), width=SIDE, height=SIDE, label=st.integers(0, CLASSES - 1))
def test_a_map_that_knows_gives_the_object_back(x: float, y: float, width: float, height: float, label: int) -> None:
    wanted = objects((label, x, y, x + width, y + height))
    found = objects_in(knowing(wanted), 0.1)
    assert found.label.tolist() == [label]
    assert geometry.iou(found.xyxy.numpy(), wanted[0, :, 1:].numpy()) == pytest.approx(1, abs=1e-3)


def test_a_map_that_knows_has_the_least_loss() -> None:
    wanted = objects((1, 0.1, 0.1, 0.5, 0.6), (2, 0.55, 0.3, 0.95, 0.9))
    cells = knowing(wanted)
    least = float(object_loss(cells, wanted))
    generator = torch.Generator().manual_seed(0)
    worse = [float(object_loss(cells + 0.3 * torch.randn(cells.shape, generator=generator), wanted)) for _ in range(5)]
    assert least < min(worse)


def test_pictures_whose_objects_nobody_listed_teach_nothing() -> None:
    cells = torch.randn(2, HEIGHT, WIDTH, CLASSES + 5, requires_grad=True)
    known = objects((1, 0.1, 0.1, 0.5, 0.6))
    object_loss(cells, torch.cat([known, torch.full_like(known, math.nan)])).backward()
    assert cells.grad is not None
    assert cells.grad[0].abs().sum() > 0 and cells.grad[1].abs().sum() == 0
    nothing = torch.full((2, 1, 5), math.nan)
    assert float(object_loss(cells, nothing).detach()) == 0


def test_objects_come_by_picture_the_best_first() -> None:
    wanted = torch.cat(
        [objects((0, 0.1, 0.1, 0.4, 0.4), (1, 0.5, 0.5, 0.9, 0.9)), objects((2, 0, 0, 1, 1), (-1, 0, 0, 1, 1))]
    )
    cells = torch.cat([knowing(wanted[:1]), knowing(wanted[1:])])
    cells[0, ..., 1] -= SURE  # the second object is doubtful
    found = objects_in(cells, 0.05)
    assert found.picture.tolist() == sorted(found.picture.tolist())
    first = found.score[found.picture == 0].tolist()
    assert first == sorted(first, reverse=True) and len(first) == 2


def test_where_an_object_lies_is_the_mean_of_what_its_cells_say_and_others_do_not_matter() -> None:
    wanted = objects((1, 0.1, 0.1, 0.6, 0.7))
    cells, known = knowing(wanted), assign(wanted, HEIGHT, WIDTH).label >= 0
    cells[..., CLASSES][known] = SURE  # all are as sure
    (row, column), *others = known[0].nonzero().tolist()
    cells[0, row, column, CLASSES + 1] = torch.log(cells[0, row, column, CLASSES + 1].exp() + 0.02)  # further left
    cells[0, 3, 5, 0] = cells[0, 3, 5, CLASSES] = SURE  # of another class, around all
    cells[0, 3, 5, CLASSES + 1 :] = math.log(0.9)
    found = objects_in(cells, 0.1)
    (place,) = (found.label == 1).nonzero()[:, 0].tolist()
    x0, y0, x1, y1 = found.xyxy[place].tolist()
    assert [y0, x1, y1] == pytest.approx([0.1, 0.6, 0.7], abs=1e-5)
    assert x0 == pytest.approx(0.1 - 0.02 / (len(others) + 1), abs=2e-3)


def test_the_centres_of_cells_are_where_they_are_drawn() -> None:
    middle = centres(2, 4)
    np.testing.assert_allclose(middle[1, 0], [0.125, 0.75])
    assert middle.shape == (2, 4, 2)
