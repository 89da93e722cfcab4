"""Small modules on one shared map. Each is trained and stored on its own; any subset answers from one pass."""

# B pictures, D channels, h x w cells of the map, F length of the vector, C labels

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.backbone import Features, Sizes

_WHERE_CHANNELS = 64  # what a cell may say about where the subject is
_SMALLEST_SIDE = 0.02
_STILL = 1e-4  # a channel that varies less says nothing


class Classifier(nn.Module):
    """One logit per label, (B, C), from the vector. Softmax or sigmoid is the loss's and the predictor's business."""

    def __init__(self, sizes: Sizes, labels: int) -> None:
        super().__init__()
        self.standard = Standard(sizes.vector)
        self.linear = nn.Linear(sizes.vector, labels)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Features) -> Tensor:
        logits_BC: Tensor = self.linear(self.standard(features.vector))
        return logits_BC

    def adapt(self, features: Features) -> None:
        """Measure the features of the training pictures, so that one learning rate suits any backbone."""
        self.standard.measure(features.vector)


class Localizer(nn.Module):
    """One box (x, y, w, h) per picture, (B, 4): top-left corner and size as fractions, inside the picture.

    It reads the map, cell by cell, and not the pooled vector: pooling forgets *where* (OverFeat, arXiv 1312.6229).
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.standard = Standard(sizes.channels)
        self.cell = nn.Conv2d(sizes.channels, _WHERE_CHANNELS, kernel_size=1)
        self.box = nn.Linear(_WHERE_CHANNELS * sizes.height * sizes.width, 4)
        nn.init.xavier_uniform_(self.cell.weight)
        assert self.cell.bias is not None
        nn.init.zeros_(self.cell.bias)
        nn.init.xavier_uniform_(self.box.weight, gain=0.1)
        nn.init.zeros_(self.box.bias)

    def forward(self, features: Features) -> Tensor:
        where = self.box(functional.relu(self.cell(self.standard(features.map))).flatten(1))
        size_B2 = _SMALLEST_SIDE + (1 - _SMALLEST_SIDE) * torch.sigmoid(where[:, 2:])
        corner_B2 = torch.sigmoid(where[:, :2]) * (1 - size_B2)
        return torch.cat([corner_B2, size_B2], dim=1)

    def adapt(self, features: Features) -> None:
        """Measure the maps of the training pictures, channel by channel."""
        self.standard.measure(features.map)


class Standard(nn.Module):
    """Channels with mean 0 and spread 1 over the training pictures; the identity until it has measured them."""

    mean: Tensor
    spread: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("spread", torch.ones(channels))

    def measure(self, x: Tensor) -> None:
        """x (N, D) or (N, D, h, w). A channel that never changes stays as it is."""
        by_channel = x.float().transpose(0, 1).flatten(1)
        spread, mean = torch.std_mean(by_channel, dim=1)
        self.mean.copy_(mean)
        self.spread.copy_(torch.where(spread > _STILL, spread, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        shape = (1, -1, *[1] * (x.dim() - 2))
        return (x - self.mean.view(shape)) / self.spread.view(shape)
