"""A trained network as it is served: the same answers, up to rounding, in fewer operations."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse

from models import imagenet
from models.backbone import Features, Normalize, with_classes
from models.heads import Classifier, Detector, Localizer, Points, Standard
from models.network import TAGS, Network
from models.resolve import ImageNet
from models.spec import Spec
from models.weights_file import load_torchvision_weights

_READER = {Classifier: "linear", Localizer: "cell", Points: "cell", Detector: "cell"}  # the layer behind `standard`


def served(network: Network, *, bf16: bool) -> Network:
    """The same network, changed in place: its trunk fused, and then made cheaper for fp32 or for bf16."""
    network.backbone.trunk = fused(network.backbone.trunk)
    return _rounded(network) if bf16 else _folded(network)


def _folded(network: Network) -> Network:
    """Each head's `Standard` in the layer behind it. Not for bf16, which keeps eight bits of what a layer reads: those
    of a standardised channel say more."""
    for head in network.heads.values():
        standard = head.get_submodule("standard")
        assert isinstance(standard, Standard)
        _absorb(standard, getattr(head, _READER[type(head)]))
        head.standard = nn.Identity()
    return network


def _absorb(standard: Standard, layer: nn.Linear | nn.Conv2d) -> None:
    """Make the layer, which looks at no neighbours, compute `layer(standard(x))` from x."""
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight.div_((standard.spread * standard.root).view(1, -1, *[1] * (layer.weight.dim() - 2)))
        layer.bias.sub_(layer.weight.flatten(1) @ standard.mean)


def _rounded(network: Network) -> Network:
    """Weights as autocast would round them for every batch anew."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.to(torch.bfloat16)
    return network


class ImageNetClassifier(nn.Module):
    """torchvision's own network with its own 1,000 classes as tags, and no box."""

    def __init__(self, where: ImageNet) -> None:
        super().__init__()
        side = imagenet.SIDE_PX
        self.spec = Spec(backbone=where.backbone, height_px=side, width_px=side, tags=imagenet.labels())
        whole = with_classes(where.backbone, side, side)
        load_torchvision_weights(whole, where)
        self.normalize, self.trunk = Normalize(), fused(whole)

    def forward(self, pixels_BHWC: Tensor) -> tuple[Features, dict[str, Tensor]]:
        map_BDhw, logits_BT = self.trunk(self.normalize(pixels_BHWC))
        return Features(map_BDhw, map_BDhw.mean((2, 3))), {TAGS: logits_BT}


def fused(trunk: nn.Module) -> fx.GraphModule:
    """A copy with every BatchNorm folded into the convolution before it: the same function, up to rounding, in half the
    time."""
    copied = fuse(trunk.eval())
    assert isinstance(copied, fx.GraphModule)
    return copied
