"""One training run: data and a network that knows something already -> a checkpoint that knows its own figures."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from models import train
from models.augment import NO_AUGMENTATION, Augmentation, augmented
from models.backbone import Features
from models.checkpoint import load
from models.data import Dataset
from models.evaluate import Answers, answers, answers_from, judged
from models.losses import LossWeights, Targets, event_balance
from models.network import BOX, EVENTS, TAGS, Network
from models.precision import BF16, effect_of_bf16
from models.resolve import ImageNet, resolve
from models.spec import CheckpointInfo, Spec, read_info
from models.split import Shares, clusters, dhash, parted
from models.targets import Plan, Truth, truth_of
from models.weights_file import load_torchvision_weights
from pipeline.errors import DataError

Ints = npt.NDArray[np.int64]
Watch = Callable[[train.Epoch, Mapping[str, Any]], None]

_EPOCHS = {"frozen": 60, "finetune": 20, "scratch": 60}  # by regime
_CACHED_PICTURES = 4000  # of few pictures more variants are cached than of many
_MOST_VARIANTS = 8
_IMAGENET_SIDE_PX = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is to be done. `base` is a model's name: default, a checkpoint, torchvision:NAME."""

    base: str = "default"
    regime: str = "frozen"
    epochs: int | None = None
    seed: int = 0
    size_px: int | None = None
    attach: str = "conv"

    def schedule(self) -> train.Schedule:
        """Rates that suit the regime."""
        epochs = self.epochs or _EPOCHS[self.regime]
        if self.regime == "frozen":
            return train.Schedule(epochs=epochs, batch=64, rate=0.02)
        rate = 0.05 if self.regime == "scratch" else 0.005
        return train.Schedule(epochs=epochs, batch=32, rate=0.05, backbone_rate=rate)


@dataclass(frozen=True, slots=True)
class Learned:
    """A network, what can be said of it, and the heads that came from the base unchanged."""

    network: Network
    info: CheckpointInfo
    kept: tuple[str, ...]


def input_size(recipe: Recipe) -> tuple[int, int]:
    """Height and width of the pictures that the network will take. Raises CheckpointError."""
    where = resolve(recipe.base)
    if recipe.size_px is not None or isinstance(where, ImageNet):
        return (recipe.size_px or _IMAGENET_SIDE_PX,) * 2
    spec = read_info(where.path).spec
    return spec.height_px, spec.width_px


def start(recipe: Recipe, plan: Plan) -> tuple[Network, tuple[str, ...]]:
    """The network before training, with the base's weights where the regime uses them, and the heads that stay.

    With a frozen backbone the base's heads go on being right: those the data do not teach are kept.
    """
    where = resolve(recipe.base)
    torch.manual_seed(recipe.seed)
    if isinstance(where, ImageNet):
        side = recipe.size_px or _IMAGENET_SIDE_PX
        network = Network(_spec(where.backbone, (side, side), recipe.attach, plan))
        if recipe.regime != "scratch":
            load_torchvision_weights(network.backbone.trunk, where)
        return network, ()
    base, info = load(where.path)
    size_px = (recipe.size_px or info.spec.height_px, recipe.size_px or info.spec.width_px)
    same_input = size_px == (info.spec.height_px, info.spec.width_px) and recipe.attach == info.spec.attach
    spec = _spec(info.spec.backbone, size_px, recipe.attach, plan)
    kept = _heads_to_keep(spec, info.spec) if recipe.regime == "frozen" and same_input else ()
    network = Network(_with_heads(spec, info.spec, kept))
    if recipe.regime != "scratch" and recipe.attach == info.spec.attach:
        network.backbone.load_state_dict(base.backbone.state_dict())
    for name in kept:
        network.heads[name].load_state_dict(base.heads[name].state_dict())
    return network, kept


def _spec(backbone: str, size_px: tuple[int, int], attach: str, plan: Plan) -> Spec:
    height_px, width_px = size_px
    return Spec(
        backbone=backbone,
        height_px=height_px,
        width_px=width_px,
        attach=attach,
        tags=plan.tags,
        events=plan.events,
        localizer=plan.boxes,
    )


def _heads_to_keep(new: Spec, base: Spec) -> tuple[str, ...]:
    """Heads of the base that the data do not teach and whose labels do not clash with the new ones."""
    taught = {*new.tags, *new.events}
    keep = {
        TAGS: bool(base.tags) and not new.tags and not taught & set(base.tags),
        EVENTS: bool(base.events) and not new.events and not taught & set(base.events),
        BOX: base.localizer and not new.localizer,
    }
    return tuple(name for name, wanted in keep.items() if wanted)


def _with_heads(new: Spec, base: Spec, kept: Sequence[str]) -> Spec:
    return replace(
        new,
        tags=base.tags if TAGS in kept else new.tags,
        events=base.events if EVENTS in kept else new.events,
        localizer=new.localizer or BOX in kept,
    )


def split(data: Dataset, val: Dataset | None, seed: int) -> dict[str, Ints]:
    """Numbers of the pictures to train on and to choose by: by scene and near-duplicate, never by frame.

    With a `val` of its own everything is trained on, except files whose content is in `val` too.
    """
    if val is not None:
        leaked = {number for number, digest in enumerate(data.digests) if digest in set(val.digests)}
        return {"train": np.array([k for k, file in enumerate(data.file) if int(file) not in leaked], np.int64)}
    cluster = clusters(dhash(data.pixels), data.group)
    return {name: rows for name, rows in parted(cluster, data.label, Shares(), seed).items() if name != "heldout"}


def learn(data: Dataset, val: Dataset | None, plan: Plan, recipe: Recipe, watch: Watch) -> Learned:
    """Train by the recipe; the best epoch on val is kept, or the last one where there is nothing to choose by."""
    part = split(data, val, recipe.seed)
    if not len(part["train"]):
        raise DataError("nothing is left to train on: every file is in --val too. Give other files")
    network, kept = start(recipe, plan)
    taught = data.rows(part["train"])
    chosen_by = val if val is not None else data.rows(part["val"])
    truths = tuple(truth_of(part_data, plan.tags, plan.events) for part_data in (taught, chosen_by))
    run = _frozen if recipe.regime == "frozen" else _whole
    figures = best_epoch(network, run(network, (taught, chosen_by), truths, kept, recipe), plan, truths[1], watch)
    digests = {
        "train": data.digests_of(part["train"]),
        "val": tuple(sorted(set(val.digests))) if val is not None else data.digests_of(part["val"]),
    }
    info = CheckpointInfo(
        spec=network.spec,
        version="",
        training=_facts(recipe, taught),
        metrics={"val": figures, BF16: effect_of_bf16(network, chosen_by.pixels)},
        split=digests,
    )
    return Learned(network, info, kept)


Progress = Iterator[tuple[train.Epoch, Callable[[], Answers]]]


def best_epoch(network: Network, progress: Progress, plan: Plan, truth: Truth, watch: Watch) -> dict[str, Any]:
    """Run all epochs; leave the network as it was at its best, and answer the figures of that moment."""
    best, figures, state = -1.0, dict[str, Any](), None
    for epoch, answer in progress:
        now = judged(answer(), truth, plan.tags, plan.events) if len(truth.tag) else {}
        watch(epoch, now)
        if not now or score_of(now) > best:
            best, figures = (score_of(now), now) if now else (best, {})
            state = copy.deepcopy(network.state_dict())
    if state is not None:
        network.load_state_dict(state)
    return figures


def score_of(figures: Mapping[str, Any]) -> float:
    """One number to choose an epoch by: the mean of top-1, average precision, and boxes right."""
    parts = [figures[TAGS]["top1"]] if TAGS in figures else []
    parts += [event["average_precision"] for event in figures.get(EVENTS, {}).values()]
    parts += [figures[BOX]["iou50"]] if BOX in figures else []
    return float(np.mean(parts)) if parts else 0.0


def _frozen(
    network: Network, sets: tuple[Dataset, Dataset], truths: tuple[Truth, ...], kept: Sequence[str], recipe: Recipe
) -> Progress:
    features, targets = cached(network, sets[0], truths[0], recipe.seed)
    seen = train.features_of(network, sets[1].pixels) if len(sets[1]) else None
    weights = LossWeights(event_yes=event_balance(truths[0].targets().events))
    for epoch in train.frozen(network, features, targets, recipe.schedule(), weights, recipe.seed, kept=kept):
        yield epoch, lambda: answers_from(network, seen) if seen is not None else Answers(None, None, None)


def _whole(
    network: Network, sets: tuple[Dataset, Dataset], truths: tuple[Truth, ...], kept: Sequence[str], recipe: Recipe
) -> Progress:
    weights = LossWeights(event_yes=event_balance(truths[0].targets().events), label_smoothing=0.05)
    plan = train.Pictures(sets[0].pixels, truths[0].targets(), Augmentation())
    for epoch in train.whole(network, plan, recipe.schedule(), weights, recipe.seed):
        yield epoch, lambda: answers(network, sets[1].pixels)


def cached(network: Network, data: Dataset, truth: Truth, seed: int) -> tuple[Features, Targets]:
    """Backbone features of every picture as it is, in the mirror, and (of few) of random crops; and their targets."""
    count = int(np.clip(_CACHED_PICTURES // max(1, len(data)), 2, _MOST_VARIANTS))
    mirror = replace(NO_AUGMENTATION, mirror=1.0)
    rng = np.random.default_rng((seed, 2))
    size_px = network.spec.height_px, network.spec.width_px
    known = truth.targets()
    features, targets = [], []
    for how in [NO_AUGMENTATION, mirror, *[Augmentation()] * (count - 2)]:
        pixels, boxes = augmented(data.pixels, known.box.numpy(), how, size_px, rng)
        features.append(train.features_of(network, pixels))
        targets.append(known._replace(box=torch.from_numpy(boxes)))
    maps, vectors = zip(*features, strict=True)
    tag, events, box, *_ = zip(*targets, strict=True)
    return Features(torch.cat(maps), torch.cat(vectors)), Targets(torch.cat(tag), torch.cat(events), torch.cat(box))


def _facts(recipe: Recipe, taught: Dataset) -> dict[str, Any]:
    return {
        "base": recipe.base,
        "regime": recipe.regime,
        "epochs": recipe.schedule().epochs,
        "seed": recipe.seed,
        "pictures": len(taught),
        "classes": {name: taught.label.count(name) for name in taught.classes},
        "torch": torch.__version__,
        "opencv": cv2.__version__,
    }
