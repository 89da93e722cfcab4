"""One training by the pieces of `models`, and what it is worth on pictures that took no part in it.

The pictures of a way are parted into thirds by scene and near-duplicate, never by frame. Each third is judged by a
network that was taught the other two, of which it kept a fifth to choose its epoch by; so every picture is judged once,
and a seed's figure is the mean of the thirds. Where a training is long, only the first third is judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchmarks.study.question import Figure, Figures
from benchmarks.study.sources import Pictures, Sources
from models import geometry
from models.cache import FeatureCache
from models.data.dataset import Dataset
from models.evaluate import Answers, answers, best_constant, judged
from models.figures.localization import localization_errors
from models.learn import prepare
from models.network import BOX, TAGS, Network
from models.recipe import Recipe
from models.split import Shares, clusters_of, parted
from models.stages import Progress, Run, Stage, Stages
from models.targets import Plan, Truth, plan_labels, truth_of

THIRDS = 3


@dataclass(frozen=True, slots=True)
class Fold:
    """What is taught, and what is judged."""

    taught: Dataset
    judged: Dataset


@dataclass(frozen=True, slots=True)
class Taught:
    """A network; the loss of each minibatch of its last stage, and of each epoch."""

    network: Network
    steps: tuple[float, ...]
    epochs: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Teaching:
    """Teach by a recipe, judge by `folds` thirds: the way of most questions. `heads` as in `plan_labels`."""

    recipe: Recipe
    pictures: Pictures
    heads: tuple[str, ...] = ("classifier",)
    box_per_class: bool = False
    folds: int = THIRDS

    def quick(self) -> Teaching:
        recipe = replace(self.recipe, epochs=2)
        return replace(self, recipe=recipe, pictures=self.pictures.quick(), folds=1)

    def measured(self, seed: int, sources: Sources) -> Figures:
        data = sources.dataset(self.pictures)
        plan = plan_labels(data, (), self.heads, box_per_class=self.box_per_class)
        recipe = replace(self.recipe, seed=seed)
        found = []
        for fold in folds(data, seed)[: self.folds]:
            taught = teach(fold.taught, plan, recipe, sources.features)
            found.append({**figures_of(taught.network, fold.judged), "loss": taught.epochs})
        return mean(found)


def folds(data: Dataset, seed: int, shown: Dataset | None = None) -> list[Fold]:
    """Three, each judging another third. With `shown`, of those: the same pictures in another size, parted alike."""
    shown = shown or data
    cluster = clusters_of(data)
    thirds = [*parted(cluster, data.label, Shares(val=1 / THIRDS, heldout=1 / THIRDS), seed).values()]
    every = np.arange(len(data))
    return [Fold(shown.rows(np.setdiff1d(every, third)), shown.rows(third)) for third in thirds]


def teach(data: Dataset, plan: Plan, recipe: Recipe, cache: FeatureCache) -> Taught:
    """As `matchcut train` does, without the calibration that would follow."""
    ready = prepare(data, None, plan, recipe, cache)
    steps, epochs = dict[str, list[float]](), dict[str, list[float]]()

    def watch(progress: Progress) -> None:
        epochs.setdefault(progress.stage, []).append(sum(progress.epoch.losses.values()))

    stages: Stages = [(name, partial(_noting, make, steps.setdefault(name, []))) for name, make in ready.stages]
    Run(ready.network, ready.chosen_by.truth, watch, patience=recipe.patience).through(stages, recipe.seed)
    last = stages[-1][0]
    return Taught(ready.network, tuple(steps[last]), tuple(epochs[last]))


def _noting(make: Callable[[], Stage], losses: list[float]) -> Stage:
    """The stage, which notes what each minibatch loses."""
    stage = make()
    whole = stage.job.loss_of

    def loss_of(index: npt.NDArray[np.int64], rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        parts = whole(index, rng, step)
        losses.append(float(torch.stack([*parts.values()]).sum().detach()))
        return parts

    return replace(stage, job=replace(stage.job, loss_of=loss_of))


def figures_of(network: Network, data: Dataset) -> dict[str, Figure]:
    """Of classes and boxes, as far as the network has them."""
    truth, found = truth_of(data, Plan.of(network.spec)), answers(network, data.pixels)
    said = judged(found, truth, network.spec)
    flat: dict[str, Figure] = {}
    if TAGS in said:
        flat |= {"top1": said[TAGS]["top1"], "chance": said[TAGS]["top1_chance"]}
    if BOX in said:
        known = np.isfinite(truth.box).all(axis=1)
        constant = geometry.iou(best_constant(truth.box[known])[None], truth.box[known])
        flat |= {key: said[BOX][key] for key in ("iou50", "iou50_constant", "mean_iou")}
        flat["mean_iou_constant"] = float(constant.mean())
    if TAGS in said and BOX in said:
        flat |= _localized(found, truth)
    return flat


def _localized(found: Answers, truth: Truth) -> dict[str, Figure]:
    """Class and box both right, of the pictures with both; the box is the largest object's."""
    rows = np.flatnonzero(np.isfinite(truth.box).all(axis=1) & (truth.tag >= 0))
    assert found.tags is not None and found.boxes is not None
    boxes = found.boxes[rows] if found.boxes.shape[1] > 1 else found.boxes[rows, 0]
    errors = localization_errors(found.tags[rows], boxes, truth.tag[rows], [truth.box[row][None] for row in rows])
    return {"both": 1 - errors["top1_error"], "both_centred": 1 - errors["top1_error_centred"]}


def mean(found: Sequence[Mapping[str, Figure]]) -> dict[str, Figure]:
    """Of folds; of curves point by point."""
    means = {key: np.mean([part[key] for part in found], axis=0) for key in found[0]}
    return {key: value.tolist() if value.ndim else float(value) for key, value in means.items()}
