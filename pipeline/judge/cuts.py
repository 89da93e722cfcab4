"""Shot boundaries found against those that are true, counted in three ways, beside as many at random places.

A transition is (begin, end) in frames: the last of the shot before and the first of the shot after, so that a hard cut
is (k, k + 1), as ClipShots has it.

    one_to_one   hard cuts alone: the nearest pairs first, two frames apart at most (in the manner of TRECVID)
    transnet     arXiv 2008.04838, `evaluate_scenes`: all transitions, each widened at both ends by half of a tolerance
                 of two frames, less half a frame; in order of time, two that meet are a pair
    clipshots    arXiv 1808.04234, tools/evaluate.py: cuts, gradual ones, and all of them; a true one is right where any
                 that was found shares a frame with it. A long one can be right about several, so precision may pass 1
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.errors import DataError

Transition = tuple[int, int]

TOLERANCE_FRAMES = 2
DRAWS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Transitions:
    """Those of one video, by kind; `odd` are those that end where they begin, or before. 0 `frames`: not known."""

    cut: tuple[Transition, ...] = ()
    gradual: tuple[Transition, ...] = ()
    odd: tuple[Transition, ...] = ()
    frames: int = 0

    @classmethod
    def of(cls, rows: Sequence[Transition], frames: int = 0) -> Transitions:
        """Told apart by length: 1 is a cut, more is gradual."""
        lengths = [end - begin for begin, end in rows]
        parts = {
            kind: tuple(row for row, length in zip(rows, lengths, strict=True) if is_kind(length))
            for kind, is_kind in _KINDS.items()
        }
        return cls(frames=frames, **parts)

    @property
    def every(self) -> tuple[Transition, ...]:
        return self.cut + self.gradual + self.odd


_KINDS: dict[str, Callable[[int], bool]] = {"cut": lambda n: n == 1, "gradual": lambda n: n > 1, "odd": lambda n: n < 1}


@dataclass(frozen=True, slots=True)
class Counts:
    """How many of those found and of those true there are, and how many are right."""

    right: int
    found: int
    true: int

    def figures(self) -> dict[str, float]:
        """A share of nothing is 0."""
        precision, recall = self.right / max(1, self.found), self.right / max(1, self.true)
        f1 = 2 * precision * recall / (precision + recall) if self.right else 0.0
        return {"precision": precision, "recall": recall, "f1": f1}


def judge_cuts(
    found: Mapping[str, Transitions], truth: Mapping[str, Transitions], *, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """By way of counting: `precision`, `recall`, `f1`, how many were `found` and are `true`, over all videos of the
    truth together. Where all their `frames` are known, each figure has its `_chance` beside it: the same transitions at
    random places, the mean of 20 draws. Raises DataError for a video of the truth without an answer."""
    missing = sorted(set(truth) - set(found))
    if missing or not truth:
        raise DataError(
            f"{len(missing)} of {len(truth)} videos of the truth have no answer: {', '.join(missing[:3]) or 'none'}. "
            "Give an answer for each video, an empty one where no boundary was found"
        )
    counted = {way: _total(count, found, truth) for way, count in WAYS.items()}
    figures: dict[str, dict[str, Any]] = {
        way: counts.figures() | {"found": counts.found, "true": counts.true} for way, counts in counted.items()
    }
    if all(known.frames > 0 for known in truth.values()):
        rng = np.random.default_rng(seed)
        drawn = [{name: _anywhere(found[name], truth[name].frames, rng) for name in truth} for _ in range(DRAWS)]
        for way, count in WAYS.items():
            of_draws = [_total(count, draw, truth).figures() for draw in drawn]
            figures[way] |= {f"{key}_chance": float(np.mean([one[key] for one in of_draws])) for key in of_draws[0]}
    return figures


def cuts_of_videos(
    found: Mapping[str, Transitions], truth: Mapping[str, Transitions], videos: Sequence[str]
) -> dict[str, float]:
    """`way figure` of these videos alone; a video that comes twice counts as two."""
    ours, known = ({str(k): some[video] for k, video in enumerate(videos)} for some in (found, truth))
    of_ways = {way: _total(count, ours, known).figures() for way, count in WAYS.items()}
    return {f"{way} {name}": value for way, figures in of_ways.items() for name, value in figures.items()}


Count = Callable[[Transitions, Transitions], Counts]


def _total(count: Count, found: Mapping[str, Transitions], truth: Mapping[str, Transitions]) -> Counts:
    parts = [count(found[name], known) for name, known in truth.items()]
    return Counts(
        sum(part.right for part in parts), sum(part.found for part in parts), sum(part.true for part in parts)
    )


def one_to_one(found: Transitions, true: Transitions) -> Counts:
    """Hard cuts that stand within the tolerance of each other, each in one pair at most, the nearest paired first; of
    pairs as near the earlier true one, then the earlier found one."""
    ends, known = sorted(end for _, end in found.cut), sorted(end for _, end in true.cut)
    apart = np.abs(np.array(known)[:, None] - np.array(ends)[None]) if ends and known else np.empty((0, 0))
    near = np.argwhere(apart <= TOLERANCE_FRAMES)
    free_true, free_found, right = set(range(len(known))), set(range(len(ends))), 0
    for i, j in sorted(near.tolist(), key=lambda pair: (apart[pair[0], pair[1]], *pair)):
        if i in free_true and j in free_found:
            free_true.remove(i)
            free_found.remove(j)
            right += 1
    return Counts(right, len(ends), len(known))


def transnet(found: Transitions, true: Transitions) -> Counts:
    """Pairs that meet when both are walked through in order of time: of two that do not, the earlier is left alone."""
    wider = TOLERANCE_FRAMES / 2 - 0.5
    ours, known = ([(min(row) - wider, max(row) + wider) for row in sorted(some.every)] for some in (found, true))
    i = j = right = 0
    while i < len(ours) and j < len(known):
        if ours[i][1] < known[j][0]:
            i += 1
        elif known[j][1] < ours[i][0]:
            j += 1
        else:
            i, j, right = i + 1, j + 1, right + 1
    return Counts(right, len(ours), len(known))


def clipshots_cut(found: Transitions, true: Transitions) -> Counts:
    return Counts(_shared(true.cut, found.cut), len(found.cut), len(true.cut))


def clipshots_gradual(found: Transitions, true: Transitions) -> Counts:
    return Counts(_shared(true.gradual, found.gradual), len(found.gradual), len(true.gradual))


def clipshots_all(found: Transitions, true: Transitions) -> Counts:
    """Odd ones of the truth may be right, but do not count among the true."""
    ours = found.cut + found.gradual
    return Counts(_shared(true.every, ours), len(ours), len(true.cut) + len(true.gradual))


def _shared(true: Sequence[Transition], found: Sequence[Transition]) -> int:
    """How many true ones share a frame with any that was found, both ends included."""
    if not true or not found:
        return 0
    (begin, end), (found_begin, found_end) = np.array(true).T[..., None], np.array(found).T[:, None]
    meet = np.where(begin > found_begin, found_end >= begin, end >= found_begin)
    return int(meet.any(axis=1).sum())


WAYS: dict[str, Count] = {
    "one_to_one": one_to_one,
    "transnet": transnet,
    "clipshots_cut": clipshots_cut,
    "clipshots_gradual": clipshots_gradual,
    "clipshots_all": clipshots_all,
}


def _anywhere(found: Transitions, frames: int, rng: np.random.Generator) -> Transitions:
    def moved(rows: Sequence[Transition]) -> tuple[Transition, ...]:
        begins = [int(rng.integers(0, max(1, frames - abs(end - begin)))) for begin, end in rows]
        return tuple((at, at + end - begin) for at, (begin, end) in zip(begins, rows, strict=True))

    return Transitions(cut=moved(found.cut), gradual=moved(found.gradual), odd=moved(found.odd), frames=frames)
