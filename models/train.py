"""Minibatch gradient descent over whatever computes a loss: full networks, heads on cached features, students.

SGD with momentum and Nesterov's step, shuffled epochs, warm-up and a cosine down to nothing, and a running mean of the
weights, which is what is judged and kept. All chance comes from the seed and the epoch's number, so that the same seed
on the same machine gives the same weights, also where training was stopped after an epoch and taken up again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

Ints = npt.NDArray[np.int64]
LossOf = Callable[
    [Ints, np.random.Generator, int], dict[str, Tensor]
]  # pictures by number, chance, steps done -> parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long and how fast. Rates are those at the top of the curve.

    `average`: the share of the running mean of weights that a step leaves (0: no mean is kept).
    """

    epochs: int = 30
    batch: int = 32
    rate: float = 0.05  # of the heads, and of everything when learning from scratch
    backbone_rate: float = 0.005
    momentum: float = 0.9
    weight_decay: float = 5e-4  # of weights that multiply; not of biases and of BatchNorm
    warm_up: float = 0.05  # share of all steps
    clip_norm: float = 5.0
    average: float = 0.998
    shuffle: bool = True

    def batches(self, count: int) -> int:
        """Minibatches in an epoch over `count` pictures."""
        return math.ceil(count / self.batch)

    def steps(self, count: int) -> int:
        """Minibatches in all epochs over `count` pictures."""
        return self.epochs * self.batches(count)


@dataclass(frozen=True, slots=True)
class Epoch:
    """What one pass over the data gave: the number from 0, and the mean of each part of the loss."""

    number: int
    losses: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is learned: modules with the rate of each, what they are wrong by, and on how many pictures.

    `weights`, where given, learns how much each part of the loss counts.
    """

    modules: Sequence[tuple[nn.Module, float]]
    loss_of: LossOf
    count: int
    weights: LearnedWeights | None = None


class LearnedWeights(nn.Module):
    """Each part of the loss weighed by what cannot be known about it (arXiv 1705.07115): exp(-s) loss + s / 2. A part
    is 0 where no picture of a minibatch has its target; that says nothing about s."""

    def __init__(self, parts: Sequence[str]) -> None:
        super().__init__()
        self.log_variance = nn.ParameterDict({name: nn.Parameter(torch.zeros(())) for name in parts})

    def forward(self, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
        known = {name: (part.detach() != 0).float() for name, part in parts.items()}
        return {
            name: part * torch.exp(-self._of(name)) + known[name] * self._of(name) / 2 for name, part in parts.items()
        }

    def found(self) -> dict[str, float]:
        """The weights as they are now."""
        return {name: float(torch.exp(-value.detach())) for name, value in self.log_variance.items()}

    def _of(self, name: str) -> Tensor:
        value: Tensor = self.log_variance[name]
        return value


class Training:
    """A job on its way. It can stand still between epochs, and its state be stored and loaded."""

    def __init__(
        self, job: Job, schedule: Schedule, seed: int, factor_at: Callable[[int], float] | None = None
    ) -> None:
        """`factor_at(step)` on all rates; without it, the schedule's curve."""
        self._job, self._schedule, self._seed = job, schedule, seed
        self._optimiser = torch.optim.SGD(
            _groups(job, schedule), lr=schedule.rate, momentum=schedule.momentum, nesterov=schedule.momentum > 0
        )
        steps = schedule.steps(job.count)
        self._curve = torch.optim.lr_scheduler.LambdaLR(
            self._optimiser, factor_at or (lambda step: rate_at(step, steps, schedule.warm_up))
        )
        self._mean = _RunningMean([module for module, _ in job.modules], schedule.average)
        self.done = 0  # epochs

    def epochs(self) -> Iterator[Epoch]:
        """Those that are still to be done, one at each step; the caller may look, store and stop between them."""
        while self.done < self._schedule.epochs:
            yield self._epoch(self.done)

    def _epoch(self, number: int) -> Epoch:
        rng = np.random.default_rng((self._seed, number))
        torch.manual_seed(int(rng.integers(2**31)))  # dropout
        order = rng.permutation(self._job.count) if self._schedule.shuffle else np.arange(self._job.count)
        sums: dict[str, float] = {}
        for index in np.array_split(order, self._schedule.batches(self._job.count)):
            for name, part in self.step(index, rng).items():
                sums[name] = sums.get(name, 0.0) + part * len(index) / self._job.count
        self.done = number + 1
        return Epoch(number, sums)

    def step(self, index: Ints, rng: np.random.Generator) -> dict[str, float]:
        """One minibatch: what was lost before the step, by part."""
        parts = self._job.loss_of(index, rng, self._curve.last_epoch)
        weighed = self._job.weights(parts) if self._job.weights is not None else parts
        self._optimiser.zero_grad()
        torch.stack(list(weighed.values())).sum().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters(), self._schedule.clip_norm)
        self._optimiser.step()
        self._curve.step()
        self._mean.update()
        return {name: float(part.detach()) for name, part in parts.items()}

    def _parameters(self) -> list[nn.Parameter]:
        return [value for group in self._optimiser.param_groups for value in group["params"]]

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Inside, the modules have the running mean of their weights."""
        self._mean.swap()
        try:
            yield
        finally:
            self._mean.swap()

    def state(self) -> dict[str, Any]:
        """All that `restore` needs to go on as if nothing had been: tensors, numbers, lists and dicts."""
        weights = self._job.weights
        return {
            "done": self.done,
            "modules": [module.state_dict() for module, _ in self._job.modules],
            "weights": weights.state_dict() if weights is not None else {},
            "optimiser": self._optimiser.state_dict(),
            "steps": self._curve.last_epoch,
            "mean": self._mean.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        for (module, _), values in zip(self._job.modules, state["modules"], strict=True):
            module.load_state_dict(values)
        if self._job.weights is not None:
            self._job.weights.load_state_dict(state["weights"])
        self._curve.last_epoch = state["steps"]
        self._optimiser.load_state_dict(state["optimiser"])
        self._mean.restore(state["mean"])
        self.done = state["done"]


def _groups(job: Job, schedule: Schedule) -> list[dict[str, Any]]:
    """Parameters with their rate; those that multiply (matrices and kernels) decay."""
    groups: list[dict[str, Any]] = []
    for module, rate in job.modules:
        values = [value for value in module.parameters() if value.requires_grad]
        decays = [value for value in values if value.dim() > 1]
        stays = [value for value in values if value.dim() <= 1]
        groups += [{"params": decays, "lr": rate, "weight_decay": schedule.weight_decay}] if decays else []
        groups += [{"params": stays, "lr": rate, "weight_decay": 0.0}] if stays else []
    if job.weights is not None:
        groups.append({"params": list(job.weights.parameters()), "lr": schedule.rate, "weight_decay": 0.0})
    return groups


class _RunningMean:
    """The exponential mean of weights and statistics over the steps (arXiv 1803.05407, 2010.15340): less noisy than
    the last step's. In the beginning it follows faster."""

    def __init__(self, modules: Sequence[nn.Module], keep: float) -> None:
        tensors = [value for module in modules for value in (*module.parameters(), *module.buffers())]
        self._live = [value.data for value in tensors if value.is_floating_point()]
        self._mean = [value.clone() for value in self._live] if keep else []
        self._keep, self._steps = keep, 0

    def update(self) -> None:
        if self._keep:
            self._steps += 1
            keep = min(self._keep, self._steps / (self._steps + 10))
            torch._foreach_lerp_(self._mean, self._live, 1 - keep)

    def swap(self) -> None:
        for live, mean in zip(self._live, self._mean, strict=False):
            held = live.clone()
            live.copy_(mean)
            mean.copy_(held)

    def state(self) -> dict[str, Any]:
        return {"mean": self._mean, "steps": self._steps}

    def restore(self, state: Mapping[str, Any]) -> None:
        for mean, value in zip(self._mean, state["mean"], strict=True):
            mean.copy_(value)
        self._steps = state["steps"]


def rate_at(step: int, steps: int, warm_up: float) -> float:
    """The factor on the rate: from 0 up in a straight line, then half a cosine down to 0 (arXiv 1608.03983)."""
    rising = max(1, round(warm_up * steps))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


@dataclass(frozen=True, slots=True)
class RateCurve:
    """The loss as the rate rises: factors on the rates of the job, and the smoothed loss at each; the best factor."""

    factors: tuple[float, ...]
    losses: tuple[float, ...]
    best: float


def find_rate(job: Job, schedule: Schedule, seed: int, *, steps: int = 60) -> RateCurve:
    """Try rates from a thousandth to a hundred times the schedule's, a minibatch each (arXiv 1506.01186).

    The best is a third of that where the smoothed loss was lowest, or the smallest, if it never was a number. The
    modules are as they were afterwards.
    """
    factors = np.geomspace(1e-3, 1e2, steps).tolist()
    training = Training(job, schedule, seed, lambda step: float(factors[min(step, steps - 1)]))
    before = [{name: value.clone() for name, value in module.state_dict().items()} for module, _ in job.modules]
    rng, losses = np.random.default_rng((seed, 0)), list[float]()
    for _ in factors:
        lost = sum(training.step(rng.integers(job.count, size=min(schedule.batch, job.count)), rng).values())
        if not math.isfinite(lost) or (losses and lost > 4 * min(losses)):
            break
        losses.append(lost if not losses else 0.8 * losses[-1] + 0.2 * lost)
    for (module, _), state in zip(job.modules, before, strict=True):
        module.load_state_dict(state)
    best = factors[int(np.argmin(losses))] / 3 if losses else factors[0]
    return RateCurve(tuple(factors[: len(losses)]), tuple(losses), best)
