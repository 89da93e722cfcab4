"""Training as it goes: a progress bar for a person, and for TensorBoard curves, wrong pictures and boxes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from models.show import boxes_shown, wrong_shown

if TYPE_CHECKING:
    from models import stages
    from models.learn import Learned

_SHOWN = 24  # pictures of one kind on a page of TensorBoard


class Watcher:
    """Told after every epoch. On a terminal a bar moves; elsewhere, and at the end of each stage, there are lines."""

    def __init__(self, console: Console, logdir: Path | None) -> None:
        self._console = console
        self._writer = _writer(logdir) if logdir is not None else None
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[said]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Watcher:
        self._bar.start()
        return self

    def __exit__(self, *about: object) -> None:
        self._bar.stop()
        if self._writer is not None:
            self._writer.close()

    def __call__(self, now: stages.Progress) -> None:
        """One more epoch is done."""
        number = now.epoch.number + 1
        said = ", ".join(f"{name} {value:.3f}" for name, value in now.epoch.losses.items())
        if now.stage not in self._tasks:
            self._tasks[now.stage] = self._bar.add_task(now.stage, total=now.epochs, said="")
        self._bar.update(self._tasks[now.stage], completed=number, said=said)
        if number in (1, now.epochs) or (number % 10 == 0 and not self._console.is_terminal):
            self._console.print(f"{now.stage} {number}/{now.epochs}: {said}", markup=False, highlight=False)
        if self._writer is not None:
            self._curves(self._writer, now)

    def _curves(self, writer: Any, now: stages.Progress) -> None:
        for name, value in now.epoch.losses.items():
            writer.add_scalar(f"{now.stage}/loss/{name}", value, now.epoch.number)
        for name, value in scalars(now.figures):
            writer.add_scalar(f"{now.stage}/val/{name}", value, now.epoch.number)

    def show(self, learned: Learned) -> None:
        """Pages of pictures that were named wrongly when they were not taught, and of boxes beside the true ones."""
        if self._writer is None or learned.asked is None:
            return
        pixels, truth, found = learned.asked.part.pixels, learned.asked.part.truth, learned.asked.found
        for name, pictures in (
            ("wrong", wrong_shown(pixels, found, truth, learned.network.spec, _SHOWN)),
            ("boxes", boxes_shown(pixels, found, truth, _SHOWN)),
        ):
            if len(pictures):
                self._writer.add_images(f"val/{name}", pictures, dataformats="NHWC")


def scalars(figures: Mapping[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    """The numbers in nested figures, each with its path."""
    found: list[tuple[str, float]] = []
    for name, value in figures.items():
        if isinstance(value, Mapping):
            found += scalars(value, f"{prefix}{name}/")
        elif isinstance(value, float):
            found.append((f"{prefix}{name}", value))
    return found


def _writer(logdir: Path) -> Any:
    from torch.utils.tensorboard import SummaryWriter

    return SummaryWriter(str(logdir))
