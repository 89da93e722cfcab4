"""The serving side: uint8 pictures in, probabilities, boxes and features out, as numpy arrays.

The same picture in a batch of the same shape gives the same bits, whatever stands beside it: no operation here mixes
pictures, and shape, threads and precision are fixed when the predictor is opened.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.checkpoint import load
from models.network import Network
from models.output import MIN_OBJECT_SCORE, Output, output
from models.precision import BF16, require_precision
from models.resolve import ImageNet, resolve
from models.runtime import OPENVINO, TORCH, require_runtime
from models.serve import ImageNetClassifier, served
from models.spec import Spec
from pipeline.errors import DeviceOutOfMemory, MachineError

Pixels = npt.NDArray[np.uint8]


class Pass(Protocol):
    """One network, run in one way."""

    def __call__(self, pixels: Pixels, /) -> tuple[Tensor, Mapping[str, Tensor]]:
        """uint8 (B, H, W, 3) -> the vector (B, D) and every head's answer, on any device and maybe still under way."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A batch on its way through the device."""

    spec: Spec
    vector: Tensor
    answers: Mapping[str, Tensor]
    least_score: float

    def result(self) -> Output:
        """Waits for the device. Raises DeviceOutOfMemory."""
        try:
            with torch.inference_mode():
                answers = {name: answer.cpu() for name, answer in self.answers.items()}
                return output(self.vector.cpu(), answers, self.spec, self.least_score)
        except torch.OutOfMemoryError as error:
            raise DeviceOutOfMemory("the device ran out of memory. Use a smaller infer.batch") from error


class Predictor:
    """A network ready to answer, and the facts about it: `box_heads` name the head of a picture's first box, and of the
    others. Of a detector's boxes those are told that have `least_score` or more."""

    def __init__(self, spec: Spec, one_pass: Pass, *, batch: int, least_score: float = MIN_OBJECT_SCORE) -> None:
        self.spec, self._pass, self._least_score = spec, one_pass, least_score
        there = {"localizer": spec.localizer, "detector": bool(spec.detector)}
        self.box_heads = tuple(name for name, is_there in there.items() if is_there)
        self.tags, self.events, self.point_names = spec.served_tags, spec.events, spec.points
        self.height_px, self.width_px, self.batch = spec.height_px, spec.width_px, batch

    def submit(self, pixels: Pixels, /) -> Pending:
        """Start on uint8 (B, height_px, width_px, 3). Raises DeviceOutOfMemory, here or from the result."""
        assert pixels.shape[1:] == (self.height_px, self.width_px, 3), pixels.shape
        try:
            return Pending(self.spec, *self._pass(pixels), self._least_score)
        except torch.OutOfMemoryError as error:
            raise DeviceOutOfMemory(f"no room for {len(pixels)} pictures. Use a smaller infer.batch") from error


class InTorch:
    """A network run by torch, in channels-last memory."""

    def __init__(self, network: Network | ImageNetClassifier, device: torch.device, *, bf16: bool) -> None:
        self._network = network.eval().to(device).to(memory_format=torch.channels_last)
        self._device, self._bf16 = device, bf16

    def __call__(self, pixels: Pixels, /) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            features, answers = self._network(self._on_device(pixels))
            return features.vector, answers

    def _on_device(self, pixels: Pixels) -> Tensor:
        """A copy of our own: the caller may fill the same array again while a GPU is still reading."""
        if self._device.type != "cuda":
            return torch.tensor(pixels)
        pinned = torch.empty(pixels.shape, dtype=torch.uint8, pin_memory=True)
        pinned.copy_(torch.from_numpy(pixels))
        return pinned.to(self._device, non_blocking=True)


def open_predictor(  # noqa: PLR0917  the settings of a run, one by one
    name: str,
    device: str = "auto",
    batch: int = 8,
    threads: int = 1,
    precision: str = "fp32",
    runtime: str = TORCH,
    *,
    least_score: float = MIN_OBJECT_SCORE,
) -> Predictor:
    """The model of that name, ready to serve: "default", "dunk", "torchvision:NAME", or a checkpoint's path.

    `precision` is fp32 or bf16; `runtime` is torch, or openvino for batches of exactly `batch`. Raises CheckpointError
    (the model), MachineError (the device, or no OpenVINO) and UsageError (settings that exclude each other).
    """
    require_runtime(runtime, device, precision)
    torch.set_num_threads(threads)
    if runtime == OPENVINO:
        network = _network(name, precision)
        return Predictor(network.spec, _in_openvino(network, batch, threads), batch=batch, least_score=least_score)
    chosen = device_named(device)
    exact_on_gpus()
    network = _network(name, precision)
    one_pass = InTorch(network, chosen, bf16=precision == BF16)
    return Predictor(network.spec, one_pass, batch=batch, least_score=least_score)


def _network(name: str, precision: str) -> Network | ImageNetClassifier:
    """The network of that name as it is served. Raises CheckpointError."""
    where = resolve(name)
    if isinstance(where, ImageNet):
        require_precision(name, precision, {})
        return ImageNetClassifier(where)
    trained, info = load(where.path)
    require_precision(name, precision, info.metrics)
    return served(trained, bf16=precision == BF16)


def _in_openvino(network: Network | ImageNetClassifier, batch: int, threads: int) -> Pass:
    from models.in_openvino import InOpenVINO  # of an optional package

    return InOpenVINO(network, (batch, network.spec.height_px, network.spec.width_px, 3), threads)


def served_on_cpu(network: Network, *, bf16: bool) -> Predictor:
    """A copy of `network` as a run would have it, in batches of 8."""
    copied = served(copy.deepcopy(network), bf16=bf16)
    return Predictor(copied.spec, InTorch(copied, torch.device("cpu"), bf16=bf16), batch=8)


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
