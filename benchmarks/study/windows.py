"""One box against windows that are merged, the ways to merge, and how many scales."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from benchmarks.study.choices import Choice
from benchmarks.study.columns import BOTH, GFLOP, IOU50, MAP50, MEAN_IOU
from benchmarks.study.findings import Compared, Gained
from benchmarks.study.found import found_figures
from benchmarks.study.heads import FROZEN, OF_BOXES
from benchmarks.study.question import Arm, Bars, Column, Figure, Figures, Question
from benchmarks.study.sources import BOXES, Pictures, Sources
from benchmarks.study.teaching import THIRDS, folds, mean, teach
from benchmarks.study.window_lesson import WindowLesson
from benchmarks.windows import SCALES, boxes_of, flops, told
from models.data.dataset import Dataset
from models.dense import Dense
from models.evaluate import answers
from models.merge import MERGES, merge
from models.network import Network
from models.output import FoundBoxes, joined
from models.recipe import Recipe
from models.serve import served
from models.targets import plan_labels
from models.windows import in_picture, resized

LARGEST_PX = 336  # what three windows of 112 px take
PICTURES = Pictures(places=BOXES, side_px=LARGEST_PX)
LESSON = WindowLesson(recipe=replace(FROZEN, epochs=30, balance=False))
USUAL = (1.0, 1.5, 2.0)  # as `matchcut predict --windows` has them, with greedy merging
TAUGHT = (
    "Heads learn from 12 windows of each picture and of its mirror image, drawn from scales "
    f"{told(SCALES[4])}, on the features of the dense pass itself"
)
_CHUNK = 16  # pictures looked at together
_BEFORE = Column(key="before", title="boxes of windows", share=False, better=0)
_AFTER = Column(key="after", title="boxes merged", share=False, better=0)
_MS = Column(key="ms", title="ms to merge", share=False, better=-1)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneBox:
    """The box of the main subject, from the whole picture at once."""

    recipe: Recipe = FROZEN
    pictures: Pictures = PICTURES
    folds: int = THIRDS

    def quick(self) -> OneBox:
        return replace(self, recipe=replace(self.recipe, epochs=2), pictures=self.pictures.quick(), folds=1)

    def measured(self, seed: int, sources: Sources) -> Figures:
        """On the pictures that windows see, scaled down to one window."""
        side = self.recipe.size_px or LARGEST_PX
        data = sources.dataset(self.pictures)
        small = replace(data, pixels=resized(torch.from_numpy(data.pixels), (side, side)).numpy())
        plan, recipe = plan_labels(small, (), ("classifier", "localizer")), replace(self.recipe, seed=seed)
        found = []
        for fold in folds(data, seed, small)[: self.folds]:
            network = teach(fold.taught, plan, recipe, sources.features).network
            boxes = _main_boxes(network, fold.judged)
            gflop = flops(partial(network, torch.from_numpy(fold.judged.pixels[:1])))
            found.append({**found_figures(boxes, plan.tags, fold.judged), "gflop": gflop})
        return mean(found)


def _main_boxes(network: Network, data: Dataset) -> FoundBoxes:
    """One a picture, of its first class, as sure as that class."""
    said = answers(network, data.pixels)
    assert said.tags is not None and said.box is not None
    probs = torch.from_numpy(said.tags).softmax(dim=1).numpy()
    return FoundBoxes(np.arange(len(data)), said.box, probs.max(axis=1), probs.argmax(axis=1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """Windows at some scales, merged."""

    scales: tuple[float, ...]
    merge: str = "greedy"
    lesson: WindowLesson = LESSON
    pictures: Pictures = PICTURES
    folds: int = THIRDS

    def quick(self) -> Merged:
        lesson = replace(self.lesson, recipe=replace(self.lesson.recipe, epochs=2))
        return replace(self, lesson=lesson, pictures=self.pictures.quick(), folds=1)

    def measured(self, seed: int, sources: Sources) -> Figures:
        data, found = sources.dataset(self.pictures), []
        for fold in folds(data, seed)[: self.folds]:
            network = self.lesson.network(fold.taught, seed, sources.networks)
            found.append(self._of(Dense(served(network, bf16=False)), fold.judged))
        return mean(found)

    def _of(self, dense: Dense, data: Dataset) -> dict[str, Figure]:
        boxes = _boxes(dense, data, self.scales)
        began = time.process_time()
        merged = in_picture(merge(boxes, self.merge))
        ms = (time.process_time() - began) * 1000 / len(data)
        one = torch.from_numpy(data.pixels[:1])
        gflop = flops(lambda: boxes_of(dense, one, self.scales))
        told = found_figures(merged, dense.spec.columns, data)
        return {**told, "before": len(boxes.score) / len(data), "ms": ms, "gflop": gflop}


def _boxes(dense: Dense, data: Dataset, scales: Sequence[float]) -> FoundBoxes:
    """Of all windows, not yet merged."""
    parts = []
    for at in range(0, len(data), _CHUNK):
        found = boxes_of(dense, torch.from_numpy(data.pixels[at : at + _CHUNK]), tuple(scales))
        parts.append(found._replace(picture=found.picture + at))
    return joined(parts)


def one_box_or_windows() -> Question:
    one, many = "one box", f"windows at {told(USUAL)}, greedy"
    return Question(
        name="windows",
        asks="One box by regression, or windows all over the picture, merged?",
        how=f"Frozen mobilenet_v2; {OF_BOXES}, and all 529 objects count for the mAP. `one box` is regressed from the "
        f"whole picture at 112 px. {TAUGHT}. The surest merged box is the one that is judged by IoU.",
        arms=(
            Arm(name=one, way=OneBox(), seconds=55),
            Arm(name=many, way=Merged(scales=USUAL), seconds=200),
        ),
        columns=(IOU50, MEAN_IOU, BOTH, MAP50, GFLOP),
        findings=(Compared(column=IOU50, arms=(one, many)), Compared(column=MAP50, arms=(one, many))),
        chosen=Choice(
            setting="one box in `matchcut run`, and windows where `--windows` asks for them",
            because="because one box costs one pass over a small picture",
            column=IOU50,
            arm=one,
            others=(many,),
        ),
        plots=(Bars(column=IOU50), Bars(column=MAP50)),
    )


def merges() -> Question:
    ways = tuple(MERGES)
    return Question(
        name="merge",
        asks="How should the boxes of windows be merged: greedily, by NMS, by soft-NMS, or by fusion?",
        how=f"The same networks and the same windows as before, at scales {told(USUAL)}; nothing but the merging "
        "differs. Milliseconds are CPU time for a picture's boxes.",
        arms=tuple(Arm(name=way, way=Merged(scales=USUAL, merge=way), seconds=15) for way in ways),
        columns=(MAP50, IOU50, MEAN_IOU, _BEFORE, _AFTER, _MS),
        findings=(Compared(column=MAP50, arms=ways), Compared(column=IOU50, arms=ways)),
        chosen=Choice(
            setting="`--merge greedy`",
            because="because it is the method of the paper that windows are taken from",
            column=MAP50,
            arm="greedy",
            others=ways[1:],
        ),
        plots=(Bars(column=MAP50), Bars(column=IOU50)),
    )


def _named(some: Sequence[float]) -> str:
    return f"{len(some)} scale{'s' if len(some) > 1 else ''} ({told(some)})"


def scales() -> Question:
    arms = {_named(some): some for some in (SCALES[1], SCALES[2], USUAL, SCALES[4])}
    names = tuple(arms)
    return Question(
        name="scales",
        asks="How many scales should windows have: 1, 2 or 4?",
        how="The same networks, merged greedily. A scale is how many windows a picture is wide; three scales are what "
        "`--windows` takes if not told otherwise.",
        arms=tuple(Arm(name=name, way=Merged(scales=some), seconds=25) for name, some in arms.items()),
        columns=(MAP50, IOU50, MEAN_IOU, GFLOP),
        findings=(Gained(column=MAP50, arms=names), Gained(column=IOU50, arms=names)),
        chosen=Choice(
            setting=f"scales {told(USUAL)}",
            because="because the whole picture is one of them",
            column=MAP50,
            arm=names[2],
            others=(*names[:2], names[3]),
        ),
        plots=(Bars(column=MAP50), Bars(column=IOU50)),
    )
