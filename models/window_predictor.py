"""The serving side of windows: uint8 pictures in, labels and merged boxes out, as a predictor gives them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.checkpoint import load
from models.dense import Dense
from models.output import Output
from models.predictor import device_named, exact_on_gpus
from models.resolve import Checkpoint, resolve
from models.serve import served
from models.windows import answering, find
from pipeline.errors import CheckpointError, ConfigError, DeviceOutOfMemory

_MOST_PX = 4096  # a side of the largest scale: its maps would not fit into memory


@dataclass(frozen=True, slots=True)
class Unseen:
    """Pictures that are looked at when the result is asked for: how many boxes there will be, only looking tells."""

    dense: Dense
    device: torch.device
    pixels: Tensor
    scales: tuple[float, ...]
    way: str

    def result(self) -> Output:
        """Raises DeviceOutOfMemory."""
        try:
            return find(self.dense, self.pixels.to(self.device), self.scales, self.way)
        except torch.OutOfMemoryError as error:
            raise DeviceOutOfMemory("the device ran out of memory. Use a smaller infer.batch") from error


class WindowPredictor:
    """As `Predictor`, for pictures as large as the largest scale asks for. Raises CheckpointError, ConfigError."""

    def __init__(self, dense: Dense, *, device: torch.device, batch: int, scales: Sequence[float], way: str) -> None:
        self._dense, self._device = dense.to(device).to(memory_format=torch.channels_last), device
        self._scales, self._way, self.batch = tuple(scales), way, batch
        self.box_heads = ("localizer",)
        spec = answering(dense.spec)
        self.tags, self.events, self.point_names = spec.served_tags, spec.events, spec.points
        self.height_px, self.width_px = _largest_px(dense, self._scales)

    def submit(self, pixels: npt.NDArray[np.uint8], /) -> Unseen:
        """uint8 (B, height_px, width_px, 3)."""
        assert pixels.shape[1:] == (self.height_px, self.width_px, 3), pixels.shape
        return Unseen(self._dense, self._device, torch.tensor(pixels), self._scales, self._way)


def open_windows(
    name: str, device: str, batch: int, threads: int, *, scales: Sequence[float], way: str, fine: bool = False
) -> WindowPredictor:
    """The checkpoint of that name, ready to look through windows. Raises CheckpointError, ConfigError, MachineError."""
    where = resolve(name)
    if not isinstance(where, Checkpoint):
        raise CheckpointError(
            f"{name}: torchvision's own networks have no localizer. Train one on boxes, or use default"
        )
    torch.set_num_threads(threads)
    chosen = device_named(device)
    exact_on_gpus()
    network, info = load(where.path)
    if not info.spec.localizer:
        raise CheckpointError(
            f"{name}: without a localizer there are no boxes in windows. Train it on pictures with boxes"
        )
    if not (info.spec.tags or info.spec.events):
        raise CheckpointError(
            f"{name}: this checkpoint has no labels for what windows show. Train it with: matchcut train"
        )
    try:
        dense = Dense(served(network, bf16=False), fine=fine)
    except CheckpointError as error:
        raise CheckpointError(f"{name}: {error}") from error
    return WindowPredictor(dense, device=chosen, batch=batch, scales=scales, way=way)


def _largest_px(dense: Dense, scales: tuple[float, ...]) -> tuple[int, int]:
    for scale in scales:
        if not 1 <= scale <= _MOST_PX:
            raise ConfigError(f"scale {scale:g}: windows would not fit in the picture. Give numbers from 1 on")
    height_px, width_px = dense.size_px(max(scales))
    if max(height_px, width_px) > _MOST_PX:
        raise ConfigError(
            f"scale {max(scales):g}: {width_px}x{height_px} pixels; at most {_MOST_PX} a side are possible"
        )
    return height_px, width_px
