"""Does memory grow with the length of a video? The peak of a whole run over ten minutes, and over a hundred.

    python -m benchmarks.memory [--model NAME|FILE] [--rounds 2] [--quick]

Both files are the same programme, repeated without encoding it again. Fails where the peaks differ by more than 5 %.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.footage import DEMO, footage
from benchmarks.pairs import Cost, circumstances, in_turns, middle, module, print_table, ratio, run

TAPE_S = 200
COPIES = {"10 minutes": 3, "100 minutes": 30}
QUICK_COPIES = {"3 minutes": 1, "7 minutes": 2}
ALLOWED = 1.05


def programme(name: str, copies: int) -> Path:
    """Composed in a process of its own: what this one held would count in the peak of those it measures."""
    out = DEMO / "benchmarks" / name.replace(" ", "-")
    if not (out / "programme.json").exists():
        clips = footage()["bikes"].parent
        run(
            module(
                "programme",
                "--events",
                clips,
                "--background",
                clips,
                "--seconds",
                TAPE_S,
                "--copies",
                copies,
                "--out",
                out,
            )
        )
    return out / "programme.mp4"


def analysis(video: Path, model: str) -> list[str]:
    """`matchcut run`, everything but the clips."""
    out = video.parent / "out"
    options = ["--model", model, "--no-clips", "--force", "--out", str(out)]
    return [sys.executable, "-P", "-m", "pipeline.cli", "run", str(video), *options]


def peak_mb(cost: Cost) -> float:
    return cost.peak_bytes / 1e6


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", default="default")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--quick", action="store_true", help="three minutes and seven, once: does it work?")
    args = parser.parse_args(argv)
    copies = QUICK_COPIES if args.quick else COPIES
    print(f"## Memory against length\n\n{circumstances()}\n")
    commands = {name: analysis(programme(name, count), args.model) for name, count in copies.items()}
    costs = in_turns(commands, 1 if args.quick else args.rounds)
    short, long = copies
    growth = ratio(costs[short], costs[long], peak_mb)
    rows = [(name, middle(cost, peak_mb), middle(cost, lambda c: c.wall_s)) for name, cost in costs.items()]
    print_table(("programme", "peak MB", "wall s"), rows)
    print(f"\n{long} / {short}: {growth:.3f} (at most {ALLOWED} is wanted)")
    return 0 if growth <= ALLOWED else 1


if __name__ == "__main__":
    sys.exit(main())
