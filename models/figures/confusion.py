"""Which class is taken for which, as counts; `pictures` draws them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]


def confusion(answer: Ints, tag: Ints, classes: int) -> Ints:
    """How often class `row` was answered as class `column`, (C, C), of N pictures: their answers, their true tags."""
    return np.bincount(tag * classes + answer, minlength=classes**2).reshape(classes, classes).astype(np.int64)


def commonest(counts: Ints, most: int) -> Ints:
    """Numbers of the `most` classes that most pictures are of, in their own order; equals: the earlier."""
    return np.sort(np.argsort(-counts.sum(axis=1), kind="stable")[:most])
