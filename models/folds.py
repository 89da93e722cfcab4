"""Cross-validation by scene: with few examples every one of them is taught and judged, never at once.

Each fold is judged by a network that was taught the others; the network that is kept is taught them all, with scores
calibrated on what was said out of fold. No epoch is chosen: all are run, so no figure flatters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from models.calibrate import calibrate
from models.data.dataset import Dataset
from models.evaluate import Answers, Found, answers
from models.examine import examined
from models.figures.detection import Objects
from models.learn import Asked, Learned, Part, Surroundings, checkpoint_info, prepare_parts, run_through
from models.recipe import Recipe
from models.regimes import Memory
from models.split import Shares, clusters_of, folded, parted
from models.targets import Plan, truth_of
from pipeline.errors import DataError

Ints = npt.NDArray[np.int64]


def learn_in_folds(data: Dataset, plan: Plan, recipe: Recipe, folds: int, around: Surroundings) -> Learned:
    """Figures from `folds` parts of the scenes, and a network that was taught all; `heldout` of the recipe stays apart.

    Raises DataError, where there are fewer scenes than folds.
    """
    cluster, label = clusters_of(data), np.array(data.label, dtype=object)
    apart = parted(cluster, data.label, Shares(val=0.0, heldout=recipe.heldout), recipe.seed)["heldout"]
    rows = np.setdiff1d(np.arange(len(data)), apart)
    fold = _folds_of(cluster[rows], label[rows].tolist(), folds, recipe.seed)  # -1: always taught
    said, memory = [], Memory(around.features)
    for number in range(folds):
        ready = prepare_parts(data, {"train": rows[fold != number]}, None, plan, recipe, memory)
        run_through(ready, plan, recipe, _named(around, f"fold {number + 1}"), f"fold{number}")
        said.append(answers(ready.network, data.pixels[rows[fold == number]]))
    ready = prepare_parts(data, {"train": rows, "heldout": apart}, None, plan, recipe, memory)
    done = run_through(ready, plan, recipe, around, "run")
    order = np.concatenate([rows[fold == number] for number in range(folds)])
    found = together(said, np.bincount(fold[fold >= 0], minlength=folds))
    truth = truth_of(data, Plan.of(ready.network.spec)).rows(order).without(ready.kept)
    calibration, found = calibrate(ready.network, found, truth)
    figures = examined(found, truth, ready.network.spec, [data.group[k] for k in order]) | {"count": folds}
    metrics = {"folds": figures, "calibration": calibration}
    asked = Asked(Part(data, order, truth), found)
    return Learned(ready.network, checkpoint_info(ready, recipe, metrics, done), ready.kept, asked)


def _named(around: Surroundings, name: str) -> Surroundings:
    """Who watches is told which network it is that learns."""
    return replace(around, watch=lambda now: around.watch(replace(now, stage=f"{name} {now.stage}")))


def _folds_of(cluster: Ints, label: Sequence[str], folds: int, seed: int) -> Ints:
    """The fold of each picture. Raises DataError."""
    fold = folded(cluster, label, folds, seed)
    if (scenes := len(np.unique(cluster[fold >= 0]))) < folds:
        raise DataError(f"--folds {folds}: there are {scenes} scenes only. Use fewer, or give clips of more scenes")
    return fold


def together(parts: Sequence[Answers], sizes: Ints) -> Answers:
    """One after the other; `sizes` are their numbers of pictures."""

    def column(name: str) -> npt.NDArray[np.float32] | None:
        values = [getattr(part, name) for part in parts]
        return None if values[0] is None else np.concatenate(values)

    objects = [part.objects for part in parts if part.objects is not None]
    return Answers(
        tags=column("tags"),
        events=column("events"),
        boxes=column("boxes"),
        attributes=tuple(np.concatenate(values) for values in zip(*(part.attributes for part in parts), strict=True)),
        points=column("points"),
        objects=_numbered(objects, sizes) if objects else None,
    )


def _numbered(parts: Sequence[Found], sizes: Ints) -> Found:
    """Pictures are counted through."""
    first = np.cumsum(sizes) - sizes
    objects = [part.objects for part in parts]
    picture = np.concatenate([some.picture + start for some, start in zip(objects, first, strict=True)])
    label = np.concatenate([some.label for some in objects])
    xyxy = np.concatenate([some.xyxy for some in objects])
    return Found(Objects(picture, label, xyxy), np.concatenate([part.score for part in parts]))
