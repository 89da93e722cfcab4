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

    from models.network import Network
    from models.spec import Spec

    Probs = npt.NDArray[np.float32]

BF16 = "bf16"
MIN_KEPT = 0.995
MAX_CHANGE = 0.02


def effect_of_bf16(network: Network, pixels: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """What bfloat16 changes for N pictures uint8 (N, H, W, 3): `kept`, the share whose best tag, best value of each
    attribute, and yes or no to all else stay as they are, and `change`, the largest of any probability. No picture, or
    no label: nothing.

    Measured as a run would have it: fused, in its batches, on the CPU.
    """
    from models.predictor import served_on_cpu

    if not len(pixels) or not network.spec.columns:
        return {}
    exact, rough = served_on_cpu(network, bf16=False), served_on_cpu(network, bf16=True)
    kept, change = 0, 0.0
    for at in range(0, len(pixels), exact.batch):
        part = pixels[at : at + exact.batch]
        known, found = exact.submit(part).result().probs, rough.submit(part).result().probs
        kept += int(_same(known, found, network.spec).sum())
        change = max(change, float(abs(known - found).max()))
    return {"pictures": len(pixels), "kept": kept / len(pixels), "change": change}


def _same(known: Probs, found: Probs, spec: Spec) -> npt.NDArray[np.bool_]:
    """(B,) of two (B, C), columns as `Spec.columns`: tags and each attribute a softmax, then one sigmoid each."""
    import numpy as np

    at = 0
    parts: list[npt.NDArray[np.bool_]] = []
    for labels in (spec.tags, *(labels for _, labels in spec.attributes)):
        if labels:
            one, other = (probs[:, at : at + len(labels)].argmax(axis=1) for probs in (known, found))
            parts.append(one == other)
        at += len(labels)
    parts.append(((known[:, at:] > 0.5) == (found[:, at:] > 0.5)).all(axis=1))
    return np.logical_and.reduce(parts)  # type: ignore[no-any-return]


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
