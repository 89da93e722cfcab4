"""What sampling costs: Matchcut's plan against decoding everything, in CPU seconds on one thread and wall on all.

    python -m benchmarks.decode [--clips DIR] [--seconds 75] [--rounds 3] [--quick]

Programmes of 720p and 1080p, H.264 with long GOPs and B-frames, and HEVC as x265 makes it, are composed from the demo's
footage or from your own clips. The pictures of `plan` and `pyav` must be equal, byte for byte.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from benchmarks.footage import DEMO, footage
from benchmarks.pairs import Cost, circumstances, cores, in_turns, middle, module, print_table, ratio
from benchmarks.peers import environment, present
from benchmarks.picture import Look, clips_in
from benchmarks.programme import FILE, Recipe, compose

OURS, REFERENCE = "plan", "pyav"
LOOKS = {  # bit rates of broadcasters' and telephones' files
    "720p H.264": Look(width_px=1280, height_px=720, codec="h264", preset="medium", kbps=3000),
    "1080p H.264": Look(width_px=1920, height_px=1080, codec="h264", preset="medium", kbps=5500),
    "720p HEVC": Look(width_px=1280, height_px=720, codec="hevc", preset="fast", kbps=2000),
    "1080p HEVC": Look(width_px=1920, height_px=1080, codec="hevc", preset="fast", kbps=3500),
    "1080p H.264 GOP 50": Look(width_px=1920, height_px=1080, preset="medium", kbps=5500, gop=50),  # as for streaming
}


@dataclass(frozen=True, slots=True)
class Case:
    """One file at one rate; `threads` 1 measures CPU, all cores measure waiting."""

    name: str
    file: Path
    hz: Fraction


def cases(looks: Mapping[str, Look], rates: Sequence[Fraction], seconds: float, clips: Path | None) -> Iterator[Case]:
    """Composes what is not there yet; the files stay in demo/benchmarks for the next time."""
    videos = clips_in(clips) if clips else tuple(footage().values())
    for name, look in looks.items():
        folder = DEMO / "benchmarks" / f"{name.replace(' ', '-')}-{seconds:g}s{'-own' if clips else ''}"
        if not (folder / FILE).exists():
            print(f"composing {name}", file=sys.stderr)
            compose(Recipe(seconds=seconds, look=look, background_s=(4, 8)), videos, videos, folder)
        yield from (Case(name, folder / FILE, hz) for hz in rates)


def measure(case: Case, peers: Sequence[str], threads: int, rounds: int) -> dict[str, list[Cost]]:
    saved = {name: DEMO / "benchmarks" / f"{name}.npy" for name in peers}
    commands = {
        name: module("peers", name, case.file, "--hz", case.hz, "--threads", threads, "--save", saved[name])
        for name in peers
    }
    return in_turns(commands, rounds, environment())


def difference(name: str) -> str:
    """How a peer's pictures differ from the reference's: not at all, or by so many of 255 levels on average.

    Other scalers round differently, which is a level or two; a wrong frame is dozens.
    """
    theirs, known = (np.load(DEMO / "benchmarks" / f"{which}.npy") for which in (name, REFERENCE))
    if theirs.shape != known.shape:
        return f"{len(theirs)} of {len(known)} pictures"
    if np.array_equal(theirs, known):
        return "equal"
    worst = max(float(np.abs(a.astype(int) - b).mean()) for a, b in zip(theirs, known, strict=True))
    return f"within {worst:.1f} levels"


def rows(case: Case, peers: Sequence[str], rounds: int) -> Iterator[tuple[object, ...]]:
    alone = measure(case, peers, 1, rounds)
    wide = measure(case, peers, cores(), rounds)
    for name in peers:
        yield (
            case.name,
            str(case.hz),
            name,
            middle(alone[name], cpu_s),
            ratio(alone[OURS], alone[name], cpu_s),
            middle(wide[name], wall_s),
            ratio(wide[OURS], wide[name], wall_s),
            difference(name),
        )


def cpu_s(cost: Cost) -> float:
    return float(cost.answer["cpu_s"])


def wall_s(cost: Cost) -> float:
    return float(cost.answer["wall_s"])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.decode", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=Path, metavar="DIR", help="your own footage instead of the demo's")
    parser.add_argument("--seconds", type=float, default=75)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hz", type=Fraction, nargs="+", default=[Fraction(1), Fraction(2), Fraction(5)])
    parser.add_argument("--only", choices=LOOKS, nargs="+", default=list(LOOKS))
    parser.add_argument("--quick", action="store_true", help="one small file, one round: does it work?")
    args = parser.parse_args(argv)
    if args.quick:
        args.only, args.hz, args.seconds, args.rounds = ["720p H.264"], [Fraction(2)], 20, 1
    print(f"## Decoding: the plan against its peers\n\n{circumstances()}\n")
    peers = present()
    todo = cases({name: LOOKS[name] for name in args.only}, args.hz, args.seconds, args.clips)
    header = (
        "file",
        "Hz",
        "how",
        "CPU s, 1 thread",
        f"x {OURS}",
        f"wall s, {cores()} threads",
        f"x {OURS}",
        "pictures",
    )
    print_table(header, (row for case in todo for row in rows(case, peers, args.rounds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
