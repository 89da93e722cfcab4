"""One dense pass against a crop for every window, the same windows; and four ways to merge the boxes of windows.

    python -m benchmarks.windows [--pictures DIR] [--rounds 7] [--quick]

`dense` computes what neighbouring windows share once; `crops` cuts every window out and runs the network on them in
batches of 8. Both on one thread, by turns. The figures are of the network alone: no decoding, no scaling, no merging.
Random values in squeezenet, whose time is that of learned ones; `default` is the embedded network.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.pairs import circumstances, print_table
from models.checkpoint import load
from models.dense import Dense
from models.merge import MERGES, merge
from models.network import Network
from models.output import FoundBoxes, joined
from models.resolve import Checkpoint, resolve
from models.serve import served
from models.windows import answering, candidates, look, resized
from pipeline.media import PICTURE_ENDINGS, read_picture

SCALES = {1: (2.0,), 2: (1.5, 2.0), 4: (1.0, 1.5, 2.0, 3.0)}
BATCH = 8
TURN_S = 0.2  # about how long a turn lasts, if once takes less
COMPARED = ("network", "scales", "stride", "windows", "GFLOP dense", "crops", "ratio", "ms dense", "crops", "ratio")
MERGED = ("stride", "merge", "boxes a picture before", "after", "ms a picture")


@dataclass(frozen=True, slots=True)
class Turn:
    """What takes its turn, and how often within one: short work is repeated."""

    work: Callable[[], object]
    times: int

    def ms(self) -> float:
        began = time.perf_counter()
        for _ in range(self.times):
            self.work()
        return (time.perf_counter() - began) / self.times * 1000


def turn(work: Callable[[], object]) -> Turn:
    """Warms up, and sees how often `work` fits into a turn."""
    work()
    return Turn(work, max(1, round(TURN_S * 1000 / Turn(work, 1).ms())))


def by_turns(turns: Sequence[Turn], rounds: int) -> list[list[float]]:
    """Milliseconds of each, round by round: A B A B."""
    return [[each.ms() for each in turns] for _ in range(rounds)]


def networks() -> dict[str, Network]:
    where = resolve("default")
    assert isinstance(where, Checkpoint)
    default, _ = load(where.path)
    torch.manual_seed(0)
    spec = replace(default.spec, backbone="squeezenet1_1")
    made = {"default": default, "squeezenet1_1": Network(spec).eval()}
    for network in made.values():
        served(network, bf16=False)
    return {name: network.to(memory_format=torch.channels_last) for name, network in made.items()}


def noise(dense: Dense, scale: float) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, *dense.size_px(scale), 3), dtype=np.uint8))


def crops(dense: Dense, pixels: Tensor) -> Iterator[Tensor]:
    """All windows of a picture, in batches."""
    (down, right), (height_px, width_px) = dense.stride_px, dense.window_px
    rows, columns = dense.positions(*pixels.shape[1:3])
    corners = [(row * down, column * right) for row in range(rows) for column in range(columns)]
    for first in range(0, len(corners), BATCH):
        some = corners[first : first + BATCH]
        yield torch.cat([pixels[:, top : top + height_px, left : left + width_px] for top, left in some])


def flops(work: Callable[[], object]) -> float:
    """Of convolutions and matrix products, in billions."""
    with FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops()) / 1e9


class Compared(NamedTuple):
    """One pass and window by window, of one picture at all scales: billions of operations, milliseconds, and how many
    times the second is the first."""

    windows: int
    gflop_dense: float
    gflop_crops: float
    gflop_ratio: float
    ms_dense: float
    ms_crops: float
    ms_ratio: float


def compare(network: Network, scales: tuple[float, ...], rounds: int, *, fine: bool) -> Compared:
    dense = Dense(network, fine=fine)
    pictures = [noise(dense, scale) for scale in scales]

    def one_pass() -> None:
        for pixels in pictures:
            dense(pixels)

    def window_by_window() -> None:
        for pixels in pictures:
            for part in crops(dense, pixels):
                network(part)

    with torch.inference_mode():
        count = sum(rows * columns for rows, columns in (dense.positions(*p.shape[1:3]) for p in pictures))
        billions = flops(one_pass), flops(window_by_window)
        measured = by_turns([turn(one_pass), turn(window_by_window)], rounds)
    ms = [statistics.median(column) for column in zip(*measured, strict=True)]
    ratio = statistics.median(theirs / ours for ours, theirs in measured)
    return Compared(count, *billions, billions[1] / billions[0], ms[0], ms[1], ratio)


def told(scales: Sequence[float]) -> str:
    return ", ".join(f"{scale:g}" for scale in scales)


def frames(dense: Dense, folder: Path | None, count: int, scale: float) -> Tensor:
    """Pictures of a folder, spread over it; or noise of all sizes."""
    height_px, width_px = dense.size_px(scale)
    if folder is None:
        rng = np.random.default_rng(0)
        sides = (2 ** (1 + number % 5) for number in range(count))
        small = [torch.from_numpy(rng.integers(0, 256, (1, side, side, 3), dtype=np.uint8)) for side in sides]
        return torch.cat([resized(picture, (height_px, width_px)) for picture in small])
    files = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in PICTURE_ENDINGS]
    chosen = files[:: max(1, len(files) // count)][:count]
    return torch.from_numpy(np.stack([read_picture(path, height_px, width_px).pixels for path in chosen]))


def boxes_of(dense: Dense, pixels: Tensor, scales: tuple[float, ...]) -> FoundBoxes:
    """The boxes of all windows at all scales, not yet merged."""
    seen = (look(dense, resized(pixels, dense.size_px(scale))) for scale in scales)
    return joined([candidates(scale, answering(dense.spec)) for scale in seen])


def merges(network: Network, folder: Path | None, count: int, rounds: int) -> Iterator[tuple[object, ...]]:
    for fine in (False, True):
        dense, scales = Dense(network, fine=fine), SCALES[4]
        pixels = frames(dense, folder, count, max(scales))
        boxes = boxes_of(dense, pixels, scales)
        measured = by_turns([turn(partial(merge, boxes, way)) for way in MERGES], rounds)
        for way, column in zip(MERGES, zip(*measured, strict=True), strict=True):
            kept = len(merge(boxes, way).score) / len(pixels)
            ms = statistics.median(column) / len(pixels)
            yield "fine" if fine else "coarse", way, len(boxes.score) / len(pixels), kept, f"{ms:.3f}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.windows", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="for merging; noise otherwise")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="one round of little: does it work?")
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    rounds, chosen, count = (1, (2,), 2) if args.quick else (args.rounds, tuple(SCALES), 40)
    made = networks()
    print(f"## Windows: one pass against window by window\n\n{circumstances()}\n")
    cases = ((name, SCALES[number], fine) for name in made for number in chosen for fine in (False, True))
    print_table(
        COMPARED,
        (
            (name, told(scales), "fine" if fine else "coarse", *compare(made[name], scales, rounds, fine=fine))
            for name, scales, fine in cases
        ),
    )
    print(f"\n{count} pictures of {args.pictures or 'noise'}, {told(SCALES[4])} times a window:\n")
    print_table(MERGED, merges(made["default"], args.pictures, count, rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
