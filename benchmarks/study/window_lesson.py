"""Heads that are taught by windows of pictures, on what one pass says of each window.

A dense pass shows a window among its surroundings, a crop shows it between zeros, and features near its edges differ.
So heads learn from `Dense.features`, which is what they will be asked about; crops are never shown.
"""

# W windows of a picture, M objects in it, D channels, h x w cells

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.windows import SCALES
from models import geometry
from models.augment import NO_AUGMENTATION
from models.backbone import Features
from models.checkpoint import load, save
from models.data.dataset import Dataset
from models.dense import Dense
from models.evaluate import Answers, answers_from
from models.journal import key_of
from models.learn import split
from models.network import BOX, TAGS, Network
from models.recipe import Recipe
from models.regimes import Material, Variant, heads_on
from models.serve import served
from models.spec import NONE, CheckpointInfo
from models.stages import Run, Stage
from models.start import start
from models.targets import Plan, Truth
from models.windows import resized, window_targets, windows

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowLesson:
    """Classes and a box of every window: `each` windows of a picture and as many of its mirror image, by chance among
    all at these scales. What no window holds is taught as `none`, as often as it comes."""

    recipe: Recipe
    scales: tuple[float, ...] = SCALES[4]
    each: int = 12

    def network(self, data: Dataset, seed: int, folder: Path) -> Network:
        """Taught by these pictures, which are as large as the largest scale asks for; kept in `folder`."""
        digests = data.digests_of(np.arange(len(data)))
        path = folder / f"windows-{key_of(self, seed, digests, data.pixels.shape)[:16]}.safetensors"
        if not path.exists():
            network = self._taught(data, seed)
            save(network, CheckpointInfo(spec=network.spec, version=""), path)
        return load(path)[0]

    def _taught(self, data: Dataset, seed: int) -> Network:
        recipe = replace(self.recipe, seed=seed)
        plan = Plan(tags=tuple(sorted((*data.classes, NONE))), boxes=True)
        network, _ = start(recipe, plan)
        dense = Dense(served(copy.deepcopy(network), bf16=False))
        known = np.flatnonzero(np.isfinite(data.box).all(axis=1) & data.listed)
        rows = split(data.rows(known), None, seed)
        (features, truth), (seen, chosen_by) = (
            self._windows(dense, data.rows(known[rows[name]]), seed) for name in ("train", "val")
        )
        targets = truth.targets()
        weights = recipe.loss_weights(targets, plan)
        every = np.arange(len(truth.tag))
        material = Material(pixels=data.pixels[:0], targets=targets, rows=every, how=NO_AUGMENTATION, weights=weights)
        schedule = recipe.schedule(len(every))

        def stage() -> Stage:
            job = heads_on(network, [Variant(features, targets)], material, (TAGS, BOX), schedule.rate)
            return Stage(job, schedule, lambda: answers_from(network, seen) if len(chosen_by.tag) else Answers())

        Run(network, chosen_by, lambda _: None).through([("windows", stage)], seed)
        return network

    def _windows(self, dense: Dense, data: Dataset, seed: int) -> tuple[Features, Truth]:
        """Some windows of every picture: what heads read, and what they are to answer."""
        rng, number = np.random.default_rng(seed), {name: k for k, name in enumerate(dense.spec.tags)}
        maps, vectors, tags, boxes = [], [], [], []
        for pixels, labels, objects_xyxy in _views(data):
            seen, where = look(dense, pixels, self.scales)
            chosen = rng.choice(len(where), min(self.each, len(where)), replace=False)
            maps.append(seen.map[chosen].half())
            vectors.append(seen.vector[chosen].half())
            tag, box = held(objects_xyxy, np.array([number[name] for name in labels]), where[chosen], number[NONE])
            tags.append(tag)
            boxes.append(box)
        if not tags:
            return Features(torch.empty(0), torch.empty(0)), _truth(np.empty(0, np.int64), np.empty((0, 4)))
        return Features(torch.cat(maps), torch.cat(vectors)), _truth(np.concatenate(tags), np.concatenate(boxes))


def _views(data: Dataset) -> Iterator[tuple[npt.NDArray[np.uint8], Sequence[str], Floats]]:
    """Every picture and its mirror image, with the classes and boxes of its objects."""
    for picture, pixels in enumerate(data.pixels):
        rows = np.flatnonzero(data.objects.picture == picture)
        labels, xyxy = [data.objects.label[row] for row in rows], data.objects.xyxy[rows]
        yield pixels, labels, xyxy
        yield np.ascontiguousarray(pixels[:, ::-1]), labels, geometry.mirrored(xyxy)


def look(dense: Dense, pixels: npt.NDArray[np.uint8], scales: Sequence[float]) -> tuple[Features, Floats]:
    """What heads read of all windows of one picture at all scales, (W, ...), and where these lie, xyxy (W, 4)."""
    maps, vectors, where = [], [], []
    with torch.no_grad():
        for scale in scales:
            sized = resized(torch.from_numpy(pixels[None]), dense.size_px(scale))
            seen = dense.features(sized)
            maps.append(seen.map.flatten(0, 2))
            vectors.append(seen.vector.flatten(0, 2))
            where.append(windows(dense, *sized.shape[1:3]))
    return Features(torch.cat(maps), torch.cat(vectors)), np.concatenate(where)


def held(objects_xyxy: Floats, label: Ints, window_xyxy: Floats, none: int) -> tuple[Ints, Floats]:
    """The class that each window holds, (W,), `none` where it holds nothing, and the box xyxy in it, (W, 4), NaN there.
    Of several objects (M) the largest counts."""
    found = window_targets(objects_xyxy[None], window_xyxy[:, None])
    size_WM = np.where(found.holds, geometry.area(objects_xyxy), -1.0)
    largest, holds = size_WM.argmax(axis=1), np.asarray(found.holds.any(axis=1))
    xyxy = geometry.to_xyxy(found.xywh[np.arange(len(largest)), largest])
    return np.where(holds, label[largest], none), np.where(holds[:, None], xyxy, np.nan)


def _truth(tag: Ints, box: Floats) -> Truth:
    count = len(tag)
    return Truth(
        tag,
        np.empty((count, 0), np.float32),
        box.astype(np.float32),
        np.empty((count, 0), np.int64),
        np.empty((count, 0, 3), np.float32),
        np.full((count, 1, 5), np.nan, np.float32),
    )
