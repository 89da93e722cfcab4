"""Make the embedded default from random values: labels of folders, boxes and features of two larger networks.

    python -m pipeline.commands.distill DATA... --teacher FILE.pth --detector FILE.onnx --cache DIR --out CKPT

No verb of `matchcut`: it is run once in a while by those who make a release. Needs onnxruntime.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.data import Dataset
    from models.train import Epoch

CACHE_PX = 176  # side of the stored pictures, from which crops are taken
FRAMES = 6  # of a clip
VIEWS = 4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA")
    parser.add_argument("--out", type=Path, required=True, metavar="CKPT")
    parser.add_argument("--teacher", type=Path, required=True, metavar="FILE.pth", help="MobileNetV2, SAME padding")
    parser.add_argument("--detector", type=Path, required=True, metavar="FILE.onnx", help="YOLOX-nano")
    parser.add_argument("--cache", type=Path, required=True, metavar="DIR", help="what the teachers said")
    parser.add_argument("--as", dest="names", nargs="*", default=[], metavar="CLASS=TAG", help="CLASS= leaves it out")
    parser.add_argument("--backbone", default="mobilenet_v3_small", metavar="NAME")
    parser.add_argument("--size", type=int, default=112, metavar="PX")
    parser.add_argument("--epochs", type=int, default=20, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N")


def run(args: argparse.Namespace) -> int:
    import torch

    from models.checkpoint import save
    from models.lesson import Course, teach, views_of
    from models.spec import Spec
    from models.train import Schedule

    torch.set_num_threads(1)  # convolutions this small lose more by waiting for each other than they gain
    data = _data(args, CACHE_PX)
    _say(*data.described())
    data = _with_boxes(data, args)
    views = views_of(data, args.teacher, VIEWS, args.cache)
    spec = Spec(backbone=args.backbone, height_px=args.size, width_px=args.size, tags=data.classes, localizer=True)
    course = Course(spec=spec, schedule=Schedule(epochs=args.epochs, rate=0.08, weight_decay=1e-4), seed=args.seed)
    learned = teach(data, _data(args, args.size).pixels, views, course, _watch)
    info = save(learned.network, learned.info, args.out)
    _say(*(f"{name}: {figures}" for name, figures in info.metrics.items()), f"{args.out}: version {info.version}")
    return 0


def _data(args: argparse.Namespace, side_px: int) -> Dataset:
    """Pictures under the names they are to have."""
    from pipeline.commands.learning import read_data

    names = dict(pair.split("=", 1) for pair in args.names)
    return read_data(args.data, None, (side_px, side_px), FRAMES).relabelled(names)


def _with_boxes(data: Dataset, args: argparse.Namespace) -> Dataset:
    """The detector wants pictures in their proportions, so the files are asked for those."""
    import numpy as np

    from models.lesson import subject_boxes
    from models.teachers import onnx_detector

    shape = {int(k): _shape(data.paths[k]) for k in np.unique(data.file)}
    aspect = np.array([shape[int(k)][1] / shape[int(k)][0] for k in data.file], np.float32)
    return replace(data, box=subject_boxes(data, aspect, onnx_detector(args.detector), args.cache))


def _shape(path: Path) -> tuple[int, int]:
    from pipeline.media import PICTURE_ENDINGS, picture_shape
    from pipeline.probe import probe

    if path.suffix.lower() in PICTURE_ENDINGS:
        return picture_shape(path)
    video = probe(path)
    return video.height_px, video.width_px


def _watch(epoch: Epoch, figures: Mapping[str, Any]) -> None:
    losses = ", ".join(f"{name} {value:.3f}" for name, value in epoch.losses.items())
    from pipeline.commands.learning import figure_lines

    _say(f"epoch {epoch.number + 1}: {losses}", *figure_lines(figures))


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m pipeline.commands.distill", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
