"""What part of a picture a cell of a network's map has seen: read from the graph. Knows no weights and no windows.

        start 0    1    2    3    4    5 px         a convolution of 3 with padding 1, then a pool of 2:
          :   +----+----+----+----+----+            the first cell has seen [-1, 3) px, and cell i what lies
          [----- cell 0 ------)    :                i * stride further: the stride of the map is 2 px
                    [----- cell 1 ------)

Arithmetic of convolutions: arXiv 1603.07285. Where ways through the network join, their hull is the joint field.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Size, fx, nn
from torch.nn import functional

_SPATIAL = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
_POOLS = {  # as functions, with the names of their leading arguments
    functional.max_pool2d: ("input", "kernel_size", "stride", "padding", "dilation"),
    functional.avg_pool2d: ("input", "kernel_size", "stride", "padding"),
}


class Field(NamedTuple):
    """Along one axis: the first cell of a map has seen [start, end) px of the picture, cell i that plus i * stride.

    Stride 0: every cell has seen everything.
    """

    start: float
    end: float
    stride: int

    def inside(self, cell: int, size_px: int) -> bool:
        """Has that cell seen the picture only, and no padding?"""
        return self.start + cell * self.stride >= 0 and self.end + cell * self.stride <= size_px


class Fields(NamedTuple):
    """Downwards and to the right."""

    rows: Field
    columns: Field


class Step(NamedTuple):
    """What an operation does along one axis."""

    kernel: int
    stride: int
    padding: int
    dilation: int


PICTURE = Fields(Field(0, 1, 1), Field(0, 1, 1))
EVERYTHING = Fields(Field(-math.inf, math.inf, 0), Field(-math.inf, math.inf, 0))


def fields(graph: fx.GraphModule, shapes: Mapping[fx.Node, Size]) -> dict[fx.Node, Fields]:
    """What the cells of every value of the graph have seen, for values that depend on the picture.

    `shapes` are those of the values for pictures of the size that the network was made for.
    """
    seen: dict[fx.Node, Fields] = {}
    for node in graph.graph.nodes:
        before = [seen[source] for source in node.all_input_nodes if source in seen]
        if node.op == "placeholder":
            seen[node] = PICTURE
        elif is_mean(graph, node) and shapes[node.all_input_nodes[0]] != shapes[node]:
            seen[node] = EVERYTHING
        elif before:
            steps = steps_of(graph, node)
            joined = Fields(_hull(f.rows for f in before), _hull(f.columns for f in before))
            seen[node] = Fields(*(_after(f, s) for f, s in zip(joined, steps, strict=True))) if steps else joined
    return seen


def is_mean(graph: fx.GraphModule, node: fx.Node) -> bool:
    """Does it average over the whole map, or (alexnet, vgg) over equal parts of it?"""
    if node.op == "call_module":
        return isinstance(graph.get_submodule(str(node.target)), nn.AdaptiveAvgPool2d)
    return node.target in ("mean", functional.adaptive_avg_pool2d)


def steps_of(graph: fx.GraphModule, node: fx.Node) -> tuple[Step, Step] | None:
    """What a node does downwards and to the right; None: nothing, it works cell by cell."""
    if node.op == "call_module":
        module = graph.get_submodule(str(node.target))
        options = vars(module) if isinstance(module, _SPATIAL) else None
    elif node.op == "call_function" and node.target in _POOLS:
        options = dict(zip(_POOLS[node.target], node.args, strict=False)) | node.kwargs
    else:
        options = None
    return None if options is None else (_step(options, 0), _step(options, 1))


def _step(options: Mapping[str, Any], axis: int) -> Step:
    kernel = _along(options["kernel_size"], axis)
    stride = options.get("stride")
    return Step(
        kernel=kernel,
        stride=kernel if stride is None else _along(stride, axis),  # a pool moves by its own size
        padding=_along(options.get("padding", 0), axis),
        dilation=_along(options.get("dilation", 1), axis),
    )


def _along(value: int | tuple[int, int], axis: int) -> int:
    return value if isinstance(value, int) else value[axis]


def _after(field: Field, step: Step) -> Field:
    reach = (step.kernel - 1) * step.dilation - step.padding
    return Field(
        field.start - step.padding * field.stride, field.end + reach * field.stride, field.stride * step.stride
    )


def _hull(parts: Iterator[Field]) -> Field:
    """Of maps of one stride; a value that has seen everything may be spread over any of them."""
    found = list(parts)
    strides = {field.stride for field in found if field.stride}
    assert len(strides) <= 1, f"maps of strides {strides} cannot be joined cell by cell"
    return Field(min(f.start for f in found), max(f.end for f in found), max(strides, default=0))


class Shapes(fx.Interpreter):
    """A pass that notes the shape of every value. The graph's own notes would be copied along with the network."""

    def __init__(self, graph: fx.GraphModule, height_px: int, width_px: int) -> None:
        super().__init__(graph)
        self.of: dict[fx.Node, Size] = {}
        first = next(graph.parameters())
        with torch.inference_mode():
            self.run(torch.zeros(1, 3, height_px, width_px, dtype=first.dtype, device=first.device))

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if isinstance(value, torch.Tensor):
            self.of[n] = value.shape
        return value
