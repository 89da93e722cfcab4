"""The facts of a model that a finished run is checked against, in no time: imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models import imagenet
from models.precision import require_precision
from models.resolve import TORCHVISION, ImageNet, require_weights, resolve
from models.runtime import TORCH
from models.spec import CheckpointInfo, digest_of_file, read_info
from pipeline.errors import CheckpointError


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSummary:
    """What can be said of a model in no time."""

    name: str
    version: str
    tags: tuple[str, ...]
    events: tuple[str, ...]
    height_px: int
    width_px: int
    calibrated: bool


def describe(name: str, precision: str = "fp32", runtime: str = TORCH) -> ModelSummary:
    """The facts a run compares with what it stored: no torch. Raises CheckpointError, also where the model has no
    labels, or must not be run in that precision."""
    where = resolve(name)
    if isinstance(where, ImageNet):
        return _of_imagenet(where, precision, runtime)
    return _of_checkpoint(name, read_info(where.path), precision, runtime)


def _of_checkpoint(name: str, info: CheckpointInfo, precision: str, runtime: str) -> ModelSummary:
    require_precision(name, precision, info.metrics)
    if not info.spec.columns:
        raise CheckpointError(
            f"{name}: this checkpoint has no labels to find moments by. Use it with: matchcut predict"
        )
    return ModelSummary(
        name=Path(name).stem,
        version=_version(info.version, precision, runtime),
        tags=info.spec.served_tags,
        events=info.spec.events,
        height_px=info.spec.height_px,
        width_px=info.spec.width_px,
        calibrated=info.calibrated,
    )


def _of_imagenet(where: ImageNet, precision: str, runtime: str) -> ModelSummary:
    """bf16 is refused: nobody has measured it for torchvision's own weights."""
    require_weights(where)
    require_precision(f"{TORCHVISION}{where.backbone}", precision, {})
    return ModelSummary(
        name=f"{TORCHVISION}{where.backbone}",
        version=_version(digest_of_file(where.path), precision, runtime),
        tags=imagenet.labels(),
        events=(),
        height_px=imagenet.SIDE_PX,
        width_px=imagenet.SIDE_PX,
        calibrated=False,
    )


def _version(digest: str, precision: str, runtime: str) -> str:
    """Precision and runtime are part of it where they are not the usual ones: they give other scores."""
    unusual = [way for way, usual in ((precision, "fp32"), (runtime, TORCH)) if way != usual]
    return "-".join([digest, *unusual])
