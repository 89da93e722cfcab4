"""Spans that were found against spans that are true: overlap in time, one-to-one matching, average precision.

Spans are rows (start, end) of one video, in any unit of time.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Spans = npt.NDArray[Any]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

UNMATCHED = -1


def tious(found: Spans, true: Spans) -> npt.NDArray[np.float64]:
    """Temporal intersection over union of each (N, 2) with each (M, 2); 0 for spans that only touch."""
    first, last = np.maximum(found[:, None, 0], true[None, :, 0]), np.minimum(found[:, None, 1], true[None, :, 1])
    shared = np.clip(last - first, 0, None).astype(np.float64)
    union = (found[:, 1] - found[:, 0])[:, None] + (true[:, 1] - true[:, 0])[None] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def matched(overlap: npt.NDArray[np.float64], least: float) -> Ints:
    """For each of N spans, the best first, the number of the true one that it is matched with, or -1.

    `overlap` is (N, M). Each takes the true span that it overlaps most, by `least` or more, of those that none before
    it took, as ActivityNet's evaluation does. Of equal ones the first.
    """
    free = np.ones(overlap.shape[1], np.bool_)
    taken = np.full(len(overlap), UNMATCHED, np.int64)
    for number, row in enumerate(overlap):
        if not free.any():
            break
        best = int(np.where(free, row, -1.0).argmax())
        if free[best] and row[best] >= least:
            taken[number], free[best] = best, False
    return taken


def interpolated_precision(hit: Bools, true: int) -> float:
    """Average precision as VOC has had it since 2011: the area under precision made monotone. `hit` (N,), the best
    first, says which of those found are right; `true` > 0 is how many there were to find."""
    precision = hit.cumsum() / np.arange(1, len(hit) + 1)
    at_least = np.maximum.accumulate(precision[::-1])[::-1]
    return float(at_least[hit].sum() / true)
