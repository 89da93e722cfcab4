"""Scores that mean something: a temperature for each softmax and a line for each event, fitted on val, then made part
of the last layer, so that serving knows nothing of it (arXiv 1706.04599; Platt 1999)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from models.evaluate import Answers
from models.figures.calibration import event_calibration, fitted_platt, fitted_temperature, tag_calibration
from models.heads import Classifier
from models.network import ATTRIBUTES, EVENTS, TAGS, Network, attribute
from models.spec import Spec
from models.targets import Truth

Logits = npt.NDArray[np.float32]

_FEWEST = 20  # pictures of val below which nothing is fitted


def calibrate(network: Network, found: Answers, truth: Truth) -> tuple[dict[str, Any], Answers]:
    """Scale the network's classifiers so that their scores are probabilities on these pictures. What was done, by head,
    with the expected calibration error before and after, and the answers as they are then. A head that val says too
    little of stays as it is.

    The figures afterwards are of the pictures it was fitted on; `matchcut eval` has them for others.
    """
    done: dict[str, Any] = {}
    if found.tags is not None and (fitted := _tempered(network, TAGS, found.tags, truth.tag)):
        done[TAGS], found = fitted.figures, replace(found, tags=fitted.logits)
    sets = list(found.attributes)
    for number, logits in enumerate(sets):
        if fitted := _tempered(network, attribute(number), logits, truth.attributes[:, number]):
            done.setdefault(ATTRIBUTES, {})[network.spec.attributes[number][0]] = fitted.figures
            sets[number] = fitted.logits
    found = replace(found, attributes=tuple(sets))
    if found.events is not None:
        fitted = _events(network, found.events, truth.events)
        done |= {EVENTS: fitted.figures} if fitted.figures else {}
        found = replace(found, events=fitted.logits)
    return done, found


def uncalibrated(found: Answers, spec: Spec, done: Mapping[str, Any]) -> Answers:
    """The answers as they were before what was `done`."""
    if found.tags is not None and TAGS in done:
        found = replace(found, tags=found.tags * np.float32(done[TAGS]["temperature"]))
    if found.events is not None:
        lines = [done.get(EVENTS, {}).get(name, {"slope": 1.0, "shift": 0.0}) for name in spec.events]
        slope, shift = (np.array([line[part] for line in lines], np.float32) for part in ("slope", "shift"))
        found = replace(found, events=(found.events - shift) / slope)
    return found


def says_probabilities(spec: Spec, calibration: Mapping[str, Any]) -> bool:
    """Whether that was done for what a run looks at: every event, or the tags where there is none."""
    return set(spec.events) <= set(calibration.get(EVENTS, {})) if spec.events else TAGS in calibration


class _Fitted(NamedTuple):
    """What was done, and the logits afterwards."""

    figures: dict[str, Any]
    logits: Logits


def _tempered(network: Network, head: str, logits: Logits, tag: npt.NDArray[np.int64]) -> _Fitted | None:
    known = tag >= 0
    if known.sum() < _FEWEST:
        return None
    temperature = fitted_temperature(logits[known], tag[known])
    _scale(_linear(network, head), 1 / temperature)
    cooled = (logits / temperature).astype(np.float32)
    before, after = (tag_calibration(part[known], tag[known]) for part in (logits, cooled))
    return _Fitted({"temperature": temperature, "before": before, "after": after}, cooled)


def _events(network: Network, logits: Logits, truth: npt.NDArray[np.float32]) -> _Fitted:
    figures, scaled = dict[str, Any](), logits.copy()
    for number, name in enumerate(network.spec.events):
        known = np.isfinite(truth[:, number])
        yes, logit = truth[known, number] == 1, logits[known, number]
        if min(yes.sum(), (~yes).sum()) < _FEWEST:
            continue
        line = fitted_platt(logit, yes)
        if line.slope <= 0:  # the network tells nothing: no line makes it a probability
            continue
        _scale(_linear(network, EVENTS), line.slope, line.shift, row=number)
        scaled[:, number] = line.logit(logits[:, number])
        figures[name] = {
            "slope": line.slope,
            "shift": line.shift,
            "before": event_calibration(logit, yes),
            "after": event_calibration(line.logit(logit), yes),
        }
    return _Fitted(figures, scaled)


def _linear(network: Network, head: str) -> nn.Linear:
    classifier = network.heads[head]
    assert isinstance(classifier, Classifier)
    return classifier.linear


def _scale(layer: nn.Linear, slope: float, shift: float = 0.0, row: int | None = None) -> None:
    rows = slice(None) if row is None else slice(row, row + 1)
    with torch.no_grad():
        layer.weight[rows] *= slope
        layer.bias[rows] = layer.bias[rows] * slope + shift
