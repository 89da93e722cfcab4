"""Which guess is the right one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]


def ranks(logits: Floats, tag: Ints) -> Ints:
    """How many classes come before the true one, (N,), by logits (N, C): those with more, and equal ones that stand
    earlier. What is no number, as training that diverged leaves it, comes before every number."""
    own = np.take_along_axis(logits, tag[:, None], axis=1)
    earlier = np.arange(logits.shape[1]) < tag[:, None]
    return np.asarray((~(logits <= own) | ((logits == own) & earlier)).sum(axis=1))
