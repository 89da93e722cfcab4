"""torchvision's own weight files: found in torch's cache, never unpickled as objects."""

from __future__ import annotations

import pickle
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from models.resolve import ImageNet, require_weights
from pipeline.errors import CheckpointError


def load_torchvision_weights(network: nn.Module, where: ImageNet) -> None:
    """Put the values of a .pth file into `network`, which may be a part of torchvision's. Raises CheckpointError.

    torchvision's loader would unpickle whatever the file says; `weights_only` refuses everything but tensors.
    """
    require_weights(where)
    try:
        state = torch.load(where.path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise CheckpointError(
            f"{where.path.name}: not a file of weights alone, and refused. Download it again"
        ) from error
    wanted = network.state_dict()
    if not isinstance(state, Mapping) or any(name not in state for name in wanted if "num_batches" not in name):
        raise CheckpointError(f"{where.path.name}: holds no weights of {where.backbone}. Download it again")
    network.load_state_dict({name: _value(state, name, old) for name, old in wanted.items()})


def _value(state: Mapping[str, Tensor], name: str, old: Tensor) -> Tensor:
    return state[name].to(old.dtype) if name in state else old
