"""What `train` and `eval` share: files become pixels through the pipeline, and datasets become lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.data.dataset import ONE_SCENE, Dataset, unknown_to
from models.data.find import find
from models.data.read import read
from models.data.reader import Reader
from models.evaluate import Seen
from models.recipe import Recipe
from models.split import leaks
from models.start import split_before
from models.targets import Plan
from pipeline.commands.words import shown
from pipeline.decode import decode
from pipeline.errors import UnreadableVideo
from pipeline.inputs import VIDEO_ENDINGS
from pipeline.media import PICTURE_ENDINGS, read_picture
from pipeline.probe import probe

FRAMES = 24  # of a clip, or of an event in a long video, evenly spread: neighbours show the same


def frames_at(
    path: Path, times_ns: Sequence[int], height_px: int, width_px: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Pictures of a clip on display at ascending times, each once, and since when they are. Raises UnreadableVideo."""
    video = probe(path)
    batches = [decoded.batch for decoded in decode(video, times_ns, height_px, width_px) if len(decoded.batch)]
    if not batches:
        raise UnreadableVideo(f"{path.name}: no picture could be decoded. Remove it, or copy it again")
    return np.concatenate([batch.pixels for batch in batches]), np.concatenate([batch.pts_ns for batch in batches])


def duration_ns(path: Path) -> int:
    """How long a clip is. Raises UnreadableVideo."""
    return probe(path).span.end_ns


READER = Reader(
    picture=read_picture,
    frames_at=frames_at,
    duration_ns=duration_ns,
    picture_endings=PICTURE_ENDINGS,
    video_endings=VIDEO_ENDINGS,
)


def read_data(
    places: Sequence[Path],
    background: Path | None,
    size_px: tuple[int, int],
    *,
    boxes_from: int = 1,
) -> Dataset:
    """All pictures of `places` (folders, annotation files) and of `background` (class `none`). Raises DataError.

    `boxes_from`: what VOC files count the first pixel by.
    """
    found = find(places, READER, background=background, boxes_from=boxes_from)
    return read(found, READER, size_px, frames=FRAMES)


def found_lines(data: Dataset, val: Dataset | None) -> Iterator[str]:
    """What was found to learn from, and to judge by, before anything is learned."""
    if val is None:
        yield from map(shown, data.described())
        return
    yield from map(shown, replace(data, problems=_of_files(data)).described())
    told = replace(val, problems=(*_of_files(val), *leaks(data, val).problems, *unknown_to(data, val)))
    yield from (f"val    {shown(line)}" for line in told.described())


def before_lines(recipe: Recipe, data: Dataset, val: Dataset | None) -> Iterator[str]:
    """How many of the files the base knows already."""
    files = sorted({*data.digests, *(val.digests if val is not None else ())})
    count = Seen.of(files, split_before(recipe)).place.count("train")
    if count:
        yield f"{recipe.base} was taught {count} of these {len(files)} files before: what is judged by them flatters"


def plan_lines(plan: Plan) -> Iterator[str]:
    """What is going to be learned, and whether a run will cut clips of it."""
    classes = {"tags": plan.tags, "events": plan.events, "objects": plan.detector, "points": plan.points}
    parts = [f"{kind} {', '.join(labels)}" for kind, labels in classes.items() if labels]
    parts += [f"{name} {', '.join(labels)}" for name, labels in plan.attributes]
    yield shown(f"learns {'; '.join([*parts, *(['the main subject is where'] if plan.boxes else [])])}")
    if plan.tags and not plan.events:
        yield "no class becomes clips: name those that should with --events LABEL"


def _of_files(data: Dataset) -> tuple[str, ...]:
    """Problems that stay where nothing has to be split."""
    return tuple(problem for problem in data.problems if not problem.startswith(f"{ONE_SCENE}: "))
