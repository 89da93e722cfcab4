"""The benchmark of inference compares what answers the same, and counts fairly."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import numpy as np
import pytest
import torch

from benchmarks.infer import HEADS, Trunk, costs, eager, pictures, ratio, ways
from models.predictor import Predictor
from tests import networks

BATCH = 2


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    return Trunk("tiny", networks.TINY, networks.with_all_heads().backbone)


@pytest.mark.parametrize("heads", HEADS.values(), ids=HEADS)
def test_all_that_compute_in_fp32_answer_the_same(trunk: Trunk, heads: dict[str, object]) -> None:
    network = trunk.network(heads)
    pixels = pictures(network.spec, BATCH)
    known = eager(network, BATCH).submit(pixels).result()
    for name in ways().keys() - {"bf16"}:
        found = ways()[name](network, BATCH).submit(pixels).result()
        assert np.abs(known.probs - found.probs).max() <= 1e-3, name


def test_the_usual_network_runs_in_contiguous_memory_and_the_served_one_in_channels_last(trunk: Trunk) -> None:
    network, seen = trunk.network({}), []
    network.backbone.trunk.register_forward_hook(lambda trunk, given, said: seen.append(said[0]))
    for predictor in (eager(network, BATCH), ways()["fp32"](network, BATCH)):
        predictor.submit(pictures(network.spec, BATCH)).result()
    assert len(seen) == 1  # what is served is a copy
    assert seen[0].is_contiguous() and not seen[0].is_contiguous(memory_format=torch.channels_last)


class Logging:
    """A pass that answers nothing of interest, and says when it was asked."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name, self.log = name, log

    def __call__(self, pixels: object, /) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        self.log.append(self.name)
        return torch.zeros(BATCH, 3), {"tags": torch.zeros(BATCH, 2), "events": torch.zeros(BATCH, 1)}


def test_contenders_take_turns_there_and_back_and_the_first_round_does_not_count(trunk: Trunk) -> None:
    log: list[str] = []
    spec = trunk.network({"localizer": False}).spec
    contenders = {name: Predictor(spec, Logging(name, log), batch=16) for name in "abc"}
    ticks: Iterator[int] = count()
    found = costs(contenders, 2, clock=lambda: float(next(ticks)))
    assert "".join(log) == "abc" + "cba" + "abc"
    assert found == {name: [1 / 16] * 2 for name in "abc"}


def test_a_ratio_compares_each_round_with_itself() -> None:
    """The machine was three times slower in the last round: for both."""
    assert ratio([1.0, 1.0, 3.0], [2.0, 2.0, 6.0]) == 2.0
