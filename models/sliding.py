"""A trunk that was made for pictures of one size, run over larger ones: it answers for every window of that size.

    convolutions, pools                  slide by nature
    the mean over the last map           a sliding mean
    flatten, fully connected             a convolution as large as what was laid in a row, then 1 x 1
    a mean inside (squeeze-excitation)   over the window around each cell; at an edge, over the window nearest to it

Nothing is learned or copied: the trunk's own weights are read another way.

With `fine` windows lie half as far apart, or nearer where the last stride is larger. As OverFeat pools at every offset
before its classifier, the last operation with a stride reads every shift of its input, side by side in the batch. That
gives what letting it move by single cells and dilating all that follows would give ("a trous", arXiv 1411.4038, section
3.2), and asks nothing of what follows.
"""

# B pictures, N = B times the shifts, H x W pixels, D channels, h x w cells of a window's map, F length of a vector,
# R x Q positions of windows, A numbers of an answer

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Size, Tensor, fx, nn
from torch.nn import functional

from models.receptive import Fields, Shapes, fields, is_mean, steps_of
from pipeline.errors import CheckpointError

Pair = tuple[int, int]
_Change = Callable[[Tensor], Tensor]


class Sliding:
    """`slide(x (B, 3, H, W)) -> (map (N, D, ...), vectors (N, F, R, Q))`, the shifts' answers not yet interlaced.

    `cells` are h, w; `field` is what the map's cells have seen; `shifts` how many there are downwards and to the right.
    Raises CheckpointError where the trunk cannot slide.
    """

    def __init__(self, trunk: fx.GraphModule, height_px: int, width_px: int, *, fine: bool) -> None:
        (output,) = (node for node in trunk.graph.nodes if node.op == "output")
        last_map, vector = output.args[0]
        shapes = Shapes(trunk, height_px, width_px).of
        seen = fields(trunk, shapes)
        self.cells: Pair = (shapes[last_map][2], shapes[last_map][3])
        self.field: Fields = seen[last_map]
        last = _last_strides(trunk, seen, self.field) if fine else {}
        self.shifts: Pair = next(iter(last.values()), (1, 1))
        self._pass = _Pass(trunk, _changes(trunk, shapes, last_map), last)
        self._lays_in_a_row = vector is not None and shapes[vector][2:].numel() > 1

    def __call__(self, x_BCHW: Tensor) -> tuple[Tensor, Tensor]:
        map_NDhw, vector = self._pass.run(x_BCHW)
        if vector is None:
            return map_NDhw, functional.avg_pool2d(map_NDhw, self.cells, stride=1)
        return map_NDhw, _rows_of_windows(vector, self.cells) if self._lays_in_a_row else vector


class _Pass(fx.Interpreter):
    """The graph, where some nodes are computed another way and some on every shift of what they read."""

    def __init__(
        self, trunk: fx.GraphModule, changes: Mapping[fx.Node, _Change], shifted: Mapping[fx.Node, Pair]
    ) -> None:
        super().__init__(trunk)
        self._changes, self._shifted = changes, shifted

    def run_node(self, n: fx.Node) -> Any:
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        if n in self._changes:
            return self._changes[n](args[0])
        if n in self._shifted:
            args = (_shifted(args[0], self._shifted[n]), *args[1:])
        return getattr(self, n.op)(n.target, args, kwargs)


def _last_strides(trunk: fx.GraphModule, seen: Mapping[fx.Node, Fields], last: Fields) -> dict[fx.Node, Pair]:
    """The operations, side by side, that give the last map its stride; and their own."""
    found = {}
    for node, its in seen.items():
        steps = steps_of(trunk, node)
        if steps and (its.rows.stride, its.columns.stride) == (last.rows.stride, last.columns.stride):
            found[node] = (steps[0].stride, steps[1].stride)
    return {node: strides for node, strides in found.items() if strides != (1, 1)}


def _shifted(x_BDhw: Tensor, counts: Pair) -> Tensor:
    """All shifts to the left and up by fewer than `counts` cells, zeros following at the end: (N, D, h, w)."""
    height, width = x_BDhw.shape[2:]
    longer = functional.pad(x_BDhw, (0, counts[1] - 1, 0, counts[0] - 1))
    return torch.cat([longer[:, :, a : a + height, b : b + width] for a in range(counts[0]) for b in range(counts[1])])


def interlaced(answers_NARQ: Tensor, shifts: Pair) -> Tensor:
    """What was said of each shift, at its place among the others: (B, A, R * shifts, Q * shifts)."""
    apart = torch.unflatten(answers_NARQ, 0, (*shifts, -1))
    return apart.permute(2, 3, 4, 0, 5, 1).flatten(4, 5).flatten(2, 3)


def _changes(trunk: fx.GraphModule, shapes: Mapping[fx.Node, Size], last_map: fx.Node) -> dict[fx.Node, _Change]:
    """The nodes that have to be computed another way than for a picture of one window."""
    changes: dict[fx.Node, _Change] = {}
    behind, row = False, (1, 1)  # row: the cells that a flatten laid in a row
    for node in shapes:
        layer = trunk.get_submodule(str(node.target)) if node.op == "call_module" else None
        if is_mean(trunk, node):
            changes[node] = _sliding_mean(shapes[node.all_input_nodes[0]], shapes[node], behind=behind)
        elif behind and (isinstance(layer, nn.Flatten) or node.target in (torch.flatten, "flatten")):
            changes[node] = _same
            row = (shapes[node.all_input_nodes[0]][2], shapes[node.all_input_nodes[0]][3])
        elif behind and isinstance(layer, nn.Linear):
            changes[node] = partial(sliding_linear, layer=layer, cells=row)
            row = (1, 1)
        behind = behind or node is last_map
    return changes


def _sliding_mean(before: Size, after: Size, *, behind: bool) -> _Change:
    """Instead of a mean that took a window's map from one size to another."""
    cells, wanted = (before[2], before[3]), tuple(after[2:]) or (1, 1)
    if wanted == cells:
        return _same
    if wanted != (1, 1):
        raise CheckpointError(
            f"cannot be slid over larger pictures: a window's map of {cells[0]}x{cells[1]} cells is resampled to "
            f"{wanted[0]}x{wanted[1]}. Train it with the size at which nothing is resampled: --size 224"
        )
    return partial(functional.avg_pool2d, kernel_size=cells, stride=1) if behind else partial(_mean_around, cells=cells)


def _mean_around(x_BDhw: Tensor, cells: Pair) -> Tensor:
    """The mean over a window around each cell; near an edge, over the window that is nearest and inside."""
    down = functional.avg_pool2d(x_BDhw, (cells[0], 1), stride=1)  # one axis after the other: cells are many here
    mean = functional.avg_pool2d(down, (1, cells[1]), stride=1)
    above, left = (cells[0] - 1) // 2, (cells[1] - 1) // 2
    return functional.pad(mean, (left, cells[1] - 1 - left, above, cells[0] - 1 - above), mode="replicate")


def _rows_of_windows(x_BDhw: Tensor, cells: Pair) -> Tensor:
    """Each window's cells laid in a row, (B, D * h * w, R, Q)."""
    return torch.unflatten(functional.unfold(x_BDhw, cells), 2, (x_BDhw.shape[2] - cells[0] + 1, -1))


def sliding_linear(x_BDhw: Tensor, layer: nn.Linear, cells: Pair = (1, 1)) -> Tensor:
    """A layer that was connected to `cells` of all channels laid in a row, applied to every window of so many cells."""
    return functional.conv2d(x_BDhw, torch.unflatten(layer.weight, 1, (-1, *cells)), layer.bias)


def _same(x: Tensor) -> Tensor:
    return x
