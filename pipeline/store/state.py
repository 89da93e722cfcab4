"""`state.json`: which stage of a video is done, with the key of all that it was made from, and which files are ours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.errors import UnusableResult
from pipeline.store.files import read_json, write_json

SCHEMA = "matchcut.state/1"
NAME = "state.json"
_FACTS = ("input", "video_id", "model_version", "config_digest")


@dataclass(frozen=True, slots=True)
class Stage:
    """`done` or `failed`; `key` digests the stage's inputs, so a stage is stale when its key is another."""

    state: str
    key: str
    when: str
    seconds: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The record of one video's folder. An empty one stands for a folder that was never written.

    `files` are the paths, relative to the folder, that Matchcut wrote or was about to: no others are ever removed.
    """

    input: str = ""
    video_id: str = ""
    model_version: str = ""
    config_digest: str = ""
    stages: Mapping[str, Stage] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    def is_done(self, stage: str, key: str) -> bool:
        found = self.stages.get(stage)
        return found is not None and found.state == "done" and found.key == key

    def has_failed(self, stage: str) -> bool:
        found = self.stages.get(stage)
        return found is not None and found.state == "failed"

    def seconds(self, stage: str) -> float:
        """How long the stage took; 0 where that is not known."""
        found = self.stages.get(stage)
        return found.seconds if found is not None else 0.0

    def done(self, stage: str, key: str, seconds: float) -> State:
        return self._with(stage, Stage("done", key, _now(), round(seconds, 3)))

    def failed(self, stage: str, error: str, key: str = "") -> State:
        """`key` only where the same inputs are sure to fail again."""
        return self._with(stage, Stage("failed", key, _now(), error=error))

    def without(self, *names: str) -> State:
        """These stages are not known to be done any more."""
        return replace(self, stages={name: stage for name, stage in self.stages.items() if name not in names})

    def owning(self, files: Iterable[str]) -> State:
        return replace(self, files=tuple(sorted(files)))

    def _with(self, name: str, stage: Stage) -> State:
        return replace(self, stages={**self.stages, name: stage})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def load_state(folder: Path) -> State:
    """What is recorded; an empty State where nothing is, or nothing that can be read: then all is done again."""
    try:
        return _state(read_json(folder / NAME))
    except (UnusableResult, KeyError, TypeError, AttributeError, ValueError):
        return State()


def save_state(folder: Path, state: State) -> None:
    write_json(folder / NAME, {"schema": SCHEMA, **asdict(state)})


def _state(data: Any) -> State:
    """Raises for what is none of ours: another schema, a key that is missing or of the wrong type."""
    if data["schema"] != SCHEMA:
        raise ValueError("another schema")
    facts = {name: _as(str, data[name]) for name in _FACTS}
    stages = {name: _stage(stage) for name, stage in data["stages"].items()}
    return State(**facts, stages=stages, files=tuple(_as(str, path) for path in _as(list, data["files"])))


def _stage(data: Any) -> Stage:
    error = data["error"] if data["error"] is None else _as(str, data["error"])
    state, key, when = (_as(str, data[name]) for name in ("state", "key", "when"))
    return Stage(state, key, when, _as(float, data["seconds"]), error)


def _as(kind: type[Any], value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r:.60} is no {kind.__name__}")
    return value
