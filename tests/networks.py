"""The smallest network that shows everything: a backbone with BatchNorm, two tags, an event and a box, 64 px."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.checkpoint import save
from models.network import Head, Network
from models.spec import CheckpointInfo, Spec

SIDE_PX = 64
TINY = Spec(
    backbone="shufflenet_v2_x0_5",
    height_px=SIDE_PX,
    width_px=SIDE_PX,
    tags=("grass", "none"),
    events=("dunk",),
    localizer=True,
)

WITH_ALL_HEADS: dict[str, Any] = {
    "attributes": (("age", ("young", "old")), ("mood", ("calm", "glad", "cross"))),
    "points": ("nose", "toe"),
    "detector": ("ball", "hoop"),
}


def network(seed: int = 0, **changes: object) -> Network:
    """Random values from a seed."""
    torch.manual_seed(seed)
    return Network(replace(TINY, **changes)).eval()  # type: ignore[arg-type]


def checkpoint(path: Path, seed: int = 0, attach: str = "conv", **facts: Any) -> CheckpointInfo:
    """Such a network in a file; `facts` are fields of its metadata."""
    made = network(seed, attach=attach)
    return save(made, CheckpointInfo(spec=made.spec, version="", **facts), path)


def pictures(count: int, seed: int = 0, side_px: int = SIDE_PX) -> npt.NDArray[np.uint8]:
    """Random pictures (count, side_px, side_px, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (count, side_px, side_px, 3), dtype=np.uint8)


def patches(count: int, height_px: int, width_px: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Pictures (count, height_px, width_px, 3) of random squares of 16 px: fine noise looks the same everywhere."""
    colours = np.random.default_rng(seed).integers(0, 256, (count, -(-height_px // 16), -(-width_px // 16), 3))
    return colours.astype(np.uint8).repeat(16, axis=1).repeat(16, axis=2)[:, :height_px, :width_px].copy()


def settled(spec: Spec, seed: int = 0) -> Network:
    """A random network whose normalisations have seen pictures: values neither die out nor explode, answers vary."""
    torch.manual_seed(seed)
    made = Network(spec).train()
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    seen = torch.from_numpy(patches(12, spec.height_px, spec.width_px, seed))
    with torch.no_grad():
        made(seen)
        features = made.eval().backbone(seen)
        for head in made.heads.values():
            assert isinstance(head, Head)
            head.adapt(features)
            spread = head.standard.spread  # what hardly varied in a dozen pictures would drown the rest in others
            spread.clamp_(min=float(spread.median()))
    return made


def with_all_heads(**changes: Any) -> Network:
    """Such a network of every kind of head, 64 px."""
    return settled(replace(TINY, **(WITH_ALL_HEADS | changes)))
