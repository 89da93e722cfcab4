"""How sure a figure is: the percentile bootstrap over groups, so that pictures of one scene do not count as many."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]

LEVEL = 0.95
RESAMPLES = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure and where 95 % of its resampled values lie, both ends included. Without an interval both ends are None,
    and `note` says why; with one it is empty."""

    value: float
    low: float | None
    high: float | None
    groups: int
    note: str = ""

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.3f} ({self.note})"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap(
    statistic: Callable[[Ints], float],
    groups: Sequence[Hashable],
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = 0,
) -> Interval:
    """The interval of `statistic`, which is given numbers of pictures (with repeats) and answers a figure.

    `groups` names each picture's scene, file or take: as many groups as there are are drawn, with replacement, and each
    brings all its pictures (the cluster bootstrap; Davison & Hinkley 1997, 3.8). Groups of one are the ordinary
    bootstrap. The names do not matter, nor does what they sort like. A resample whose figure is NaN is left out.
    One group says nothing about others: no interval.
    """
    members = _members(groups)
    value = float(statistic(np.arange(len(groups))))
    if len(members) < 2:
        return Interval(value=value, low=None, high=None, groups=len(members), note=f"{_counted(members)}: no interval")
    rng = np.random.default_rng(seed)
    drawn = (rng.integers(0, len(members), len(members)) for _ in range(resamples))
    figures = np.array([statistic(np.concatenate([members[k] for k in draw])) for draw in drawn], np.float64)
    figures = figures[~np.isnan(figures)]
    if not len(figures):
        note = "no resample has this figure: no interval"
        return Interval(value=value, low=None, high=None, groups=len(members), note=note)
    low, high = np.percentile(figures, [50 * (1 - level), 50 * (1 + level)])
    return Interval(value=value, low=float(low), high=float(high), groups=len(members))


def _counted(members: Sequence[Ints]) -> str:
    return "a single group" if members else "no picture"


def _members(groups: Sequence[Hashable]) -> list[Ints]:
    """Numbers of the pictures of each group, in the order in which the groups are met first."""
    found: dict[Hashable, list[int]] = {}
    for number, name in enumerate(groups):
        found.setdefault(name, []).append(number)
    return [np.array(numbers, np.int64) for numbers in found.values()]
