"""May this network be run in bfloat16? Only where it was seen to answer the same: measured when it is trained.

The rule needs no torch, so that a run is refused before any video is touched; `models.rounding` measures.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.errors import CheckpointError

BF16 = "bf16"
MIN_KEPT = 0.995
MAX_CHANGE = 0.02


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
