"""What proof costs: exact, verified clips and reel against plain ffmpeg cutting and encoding the same spans.

    python -m benchmarks.export [--clips DIR] [--seconds 150] [--rounds 3] [--quick]

`plain` is what one would type: `ffmpeg -ss START -i FILE -t LENGTH ...` for every clip, and one command with as many
inputs and the concat filter for the reel, the same encoder settings, nothing checked. `verified` reads the source's
times before, cuts both streams on one clock, compares times, first picture and sound with the source afterwards.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

from benchmarks.decode import LOOKS, cases, cpu_s, wall_s
from benchmarks.footage import DEMO
from benchmarks.pairs import circumstances, in_turns, middle, module, print_table, ratio, spent
from pipeline.config import ExportConfig
from pipeline.decode import frames_at
from pipeline.export import export_clips, make_reel
from pipeline.export.ffmpeg import ffmpeg_program
from pipeline.probe import probe
from pipeline.records import Segment
from pipeline.timeline import NS_PER_S, Span

CONFIG = ExportConfig()
OURS, PLAIN = "verified", "plain"
COUNT, LENGTH_S = 4, 9.0  # as the defaults make them: a moment with lead-in and tail
OUT = DEMO / "benchmarks" / "export"
ENCODING = f"-c:v libx264 -preset {CONFIG.preset} -crf {CONFIG.crf} -c:a aac -b:a {CONFIG.audio_kbps}k".split()


def starts_s(duration_s: float) -> list[float]:
    """In points evenly spread, none on a key frame but by chance."""
    return [0.317 + n * (duration_s - LENGTH_S - 1) / COUNT for n in range(COUNT)]


def segments(duration_s: float) -> list[Segment]:
    spans = [Span(round(s * NS_PER_S), round((s + LENGTH_S) * NS_PER_S)) for s in starts_s(duration_s)]
    return [
        Segment(
            span=span, event=span, label="moment", score=1, score_kind="uncalibrated", peak_ns=span.start_ns, reasons=()
        )
        for span in spans
    ]


def verified_clips(file: Path) -> None:
    video = probe(file)
    export_clips(video, segments(video.span.end_ns / NS_PER_S), OUT / OURS, CONFIG, frames_at)


def verified_reel(file: Path) -> None:
    video = probe(file)
    chosen = segments(video.span.end_ns / NS_PER_S)
    make_reel(video, chosen, tuple(range(COUNT)), OUT / OURS, CONFIG, frames_at=frames_at)


def plain_clips(file: Path) -> None:
    for number, start_s in enumerate(starts_s(probe(file).span.end_ns / NS_PER_S)):
        _ffmpeg(*_input(file, start_s), *ENCODING, OUT / PLAIN / f"{number}.mp4")


def plain_reel(file: Path) -> None:
    starts = starts_s(probe(file).span.end_ns / NS_PER_S)
    inputs = [argument for start_s in starts for argument in _input(file, start_s)]
    joined = "".join(f"[{n}:v][{n}:a]" for n in range(COUNT)) + f"concat=n={COUNT}:v=1:a=1"
    _ffmpeg(*inputs, "-filter_complex", joined, *ENCODING, OUT / PLAIN / "reel.mp4")


def _input(file: Path, start_s: float) -> list[str]:
    return ["-ss", f"{start_s:.6f}", "-t", f"{LENGTH_S}", "-i", str(file)]


def _ffmpeg(*arguments: object) -> None:
    command = [ffmpeg_program(), "-v", "error", "-nostdin", "-y", *map(str, arguments)]
    subprocess.run(command, check=True)


WORKS: dict[str, dict[str, Callable[[Path], None]]] = {
    "clips": {OURS: verified_clips, PLAIN: plain_clips},
    "reel": {OURS: verified_reel, PLAIN: plain_reel},
}


def contender(what: str, how: str, file: Path) -> int:
    shutil.rmtree(OUT / how, ignore_errors=True)
    (OUT / how).mkdir(parents=True)
    _, cost = spent(lambda: WORKS[what][how](file))
    print(json.dumps(cost))
    return 0


def compare(name: str, file: Path, what: str, rounds: int) -> tuple[object, ...]:
    commands = {how: module("export", "--contender", what, how, file) for how in (OURS, PLAIN)}
    costs = in_turns(commands, rounds)
    cpu = [middle(costs[how], cpu_s) for how in (OURS, PLAIN)]
    wall = [middle(costs[how], wall_s) for how in (OURS, PLAIN)]
    ratios = ratio(costs[PLAIN], costs[OURS], cpu_s), ratio(costs[PLAIN], costs[OURS], wall_s)
    return (name, f"{what}, {COUNT} x {LENGTH_S:g} s", *cpu, ratios[0], *wall, ratios[1])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.export", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--contender", nargs=3, metavar=("WHAT", "HOW", "FILE"), help=argparse.SUPPRESS)
    parser.add_argument("--clips", type=Path, metavar="DIR", help="your own footage instead of the demo's")
    parser.add_argument("--seconds", type=float, default=150)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=LOOKS, nargs="+", default=["720p H.264", "1080p H.264"])
    parser.add_argument("--quick", action="store_true", help="one small file, one round: does it work?")
    args = parser.parse_args(argv)
    if args.contender:
        what, how, file = args.contender
        return contender(what, how, Path(file))
    if args.quick:
        args.only, args.seconds, args.rounds = ["720p H.264"], 20, 1
    print(f"## Export: verified against plain\n\n{circumstances()}\n")
    files = cases({name: LOOKS[name] for name in args.only}, [Fraction(1)], args.seconds, args.clips)
    header = ("file", "what", f"CPU s {OURS}", PLAIN, "ratio", f"wall s {OURS}", PLAIN, "ratio")
    print_table(header, (compare(case.name, case.file, what, args.rounds) for case in files for what in WORKS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
