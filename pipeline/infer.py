"""Pictures in, scores and boxes out: batches of one fixed shape, one of them always under way. Knows no networks.

The network sees one batch shape only (the last batch is padded), so the answer for a picture does not depend on how the
video was parted into batches: chunking, resume and decode-ahead change no bit of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.errors import DeviceOutOfMemory, MachineError
from pipeline.records import Boxes, FrameBatch, FrameScores, Labels

VERSION = 1

_BULK = 1024  # rows
_MOST_SET_ASIDE = 100_000  # rows: half a day at two a second
Pixels = npt.NDArray[np.uint8]


class Output(Protocol):
    """What a model says of B pictures."""

    @property
    def probs(self) -> npt.NDArray[np.float32]:
        """(B, C): tags (a softmax), then events (a sigmoid each)."""

    @property
    def boxes(self) -> npt.NDArray[np.float32] | None:
        """(B, 4) x0, y0, x1, y1 of the main subject as fractions of the picture; None without a localizer."""

    @property
    def features(self) -> npt.NDArray[np.float16] | None:
        """(B, D) pooled backbone features."""


class Pending(Protocol):
    """A batch under way on the device."""

    def result(self) -> Output: ...


class Model(Protocol):
    """What `infer` needs of a network. `submit` may return before the device is done."""

    @property
    def tags(self) -> tuple[str, ...]: ...
    @property
    def events(self) -> tuple[str, ...]: ...
    @property
    def batch(self) -> int: ...
    def submit(self, pixels: Pixels, /) -> Pending:
        """uint8 (B, H, W, 3). Raises DeviceOutOfMemory, here or from the result."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """The network's answers on the sample grid; `features` float16 (N, D) where the model gives them."""

    scores: FrameScores
    boxes: Boxes
    features: npt.NDArray[np.float16] | None


class _Row(NamedTuple):
    """The answers for the pictures of one batch, padding cut off."""

    probs: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32] | None
    features: npt.NDArray[np.float16] | None


def infer(batches: Iterable[FrameBatch], model: Model, expected: int = 0) -> Inferred:
    """Run `model` over all pictures. A batch that does not fit on the device is halved, and stays halved.

    `expected`: about how many pictures will come; room for their answers is set aside, and used as they come. Raises
    MachineError where not even one picture fits.
    """
    pts: list[int] = []
    probs, boxes, features = _Rows(expected), _Rows(expected), _Rows(expected)
    for answer in _answers(_fixed(_noting(batches, pts), model.batch), model):
        probs.add(answer.probs)
        boxes.add(answer.boxes)
        features.add(answer.features)
    labels = Labels(model.tags, model.events)
    scores = FrameScores(np.array(pts, np.int64), probs.array((0, len(labels.names)), np.float32), labels)
    corners = boxes.array((0, 4), np.float32)
    return Inferred(scores, _boxes(corners, scores), features.array((0, 0), np.float16) if features else None)


class _Rows:
    """Rows of many small arrays in one that grows in place. Kept as they come, thousands of small ones between the
    large ones that come and go would keep the heap from shrinking; joining them would take the same room again."""

    def __init__(self, expected: int) -> None:
        self._expected = min(expected, _MOST_SET_ASIDE)  # a header may promise anything
        self._held: npt.NDArray[Any] | None = None
        self._count = 0

    def __bool__(self) -> bool:
        return self._count > 0

    def add(self, rows: npt.NDArray[Any] | None) -> None:
        """Nothing where the network has no such answer."""
        if rows is None:
            return
        if self._held is None:
            self._held = np.empty((self._expected, *rows.shape[1:]), rows.dtype)
        end = self._count + len(rows)
        if end > len(self._held):
            self._held.resize((end + _BULK, *rows.shape[1:]), refcheck=False)
        self._held[self._count : end] = rows
        self._count = end

    def array(self, shape: tuple[int, ...], kind: type[np.generic]) -> npt.NDArray[Any]:
        """All rows; an empty array of that shape and kind where there are none. Ends the growing."""
        if self._held is None:
            return np.empty(shape, kind)
        self._held.resize((self._count, *self._held.shape[1:]), refcheck=False)
        return self._held


def _noting(batches: Iterable[FrameBatch], pts: list[int]) -> Iterator[Pixels]:
    for batch in batches:
        pts += batch.pts_ns.tolist()
        yield batch.pixels


def _fixed(pixels: Iterable[Pixels], size: int) -> Iterator[tuple[Pixels, int]]:
    """Blocks of exactly `size` pictures and how many of them are real: the last one is padded with black."""
    block: Pixels | None = None
    filled = 0
    for part in pixels:
        while len(part):
            if block is None:
                block = np.zeros((size, *part.shape[1:]), np.uint8)
            taken = min(size - filled, len(part))
            block[filled : filled + taken] = part[:taken]
            part, filled = part[taken:], filled + taken  # noqa: PLW2901  the rest of this part
            if filled == size:
                yield block, filled
                block, filled = None, 0
    if block is not None:
        yield block, filled


def _answers(blocks: Iterable[tuple[Pixels, int]], model: Model) -> Iterator[_Row]:
    """One block is always under way while the next is being filled."""
    device = _Device(model)
    waiting: tuple[Pixels, int, Pending | None] | None = None
    for block, real in blocks:
        started = block, real, device.start(block)
        if waiting is not None:
            yield device.finish(*waiting)
        waiting = started
    if waiting is not None:
        yield device.finish(*waiting)


class _Device:
    """Runs blocks, in halves (and halves of those) once the device has refused a whole one."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._size = model.batch

    def start(self, block: Pixels) -> Pending | None:
        """The block under way, or None where it has to go in parts."""
        if self._size < len(block):
            return None
        try:
            return self._model.submit(block)
        except DeviceOutOfMemory:
            return None

    def finish(self, block: Pixels, real: int, pending: Pending | None) -> _Row:
        try:
            return _cut(pending.result(), real) if pending is not None else self._in_parts(block, real)
        except DeviceOutOfMemory:
            return self._in_parts(block, real)

    def _in_parts(self, block: Pixels, real: int) -> _Row:
        """Every part has the same shape, so a picture's answer does not depend on its place."""
        if self._size >= len(block):
            self._size = len(block) // 2
        while self._size >= 1:
            try:
                parts = [
                    _cut(self._model.submit(_padded(block[at : at + self._size], self._size)).result(), self._size)
                    for at in range(0, real, self._size)
                ]
                return _cut(_joined(parts), real)
            except DeviceOutOfMemory:
                self._size //= 2
        raise MachineError("the device has no room for one picture. Free its memory or use --device cpu")


def _padded(part: Pixels, size: int) -> Pixels:
    missing = size - len(part)
    return np.concatenate([part, np.zeros((missing, *part.shape[1:]), np.uint8)]) if missing else part


def _cut(output: Output, real: int) -> _Row:
    boxes, features = output.boxes, output.features
    return _Row(
        output.probs[:real],
        None if boxes is None else boxes[:real],
        None if features is None else features[:real],
    )


def _joined(parts: list[_Row]) -> _Row:
    boxes = [part.boxes for part in parts if part.boxes is not None]
    features = [part.features for part in parts if part.features is not None]
    return _Row(
        np.concatenate([part.probs for part in parts]),
        np.concatenate(boxes) if boxes else None,
        np.concatenate(features) if features else None,
    )


def _boxes(corners: npt.NDArray[np.float32], scores: FrameScores) -> Boxes:
    """The main subject's box per picture, (N, 4) or none at all, labelled with the picture's best label."""
    count = len(corners)
    label = scores.probs[:count].argmax(axis=1).astype(np.int64)
    return Boxes(np.arange(count, dtype=np.int64), corners, scores.probs[:count].max(axis=1), label)
