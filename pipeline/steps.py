"""A series as a function of time: every value holds until the next one. Exact averages, medians and level crossings.

Only the function counts, not where it was sampled, so an uneven grid (variable frame rate) and pictures shown for
several samples need no special case. Knows no labels and no rules: `excite`, `aggregate` and `tags` stand on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.records import Array, Predictions, readonly

Times = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]

_LOOKS = 120  # evenly spread over a median's window: every 0.5 s of a minute
_MEDIANS = 12  # per window, with straight lines between: a median of a minute hardly moves in 5 s


@dataclass(frozen=True, slots=True)
class Ramp:
    """Straight lines between corners: `t_ns` int64 (K,) in order (twice the same time: a jump), `value` (K,)."""

    t_ns: Times
    value: Values


@dataclass(frozen=True, slots=True)
class Steps:
    """`value` float64 (K,) number i holds from `start_ns` int64 (K,) number i to the next start, the last to `end_ns`.

    Neighbours always differ: two series that are the same function of time are the same `Steps`.
    """

    start_ns: Times
    value: Values
    end_ns: int

    @classmethod
    def of(cls, predictions: Predictions, series: Array) -> Steps:
        """The function of a series on the sample grid, (N,) with N >= 1. A float32 0.7 is 0.7, not 0.69999999."""
        values = np.round(series.astype(np.float64), 6)
        changes = np.append(True, values[1:] != values[:-1])
        return cls(readonly(predictions.scores.pts_ns[changes]), readonly(values[changes]), _end_ns(predictions))

    def at(self, t_ns: Array) -> Values:
        """The value that holds at each time; before the first start, the first value."""
        held = np.searchsorted(self.start_ns, t_ns, side="right") - 1
        return self.value[np.maximum(held, 0)]

    def moving_average(self, width_ns: int) -> Ramp:
        """The mean over a window centred on each time, exactly; at both ends the outermost values go on for ever.

        The average of a step function is straight between the times where a step enters or leaves the window:
        those are the corners. Width 0 is the function itself, with a jump at every step.
        """
        half = width_ns // 2
        first, end = self.start_ns[0], self.end_ns
        if half == 0:
            return Ramp(np.repeat(np.append(self.start_ns, end), 2)[1:-1], np.repeat(self.value, 2))
        touched = np.concatenate([self.start_ns - half, self.start_ns + half, [first, end]])
        corners = np.unique(touched.clip(first, end))
        mean = (self._area(corners + half) - self._area(corners - half)) / (2 * half)
        return Ramp(corners, np.round(mean, 9))  # what is level is exactly level

    def mean(self, spans_ns: Times) -> float:
        """The mean over the time of all `spans_ns` (M, 2), M >= 1."""
        areas = self._area(spans_ns)
        return float((areas[:, 1] - areas[:, 0]).sum() / (spans_ns[:, 1] - spans_ns[:, 0]).sum())

    def running_median(self, width_ns: int, at_ns: Times) -> Values:
        """The median over the time in a window around each of `at_ns`, (N,).

        At both ends the window moves inside, and what is shorter than the window is one window, so there is always
        as much to compare with as there can be.
        """
        first = int(self.start_ns[0])
        half = min(width_ns, self.end_ns - first) // 2
        room = self.end_ns - first - 2 * half
        count = 1 + _MEDIANS * room // max(2 * half, 1)
        centres = first + half + room * np.arange(count + 1) // count
        looks = half * (2 * np.arange(_LOOKS) + 1) // _LOOKS - half
        return np.interp(at_ns, centres, np.median(self.at(centres[:, None] + looks), axis=1))

    def _area(self, t_ns: Times) -> Values:
        """The integral from the first start to each time; outside, the outermost values go on."""
        knots = np.append(self.start_ns, self.end_ns)
        area = np.append(0.0, np.cumsum(self.value * np.diff(knots)))
        before, after = np.minimum(t_ns - knots[0], 0), np.maximum(t_ns - knots[-1], 0)
        return np.asarray(np.interp(t_ns, knots, area) + before * self.value[0] + after * self.value[-1])


def spans_above(ramp: Ramp, level: float) -> Times:
    """Where the ramp is at or above `level`: int64 (M, 2), rows `[start, end)` in order, none empty."""
    high = ramp.value >= level
    k = np.flatnonzero(high[1:] != high[:-1])
    share = (level - ramp.value[k]) / (ramp.value[k + 1] - ramp.value[k])
    crossings = ramp.t_ns[k] + np.rint(share * (ramp.t_ns[k + 1] - ramp.t_ns[k])).astype(np.int64)
    ends = (ramp.t_ns[:1][high[:1]], crossings, ramp.t_ns[-1:][high[-1:]])
    rows = np.concatenate(ends).reshape(-1, 2)
    return rows[rows[:, 0] < rows[:, 1]]


def backdated(t_ns: Times, predictions: Predictions) -> Times:
    """Where changes that the samples show at `t_ns` are placed: half a sample period earlier.

    A change shows in the first sample after it, 0 to one period late; in the middle the error is at most half a
    period, and 0 on average. The first sample's start and the video's end are no changes and stay. Order is kept.

        sample   .    .    #    #    .         the event began between the second and the third sample:
        event            |---------|           its edge is put half way
    """
    first, end = predictions.scores.pts_ns[0], _end_ns(predictions)
    period = int(np.median(predictions.hold_ns()))
    earlier = np.maximum(t_ns - period // 2, first + (t_ns - first) // 2)
    return np.where(t_ns >= end, end, earlier)


def _end_ns(predictions: Predictions) -> int:
    return int(predictions.scores.pts_ns[-1] + predictions.hold_ns()[-1])
