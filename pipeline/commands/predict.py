"""Labels and boxes of pictures and videos, one line each: for looking at a model, and for scoring it elsewhere."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from pipeline.config import InferConfig
    from pipeline.infer import Inferred
    from pipeline.run import OpenModel

    class Telling(OpenModel, Protocol):
        """A network that is ready, and the head of a picture's first box, and of the others."""

        @property
        def box_heads(self) -> tuple[str, ...]: ...


MERGES = ("greedy", "nms", "soft-nms", "fusion")  # models.merge has them; torch is not imported for --help
SCALES = (1.0, 1.5, 2.0)
_SHOWN = 3  # labels, and boxes, in lines for people


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from pipeline.commands.work import add_runtime_argument

    parser.add_argument("inputs", nargs="+", type=Path, metavar="IMAGE|DIR|VIDEO")
    parser.add_argument("--jsonl", action="store_true", help="everything, for other tools; docs/report.md has the keys")
    parser.add_argument("--model", default="default", metavar="NAME|FILE", help="default, dunk, or a file")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add_runtime_argument(parser)
    parser.add_argument("--sample-hz", type=float, default=2.0, metavar="R", help="pictures per second of video")
    parser.add_argument(
        "--top", type=int, default=0, metavar="K", help="only the K best labels; without it 3, or all as JSON"
    )
    parser.add_argument(
        "--min-score", type=float, metavar="S", help="of a detector's boxes; without it 0.2, to judge 0.02"
    )
    windows = parser.add_argument_group("windows", "boxes wherever something is, for models with a localizer")
    windows.add_argument("--windows", action="store_true", help="look through windows all over the picture")
    windows.add_argument("--scales", nargs="+", type=float, metavar="S", help="of the picture; without it 1 1.5 2")
    windows.add_argument("--merge", choices=MERGES, help="how boxes of one object become one; without it greedy")
    windows.add_argument(
        "--fine", action="store_true", help="windows half as far apart, at four times the cost of heads"
    )


def run(args: argparse.Namespace) -> int:
    from pipeline.config import DecodeConfig, InferConfig
    from pipeline.errors import VideoError

    files, sample_hz = _files(args.inputs), DecodeConfig(sample_hz=args.sample_hz).sample_hz

    settings = InferConfig(runtime=args.runtime or InferConfig().runtime)
    model = _model(args, settings)  # takes seconds: not before the request makes sense
    failures = 0
    for path in files:
        try:
            for line in _lines(path, model, sample_hz):
                sys.stdout.write(_shown(line, args.top, as_json=args.jsonl) + "\n")
        except VideoError as error:
            failures += 1
            sys.stderr.write(f"failed  {error}\n")
    return 1 if failures else 0


def _model(args: argparse.Namespace, settings: InferConfig) -> Telling:
    _check_together(args)
    machine = args.model, args.device, settings.batch, settings.threads
    if args.windows:
        from models.window_predictor import open_windows

        return open_windows(*machine, scales=args.scales or SCALES, way=args.merge or MERGES[0], fine=args.fine)
    from models.output import MIN_OBJECT_SCORE
    from models.predictor import open_predictor

    least = MIN_OBJECT_SCORE if args.min_score is None else args.min_score
    return open_predictor(*machine, settings.precision, settings.runtime, least_score=least)


def _check_together(args: argparse.Namespace) -> None:
    """What would do nothing is not passed over in silence. Raises UsageError."""
    from pipeline.errors import UsageError

    if args.windows and args.runtime == "openvino":
        raise UsageError("--windows are looked through by torch: leave --runtime out")
    if args.windows and args.min_score is not None:
        raise UsageError("--min-score is about a detector's boxes, and --windows have none. Leave it out")
    for option, given in (("--scales", args.scales), ("--merge", args.merge), ("--fine", args.fine)):
        if given and not args.windows:
            raise UsageError(f"{option} is about windows: give --windows too, or leave it out")


def _files(given: list[Path]) -> list[Path]:
    """What is named, and the pictures and videos in folders that are named. Raises UsageError."""
    from pipeline.errors import UsageError
    from pipeline.inputs import VIDEO_ENDINGS
    from pipeline.media import PICTURE_ENDINGS

    known = VIDEO_ENDINGS | PICTURE_ENDINGS
    files: list[Path] = []
    for path in given:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder")
        inside = (p for p in sorted(path.rglob("*")) if p.is_file() and p.suffix.lower() in known)
        files.extend(inside if path.is_dir() else [path])
    return files


def _lines(path: Path, model: Telling, sample_hz: float) -> Iterator[dict[str, Any]]:
    import numpy as np

    from pipeline.decode import decode
    from pipeline.infer import infer
    from pipeline.media import PICTURE_ENDINGS, read_picture
    from pipeline.probe import probe
    from pipeline.records import FrameBatch
    from pipeline.sample import sample_times

    if path.suffix.lower() in PICTURE_ENDINGS:
        pixels, _ = read_picture(path, model.height_px, model.width_px)
        batch = FrameBatch(pixels[np.newaxis], np.zeros(1, np.int64))
        yield from ({"path": str(path), **line} for line in _answers(infer([batch], model), model.box_heads))
        return
    video = probe(path)
    times_ns = sample_times(video.span, sample_hz)
    batches = (found.batch for found in decode(video, times_ns, model.height_px, model.width_px))
    inferred = infer((batch for batch in batches if len(batch)), model)
    for t_ns, line in zip(inferred.scores.pts_ns, _answers(inferred, model.box_heads), strict=True):
        yield {"path": str(path), "t_ns": int(t_ns), **line}


def _answers(inferred: Inferred, box_heads: Sequence[str]) -> Iterator[dict[str, Any]]:
    names = (*inferred.scores.labels.names, "")  # label -1: a box without a name
    for sample, probs in enumerate(inferred.scores.probs):
        order = sorted(range(len(probs)), key=lambda column: -probs[column])
        found = (inferred.boxes.frame == sample).nonzero()[0]
        points = inferred.points[sample] if inferred.points is not None else ()
        yield {
            "labels": [{"name": names[column], "score": round(float(probs[column]), 6)} for column in order],
            "boxes": [
                {
                    "xyxy": [round(float(x), 5) for x in inferred.boxes.xyxy[index]],
                    "score": round(float(inferred.boxes.score[index]), 6),
                    "label": names[int(inferred.boxes.label[index])],
                    "head": box_heads[min(place, len(box_heads) - 1)],
                }
                for place, index in enumerate(found)
            ],
        } | ({"points": _points(inferred.point_names, points)} if len(points) else {})


def _points(names: Sequence[str], points: Iterable[Sequence[float]]) -> list[dict[str, Any]]:
    return [
        {"name": name, "xy": [round(float(x), 5), round(float(y), 5)], "visible": round(float(visible), 6)}
        for name, (x, y, visible) in zip(names, points, strict=True)
    ]


def _shown(line: dict[str, Any], top: int, *, as_json: bool) -> str:
    labels = line["labels"][: top or None]
    if as_json:
        return json.dumps({**line, "labels": labels}, ensure_ascii=False)
    best = ", ".join(f"{label['name']} {label['score']:.2f}" for label in labels[: top or _SHOWN])
    when = f" {line['t_ns'] / 1e9:.1f} s" if "t_ns" in line else ""
    return f"{line['path']}{when}: {best}{_boxes_shown(line['boxes'])}"


def _boxes_shown(boxes: Sequence[Mapping[str, Any]]) -> str:
    """The first few: where from and where to, as fractions of the picture."""
    if not boxes:
        return ""
    said = (_box_shown(**box) for box in boxes[:_SHOWN])
    more = f" and {len(boxes) - _SHOWN} more" if len(boxes) > _SHOWN else ""
    return f"; box {', '.join(said)}{more}"


def _box_shown(xyxy: Sequence[float], score: float, label: str, **_: str) -> str:
    return f"{label} {score:.2f} at {' '.join(f'{x:.2f}' for x in xyxy)}".strip()
