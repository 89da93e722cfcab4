"""Training runs as small as they can be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import nn

from models.data.dataset import Dataset
from models.learn import Learned, Surroundings, learn
from models.recipe import Recipe
from models.resolve import resolve
from models.spec import CheckpointInfo, read_info
from models.stages import Progress
from models.targets import Plan

QUICK = 12  # epochs: enough for colours
SIDE_PX = 97  # for the embedded default, which has learned to see; a network of random values has not


def watch(progress: Progress) -> None:
    assert np.isfinite(list(progress.epoch.losses.values())).all()


def own_files(info: CheckpointInfo) -> dict[str, int]:
    """How many files are in each part of the split of a checkpoint that went on from the embedded default, beside
    those of the default."""
    before = read_info(resolve("default").path).split
    return {name: len({*digests} - {*before[name]}) for name, digests in info.split.items()}


def taught(
    data: Dataset,
    plan: Plan,
    base: str = "default",
    val: Dataset | None = None,
    around: Surroundings | None = None,
    **recipe: Any,
) -> Learned:
    torch.set_num_threads(1)
    usual = {"base": base, "epochs": QUICK, "average": 0.9, "size_px": SIDE_PX if base == "default" else None}
    return learn(data, val, plan, Recipe(**(usual | recipe)), around or Surroundings(watch=watch))


COLOURS = Plan(tags=("dunk", "pass", "rest"))
BOXES = Plan(boxes=True)
BOTH = replace(COLOURS, boxes=True)


def same(a: nn.Module, b: nn.Module) -> bool:
    """Bit for bit."""
    before, after = a.state_dict(), b.state_dict()
    return before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
