"""Plots of a question, to be read without colours: greys, hatches, markers and dashes; bars of error over seeds; what
needs no network dashed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.study.question import Bars, Column, Curves, Plot, Points, Question, Results
from benchmarks.study.seeds import Spread, curve, spread
from benchmarks.study.words import in_percent

_GREYS = ("0.0", "0.45", "0.7")
_HATCHES = ("", "//", "..", "xx", "--", "\\\\")
_MARKERS = "osv^Dx"
_DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)))
_PANEL_INCHES = (5.2, 3.6)
_DPI = 110


def draw(question: Question, results: Results, path: Path) -> bool:
    """One panel for each plot that has figures, side by side, as a PNG. Answers whether there was anything to draw."""
    shown = [plot for plot in question.plots if _arms(question, plot, results)]
    if not shown:
        return False
    width, height = _PANEL_INCHES
    figure = Figure(figsize=(width * len(shown), height), dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    for axes, plot in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
        _draw_one(axes, plot, question, results)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})  # the same figures give the same file
    return True


def _arms(question: Question, plot: Plot, results: Results) -> list[str]:
    """Those that have the plot's figure."""
    names = [arm.name for arm in question.arms]
    if isinstance(plot, Curves):
        return [name for name in names if curve(results, name, plot.key) is not None]
    return [name for name in names if spread(results, name, plot.column.key) is not None]


def _draw_one(axes: Axes, plot: Plot, question: Question, results: Results) -> None:
    arms = _arms(question, plot, results)
    match plot:
        case Bars():
            _bars(axes, plot.column, arms, results)
        case Curves():
            _curves(axes, plot, arms, results)
        case Points():
            places = dict(zip((arm.name for arm in question.arms), plot.x, strict=True))
            _points(axes, plot, {arm: places[arm] for arm in arms}, results)
    axes.spines[["top", "right"]].set_visible(False)


def _bars(axes: Axes, column: Column, arms: Sequence[str], results: Results) -> None:
    """Lying, the first arm on top; a dashed stroke through each where its baseline is."""
    for row, arm in enumerate(arms):
        found = _scaled(column, spread(results, arm, column.key))
        assert found is not None
        axes.barh(
            row, found.mean, xerr=found.half, height=0.6, color="0.85", edgecolor="0", capsize=4,
            hatch=_HATCHES[row % len(_HATCHES)],
        )  # fmt: skip
        floor = _scaled(column, spread(results, arm, column.baseline))
        if floor is not None:
            axes.plot([floor.mean] * 2, [row - 0.45, row + 0.45], color="0", linestyle="--", linewidth=1.5)
    axes.set_yticks(range(len(arms)), arms)
    axes.invert_yaxis()
    axes.set_xlabel(_label(column))


def _curves(axes: Axes, plot: Curves, arms: Sequence[str], results: Results) -> None:
    for number, arm in enumerate(arms):
        found = curve(results, arm, plot.key)
        assert found is not None
        means, halves = found
        x = np.arange(1, len(means) + 1)
        grey = _GREYS[number % len(_GREYS)]
        low = np.maximum(means - halves, means / 10) if plot.logarithmic else means - halves
        axes.fill_between(x, low, means + halves, color=grey, alpha=0.15, linewidth=0)
        axes.plot(
            x, means, color=grey, linestyle=_DASHES[number % len(_DASHES)], marker=_MARKERS[number % len(_MARKERS)],
            markersize=4, markevery=max(1, len(x) // 8), label=arm,
        )  # fmt: skip
    if plot.logarithmic:
        axes.set_yscale("log")
    axes.set_xlabel(plot.across)
    axes.set_ylabel(plot.upwards)
    axes.legend(fontsize="small", frameon=False)


def _points(axes: Axes, plot: Points, places: Mapping[str, float], results: Results) -> None:
    """Arms at their places on a logarithmic axis; both axes are logarithmic where a power is drawn beside."""
    column, x = plot.column, np.array([*places.values()])
    found, floors = (
        [one for arm in places if (one := _scaled(column, spread(results, arm, key))) is not None]
        for key in (column.key, column.baseline)
    )
    means = np.array([one.mean for one in found])
    axes.errorbar(x, means, [one.half or 0.0 for one in found], color="0", marker="o", capsize=4, label=column.title)
    if floors:
        axes.plot(x, [floor.mean for floor in floors], color="0.45", linestyle="--", label=column.baseline_title)
    axes.set_xscale("log", base=2)
    axes.set_xticks(x, [*places])
    if plot.slope is not None and (means > 0).all():  # so is no mean that is no number
        axes.plot(x, means[0] * (x / x[0]) ** plot.slope, color="0.45", linestyle="--", label=f"power {plot.slope:g}")
        axes.set_yscale("log")
    axes.set_xlabel(plot.across)
    axes.set_ylabel(_label(column))
    axes.legend(fontsize="small", frameon=False)


def _scaled(column: Column, found: Spread | None) -> Spread | None:
    return in_percent(found) if found is not None and column.share else found


def _label(column: Column) -> str:
    return f"{column.title}, %" if column.share else column.title
