"""May this network be run in bfloat16? Only where it was seen to answer the same: measured when it is trained.

The rule needs no torch, so that a run is refused before any video is touched; the measuring does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pipeline.errors import CheckpointError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from models.network import Network

BF16 = "bf16"
MIN_KEPT = 0.995
MAX_CHANGE = 0.02
_CHUNK = 64


def effect_of_bf16(network: Network, pixels: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """What bfloat16 changes for N pictures uint8 (N, H, W, 3): `kept`, the share whose best tag and every event's yes
    or no stay as they are, and `change`, the largest of any probability. No picture: nothing."""
    import torch

    from models.predictor import probs_of

    network.eval()
    kept, change = 0, 0.0
    with torch.inference_mode():
        for at in range(0, len(pixels), _CHUNK):
            part = torch.from_numpy(pixels[at : at + _CHUNK])
            exact = probs_of(network(part)[1])
            with torch.autocast("cpu", torch.bfloat16):
                rough = probs_of(network(part)[1])
            kept += int(_same(exact, rough, len(network.spec.tags)).sum())
            change = max(change, float((exact - rough).abs().max()))
    return {"pictures": len(pixels), "kept": kept / len(pixels), "change": change} if len(pixels) else {}


def _same(exact_BC: Tensor, rough_BC: Tensor, tags: int) -> Tensor:
    """bool (B,); the first columns are tags, the others events."""
    same_B = ((exact_BC[:, tags:] > 0.5) == (rough_BC[:, tags:] > 0.5)).all(1)
    return same_B & (exact_BC[:, :tags].argmax(1) == rough_BC[:, :tags].argmax(1)) if tags else same_B


def require_precision(name: str, precision: str, metrics: Mapping[str, Any]) -> None:
    """Raises CheckpointError where `precision` is bf16 and the network's own figures do not allow that."""
    if precision != BF16:
        return
    found = metrics.get(BF16)
    if not found:
        raise CheckpointError(
            f"{name}: infer.precision = bf16, but its training did not measure what that changes. Use fp32"
        )
    if found["kept"] < MIN_KEPT or found["change"] > MAX_CHANGE:
        raise CheckpointError(
            f"{name}: infer.precision = bf16 keeps {found['kept']:.1%} of its answers and moves a score by up to "
            f"{found['change']:.3f}; {MIN_KEPT:.1%} and {MAX_CHANGE} are required. Use fp32"
        )
