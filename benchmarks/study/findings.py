"""Sentences that are computed from results: which way is better, by how much, and whether seeds can show it at all."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from benchmarks.study.question import Column, Results
from benchmarks.study.seeds import Spread, by_seed, gaps, over_seeds, spread
from benchmarks.study.words import amount, capital, change, counted, listed, number, value


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The best of some arms against each of the others."""

    column: Column
    arms: tuple[str, ...]

    def said(self, results: Results) -> str:
        title = capital(self.column.title)
        ranked, lost = _ranked(results, self.column, self.arms)
        missing = [arm for arm in self.arms if arm not in ranked and arm not in lost]
        tail = [f"{listed(lost)} ended in no number"] if lost else []
        tail += [f"{listed(missing)} {'is' if len(missing) == 1 else 'are'} not measured"] if missing else []
        if len(ranked) < 2:
            return f"{title}: nothing to compare; {'; '.join(tail)}."
        best, others = ranked[0], ranked[1:]
        verdict = _verdict(self.column, best, gaps(results, self.column, best, others))
        return f"{title}: {'; '.join([*verdict, *tail])}."


def _ranked(results: Results, column: Column, arms: Sequence[str]) -> tuple[list[str], list[str]]:
    """Arms with a figure, the best first; and those whose figure is no number."""
    means = {arm: found.mean for arm in arms if (found := spread(results, arm, column.key))}
    numbers = [arm for arm in means if math.isfinite(means[arm])]
    return sorted(numbers, key=lambda arm: -column.better * means[arm]), [arm for arm in means if arm not in numbers]


def _verdict(column: Column, best: str, ahead: Mapping[str, Spread]) -> list[str]:
    """`ahead`: by how much the best is better than each other."""
    clear = {arm: gap for arm, gap in ahead.items() if gap.clear}
    doubtful = [arm for arm in ahead if arm not in clear]
    if not clear:
        told = listed([f"{amount(column, gap)} from {arm}" for arm, gap in ahead.items()])
        return [f"no difference that {counted(ahead)} can show; {best} comes first ({told})"]
    better = listed([f"than {arm} by {amount(column, gap)}" for arm, gap in clear.items()])
    doubt = f"between it and {listed(doubtful)} no difference that {counted(ahead)} can show"
    return [f"{best} is better {better}, more than the spread over seeds", *([doubt] if doubtful else [])]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """A figure of each arm, after some words."""

    lead: str
    column: Column
    arms: tuple[str, ...]

    def said(self, results: Results) -> str:
        told = [
            f"{value(self.column, found)} ({arm})"
            for arm in self.arms
            if (found := spread(results, arm, self.column.key)) is not None
        ]
        return f"{self.lead}: {listed(told)}." if told else f"{self.lead}: not measured."


@dataclass(frozen=True, slots=True, kw_only=True)
class Gained:
    """What each next arm adds to the one before."""

    column: Column
    arms: tuple[str, ...]

    def said(self, results: Results) -> str:
        parts = []
        for less, more in pairwise(self.arms):
            gap = gaps(results, self.column, more, [less]).get(less)
            if gap is None:
                parts.append(f"from {less} to {more} not measured")
                continue
            told = change(self.column, gap)
            if gap.clear:
                parts.append(f"from {less} to {more} {told}")
            else:
                parts.append(f"from {less} to {more} no change that {counted({less: gap})} can show ({told})")
        return f"{capital(self.column.title)}: {', '.join(parts)}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Power:
    """A figure as a power of what arms stand for, seed by seed by least squares of logarithms, beside the expected."""

    column: Column
    arms: tuple[str, ...]
    x: tuple[float, ...]
    expected: float
    because: str

    def said(self, results: Results) -> str:
        figures = [by_seed(results, arm, self.column.key) for arm in self.arms]
        seeds = sorted(set.intersection(*(set(found) for found in figures)))
        rows = [[found[seed] for found in figures] for seed in seeds]
        slopes = [float(np.polyfit(np.log(self.x), np.log(row), 1)[0]) for row in rows if min(row) > 0]
        if not slopes:
            return f"{capital(self.column.title)}: not measured for every arm."
        found = over_seeds(slopes)
        would = f"{self.because} would give {self.expected:g}"
        told = f"{capital(self.column.title)} goes with the power {number(found)}; {would}"
        if found.half is None:
            return f"{told}."
        agree = abs(found.mean - self.expected) <= found.half
        verdict = "which agrees" if agree else "and the difference is more than seeds vary"
        return f"{told}, {verdict}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How much of the way from what needs no network to the last arm each arm has come, and which is the first that
    seeds cannot tell from the last."""

    column: Column
    arms: tuple[str, ...]
    of: str
    lead: str = ""

    def said(self, results: Results) -> str:
        lead = f"{self.lead}; here " if self.lead else ""
        last = self.arms[-1]
        shares = [(arm, share) for arm in self.arms[:-1] if (share := self._share(results, arm)) is not None]
        if not shares:
            return f"{capital(lead + self.column.title)} is not measured in full."
        told = listed([f"{arm} {self.of} come {number(share, '.0f')} %" for arm, share in shares])
        short = gaps(results, self.column, last, self.arms[:-1])
        enough = next((arm for arm in self.arms[:-1] if arm in short and not short[arm].clear), last)
        first = f"{enough} are the fewest that {counted(short)} cannot tell from {last}"
        if enough == last:
            first = f"{counted(short)} can tell all of them from {last}"
        way = f"of the way from {self.column.baseline_title} to {last}"
        return f"{capital(lead + self.column.title)}: {told} {way}; {first}."

    def _share(self, results: Results, arm: str) -> Spread | None:
        """In percent, seed by seed."""
        mine, most = (by_seed(results, name, self.column.key) for name in (arm, self.arms[-1]))
        floor = by_seed(results, self.arms[-1], self.column.baseline)
        seeds = [seed for seed in mine if seed in most and seed in floor and most[seed] > floor[seed]]
        shares = [100 * (mine[seed] - floor[seed]) / (most[seed] - floor[seed]) for seed in seeds]
        return over_seeds(shares) if shares else None
