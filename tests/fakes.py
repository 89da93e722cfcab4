"""A network that computes by hand, for the tests of everything around networks. It answers from the pixels alone."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipeline.errors import DeviceOutOfMemory
from pipeline.records import Labels, ModelFacts

Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class FakeBoxes:
    """What `infer.FoundBoxes` asks for, (M, ...) each."""

    picture: npt.NDArray[np.int64]
    xyxy: npt.NDArray[np.float32]
    score: npt.NDArray[np.float32]
    label: npt.NDArray[np.int64]


@dataclass(frozen=True)
class FakeOutput:
    """What `infer.Output` asks for, (B, ...) each."""

    probs: npt.NDArray[np.float32]
    boxes: FakeBoxes | None
    features: npt.NDArray[np.float16] | None
    points: npt.NDArray[np.float32] | None


@dataclass(frozen=True)
class FakePending:
    """A batch under way: the answer is computed from the very array that was submitted, when it is asked for."""

    model: FakeModel
    number: int
    pixels: Pixels

    def result(self) -> FakeOutput:
        self.model.log.append(f"result {self.number}")
        if self.model.refuses_late and len(self.pixels) > self.model.room:
            raise DeviceOutOfMemory(f"no room for {len(self.pixels)} pictures")
        self.model.passed.extend(self.pixels)
        return answer(self.pixels, self.model)


@dataclass
class FakeModel:
    """Tags `bright` and `none`; the event `flash`, sure where the picture is white; boxes; features of every pixel.

    `room`: the most pictures that its device holds. A larger batch is refused when it is submitted, or, with
    `refuses_late`, when the result is asked for. What happened stands in `shapes`, `log` and `passed`.
    """

    tags: tuple[str, ...] = ("bright", "none")
    events: tuple[str, ...] = ("flash",)
    batch: int = 4
    height_px: int = 32
    width_px: int = 48
    room: int = 1 << 30
    refuses_late: bool = False
    localizes: bool = True
    crowded: bool = False  # every other picture has two boxes
    point_names: tuple[str, ...] = ()
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    passed: list[Pixels] = field(default_factory=list)  # every picture that went through, padding included

    def submit(self, pixels: Pixels, /) -> FakePending:
        self.shapes.append(pixels.shape)
        self.log.append(f"submit {len(self.shapes)}")
        if not self.refuses_late and len(pixels) > self.room:
            raise DeviceOutOfMemory(f"no room for {len(pixels)} pictures")
        return FakePending(self, len(self.shapes), pixels)

    def facts(self) -> ModelFacts:
        return ModelFacts(name="fake", version="fake-1", labels=Labels(self.tags, self.events))


def answer(pixels: Pixels, model: FakeModel) -> FakeOutput:
    """Each picture's answer, from its own pixels and no other's. Sums are of integers: their order changes no bit."""
    count = len(pixels)
    luma = pixels.reshape(count, -1).sum(axis=1, dtype=np.int64) / (255 * pixels[0].size)
    flash = np.clip((luma - 0.6) / 0.3, 0, 1)
    columns = [luma, 1 - luma, flash][: len(model.tags) + len(model.events)]
    weights = np.arange(1, 1 + pixels[0].size, dtype=np.int64) % 251
    digest = (pixels.reshape(count, -1).astype(np.int64) @ weights) % 1009
    probs = np.stack(columns, axis=1).astype(np.float32)
    corner = 0.1 + 0.3 * luma
    xyxy = np.stack([corner, corner, corner + 0.4, corner + 0.5], axis=1).astype(np.float32)
    every = np.repeat(np.arange(count), 1 + digest % 2 * model.crowded)
    boxes = FakeBoxes(every, xyxy[every], probs.max(axis=1)[every], probs.argmax(axis=1)[every])
    features = np.stack([digest, luma], axis=1).astype(np.float16)
    points = xyxy.reshape(count, 2, 2)[:, :1].repeat(2, axis=1)
    points = np.concatenate([points, np.ones((count, 2, 1), np.float32)], axis=2) if model.point_names else None
    return FakeOutput(probs, boxes if model.localizes else None, features, points)
