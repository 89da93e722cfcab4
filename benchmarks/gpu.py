"""Pictures a second of the embedded network, on the GPU against the CPU, by batch. Fails where there is no GPU.

python -m benchmarks.gpu
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np
import torch

from benchmarks.pairs import circumstances, print_table
from models.predictor import Predictor, open_predictor

BATCHES = (8, 32, 128)
ROUNDS, REPEATS = 5, 20


def pictures_per_second(predictor: Predictor, pictures: np.ndarray) -> float:
    """One batch always under way while the next is handed over, as in a run."""
    predictor.submit(pictures).result()
    began = time.perf_counter()
    pending = predictor.submit(pictures)
    for _ in range(REPEATS - 1):
        following = predictor.submit(pictures)
        pending.result()
        pending = following
    pending.result()
    return REPEATS * len(pictures) / (time.perf_counter() - began)


def main() -> int:
    if not torch.cuda.is_available():
        print("no CUDA device here", file=sys.stderr)
        return 3
    print(f"## Inference: GPU against CPU\n\n{circumstances()}\n- device: {torch.cuda.get_device_name(0)}\n")
    print_table(("batch", "CPU /s", "GPU /s", "ratio"), (row(batch) for batch in BATCHES))
    return 0


def row(batch: int) -> tuple[object, ...]:
    both = [open_predictor("default", device, batch) for device in ("cpu", "cuda")]
    shape = (batch, both[0].height_px, both[0].width_px, 3)
    pictures = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    rounds = [[pictures_per_second(predictor, pictures) for predictor in both] for _ in range(ROUNDS)]
    cpu, gpu = (statistics.median(column) for column in zip(*rounds, strict=True))
    return batch, f"{cpu:.0f}", f"{gpu:.0f}", median_ratio(rounds)


def median_ratio(rounds: list[list[float]]) -> float:
    """How many times the CPU's the GPU's is, each round compared with itself."""
    return statistics.median(gpu / cpu for cpu, gpu in rounds)


if __name__ == "__main__":
    sys.exit(main())
