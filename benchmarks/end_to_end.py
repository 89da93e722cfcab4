"""From file to scores with the same network: `matchcut run` against the ways it is usually written.

    TORCH_HOME=... python -m benchmarks.end_to_end [--clips DIR] [--hz 2] [--rounds 5] [--quick]

Each contender is a process of its own and may use every core. The usual ways take pictures and run the network;
Matchcut also measures motion, cuts and loudness, and `matchcut run` writes a report. The bound is what the stages cost
on one thread, in CPU seconds, over the cores: no order of the same work can beat it.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from statistics import median

from benchmarks.decode import LOOKS, cases, wall_s
from benchmarks.pairs import Cost, circumstances, in_turns, middle, module, print_table, ratio
from benchmarks.peers import environment, present

MODEL = "torchvision:mobilenet_v2"
OURS, BOUND, WHOLE = "matchcut", "bound", "matchcut run"
WAYS = {
    "naive": "OpenCV reads all, one picture at a time",
    "opencv": "OpenCV grab/retrieve, batches of 32",
    "ffmpeg": "ffmpeg pipe, batches of 32",
    "torchcodec": "torchcodec, batches of 32",
    "decord": "decord, batches of 32",
    OURS: "**Matchcut**, with motion, cuts, loudness",
}


def commands(file: Path, hz: Fraction, ways: Sequence[str], out: Path) -> dict[str, list[str]]:
    """Each way, the bound, and the command as a person types it."""
    options = ["--model", MODEL, "--sample-hz", str(float(hz)), "--no-clips", "--force", "--out", str(out)]
    whole = [sys.executable, "-P", "-m", "pipeline.cli", "run", str(file), *options]
    return {WHOLE: whole, **{way: module("ways", way, file, "--hz", hz) for way in (*ways, BOUND)}}


def whole_s(cost: Cost) -> float:
    return cost.wall_s


def rows(costs: Mapping[str, list[Cost]], ways: Sequence[str]) -> Iterator[tuple[object, ...]]:
    for way in ways:
        whole = costs[WHOLE] if way == OURS else costs[way]
        yield (
            WAYS[way],
            middle(costs[way], wall_s),
            ratio(costs[OURS], costs[way], wall_s),
            middle(whole, whole_s),
            ratio(costs[WHOLE], whole, whole_s),
            f"{agreement(costs[OURS][0], costs[way][0]):.0%}",
        )


def agreement(ours: Cost, theirs: Cost) -> float:
    """Share of pictures with the same best label; scalers differ, networks do not."""
    same = [a == b for a, b in zip(ours.answer["best"], theirs.answer["best"], strict=False)]
    return float(sum(same) / len(same))


def bounded(costs: Mapping[str, list[Cost]]) -> str:
    answers = [cost.answer["stages"] for cost in costs[BOUND]]
    stages = ", ".join(f"{name} {median(answer[name] for answer in answers):.2f}" for name in answers[0])
    over = ratio(costs[BOUND], costs[OURS], wall_s)
    return f"Bound: {middle(costs[BOUND], wall_s):.2f} s (CPU seconds: {stages}); Matchcut takes {over:.2f} times that."


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.end_to_end", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--clips", type=Path, metavar="DIR", help="your own footage instead of the demo's")
    parser.add_argument("--seconds", type=float, default=75)
    parser.add_argument("--hz", type=Fraction, default=Fraction(2))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=LOOKS, nargs="+", default=["720p H.264", "1080p H.264"])
    parser.add_argument("--quick", action="store_true", help="one small file, one round: does it work?")
    args = parser.parse_args(argv)
    if args.quick:
        args.only, args.seconds, args.rounds = ["720p H.264"], 20, 1
    print(f"## From file to scores: MobileNetV2, {args.hz} pictures a second\n\n{circumstances()}")
    ways = [way for way in WAYS if way in (OURS, "naive") or way in present()]
    header = ("way", "s after set-up", f"x {OURS}", "s, whole process", f"x {WHOLE}", "same answer")
    for case in cases({name: LOOKS[name] for name in args.only}, [args.hz], args.seconds, args.clips):
        with tempfile.TemporaryDirectory() as out:
            costs = in_turns(commands(case.file, args.hz, ways, Path(out)), args.rounds, environment())
        print(f"\n### {case.name}\n")
        print_table(header, rows(costs, ways))
        print(f"\n{bounded(costs)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
