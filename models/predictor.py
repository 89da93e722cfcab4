"""The serving side: uint8 pictures in, probabilities, boxes and features out, as numpy arrays.

The same picture in a batch of the same shape gives the same bits, whatever stands beside it: no operation here mixes
pictures, and shape, threads and precision are fixed when the predictor is opened.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse

from models import imagenet
from models.backbone import Features, Normalize, with_classes
from models.checkpoint import load
from models.describe import describe_checkpoint, describe_imagenet
from models.network import TAGS, Network
from models.output import Output, output
from models.resolve import ImageNet, resolve
from models.spec import Spec
from models.weights_file import load_torchvision_weights
from pipeline.errors import CheckpointError, DeviceOutOfMemory, MachineError


@dataclass(frozen=True, slots=True)
class Pending:
    """A batch on its way through the device."""

    spec: Spec
    vector: Tensor
    answers: dict[str, Tensor]

    def result(self) -> Output:
        """Waits for the device. Raises DeviceOutOfMemory."""
        try:
            with torch.inference_mode():
                answers = {name: answer.cpu() for name, answer in self.answers.items()}
                return output(self.vector.cpu(), answers, self.spec)
        except torch.OutOfMemoryError as error:
            raise DeviceOutOfMemory("the device ran out of memory. Use a smaller infer.batch") from error


class Predictor:
    """A network ready to answer, and the facts about it."""

    def __init__(self, network: Network | ImageNetClassifier, *, device: torch.device, batch: int, bf16: bool) -> None:
        self.spec = spec = network.spec
        self._network = network.eval().to(device).to(memory_format=torch.channels_last)
        self._device, self._bf16 = device, bf16
        self.tags, self.events, self.point_names = spec.served_tags, spec.events, spec.points
        self.height_px, self.width_px, self.batch = spec.height_px, spec.width_px, batch

    def submit(self, pixels: npt.NDArray[np.uint8], /) -> Pending:
        """Start on uint8 (B, height_px, width_px, 3). Raises DeviceOutOfMemory, here or from the result."""
        assert pixels.shape[1:] == (self.height_px, self.width_px, 3), pixels.shape
        try:
            with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
                features, answers = self._network(self._on_device(pixels))
                return Pending(self.spec, features.vector, answers)
        except torch.OutOfMemoryError as error:
            raise DeviceOutOfMemory(f"no room for {len(pixels)} pictures. Use a smaller infer.batch") from error

    def _on_device(self, pixels: npt.NDArray[np.uint8]) -> Tensor:
        """A copy of our own: the caller may fill the same array again while a GPU is still reading."""
        if self._device.type != "cuda":
            return torch.tensor(pixels)
        pinned = torch.empty(pixels.shape, dtype=torch.uint8, pin_memory=True)
        pinned.copy_(torch.from_numpy(pixels))
        return pinned.to(self._device, non_blocking=True)


def open_predictor(
    name: str, device: str = "auto", batch: int = 8, threads: int = 1, precision: str = "fp32"
) -> Predictor:
    """The model of that name, ready to serve: "default", "torchvision:NAME", or a checkpoint's path.

    `precision` is fp32 or bf16. Raises CheckpointError (the model) and MachineError (the device).
    """
    where = resolve(name)
    torch.set_num_threads(threads)
    chosen = device_named(device)
    exact_on_gpus()
    if isinstance(where, ImageNet):
        describe_imagenet(where, precision)
        network: Network | ImageNetClassifier = ImageNetClassifier(where)
    else:
        trained, info = load(where.path)
        describe_checkpoint(name, info, precision)
        network = served(trained)
    if not network.spec.columns:
        raise CheckpointError(f"{name}: this checkpoint has no labels. Train it with: matchcut train")
    return Predictor(network, device=chosen, batch=batch, bf16=precision == "bf16")


def served_on_cpu(network: Network, *, bf16: bool) -> Predictor:
    """A copy of `network` as a run would have it, in batches of 8."""
    return Predictor(served(copy.deepcopy(network)), device=torch.device("cpu"), batch=8, bf16=bf16)


def served(network: Network) -> Network:
    """The same network, its trunk fused."""
    network.backbone.trunk = _fused(network.backbone.trunk)
    return network


class ImageNetClassifier(nn.Module):
    """torchvision's own network with its own 1,000 classes as tags, and no box."""

    def __init__(self, where: ImageNet) -> None:
        super().__init__()
        side = imagenet.SIDE_PX
        self.spec = Spec(backbone=where.backbone, height_px=side, width_px=side, tags=imagenet.labels())
        whole = with_classes(where.backbone, side, side)
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


def device_named(wanted: str) -> torch.device:
    """auto, cpu or cuda. Raises MachineError."""
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise MachineError("--device cuda: torch sees no CUDA device here. Use --device cpu, or check the driver")
    return torch.device(wanted)


def exact_on_gpus() -> None:
    """fp32 means fp32: TensorFloat-32, which cuDNN uses unasked, has ten bits of mantissa and moves scores by 1e-3."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
