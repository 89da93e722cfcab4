"""How much has to be labelled: learning curves of pictures and of clips."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from benchmarks.study.columns import TOP1
from benchmarks.study.findings import Gained, Reached
from benchmarks.study.heads import FROZEN
from benchmarks.study.question import Arm, Column, Figure, Figures, Points, Question
from benchmarks.study.sources import CLIPS, SPORTS, Pictures, Place, Sources
from benchmarks.study.teaching import THIRDS, figures_of, folds, mean, teach
from models.data.dataset import Dataset
from models.evaluate import answers, event_figures
from models.network import Network
from models.recipe import Recipe
from models.targets import plan_labels

EVENT = "BasketballDunk"
_TEN = (
    "badminton",
    "baseball",
    "basketball",
    "boxing",
    "cricket",
    "fencing",
    "football",
    "gymnastics",
    "swimming",
    "tennis",
)
OF_PICTURES = (5, 10, 25, 50, 100)  # of each class; the last is all that two thirds of 150 are
OF_CLIPS = (3, 5, 10, 20)  # likewise of 30
_RIGHT = Column(key="right", title="clips right", baseline="right_chance", baseline_title="the commoner")
_AP = Column(
    key="average_precision",
    title="average precision",
    baseline="average_precision_chance",
    baseline_title="share of dunks",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Teach with so many labelled files of each class, of which a fifth chooses the epoch as always."""

    count: int
    pictures: Pictures
    events: tuple[str, ...] = ()
    recipe: Recipe = FROZEN
    folds: int = THIRDS

    def quick(self) -> Labelled:
        return replace(self, recipe=replace(self.recipe, epochs=2), pictures=self.pictures.quick(), folds=1)

    def measured(self, seed: int, sources: Sources) -> Figures:
        data = sources.dataset(self.pictures)
        plan, recipe = plan_labels(data, self.events, ("classifier",)), replace(self.recipe, seed=seed)
        judge = _of_clips if self.events else figures_of
        found = []
        for fold in folds(data, seed)[: self.folds]:
            taught = teach(labelled(fold.taught, self.count, seed), plan, recipe, sources.features)
            found.append(judge(taught.network, fold.judged))
        return mean(found)


def labelled(data: Dataset, count: int, seed: int) -> Dataset:
    """`count` files of each class, or all where there are fewer: scene after scene, in an order by chance. With one
    seed fewer are a part of more."""
    rng, chosen = np.random.default_rng(seed), list[int]()
    labels = np.array(data.label)
    for name in data.classes:
        files = np.unique(data.file[labels == name])
        order = {scene: k for k, scene in enumerate(rng.permutation(sorted({data.groups[k] for k in files})))}
        chosen += sorted(files.tolist(), key=lambda file: order[data.groups[file]])[:count]
    return data.rows(np.flatnonzero(np.isin(data.file, chosen)))


def _of_clips(network: Network, data: Dataset) -> dict[str, Figure]:
    """A clip's score is the mean of its pictures' logits."""
    logits = answers(network, data.pixels).events
    assert logits is not None
    files: npt.NDArray[np.int64] = np.unique(data.file)
    score = np.array([logits[data.file == file, 0].mean() for file in files])
    event = network.spec.events[0]
    yes = np.array([data.label[int(np.argmax(data.file == file))] == event for file in files], np.float64)
    return {key: float(value) for key, value in event_figures(score, yes).items()}


def pictures() -> Question:
    ten = Pictures(places=tuple(Place(f"{SPORTS}/{name}", each=150) for name in _TEN))
    names = tuple(map(str, OF_PICTURES))
    seconds = (15, 20, 40, 65, 85)
    return Question(
        name="labels-pictures",
        asks="How many pictures of a class must be labelled?",
        how="Ten sports with 150 photographs each, heads on frozen mobilenet_v2. Of the two thirds that are not "
        "judged, so many of each class are labelled; 100 are all there are. A fifth of them chooses the epoch.",
        arms=tuple(
            Arm(name=name, way=Labelled(count=count, pictures=ten), seconds=cost)
            for name, count, cost in zip(names, OF_PICTURES, seconds, strict=True)
        ),
        columns=(TOP1,),
        findings=(Gained(column=TOP1, arms=names), Reached(column=TOP1, arms=names, of="pictures")),
        chosen=Reached(
            column=TOP1,
            arms=("10", "50", "100"),
            of="pictures",
            lead="docs/models.md calls ten a beginning and fifty good",
        ),
        plots=(Points(column=TOP1, x=tuple(map(float, OF_PICTURES)), across="labelled pictures of a class"),),
    )


def clips() -> Question:
    both = Pictures(places=CLIPS)
    names = tuple(map(str, OF_CLIPS))
    seconds = (20, 30, 50, 75)
    return Question(
        name="labels-clips",
        asks="How many clips of an event must be labelled?",
        how="Dunks against other play: 30 clips each of UCF101's BasketballDunk and Basketball, in 15 scenes each, 24 "
        "pictures of a clip; parted by scene, never by clip. Heads on frozen mobilenet_v2; a clip's score is the mean "
        "of its pictures'. So many clips of each are labelled, scene after scene (two clips are of one scene); 20 are "
        "all there are, so 25 and 50 cannot be asked.",
        arms=tuple(
            Arm(name=name, way=Labelled(count=count, pictures=both, events=(EVENT,)), seconds=cost)
            for name, count, cost in zip(names, OF_CLIPS, seconds, strict=True)
        ),
        columns=(_RIGHT, _AP),
        findings=(Gained(column=_RIGHT, arms=names), Reached(column=_AP, arms=names, of="clips")),
        chosen=Reached(
            column=_RIGHT,
            arms=("10", "20"),
            of="clips",
            lead="docs/models.md calls ten clips of different scenes a beginning",
        ),
        plots=tuple(
            Points(column=column, x=tuple(map(float, OF_CLIPS)), across="labelled clips of each kind")
            for column in (_RIGHT, _AP)
        ),
    )
