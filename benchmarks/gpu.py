"""Pictures a second of the embedded network, on the GPU against the CPU, by batch. Fails where there is no GPU.

python -m benchmarks.gpu
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np
import torch

from benchmarks.pairs import circumstances
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
    print(circumstances("Inference: GPU against CPU", "python -m benchmarks.gpu"))
    print(
        f"- device: {torch.cuda.get_device_name(0)}\n\n| batch | CPU /s | GPU /s | ratio |\n| --- | --- | --- | --- |"
    )
    for batch in BATCHES:
        pictures = np.random.default_rng(0).integers(0, 256, (batch, 112, 112, 3), dtype=np.uint8)
        both = [open_predictor("default", device, batch) for device in ("cpu", "cuda")]
        rounds = [[pictures_per_second(predictor, pictures) for predictor in both] for _ in range(ROUNDS)]
        cpu, gpu = (statistics.median(column) for column in zip(*rounds, strict=True))
        print(f"| {batch} | {cpu:.0f} | {gpu:.0f} | {gpu / cpu:.1f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
