"""A trained network as an answer for every window of a larger picture, in one pass (OverFeat, arXiv 1312.6229).

Windows are as large as the network's input, and one stride of its last map apart (with `fine` a part of it). What the
answer for a window equals:

    without padding in the network    the network's answer for that crop
    with padding                      its answer for that crop among its surroundings: the bare crop sees zeros where
                                      the picture goes on. `exact` says of which windows no cell has seen any padding;
                                      the others see zeros too, but only beyond the picture
    with squeeze-and-excitation       about that: what is averaged over the window is averaged around each of its cells
                                      (efficientnet, mobilenet_v3, regnet_y). `exact` is true of none
"""

# B pictures, N = B times the shifts, H x W pixels, D channels, h x w cells, F length of a vector, R x Q positions of
# windows, A numbers of an answer, K boxes or points

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.backbone import Features
from models.heads import Classifier, Regression
from models.network import Network
from models.sliding import Pair, Sliding, interlaced, sliding_linear
from pipeline.errors import CheckpointError


class Dense(nn.Module):
    """`forward(uint8 (B, H, W, 3)) -> {head: (B, R, Q, ...)}`: what each head says of a picture, said of every window.

    For a picture of one window it is what the network says. A detector is left out, since it is not about windows.
    Raises CheckpointError where the network cannot slide.
    """

    def __init__(self, network: Network, *, fine: bool = False) -> None:
        super().__init__()
        self.network, self.spec = network.eval(), network.spec
        try:
            self._slide = Sliding(network.backbone.trunk, *self.window_px, fine=fine)
        except CheckpointError as error:
            raise CheckpointError(f"{self.spec.backbone}: {error}") from error

    @property
    def window_px(self) -> Pair:
        return self.spec.height_px, self.spec.width_px

    @property
    def stride_px(self) -> Pair:
        """From one window to the next, downwards and to the right."""
        field, shifts = self._slide.field, self._slide.shifts
        return field.rows.stride // shifts[0], field.columns.stride // shifts[1]

    def size_px(self, scale: float) -> Pair:
        """Height and width of a picture about `scale` times as large as a window, and filled by windows."""
        sides = zip(self.window_px, self._slide.field, strict=True)
        height, width = (side + seen.stride * round((scale - 1) * side / seen.stride) for side, seen in sides)
        return height, width

    def positions(self, height_px: int, width_px: int) -> Pair:
        """How many windows such a picture has, R and Q. Raises ValueError for a size that windows do not fill."""
        for side, window, seen in zip((height_px, width_px), self.window_px, self._slide.field, strict=True):
            if side < window or (side - window) % seen.stride:
                raise ValueError(f"{side} px are not filled by windows of {window} px every {seen.stride} px")
        (height, width), (down, right) = self.window_px, self.stride_px
        return (height_px - height) // down + 1, (width_px - width) // right + 1

    def exact(self, height_px: int, width_px: int) -> npt.NDArray[np.bool_]:
        """Of which windows no cell has seen any padding, (R, Q). With `fine` to be on the safe side of those between
        others: the edge of a shift counts as an edge of the picture."""
        rows, columns = self.positions(height_px, width_px)
        return np.logical_and.outer(self._inside(0, rows, height_px), self._inside(1, columns, width_px))

    def _inside(self, axis: int, count: int, side_px: int) -> npt.NDArray[np.bool_]:
        field, cells, shifts = self._slide.field[axis], self._slide.cells[axis], self._slide.shifts[axis]
        ends = ((at // shifts, -(-at // shifts) + cells - 1) for at in range(count))
        return np.array([field.inside(first, side_px) and field.inside(last, side_px) for first, last in ends])

    def forward(self, pixels_BHWC: Tensor) -> dict[str, Tensor]:
        rows, columns = self.positions(*pixels_BHWC.shape[1:3])
        map_NDhw, vectors_NFRQ = self._slide(self.network.backbone.normalize(pixels_BHWC))
        answers = {}
        for name, head in self.network.heads.items():
            if isinstance(head, Classifier):
                answers[name] = self._by_window(_classified(head, vectors_NFRQ), rows, columns)
            elif isinstance(head, Regression):
                said = self._by_window(self._regressed(head, map_NDhw, vectors_NFRQ), rows, columns)
                answers[name] = torch.unflatten(said, 3, head.shape)
        return answers

    def features(self, pixels_BHWC: Tensor) -> Features:
        """What heads read of every window, to be taught by it: maps (B, R, Q, D, h, w), and vectors (B, R, Q, F)."""
        rows, columns = self.positions(*pixels_BHWC.shape[1:3])
        map_NDhw, vectors_NFRQ = self._slide(self.network.backbone.normalize(pixels_BHWC))
        height, width = self._slide.cells
        cells_NDRQhw = map_NDhw.unfold(2, height, 1).unfold(3, width, 1)
        laid_BRQA = self._by_window(cells_NDRQhw.permute(0, 1, 4, 5, 2, 3).flatten(1, 3), rows, columns)
        maps = torch.unflatten(laid_BRQA, 3, (-1, height, width))
        return Features(maps, self._by_window(vectors_NFRQ, rows, columns))

    def _by_window(self, part_NARQ: Tensor, rows: int, columns: int) -> Tensor:
        """(B, R, Q, A): the shifts put together, and what lies beyond the last window cut off."""
        return interlaced(part_NARQ, self._slide.shifts)[:, :, :rows, :columns].permute(0, 2, 3, 1)

    def _regressed(self, head: Regression, map_NDhw: Tensor, vectors_NFRQ: Tensor) -> Tensor:
        """(N, A, R, Q)"""
        read, cells = (map_NDhw, self._slide.cells) if head.on_map else (vectors_NFRQ, (1, 1))
        return sliding_linear(head.cell(head.standard(read)), head.linear, cells)


def _classified(head: Classifier, vectors_NFRQ: Tensor) -> Tensor:
    """(N, A, R, Q)"""
    return sliding_linear(head.standard(vectors_NFRQ), head.linear)
