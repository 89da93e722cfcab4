"""What a model's name means: an embedded checkpoint, a file, or one of torchvision's own networks. Imports no torch."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from models import imagenet
from pipeline.errors import CheckpointError

TORCHVISION = "torchvision:"
SUFFIX = ".safetensors"
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


def embedded() -> tuple[str, ...]:
    """Names of the checkpoints that come with the project."""
    return tuple(sorted(path.stem for path in _WEIGHTS.glob(f"*{SUFFIX}")))


def resolve(name: str) -> Checkpoint | ImageNet:
    """Where the weights of `name` are. Raises CheckpointError saying which file is wanted where."""
    if name.startswith(TORCHVISION):
        return _imagenet(name.removeprefix(TORCHVISION))
    path = _WEIGHTS / f"{name}{SUFFIX}" if name in embedded() else Path(name)
    if not path.is_file():
        raise CheckpointError(
            f"{name}: no such model file. Use {', '.join(embedded())}, {TORCHVISION}NAME, "
            "or a checkpoint made by: matchcut train"
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


def require_weights(where: ImageNet) -> None:
    """Raises CheckpointError saying which file is wanted where."""
    if not where.path.is_file():
        raise CheckpointError(
            f"{TORCHVISION}{where.backbone}: put {where.path.name} (torchvision's IMAGENET1K_V1) into "
            f"{where.path.parent}, or set TORCH_HOME to the folder whose hub/checkpoints holds it"
        )
