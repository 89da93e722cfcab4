"""A figure over seeds, and how sure it is: Student's t-interval of the mean, 95 %.

Ways are compared seed by seed: one seed parts the pictures alike for all of them, so most of what seeds change falls
out of the difference. A difference is clear where its own interval leaves out zero.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from benchmarks.study.question import Column, Results

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Spread:
    """The mean over seeds and half of its interval: None with a single seed, which cannot tell. A mean that is no
    number is that of a way that ended in none, with some seed."""

    mean: float
    half: float | None
    seeds: int

    @property
    def clear(self) -> bool:
        """Is it another number than zero, more than seeds vary?"""
        return self.half is not None and abs(self.mean) > self.half


def over_seeds(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    count, mean = len(values), float(np.mean(values))
    if count < 2 or not math.isfinite(mean):
        return Spread(mean, None, count)
    wide = float(student.ppf((1 + LEVEL) / 2, count - 1))
    return Spread(mean, wide * float(np.std(values, ddof=1)) / math.sqrt(count), count)


def difference(one: Mapping[int, float], other: Mapping[int, float]) -> Spread | None:
    """`one` minus `other`, over the seeds that both have; None where they share none."""
    both = sorted(one.keys() & other.keys())
    return over_seeds([one[seed] - other[seed] for seed in both]) if both else None


def by_seed(results: Results, arm: str, key: str) -> dict[int, float]:
    """A figure of an arm, for the seeds that have it."""
    found = {seed: figures.get(key) for seed, figures in sorted(results.get(arm, {}).items())}
    return {seed: float(value) for seed, value in found.items() if isinstance(value, int | float)}


def spread(results: Results, arm: str, key: str) -> Spread | None:
    """The same over its seeds; None where there is none."""
    values = by_seed(results, arm, key)
    return over_seeds([*values.values()]) if values else None


def gaps(results: Results, column: Column, best: str, others: Sequence[str]) -> dict[str, Spread]:
    """How much better `best` is than each of the others, where they share seeds and both are numbers."""
    mine = by_seed(results, best, column.key)
    found = {arm: difference(mine, by_seed(results, arm, column.key)) for arm in others}
    return {
        arm: Spread(column.better * gap.mean, gap.half, gap.seeds)
        for arm, gap in found.items()
        if gap is not None and math.isfinite(gap.mean)
    }


def curve(results: Results, arm: str, key: str) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """A curve's mean and half of its interval (0 with a single seed), point by point, over the seeds that have it."""
    found = [figures.get(key) for figures in results.get(arm, {}).values()]
    curves = [np.asarray(values, np.float64) for values in found if isinstance(values, Sequence)]
    if not curves:
        return None
    points = [over_seeds([float(values[k]) for values in curves]) for k in range(min(map(len, curves)))]
    return np.array([point.mean for point in points]), np.array([point.half or 0.0 for point in points])
