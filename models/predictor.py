"""The serving side: uint8 pictures in, probabilities, boxes and features out, as numpy arrays.

The same picture in a batch of the same shape gives the same bits, whatever stands beside it: no operation here mixes
pictures, and shape, threads and precision are fixed when the predictor is opened.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse

from models import geometry
from models.backbone import Features, Normalize, with_classes
from models.checkpoint import load
from models.describe import ModelSummary, describe_checkpoint, describe_imagenet
from models.network import BOX, EVENTS, TAGS, Network
from models.resolve import ImageNet, resolve
from models.spec import CheckpointInfo
from models.weights_file import load_torchvision_weights
from pipeline.errors import CheckpointError, DeviceOutOfMemory, MachineError

_FLOAT16_MAX = 65504.0


class Output(NamedTuple):
    """What the network says of B pictures.

    probs float32 (B, C): tags (a softmax), then events (a sigmoid each). boxes float32 (B, 4): x0 < x1, y0 < y1,
    fractions of the displayed picture; None without a localizer. features float16 (B, D).
    """

    probs: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32] | None
    features: npt.NDArray[np.float16]


@dataclass(frozen=True, slots=True)
class Pending:
    """A batch on its way through the device."""

    features: Tensor
    probs: Tensor
    boxes: Tensor | None

    def result(self) -> Output:
        """Waits for the device. Raises DeviceOutOfMemory."""
        try:
            probs, features = self.probs.cpu().numpy(), self.features.cpu().numpy()
            xywh = None if self.boxes is None else self.boxes.cpu().numpy()
        except torch.OutOfMemoryError as error:
            raise DeviceOutOfMemory("the device ran out of memory. Use a smaller infer.batch") from error
        boxes = None if xywh is None else geometry.clip(geometry.to_xyxy(xywh)).astype(np.float32)
        return Output(probs, boxes, features.clip(-_FLOAT16_MAX, _FLOAT16_MAX).astype(np.float16))


class Predictor:
    """A network ready to answer, and the facts about it."""

    def __init__(
        self, network: nn.Module, facts: ModelSummary, *, device: torch.device, batch: int, bf16: bool
    ) -> None:
        self._network = network.eval().to(device).to(memory_format=torch.channels_last)
        self._device, self._bf16, self._facts = device, bf16, facts
        self.tags, self.events = facts.tags, facts.events
        self.height_px, self.width_px, self.batch = facts.height_px, facts.width_px, batch

    def submit(self, pixels: npt.NDArray[np.uint8], /) -> Pending:
        """Start on uint8 (B, height_px, width_px, 3). Raises DeviceOutOfMemory, here or from the result."""
        assert pixels.shape[1:] == (self.height_px, self.width_px, 3), pixels.shape
        try:
            with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
                features, answers = self._network(self._on_device(pixels))
                box = answers[BOX].float() if BOX in answers else None
                return Pending(features.vector.float(), _probs(answers), box)
        except torch.OutOfMemoryError as error:
            raise DeviceOutOfMemory(f"no room for {len(pixels)} pictures. Use a smaller infer.batch") from error

    def _on_device(self, pixels: npt.NDArray[np.uint8]) -> Tensor:
        """A copy of our own: the caller may fill the same array again while a GPU is still reading."""
        if self._device.type != "cuda":
            return torch.tensor(pixels)
        pinned = torch.empty(pixels.shape, dtype=torch.uint8, pin_memory=True)
        pinned.copy_(torch.from_numpy(pixels))
        return pinned.to(self._device, non_blocking=True)


def _probs(answers: dict[str, Tensor]) -> Tensor:
    """Tags (a softmax), then events (a sigmoid each), (B, C) float32, from the heads' logits."""
    parts = []
    if TAGS in answers:
        parts.append(answers[TAGS].float().softmax(dim=1))
    if EVENTS in answers:
        parts.append(answers[EVENTS].float().sigmoid())
    return torch.cat(parts, dim=1)


def open_predictor(
    name: str, device: str = "auto", batch: int = 8, threads: int = 1, precision: str = "fp32"
) -> Predictor:
    """The model of that name, ready to serve: "default", "torchvision:NAME", or a checkpoint's path.

    `precision` is fp32 or bf16. Raises CheckpointError (the model) and MachineError (the device).
    """
    where = resolve(name)
    torch.set_num_threads(threads)
    chosen = _device(device)
    _exact_on_gpus()
    if isinstance(where, ImageNet):
        facts = describe_imagenet(where, precision)
        network: nn.Module = ImageNetClassifier(where)
    else:
        trained, info = load(where.path)
        facts, network = describe_checkpoint(name, info, precision), _served(trained)
    if not (facts.tags or facts.events):
        raise CheckpointError(f"{name}: this checkpoint has no labels. Train it with: matchcut train")
    return Predictor(network, facts, device=chosen, batch=batch, bf16=precision == "bf16")


def served_on_cpu(network: Network, *, bf16: bool) -> Predictor:
    """A copy of `network` as a run would have it, in batches of 8."""
    facts = describe_checkpoint("", CheckpointInfo(spec=network.spec, version=""), "fp32")
    return Predictor(_served(copy.deepcopy(network)), facts, device=torch.device("cpu"), batch=8, bf16=bf16)


def _served(network: Network) -> Network:
    """The same network, its trunk fused."""
    network.backbone.trunk = _fused(network.backbone.trunk)
    return network


class ImageNetClassifier(nn.Module):
    """torchvision's own network with its own 1,000 classes as tags, and no box."""

    def __init__(self, where: ImageNet) -> None:
        super().__init__()
        facts = describe_imagenet(where, "fp32")
        whole = with_classes(where.backbone, facts.height_px, facts.width_px)
        load_torchvision_weights(whole, where)
        self.normalize, self.trunk = Normalize(), _fused(whole)

    def forward(self, pixels_BHWC: Tensor) -> tuple[Features, dict[str, Tensor]]:
        map_BDhw, logits_BT = self.trunk(self.normalize(pixels_BHWC))
        return Features(map_BDhw, map_BDhw.mean((2, 3))), {TAGS: logits_BT}


def _fused(trunk: nn.Module) -> fx.GraphModule:
    """Convolutions with the BatchNorm behind them folded in: the same function, up to rounding, in half the time."""
    fused = fuse(trunk.eval())
    assert isinstance(fused, fx.GraphModule)
    return fused


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise MachineError("--device cuda: torch sees no CUDA device here. Use --device cpu, or check the driver")
    return torch.device(wanted)


def _exact_on_gpus() -> None:
    """fp32 means fp32: TensorFloat-32, which cuDNN uses unasked, has ten bits of mantissa and moves scores by 1e-3."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
