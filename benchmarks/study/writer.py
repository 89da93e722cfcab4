"""Results -> one Markdown document with its plots beside it: for each question a table, what was found, what we do."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.study.plots import draw
from benchmarks.study.question import Column, Question, Results
from benchmarks.study.runner import Stored
from benchmarks.study.seeds import spread
from benchmarks.study.words import capital, cell, in_percent, listed
from pipeline.whole_files import whole_file

_INTRODUCTION = """# Study: the classical questions, measured here

`make study` asks them all anew and writes this page: classes and boxes by regression, transfer, windows with a network
that recognises and merging. One question: `python -m benchmarks.study --only NAME`, with the name that its picture has.
What is there is not done again.

A seed parts the pictures into thirds (by scene and near-duplicate, never by frame) and gives all random values. A third
is judged by a network taught the other two, of which it keeps a fifth to choose its epoch by; if nothing else is said,
all three are. Figures are the mean over seeds ± half of its 95 % t-interval; in brackets stands what needs no network.
Ways are compared seed by seed, on the same thirds: a difference is called one where its own 95 % t-interval leaves out
zero. One such sentence in twenty is wrong by chance alone, and seeds part the same pictures again: others would vary
more. Sentences are computed from the figures.
"""
_LINE = 120


def write(questions: Sequence[Question], seeds: Sequence[int], there: Stored, page: Path) -> None:
    """The page, and `<its name>/<question>.png` beside it."""
    parts = [_INTRODUCTION, "\n".join(_facts(seeds, there))]
    for number, question in enumerate(questions, start=1):
        results = there.results.get(question.name, {})
        plot = page.with_suffix("") / f"{question.name}.png"
        parts += section(number, question, results)
        parts += [f"![{question.name}]({plot.parent.name}/{plot.name})"] if draw(question, results, plot) else []
    with whole_file(page) as part:
        part.write_text("\n\n".join(text.strip() for text in parts) + "\n", encoding="utf-8")


def _facts(seeds: Sequence[int], there: Stored) -> Iterator[str]:
    yield f"- machine: {listed(there.machines) or 'none yet'}"
    yield f"- commit: {listed(there.commits) or 'none yet'}"
    yield f"- seeds: {listed([str(seed) for seed in seeds])}"
    yield f"- computed in {there.seconds / 60:.0f} minutes of one-thread processes"


def section(number: int, question: Question, results: Results) -> Iterator[str]:
    """Heading, how, table, findings, choice."""
    yield f"## {number}. {question.asks}"
    yield wrapped(question.how)
    if not any(results.values()):
        yield f"Not measured yet: `python -m benchmarks.study --only {question.name}`"
        return
    yield table(question, results)
    yield wrapped(" ".join(finding.said(results) for finding in question.findings))
    yield wrapped(question.chosen.said(results))


def wrapped(text: str) -> str:
    """In lines as long as those of other documents; what stands in backticks stays in one."""
    kept = re.sub(r"`[^`]+`", lambda code: code[0].replace(" ", "\0"), text)
    return textwrap.fill(kept, _LINE, break_long_words=False, break_on_hyphens=False).replace("\0", " ")


def table(question: Question, results: Results) -> str:
    """An arm a row; columns that no arm has are left out."""
    names = [arm.name for arm in question.arms]
    columns = [column for column in question.columns if _any(results, names, column.key)]
    head = ["Way", *(_title(column, based=_any(results, names, column.baseline)) for column in columns)]
    rows = [[name, *(_cell(results, name, column) for column in columns)] for name in names]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


def _any(results: Results, arms: Sequence[str], key: str) -> bool:
    return any(spread(results, arm, key) is not None for arm in arms)


def _title(column: Column, *, based: bool) -> str:
    return f"{capital(column.title)}{', %' if column.share else ''}{f' ({column.baseline_title})' if based else ''}"


def _cell(results: Results, arm: str, column: Column) -> str:
    found, floor = (spread(results, arm, key) for key in (column.key, column.baseline))
    if found is None:
        return "-"
    return cell(column, found) if floor is None else f"{cell(column, found)} ({in_percent(floor).mean:.1f})"
