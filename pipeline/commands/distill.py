"""Make the embedded default from random values: labels of folders, what a larger checkpoint says, a detector's boxes.

    python -m pipeline.commands.distill DATA... --teacher CKPT --detector FILE.onnx --out CKPT

No verb of `matchcut`: it is run once in a while by those who make a release. Needs onnxruntime. The teacher is a
checkpoint of the same data, made by `matchcut train ... --heldout 0.1`: what it never saw, the student never sees.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.commands.words import say

if TYPE_CHECKING:
    from models.data.dataset import Dataset

CACHE_PX = 256  # side of the pictures from which crops are taken


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA")
    parser.add_argument("--out", type=Path, required=True, metavar="CKPT")
    parser.add_argument("--teacher", type=Path, required=True, metavar="CKPT")
    parser.add_argument("--detector", type=Path, required=True, metavar="FILE.onnx", help="YOLOX-nano")
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--backbone", default="mobilenet_v2", metavar="NAME")
    begin.add_argument("--from", dest="base", type=Path, metavar="CKPT", help="a student that goes on, in this --size")
    parser.add_argument("--size", type=int, default=193, metavar="PX", help="side of the student's input")
    parser.add_argument("--block-epochs", type=int, default=8, metavar="N", help="of blocks that learn apart")
    parser.add_argument("--epochs", type=int, default=20, metavar="N")
    parser.add_argument("--backbone-rate", type=float, default=0.05, metavar="R")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of the student while it learns")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--seed", type=int, default=0, metavar="N")


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from models.checkpoint import load, save
    from models.lesson import Course, teach
    from models.predictor import device_named
    from models.spec import Spec
    from models.train import Schedule
    from pipeline.commands.figures import figure_lines
    from pipeline.commands.learning import found_lines, read_data
    from pipeline.commands.watching import Watcher

    teacher, teacher_info = load(args.teacher)
    data = read_data(args.data, None, (CACHE_PX, CACHE_PX))
    say(*found_lines(data, None))
    data = _with_boxes(data, args.detector, args.out)
    before = load(args.base) if args.base is not None else None
    backbone, tags = before[1].spec.backbone if before else args.backbone, teacher_info.spec.tags
    spec = Spec(backbone=backbone, height_px=args.size, width_px=args.size, tags=tags, localizer=True)
    course = Course(
        spec=spec,
        blocks=Schedule(epochs=args.block_epochs, rate=0.02, backbone_rate=0.1, weight_decay=1e-4),
        schedule=Schedule(epochs=args.epochs, rate=0.02, backbone_rate=args.backbone_rate, weight_decay=1e-4),
        seed=args.seed,
        bf16=args.precision == "bf16",
        device=device_named(args.device).type,
        before=before,
    )
    shown = read_data(args.data, None, (args.size, args.size)).pixels
    state = args.out.with_name(f".{args.out.name}.training")
    with Watcher(Console(), args.out.with_suffix(".log")) as watcher:
        learned = teach(data, shown, (teacher, teacher_info), course, watcher, state)
    info = save(learned.network, learned.info, args.out)
    shutil.rmtree(state, ignore_errors=True)
    for part in ("val", "heldout"):
        say(f"{part}:", *figure_lines(info.metrics[part]))
    say(f"{args.out}: version {info.version}, {args.out.stat().st_size / 1e6:.1f} MB")
    return 0


def _with_boxes(data: Dataset, detector: Path, out: Path) -> Dataset:
    """What it sees is kept beside `out`, by data and detector. It wants pictures in their proportions, so the files are
    asked for those."""
    import numpy as np

    from models.journal import key_of
    from models.lesson import subject_boxes
    from models.spec import digest_of_file
    from models.teachers import onnx_detector

    shape = {int(k): _shape(data.paths[k]) for k in np.unique(data.file)}
    aspect = np.array([shape[int(k)][1] / shape[int(k)][0] for k in data.file], np.float32)
    key = key_of(data.digests, data.file.tolist(), digest_of_file(detector))
    cache = out.with_name(f"{out.stem}.boxes-{key[:8]}.npy")
    return replace(data, box=subject_boxes(data, aspect, onnx_detector(detector), cache))


def _shape(path: Path) -> tuple[int, int]:
    """Displayed height and width of a picture or a clip."""
    from pipeline.inputs import VIDEO_ENDINGS
    from pipeline.media import read_picture
    from pipeline.probe import probe

    if path.suffix.lower() not in VIDEO_ENDINGS:
        return read_picture(path, 1, 1).shape_px
    video = probe(path)
    return video.height_px, video.width_px


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m pipeline.commands.distill", description=__doc__)
    add_arguments(parser)
    return run(parser.parse_args())


if __name__ == "__main__":
    sys.exit(main())
