"""The order and the number of pictures in a step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.study.choices import Choice
from benchmarks.study.columns import TOP1
from benchmarks.study.findings import Compared, Power, Stated
from benchmarks.study.heads import FROZEN
from benchmarks.study.question import Arm, Bars, Column, Curves, Figures, Points, Question
from benchmarks.study.sources import SPORTS, Pictures, Place, Sources
from benchmarks.study.teaching import THIRDS, Teaching, figures_of, folds, mean, teach
from models.targets import plan_labels

FEW = Pictures(places=(Place(SPORTS, each=20),))
MORE = Pictures(places=(Place(SPORTS, each=40),))
BATCHES = (8, 16, 32, 64, 128, 256)
_USUAL_BATCH, _RATE = 64, 0.002  # a tenth of the usual rate: there is a loss left to jitter
_JITTER = Column(key="jitter", title="jitter of the loss", share=False, better=-1)
_LEVEL = Column(key="level", title="mean loss there", share=False, better=0)


def shuffle() -> Question:
    recipes = {"heads": FROZEN, "finetune": replace(FROZEN, regime="finetune", epochs=10, batch=32)}
    ways = {
        f"{name}, {'shuffled' if shuffled else 'in order'}": Teaching(
            recipe=replace(recipe, shuffle=shuffled), pictures=FEW, folds=THIRDS if name == "heads" else 1
        )
        for name, recipe in recipes.items()
        for shuffled in (True, False)
    }
    pairs = tuple((f"{name}, shuffled", f"{name}, in order") for name in recipes)
    return Question(
        name="shuffle",
        version=2,
        asks="Should pictures come shuffled, or in their order?",
        how="440 photographs of 22 sports, class after class when in order. `heads` learn on frozen mobilenet_v2; "
        "`finetune` moves the backbone too. The running mean of the weights, which smooths the order away in part, is "
        "kept as always. Of `finetune` one third is judged.",
        arms=tuple(Arm(name=name, way=way, seconds=30 if way.folds == THIRDS else 60) for name, way in ways.items()),
        columns=(TOP1,),
        findings=tuple(Compared(column=TOP1, arms=pair) for pair in pairs),
        chosen=Choice(
            setting="shuffled epochs",
            because="because a step then looks like the whole",
            column=TOP1,
            arm=pairs[1][0],
            others=pairs[1][1:],
        ),
        plots=(Bars(column=TOP1), Curves(key="loss", across="epoch", upwards="training loss")),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Jitter:
    """Teach, and measure how minibatch losses spread around their running mean over as many steps as an epoch has."""

    teaching: Teaching

    def quick(self) -> Jitter:
        return replace(self, teaching=self.teaching.quick())

    def measured(self, seed: int, sources: Sources) -> Figures:
        teaching = self.teaching
        data = sources.dataset(teaching.pictures)
        plan, recipe = plan_labels(data, (), teaching.heads), replace(teaching.recipe, seed=seed)
        found = []
        for fold in folds(data, seed)[: teaching.folds]:
            taught = teach(fold.taught, plan, recipe, sources.features)
            an_epoch = len(taught.steps) // len(taught.epochs)
            known = {
                "jitter": jitter(taught.steps, an_epoch),
                "level": float(np.mean(taught.epochs[len(taught.epochs) // 2 :])),
            }
            found.append({**figures_of(taught.network, fold.judged), **known, "loss": taught.epochs})
        return mean(found)


def jitter(losses: Sequence[float], window: int) -> float:
    """The deviation of losses from the mean of the `window` around them, where a whole one is there, over the second
    half of the steps: in the first the loss falls, which is no jitter. No number where there is no whole window."""
    late = np.asarray(losses[len(losses) // 2 :], np.float64)
    if len(late) < window:
        return math.nan
    running = np.convolve(late, np.full(window, 1 / window), mode="valid")
    first = (window - 1) // 2
    return float(np.std(late[first : first + len(running)] - running))


def batch() -> Question:
    ways = {}
    for size in BATCHES:
        recipe = replace(FROZEN, batch=size, rate=_RATE * size / _USUAL_BATCH, epochs=20)
        ways[f"{size}"] = Jitter(teaching=Teaching(recipe=recipe, pictures=MORE, folds=1))
    names, x = tuple(ways), tuple(map(float, BATCHES))
    return Question(
        name="batch",
        asks="How does the size of a batch change the jitter of the loss?",
        how="Classes of 880 photographs of 22 sports on frozen mobilenet_v2, 20 epochs at a tenth of the usual rate, "
        "so that a loss is left. The rate goes with the batch (arXiv 1706.02677): all get about as far with as many "
        "pictures. Jitter is the deviation of minibatch losses from the mean of an epoch's steps around them, over the "
        "second half of the steps. One third is judged.",
        arms=tuple(Arm(name=name, way=way, seconds=25 if name == "8" else 8) for name, way in ways.items()),
        columns=(_JITTER, _LEVEL, TOP1),
        findings=(
            Power(column=_JITTER, arms=names, x=x, expected=-0.5, because="the mean of independent pictures"),
            Compared(column=TOP1, arms=names),
        ),
        chosen=Stated(
            lead="We chose batches of 64 for heads on stored features, and where the backbone moves of 8 to 32, by the "
            "number of pictures; class right with 64 and 32",
            column=TOP1,
            arms=("64", "32"),
        ),
        plots=(
            Points(column=_JITTER, x=x, across="pictures in a batch", slope=-0.5),
            Points(column=TOP1, x=x, across="pictures in a batch"),
        ),
    )
