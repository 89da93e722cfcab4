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


class FoundBoxes(Protocol):
    """Boxes in a batch, ordered by picture: any number in each."""

    @property
    def picture(self) -> npt.NDArray[np.int64]:
        """(M,) from 0."""

    @property
    def xyxy(self) -> npt.NDArray[np.float32]:
        """(M, 4) x0 < x1, y0 < y1, fractions of the picture."""

    @property
    def score(self) -> npt.NDArray[np.float32]:
        """(M,)"""

    @property
    def label(self) -> npt.NDArray[np.int64]:
        """(M,) column of the scores; -1: without a name."""


class Output(Protocol):
    """What a model says of B pictures."""

    @property
    def probs(self) -> npt.NDArray[np.float32]:
        """(B, C): what a picture is about, then events (a sigmoid each)."""

    @property
    def boxes(self) -> FoundBoxes | None:
        """None without a head that finds any."""

    @property
    def features(self) -> npt.NDArray[np.float16] | None:
        """(B, D) pooled backbone features."""

    @property
    def points(self) -> npt.NDArray[np.float32] | None:
        """(B, K, 3) x, y as fractions of the picture, and the probability of being visible; None without that head."""


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
    def point_names(self) -> tuple[str, ...]:
        """Of `Output.points`; () without that head."""

    @property
    def batch(self) -> int: ...
    def submit(self, pixels: Pixels, /) -> Pending:
        """uint8 (B, H, W, 3). Raises DeviceOutOfMemory, here or from the result."""


@dataclass(frozen=True, slots=True)
class Inferred:
    """The network's answers on the sample grid; `features` float16 (N, D) and `points` float32 (N, K, 3), named by
    `point_names` (K,), where the model gives them."""

    scores: FrameScores
    boxes: Boxes
    features: npt.NDArray[np.float16] | None
    points: npt.NDArray[np.float32] | None = None
    point_names: tuple[str, ...] = ()


class _Found(NamedTuple):
    picture: npt.NDArray[np.int64]
    xyxy: npt.NDArray[np.float32]
    score: npt.NDArray[np.float32]
    label: npt.NDArray[np.int64]


class _Row(NamedTuple):
    """The answers for the pictures of one batch, padding cut off."""

    probs: npt.NDArray[np.float32]
    boxes: _Found | None
    features: npt.NDArray[np.float16] | None
    points: npt.NDArray[np.float32] | None


def infer(batches: Iterable[FrameBatch], model: Model, expected: int = 0) -> Inferred:
    """Run `model` over all pictures. A batch that does not fit on the device is halved, and stays halved.

    `expected`: about how many pictures will come; room for their answers is set aside, and used as they come. Raises
    MachineError where not even one picture fits.
    """
    pts: list[int] = []
    done = 0
    probs, features, points = _Rows(expected), _Rows(expected), _Rows(expected)
    boxes = _BoxRows(expected)
    for answer in _answers(_fixed(_noting(batches, pts), model.batch), model):
        probs.add(answer.probs)
        features.add(answer.features)
        points.add(answer.points)
        boxes.add(answer.boxes, done)
        done += len(answer.probs)
    labels = Labels(model.tags, model.events)
    scores = FrameScores(np.array(pts, np.int64), probs.array((0, len(labels.names)), np.float32), labels)
    return Inferred(
        scores,
        boxes.boxes(),
        features.array((0, 0), np.float16) if features else None,
        points.array((0, 0, 3), np.float32) if points else None,
        model.point_names,
    )


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


class _BoxRows:
    """The boxes of many batches; pictures are counted through."""

    def __init__(self, expected: int) -> None:
        self._frame, self._xyxy, self._score, self._label = (_Rows(expected) for _ in range(4))

    def add(self, boxes: _Found | None, first: int) -> None:
        """Those of a batch whose first picture is number `first` of all."""
        if boxes is not None and len(boxes.picture):
            self._frame.add(boxes.picture + first)
            self._xyxy.add(boxes.xyxy)
            self._score.add(boxes.score)
            self._label.add(boxes.label)

    def boxes(self) -> Boxes:
        """All of them. Ends the growing."""
        return Boxes(
            self._frame.array((0,), np.int64),
            self._xyxy.array((0, 4), np.float32),
            self._score.array((0,), np.float32),
            self._label.array((0,), np.int64),
        )


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


def _cut(output: Output | _Row, real: int) -> _Row:
    features, points = output.features, output.points
    return _Row(
        output.probs[:real],
        None if output.boxes is None else _of_first(output.boxes, real),
        None if features is None else features[:real],
        None if points is None else points[:real],
    )


def _of_first(boxes: FoundBoxes, real: int) -> _Found:
    """The boxes of the first pictures: they are in order."""
    end = int(boxes.picture.searchsorted(real))
    return _Found(boxes.picture[:end], boxes.xyxy[:end], boxes.score[:end], boxes.label[:end])


def _joined(parts: list[_Row]) -> _Row:
    features = [part.features for part in parts if part.features is not None]
    points = [part.points for part in parts if part.points is not None]
    return _Row(
        np.concatenate([part.probs for part in parts]),
        _joined_boxes(parts),
        np.concatenate(features) if features else None,
        np.concatenate(points) if points else None,
    )


def _joined_boxes(parts: list[_Row]) -> _Found | None:
    first = np.cumsum([0, *(len(part.probs) for part in parts)])
    found = [
        part.boxes._replace(picture=part.boxes.picture + start)
        for part, start in zip(parts, first[:-1], strict=True)
        if part.boxes is not None
    ]
    return _Found(*(np.concatenate(fields) for fields in zip(*found, strict=True))) if found else None
