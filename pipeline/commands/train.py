"""Learn labels of your own by transfer from a few examples: folders of pictures or clips, boxes, timed events."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from models.spec import ATTACH, HEADS, REGIMES
from pipeline.commands.words import say

if TYPE_CHECKING:
    from models.data.dataset import Dataset
    from models.learn import Learned, Surroundings
    from models.recipe import Recipe
    from models.targets import Plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", nargs="+", type=Path, metavar="DATA", help="folders of a folder each class; .json, .csv"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="CKPT", help="the .safetensors file to write")
    _add_data_arguments(parser.add_argument_group("data"))
    _add_network_arguments(parser.add_argument_group("network"))
    _add_training_arguments(parser.add_argument_group("training"))


def _add_data_arguments(parser: argparse._ArgumentGroup) -> None:
    judge = parser.add_mutually_exclusive_group()
    judge.add_argument("--val", type=Path, metavar="DATA", help="choose by these; without it a fifth, by scene")
    judge.add_argument(
        "--folds", type=at_least(2), metavar="K", help="judge all by K parts in turn, then learn from all"
    )
    parser.add_argument("--heldout", type=share, default=0.0, metavar="SHARE", help="kept apart, judged at the end")
    parser.add_argument("--background", type=Path, metavar="DIR", help="what it is not: pictures or clips")
    parser.add_argument("--events", nargs="+", default=[], metavar="LABEL", help="classes that become clips")
    parser.add_argument("--unseen", type=Path, metavar="DIR", help="videos without the events: count false alarms")
    boxes_from = "number of the first pixel in VOC files (COCO's is 0)"
    parser.add_argument("--boxes-from", type=int, choices=(0, 1), default=1, help=boxes_from)


def _add_network_arguments(parser: argparse._ArgumentGroup) -> None:
    base = parser.add_mutually_exclusive_group()
    base.add_argument("--backbone", metavar="torchvision:NAME", help="start from torchvision's weights")
    start = "start from a checkpoint; without either, from the embedded `default`"
    base.add_argument("--from", dest="base", default="default", metavar="CKPT", help=start)
    parser.add_argument("--heads", nargs="+", choices=HEADS, default=[], help="without it, all that the data teach")
    parser.add_argument("--box-per-class", action="store_true", help="a box for each class, not one for all")
    parser.add_argument("--attach", choices=ATTACH, help="where the heads stand")
    size = "side of the network's input; without it the base's, of torchvision's 160"
    parser.add_argument("--size", type=at_least(32), metavar="PX", help=size)
    parser.add_argument("--initial", choices=("small", "xavier", "he"), help="random values, with --regime scratch")


def _add_training_arguments(parser: argparse._ArgumentGroup) -> None:
    parser.add_argument("--regime", choices=REGIMES, default="frozen", help="see docs/models.md")
    parser.add_argument("--epochs", type=at_least(1), metavar="N", help="this and what follows: usual by regime")
    parser.add_argument(
        "--batch", type=at_least(2), metavar="N", help="pictures a step; a backbone's usual rate goes by its root"
    )
    parser.add_argument("--rate", type=positive, metavar="R", help="learning rate of the heads")
    parser.add_argument("--backbone-rate", type=positive, metavar="R", help="of a backbone that learns")
    parser.add_argument("--weight-decay", type=share, metavar="D", help="how hard weights are pulled to 0")
    parser.add_argument("--weights", nargs="+", metavar="HEAD=W|learned", help="how much each loss counts")
    parser.add_argument("--box-loss", choices=("smooth-l1", "l2", "giou"), default="smooth-l1", help="of the localizer")
    parser.add_argument("--label-smoothing", type=share, metavar="S", help="share of a tag's target that all tags get")
    parser.add_argument("--no-balance", action="store_true", help="every picture counts the same, not every class")
    average = "what a step leaves of the running mean of the weights"
    parser.add_argument("--average", type=share, default=0.998, metavar="KEEP", help=average)
    parser.add_argument("--patience", type=at_least(1), metavar="N", help="stop after N epochs without a better one")
    parser.add_argument("--find-rate", action="store_true", help="print how the loss answers to the rate, and stop")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of a backbone that learns")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where the backbone computes")
    parser.add_argument("--seed", type=at_least(0), default=0, metavar="N", help="of the split and of all chance")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where features of frozen backbones are kept")
    parser.add_argument("--logdir", type=Path, metavar="DIR", help="curves and pictures for TensorBoard")


def at_least(least: int) -> Callable[[str], int]:
    """A whole number that is not below `least`, for argparse."""

    def number(text: str) -> int:
        if (value := int(text)) < least:
            raise argparse.ArgumentTypeError(f"{value}: use {least} or more")
        return value

    return number


def share(text: str) -> float:
    """A number from 0 to below 1, for argparse."""
    if not 0 <= (value := float(text)) < 1:
        raise argparse.ArgumentTypeError(f"{value}: use 0 or more, and less than 1")
    return value


def positive(text: str) -> float:
    """A finite number above 0, for argparse."""
    if not 0 < (value := float(text)) < float("inf"):
        raise argparse.ArgumentTypeError(f"{value}: use more than 0")
    return value


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    from models.cache import FeatureCache, usual_folder
    from models.folds import learn_in_folds
    from models.learn import Surroundings, learn
    from models.recipe import input_size
    from models.targets import plan_labels
    from pipeline.commands.learning import before_lines, found_lines, plan_lines, read_data
    from pipeline.commands.watching import Watcher

    _check_places(args)
    _check_together(args)
    recipe = _recipe(args)
    size_px = input_size(recipe)
    data = read_data(args.data, args.background, size_px, boxes_from=args.boxes_from)
    val = read_data([args.val], None, size_px, boxes_from=args.boxes_from) if args.val else None
    say(*found_lines(data, val))
    plan = plan_labels(data, args.events, args.heads, box_per_class=args.box_per_class)
    _check_weights(args.weights or [], plan.heads)
    say(*plan_lines(plan), *before_lines(recipe, data, val))
    state = args.out.with_name(f".{args.out.name}.training")
    with Watcher(Console(), args.logdir) as watcher:
        around = Surroundings(watch=watcher, state=state, features=FeatureCache(args.cache or usual_folder()))
        if args.find_rate:
            say(*_rate_lines(data, val, plan, recipe, around))
            return 0
        if args.folds:
            learned = learn_in_folds(data, plan, recipe, args.folds, around)
        else:
            learned = learn(data, val, plan, recipe, around)
        watcher.show(learned)
    _finish(args, learned)
    shutil.rmtree(state, ignore_errors=True)  # only now: what was learned is written
    return 0


def _finish(args: argparse.Namespace, learned: Learned) -> None:
    """Write the checkpoint; say what it is worth."""
    from models.checkpoint import save
    from models.precision import BF16
    from models.predictor import open_predictor
    from pipeline.commands.alarms import false_alarms
    from pipeline.commands.figures import calibration_lines, figure_lines, further_lines

    info = save(learned.network, learned.info, args.out)
    for part, name in (("val", "chosen by"), ("folds", "out of fold"), ("heldout", "held out")):
        if info.metrics.get(part):
            say(f"{name}:", *figure_lines(info.metrics[part]), *further_lines(info.metrics[part]))
    say(*calibration_lines(info.metrics.get("calibration", {})), *figure_lines({BF16: info.metrics[BF16]}))
    if args.unseen is not None and not info.spec.events:
        say(f"unseen {args.unseen}: no event is known that could fire. See --events")
    elif args.unseen is None and info.spec.events:
        say("false alarms were not counted: give videos without the events with --unseen DIR")
    elif args.unseen is not None:
        model = open_predictor(str(args.out), args.device)
        for line in false_alarms(args.unseen, args.out, model, calibrated=info.calibrated):
            say(line)
    kept = f"; kept from {args.backbone or args.base}: {', '.join(learned.kept)}" if learned.kept else ""
    say(f"{args.out}: version {info.version}, {args.out.stat().st_size / 1e6:.1f} MB{kept}")


def _check_together(args: argparse.Namespace) -> None:
    """What would do nothing is not passed over in silence. Raises UsageError."""
    from pipeline.errors import UsageError

    frozen = args.regime == "frozen"
    idle = {
        "--patience": (args.patience is not None and args.folds is not None, "--folds chooses no epoch"),
        "--initial": (args.initial is not None and args.regime != "scratch", "only --regime scratch has random values"),
        "--precision bf16": (args.precision == "bf16" and frozen, "a frozen backbone computes in fp32"),
        "--backbone-rate": (args.backbone_rate is not None and frozen, "a frozen backbone does not learn"),
    }
    for option, (given, why) in idle.items():
        if given:
            raise UsageError(f"{option}: {why}. Leave it out")


def _recipe(args: argparse.Namespace) -> Recipe:
    """What was asked for, in the words of `models.recipe`. Raises DataError."""
    from models.predictor import device_named
    from models.recipe import Recipe

    weights, learned = _weights(args.weights or [])
    return Recipe(
        base=args.backbone or args.base,
        regime=args.regime,
        epochs=args.epochs,
        seed=args.seed,
        heldout=args.heldout,
        size_px=args.size,
        attach=args.attach,
        batch=args.batch,
        rate=args.rate,
        backbone_rate=args.backbone_rate,
        weight_decay=args.weight_decay,
        weights=weights,
        learn_weights=learned,
        box_loss=args.box_loss,
        label_smoothing=args.label_smoothing,
        balance=not args.no_balance,
        average=args.average,
        patience=args.patience,
        initial=args.initial,
        precision=args.precision,
        device=device_named(args.device).type,
    )


def _weights(given: Sequence[str]) -> tuple[dict[str, float], bool | None]:
    """`localizer=2 classifier=1` as numbers by part of the loss; `learned` alone; nothing: as the regime has it. Raises
    DataError."""
    from models.losses import PARTS_OF
    from pipeline.errors import DataError

    if list(given) == ["learned"]:
        return {}, True
    weights = dict[str, float]()
    for pair in given:
        head, _, number = pair.partition("=")
        if head not in PARTS_OF:
            raise DataError(f"--weights {pair}: no such head; use {', '.join(PARTS_OF)}")
        try:
            weights |= dict.fromkeys(PARTS_OF[head], float(number))
        except ValueError:
            raise DataError(f"--weights {pair}: give HEAD=NUMBER, or `learned` alone") from None
    return weights, False if given else None


def _check_weights(given: Sequence[str], heads: Sequence[str]) -> None:
    """Of heads that are not taught no loss counts. Raises DataError."""
    from pipeline.errors import DataError

    for pair in given:
        if (head := pair.partition("=")[0]) not in (*heads, "learned"):
            raise DataError(f"--weights {pair}: these data do not teach the {head}, but {', '.join(heads)}")


def _rate_lines(data: Dataset, val: Dataset | None, plan: Plan, recipe: Recipe, around: Surroundings) -> Iterator[str]:
    """The loss by rate, a line for each fifth step, and what to use."""
    from models.learn import try_rates

    curve, schedule = try_rates(data, val, plan, recipe, around)
    for factor, loss in list(zip(curve.factors, curve.losses, strict=True))[::5]:
        yield f"rate {schedule.rate * factor:.2e}, backbone {schedule.backbone_rate * factor:.2e}: loss {loss:.3f}"
    rate, backbone_rate = schedule.rate * curve.best, schedule.backbone_rate * curve.best
    yield f"a third of the best: --rate {rate:.2e}" + (f" --backbone-rate {backbone_rate:.2e}" if backbone_rate else "")


def _check_places(args: argparse.Namespace) -> None:
    """What is sure to fail at the end fails before hours of work. Raises DataError."""
    from models.resolve import SUFFIX
    from models.spec import MAX_SIDE_PX
    from pipeline.errors import DataError

    if args.out.suffix != SUFFIX or args.out.is_dir():
        raise DataError(f"--out {args.out}: give the name of a file that ends in {SUFFIX}")
    try:
        args.out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"--out {args.out}: no place to write to ({error.strerror}). Choose another") from None
    for option, folder in (("--val", args.val), ("--background", args.background), ("--unseen", args.unseen)):
        if folder is not None and not folder.exists():
            raise DataError(f"{option} {folder}: no such folder")
    if args.size is not None and args.size > MAX_SIDE_PX:
        raise DataError(f"--size {args.size}: {MAX_SIDE_PX} pixels at most")
