"""Scores that mean something: a temperature for each softmax and a line for each event, fitted on val, then made part
of the last layer, so that serving knows nothing of it (arXiv 1706.04599; Platt 1999)."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from models.evaluate import ATTRIBUTES, Answers
from models.figures.calibration import event_calibration, fitted_platt, fitted_temperature, tag_calibration
from models.heads import Classifier
from models.network import EVENTS, TAGS, Network, attribute
from models.targets import Truth

_FEWEST = 20  # pictures of val below which nothing is fitted


def calibrate(network: Network, found: Answers, truth: Truth) -> dict[str, Any]:
    """Scale the network's classifiers so that their scores are probabilities on these pictures; what was done, by head,
    with the expected calibration error before and after. A head that val says too little of stays as it is.

    The figures afterwards are of the pictures it was fitted on; `matchcut eval` has them for others.
    """
    done: dict[str, Any] = {}
    sets = [(TAGS, TAGS, found.tags, truth.tag)]
    for number, (name, _) in enumerate(network.spec.attributes):
        if number < len(found.attributes):
            sets.append((attribute(number), name, found.attributes[number], truth.attributes[:, number]))
    for head, name, logits, tag in sets:
        known = tag >= 0
        if logits is None or known.sum() < _FEWEST:
            continue
        temperature = fitted_temperature(logits[known], tag[known])
        _scale(_linear(network, head), 1 / temperature)
        before, after = (tag_calibration(part[known], tag[known]) for part in (logits, logits / temperature))
        place = done if head == TAGS else done.setdefault(ATTRIBUTES, {})
        place[name] = {"temperature": temperature, "before": before, "after": after}
    if found.events is not None:
        done |= _events(network, found.events, truth.events)
    return done


def _events(network: Network, logits: np.ndarray[Any, Any], truth: np.ndarray[Any, Any]) -> dict[str, Any]:
    figures = {}
    for number, name in enumerate(network.spec.events):
        known = np.isfinite(truth[:, number])
        yes, logit = truth[known, number] == 1, logits[known, number]
        if min(yes.sum(), (~yes).sum()) < _FEWEST:
            continue
        line = fitted_platt(logit, yes)
        if line.slope <= 0:  # the network tells nothing: no line makes it a probability
            continue
        _scale(_linear(network, EVENTS), line.slope, line.shift, row=number)
        figures[name] = {
            "slope": line.slope,
            "shift": line.shift,
            "before": event_calibration(logit, yes),
            "after": event_calibration(line.logit(logit), yes),
        }
    return {EVENTS: figures} if figures else {}


def _linear(network: Network, head: str) -> nn.Linear:
    classifier = network.heads[head]
    assert isinstance(classifier, Classifier)
    return classifier.linear


def _scale(layer: nn.Linear, slope: float, shift: float = 0.0, row: int | None = None) -> None:
    rows = slice(None) if row is None else slice(row, row + 1)
    with torch.no_grad():
        layer.weight[rows] *= slope
        layer.bias[rows] = layer.bias[rows] * slope + shift
