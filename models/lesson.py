"""The run that makes a student of a teacher: what boxes a detector sees, kept in a file, and the distillation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.augment import Augmentation
from models.backbone import digest_of_weights
from models.calibrate import calibrate, says_probabilities
from models.data.dataset import Dataset
from models.distill import Lesson, blocks_apart, distillation
from models.evaluate import Answers, Seen, answers, judged
from models.hints import shared_ends
from models.journal import Journal, key_of
from models.learn import Learned, Part, facts_of
from models.losses import LossWeights
from models.network import TAGS, Network
from models.precision import BF16
from models.rounding import effect_of_bf16
from models.spec import CheckpointInfo, Spec
from models.stages import Run, Stage, Watch
from models.targets import Plan, truth_of
from models.teachers import Detector, main_subject
from models.train import Schedule
from pipeline.whole_files import whole_file

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_SAVE_EVERY = 500  # pictures


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What the student is and how long it learns: its blocks apart, where the teacher has the same ones, and then the
    whole. `spec.tags` are the teacher's. One that goes on from a student `before`, maybe of another size, learns as a
    whole at once."""

    spec: Spec
    blocks: Schedule
    schedule: Schedule
    seed: int
    bf16: bool = False
    device: str = "cpu"
    before: tuple[Network, CheckpointInfo] | None = None


def teach(  # noqa: PLR0917  the data, who teaches, and how
    data: Dataset, shown: Pixels, teacher: tuple[Network, CheckpointInfo], course: Course, watch: Watch, state: Path
) -> Learned:
    """A student of the teacher, the best epoch on val; its figures on val and on what neither of them met.

    The split is the teacher's: what it was trained on, and what it was chosen by; a file that is in neither is held
    out. `shown` are the pictures of `data` as the network will meet them, uint8 (N, height_px, width_px, 3).
    """
    spec, part = course.spec, _parted(data, teacher[1])
    network = _student(course)
    known = truth_of(data, Plan.of(spec))
    truth = {name: known.rows(rows) for name, rows in part.items()}
    taught = Part(data, part["train"], truth["train"])
    lesson = _lesson(taught, teacher[0], course)
    stages = [("distilled", lambda: _whole(network, lesson, course.schedule, shown[part["val"]]))]
    if course.before is None and shared_ends(network, lesson.teacher):
        stages.insert(0, ("blocks", lambda: _blocks(network, lesson, course.blocks)))
    about = (spec, course.blocks, course.schedule, course.seed, course.bf16, digest_of_weights(network))
    journal = Journal(state / "run", key_of(about, teacher[1].version, data.digests, taught.truth.digest()))
    done = Run(network, truth["val"], watch, journal=journal).through(stages, course.seed)
    calibration, of_val = calibrate(network, answers(network, shown[part["val"]]), truth["val"])
    said = {"val": of_val, "heldout": answers(network, shown[part["heldout"]])}
    figures = {name: judged(found, truth[name], spec) for name, found in said.items()}
    info = CheckpointInfo(
        spec=spec,
        version="",
        calibrated=says_probabilities(spec, calibration),
        training=_facts(taught, course, teacher[1]) | {"stages": done},
        metrics=figures | {"calibration": calibration, BF16: effect_of_bf16(network, shown[part["val"]])},
        split={name: data.digests_of(rows) for name, rows in part.items()},
    )
    return Learned(network, info)


def _student(course: Course) -> Network:
    """Random values, or what the one before knew that does not depend on its size."""
    torch.manual_seed(course.seed)
    network = Network(course.spec)
    if course.before is not None:
        known, _ = course.before
        network.backbone.load_state_dict(known.backbone.state_dict())
        network.heads[TAGS].load_state_dict(known.heads[TAGS].state_dict())
    return network


def _lesson(taught: Part, teacher: Network, course: Course) -> Lesson:
    return Lesson(
        pixels=taught.pixels,
        targets=taught.truth.targets(),
        teacher=teacher,
        weights=LossWeights(label_smoothing=0.05),
        how=Augmentation(smallest_area=0.35, stretch=1.33, light=0.3),
        bf16=course.bf16,
        device=course.device,
    )


def _blocks(network: Network, lesson: Lesson, schedule: Schedule) -> Stage:
    """Blocks that learned apart fit together by chance: the last epoch is the best."""
    return Stage(blocks_apart(network, lesson, schedule), schedule, Answers)


def _whole(network: Network, lesson: Lesson, schedule: Schedule, val: Pixels) -> Stage:
    return Stage(distillation(network, lesson, schedule), schedule, lambda: answers(network, val))


def _parted(data: Dataset, teacher: CheckpointInfo) -> dict[str, Ints]:
    """Numbers of the pictures by the part that their files have in the teacher's split."""
    place = np.array(Seen.of(data.digests, teacher.split).place)[data.file]
    kept = {"train": place == "train", "val": place == "val"}
    return {name: np.flatnonzero(mine) for name, mine in (kept | {"heldout": ~(kept["train"] | kept["val"])}).items()}


def _facts(taught: Part, course: Course, teacher: CheckpointInfo) -> dict[str, Any]:
    before = {"base": "random values"} if course.before is None else {"before": course.before[1].training}
    return {
        **before,
        "regime": "distilled",
        "teacher": {"backbone": teacher.spec.backbone, "version": teacher.version},
        "blocks": asdict(course.blocks),
        "schedule": asdict(course.schedule),
        "seed": course.seed,
        "boxes": int(np.isfinite(taught.truth.box).all(axis=1).sum()),
        **facts_of(taught),
    }


def subject_boxes(data: Dataset, aspect: Floats, detector: Detector, cache: Path) -> Floats:
    """The main subject's box in each of N pictures, xyxy (N, 4), NaN where none was found. `aspect` (N,).

    Rows are kept in the file `cache`: interrupted work goes on where it was.
    """

    def boxes_of(index: Ints) -> Floats:
        return np.stack([main_subject(data.pixels[k], float(aspect[k]), detector) for k in index])

    return _kept(cache, len(data), boxes_of)


def _kept(path: Path, count: int, compute: Callable[[Ints], Floats]) -> Floats:
    rows: Floats = np.load(path) if path.is_file() else np.empty((0, 4), np.float32)
    while len(rows) < count:
        end = min(len(rows) + _SAVE_EVERY, count)
        rows = np.concatenate([rows, compute(np.arange(len(rows), end)).astype(np.float32)])
        with whole_file(path) as temporary, temporary.open("wb") as file:
            np.save(file, rows)
    return rows
