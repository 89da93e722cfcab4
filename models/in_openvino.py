"""A network run by OpenVINO on the CPU, in fp32. Needs the package `openvino`, which is optional."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn


class InOpenVINO:
    """One network for batches of one shape, on so many threads. The answers are copies, and there when it returns."""

    def __init__(self, network: nn.Module, shape: tuple[int, ...], threads: int) -> None:
        openvino = _openvino()
        model, self._names = _converted(openvino, network.eval(), shape)
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",  # some CPUs would be given bf16
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,  # several runs on one machine would all be pinned to its first core
        }
        self._compiled = openvino.Core().compile_model(model, "CPU", settings)

    def __call__(self, pixels: npt.NDArray[np.uint8], /) -> tuple[Tensor, dict[str, Tensor]]:
        found = self._compiled([pixels])
        vector, *answers = (torch.from_numpy(found[number]) for number in range(1 + len(self._names)))
        return vector, dict(zip(self._names, answers, strict=True))


def _openvino() -> Any:
    """The package without its telemetry, which would report to its makers that it was imported and how it is used.

    That part is a package of its own; where Python cannot import it, OpenVINO goes on without.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # None: there is no such package
    import openvino

    return openvino


def _converted(openvino: Any, network: nn.Module, shape: tuple[int, ...]) -> tuple[Any, tuple[str, ...]]:
    """The network as OpenVINO has it, answering the vector and then each head's answer, and the names of these."""
    example = torch.zeros(shape, dtype=torch.uint8)
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # that tracing will go: OpenVINO's matter
        names = tuple(network(example)[1])
        model = openvino.convert_model(_Flat(network), example_input=example, input=[shape], share_weights=False)
    return model, names


class _Flat(nn.Module):
    """The same network with its answers one after another: names do not survive the conversion."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels_BHWC: Tensor) -> tuple[Tensor, ...]:
        features, answers = self.network(pixels_BHWC)
        return features.vector, *answers.values()
