"""Small modules on one backbone pass. Each is trained and stored on its own; any subset answers from that pass.

What a head reads is decided by where the network is cut (`models.backbone`): at `conv` heads that must know *where*
read the map, cell by cell, since pooling forgets it (OverFeat, arXiv 1312.6229; VGG, arXiv 1409.1556); at `fc` all of
them read the vector behind the fully connected layers (DeepPose, arXiv 1312.4659; R-CNN, arXiv 1311.2524).
"""

# B pictures, D channels, h x w cells of the map, F length of the vector, C labels, K boxes or points

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.backbone import Features, Sizes

_CHANNELS = 64  # what a cell may say to a head that asks where something is
_USUAL_BOX = (0.25, 0.25, 0.5, 0.5)  # x, y, w, h that a localizer starts from
_RARE = 0.02  # share of cells in which a detector expects an object, before it has learned (arXiv 1708.02002)
_STILL = 1e-4  # a channel that varies less says nothing
_CHUNK = 256  # pictures whose features are measured at once


class Classifier(nn.Module):
    """One logit per label, (B, C), from the vector. Softmax or sigmoid is the loss's and the predictor's business."""

    pace = 1.0

    def __init__(self, sizes: Sizes, labels: int) -> None:
        super().__init__()
        self.standard = Standard(sizes.vector)
        self.linear = nn.Linear(sizes.vector, labels)
        _start_linear(self.linear)

    def forward(self, features: Features) -> Tensor:
        logits_BC: Tensor = self.linear(self.standard(features.vector))
        return logits_BC

    def adapt(self, features: Features) -> None:
        """Measure the features of the training pictures, so that one learning rate suits any backbone."""
        self.standard.measure(features.vector)


class Regression(nn.Module):
    """(B, K, values) real numbers that say where something is: linear in all cells of the map, or in the vector, of
    which few channels are kept. What is bent on the way would have to be learned from a few boxes.
    """

    pace = 0.2  # of the learning rate: a distance is steep in so many inputs, and its slope does not end as a softmax's

    def __init__(self, sizes: Sizes, attach: str, count: int, start: tuple[float, ...]) -> None:
        super().__init__()
        self.on_map, self.shape = attach == "conv", (count, len(start))
        channels, cells = (sizes.channels, sizes.height * sizes.width) if self.on_map else (sizes.vector, 1)
        self.standard = Standard(channels, cells)
        self.cell = nn.Conv2d(channels, _CHANNELS, kernel_size=1)
        self.linear = nn.Linear(_CHANNELS * cells, count * len(start))
        _start_linear(self.cell)
        _start_linear(self.linear, gain=0.1)
        with torch.no_grad():
            self.linear.bias.copy_(torch.tensor(start).repeat(count))

    def forward(self, features: Features) -> Tensor:
        read = features.map if self.on_map else features.vector[:, :, None, None]
        values: Tensor = self.linear(self.cell(self.standard(read)).flatten(1)).unflatten(1, self.shape)
        return values

    def adapt(self, features: Features) -> None:
        """Measure the features of the training pictures, channel by channel."""
        self.standard.measure(features.map if self.on_map else features.vector)


class Localizer(Regression):
    """Boxes (x, y, w, h), (B, K, 4): top-left corner and size as fractions of the picture. K: one for all classes, or
    one each. They may leave the picture, as a window's box leaves its window; who shows them clips them.
    """

    def __init__(self, sizes: Sizes, attach: str, boxes: int = 1) -> None:
        super().__init__(sizes, attach, boxes, _USUAL_BOX)


class Points(Regression):
    """Points of the main subject, (B, K, 3): x, y as fractions of its *box* (DeepPose), and the logit of visible."""

    def __init__(self, sizes: Sizes, attach: str, points: int) -> None:
        super().__init__(sizes, attach, points, (0.5, 0.5, 0.0))


class Detector(nn.Module):
    """Many objects, one answer a cell, (B, h, w, C + 5): C class logits, the centre-ness logit, and how far the box
    reaches from the cell's centre to the left, top, right and bottom, as logarithms of fractions of the picture
    (FCOS, arXiv 1904.01355, on one map). Channels are few before cells look at their neighbours: a 3 x 3 convolution
    over all channels would cost more than a small backbone.
    """

    pace = 1.0

    def __init__(self, sizes: Sizes, labels: int) -> None:
        super().__init__()
        self.standard = Standard(sizes.channels)
        self.cell = nn.Conv2d(sizes.channels, _CHANNELS, kernel_size=1)
        self.around = nn.Conv2d(_CHANNELS, _CHANNELS, kernel_size=3, padding=1)
        self.out = nn.Conv2d(_CHANNELS, labels + 5, kernel_size=1)
        _start_linear(self.cell)
        _start_linear(self.around)
        _start_linear(self.out, gain=0.1)
        assert self.out.bias is not None
        with torch.no_grad():
            self.out.bias[:labels] = math.log(_RARE / (1 - _RARE))
            self.out.bias[labels + 1 :] = math.log(0.2)

    def forward(self, features: Features) -> Tensor:
        seen = functional.relu(self.cell(self.standard(features.map)))
        cells: Tensor = self.out(functional.relu(self.around(seen)))
        return cells.permute(0, 2, 3, 1)

    def adapt(self, features: Features) -> None:
        """Measure the maps of the training pictures, channel by channel."""
        self.standard.measure(features.map)


class Standard(nn.Module):
    """Channels with mean 0 and spread 1 over the training pictures; as they are until it has measured them.

    With `cells` that a layer reads all at once, the spread is 1 over their root: what it reads is as long as the
    channels of one cell, and one learning rate suits it whatever the map's size.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, channels: int, cells: int = 1) -> None:
        super().__init__()
        self.root = math.sqrt(cells)
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("spread", torch.ones(channels))

    def measure(self, x: Tensor) -> None:
        """x (N, D) or (N, D, h, w). A channel that never changes stays as it is."""
        count = x.numel() // x.shape[1]
        total, square = torch.zeros(2, x.shape[1], dtype=torch.float64, device=x.device)
        for at in range(0, len(x), _CHUNK):
            by_channel = x[at : at + _CHUNK].double().transpose(0, 1).flatten(1)
            total += by_channel.sum(dim=1)
            square += by_channel.square().sum(dim=1)
        mean = total / count
        spread = ((square / count - mean.square()) * count / (count - 1)).clamp(min=0).sqrt()
        self.mean.copy_(mean)
        self.spread.copy_(torch.where(spread > _STILL, spread, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        shape = (1, -1, *[1] * (x.dim() - 2))
        return (x - self.mean.view(shape)) / (self.spread * self.root).view(shape)


def _start_linear(layer: nn.Linear | nn.Conv2d, gain: float = 1.0) -> None:
    nn.init.xavier_uniform_(layer.weight, gain=gain)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
