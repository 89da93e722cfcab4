"""What a model's name means: the embedded default, a file, or one of torchvision's own networks. No torch here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from models import imagenet
from models.spec import CheckpointInfo, digest_of_file, read_info
from pipeline.errors import CheckpointError

DEFAULT = "default"
TORCHVISION = "torchvision:"
_WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A file of ours."""

    path: Path


@dataclass(frozen=True, slots=True)
class ImageNet:
    """A network of torchvision and the file its weights are in."""

    backbone: str
    path: Path


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


def resolve(name: str) -> Checkpoint | ImageNet:
    """Where the weights of `name` are. Raises CheckpointError saying which file is wanted where."""
    if name.startswith(TORCHVISION):
        return _imagenet(name.removeprefix(TORCHVISION))
    path = _WEIGHTS / "default.safetensors" if name == DEFAULT else Path(name)
    if not path.is_file():
        raise CheckpointError(
            f"{name}: no such model file. Use {DEFAULT!r}, {TORCHVISION}NAME, or a checkpoint made by: matchcut train"
        )
    return Checkpoint(path)


def _imagenet(backbone: str) -> ImageNet:
    if backbone not in imagenet.FILES:
        raise CheckpointError(f"{TORCHVISION}{backbone}: use one of {', '.join(sorted(imagenet.FILES))}")
    return ImageNet(backbone, torch_home() / "hub" / "checkpoints" / imagenet.FILES[backbone])


def torch_home() -> Path:
    """Where torch keeps downloaded weights, by its own rules."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("TORCH_HOME") or cache / "torch")


def describe(name: str, precision: str = "fp32") -> ModelSummary:
    """The facts a run compares with what it stored: no torch. Raises CheckpointError."""
    where = resolve(name)
    if isinstance(where, ImageNet):
        return describe_imagenet(where, precision)
    return describe_checkpoint(name, read_info(where.path), precision)


def describe_checkpoint(name: str, info: CheckpointInfo, precision: str) -> ModelSummary:
    """The facts of a file whose metadata were read."""
    return ModelSummary(
        name=name if name == DEFAULT else Path(name).stem,
        version=_version(info.version, precision),
        tags=info.spec.tags,
        events=info.spec.events,
        height_px=info.spec.height_px,
        width_px=info.spec.width_px,
        calibrated=info.calibrated,
    )


def describe_imagenet(where: ImageNet, precision: str) -> ModelSummary:
    """The facts of torchvision's own weights. Raises CheckpointError where their file is not in its place."""
    require_weights(where)
    return ModelSummary(
        name=f"{TORCHVISION}{where.backbone}",
        version=_version(digest_of_file(where.path)[:16], precision),
        tags=imagenet.labels(),
        events=(),
        height_px=imagenet.SIDE_PX,
        width_px=imagenet.SIDE_PX,
        calibrated=False,
    )


def require_weights(where: ImageNet) -> None:
    """Raises CheckpointError saying which file is wanted where."""
    if not where.path.is_file():
        raise CheckpointError(
            f"{TORCHVISION}{where.backbone}: put {where.path.name} (torchvision's IMAGENET1K_V1) into "
            f"{where.path.parent}, or set TORCH_HOME to the folder whose hub/checkpoints holds it"
        )


def _version(digest: str, precision: str) -> str:
    """The precision is part of it where it is not the usual one: bf16 gives other scores."""
    return digest if precision == "fp32" else f"{digest}-{precision}"
