"""How sure a figure is: the percentile bootstrap over groups, so that pictures of one scene do not count as many."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Interval = tuple[float, float]

LEVEL = 0.95
RESAMPLES = 1000


def bootstrap(
    figures_of: Callable[[Ints], Mapping[str, float]],
    groups: Sequence[Hashable],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Interval | None]:
    """Where 95 % of the resampled values of each figure lie, both ends included. `figures_of` is given numbers of
    pictures (with repeats) and answers figures by name.

    `groups` names each picture's scene, file or take: as many groups as there are are drawn, with replacement, and each
    brings all its pictures (the cluster bootstrap; Davison & Hinkley 1997, 3.8). Groups of one are the ordinary
    bootstrap. The names do not matter, nor does what they sort like. A resample whose figure is NaN is left out. None
    where no resample has the figure, or all pictures are of one group, which says nothing about others.
    """
    members = _members(groups)
    if len(members) < 2:
        return dict.fromkeys(figures_of(np.arange(len(groups))))
    rng = np.random.default_rng(seed)
    drawn = (rng.integers(0, len(members), len(members)) for _ in range(resamples))
    found = [figures_of(np.concatenate([members[k] for k in draw])) for draw in drawn]
    return {name: _interval(np.array([figures[name] for figures in found], np.float64)) for name in found[0]}


def _interval(values: npt.NDArray[np.float64]) -> Interval | None:
    values = values[~np.isnan(values)]
    if not len(values):
        return None
    low, high = np.percentile(values, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


def _members(groups: Sequence[Hashable]) -> list[Ints]:
    """Numbers of the pictures of each group, in the order in which the groups are met first."""
    found: dict[Hashable, list[int]] = {}
    for number, name in enumerate(groups):
        found.setdefault(name, []).append(number)
    return [np.array(numbers, np.int64) for numbers in found.values()]
