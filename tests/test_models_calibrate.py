"""Scores that mean something: scaled on val, inside the last layer, and no answer changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.calibrate import calibrate, says_probabilities
from models.evaluate import Answers, answers
from models.figures.calibration import tag_calibration
from models.network import EVENTS, TAGS, Network
from models.targets import Plan, Truth, truth_of
from tests import networks
from tests.lessons import dataset, relabelled

COUNT = 40


def overconfident(network: Network, by: float) -> None:
    with torch.no_grad():
        for head in (TAGS, EVENTS):
            network.heads[head].linear.weight *= by
            network.heads[head].linear.bias *= by


def known(found: Answers, rng: np.random.Generator) -> Truth:
    """A truth that a network of temperature 1 would be right about as often as it says."""
    data = dataset(COUNT)
    truth = truth_of(data, Plan(tags=networks.TINY.tags, events=networks.TINY.events))
    assert found.tags is not None and found.events is not None
    probs = torch.from_numpy(found.tags).softmax(dim=1).numpy()
    yes = rng.random(len(data)) < torch.from_numpy(found.events[:, 0]).sigmoid().numpy()
    truth.tag[:] = (rng.random(len(data)) > probs[:, 0]).astype(np.int64)
    truth.events[:, 0] = yes
    return truth


def test_a_network_that_is_too_sure_is_made_to_say_what_it_knows() -> None:
    network, pixels = networks.network(), dataset(COUNT).pixels
    overconfident(network, 20.0)
    spread = answers(network, pixels)
    assert spread.tags is not None
    overconfident(network, 1 / float(np.abs(spread.tags[:, 0] - spread.tags[:, 1]).mean()))
    truth = known(answers(network, pixels), np.random.default_rng(0))
    overconfident(network, 8.0)
    before = answers(network, pixels)
    done, said = calibrate(network, before, truth)
    after = answers(network, pixels)
    assert before.tags is not None and after.tags is not None and after.events is not None
    assert done[TAGS]["temperature"] == pytest.approx(8, rel=0.8)
    assert done[TAGS]["after"]["nll"] < done[TAGS]["before"]["nll"]
    assert tag_calibration(after.tags, truth.tag)["nll"] == pytest.approx(done[TAGS]["after"]["nll"], abs=1e-4)
    assert (after.tags.argmax(axis=1) == before.tags.argmax(axis=1)).all()
    line = done[EVENTS]["dunk"]
    assert before.events is not None
    assert after.events[:, 0] == pytest.approx(before.events[:, 0] * line["slope"] + line["shift"], abs=1e-4)
    np.testing.assert_allclose(said.tags, after.tags, atol=1e-4)
    np.testing.assert_allclose(said.events, after.events, atol=1e-4)


def test_scores_are_called_probabilities_where_every_event_was_calibrated_or_the_tags_where_there_is_none() -> None:
    two = replace(networks.TINY, events=("dunk", "steal"))
    assert not says_probabilities(two, {TAGS: {}, EVENTS: {"dunk": {}}})
    assert says_probabilities(two, {EVENTS: {"dunk": {}, "steal": {}}})
    assert says_probabilities(replace(two, events=()), {TAGS: {}})
    assert not says_probabilities(replace(two, events=()), {})


def test_too_few_pictures_calibrate_nothing() -> None:
    network, data = networks.network(), dataset(3)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    truth = truth_of(relabelled(data, {"pass": "grass"}), Plan.of(network.spec))
    found = answers(network, data.pixels)
    done, said = calibrate(network, found, truth)
    assert done == {} and found.tags is not None and said.tags is found.tags
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
