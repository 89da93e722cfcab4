"""Tiny games, and whole runs over them with a network that answers by hand.

A game is ffmpeg's test picture with a quiet tone; for a while it flashes white and the tone is loud. That is its one
moment, at a known time.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.config import Config, override_config
from pipeline.inputs import find_inputs
from pipeline.records import ModelFacts, Summary
from pipeline.run import Watch, Work, process_directory, unwatched
from tests.fakes import FakeModel
from tests.media import ffmpeg

FLASH_S = (2.0, 3.5)
DURATION_S = 5
# What a page tells of the time and the place of its making.
_CIRCUMSTANCES = re.compile("[0-9.e+]+\N{MULTIPLICATION SIGN}(?=<)|not timed|Source: <bdi>[^<]*".encode())
QUICK: dict[str, dict[str, Any]] = {"aggregate": {"pre_s": 0.5, "post_s": 0.5}, "export": {"preset": "ultrafast"}}


def make_game(
    path: Path, flash_s: tuple[float, float] = FLASH_S, *, duration_s: int = DURATION_S, sound: bool = True
) -> Path:
    """10 pictures a second, white from `flash_s[0]` until before `flash_s[1]`."""
    during = f"gte(t,{flash_s[0]})*lt(t,{flash_s[1]})"
    tone = (
        f"-f lavfi -i sine=frequency=440:sample_rate=16000:duration={duration_s} "
        f"-af \"volume='if({during},1,0.02)':eval=frame\" -c:a aac -b:a 64k"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    return ffmpeg(
        f"-f lavfi -i testsrc2=size=96x64:rate=10:duration={duration_s} {tone if sound else ''} "
        f"-vf \"drawbox=color=white:t=fill:enable='{during}'\" "
        "-c:v libx264 -preset ultrafast -threads 1 -g 10 -pix_fmt yuv420p",
        path,
    )


@dataclass
class Desk:
    """A folder of games at `base`/in, their results at `base`/out, and how often the network had to be opened."""

    base: Path
    model: FakeModel = field(default_factory=FakeModel)
    opened: int = 0
    outcomes: list[str] = field(default_factory=list)

    @property
    def games(self) -> Path:
        return self.base / "in"

    @property
    def out(self) -> Path:
        return self.base / "out"

    def work(self, *, model: ModelFacts | None = None, watch: Watch = unwatched, **how: Any) -> Work:
        """`clips` and `force` as in Work; anything else is a section of the settings."""
        options = {name: how.pop(name) for name in ("clips", "force") if name in how}
        facts = model or self.model.facts()
        return Work(out=self.out, config=settings(**how), model=facts, open_model=self.open, watch=watch, **options)

    def open(self) -> FakeModel:
        self.opened += 1
        return self.model

    def run(self, *, work: Work | None = None, **how: Any) -> Summary:
        self.outcomes.clear()
        inputs = find_inputs([self.games], self.out)
        on_outcome: Callable[[Any], None] = lambda outcome: self.outcomes.append(outcome.path.name)  # noqa: E731
        return process_directory(inputs, work or self.work(**how), on_outcome=on_outcome)

    def folder(self, stem: str = "a") -> Path:
        """The one folder of results for the game of that name."""
        (found,) = (self.out / "videos").glob(f"{stem}-????????")
        return found

    def report(self, stem: str = "a") -> dict[str, Any]:
        return read(self.folder(stem) / "report.json")

    def state(self, stem: str = "a") -> dict[str, Any]:
        return read(self.folder(stem) / "state.json")

    def summary(self) -> dict[str, Any]:
        return read(self.out / "summary.json")


def settings(**sections: dict[str, Any]) -> Config:
    """Those of the tests, quick to carry out, with changes by section."""
    values = {name: QUICK.get(name, {}) | sections.get(name, {}) for name in {*QUICK, *sections}}
    return override_config(Config(), values, "test")


def read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def files(out: Path) -> dict[str, Path]:
    """Every file, but the lock, which bears the last writer's name."""
    found = (path for path in sorted(out.rglob("*")) if path.is_file())
    return {name: path for path in found if (name := path.relative_to(out).as_posix()) != ".matchcut/lock"}


def contents(out: Path) -> dict[str, str]:
    """What every file of results holds, without what tells when and where it was made, and how long that took."""
    results = {name: path for name, path in files(out).items() if name != ".matchcut/fingerprints.json"}
    return {name: _without_circumstances(path) for name, path in results.items()}


def _without_circumstances(path: Path) -> str:
    if path.suffix == ".json":
        return json.dumps(_timeless(read(path)), sort_keys=True)
    content = _CIRCUMSTANCES.sub(b"", path.read_bytes()) if path.suffix == ".html" else path.read_bytes()
    return hashlib.sha256(content).hexdigest()


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if key not in ("when", "seconds", "timing")}
    return [_timeless(item) for item in value] if isinstance(value, list) else value
