"""What the project does by default, and whether the figures speak for it."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.study.question import Column, Results
from benchmarks.study.seeds import Spread, gaps, spread
from benchmarks.study.words import amount, counted, listed, value


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What the project does by default, and whether the figures speak for it. `because` goes on after a comma."""

    setting: str
    because: str
    column: Column
    arm: str
    others: tuple[str, ...]

    def said(self, results: Results) -> str:
        ahead = gaps(results, self.column, self.arm, self.others)
        chosen = f"We chose {self.setting}, {self.because}"
        if not ahead:
            return f"{chosen}; this is not measured here."
        behind = {arm: Spread(-gap.mean, gap.half, gap.seeds) for arm, gap in ahead.items() if gap.clear}
        better = [f"{arm} by {amount(self.column, gap)}" for arm, gap in behind.items() if gap.mean > 0]
        if better:
            return f"{chosen}; in these figures others are better: {listed(better)}."
        if all(gap.clear for gap in ahead.values()):
            return f"{chosen}; these figures bear it out."
        known = f"nothing that was tried is better in {self.column.title} by more than the spread over seeds"
        return f"{chosen}; {known}."


@dataclass(frozen=True, slots=True, kw_only=True)
class Worth:
    """What the project does, where a figure of it (more is better) is to be above a number."""

    setting: str
    because: str
    column: Column
    arm: str
    against: float

    def said(self, results: Results) -> str:
        chosen = f"We chose {self.setting}, {self.because}"
        found = spread(results, self.arm, self.column.key)
        if found is None:
            return f"{chosen}; this is not measured here."
        above = Spread(found.mean - self.against, found.half, found.seeds)
        told = f"{value(self.column, found)} {self.column.title} ({self.arm})"
        if not above.clear:
            return f"{chosen}; {counted({self.arm: found})} cannot show that it pays: {told}."
        return f"{chosen}; these figures {'bear it out' if above.mean > 0 else 'speak against it'}: {told}."
