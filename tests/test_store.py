"""Files are whole or not there, one process writes at a time, and what cannot be trusted is refused by name."""

from __future__ import annotations

import errno
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import Config, LabelRule, override_config
from pipeline.errors import DirectoryLocked, DiskFull, UnusableResult, UsageError
from pipeline.names import slug, video_folder_name
from pipeline.store import (
    Fingerprints,
    State,
    clean_leftovers,
    file_facts,
    load_settings,
    load_state,
    locked,
    read_json,
    save_settings,
    save_state,
    write_atomically,
    write_json,
    write_text,
)

FILE_NAMES = st.binary(min_size=1, max_size=40).map(lambda raw: os.fsdecode(raw.translate(None, b"\0/") + b"x"))


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

    with pytest.raises(
        DiskFull, match=f"{re.escape(str(path))}: the disk is full; about 12345 bytes are needed, [0-9]+ are"
    ):
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
