"""Judge a checkpoint on labelled data, by what it has not learned from; chance beside every figure."""

from __future__ import annotations

import argparse
import json
import sys


def judge_checkpoint(args: argparse.Namespace) -> int:
    import numpy as np

    from models.checkpoint import load
    from models.evaluate import Seen, answers, judged
    from models.resolve import Checkpoint, resolve
    from models.targets import truth_of, unknown_classes
    from pipeline.commands.learning import figure_lines, read_data
    from pipeline.errors import CheckpointError, DataError

    where = resolve(args.model)
    if not isinstance(where, Checkpoint):
        raise CheckpointError(f"{args.model}: give a checkpoint file; torchvision's own networks state no split")
    network, info = load(where.path)
    data = read_data(args.data, None, (info.spec.height_px, info.spec.width_px))
    seen = Seen.of(data.digests, info.split)
    rows = np.arange(len(data)) if args.all else seen.judged(data.file)
    if not len(rows):
        raise DataError(f"{seen.sentence()}: nothing is left to judge by. Give other files, or --all")
    chosen = data.rows(rows)
    truth = truth_of(chosen, info.spec.tags, info.spec.events)
    figures = judged(answers(network, chosen.pixels), truth, info.spec.tags, info.spec.events)
    unknown = unknown_classes(data, info.spec.tags, info.spec.events)
    if args.json:
        result = {"model": args.model, "version": info.version, "files": seen.sentence(), "unknown": unknown} | figures
        sys.stdout.write(json.dumps(result, indent=1) + "\n")
        return 0
    lines = [seen.sentence(), *([f"classes that it does not know: {', '.join(unknown)}"] if unknown else [])]
    sys.stdout.write("".join(f"{line}\n" for line in (*lines, *figure_lines(figures))))
    return 0
