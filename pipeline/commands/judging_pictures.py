"""Judge a checkpoint on labelled data, by what it has not learned from; chance beside every figure."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


def judge_checkpoint(args: argparse.Namespace) -> int:
    import numpy as np

    from models.checkpoint import load
    from models.evaluate import Seen, answers
    from models.examine import examined, pictured
    from models.resolve import Checkpoint, resolve
    from models.targets import Plan, truth_of, unknown_classes
    from pipeline.commands.figures import figure_lines, further_lines
    from pipeline.commands.learning import read_data
    from pipeline.errors import CheckpointError, DataError

    where = resolve(args.model)
    if not isinstance(where, Checkpoint):
        raise CheckpointError(f"{args.model}: give a checkpoint file; torchvision's own networks state no split")
    network, info = load(where.path)
    boxes_from = 1 if args.boxes_from is None else args.boxes_from
    data = read_data(args.data, None, (info.spec.height_px, info.spec.width_px), boxes_from=boxes_from)
    seen = Seen.of(data.digests, info.split)
    rows = np.arange(len(data)) if args.all else seen.judged(data.file)
    if not len(rows):
        raise DataError(f"{seen.sentence()}: nothing is left to judge by. Give other files, or --all")
    chosen, plan = data.rows(rows), Plan.of(info.spec)
    found, truth = answers(network, chosen.pixels), truth_of(chosen, plan)
    figures = examined(found, truth, info.spec, chosen.group)
    unknown = unknown_classes(data, plan)
    if args.pictures is not None:
        _write_pictures(pictured(found, truth, info.spec, info.metrics.get("calibration", {})), args.pictures)
    if args.json:
        about = {"model": args.model, "version": info.version, "files": seen.sentence(), "unknown": unknown}
        sys.stdout.write(json.dumps(about | figures, indent=1) + "\n")
        return 0
    lines = [seen.sentence(), *([f"classes that it does not know: {', '.join(unknown)}"] if unknown else [])]
    lines += ["judged by those that chose the epoch, which flatters a little"] if seen.flatters and not args.all else []
    told = (*lines, *figure_lines(figures), *further_lines(figures))
    sys.stdout.write("".join(f"{line}\n" for line in told))
    return 0


def _write_pictures(pages: Mapping[str, npt.NDArray[np.uint8]], folder: Path) -> None:
    import cv2

    from pipeline.names import slug

    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pages.items():
        (folder / f"{slug(name)}.png").write_bytes(cv2.imencode(".png", picture[..., ::-1])[1].tobytes())
