"""Features of a frozen backbone, kept in a folder: the same network on the same pictures is not asked twice."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from models.backbone import Features
from pipeline.whole_files import whole_file

MOST_BYTES = 4 * 1024**3  # of all files: those used longest ago go first


@dataclass(frozen=True, slots=True)
class FeatureCache:
    """A folder of feature files, or none (`folder` is None): then everything is computed."""

    folder: Path | None

    def features(self, key: str, compute: Callable[[], Features]) -> Features:
        """Those of that key, computed where they are not there."""
        if self.folder is None:
            return compute()
        path = self.folder / f"{key}.safetensors"
        with contextlib.suppress(OSError, SafetensorError, KeyError):
            found = load_file(path)
            path.touch()
            return Features(found["map"], found["vector"])
        features = compute()
        self._keep(features, path)
        return features

    def _keep(self, features: Features, path: Path) -> None:
        """A full disk is no reason to stop: what cannot be kept is computed again next time."""
        with contextlib.suppress(OSError, SafetensorError):
            with whole_file(path) as temporary:
                save_file({"map": features.map.contiguous(), "vector": features.vector.contiguous()}, temporary)
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        assert self.folder is not None
        files = sorted(self.folder.glob("*.safetensors"), key=lambda path: path.stat().st_mtime, reverse=True)
        total = 0
        for path in files:
            total += path.stat().st_size
            if total > MOST_BYTES:
                path.unlink(missing_ok=True)


def usual_folder() -> Path:
    """Where caches belong on this machine."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "matchcut" / "features"
