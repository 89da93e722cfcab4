"""One training run: data and a network that knows something already -> a checkpoint that knows its own figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch

from models.backbone import Features, digest_of_weights
from models.cache import FeatureCache
from models.calibrate import calibrate, says_probabilities
from models.data.dataset import Dataset
from models.evaluate import Answers, Seen, answers, answers_from, judged
from models.features import FeatureReader
from models.heads import Classifier
from models.journal import Journal, key_of
from models.network import Network
from models.precision import BF16
from models.recipe import Recipe
from models.regimes import Material, Memory, heads_on, varied_features, whole
from models.rounding import effect_of_bf16
from models.spec import FROZEN, SCRATCH, SEQUENTIAL, CheckpointInfo
from models.split import Shares, clusters_of, leaks, parted
from models.stages import Run, Stage, Stages, Watch
from models.start import measure_batchnorm, split_before, start
from models.targets import Plan, Truth, truth_of
from models.train import RateCurve, Schedule, find_rate
from pipeline.errors import DataError

Ints = npt.NDArray[np.int64]
Pixels = npt.NDArray[np.uint8]

_CACHED_PICTURES = 4000  # of few pictures more variants are cached than of many
_MOST_VARIANTS = 8
_MEASURED = 512  # pictures that BatchNorm is measured on, and bf16 where there is no val
_FIRST_EPOCHS = 20  # of new heads on the untouched backbone, before both move


@dataclass(frozen=True, slots=True)
class Learned:
    """A network, what can be said of it, the heads that came from the base unchanged, and what was answered for
    pictures that were not taught when it was."""

    network: Network
    info: CheckpointInfo
    kept: tuple[str, ...] = ()
    asked: Asked | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Pictures, the truth about them, and the answers."""

    part: Part
    found: Answers


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a run may use beside its data: who watches, a folder for its state, to be removed when the result is
    written, and a place for features."""

    watch: Watch
    state: Path | None = None
    features: FeatureCache = field(default_factory=lambda: FeatureCache(None))


def split(data: Dataset, val: Dataset | None, seed: int, heldout: float = 0.0) -> dict[str, Ints]:
    """Numbers of the pictures to train on, to choose by and to judge by: by scene and near-duplicate, never by frame.

    With a `val` of its own nothing is kept to choose by, and files whose content, or whose like, is there are left out.
    """
    rows, shares = np.arange(len(data)), Shares(heldout=heldout)
    if val is not None:
        leaked = leaks(data, val).files
        rows, shares = np.flatnonzero([int(file) not in leaked for file in data.file]), Shares(val=0.0, heldout=heldout)
        if not heldout:  # every picture beside every other, for nothing to be parted
            return {"train": rows}
    cluster = clusters_of(data)[rows]
    parts = parted(cluster, [data.label[k] for k in rows], shares, seed)
    return {name: rows[part] for name, part in parts.items()}


@dataclass(frozen=True, slots=True)
class Part:
    """Pictures of `source` by number, and the truth about them by head. Pixels are copied when they are asked for."""

    source: Dataset
    rows: Ints
    truth: Truth

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def pixels(self) -> Pixels:
        return self.source.pixels[self.rows]

    def some_pixels(self, most: int) -> Pixels:
        """`most` of them, evenly spread; of fewer some more than once."""
        return self.source.pixels[self.rows[np.linspace(0, len(self) - 1, most, dtype=np.int64)]]

    def digests(self) -> tuple[str, ...]:
        return self.source.digests_of(self.rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """All that training starts from: the network, what it is taught, chosen and judged by, the regime's stages, and the
    split of the network `before`."""

    network: Network
    kept: tuple[str, ...]
    taught: Part
    chosen_by: Part
    heldout: Part
    stages: Stages
    before: Mapping[str, tuple[str, ...]]

    @property
    def digests(self) -> dict[str, tuple[str, ...]]:
        """The split as a checkpoint states it."""
        return {name: getattr(self, part).digests() for name, part in _PARTS.items()}


_PARTS = {"train": "taught", "val": "chosen_by", "heldout": "heldout"}


def prepare(data: Dataset, val: Dataset | None, plan: Plan, recipe: Recipe, cache: FeatureCache) -> Prepared:
    """Part the data and make the network that learns. Raises DataError, CheckpointError and ConfigError."""
    rows = split(data, val, recipe.seed, recipe.heldout)
    if not len(rows["train"]):
        raise DataError("nothing is left to train on: every file is in --val too. Give other files")
    return prepare_parts(data, rows, val, plan, recipe, Memory(cache))


def prepare_parts(  # noqa: PLR0917  the data and their parts, then what is made of them
    data: Dataset, rows: Mapping[str, Ints], val: Dataset | None, plan: Plan, recipe: Recipe, memory: Memory
) -> Prepared:
    """The same for parts that are decided: numbers of pictures in train, val and heldout; a missing one is empty.

    `memory` is of the same data, plan and recipe wherever it is given again.
    """
    network, kept = start(recipe, plan)
    network.to(memory_format=torch.channels_last)
    spoken = Plan.of(network.spec)
    truth = truth_of(data, spoken).without(kept)

    def part(name: str) -> Part:
        own = rows.get(name, np.empty(0, np.int64))
        return Part(data, own, truth.rows(own))

    taught, chosen_by = part("train"), part("val")
    if val is not None:
        chosen_by = Part(val, np.arange(len(val)), truth_of(val, spoken).without(kept))
    if recipe.regime not in (SCRATCH, FROZEN):
        measure_batchnorm(network, taught.some_pixels(_MEASURED))
    material = Material(
        pixels=data.pixels,
        targets=truth.targets(),
        rows=taught.rows,
        how=recipe.augmentation(plan),
        weights=recipe.loss_weights(taught.truth.targets(), plan),
        learn_weights=recipe.learns_weights(),
        bf16=recipe.precision == BF16,
    )
    heads = [name for name in network.heads if name not in kept]
    return Prepared(
        network=network,
        kept=kept,
        taught=taught,
        chosen_by=chosen_by,
        heldout=part("heldout"),
        stages=_stages(Lesson(network, chosen_by, material, recipe, memory), heads),
        before=split_before(recipe),
    )


def learn(data: Dataset, val: Dataset | None, plan: Plan, recipe: Recipe, around: Surroundings) -> Learned:
    """Train by the recipe; the best epoch on val is kept, or the last one where there is nothing to choose by.

    Scores are calibrated on val where it says enough.
    """
    ready = prepare(data, val, plan, recipe, around.features)
    done = run_through(ready, plan, recipe, around, "run")
    network, part = ready.network, ready.chosen_by
    if not len(part):
        return Learned(network, checkpoint_info(ready, recipe, {}, done), ready.kept)
    calibration, found = calibrate(network, answers(network, part.pixels), part.truth)
    metrics = {"val": judged(found, part.truth, network.spec), "calibration": calibration}
    return Learned(network, checkpoint_info(ready, recipe, metrics, done), ready.kept, Asked(part, found))


def run_through(ready: Prepared, plan: Plan, recipe: Recipe, around: Surroundings, name: str) -> list[dict[str, Any]]:
    """All stages; of the same name, data and recipe, killed ones go on."""
    taught = ready.taught
    truths = taught.truth.digest(), ready.chosen_by.truth.digest()
    begins = digest_of_weights(ready.network)  # the base is a name in the recipe, and its file may be another one
    key = key_of(recipe, plan, ready.digests, truths, (len(taught), *taught.source.pixels.shape[1:]), begins)
    journal = Journal(around.state / name, key) if around.state is not None else None
    run = Run(ready.network, ready.chosen_by.truth, around.watch, patience=recipe.patience, journal=journal)
    return run.through(ready.stages, recipe.seed)


def try_rates(
    data: Dataset, val: Dataset | None, plan: Plan, recipe: Recipe, around: Surroundings
) -> tuple[RateCurve, Schedule]:
    """How the loss of the regime's main stage answers to the rate, after the stages before it; and what it is times."""
    ready = prepare(data, val, plan, recipe, around.features)
    main = [name for name, _ in ready.stages].index("classes" if recipe.regime == SEQUENTIAL else recipe.regime)
    Run(ready.network, ready.chosen_by.truth, around.watch).through(ready.stages[:main], recipe.seed)
    stage = ready.stages[main][1]()
    return find_rate(stage.job, stage.schedule, recipe.seed), stage.schedule


def checkpoint_info(
    ready: Prepared, recipe: Recipe, metrics: Mapping[str, Any], done: list[dict[str, Any]]
) -> CheckpointInfo:
    """What the checkpoint says of itself: `metrics`, figures of what was held out, and what bf16 changes."""
    network, judge = ready.network, dict[str, Any]()
    if len(ready.heldout):
        found = answers(network, ready.heldout.pixels)
        judge = {"heldout": judged(found, ready.heldout.truth, network.spec)}
    part, taught = ready.chosen_by, ready.taught
    shown = part.pixels if len(part) else taught.some_pixels(min(_MEASURED, len(taught)))
    return CheckpointInfo(
        spec=network.spec,
        version="",
        calibrated=says_probabilities(network.spec, metrics.get("calibration", {})),
        training={"recipe": asdict(recipe), "opencv": cv2.__version__, **facts_of(taught), "stages": done},
        metrics=dict(metrics) | judge | {BF16: effect_of_bf16(network, shown)},
        split=Seen.over_time(ready.digests, ready.before),
    )


def _stages(lesson: Lesson, heads: Sequence[str]) -> Stages:
    """The regime, stage by stage."""
    recipe, of = lesson.recipe, lesson.network.heads
    classifiers = [name for name in heads if isinstance(of[name], Classifier)]
    rest = [name for name in heads if name not in classifiers]
    frozen = recipe.schedule(len(lesson.material.rows), FROZEN)
    # New heads pull a backbone hard in the wrong direction until they know something (arXiv 2202.10054).
    first = replace(frozen, epochs=min(_FIRST_EPOCHS, frozen.epochs))
    if recipe.regime == FROZEN:
        return [(FROZEN, partial(lesson.on_features, heads, frozen))]
    if recipe.regime == SCRATCH:
        return [(SCRATCH, partial(lesson.whole, heads))]
    if recipe.regime != SEQUENTIAL:
        return [("heads", partial(lesson.on_features, heads, first)), (recipe.regime, partial(lesson.whole, heads))]
    if not classifiers or not rest:
        raise DataError("--regime sequential teaches classes, then where they are: the data lack one. Use finetune")
    return [
        ("heads", partial(lesson.on_features, classifiers, first)),
        ("classes", partial(lesson.whole, classifiers)),
        ("where", partial(lesson.on_features, rest, frozen)),
    ]


@dataclass(frozen=True, slots=True)
class Lesson:
    """What all stages share."""

    network: Network
    chosen_by: Part
    material: Material
    recipe: Recipe
    memory: Memory

    def whole(self, names: Sequence[str]) -> Stage:
        """Backbone and these heads."""
        schedule = self.recipe.schedule(len(self.material.rows), plan=Plan.of(self.network.spec))
        shown = self.chosen_by.pixels
        self.network.to(self.recipe.device)
        scratch = self.recipe.regime == SCRATCH
        job = whole(self.network, self.material, names, schedule, from_scratch=scratch)
        return Stage(job, schedule, lambda: answers(self.network, shown, names))

    def on_features(self, names: Sequence[str], schedule: Schedule) -> Stage:
        """Heads alone, on features that are computed once, of several variants of each picture."""
        network, count = self.network, 1
        if self.recipe.augment:
            count = int(np.clip(_CACHED_PICTURES // max(1, len(self.material.pixels)), 2, _MOST_VARIANTS))
        size_px = network.spec.height_px, network.spec.width_px
        maps = any(not isinstance(network.heads[name], Classifier) for name in names)
        reader = FeatureReader(network, self.memory.cache, maps=maps, device=torch.device(self.recipe.device))
        compute = partial(varied_features, self.material, size_px, self.recipe.seed, reader, count)
        variants = self.memory.variants((reader.weights, maps), compute)
        of_val = self._of_val(variants[0].features, reader)
        job = heads_on(network, variants, self.material, names, schedule.rate)

        def of_those() -> Answers:
            return answers_from(network, of_val, names) if of_val is not None else Answers()

        return Stage(job, schedule, of_those, threads=1)  # heads are so small that threads only wait for each other

    def _of_val(self, features: Features, reader: FeatureReader) -> Features | None:
        """Features of the pictures that the epoch is chosen by: they are there, or are data of their own."""
        if not len(self.chosen_by):
            return None
        if self.chosen_by.source.pixels is not self.material.pixels:
            return reader(self.chosen_by.pixels)
        return features.rows(torch.from_numpy(self.chosen_by.rows))


def facts_of(taught: Part) -> dict[str, Any]:
    """What a network was trained on, and by what."""
    labels = Counter(taught.source.label[k] for k in taught.rows)
    return {
        "pictures": len(taught),
        "classes": {name: labels[name] for name in sorted(labels) if name},
        "torch": torch.__version__,
    }
