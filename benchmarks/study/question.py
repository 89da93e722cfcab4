"""What is asked, and in which ways it is tried: records. Knows no network, no file and no result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.study.sources import Sources

Figure = float | Sequence[float]
Figures = Mapping[str, Figure]  # by name; a sequence is a curve
Results = Mapping[str, Mapping[int, Figures]]  # by arm, then by seed: what there is


class Way(Protocol):
    """One way of doing it. Its `repr` is all that its figures depend on."""

    def quick(self) -> Way:
        """The same with so little of everything that it shows only whether it works."""

    def measured(self, seed: int, sources: Sources) -> Figures:
        """Do it once. The seed parts the pictures and gives all random values."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """A way under its name. `seconds`: about how long a seed takes, on one quiet core."""

    name: str
    way: Way
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A figure as it is shown. `better`: 1 where more is better, -1 where less is, 0 where neither.

    A share becomes percent, its differences points; `baseline` names the figure that needs no network.
    """

    key: str
    title: str
    share: bool = True
    better: int = 1
    baseline: str = ""
    baseline_title: str = ""


class Finding(Protocol):
    """A sentence about results."""

    def said(self, results: Results) -> str:
        """In words, with its numbers; where arms are missing it says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """A plot: an arm each."""

    column: Column


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """A plot: a curve for each arm. `key` names its sequence; `logarithmic` is about what goes up."""

    key: str
    across: str
    upwards: str
    logarithmic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """A plot: arms are places on an axis, `x` in their order. `slope`, where given, draws that power of x beside."""

    column: Column
    x: tuple[float, ...]
    across: str
    slope: float | None = None


Plot = Bars | Curves | Points


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question with its ways, what is shown of them and what is said. Another `version` makes its results anew.

    `alone`: time is measured, so nothing else may run beside it. Two findings and the choice follow its table.
    """

    name: str
    asks: str
    how: str
    arms: tuple[Arm, ...]
    columns: tuple[Column, ...]
    findings: tuple[Finding, ...]
    chosen: Finding
    plots: tuple[Plot, ...]
    version: int = 1
    alone: bool = False
