"""What the blocks of a trunk say on the way, and how far one network's word is from another's (arXiv 1412.6550).

A block is the layers whose names begin with the same two parts, as torchvision calls what belongs together.
"""

# B pictures, D channels, N values of each channel

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from models.network import Network

_STILL = 1e-6
_LEAST_SPREAD = 0.25  # floor of a channel's spread, as a share of its block's mean channel RMS


class Listener(fx.Interpreter):
    """One pass through a trunk that records each block's output in `said`, under the name that `ends` gives its last
    node; with `instead`, the next block reads that tensor and not the output."""

    def __init__(self, trunk: fx.GraphModule, ends: Mapping[str, str], instead: Mapping[str, Tensor] | None = None):
        super().__init__(trunk)
        self._ends, self._instead = ends, instead
        self.said: dict[str, Tensor] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n.name not in self._ends:
            return value
        name = self._ends[n.name]
        self.said[name] = value
        return value if self._instead is None else self._instead[name].to(value.dtype)


def shared_ends(student: Network, teacher: Network) -> dict[str, str]:
    """Nodes of the student by the name of the teacher's node that says the same; none of another architecture."""
    own, theirs = student.spec, teacher.spec
    if (own.backbone, own.attach) != (theirs.backbone, theirs.attach):
        return {}
    return {node.name: node.name for node in _block_ends(student.backbone.trunk)}


def served_ends(network: Network) -> dict[str, str]:
    """The same of a network as it is served: a BatchNorm is part of the convolution that it read."""
    trunk, ends = network.backbone.trunk, dict[str, str]()
    for node in _block_ends(trunk):
        ends[node.all_input_nodes[0].name if _is_batchnorm(trunk, node) else node.name] = node.name
    return ends


def _block_ends(trunk: fx.GraphModule) -> list[fx.Node]:
    """The last node of each block; what is added behind its layers is its own. A convolution says nothing before its
    BatchNorm."""
    last: dict[str, fx.Node] = {}
    block = ""
    for node in trunk.graph.nodes:
        if node.op == "call_module":
            block = ".".join(str(node.target).split(".")[:2])
        if block and node.op in ("call_module", "call_function", "call_method"):
            last[block] = node
    return [node for node in last.values() if not any(_is_batchnorm(trunk, user) for user in node.users)]


def _is_batchnorm(trunk: fx.GraphModule, node: fx.Node) -> bool:
    return node.op == "call_module" and isinstance(trunk.get_submodule(str(node.target)), nn.BatchNorm2d)


def spread(said_DN: Tensor) -> Tensor:
    """Of each channel, (D,), but no less than a part of the layer's: in units of their own, channels that are nearly
    still would count a million times as much as others."""
    least = _LEAST_SPREAD * float(said_DN.square().mean(dim=1).sqrt().mean())
    return said_DN.std(dim=1).clamp(min=max(least, _STILL))


def map_spread(said_BDHW: Tensor) -> Tensor:
    """The same of maps, (D, 1, 1)."""
    return spread(said_BDHW.float().transpose(0, 1).flatten(1)).view(-1, 1, 1)


def distances(mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor], spreads: Mapping[str, Tensor]) -> Tensor:
    """The squared distance of each block's maps in spreads of the teacher's channels, (blocks,) on the CPU. The
    teacher's map is resized to the student's."""
    found = []
    for name, said in mine.items():
        aim = functional.interpolate(theirs[name], said.shape[2:], mode="bilinear", align_corners=False)
        found.append(_Distance.apply(said, aim.to(said.dtype), spreads[name].reciprocal().to(said.dtype)))
    return torch.stack(found).cpu()


class _Distance(torch.autograd.Function):
    """mean((mine - aim)^2 / spread^2) with its gradient written down: left to autograd, that of 52 maps took four
    times as long as all else that a student learned by."""

    @staticmethod
    def forward(ctx: Any, mine: Tensor, aim: Tensor, per_spread: Tensor) -> Tensor:
        wrong = (mine - aim).mul_(per_spread)
        ctx.save_for_backward(wrong, per_spread)
        return wrong.square().mean(dtype=torch.float32)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        wrong, per_spread = ctx.saved_tensors
        return wrong * per_spread * (2 / wrong.numel() * gradients[0]).to(wrong.dtype), None, None
