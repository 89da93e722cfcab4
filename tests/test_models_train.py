"""An optimisation that can be stopped after any epoch, a running mean of the weights, and rates found by trying."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.train import Job, LearnedWeights, Schedule, Training, find_rate, rate_at

COUNT = 40
X = torch.randn(COUNT, 6, generator=torch.Generator().manual_seed(0))
Y = (X[:, :2].sum(dim=1) > 0).long()


def layer(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 2))


def job(module: nn.Module, weights: LearnedWeights | None = None, scale: float = 1.0) -> Job:
    def loss_of(index: np.ndarray, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        rows = torch.from_numpy(index)
        noisy = X[rows] + 0.1 * torch.from_numpy(rng.normal(size=(len(rows), 6)).astype(np.float32))
        answer = module(noisy)
        return {"tags": scale * nn.functional.cross_entropy(answer, Y[rows]), "size": answer.square().mean()}

    return Job(modules=[(module, 0.1)], loss_of=loss_of, count=COUNT, weights=weights)


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


SCHEDULE = Schedule(epochs=6, batch=16)


def test_every_epoch_takes_every_picture_once_and_no_batch_is_a_single_one() -> None:
    seen: list[list[int]] = []
    module = layer()

    def loss_of(index: np.ndarray, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        assert step == len(seen)
        seen.append(index.tolist())
        return {"tags": module(X[index]).square().mean()}

    training = Training(Job(modules=[(module, 0.1)], loss_of=loss_of, count=33), Schedule(epochs=2, batch=16), seed=0)
    assert [epoch.number for epoch in training.epochs()] == [0, 1]
    assert [len(batch) for batch in seen] == [11] * 6
    first, second = ([row for batch in part for row in batch] for part in (seen[:3], seen[3:]))
    assert sorted(first) == sorted(second) == list(range(33))
    assert first != second


def test_without_shuffling_pictures_come_in_their_order() -> None:
    order: list[int] = []
    module = layer()

    def loss_of(index: np.ndarray, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        order.extend(index.tolist())
        return {"tags": module(X[index]).square().mean()}

    plan = Schedule(epochs=1, batch=16, shuffle=False)
    list(Training(Job(modules=[(module, 0.1)], loss_of=loss_of, count=COUNT), plan, seed=0).epochs())
    assert order == list(range(COUNT))


@pytest.mark.parametrize("stop", [1, 3, 5])
@pytest.mark.parametrize("learned", [False, True])
def test_training_taken_up_again_ends_with_the_same_weights(stop: int, learned: bool) -> None:
    def weights() -> LearnedWeights | None:
        return LearnedWeights(["tags", "size"]) if learned else None

    whole = layer()
    through = Training(job(whole, weights()), SCHEDULE, seed=3)
    losses = [epoch.losses for epoch in through.epochs()]

    first = layer()
    begun = Training(job(first, weights()), SCHEDULE, seed=3)
    for _ in zip(range(stop), begun.epochs(), strict=False):
        pass
    second = layer(seed=9)  # another process: nothing is left but the state
    again = Training(job(second, weights()), SCHEDULE, seed=3)
    again.restore(begun.state())
    assert [epoch.losses for epoch in again.epochs()] == losses[stop:]
    assert same(whole.state_dict(), second.state_dict())
    with through.averaged(), again.averaged():
        assert same(whole.state_dict(), second.state_dict())


def test_the_running_mean_lags_behind_and_is_given_back() -> None:
    module = layer()
    training = Training(job(module), SCHEDULE, seed=0)
    list(training.epochs())
    live = {name: value.clone() for name, value in module.state_dict().items()}
    with training.averaged():
        assert not same(module.state_dict(), live)
        assert all(bool(value.isfinite().all()) for value in module.state_dict().values())
    assert same(module.state_dict(), live)


def test_without_a_running_mean_the_last_weights_are_judged() -> None:
    module = layer()
    training = Training(job(module), Schedule(epochs=1, average=0.0), seed=0)
    list(training.epochs())
    live = {name: value.clone() for name, value in module.state_dict().items()}
    with training.averaged():
        assert same(module.state_dict(), live)


def test_what_matters_more_than_its_noise_gains_weight() -> None:
    torch.manual_seed(0)
    weights = LearnedWeights(["tags", "size"])
    list(Training(job(layer(), weights, scale=0.01), Schedule(epochs=20, batch=16), seed=0).epochs())
    assert weights.found()["tags"] > weights.found()["size"]


def test_a_steep_loss_moves_nothing_further_than_the_clipped_gradient() -> None:
    moved = []
    for clip in (0.5, 1e9):
        module = layer()
        before = torch.cat([value.detach().flatten().clone() for value in module.parameters()])
        plan = Schedule(epochs=1, batch=COUNT, rate=1.0, momentum=0.0, weight_decay=0.0, warm_up=0.0, clip_norm=clip)
        list(Training(job(module, scale=1000.0), plan, seed=0).epochs())
        after = torch.cat([value.detach().flatten() for value in module.parameters()])
        moved.append(float((after - before).norm()))
    assert moved[0] <= 0.1 * 0.5 + 1e-6 < moved[1]


def test_a_part_that_nothing_is_known_of_does_not_change_its_weight() -> None:
    weights = LearnedWeights(["tags", "box"])
    weighed = weights({"tags": torch.tensor(2.0), "box": torch.tensor(0.0)})
    sum(weighed.values()).backward()
    assert weights.log_variance["tags"].grad == pytest.approx(-2 + 0.5)
    assert weights.log_variance["box"].grad == 0


def test_the_rate_rises_and_then_falls_to_nothing() -> None:
    rates = [rate_at(step, 100, 0.1) for step in range(100)]
    assert rates[9] == max(rates) == 1.0
    assert rates[:10] == sorted(rates[:10]) and rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 1e-3


def test_biases_and_norms_do_not_decay() -> None:
    module = layer()
    training = Training(job(module), Schedule(weight_decay=0.5), seed=0)
    decayed = {id(p) for group in training._optimiser.param_groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {id(module[0].weight), id(module[3].weight)}


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_the_rate_that_is_found_is_lower_for_a_steeper_loss_and_nothing_is_changed_by_looking(scale: float) -> None:
    module = layer()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    curve = find_rate(job(module, scale=scale), Schedule(batch=16, clip_norm=1e9), seed=0)
    assert same(module.state_dict(), before)
    assert curve.factors[0] / 3 <= curve.best <= curve.factors[-1]
    assert len(curve.factors) == len(curve.losses)
    gentle = find_rate(job(layer(), scale=scale / 10), Schedule(batch=16, clip_norm=1e9), seed=0)
    assert gentle.best > curve.best
