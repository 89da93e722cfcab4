"""Do probabilities say how often they are right? And what makes them: a temperature, or a slope and a shift.

Logits go in: (N, C) for a softmax over C classes with `tag` (N,) the true class, (N,) for a sigmoid with `yes` (N,).
Beside each figure stands that of always answering how frequent the classes are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

BINS = 15
_LEAST = 1e-12  # no probability counts as less, so that one sure mistake does not make a mean infinite
_COLDEST, _HOTTEST = 1e-3, 1e3


@dataclass(frozen=True, slots=True)
class Reliability:
    """Pictures by how sure the answer was, in equal bins of [0, 1], (B,) each: how many, their mean confidence, the
    share that was right. Both are NaN in a bin without pictures. A confidence on a border is of the lower bin."""

    count: Ints
    confidence: npt.NDArray[np.float64]
    accuracy: npt.NDArray[np.float64]

    @property
    def ece(self) -> float:
        """Expected calibration error (arXiv 1706.04599, eq. 3): the mean gap, each bin by its share of the pictures."""
        held = self.count > 0
        gaps = np.abs(self.confidence[held] - self.accuracy[held])
        return float((gaps * self.count[held]).sum() / max(1, self.count.sum()))


def reliability(confidence: Floats, right: Bools, bins: int = BINS) -> Reliability:
    """The table of N answers: `confidence` (N,) in [0, 1], and whether each was right."""
    number = np.clip(np.ceil(np.asarray(confidence, np.float64) * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(number, minlength=bins)
    sums = [np.bincount(number, weights=values, minlength=bins) for values in (confidence, right)]
    means = [np.divide(part, count, out=np.full(bins, np.nan), where=count > 0) for part in sums]
    return Reliability(count.astype(np.int64), means[0], means[1])


def tag_reliability(logits: Floats, tag: Ints) -> Reliability:
    """Of the top label: its probability, and whether it is the true class."""
    probs = softmax(logits)
    return reliability(probs.max(axis=1), probs.argmax(axis=1) == tag)


def event_reliability(logit: Floats, yes: Bools) -> Reliability:
    """Of the event itself, not of the likelier answer: its probability, and whether it was there."""
    return reliability(sigmoid(logit), yes)


def softmax(logits: Floats) -> npt.NDArray[np.float64]:
    return np.exp(_log_softmax(logits))


def sigmoid(logit: Floats) -> npt.NDArray[np.float64]:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * np.asarray(logit, np.float64))))


def _log_softmax(logits: Floats) -> npt.NDArray[np.float64]:
    above = np.asarray(logits, np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(above - np.log(np.exp(above).sum(axis=1, keepdims=True)))


def tag_calibration(logits: Floats, tag: Ints) -> dict[str, Any]:
    """ECE, Brier score (the sum over classes, 0 to 2) and mean negative log likelihood of N >= 1 pictures.

    The constant answer says the classes' shares among these very pictures. Those are calibrated by nature, so their ECE
    is 0: read it beside the other two.
    """
    shares = np.bincount(tag, minlength=logits.shape[1]) / len(tag)
    constant = np.log(np.maximum(np.broadcast_to(shares, logits.shape), _LEAST))
    return {"pictures": len(tag)} | _beside(_of_tags(logits, tag), _of_tags(constant, tag))


def _of_tags(logits: Floats, tag: Ints) -> dict[str, float]:
    probs, truth = softmax(logits), np.eye(logits.shape[1])[tag]
    return {
        "ece": tag_reliability(logits, tag).ece,
        "brier": float(((probs - truth) ** 2).sum(axis=1).mean()),
        "nll": float(-np.maximum(_log_softmax(logits), np.log(_LEAST))[np.arange(len(tag)), tag].mean()),
    }


def event_calibration(logit: Floats, yes: Bools) -> dict[str, Any]:
    """The same for a sigmoid; its Brier score is that of the event alone, 0 to 1."""
    share = float(np.mean(yes))
    low, high = np.log(_LEAST), -np.log(_LEAST)
    with np.errstate(divide="ignore"):
        constant = np.full(len(yes), np.clip(np.log(share) - np.log1p(-share), low, high))
    return {"pictures": len(yes)} | _beside(_of_event(logit, yes), _of_event(constant, yes))


def _of_event(logit: Floats, yes: Bools) -> dict[str, float]:
    signed = np.where(yes, logit, -np.asarray(logit, np.float64))
    return {
        "ece": event_reliability(logit, yes).ece,
        "brier": float(((sigmoid(logit) - yes) ** 2).mean()),
        "nll": float(np.minimum(np.logaddexp(0, -signed), -np.log(_LEAST)).mean()),
    }


def _beside(found: dict[str, float], constant: dict[str, float]) -> dict[str, float]:
    return {key: value for name in found for key, value in ((name, found[name]), (f"{name}_chance", constant[name]))}


def fitted_temperature(logits: Floats, tag: Ints) -> float:
    """The T that logits (N, C) are divided by, with the least negative log likelihood on N >= 1 pictures that were not
    trained on (arXiv 1706.04599). It changes no answer, only how sure it is.

    One more picture counts, whose class is unknown and its logits those of any of the N, as Platt counts one more yes
    and no: without it a handful of pictures that are all right would make T 0. The loss is convex in 1 / T, so halving
    finds where its slope changes sign; T stays between 0.001 and 1000 times the logits' spread.
    """
    scores = np.asarray(logits, np.float64) - logits.mean(axis=1, keepdims=True)
    spread = float(scores.std())
    if not spread:
        return 1.0  # every answer is the same at any temperature
    scores = scores / spread
    unknown = 1 / (len(tag) + 1)
    wanted = (1 - unknown) * scores[np.arange(len(tag)), tag].mean()  # the unknown one's mean score is 0

    def rises(sharpness: float) -> bool:
        return bool((softmax(scores * sharpness) * scores).sum(axis=1).mean() > wanted)

    return spread / _bisected(rises, 1 / _HOTTEST, 1 / _COLDEST)


def _bisected(rises: Callable[[float], bool], low: float, high: float) -> float:
    """Where `rises` becomes true, to the last bits, on a logarithmic scale; the end where it never, or always, is."""
    for _ in range(64):
        middle = float(np.sqrt(low * high))
        low, high = (low, middle) if rises(middle) else (middle, high)
    return float(np.sqrt(low * high))


@dataclass(frozen=True, slots=True)
class Platt:
    """A score's probability is sigmoid(slope * score + shift)."""

    slope: float
    shift: float

    def logit(self, score: Floats) -> npt.NDArray[np.float64]:
        return self.slope * np.asarray(score, np.float64) + self.shift


def fitted_platt(score: Floats, yes: Bools) -> Platt:
    """Slope and shift with the least cross entropy against smoothed targets: (n + 1) / (n + 2) for n yes, 1 / (n + 2)
    for n no (Platt 1999). So scores that part yes from no wholly, few examples and a single kind stay finite.

    Newton's method with step halving, as Lin, Lin and Weng (2007) give it, on scores of mean 0 and spread 1.
    N >= 1. Scores that are all equal tell nothing: the slope is 0.
    """
    values = np.asarray(score, np.float64)
    ups, downs = int(np.sum(yes)), int(len(yes) - np.sum(yes))
    target = np.where(yes, (ups + 1) / (ups + 2), 1 / (downs + 2))
    middle, spread = float(values.mean()), float(values.std())
    if not spread:
        mean = float(target.mean())
        return Platt(0.0, float(np.log(mean / (1 - mean))))
    slope, shift = _newton((values - middle) / spread, target)
    return Platt(slope / spread, shift - slope * middle / spread)


def _newton(x: npt.NDArray[np.float64], target: npt.NDArray[np.float64]) -> tuple[float, float]:
    design = np.stack([x, np.ones_like(x)], axis=1)

    def loss(at: npt.NDArray[np.float64]) -> float:
        logit = design @ at
        return float((np.logaddexp(0, logit) - target * logit).sum())

    at = np.array([0.0, np.log(target.mean() / (1 - target.mean()))])
    for _ in range(100):
        prob = sigmoid(design @ at)
        gradient = design.T @ (prob - target)
        curvature = (design * (prob * (1 - prob))[:, None]).T @ design + 1e-12 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        size = next((0.5**k for k in range(40) if loss(at - 0.5**k * step) < loss(at)), 0.0)
        at = at - size * step
        if not size or np.abs(size * step).max() < 1e-10:
            break
    return float(at[0]), float(at[1])
