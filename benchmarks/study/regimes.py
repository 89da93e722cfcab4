"""How much of the network learns, and when."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.study.choices import Choice
from benchmarks.study.columns import IOU50, MEAN_IOU, TOP1
from benchmarks.study.findings import Compared
from benchmarks.study.heads import FROZEN
from benchmarks.study.question import Arm, Bars, Question
from benchmarks.study.sources import BOXES, SPORTS, Pictures, Place
from benchmarks.study.teaching import Teaching

_SECONDS = {"frozen": 60, "finetune": 225, "joint": 225, "sequential": 275}


def regime() -> Question:
    pictures = Pictures(places=(Place(SPORTS, each=6), *BOXES))
    known = Teaching(recipe=FROZEN, pictures=pictures, heads=("classifier", "localizer"), folds=2)
    arms = tuple(_SECONDS)
    epochs = dict.fromkeys(arms, 20) | {"frozen": None}  # as many as the regime has by itself
    ways = {name: replace(known, recipe=replace(FROZEN, regime=name, epochs=epochs[name])) for name in arms}
    return Question(
        name="regime",
        version=2,
        asks="How much of the network should learn: heads alone (frozen), the backbone slowly (finetune), both at one "
        "rate (joint), or classes first and boxes after (sequential)?",
        how="330 pictures of raccoons and fruit with boxes and 132 of 22 sports without; one network for 26 classes "
        "and a box, mobilenet_v2 at 112 px. The backbone learns for 20 epochs, in small batches, after its heads have "
        "learned on it for 20; the boxes of `sequential` learn for 20 and frozen heads for 60, on stored features. Two "
        "thirds are judged.",
        arms=tuple(Arm(name=name, way=way, seconds=_SECONDS[name]) for name, way in ways.items()),
        columns=(TOP1, IOU50, MEAN_IOU),
        findings=(Compared(column=TOP1, arms=arms), Compared(column=MEAN_IOU, arms=arms)),
        chosen=Choice(
            setting="`--regime frozen`",
            because="because its features are computed once and kept",
            column=TOP1,
            arm="frozen",
            others=arms[1:],
        ),
        plots=(Bars(column=TOP1), Bars(column=MEAN_IOU)),
    )
