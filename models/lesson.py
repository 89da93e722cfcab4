"""What teachers say of a data set, kept in a folder, and the run that makes a student of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models import train
from models.augment import NO_AUGMENTATION, Augmentation, cropped, random_crops
from models.data import Dataset
from models.distill import Lesson, Views, cross_fitted, distil
from models.evaluate import Answers, answers, judged
from models.learn import Learned, Watch, best_epoch
from models.losses import LossWeights
from models.network import BOX, Network
from models.precision import BF16, effect_of_bf16
from models.spec import CheckpointInfo, Spec
from models.split import Shares, clusters, dhash, parted
from models.targets import Plan, truth_of
from models.teachers import FEATURE_PX, Detector, feature_classes, feature_teacher, main_subject

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_CROPS = Augmentation(smallest_area=0.4, stretch=1.3)
_BATCH = 8  # small batches suit a CPU's cache
_SAVE_EVERY = 500  # pictures
_SHARES = Shares(val=0.1, heldout=0.1)
_SMALLER = 80 / 112  # side of the pictures in the first epochs


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What the student is and how long it learns. `spec.tags` are the classes of the data."""

    spec: Spec
    schedule: train.Schedule
    seed: int


def teach(data: Dataset, shown: Pixels, views: Views, course: Course, watch: Watch) -> Learned:
    """A student of `views`, the best epoch on val; its figures on val and on what neither teacher nor student met.

    `shown` are the pictures of `data` as the network will meet them, uint8 (N, height_px, width_px, 3).
    """
    spec = course.spec
    cluster = clusters(dhash(data.pixels), data.group)
    part = parted(cluster, data.label, _SHARES, course.seed)
    torch.manual_seed(course.seed)
    network, plan = Network(spec), Plan(spec.tags, (), boxes=True)
    truth = {name: truth_of(data.rows(rows), spec.tags, ()) for name, rows in part.items()}
    lesson = _lesson(data, views, course, part["train"], cluster)

    def progress() -> Iterator[tuple[train.Epoch, Callable[[], Answers]]]:
        for epoch in distil(network, lesson, course.seed):
            yield epoch, lambda: answers(network, shown[part["val"]])

    figures = {"val": best_epoch(network, progress(), plan, truth["val"], watch)}
    figures["heldout"] = judged(answers(network, shown[part["heldout"]]), truth["heldout"], spec.tags, ())
    figures[BF16] = effect_of_bf16(network, shown[part["val"]])
    info = CheckpointInfo(
        spec=spec,
        version="",
        training=_facts(data.rows(part["train"]), course),
        metrics=figures,
        split={name: data.digests_of(rows) for name, rows in part.items()},
    )
    return Learned(network, info, ())


def _lesson(data: Dataset, views: Views, course: Course, rows: Ints, cluster: Ints) -> Lesson:
    taught = data.rows(rows)
    targets = truth_of(taught, course.spec.tags, ()).targets()
    seen = views.rows(rows)
    return Lesson(
        pixels=taught.pixels,
        targets=targets,
        views=seen,
        soft_tags=cross_fitted(seen.features, targets.tag, len(course.spec.tags), cluster[rows]),
        schedule=course.schedule,
        weights=LossWeights(parts={BOX: 5.0}, label_smoothing=0.05),
        small_px=round(course.spec.height_px * _SMALLER),
    )


def _facts(taught: Dataset, course: Course) -> dict[str, Any]:
    return {
        "base": "random values",
        "regime": "distilled from MobileNetV2 (features) and YOLOX-nano (boxes)",
        "epochs": course.schedule.epochs,
        "seed": course.seed,
        "pictures": len(taught),
        "classes": {name: taught.label.count(name) for name in taught.classes},
        "boxes": int(np.isfinite(taught.box).all(axis=1).sum()),
        "torch": torch.__version__,
    }


def subject_boxes(data: Dataset, aspect: Floats, detector: Detector, cache: Path) -> Floats:
    """The main subject's box in each of N pictures, xyxy (N, 4), NaN where none was found. `aspect` (N,)."""

    def boxes_of(index: Ints) -> Floats:
        return np.stack([main_subject(data.pixels[k], float(aspect[k]), detector) for k in index])

    return _kept(cache / "boxes.npy", len(data), 4, np.float32, boxes_of)


def views_of(data: Dataset, weights: Path, count: int, cache: Path) -> Views:
    """`count` views of each picture, the first of them whole, and MobileNetV2's features of them."""
    teacher = feature_teacher(weights)
    crops, features = [], []
    for number in range(count):
        how = _CROPS if number else NO_AUGMENTATION
        parts = random_crops(len(data), how, np.random.default_rng(number))

        def features_of(index: Ints, parts: Floats = parts) -> Floats:
            return teacher(np.stack([cropped(data.pixels[k], parts[k], (FEATURE_PX, FEATURE_PX)) for k in index]))

        crops.append(parts)
        found = _kept(cache / f"view{number}.npy", len(data), 1280, np.float16, features_of)
        features.append(torch.from_numpy(found))
    return Views(crops=np.stack(crops), features=torch.stack(features), classes=feature_classes(weights))


def _kept(
    path: Path, count: int, width: int, kind: type[np.floating[Any]], compute: Callable[[Ints], Floats]
) -> npt.NDArray[Any]:
    """Rows (count, width), computed where the file does not hold them yet; interrupted work goes on where it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = np.load(path) if path.is_file() else np.empty((0, width), kind)
    while len(rows) < count:
        end = min(len(rows) + _SAVE_EVERY, count)
        starts = range(len(rows), end, _BATCH)
        fresh = [compute(np.arange(start, min(start + _BATCH, end))).astype(kind) for start in starts]
        rows = np.concatenate([rows, *fresh])
        np.save(path, rows)
    return rows
