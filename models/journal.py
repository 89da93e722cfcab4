"""Where a training run stands, in a file beside its result: killed after any epoch, it goes on and ends the same."""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pipeline.whole_files import whole_file

_VERSION = 1


@dataclass(frozen=True, slots=True)
class Journal:
    """The file, and the digest of all that the run depends on: what another run left there is not taken up."""

    path: Path
    key: str

    def read(self) -> dict[str, Any] | None:
        """What was written last by a run of this key, in tensors of the CPU; None where there is nothing, or nothing
        whole."""
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)  # no code
        except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError):
            return None
        return state if isinstance(state, dict) and state.get("key") == self.key else None

    def write(self, state: dict[str, Any]) -> None:
        """Replace what was there, whole or not at all."""
        with whole_file(self.path) as temporary, temporary.open("wb") as file:
            torch.save({**state, "key": self.key}, file)


def key_of(*parts: object) -> str:
    """The digest of values that say themselves by `repr`; of arrays give digests."""
    return hashlib.sha256(repr((_VERSION, torch.__version__, *parts)).encode()).hexdigest()
