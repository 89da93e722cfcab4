"""Any clips in, a programme with its truth beside it out: hard cuts, crowd noise that rises at known times.

    python -m benchmarks.programme --events DIR --background DIR --seconds 180 --seed 7 --out DIR

writes `programme.mp4` and `programme.json`. It knows nothing of how moments are found, so it can judge what finds them.

    background | event | background | event | ... | background      each a stretch of whole shots
    ___________/~~~~~~~\\____________/~~~~~~~\\__________________      the crowd, with rises = "events"
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any

from benchmarks.crowd import write_crowd
from benchmarks.picture import ENCODERS, Look, Shot, clips_in, frame_times_ns, frames_in, loop_video, write_video
from pipeline.errors import DataError, MatchcutError
from pipeline.timeline import NS_PER_S, Span

FILE = "programme.mp4"
RISES = ("events", "background", "none")
_SHORTEST_SHOT_S = 1.0
_RISE_IN_BACKGROUND_S = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """All that decides a programme besides the clips. `marks`: flashes of one frame with a beep, evenly spread."""

    seconds: float = 180.0  # of one copy
    copies: int = 1  # the same again, without encoding: cheap hours
    seed: int = 7
    label: str = "event"
    clips_per_event: tuple[int, int] = (1, 1)  # whole clips in a row; from, to
    background_s: tuple[float, float] = (8.0, 16.0)  # between two events; from, to
    shot_s: tuple[float, float] = (2.0, 6.0)  # a background shot; from, to, or as long as its clip
    rises: str = "events"
    rise_db: float = 18.0
    marks: int = 0
    look: Look = field(default_factory=Look)

    def frames(self, seconds: float) -> int:
        return round(seconds * self.look.rate)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Shots in a row that are one event, or the background between two."""

    shots: tuple[Shot, ...]
    is_event: bool

    @property
    def frames(self) -> int:
        return sum(shot.frames for shot in self.shots)


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """Where everything stands in the file, read from the file's own frame times. Spans are `[start, end)`."""

    file: str
    frames: int
    duration_ns: int
    label: str
    events: tuple[Span, ...]
    rises: tuple[Span, ...]
    cuts_ns: tuple[int, ...]
    marks: tuple[Span, ...]
    shots: tuple[str, ...]  # the clip shown from each cut to the next
    recipe: Mapping[str, Any]


def read_truth(path: Path) -> Truth:
    values = json.loads(path.read_text(encoding="utf-8"))
    for name in ("events", "rises", "marks"):
        values[name] = tuple(Span(**span) for span in values[name])
    return Truth(**{**values, "cuts_ns": tuple(values["cuts_ns"]), "shots": tuple(values["shots"])})


def compose(recipe: Recipe, events: Sequence[Path], background: Sequence[Path], out: Path) -> Truth:
    """`out/programme.mp4` and `out/programme.json`. The same recipe and clips give the same programme.

    Raises DataError where the programme is too short for one event, or a clip is damaged.
    """
    rate = recipe.look.rate
    lengths = [{path: frames_in(path, rate) for path in clips} for clips in (events, background)]
    stretches = layout(recipe, *lengths)
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as folder:
        tape = _record(recipe, stretches, Path(folder))
        if recipe.copies == 1:
            tape.replace(out / FILE)
        else:
            loop_video(tape, recipe.copies, out / FILE)
    truth = locate(recipe, stretches * recipe.copies, frame_times_ns(out / FILE))
    text = json.dumps(asdict(truth), indent=1)
    (out / FILE).with_suffix(".json").write_text(text + "\n", encoding="utf-8")
    return truth


def _record(recipe: Recipe, stretches: Sequence[Stretch], folder: Path) -> Path:
    """One copy of the programme, its sound made for the times that the frames are going to have."""
    frames = sum(stretch.frames for stretch in stretches)
    times_ns = [int(index * NS_PER_S / recipe.look.rate) for index in range(frames + 1)]
    once = locate(replace(recipe, copies=1), stretches, times_ns)
    write_crowd(
        folder / "crowd.wav",
        duration_ns=once.duration_ns,
        rises=once.rises,
        rise_db=recipe.rise_db,
        beeps=once.marks,
        seed=recipe.seed,
    )
    shots = [shot for stretch in stretches for shot in stretch.shots]
    write_video(shots, recipe.look, folder / FILE, sound=folder / "crowd.wav", flashes=_flashes(recipe, frames))
    return folder / FILE


def layout(recipe: Recipe, events: Mapping[Path, int], background: Mapping[Path, int]) -> tuple[Stretch, ...]:
    """What stands where: exactly `recipe.seconds`, beginning and ending with background. `{clip: its frames}`."""
    draw = random.Random(recipe.seed)
    event_deck, shot_deck = _deck(draw, events), _deck(draw, background)
    shortest, longest = (recipe.frames(seconds) for seconds in recipe.background_s)
    left = recipe.frames(recipe.seconds)
    stretches: list[Stretch] = []
    while True:
        lead = draw.randint(shortest, longest)
        event = _event(draw.randint(*recipe.clips_per_event), event_deck, events)
        if lead + event.frames + shortest > left:
            break
        stretches += [_background(lead, draw, shot_deck, background, recipe), event]
        left -= lead + event.frames
    if not stretches:
        raise DataError(f"{recipe.seconds} s hold no event with {recipe.background_s} s around it. Make it longer")
    return (*stretches, _background(left, draw, shot_deck, background, recipe))


def _deck(draw: random.Random, clips: Mapping[Path, int]) -> Iterator[Path]:
    """Every clip once in random order, and again; never the same twice in a row, or a cut would show nothing."""
    last = None
    while True:
        hand = sorted(clips)
        draw.shuffle(hand)
        if hand[0] == last:
            hand.append(hand.pop(0))
        yield from hand
        last = hand[-1]


def _event(clips: int, deck: Iterator[Path], lengths: Mapping[Path, int]) -> Stretch:
    chosen = [next(deck) for _ in range(clips)]
    return Stretch(tuple(Shot(path, 0, lengths[path]) for path in chosen), is_event=True)


def _background(
    frames: int, draw: random.Random, deck: Iterator[Path], lengths: Mapping[Path, int], recipe: Recipe
) -> Stretch:
    """Shots that add up to `frames` exactly; none shorter than a second where that can be had."""
    shots: list[Shot] = []
    shortest = recipe.frames(_SHORTEST_SHOT_S)
    while frames:
        path = next(deck)
        wish = draw.randint(*(recipe.frames(seconds) for seconds in recipe.shot_s))
        length = min(wish, lengths[path], frames)
        if 0 < frames - length < shortest and length > shortest:
            length = max(shortest, frames - shortest)
        length = min(length, lengths[path])
        shots.append(Shot(path, draw.randint(0, lengths[path] - length), length))
        frames -= length
    return Stretch(tuple(shots), is_event=False)


def locate(recipe: Recipe, stretches: Sequence[Stretch], times_ns: Sequence[int]) -> Truth:
    """The stretches in the file's own times: `times_ns` of every frame, and when the last one ends."""
    frames = sum(stretch.frames for stretch in stretches)
    if frames != len(times_ns) - 1:
        raise DataError(f"{frames} frames were laid out, {len(times_ns) - 1} came out: the truth would be wrong")
    shots = [shot for stretch in stretches for shot in stretch.shots]
    cuts = list(accumulate(shot.frames for shot in shots))[:-1]
    edges = list(pairwise(accumulate((stretch.frames for stretch in stretches), initial=0)))
    events = [edge for edge, stretch in zip(edges, stretches, strict=True) if stretch.is_event]
    quiet = [edge for edge, stretch in zip(edges, stretches, strict=True) if not stretch.is_event]
    rises = {"events": events, "background": [_middle(recipe, *edge) for edge in quiet], "none": []}[recipe.rises]
    marks = [(flash, flash + 1) for flash in _flashes(recipe, frames)]
    return Truth(
        file=FILE,
        frames=frames,
        duration_ns=times_ns[-1],
        label=recipe.label,
        events=_spans(events, times_ns),
        rises=_spans(rises, times_ns),
        cuts_ns=tuple(times_ns[cut] for cut in cuts),
        marks=_spans(marks, times_ns),
        shots=tuple(f"{shot.source.parent.name}/{shot.source.name}" for shot in shots),
        recipe=json.loads(json.dumps(asdict(recipe), default=str)),
    )


def _spans(edges: Sequence[tuple[int, int]], times_ns: Sequence[int]) -> tuple[Span, ...]:
    return tuple(Span(times_ns[start], times_ns[end]) for start, end in edges)


def _middle(recipe: Recipe, start: int, end: int) -> tuple[int, int]:
    """Four seconds, or half of a shorter stretch, around its middle."""
    half = min(recipe.frames(_RISE_IN_BACKGROUND_S), (end - start) // 2) // 2
    middle = (start + end) // 2
    return middle - half, middle + half


def _flashes(recipe: Recipe, frames: int) -> tuple[int, ...]:
    """The frames that are marks: evenly spread over each copy."""
    once = frames // recipe.copies
    spread = [(2 * index + 1) * once // (2 * recipe.marks) for index in range(recipe.marks)]
    return tuple(copy * once + frame for copy in range(recipe.copies) for frame in spread)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.programme", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=Path, required=True, metavar="DIR", help="clips that are events")
    parser.add_argument("--background", type=Path, required=True, metavar="DIR", help="clips that are not")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seconds", type=float, default=180, help="length of one copy")
    parser.add_argument("--copies", type=int, default=1, help="the same again, copied without encoding: cheap hours")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--label", default="event")
    parser.add_argument("--rises", choices=RISES, default="events", help="where the crowd roars")
    parser.add_argument("--marks", type=int, default=0, help="flashes with a beep, per copy")
    parser.add_argument("--size", default="640x360", metavar="WxH")
    parser.add_argument("--rate", type=Fraction, default=Fraction(25), help="frames a second, 30000/1001 for instance")
    parser.add_argument("--codec", choices=sorted(ENCODERS), default="h264")
    parser.add_argument("--kbps", type=int, default=0, help="bit rate; without it, constant quality")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    args = _arguments(argv)
    width, height = (int(side) for side in args.size.split("x"))
    look = Look(width_px=width, height_px=height, rate=args.rate, codec=args.codec, kbps=args.kbps)
    recipe = Recipe(
        seconds=args.seconds,
        copies=args.copies,
        seed=args.seed,
        label=args.label,
        rises=args.rises,
        marks=args.marks,
        look=look,
    )
    try:
        truth = compose(recipe, clips_in(args.events), clips_in(args.background), args.out)
    except MatchcutError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    length = f"{truth.duration_ns / NS_PER_S:.1f} s"
    print(f"{args.out / FILE}: {length}, {len(truth.events)} events, {len(truth.cuts_ns)} cuts")
    return 0


if __name__ == "__main__":
    sys.exit(main())
