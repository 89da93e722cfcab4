"""One pass over a larger picture answers for every window what the network answers for that window."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.backbone import Features
from models.dense import Dense
from models.network import TAGS, Network
from models.spec import Spec
from pipeline.errors import CheckpointError
from tests.networks import patches, settled

Answers = dict[str, Tensor]


def spec(backbone: str, height_px: int, width_px: int, attach: str = "conv") -> Spec:
    return Spec(
        backbone=backbone,
        height_px=height_px,
        width_px=width_px,
        attach=attach,
        tags=("a", "b", "c"),
        localizer=True,
        box_per_class=True,
    )


def noise(height_px: int, width_px: int, count: int = 1) -> Tensor:
    return torch.from_numpy(patches(count, height_px, width_px))


@torch.inference_mode()
def dense_answers(dense: Dense, pixels: Tensor) -> Answers:
    answers: Answers = dense(pixels)
    return answers


@torch.inference_mode()
def alone(network: Network, pixels: Tensor) -> Answers:
    """What the network says of pictures of its own size."""
    answers: Answers = network(pixels)[1]
    return answers


def apart(some: Answers, others: Answers) -> float:
    """How far two answers differ, as a share of the largest number among those of a head."""
    return max(float((some[name] - others[name]).abs().max() / others[name].abs().max()) for name in others)


def at(answers: Answers, row: int, column: int) -> Answers:
    return {name: answer[:, row, column] for name, answer in answers.items()}


# A picture of one window


@pytest.mark.parametrize(
    ("backbone", "attach"),
    [
        ("alexnet", "fc"),  # fully connected layers of 6 x 6 cells
        ("mobilenet_v2", "fc"),
        ("mobilenet_v3_small", "fc"),  # squeeze-and-excitation; a fully connected layer behind its mean
        ("regnet_y_400mf", "fc"),  # squeeze-and-excitation
        ("resnet18", "conv"),
        ("shufflenet_v2_x0_5", "conv"),
        ("squeezenet1_1", "fc"),  # heads read the whole map laid in a row
    ],
)
def test_a_picture_of_one_window_is_answered_as_by_the_network(backbone: str, attach: str) -> None:
    side_px = 224 if backbone == "alexnet" else 64
    network = settled(spec(backbone, side_px, side_px, attach))
    pixels = noise(side_px, side_px, count=2)
    for dense in (Dense(network), Dense(network, fine=True)):
        assert dense.positions(side_px, side_px) == (1, 1)
        assert apart(at(dense_answers(dense, pixels), 0, 0), alone(network, pixels)) < 1e-4


@pytest.mark.parametrize("fine", [False, True])
@pytest.mark.parametrize(("backbone", "attach"), [("shufflenet_v2_x0_5", "conv"), ("squeezenet1_1", "fc")])
def test_heads_say_of_the_features_of_windows_what_one_pass_says(backbone: str, attach: str, fine: bool) -> None:
    dense = Dense(settled(spec(backbone, 64, 96, attach)), fine=fine)
    pixels = noise(*dense.size_px(2.0), count=2)
    answers = dense_answers(dense, pixels)
    with torch.inference_mode():
        features = dense.features(pixels)
        said = dense.network.answers(Features(features.map.flatten(0, 2), features.vector.flatten(0, 2)))
    assert min(features.map.shape[1:3]) > 1
    assert apart({name: said[name].view_as(answers[name]) for name in answers}, answers) < 1e-4


# Without padding


def without_padding(attach: str) -> Network:
    """An alexnet that pads nowhere: 355 px are what its 6 x 6 cells then need. (Others join maps of one size.)"""
    made = Network(spec("alexnet", 355, 355, attach))
    for layer in made.backbone.trunk.modules():
        if isinstance(layer, nn.Conv2d | nn.MaxPool2d):
            layer.padding = (0, 0) if isinstance(layer, nn.Conv2d) else 0
    return made.eval()


@pytest.fixture(scope="module", params=["conv", "fc"])
def valid(request: pytest.FixtureRequest) -> Network:
    return without_padding(request.param)


def crop(pixels: Tensor, dense: Dense, row: int, column: int) -> Tensor:
    """The window's pixels."""
    (down, right), (height_px, width_px) = dense.stride_px, dense.window_px
    return pixels[:, row * down : row * down + height_px, column * right : column * right + width_px]


def test_without_padding_every_window_is_answered_as_its_crop(valid: Network) -> None:
    dense = Dense(valid)
    pixels = noise(*dense.size_px(1.2))
    answers = dense_answers(dense, pixels)
    rows, columns = dense.positions(*pixels.shape[1:3])
    assert (rows, columns) == (3, 3)
    assert dense.exact(*pixels.shape[1:3]).all()
    assert apart(at(answers, 0, 0), at(answers, 2, 2)) > 1e-2
    for row, column in np.ndindex(rows, columns):
        assert apart(at(answers, row, column), alone(valid, crop(pixels, dense, row, column))) < 1e-4


def test_without_padding_the_windows_between_are_those_of_the_picture_shifted_by_half_a_stride(valid: Network) -> None:
    coarse, fine = Dense(valid), Dense(valid, fine=True)
    pixels = noise(*coarse.size_px(1.1))
    answers, half = dense_answers(fine, pixels), fine.stride_px[0]
    assert (coarse.stride_px, fine.stride_px, fine.positions(*pixels.shape[1:3])) == ((32, 32), (16, 16), (3, 3))
    for down, right in np.ndindex(2, 2):
        height_px, width_px = pixels.shape[1] - 2 * half * down, pixels.shape[2] - 2 * half * right
        shifted = pixels[:, down * half :, right * half :][:, :height_px, :width_px]
        every_other = {name: said[:, down::2, right::2] for name, said in answers.items()}
        assert apart(every_other, dense_answers(coarse, shifted)) < 1e-4


# With padding


@pytest.fixture(scope="module")
def padded() -> Network:
    return settled(spec("squeezenet1_1", 64, 96))


MARGIN = 6  # strides of 16 px: what the cells of a window see beyond it is less


def among(network: Network, dense: Dense, pixels: Tensor, row: int, column: int, margins: tuple[int, ...]) -> Answers:
    """What the network says of a crop among its surroundings: so many strides above, below, left and right of it."""
    (down, right), (height_px, width_px), (above, below, left, right_of) = dense.stride_px, dense.window_px, margins
    rows = slice((row - above) * down, (row + below) * down + height_px)
    columns = slice((column - left) * right, (column + right_of) * right + width_px)
    sizes = network.backbone.sizes
    with torch.inference_mode():
        cells = network.backbone(pixels[:, rows, columns]).map
        middle = cells[:, :, above : above + sizes.height, left : left + sizes.width]
        return network.answers(Features(middle, middle.mean((2, 3))))


@pytest.fixture(scope="module")
def wide(padded: Network) -> tuple[Dense, Tensor, Answers]:
    """A picture where two rows and two columns of windows see no padding."""
    dense = Dense(padded)
    pixels = noise(64 + 13 * 16, 96 + 13 * 16)
    return dense, pixels, dense_answers(dense, pixels)


def test_with_padding_a_window_inside_is_answered_as_its_crop_among_its_surroundings(
    padded: Network, wide: tuple[Dense, Tensor, Answers]
) -> None:
    dense, pixels, answers = wide
    exact = dense.exact(*pixels.shape[1:3])
    assert np.argwhere(exact).tolist() == [[6, 6], [6, 7], [7, 6], [7, 7]]
    for row, column in np.argwhere(exact):
        here = at(answers, row, column)
        assert apart(here, among(padded, dense, pixels, row, column, (MARGIN,) * 4)) < 1e-4
        assert apart(here, alone(padded, crop(pixels, dense, row, column))) > 1e-2  # which sees zeros around it


def test_no_window_inside_sees_further_than_the_arithmetic_says(
    padded: Network, wide: tuple[Dense, Tensor, Answers]
) -> None:
    dense, pixels, answers = wide
    changed = pixels.clone()
    changed[:, : 7 * 16 - 88], changed[:, :, : 7 * 16 - 88] = 0, 255
    again = dense_answers(dense, changed)
    assert apart(at(again, 7, 7), at(answers, 7, 7)) < 1e-6
    assert apart(at(again, 6, 6), at(answers, 6, 6)) > 1e-6


def test_a_window_at_an_edge_sees_zeros_beyond_the_picture_only(
    padded: Network, wide: tuple[Dense, Tensor, Answers]
) -> None:
    dense, pixels, answers = wide
    assert apart(at(answers, 0, 0), among(padded, dense, pixels, 0, 0, (0, MARGIN, 0, MARGIN))) < 1e-4
    assert apart(at(answers, 13, 5), among(padded, dense, pixels, 13, 5, (MARGIN, 0, 5, MARGIN))) < 1e-4


def test_every_other_window_of_the_fine_ones_is_a_coarse_one(
    padded: Network, wide: tuple[Dense, Tensor, Answers]
) -> None:
    _, pixels, answers = wide
    fine = Dense(padded, fine=True)
    finer = dense_answers(fine, pixels)
    assert finer[TAGS].shape[1:3] == (27, 27)
    assert apart({name: said[:, ::2, ::2] for name, said in finer.items()}, answers) < 1e-4


def test_a_fine_window_inside_is_the_coarse_one_of_the_shifted_picture(
    padded: Network, wide: tuple[Dense, Tensor, Answers]
) -> None:
    dense, pixels, _ = wide
    fine = Dense(padded, fine=True)
    finer, exact = dense_answers(fine, pixels), fine.exact(*pixels.shape[1:3])
    shifted = dense_answers(dense, pixels[:, 8:-8, 8:-8])
    assert np.argwhere(exact).tolist() == [[row, column] for row in (12, 13, 14) for column in (12, 13, 14)]
    assert apart(at(finer, 13, 13), at(shifted, 6, 6)) < 1e-4


# Where it does not hold


def test_with_squeeze_and_excitation_no_window_is_exact() -> None:
    dense = Dense(settled(spec("mobilenet_v3_small", 64, 64)))
    assert not dense.exact(*dense.size_px(20)).any()


def test_a_network_that_resamples_its_map_cannot_slide() -> None:
    with pytest.raises(CheckpointError, match=r"alexnet: .* map of 3x3 cells is resampled to 6x6"):
        Dense(Network(spec("alexnet", 128, 128)))


def test_sizes_are_rounded_so_that_windows_fill_the_picture(padded: Network) -> None:
    dense = Dense(padded)
    assert [dense.size_px(scale) for scale in (1, 1.1, 1.5, 2)] == [(64, 96), (64, 112), (96, 144), (128, 192)]
    assert dense.positions(128, 192) == (5, 7)
    for size_px in ((63, 96), (64, 80), (70, 96)):
        with pytest.raises(ValueError, match="are not filled by windows"):
            dense.positions(*size_px)
