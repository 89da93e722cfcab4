"""`state.json`: which stage of a video is done, with the key of all that it was made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import UnusableResult
from pipeline.store.files import read_json, write_json

SCHEMA = "matchcut.state/1"
NAME = "state.json"


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
    """The record of one video's folder. An empty one stands for a folder that was never written."""

    input: str = ""
    video_id: str = ""
    model_version: str = ""
    config_digest: str = ""
    stages: Mapping[str, Stage] = field(default_factory=dict)

    def is_done(self, stage: str, key: str) -> bool:
        found = self.stages.get(stage)
        return found is not None and found.state == "done" and found.key == key

    def done(self, stage: str, key: str, seconds: float) -> State:
        return self._with(stage, Stage("done", key, _now(), round(seconds, 3)))

    def failed(self, stage: str, key: str, error: str) -> State:
        return self._with(stage, Stage("failed", key, _now(), error=error))

    @property
    def error(self) -> str | None:
        """The sentence of the stage that failed, if one did."""
        return next((stage.error for stage in self.stages.values() if stage.state == "failed"), None)

    def _with(self, name: str, stage: Stage) -> State:
        return replace(self, stages={**self.stages, name: stage})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def load_state(folder: Path) -> State:
    """What is recorded; an empty State where nothing is, or nothing that can be read: then all is done again."""
    try:
        data = read_json(folder / NAME)
        if not isinstance(data, dict) or data.get("schema") != SCHEMA:
            return State()
        stages = {name: Stage(**stage) for name, stage in data["stages"].items()}
        return State(
            **{key: data[key] for key in ("input", "video_id", "model_version", "config_digest")}, stages=stages
        )
    except (UnusableResult, KeyError, TypeError, AttributeError):
        return State()


def save_state(folder: Path, state: State) -> None:
    write_json(folder / NAME, {"schema": SCHEMA, **asdict(state)})
