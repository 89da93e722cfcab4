"""`predictions.npz`: all that rescoring reads. The same predictions give the same bytes; pickles are never read."""

from __future__ import annotations

import json
import zipfile
import zlib
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from pipeline.errors import UnusableResult
from pipeline.records import Boxes, DecodeFacts, FrameScores, Labels, Predictions, Signals
from pipeline.store.files import write_atomically
from pipeline.timeline import Span

NAME = "predictions.npz"
SCHEMA = "matchcut.predictions/1"
MAX_ARRAY_BYTES = 2 << 30
_SIGNAL = "signal/"
_FEATURES = "features"
# What a damaged zip file, a damaged array, a damaged text and an impossible value raise when they are read.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    OSError,
    EOFError,
    MemoryError,
    RuntimeError,
    ValueError,
    KeyError,
    TypeError,
)


def save_predictions(folder: Path, predictions: Predictions, key: str) -> None:
    """`key` digests what they were made from; it stands in the file, so that file and key cannot part."""
    about = {
        "schema": SCHEMA,
        "key": key,
        "end_ns": predictions.span.end_ns,
        "tags": predictions.scores.labels.tags,
        "events": predictions.scores.labels.events,
        "decode": asdict(predictions.decode),
        "missing_signals": dict(predictions.signals.missing),
    }
    arrays: dict[str, npt.NDArray[Any]] = {
        "about": np.frombuffer(json.dumps(about, sort_keys=True).encode(), np.uint8),
        "pts_ns": predictions.scores.pts_ns,
        "probs": predictions.scores.probs,
        **{f"box/{name}": getattr(predictions.boxes, name) for name in ("frame", "xyxy", "score", "label")},
        **{f"{_SIGNAL}{name}": values for name, values in predictions.signals.series.items()},
    }
    if predictions.features is not None:
        arrays[_FEATURES] = predictions.features

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in arrays.items():
                _write_array(archive, name, array)

    write_atomically(folder / NAME, write, sum(array.nbytes for array in arrays.values()))


def _write_array(archive: zipfile.ZipFile, name: str, array: npt.NDArray[Any]) -> None:
    """As `np.savez` does, but without a copy of the array beside it."""
    array = np.ascontiguousarray(array)
    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
        np.lib.format.write_array_header_1_0(entry, np.lib.format.header_data_from_array_1_0(array))
        if array.size:
            entry.write(array.data.cast("B"))


def load_predictions(folder: Path, *, features: bool = True) -> Predictions:
    """With or without the features, which are most of a long video's predictions. Raises UnusableResult, naming the
    file and the repair."""
    path = folder / NAME
    try:
        return _predictions(_arrays(path, without=() if features else (_FEATURES,)))
    except FileNotFoundError:
        raise UnusableResult(f"{path}: not there. Run `matchcut run` again for this video") from None
    except _DAMAGE as error:
        raise UnusableResult(f"{path}: cannot be read ({error}). Run again with --force") from error


def stored_key(folder: Path) -> str | None:
    """The key of the predictions that stand, None where there are none that can be read."""
    try:
        key = json.loads(bytes(_arrays(folder / NAME, "about")["about"]))["key"]
        return key if isinstance(key, str) else None
    except _DAMAGE:
        return None


def _arrays(path: Path, *names: str, without: tuple[str, ...] = ()) -> dict[str, npt.NDArray[Any]]:
    """The named arrays, or all but those `without`. Sizes are checked before anything is read: a few bytes of zip can
    ask for gigabytes."""
    with zipfile.ZipFile(path) as archive:
        size = sum(entry.file_size for entry in archive.infolist())
    if size > MAX_ARRAY_BYTES:
        raise ValueError(f"its arrays ask for {size} bytes")
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in names or file.files if name not in without}


def _predictions(arrays: dict[str, npt.NDArray[Any]]) -> Predictions:
    about = json.loads(bytes(arrays["about"]))
    if about["schema"] != SCHEMA:
        raise ValueError(f"schema {about['schema']!r:.40} is not {SCHEMA!r}")
    series = {name.removeprefix(_SIGNAL): values for name, values in arrays.items() if name.startswith(_SIGNAL)}
    return Predictions(
        span=Span(0, about["end_ns"]),
        scores=FrameScores(arrays["pts_ns"], arrays["probs"], Labels(tuple(about["tags"]), tuple(about["events"]))),
        boxes=Boxes(arrays["box/frame"], arrays["box/xyxy"], arrays["box/score"], arrays["box/label"]),
        signals=Signals(series, about["missing_signals"]),
        decode=DecodeFacts(**about["decode"]),
        features=arrays.get(_FEATURES),
    )
