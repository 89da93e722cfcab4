"""Where heads stand, how many boxes they give, and what boxes are wrong by: heads on a frozen backbone."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.study.choices import Choice
from benchmarks.study.columns import BOTH, IOU50, MEAN_IOU, TOP1
from benchmarks.study.findings import Compared
from benchmarks.study.question import Arm, Bars, Question
from benchmarks.study.sources import BOXES, MOBILENET, SIDE_PX, SPORTS, SQUEEZENET, Pictures, Place
from benchmarks.study.teaching import Teaching
from models.recipe import Recipe

FROZEN = Recipe(base=MOBILENET, size_px=SIDE_PX)
WITH_BOXES = Teaching(recipe=FROZEN, pictures=Pictures(places=BOXES), heads=("classifier", "localizer"))
OF_BOXES = "330 pictures of raccoons and of three kinds of fruit; the box is that of the largest object"


def attach() -> Question:
    sports = Pictures(places=(Place(SPORTS, each=68),))
    arms = []
    for base, name in ((MOBILENET, "mobilenet_v2"), (SQUEEZENET, "squeezenet1_1")):
        for at in ("conv", "fc"):
            recipe = replace(FROZEN, base=base, attach=at)
            arms.append(Arm(name=f"{name} {at}", way=replace(WITH_BOXES, recipe=recipe), seconds=55))
    for at in ("conv", "fc"):
        recipe = replace(FROZEN, base=SQUEEZENET, attach=at)
        arms.append(
            Arm(
                name=f"squeezenet1_1 {at}, sports",
                way=Teaching(recipe=recipe, pictures=sports),
                seconds=40 if at == "conv" else 90,
            )
        )
    return Question(
        name="attach",
        asks="Where should heads attach: to the last map (conv), or behind the fully connected layers (fc)?",
        how=f"Heads on a frozen backbone. Boxes: {OF_BOXES}. Classes: the same pictures, and 1,496 photographs of 22 "
        "sports. At `conv` the box is regressed from the map and the class from its mean; at `fc` both from the vector "
        "before the class layer. mobilenet_v2 has no other layer between these, so its classes read the same vector "
        "either way; the vector of squeezenet1_1 is its whole map laid in a row.",
        arms=tuple(arms),
        columns=(TOP1, IOU50, MEAN_IOU),
        findings=(
            Compared(column=MEAN_IOU, arms=("mobilenet_v2 conv", "mobilenet_v2 fc")),
            Compared(column=TOP1, arms=("squeezenet1_1 conv, sports", "squeezenet1_1 fc, sports")),
        ),
        chosen=Choice(
            setting="`--attach conv`",
            because="because the map knows where things are and its mean is a short vector for classes",
            column=MEAN_IOU,
            arm="mobilenet_v2 conv",
            others=("mobilenet_v2 fc",),
        ),
        plots=(Bars(column=MEAN_IOU), Bars(column=TOP1)),
    )


def box_per_class() -> Question:
    one, each = "one box for all", "a box for each class"
    return Question(
        name="box-per-class",
        asks="One box for all classes, or one for each class?",
        how=f"Heads on frozen mobilenet_v2; {OF_BOXES}. With a box for each of the four classes the one of the first "
        "class is shown.",
        arms=(
            Arm(name=one, way=WITH_BOXES, seconds=50),
            Arm(name=each, way=replace(WITH_BOXES, box_per_class=True), seconds=50),
        ),
        columns=(IOU50, MEAN_IOU, BOTH),
        findings=(Compared(column=MEAN_IOU, arms=(one, each)), Compared(column=BOTH, arms=(one, each))),
        chosen=Choice(
            setting="one box for all, unless `--box-per-class` is asked for",
            because="because every picture with a box then teaches it, whatever its class",
            column=MEAN_IOU,
            arm=one,
            others=(each,),
        ),
        plots=(Bars(column=MEAN_IOU), Bars(column=BOTH)),
    )


def box_loss() -> Question:
    kinds = ("smooth-l1", "l2", "giou")
    ways = {kind: replace(WITH_BOXES, recipe=replace(FROZEN, box_loss=kind)) for kind in kinds}
    return Question(
        name="box-loss",
        asks="What should a box be wrong by: L2, smooth L1 or GIoU?",
        how=f"Heads on frozen mobilenet_v2; {OF_BOXES}. L2 is half the square in units of the bend of smooth L1, a "
        "tenth of the picture, so that both weigh small errors alike; all three count twice as much as the classes.",
        arms=tuple(Arm(name=kind, way=way, seconds=50) for kind, way in ways.items()),
        columns=(IOU50, MEAN_IOU, TOP1),
        findings=(Compared(column=MEAN_IOU, arms=kinds), Compared(column=IOU50, arms=kinds)),
        chosen=Choice(
            setting="`--box-loss smooth-l1`",
            because="because one outlier cannot pull it as it pulls L2",
            column=MEAN_IOU,
            arm="smooth-l1",
            others=("l2", "giou"),
        ),
        plots=(Bars(column=MEAN_IOU), Bars(column=IOU50)),
    )
