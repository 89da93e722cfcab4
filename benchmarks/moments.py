"""Is an event, learned from labelled clips, found in a programme? Clips that took no part, cut into other content.

    python -m benchmarks.moments --clips DIR --event LABEL [--other DIR] [--seeds 5] [-- options of matchcut train]

`--clips` holds a folder for each class. Of its scenes a fifth is kept from training (`--heldout 0.2`); a programme is
composed of the events among them, of the other clips among them, and of clips from `--other`. What the network that
learning starts from was taught is left out. No sound could tell: the crowd never rises. `matchcut run` finds; every
seed parts the scenes anew.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmarks.demo import found_events, matchcut, read_report
from benchmarks.footage import DEMO
from benchmarks.pairs import circumstances, print_table
from benchmarks.picture import clips_in
from benchmarks.programme import Recipe, compose
from models.spec import digest_of_file, read_info
from pipeline.errors import DataError, MatchcutError
from pipeline.judge.moments import Moment, judge_moments
from pipeline.timeline import Span

HELDOUT = 0.2
RECIPE = Recipe(seconds=150, clips_per_event=(1, 1), background_s=(6.0, 14.0), rises="none")


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Which clips, which event, and how it is learned."""

    clips: Path
    event: str
    other: Sequence[Path]
    options: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one programme held, and what was found in it."""

    known: tuple[Moment, ...]
    found: tuple[Moment, ...]
    duration_ns: int


def asked(question: Question, seed: int, folder: Path, console: Console) -> Answer:
    """Learn with that seed, compose, find."""
    checkpoint = folder / f"{question.event}-{seed}.safetensors"
    learn = ["train", question.clips, "--events", question.event, "--heldout", HELDOUT, "--seed", seed]
    matchcut(console, *learn, "--out", checkpoint, *question.options)
    events, background = _unseen(question, checkpoint)
    home = folder / f"seed{seed}"
    truth = compose(replace(RECIPE, seed=seed), events, background, home / "programme")
    matchcut(console, "run", home / "programme", "--model", checkpoint, "--out", home / "out", "--no-clips", "--force")
    report, _ = read_report(home / "out")
    scores = [segment["score"] for segment in report["segments"] if segment["label"] == question.event]
    spans = found_events(report, question.event)
    about = Moment(video=f"seed{seed}", label=question.event, span=Span(0, 1))
    return Answer(
        known=tuple(replace(about, span=span) for span in truth.events),
        found=tuple(replace(about, span=span, score=score) for span, score in zip(spans, scores, strict=True)),
        duration_ns=truth.duration_ns,
    )


def _unseen(question: Question, checkpoint: Path) -> tuple[list[Path], list[Path]]:
    """Clips of the event that took no part in training, nor in that of the network before, and clips of anything else
    that took none. Raises DataError."""
    split = read_info(checkpoint).split
    taught = {*split["train"], *split["val"]}
    clips = [path for place in (question.clips, *question.other) for path in clips_in(place)]
    unseen = [path for path in clips if digest_of_file(path) not in taught]
    events = [path for path in unseen if path.parent.name == question.event]
    background = [path for path in unseen if path.parent.name != question.event]
    if not events or not background:
        raise DataError(f"{question.clips}: no held-out clip of {question.event}, or of anything else. Give more clips")
    return events, background


def judged(answers: Sequence[Answer]) -> dict[str, Any]:
    """All programmes together."""
    found = [moment for answer in answers for moment in answer.found]
    known = [moment for answer in answers for moment in answer.known]
    return judge_moments(found, known, {answer.known[0].video: answer.duration_ns for answer in answers})


def _row(name: str, figures: dict[str, Any]) -> list[str]:
    def said(value: float | None, form: str) -> str:
        return "-" if value is None else f"{value:{form}}"

    precision, chance = (figures[f"map_by_tiou{kind}"]["0.5"] for kind in ("", "_chance"))
    return [
        name,
        f"{figures['truths']}",
        f"{said(precision, '.2f')} ({said(chance, '.2f')})",
        f"{said(figures['map'], '.2f')} ({said(figures['map_chance'], '.2f')})",
        said(figures["recall"], ".2f"),
        said(figures["false_alarms_per_minute"], ".2f"),
        said(figures["in_error_s"], ".2f"),
        said(figures["out_error_s"], ".2f"),
    ]


_HEADER = (
    "scenes parted by",
    "events",
    "AP@0.5 (chance)",
    "mAP@0.3:0.7 (chance)",
    "recall",
    "false alarms / min",
    "in error, s",
    "out error, s",
)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.moments", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=Path, required=True, metavar="DIR", help="a folder for each class")
    parser.add_argument("--event", required=True, metavar="LABEL")
    parser.add_argument("--other", type=Path, nargs="*", default=[], metavar="DIR", help="clips of anything else")
    parser.add_argument("--seeds", type=int, default=5, metavar="N")
    parser.add_argument("--out", type=Path, default=DEMO / "moments", metavar="DIR")
    parser.add_argument("options", nargs="*", help="for matchcut train, after --")
    args = parser.parse_args(argv)
    question = Question(clips=args.clips, event=args.event, other=args.other, options=args.options)
    console = Console(stderr=True)
    try:
        answers = [asked(question, seed, args.out, console) for seed in range(args.seeds)]
    except MatchcutError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    print(circumstances() + "\n")
    rows = [_row(f"seed {seed}", judged([answer])) for seed, answer in enumerate(answers)]
    print_table(_HEADER, [*rows, _row("all", judged(answers))])
    return 0


if __name__ == "__main__":
    sys.exit(main())
