"""One way from a file to scores, in a process of its own: how it is usually written, and how Matchcut does it.

    python -m benchmarks.ways NAME FILE --hz 2

prints what the work cost after imports and set-up, as JSON. All use MobileNetV2 in fp32 on every core.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.pairs import cores, spent
from benchmarks.peers import PEERS, Picture, sampling
from pipeline import infer
from pipeline.config import Config, load_config
from pipeline.decode import decode
from pipeline.probe import probe
from pipeline.run import OpenModel, analyze
from pipeline.signals import PictureMeter, measure_loudness, signals

MODEL = "torchvision:mobilenet_v2"
SIDE_PX = 224
BATCH = 32
Network = Callable[[torch.Tensor], torch.Tensor]


def usual_network() -> Network:
    """Torchvision's network in eval mode, and its normalisation: what most programs run."""
    from torchvision.models import mobilenet_v2

    network = mobilenet_v2()
    kept = next((Path(torch.hub.get_dir()) / "checkpoints").glob("mobilenet_v2-*.pth"), None)
    if kept is None:
        raise SystemExit(
            "no MobileNetV2 weights: set TORCH_HOME to a folder that holds hub/checkpoints/mobilenet_v2-*.pth"
        )
    network.load_state_dict(torch.load(kept, weights_only=True))
    network.eval()
    mean, deviation = (torch.tensor(v).view(1, 3, 1, 1) for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))

    @torch.inference_mode()
    def scores(pixels: torch.Tensor) -> torch.Tensor:
        """uint8 (B, H, W, 3) -> probabilities (B, 1000)."""
        tensor = pixels.permute(0, 3, 1, 2).float() / 255
        return torch.softmax(network((tensor - mean) / deviation), 1)

    return scores


def naive(path: Path, hz: Fraction) -> Iterator[Picture]:
    """OpenCV reads, that is decodes and converts, every frame; every n-th is resized."""
    import cv2

    capture = cv2.VideoCapture(str(path))
    rate = Fraction(capture.get(cv2.CAP_PROP_FPS)).limit_denominator(1001)
    index, taken = 0, 0
    while True:
        there, picture = capture.read()
        if not there:
            return
        if Fraction(index) / rate >= Fraction(taken) / hz:
            small = cv2.resize(picture, (SIDE_PX, SIDE_PX))
            yield np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2RGB), np.uint8)
            taken += 1
        index += 1


def usual(name: str, path: Path, hz: Fraction) -> dict[str, Any]:
    """A loop around a network: pictures taken one way or another, in batches."""
    network = usual_network()
    network(torch.zeros(1, SIDE_PX, SIDE_PX, 3, dtype=torch.uint8))
    times_ns = sampling(path, hz)

    def pictures() -> Iterable[Picture]:
        return naive(path, hz) if name == "naive" else PEERS[name](path, times_ns, SIDE_PX, cores())

    def work() -> list[int]:
        best: list[int] = []
        source = iter(pictures())
        while batch := list(islice(source, 1 if name == "naive" else BATCH)):
            best += network(torch.from_numpy(np.stack(batch))).argmax(1).tolist()
        return best

    best, cost = spent(work)
    return {"pictures": len(best), "best": best, **cost}


def matchcut(path: Path, hz: Fraction) -> dict[str, Any]:
    """The analysis of `matchcut run`: pictures, network, motion, cuts and loudness."""
    model, config, video = *opened(hz), probe(path)
    predictions, cost = spent(lambda: analyze(video, model, config))
    return {"pictures": len(predictions.scores.probs), "best": predictions.scores.probs.argmax(1).tolist(), **cost}


def bound(path: Path, hz: Fraction) -> dict[str, Any]:
    """CPU seconds of each stage alone, on one thread. `wall_s` is their sum over the cores."""
    model, _ = opened(hz)
    video, times_ns = probe(path), sampling(path, hz)
    meter = PictureMeter()

    def measure() -> None:
        for part in parts:
            meter.add(part.batch)
        signals(meter, loudness, np.concatenate([part.batch.pts_ns for part in parts]), video.span.end_ns)

    parts, decoding = spent(lambda: list(decode(video, times_ns, model.height_px, model.width_px, threads=1)))
    loudness, hearing = spent(lambda: measure_loudness(video))
    _, measuring = spent(measure)
    _, inferring = spent(lambda: infer.infer((part.batch for part in parts), model))
    stages = {"decode": decoding, "audio": hearing, "signals": measuring, "model": inferring}
    seconds = {name: cost["cpu_s"] for name, cost in stages.items()}
    total = sum(seconds.values())
    return {"pictures": len(times_ns), "stages": seconds, "cpu_s": total, "wall_s": total / cores()}


def opened(hz: Fraction) -> tuple[OpenModel, Config]:
    from models.predictor import open_predictor

    config = load_config(None, {"decode": {"sample_hz": float(hz)}})
    model: OpenModel = open_predictor(MODEL, "cpu", config.infer.batch, config.infer.threads, config.infer.precision)
    model.submit(np.zeros((model.batch, model.height_px, model.width_px, 3), np.uint8)).result()
    return model, config


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ways")
    parser.add_argument("name", choices=("naive", "opencv", "ffmpeg", "torchcodec", "decord", "matchcut", "bound"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--hz", type=Fraction, default=Fraction(2))
    args = parser.parse_args(argv)
    ours = {"matchcut": matchcut, "bound": bound}
    answer = ours[args.name](args.file, args.hz) if args.name in ours else usual(args.name, args.file, args.hz)
    print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
