"""Learn labels of your own by transfer from a few examples: folders of pictures or clips, one folder a class."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from models.train import Epoch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA", help="folders that hold a folder for each class")
    parser.add_argument("--out", type=Path, required=True, metavar="CKPT", help="the .safetensors file to write")
    parser.add_argument("--val", type=Path, metavar="DIR", help="judge by these; without it a fifth, by scene")
    parser.add_argument("--background", type=Path, metavar="DIR", help="what it is not: pictures or clips")
    parser.add_argument("--events", nargs="+", default=[], metavar="LABEL", help="classes that become clips")
    base = parser.add_mutually_exclusive_group()
    base.add_argument("--backbone", metavar="torchvision:NAME", help="start from torchvision's weights")
    base.add_argument("--from", dest="base", default="default", metavar="CKPT", help="start from a checkpoint")
    parser.add_argument("--regime", choices=("frozen", "finetune", "scratch"), default="frozen")
    parser.add_argument("--attach", choices=("conv", "fc"), default="conv", help="where the heads stand")
    parser.add_argument("--epochs", type=at_least(1), metavar="N")
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N")
    parser.add_argument("--size", type=at_least(32), metavar="PX", help="side of the network's input")
    parser.add_argument("--logdir", type=Path, metavar="DIR", help="curves for TensorBoard")


def at_least(least: int) -> Callable[[str], int]:
    """A whole number that is not below `least`, for argparse."""

    def number(text: str) -> int:
        if (value := int(text)) < least:
            raise argparse.ArgumentTypeError(f"{value}: use {least} or more")
        return value

    return number


def run(args: argparse.Namespace) -> int:
    import torch

    from models.checkpoint import save
    from models.learn import Recipe, input_size, learn
    from models.precision import BF16
    from models.targets import plan_labels
    from pipeline.commands.learning import figure_lines, read_data

    _check_places(args)
    recipe = Recipe(
        base=args.backbone or args.base,
        regime=args.regime,
        epochs=args.epochs,
        seed=args.seed,
        size_px=args.size,
        attach=args.attach,
    )
    if recipe.regime == "frozen":
        torch.set_num_threads(1)  # heads are so small that threads only wait for each other
    size_px = input_size(recipe)
    data = read_data(args.data, args.background, size_px)
    _say(*data.described())
    plan = plan_labels(data.classes, args.events, boxes=bool((data.box == data.box).all(axis=1).any()))
    val = read_data([args.val], None, size_px) if args.val else None
    with _curves(args.logdir) as watch:
        learned = learn(data, val, plan, recipe, watch)
    info = save(learned.network, learned.info, args.out)
    _say(*figure_lines(info.metrics["val"] | {BF16: info.metrics[BF16]}))
    kept = f"; kept from {recipe.base}: {', '.join(learned.kept)}" if learned.kept else ""
    _say(f"{args.out}: version {info.version}, {args.out.stat().st_size / 1e6:.1f} MB{kept}")
    return 0


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _check_places(args: argparse.Namespace) -> None:
    """What is sure to fail at the end fails before hours of work. Raises DataError."""
    from models.spec import MAX_SIDE_PX
    from pipeline.errors import DataError

    if args.out.suffix != ".safetensors" or args.out.is_dir():
        raise DataError(f"--out {args.out}: give the name of a file that ends in .safetensors")
    try:
        args.out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"--out {args.out}: no place to write to ({error.strerror}). Choose another") from None
    for option, folder in (("--val", args.val), ("--background", args.background)):
        if folder is not None and not folder.is_dir():
            raise DataError(f"{option} {folder}: no such folder")
    if args.size is not None and args.size > MAX_SIDE_PX:
        raise DataError(f"--size {args.size}: {MAX_SIDE_PX} pixels at most")


class _curves:  # noqa: N801  used as a function that gives a context
    """A watcher of epochs: a line now and then for a person, every figure for TensorBoard."""

    def __init__(self, logdir: Path | None) -> None:
        self._logdir = logdir

    def __enter__(self) -> Callable[[Epoch, Mapping[str, Any]], None]:
        self._writer = None
        if self._logdir is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self._logdir))
        return self._watch

    def __exit__(self, *about: object) -> None:
        if self._writer is not None:
            self._writer.close()

    def _watch(self, epoch: Epoch, figures: Mapping[str, Any]) -> None:
        if (epoch.number + 1) % 10 == 0 or epoch.number == 0:
            losses = ", ".join(f"{name} {value:.3f}" for name, value in epoch.losses.items())
            _say(f"epoch {epoch.number + 1}: {losses}")
        if self._writer is not None:
            for name, value in epoch.losses.items():
                self._writer.add_scalar(f"loss/{name}", value, epoch.number)
            for head, part in figures.items():
                for name, value in part.items():
                    if isinstance(value, float):
                        self._writer.add_scalar(f"val/{head}/{name}", value, epoch.number)
