"""What is served answers as what was trained: fusing and folding change the work, not the answers."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch.fx.experimental.optimization import fuse

from models.checkpoint import load
from models.heads import Standard
from models.network import Network
from models.output import Output, output
from models.predictor import served_on_cpu
from models.resolve import resolve
from models.serve import served
from tests import networks

CLOSE = 1e-4


def said(network: Network, pixels: torch.Tensor) -> Output:
    with torch.inference_mode():
        features, answers = network(pixels)
        return output(features.vector, answers, network.spec)


@pytest.mark.parametrize("attach", ["conv", "fc"])
@pytest.mark.parametrize("backbone", ["shufflenet_v2_x0_5", "mobilenet_v3_small", "squeezenet1_1", "resnet18"])
def test_served_and_trained_say_the_same(backbone: str, attach: str) -> None:
    network = networks.with_all_heads(backbone=backbone, attach=attach)
    pixels = networks.patches(8, networks.SIDE_PX, networks.SIDE_PX)
    known, found = said(network, torch.from_numpy(pixels)), served_on_cpu(network, bf16=False).submit(pixels).result()
    assert np.ptp(known.probs, axis=0).min() > 10 * CLOSE  # the pictures are told apart
    assert np.abs(known.probs - found.probs).max() <= CLOSE
    assert known.boxes is not None and found.boxes is not None and known.points is not None and found.points is not None
    assert np.array_equal(known.boxes.picture, found.boxes.picture)
    assert np.abs(known.boxes.xyxy - found.boxes.xyxy).max() <= CLOSE
    assert np.abs(known.points - found.points).max() <= CLOSE


def test_the_embedded_default_is_served_as_it_was_trained() -> None:
    network, _ = load(resolve("default").path)
    pixels = networks.pictures(8, side_px=network.spec.height_px)
    known, found = said(network, torch.from_numpy(pixels)), served_on_cpu(network, bf16=False).submit(pixels).result()
    assert np.abs(known.probs - found.probs).max() <= CLOSE


def test_no_head_that_is_served_standardises_by_itself() -> None:
    network = served(networks.with_all_heads(), bf16=False)
    assert [name for name, part in network.named_modules() if isinstance(part, Standard)] == []


def test_bf16_reads_standardised_channels_whose_eight_bits_say_more() -> None:
    """A channel that varies little around a large mean: eight bits of it would tell the mean."""
    network = networks.with_all_heads()
    network.heads["tags"].standard.mean.add_(3)
    features = network.backbone(torch.from_numpy(networks.patches(16, networks.SIDE_PX, networks.SIDE_PX)))
    features = features._replace(vector=features.vector + 3)
    known = network.heads["tags"](features)
    with torch.autocast("cpu", torch.bfloat16):
        found = served(copy.deepcopy(network), bf16=True).heads["tags"](features)
    assert (found - known).abs().max() <= 0.05 < known.std()


@pytest.mark.parametrize("backbone", ["shufflenet_v2_x0_5", "squeezenet1_1"])
def test_weights_rounded_once_are_those_that_autocast_rounds_each_time(backbone: str) -> None:
    network, pixels = networks.with_all_heads(backbone=backbone), networks.pictures(4)
    found = served_on_cpu(network, bf16=True).submit(pixels).result()
    network.backbone.trunk = fuse(network.backbone.trunk)
    with torch.autocast("cpu", torch.bfloat16):
        known = said(network.to(memory_format=torch.channels_last), torch.from_numpy(pixels))
    assert np.array_equal(known.probs, found.probs)
    assert np.array_equal(known.features, found.features)
