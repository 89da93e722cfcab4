"""A network in one file that cannot run code: tensors and JSON, verified when loaded."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes

from models.network import Network
from models.spec import CheckpointInfo, read_info, to_metadata
from pipeline.errors import CheckpointError
from pipeline.whole_files import whole_file


def save(network: Network, info: CheckpointInfo, path: Path) -> CheckpointInfo:
    """Write the network whole or not at all; answers the info with its version.

    Weights are stored as float16: half the size, and what `load` gives is float32 with exactly those values.
    """
    assert network.spec == info.spec
    state = {name: _stored(tensor) for name, tensor in network.state_dict().items()}
    with whole_file(path) as temporary:
        temporary.write_bytes(to_bytes(state, to_metadata(info)))
    return read_info(path)


def _stored(tensor: torch.Tensor) -> torch.Tensor:
    """Variances of BatchNorm may lie below float16's range: what does not survive the rounding stays float32."""
    tensor = tensor.detach().cpu().contiguous()
    if not tensor.is_floating_point():
        return tensor
    rounded = tensor.half()
    survives = torch.allclose(rounded.float(), tensor, rtol=1e-3, atol=1e-7)
    return rounded if survives else tensor


def load(path: Path) -> tuple[Network, CheckpointInfo]:
    """The network in eval mode, float32, on the CPU. Raises CheckpointError naming what is wrong and the repair."""
    info = read_info(path)
    network = Network(info.spec)
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path.name}: cannot be read ({error}). Copy it again, or train") from error
    state = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in state.items()}
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise CheckpointError(f"{path.name}: its tensors are not those of its network. {first} Train again") from error
    if not all(bool(tensor.isfinite().all()) for tensor in state.values()):
        raise CheckpointError(f"{path.name}: holds values that are no numbers; its training diverged. Train again")
    return network.eval(), info
