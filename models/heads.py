"""Small modules on one shared map. Each is trained and stored on its own; any subset answers from one pass."""

# B pictures, D channels, h x w cells of the map, F length of the vector, C labels

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.backbone import Features, Sizes

_WHERE_CHANNELS = 64  # what a cell may say about where the subject is
_SMALLEST_SIDE = 0.02


class Classifier(nn.Module):
    """One logit per label, (B, C), from the vector. Softmax or sigmoid is the loss's and the predictor's business."""

    def __init__(self, sizes: Sizes, labels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(sizes.vector, labels)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Features) -> Tensor:
        logits_BC: Tensor = self.linear(features.vector)
        return logits_BC


class Localizer(nn.Module):
    """One box (x, y, w, h) per picture, (B, 4): top-left corner and size as fractions, inside the picture.

    It reads the map, cell by cell, and not the pooled vector: pooling forgets *where* (OverFeat, arXiv 1312.6229).
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.cell = nn.Conv2d(sizes.channels, _WHERE_CHANNELS, kernel_size=1)
        self.box = nn.Linear(_WHERE_CHANNELS * sizes.height * sizes.width, 4)
        nn.init.xavier_uniform_(self.cell.weight)
        nn.init.zeros_(self.cell.bias)
        nn.init.xavier_uniform_(self.box.weight, gain=0.1)
        nn.init.zeros_(self.box.bias)

    def forward(self, features: Features) -> Tensor:
        where = self.box(functional.relu(self.cell(features.map)).flatten(1))
        size_B2 = _SMALLEST_SIDE + (1 - _SMALLEST_SIDE) * torch.sigmoid(where[:, 2:])
        corner_B2 = torch.sigmoid(where[:, :2]) * (1 - size_B2)
        return torch.cat([corner_B2, size_B2], dim=1)
