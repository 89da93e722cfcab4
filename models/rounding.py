"""What bfloat16 changes in a network's answers; `models.precision` says how much it may."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models.network import Network
from models.predictor import served_on_cpu
from models.spec import Spec

Probs = npt.NDArray[np.float32]


def effect_of_bf16(network: Network, pixels: npt.NDArray[np.uint8]) -> dict[str, Any]:
    """What bfloat16 changes for N pictures uint8 (N, H, W, 3): `kept`, the share whose best tag, best value of each
    attribute, and yes or no to all else stay as they are, and `change`, the largest of any probability. No picture, or
    no label: nothing.

    Measured as a run would have it: fused, in its batches, on the CPU.
    """
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
    at = 0
    parts: list[npt.NDArray[np.bool_]] = []
    for labels in (spec.tags, *(labels for _, labels in spec.attributes)):
        if labels:
            one, other = (probs[:, at : at + len(labels)].argmax(axis=1) for probs in (known, found))
            parts.append(one == other)
        at += len(labels)
    parts.append(((known[:, at:] > 0.5) == (found[:, at:] > 0.5)).all(axis=1))
    return np.logical_and.reduce(parts)  # type: ignore[no-any-return]
