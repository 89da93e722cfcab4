"""Files are whole or not there, one process writes at a time, and what cannot be trusted is refused by name."""

from __future__ import annotations

import errno
import json
import os
import pickle
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import Config, LabelRule, override_config
from pipeline.errors import DirectoryLocked, DiskFull, UnusableResult, UsageError
from pipeline.names import slug, video_folder_name
from pipeline.records import Boxes, DecodeFacts, FrameScores, Labels, Predictions, Signals
from pipeline.store import (
    Fingerprints,
    State,
    clean_leftovers,
    file_facts,
    load_predictions,
    load_settings,
    load_state,
    locked,
    read_json,
    save_predictions,
    save_settings,
    save_state,
    stored_key,
    write_atomically,
    write_json,
    write_text,
)
from pipeline.timeline import Span
from tests.predicted import predicted

FILE_NAMES = st.binary(min_size=1, max_size=40).map(lambda raw: os.fsdecode(raw.translate(None, b"\0/") + b"x"))
SOME = predicted([0, 500, 1000], 1500, tags={"a": [0.1, 0.2, 0.3]}, signals={"motion": [0.0, 0.5, 1.0]})


# Files


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt(), OSError(errno.EIO, "the disk fails")])
def test_a_writer_that_fails_half_way_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(b"the old one")

    def write(file: BinaryIO) -> None:
        file.write(b"half of the new")
        raise error

    with pytest.raises(type(error)):
        write_atomically(path, write)
    assert path.read_bytes() == b"the old one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_named_with_the_path_and_the_bytes(tmp_path: Path, number: int) -> None:
    path = tmp_path / "predictions.npz"

    def write(file: BinaryIO) -> None:
        raise OSError(number, os.strerror(number))

    with pytest.raises(DiskFull, match=f"{re.escape(str(path))}: the disk is full; 12345 bytes are needed, [0-9]+ are"):
        write_atomically(path, write, 12_345)
    assert list(tmp_path.iterdir()) == []


def test_what_a_file_holds_already_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    before = path.stat()
    write_json(path, {"a": 1})
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    write_json(path, {"a": 2})
    assert read_json(path) == {"a": 2}


@given(name=FILE_NAMES)
@settings(max_examples=50)
def test_any_file_name_survives_json(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    path = tmp_path_factory.mktemp("names") / "a.json"
    write_json(path, {name: name})
    assert read_json(path) == {name: name}
    path.read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe", b"{'a': 1}"])
def test_json_that_is_none_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(UnusableResult, match=r"a\.json: not valid JSON .* Delete it"):
        read_json(tmp_path / "a.json")


def test_json_that_is_not_there_is_none_and_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    assert read_json(tmp_path / "a.json") is None
    with pytest.raises(UnusableResult, match="cannot be read"):
        read_json(tmp_path)


def test_leftovers_of_a_killed_run_are_removed_and_nothing_else(tmp_path: Path) -> None:
    ours = [".matchcut-123-summary.json", ".matchcut/.matchcut-1-x", "videos/a-1/.matchcut-77-report.json"]
    ours.append("videos/a-1/clips/.matchcut-77-00.00.00.000-goal.mp4")
    others = [".matchcut-notes.txt", "notes.txt", "videos/a-1/.matchcut-old", "mine/.matchcut-5-x", ".matchcut/lock"]
    for name in ours + others:
        write_text(tmp_path / name, "x")
    (tmp_path / ".matchcut-9-folder").mkdir()
    clean_leftovers(tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == set(others)
    assert (tmp_path / ".matchcut-9-folder").is_dir()


# Predictions


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


# State, settings, fingerprints


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    state = State(input="../../a\udc80.mp4", video_id="5e", model_version="77", config_digest="01", files=("reel.mp4",))
    state = state.done("predict", "k1", 1.25).failed("publish", "a.mp4: no room", "k2")
    save_state(tmp_path, state)
    assert load_state(tmp_path) == state


def test_a_stage_is_done_only_with_its_key_and_until_it_is_taken_back() -> None:
    state = State().done("predict", "k1", 1.0).done("publish", "k2", 2.0)
    assert state.is_done("publish", "k2") and not state.is_done("publish", "k1")
    assert state.seconds("predict") == 1.0 and state.seconds("reading") == 0.0
    assert not state.without("publish").is_done("publish", "k2")
    assert state.without("publish").is_done("predict", "k1")
    failed = state.failed("publish", "no room")
    assert failed.has_failed("publish") and not failed.is_done("publish", "k2")
    assert not failed.done("publish", "k3", 0.0).has_failed("publish")


@pytest.mark.parametrize(
    "changed",
    [
        {"schema": "matchcut.state/2"},
        {"stages": []},
        {"stages": {"predict": {"state": "done"}}},
        {"stages": {"predict": {"state": "done", "key": "k", "when": "", "seconds": "long", "error": None}}},
        {"files": "reel.mp4"},
        {"files": [7]},
        {"video_id": None},
    ],
)
def test_a_state_that_is_none_of_ours_counts_as_none(tmp_path: Path, changed: dict[str, Any]) -> None:
    save_state(tmp_path, State().done("predict", "k", 1.0))
    data = json.loads((tmp_path / "state.json").read_text()) | changed
    (tmp_path / "state.json").write_text(json.dumps(data))
    assert load_state(tmp_path) == State()


def test_settings_are_remembered_to_the_last_label(tmp_path: Path) -> None:
    config = override_config(
        Config(),
        {
            "decode": {"sample_hz": 5},
            "excite": {"gate_tags": ["soccer"]},
            "aggregate": {"labels": {"goal": {"pre_s": 9}}},
        },
        "test",
    )
    assert isinstance(config.aggregate.labels["goal"], LabelRule)
    save_settings(tmp_path, config)
    assert load_settings(tmp_path) == config
    assert load_settings(tmp_path / "elsewhere") == Config()


def counting(path: Path) -> Callable[[Path], str]:
    """A fingerprint that leaves a mark in `path` each time it is computed."""

    def compute(file: Path) -> str:
        with path.open("a") as marks:
            marks.write("x")
        return f"id of {file.read_bytes()!r}"

    return compute


def test_a_fingerprint_is_computed_once_while_the_file_stands(tmp_path: Path) -> None:
    video, marks = tmp_path / "a.mp4", tmp_path / "marks"
    video.write_bytes(b"one")
    for _ in range(2):
        known = Fingerprints(tmp_path)
        assert known.get(video, counting(marks)) == known.get(video, counting(marks)) == "id of b'one'"
        known.save()
    assert marks.read_text() == "x"


@pytest.mark.parametrize("how", ["longer", "touched", "replaced"])
def test_a_fingerprint_is_computed_again_when_the_file_changed(tmp_path: Path, how: str) -> None:
    video, marks = tmp_path / "a.mp4", tmp_path / "marks"
    video.write_bytes(b"one")
    os.utime(video, ns=(0, 1_000))
    known = Fingerprints(tmp_path)
    known.get(video, counting(marks))
    if how == "longer":
        video.write_bytes(b"more")
        os.utime(video, ns=(0, 1_000))
    elif how == "touched":
        video.write_bytes(b"two")
        os.utime(video, ns=(0, 2_000))
    else:
        (tmp_path / "b").write_bytes(b"two")
        os.utime(tmp_path / "b", ns=(0, 1_000))
        (tmp_path / "b").replace(video)
    assert known.get(video, counting(marks)) == f"id of {video.read_bytes()!r}"


def test_a_broken_memory_of_fingerprints_costs_only_a_reading(tmp_path: Path) -> None:
    video, marks = tmp_path / "a.mp4", tmp_path / "marks"
    video.write_bytes(b"one")
    facts = {"size": 3, "mtime_ns": video.stat().st_mtime_ns, "inode": video.stat().st_ino}
    for broken in ("{", "[]", json.dumps({str(video): 7}), json.dumps({str(video): {"facts": facts, "id": 7}})):
        write_text(tmp_path / ".matchcut" / "fingerprints.json", broken)
        assert Fingerprints(tmp_path).get(video, counting(marks)) == "id of b'one'"


def test_a_file_that_went_away_has_no_facts(tmp_path: Path) -> None:
    assert file_facts(tmp_path / "gone.mp4") is None


# The lock


@contextmanager
def holder(out: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock of `out` until it is killed."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom pipeline.store.lock import locked\n"
        "with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(out)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_second_writer_is_refused_at_once_and_told_who_writes(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        began = time.monotonic()
        who = f"process {process.pid} on {re.escape(socket.gethostname())}"
        with pytest.raises(DirectoryLocked, match=who), locked(tmp_path):
            pass
        assert time.monotonic() - began < 1
        process.kill()
        process.wait()
        with locked(tmp_path):  # what the dead one held is free
            pass


def test_with_wait_the_second_writer_has_its_turn_afterwards(tmp_path: Path) -> None:
    order: list[str] = []

    def wait() -> None:
        with locked(tmp_path, wait=True):
            order.append("second")

    second = threading.Thread(target=wait)
    with locked(tmp_path):
        second.start()
        time.sleep(0.1)
        order.append("first")
    second.join(5)
    assert order == ["first", "second"]


def test_readers_need_no_lock_and_a_file_in_place_of_the_folder_is_a_mistake_in_the_request(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("x")
    with pytest.raises(UsageError, match="out: not a folder"), locked(tmp_path / "out"):
        pass


# Names


HOSTILE = [
    "-rf",
    "a\nb",
    'it\'s "q"',
    "100%d",
    "żółć 球",
    "..",
    ".",
    "",
    "a" * 255,
    "\udcff\udc80",
    "a/../b",
    "CON",
    " ",
]


@given(stem=st.one_of(st.sampled_from(HOSTILE), FILE_NAMES, st.text(max_size=60)), relative=FILE_NAMES)
def test_a_folder_name_is_short_and_plain_whatever_the_file_is_called(stem: str, relative: str) -> None:
    name = video_folder_name(stem, "5e" * 32, relative)
    assert re.fullmatch(r"[a-z0-9][a-z0-9-]{0,39}-[0-9a-f]{8}", name)
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", slug(stem))


def test_a_name_is_readable_where_the_stem_is() -> None:
    assert slug("Final (Übertragung) 2026") == "final-ubertragung-2026"
    assert video_folder_name("Game 1", "5e", "Game 1.mp4").startswith("game-1-")


@given(one=FILE_NAMES, two=FILE_NAMES)
def test_equal_files_at_two_places_do_not_share_a_folder(one: str, two: str) -> None:
    same = video_folder_name("a", "5e", one) == video_folder_name("a", "5e", two)
    assert same == (one == two)


def test_another_content_has_another_folder() -> None:
    assert video_folder_name("a", "5e", "a.mp4") != video_folder_name("a", "5f", "a.mp4")
