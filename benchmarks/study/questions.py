"""All questions of the study, in the order of its document."""

from __future__ import annotations

from benchmarks.study.costs import shared_windows, two_heads
from benchmarks.study.heads import attach, box_loss, box_per_class
from benchmarks.study.labels import clips, pictures
from benchmarks.study.question import Question
from benchmarks.study.regimes import regime
from benchmarks.study.starts import initial
from benchmarks.study.steps import batch, shuffle
from benchmarks.study.windows import merges, one_box_or_windows, scales


def questions() -> tuple[Question, ...]:
    return (
        attach(),
        box_per_class(),
        regime(),
        two_heads(),
        one_box_or_windows(),
        merges(),
        shared_windows(),
        scales(),
        initial(),
        shuffle(),
        batch(),
        box_loss(),
        pictures(),
        clips(),
    )
