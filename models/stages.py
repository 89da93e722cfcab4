"""The stages of a regime one after the other: the best epoch of each is kept, and a killed run goes on where it was."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

import torch

from models.evaluate import Answers, judged, score_of
from models.journal import Journal
from models.network import Network
from models.targets import Truth
from models.train import Epoch, Job, Schedule, Training


@dataclass(frozen=True, slots=True)
class Stage:
    """A part of a regime: one optimisation, and the network's answers on val while it goes on. `threads` is how many
    learn; None: as torch has it."""

    job: Job
    schedule: Schedule
    answer: Callable[[], Answers]
    threads: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """After an epoch: which stage of the regime, how many epochs it has, what was lost, and the figures on val."""

    stage: str
    epochs: int
    epoch: Epoch
    figures: Mapping[str, Any]


Watch = Callable[[Progress], None]
Stages = Sequence[tuple[str, Callable[[], Stage]]]  # a later stage is made when the one before has changed the network


@dataclass(frozen=True, slots=True)
class _Best:
    """The modules that learn at their best, and when that was."""

    score: float
    epoch: int
    modules: list[dict[str, Any]]


class Run:
    """A network on its way through the stages. `truth` is val's, by which the best epoch is chosen; where it is empty
    the last one is. A stage ends early after `patience` epochs without a better one."""

    def __init__(
        self,
        network: Network,
        truth: Truth,
        watch: Watch,
        *,
        patience: int | None = None,
        journal: Journal | None = None,
    ) -> None:
        self._network, self._truth, self._watch = network, truth, watch
        self._patience, self._journal = patience, journal
        self._done: list[dict[str, Any]] = []
        self._left: dict[str, Any] | None = None  # the network as the stage before left it; none: as it was made

    def through(self, stages: Stages, seed: int) -> list[dict[str, Any]]:
        """Run all; leave the network as it was at the best epoch of the last. Answers what was done, by stage."""
        stored = self._journal.read() if self._journal is not None else None
        if stored is not None:
            self._done, self._left = stored["done"], stored["network"]
            if self._left is not None:
                self._network.load_state_dict(self._left)
        for name, make in stages[len(self._done) :]:
            stage = make()
            training, best = Training(stage.job, stage.schedule, seed), None
            if stored is not None and stored["training"] is not None:
                training.restore(stored["training"])
                best = _Best(**stored["best"])
            stored = None
            with _on_threads(stage.threads):
                self._done = [*self._done, self._stage(name, stage, training, best)]
            self._left = copy.deepcopy(self._network.state_dict())
            self._note(None, None)
        return self._done

    def _stage(self, name: str, stage: Stage, training: Training, best: _Best | None) -> dict[str, Any]:
        epochs = training.epochs()
        while not self._waited_enough(training, best) and (epoch := next(epochs, None)) is not None:
            with training.averaged():
                best = self._judged(name, stage, epoch, best)
            self._note(training, best)
        assert best is not None
        self._network.cpu()
        for (module, _), state in zip(stage.job.modules, best.modules, strict=True):
            module.load_state_dict(state)
        weights = stage.job.weights.found() if stage.job.weights is not None else {}
        facts = {"stage": name, "epochs": training.done, "best": best.epoch + 1}
        return facts | ({"weights": weights} if weights else {})

    def _waited_enough(self, training: Training, best: _Best | None) -> bool:
        """For a better epoch than the best."""
        return best is not None and self._patience is not None and training.done > best.epoch + self._patience

    def _judged(self, name: str, stage: Stage, epoch: Epoch, best: _Best | None) -> _Best:
        """The better of what was and what is now; of equals the earlier, unless nothing can be judged."""
        figures = judged(stage.answer(), self._truth, self._network.spec) if len(self._truth.tag) else {}
        score = score_of(figures)
        better = best is None or not figures or score > best.score
        self._watch(Progress(stage=name, epochs=stage.schedule.epochs, epoch=epoch, figures=figures))
        if best is not None and not better:
            return best
        return _Best(score, epoch.number, [copy.deepcopy(module.state_dict()) for module, _ in stage.job.modules])

    def _note(self, training: Training | None, best: _Best | None) -> None:
        """Where the run stands, for the one that takes it up."""
        if self._journal is None:
            return
        self._journal.write(
            {
                "done": self._done,
                "network": self._left,
                "training": training.state() if training is not None else None,
                "best": {part.name: getattr(best, part.name) for part in fields(best)} if best is not None else None,
            }
        )


@contextmanager
def _on_threads(count: int | None) -> Iterator[None]:
    """As many compute inside."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
