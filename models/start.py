"""The network before training: its base's weights where the regime uses them, its own random values where not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx, nn

from models.backbone import read_by
from models.checkpoint import load
from models.network import BOX, EVENTS, OBJECTS, POINTS, TAGS, Network, attribute
from models.recipe import Recipe, input_size
from models.resolve import ImageNet, resolve
from models.spec import FROZEN, SCRATCH, Spec, read_info
from models.targets import Plan
from models.weights_file import load_torchvision_weights
from pipeline.errors import CheckpointError, ConfigError

_CHUNK = 32
_STILL = 1e-8  # variance below which a channel says nothing


def start(recipe: Recipe, plan: Plan) -> tuple[Network, tuple[str, ...]]:
    """The network before training, and the heads that stay as they are.

    With a frozen backbone the base's heads go on being right: those the data do not teach are kept.
    """
    where = resolve(recipe.base)
    torch.manual_seed(recipe.seed)
    size_px = input_size(recipe)
    if isinstance(where, ImageNet):
        network = Network(_spec(where.backbone, size_px, recipe.attach or "conv", plan))
        if recipe.regime == SCRATCH:
            return _initialised(network, recipe), ()
        load_torchvision_weights(network.backbone.trunk, where)
        return network, ()
    base, info = load(where.path)
    spec = _spec(info.spec.backbone, size_px, recipe.attach or info.spec.attach, plan)
    if recipe.regime == SCRATCH:
        return _initialised(Network(spec), recipe), ()
    if spec.attach != info.spec.attach:
        raise CheckpointError(
            f"{recipe.base}: its backbone ends at {info.spec.attach}. Leave out --attach {spec.attach}"
        )
    same_size = size_px == (info.spec.height_px, info.spec.width_px)
    kept = _heads_to_keep(spec, info.spec) if recipe.regime == FROZEN and same_size else ()
    network = Network(_with_heads(spec, info.spec, kept))
    network.backbone.load_state_dict(base.backbone.state_dict())
    for name in kept:
        network.heads[name].load_state_dict(base.heads[name].state_dict())
    return network, kept


def split_before(recipe: Recipe) -> Mapping[str, tuple[str, ...]]:
    """What the base was taught, chosen and judged by, by content; nothing, where none of its weights are used, or
    torchvision's. Raises CheckpointError."""
    where = resolve(recipe.base)
    if recipe.regime == SCRATCH or isinstance(where, ImageNet):
        return {}
    return read_info(where.path).split


def _spec(backbone: str, size_px: tuple[int, int], attach: str, plan: Plan) -> Spec:
    height_px, width_px = size_px
    return Spec(
        backbone=backbone,
        height_px=height_px,
        width_px=width_px,
        attach=attach,
        tags=plan.tags,
        events=plan.events,
        localizer=plan.boxes,
        box_per_class=plan.box_per_class,
        attributes=plan.attributes,
        points=plan.points,
        detector=plan.detector,
    )


def _heads_to_keep(new: Spec, base: Spec) -> tuple[str, ...]:
    """Heads of the base that the data do not teach and whose labels do not clash with the new ones."""
    taught = set(new.columns)
    box = base.localizer and not new.localizer and not base.box_per_class
    keep = {
        TAGS: bool(base.tags) and not new.tags and not taught & set(base.tags),
        EVENTS: bool(base.events) and not new.events and not taught & set(base.events),
        BOX: box,
        POINTS: bool(base.points) and not new.points and box,  # they are placed in it
        OBJECTS: bool(base.detector) and not new.detector and not taught & set(base.detector),
    }
    attributes = {attribute(number): not new.attributes for number in range(len(base.attributes))}
    return tuple(name for name, wanted in (keep | attributes).items() if wanted)


def _with_heads(new: Spec, base: Spec, kept: Sequence[str]) -> Spec:
    return replace(
        new,
        tags=base.tags if TAGS in kept else new.tags,
        events=base.events if EVENTS in kept else new.events,
        localizer=new.localizer or BOX in kept,
        points=base.points if POINTS in kept else new.points,
        detector=base.detector if OBJECTS in kept else new.detector,
        attributes=base.attributes if attribute(0) in kept else new.attributes,
    )


def _small(weight: Tensor) -> None:
    nn.init.normal_(weight, std=0.01)


def _xavier(weight: Tensor) -> None:
    nn.init.xavier_uniform_(weight)


def _he(weight: Tensor) -> None:
    nn.init.kaiming_normal_(weight, mode="fan_out", nonlinearity="relu")


# Small numbers as in AlexNet (2012); Glorot and Bengio (2010); He et al. (arXiv 1502.01852).
INITIAL: Mapping[str, Callable[[Tensor], None]] = {"small": _small, "xavier": _xavier, "he": _he}


def initialise(module: nn.Module, name: str) -> None:
    """Random values by that rule in every convolution and linear layer; biases 0. Raises ConfigError."""
    if name not in INITIAL:
        raise ConfigError(f"initial values {name!r}: use one of {', '.join(INITIAL)}")
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            INITIAL[name](layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _initialised(network: Network, recipe: Recipe) -> Network:
    """A network from scratch, by torchvision's own rules or by the one that is named."""
    if recipe.initial is not None:
        initialise(network.backbone.trunk, recipe.initial)
    return network


def measure_batchnorm(network: Network, pixels: npt.NDArray[np.uint8]) -> None:
    """Give BatchNorm layers that never measured anything the statistics of these pictures, and change no answer.

    Weights converted from a network whose BatchNorm was folded into its convolutions hold mean 0 and variance 1
    everywhere, and kernels of all sizes, which one rate does not suit. Here each layer's mean and variance become those
    of its input, and its scale and shift undo that; kernels shrink so that the variance is 1. A layer that reads no
    convolution of its own stays as it is.
    """
    trunk = network.backbone.trunk
    layers = {name: layer for name, layer in trunk.named_modules() if isinstance(layer, nn.BatchNorm2d)}
    if not layers or not all(_unmeasured(layer) for layer in layers.values()):
        return
    kernels = {name: kernel for name in layers if (kernel := _convolution_before(trunk, name)) is not None}
    read = _input_statistics(network, {name: layers[name] for name in kernels}, pixels)
    for name, (mean, variance) in read.items():
        layer, kernel = layers[name], kernels[name]
        spread = (variance + layer.eps).sqrt()
        with torch.no_grad():
            scale = layer.weight / math.sqrt(1 + layer.eps)
            layer.bias.add_(scale * mean)
            layer.weight.copy_(scale * spread)
            kernel.weight /= spread.view(-1, 1, 1, 1)
            assert layer.running_mean is not None and layer.running_var is not None
            layer.running_mean.copy_(mean / spread)
            layer.running_var.fill_(1 - layer.eps)


def _unmeasured(layer: nn.BatchNorm2d) -> bool:
    assert layer.running_mean is not None and layer.running_var is not None
    return bool((layer.running_mean == 0).all() and (layer.running_var == 1).all())


def _input_statistics(
    network: Network, layers: Mapping[str, nn.BatchNorm2d], pixels: npt.NDArray[np.uint8]
) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and variance by channel of what each layer reads."""
    sums: dict[str, list[Tensor]] = {}

    def noting(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def note(_: nn.Module, read: tuple[Tensor, ...]) -> None:
            x = read[0].double()
            sums.setdefault(name, []).append(torch.stack([x.mean((0, 2, 3)), x.square().mean((0, 2, 3))]) * len(x))

        return note

    hooks = [layer.register_forward_pre_hook(noting(name)) for name, layer in layers.items()]
    network.eval()
    with torch.inference_mode():
        for at in range(0, len(pixels), _CHUNK):
            network.backbone(torch.from_numpy(pixels[at : at + _CHUNK]))
    for hook in hooks:
        hook.remove()
    moments = {name: torch.stack(parts).sum(0).clone() / len(pixels) for name, parts in sums.items()}
    return {
        name: (mean.float(), (square - mean**2).clamp(min=_STILL).float()) for name, (mean, square) in moments.items()
    }


def _convolution_before(trunk: fx.GraphModule, name: str) -> nn.Conv2d | None:
    """The layer whose output a BatchNorm layer reads; None where that is no convolution of its own."""
    before = read_by(trunk, name)
    layer = trunk.get_submodule(str(before.target)) if before.op == "call_module" else None
    return layer if isinstance(layer, nn.Conv2d) and layer.bias is None else None
