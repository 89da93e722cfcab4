"""TVSum: how far a score per frame orders a video as twenty people did, beside how far these agree, and chance.

Rank correlation as in arXiv 1903.11328: Kendall's tau (b, for ties) and Spearman's rho with each annotator, the mean
over annotators, then over videos. It needs SciPy and h5py, which the extra `eval` brings.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError, MachineError

Ranks = npt.NDArray[np.float64]
Annotations = Mapping[str, npt.NDArray[np.uint8]]  # by video, (annotators, frames), 1 to 5


def read_tvsum(path: Path) -> dict[str, npt.NDArray[np.uint8]]:
    """The annotations in TVSum's own file, ydata-tvsum50.mat. Raises DataError, MachineError."""
    h5py = needed("h5py")
    try:
        with h5py.File(path, "r") as file:
            names, people = (file["tvsum50"][name][:].ravel() for name in ("video", "user_anno"))
            decoded = ["".join(map(chr, file[where][:].ravel().tolist())) for where in names]
            return {name: file[where][:].astype(np.uint8) for name, where in zip(decoded, people, strict=True)}
    except (OSError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not TVSum's annotations ({error}). Give its matlab/ydata-tvsum50.mat") from error


def judge_tvsum(scores: Mapping[str, Sequence[float]], annotations: Annotations) -> dict[str, Any]:
    """`tau` and `rho` of `scores`, one for each frame of each video, `by_video` and in the mean, with
    `reference_points` of these videos beside. A score that never changes orders nothing: 0. Raises DataError for a
    video that is unknown or of another length."""
    for name, score in scores.items():
        _require(name, score, annotations)
    judged = {name: annotations[name] for name in scores}
    if not judged:
        raise DataError("no scores: give {video: [score per frame]} for one video or more")
    by_video = _agreement({name: np.asarray(score, np.float64) for name, score in scores.items()}, judged)
    told = {
        name: dict(zip(("tau", "rho"), row.tolist(), strict=True)) for name, row in zip(scores, by_video, strict=True)
    }
    return {"videos": len(judged)} | _mean(by_video) | reference_points(judged) | {"by_video": told}


def reference_points(annotations: Annotations, *, seed: int = 0) -> dict[str, float]:
    """What stands beside any score: `tau_human` and `rho_human`, `tau_chance` and `rho_chance` (random scores)."""
    rng = np.random.default_rng(seed)
    noise = {name: np.asarray(rng.random(people.shape[1])) for name, people in annotations.items()}
    beside = {"human": human_agreement(annotations), "chance": _mean(_agreement(noise, annotations))}
    return {f"{figure}_{whose}": value for whose, figures in beside.items() for figure, value in figures.items()}


def human_agreement(annotations: Annotations) -> dict[str, float]:
    """Each annotator left out and scored as a method would be: the mean over the others, one by one, then over all."""
    return _mean(_correlations(combinations(_ranks(people), 2) for people in annotations.values()))


def _agreement(scores: Mapping[str, npt.NDArray[np.float64]], annotations: Annotations) -> Ranks:
    by_video = ((_ranks(score[None])[0], _ranks(annotations[name])) for name, score in scores.items())
    return _correlations([(score, one) for one in people] for score, people in by_video)


def _correlations(by_video: Iterable[Iterable[tuple[Ranks, Ranks]]]) -> npt.NDArray[np.float64]:
    """Tau and rho of each video, (videos, 2): the mean over its pairs."""
    stats = needed("scipy.stats")
    means = []
    for pairs in by_video:
        found = [(stats.kendalltau(a, b, variant="b").statistic, _rho(a, b)) for a, b in pairs]
        means.append(np.nan_to_num(np.array(found)).mean(axis=0))
    return np.array(means)


def _mean(by_video: npt.NDArray[np.float64]) -> dict[str, float]:
    tau, rho = by_video.mean(axis=0)
    return {"tau": float(tau), "rho": float(rho)}


def _ranks(rows: npt.NDArray[Any]) -> list[Ranks]:
    """Equal values share the mean of their ranks."""
    return list(needed("scipy.stats").rankdata(rows, axis=1))


def _rho(a: Ranks, b: Ranks) -> float:
    a, b = a - a.mean(), b - b.mean()
    size = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / size if size else 0.0


def _require(name: str, score: Sequence[float], annotations: Annotations) -> None:
    if name not in annotations:
        raise DataError(f"{name}: no such video among the {len(annotations)} of the annotations. Use their names")
    frames = annotations[name].shape[1]
    if len(score) != frames:
        raise DataError(f"{name}: {len(score)} scores for {frames} frames. Give one for each frame")


def needed(module: str) -> Any:
    """The module. Raises MachineError naming what brings it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MachineError(
            f"{module} is not installed ({error}). Figures of TVSum need the extra `eval`: pip install 'matchcut[eval]'"
        ) from error
