"""Where the study's pictures come from: folders of real data, a part of their files."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np

from models.cache import FeatureCache
from models.data.dataset import Dataset
from models.data.find import Source, find
from models.data.read import read
from models.resolve import TORCHVISION, ImageNet, require_weights, resolve
from pipeline.commands.learning import FRAMES, READER
from pipeline.errors import DataError

MOBILENET, SQUEEZENET = (f"{TORCHVISION}{name}" for name in ("mobilenet_v2", "squeezenet1_1"))
SIDE_PX = 112
_QUICK = 6  # files of each folder, in a quick run


@dataclass(frozen=True, slots=True)
class Place:
    """A folder below the data; of it, and of each folder in it, `each` files are taken, evenly spread. None: all."""

    path: str
    each: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pictures:
    """What is looked at, and how large; `frames` of a clip."""

    places: tuple[Place, ...]
    side_px: int = SIDE_PX
    frames: int = FRAMES

    def quick(self) -> Pictures:
        few = tuple(replace(place, each=min(place.each or _QUICK, _QUICK)) for place in self.places)
        return replace(self, places=few, frames=min(self.frames, 2))


BOXES = (Place("boxes/raccoon"), Place("boxes/fruit/train"), Place("boxes/fruit/test"))
CLIPS = (Place("clips/ucf101/Basketball"), Place("clips/ucf101/BasketballDunk"))
SPORTS = "images/sports"


class Sources(Protocol):
    """What a way may use beside its settings. `networks`: a folder for what several ways have in common."""

    @property
    def features(self) -> FeatureCache: ...

    @property
    def networks(self) -> Path: ...

    def dataset(self, pictures: Pictures) -> Dataset: ...


@dataclass(frozen=True, slots=True)
class Folders:
    """The real ones: `data` is read, what can be used again is kept below `kept`."""

    data: Path
    kept: Path

    @property
    def features(self) -> FeatureCache:
        return FeatureCache(self.kept / "features")

    @property
    def networks(self) -> Path:
        return self.kept / "networks"

    def dataset(self, pictures: Pictures) -> Dataset:
        """Raises DataError."""
        return _read(self.data, pictures)

    def require(self) -> None:
        """Raises DataError or CheckpointError naming what the study wants and is not there: it never goes on without.

        A network that was not pretrained, or was pretrained on other pictures, would answer other questions.
        """
        wanted = (*(place.path for place in (*BOXES, *CLIPS)), SPORTS)
        missing = [path for path in wanted if not (self.data / path).is_dir()]
        if missing:
            raise DataError(
                f"{self.data}: the study wants {', '.join(missing)} in it. "
                "Set MATCHCUT_DATA to the folder that holds boxes/, clips/ and images/"
            )
        for name in (MOBILENET, SQUEEZENET):
            where = resolve(name)
            assert isinstance(where, ImageNet)
            require_weights(where)


def usual_data(root: Path) -> Path:
    """MATCHCUT_DATA, or `shared/data` beside the project."""
    return Path(os.environ.get("MATCHCUT_DATA") or root.parent / "shared" / "data")


@lru_cache(maxsize=2)
def _read(data: Path, pictures: Pictures) -> Dataset:
    found = [find([data / place.path], READER) for place in pictures.places]
    parts = [_thinned(one.sources, place.each) for one, place in zip(found, pictures.places, strict=True)]
    every = replace(found[0], sources=tuple(source for part in parts for source in part))
    return read(every, READER, (pictures.side_px,) * 2, frames=pictures.frames)


def _thinned(sources: Sequence[Source], each: int | None) -> list[Source]:
    folders = defaultdict[Path, list[Source]](list)
    for source in sources:
        folders[source.path.parent].append(source)
    return [files[k] for files in folders.values() for k in _spread(len(files), each)]


def _spread(count: int, wanted: int | None) -> list[int]:
    if wanted is None or wanted >= count:
        return list(range(count))
    return [int(k) for k in np.linspace(0, count - 1, wanted).round()]
