"""What a cell has seen, by arithmetic, is what changes it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn

from models.backbone import Backbone
from models.receptive import Field, Fields, Shapes, fields
from models.spec import Spec

SIDE_PX = 96
CELL = 4


@st.composite
def layers(draw: st.DrawFn) -> nn.Module:
    """A convolution or a mean with positive weights: all that a cell reads changes it. Three channels throughout."""
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride, padding = draw(st.integers(1, 2)), draw(st.integers(0, min(kernel) // 2))
    if draw(st.booleans()):
        return nn.AvgPool2d(kernel, stride, padding)
    return positive(nn.Conv2d(3, 3, kernel, stride, padding, dilation=draw(st.integers(1, 2))))


def positive(layer: nn.Conv2d) -> nn.Conv2d:
    nn.init.constant_(layer.weight, 1)
    return layer


def of_output(module: nn.Module, side_px: int = SIDE_PX) -> Fields:
    graph = fx.symbolic_trace(module)
    (output,) = (node for node in graph.graph.nodes if node.op == "output")
    return fields(graph, Shapes(graph, side_px, side_px).of)[output]


@settings(max_examples=60)
@given(st.lists(layers(), min_size=1, max_size=4))
def test_a_cell_has_seen_the_pixels_that_change_it_and_no_others(chain: list[nn.Module]) -> None:
    module = nn.Sequential(positive(nn.Conv2d(3, 3, 1)), *chain)
    picture = torch.zeros(1, 3, SIDE_PX, SIDE_PX, requires_grad=True)
    seen = of_output(module)
    cells = module(picture)
    at = min(CELL, *(side - 1 for side in cells.shape[2:]))
    cells[0, 0, at, at].backward()
    assert picture.grad is not None
    for field, axis in zip(seen, (1, 0), strict=True):
        changing = picture.grad[0, 0].sum(dim=axis).nonzero()
        start, end = (edge + at * field.stride for edge in (field.start, field.end))
        assert start == int(changing.min()) or start < 0  # where the field leaves the picture, its end may be in a gap
        assert end == int(changing.max()) + 1 or end > SIDE_PX
        assert field.inside(at, SIDE_PX) == (start >= 0 and end <= SIDE_PX)


class Joined(nn.Module):
    """Two ways that are added."""

    def __init__(self) -> None:
        super().__init__()
        self.near, self.far = nn.Conv2d(3, 3, 1, stride=2), nn.Conv2d(3, 3, 5, stride=2, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        joined: Tensor = self.near(x) + self.far(x)
        return joined


class Excited(Joined):
    """A mean of the whole map, multiplied back in."""

    def forward(self, x: Tensor) -> Tensor:
        joined = super().forward(x)
        return joined * joined.mean((2, 3))[:, :, None, None]


def test_where_ways_join_a_cell_has_seen_what_either_has() -> None:
    assert of_output(Joined()).rows == Field(-2, 3, 2)


def test_behind_a_mean_over_everything_a_cell_has_seen_everything_and_is_never_inside() -> None:
    field = of_output(Excited()).rows
    assert field == Field(-math.inf, math.inf, 2)
    assert not field.inside(2, 1000)


@pytest.mark.parametrize(
    ("backbone", "side_px", "size_px", "stride_px"),
    [("alexnet", 224, 195, 32), ("resnet18", 96, 435, 32), ("inception_v3", 128, 1311, 32)],
)
def test_known_networks_see_what_is_published(backbone: str, side_px: int, size_px: int, stride_px: int) -> None:
    """Araujo et al., Computing Receptive Fields of Convolutional Neural Networks, Distill 2019; resnet18 by hand."""
    trunk = Backbone(Spec(backbone=backbone, height_px=side_px, width_px=side_px)).trunk
    (output,) = (node for node in trunk.graph.nodes if node.op == "output")
    for field in fields(trunk, Shapes(trunk, side_px, side_px).of)[output.args[0][0]]:
        assert (field.end - field.start, field.stride) == (size_px, stride_px)
