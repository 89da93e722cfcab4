"""`predictions.npz` gives back what was stored, and nothing that was damaged or planted."""

from __future__ import annotations

import os
import pickle
import re
import struct
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UnusableResult
from pipeline.records import Boxes, DecodeFacts, FrameScores, Labels, Predictions, Signals
from pipeline.store import load_predictions, save_predictions, stored_key
from pipeline.timeline import Span
from tests.predicted import predicted

SOME = predicted([0, 500, 1000], 1500, tags={"a": [0.1, 0.2, 0.3]}, signals={"motion": [0.0, 0.5, 1.0]})


@st.composite
def predictions(draw: st.DrawFn) -> Predictions:
    numbers = np.random.default_rng(draw(st.integers(0, 2**32)))
    n, m = draw(st.integers(0, 6)), draw(st.integers(0, 4))
    names = draw(st.lists(st.text(max_size=8), min_size=1, max_size=4, unique=True))
    events = draw(st.integers(0, len(names)))
    pts_ns = np.cumsum(numbers.integers(1, 10**10, n)).astype(np.int64)
    corners = numbers.random((m if n else 0, 4), np.float32)
    corners[:, 2:] += 1
    count = len(corners)
    return Predictions(
        span=Span(0, int(pts_ns[-1]) + 1 if n else 1),
        scores=FrameScores(
            pts_ns,
            numbers.random((n, len(names)), np.float32),
            Labels(tuple(names[events:]), tuple(names[:events])),
        ),
        boxes=Boxes(
            numbers.integers(0, max(n, 1), count),
            corners,
            numbers.random(count, np.float32),
            numbers.integers(0, len(names), count),
        ),
        signals=Signals(
            {name: numbers.random(n, np.float32) for name in draw(st.sets(st.sampled_from(["motion", "cut"])))},
            draw(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2)),
        ),
        decode=DecodeFacts(frames=draw(st.integers(0, 10**6)), corrupt=3, samples=n, covered_ns=7),
        features=numbers.random((n, 3)).astype(np.float16) if draw(st.booleans()) else None,
    )


def plain(value: object) -> object:
    """All values of a record, with the types of its arrays."""
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if hasattr(value, "__dataclass_fields__"):
        return {name: plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, dict):
        return {name: plain(item) for name, item in value.items()}
    return value


@given(what=predictions())
@settings(max_examples=60, deadline=None)
def test_predictions_come_back_as_they_were(tmp_path_factory: pytest.TempPathFactory, what: Predictions) -> None:
    folder = tmp_path_factory.mktemp("p")
    save_predictions(folder, what, "the key")
    assert plain(load_predictions(folder)) == plain(what)
    assert plain(load_predictions(folder, features=False)) == plain(replace(what, features=None))
    assert stored_key(folder) == "the key"


@given(what=predictions())
@settings(max_examples=20, deadline=None)
def test_the_same_predictions_are_the_same_bytes(tmp_path_factory: pytest.TempPathFactory, what: Predictions) -> None:
    one, two = tmp_path_factory.mktemp("p"), tmp_path_factory.mktemp("p")
    save_predictions(one, what, "k")
    again = load_predictions(one)
    save_predictions(two, again, "k")
    assert (one / "predictions.npz").read_bytes() == (two / "predictions.npz").read_bytes()


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_damaged_predictions_are_refused_or_nothing_is_lost(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("p")
    save_predictions(folder, SOME, "the key")
    path = folder / "predictions.npz"
    raw = bytearray(path.read_bytes())
    if data.draw(st.booleans(), label="cut short"):
        del raw[data.draw(st.integers(0, len(raw) - 1)) :]
    for _ in range(data.draw(st.integers(1, 3))):
        if raw:
            raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw)
    assert stored_key(folder) in ("the key", None)
    try:
        found = load_predictions(folder)
    except UnusableResult as error:
        assert "predictions.npz: cannot be read" in str(error)
    else:
        assert plain(found) == plain(SOME)


def test_predictions_that_are_not_there_name_the_repair(tmp_path: Path) -> None:
    with pytest.raises(UnusableResult, match=r"not there\. Run `matchcut run` again"):
        load_predictions(tmp_path)
    assert stored_key(tmp_path) is None


class Bomb:
    """A pickle that leaves a trace when it is opened."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (str(self.trace),)


def an_archive_of_pickles(path: Path, bomb: Bomb) -> None:
    np.savez(path, allow_pickle=True, about=np.array([bomb], object), pts_ns=np.array([bomb], object))


def a_bare_pickle(path: Path, bomb: Bomb) -> None:
    path.write_bytes(pickle.dumps(bomb))


def an_archive_with_a_pickle_for_an_array(path: Path, bomb: Bomb) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("about.npy", pickle.dumps(bomb))


@pytest.mark.parametrize("write", [an_archive_of_pickles, a_bare_pickle, an_archive_with_a_pickle_for_an_array])
def test_a_pickle_is_never_opened(tmp_path: Path, write: Callable[[Path, Bomb], None]) -> None:
    write(tmp_path / "predictions.npz", Bomb(tmp_path / "trace"))
    assert stored_key(tmp_path) is None
    with pytest.raises(UnusableResult):
        load_predictions(tmp_path)
    assert not (tmp_path / "trace").exists()


ENCRYPTED, UNKNOWN = (6, 1), (8, 99)  # offset in an entry's head, value


@pytest.mark.parametrize("change", [ENCRYPTED, UNKNOWN])
def test_an_archive_of_another_kind_is_refused(tmp_path: Path, change: tuple[int, int]) -> None:
    save_predictions(tmp_path, SOME, "the key")
    path = tmp_path / "predictions.npz"
    raw = bytearray(path.read_bytes())
    offset, value = change
    for magic, extra in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):  # each entry, and its line in the directory
        for found in re.finditer(re.escape(magic), bytes(raw)):
            raw[found.start() + offset + extra] = value
    path.write_bytes(raw)
    assert stored_key(tmp_path) is None
    with pytest.raises(UnusableResult, match=r"cannot be read .* Run again with --force"):
        load_predictions(tmp_path)


def test_an_archive_that_does_not_unpack_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("about.npy", b"x" * 100)
    raw = bytearray(path.read_bytes())
    raw[30 + len("about.npy")] = 0x07  # the first packed byte: a kind of block that does not exist
    path.write_bytes(raw)
    with pytest.raises(UnusableResult, match="invalid block type"):
        load_predictions(tmp_path)
    assert stored_key(tmp_path) is None


@pytest.mark.parametrize("about", ["[]", "{}", '{"schema": "matchcut.predictions/1", "key": 7}'])
def test_arrays_of_another_program_are_refused(tmp_path: Path, about: str) -> None:
    np.savez(tmp_path / "predictions.npz", about=np.frombuffer(about.encode(), np.uint8))
    assert stored_key(tmp_path) is None
    with pytest.raises(UnusableResult, match=r"predictions\.npz: cannot be read"):
        load_predictions(tmp_path)


def test_an_archive_that_ends_early_inside_an_entry_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("about.npy", b"\x93NUMPY\x01\x00")
    raw = bytearray(path.read_bytes())
    entry = raw.index(b"PK\x01\x02")
    raw[entry + 20 : entry + 28] = struct.pack("<II", 500, 500)  # more than the file has left
    path.write_bytes(raw)
    assert stored_key(tmp_path) is None


def test_an_archive_that_would_unpack_to_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "predictions.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("about.npy", b"x" * 100)
    raw = bytearray(path.read_bytes())
    entry = raw.index(b"PK\x01\x02")
    raw[entry + 24 : entry + 28] = struct.pack("<I", 4_000_000_000)  # the size after unpacking, as the directory tells
    path.write_bytes(raw)
    assert stored_key(tmp_path) is None
    with pytest.raises(UnusableResult, match="ask for 4000000000 bytes"):
        load_predictions(tmp_path)


def test_an_array_that_claims_to_be_larger_than_any_memory_is_refused(tmp_path: Path) -> None:
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (1152921504606846976,), }\n"
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + b"1234"
    with zipfile.ZipFile(tmp_path / "predictions.npz", "w") as archive:
        archive.writestr("about.npy", array)
    assert stored_key(tmp_path) is None
    with pytest.raises(UnusableResult):
        load_predictions(tmp_path)
