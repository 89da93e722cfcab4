"""Any convolutional classification network of torchvision, cut at its last map, with normalisation inside.

Where heads attach:
    conv   the last map before pooling: (B, D, h, w) keeps *where*, which a regression of boxes needs
           (OverFeat, arXiv 1312.6229; VGG, arXiv 1409.1556)
    fc     what the network's last class layer sees: after its other fully connected layers
           (DeepPose, arXiv 1312.4659; R-CNN, arXiv 1311.2524). Our head stands *instead of* the class layer: scores
           of other classes carry less than the vector they were computed from. A network whose class layer is its
           only one (resnet) gives its pooled vector here.
"""

# B pictures, D channels, H x W pixels, h x w cells

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp
from torchvision import models
from torchvision.ops import StochasticDepth

from models.spec import Spec
from pipeline.errors import CheckpointError

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
_CLASSIFIERS = ("classifier", "fc")  # what torchvision's networks call the part after the last map
_WITH_SIDE_EXITS = ("googlenet", "inception_v3")


class Features(NamedTuple):
    """One pass: the last map (B, D, h, w), and the vector (B, F) that classifiers stand on."""

    map: Tensor
    vector: Tensor

    def rows(self, index: Tensor | slice) -> Features:
        """Of these pictures."""
        return Features(self.map[index], self.vector[index])


class Sizes(NamedTuple):
    """D, h, w of the last map, and F of the vector."""

    channels: int
    height: int
    width: int
    vector: int


class Normalize(nn.Module):
    """uint8 (B, H, W, 3) as pictures come -> float (B, 3, H, W), standardised, in channels-last memory."""

    mean: Tensor
    std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1) * 255, persistent=False)

    def forward(self, pixels_BHWC: Tensor) -> Tensor:
        x_BCHW = pixels_BHWC.permute(0, 3, 1, 2)  # a view: this *is* channels-last memory
        return (x_BCHW.to(self.mean.dtype) - self.mean) / self.std


class Backbone(nn.Module):
    """`forward(uint8 (B, H, W, 3)) -> Features`. Random values until weights are loaded."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.normalize = Normalize()
        self.trunk, self.sizes = _cut(spec)
        self.train()

    def forward(self, pixels_BHWC: Tensor) -> Features:
        return features_of(*self.trunk(self.normalize(pixels_BHWC)))


def digest_of_weights(module: nn.Module) -> bytes:
    """The sha256 of its parameters and buffers, with their names."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(tensor.detach().cpu().numpy()).data)
    return digest.digest()


def features_of(map_BDhw: Tensor, vector_BF: Tensor | None) -> Features:
    """What a trunk says; without a vector of its own the map's mean."""
    return Features(map_BDhw, vector_BF.flatten(1) if vector_BF is not None else map_BDhw.mean((2, 3)))


def classification_network(name: str) -> nn.Module:
    """torchvision's network of that name with random values. `Spec` has checked the name against our own list."""
    options = {"aux_logits": False, "init_weights": True} if name in _WITH_SIDE_EXITS else {}
    network: nn.Module = models.get_model(name, weights=None, **options)
    return network


def with_classes(name: str, height_px: int, width_px: int) -> fx.GraphModule:
    """The whole network, answering (map, logits of its own classes)."""
    traced = _measured(name, height_px, width_px)
    (output,) = (node for node in traced.graph.nodes if node.op == "output")
    _end_at(traced, _last_map(traced, name), output.args[0])
    return traced


def _cut(spec: Spec) -> tuple[fx.GraphModule, Sizes]:
    """The network up to (map, vector or None) and their sizes: found by tracing, so no network is a special case."""
    traced = _measured(spec.backbone, spec.height_px, spec.width_px)
    last_map = _last_map(traced, spec.backbone)
    vector = None if spec.attach == "conv" else _before_classes(traced)
    _, channels, height, width = _shape(last_map)
    length = channels if vector is None else _shape(vector)[1:].numel()
    _end_at(traced, last_map, vector)
    return traced, Sizes(channels, height, width, length)


class _Tracer(fx.Tracer):
    """What torchvision's own layers do depends on whether they train; traced through, they would for ever be as they
    are now."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, StochasticDepth) or super().is_leaf_module(m, module_qualified_name)


def _measured(name: str, height_px: int, width_px: int) -> fx.GraphModule:
    """The network as a graph, with the shape of every value for one picture."""
    network = classification_network(name).eval()
    traced = fx.GraphModule(network, _Tracer().trace(network))
    try:
        ShapeProp(traced).propagate(torch.zeros(1, 3, height_px, width_px))
    except RuntimeError as error:
        raise CheckpointError(f"{name} cannot take {width_px}x{height_px} pixels. Use a larger --size") from error
    return traced


def _last_map(traced: fx.GraphModule, name: str) -> fx.Node:
    maps: list[fx.Node] = [node for node in traced.graph.nodes if _is_map(node)]
    if not maps:
        raise CheckpointError(f"{name} leaves a single cell of such small pictures. Use a larger --size")
    return maps[-1]


def _end_at(traced: fx.GraphModule, last_map: fx.Node, vector: fx.Node | None) -> None:
    """Make these nodes the graph's answer and drop what only the old answer needed."""
    (output,) = (node for node in traced.graph.nodes if node.op == "output")
    output.args = ((last_map, vector),)
    traced.graph.eliminate_dead_code()
    traced.delete_all_unused_submodules()
    traced.recompile()
    for node in traced.graph.nodes:
        node.meta.clear()  # the sample's shapes would be copied along with the network


def _is_map(node: fx.Node) -> bool:
    shape = _shape(node)
    modules = node.meta.get("nn_module_stack") or ("",)
    return len(shape) == 4 and shape[2] * shape[3] > 1 and next(iter(modules)) not in _CLASSIFIERS


def _shape(node: fx.Node) -> torch.Size:
    shape: torch.Size = getattr(node.meta.get("tensor_meta"), "shape", torch.Size())
    return shape


def read_by(trunk: fx.GraphModule, layer: str) -> fx.Node:
    """What a layer of the trunk reads, as a node of its graph."""
    node = next(node for node in trunk.graph.nodes if node.op == "call_module" and node.target == layer)
    before = node.args[0]
    assert isinstance(before, fx.Node)
    return before


def _before_classes(traced: fx.GraphModule) -> fx.Node:
    """What the last layer with weights reads: the network's own idea of a picture."""
    weighted = [
        node
        for node in traced.graph.nodes
        if node.op == "call_module" and isinstance(traced.get_submodule(str(node.target)), nn.Linear | nn.Conv2d)
    ]
    source = weighted[-1].args[0]
    assert isinstance(source, fx.Node)
    return source
