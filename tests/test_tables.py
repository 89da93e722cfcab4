"""All moments and tags of a run as two tables, the same rows in Parquet and in JSON Lines."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest

from pipeline.records import Report, Tag
from pipeline.store import write_tables
from pipeline.timeline import Span
from tests.pages import report, seconds, segment

FOLDER = "videos/game-1a2b3c4d"
SOCCER = Tag(taxonomy="labels", id="soccer", name="soccer", score=0.8, coverage=0.5, spans=(Span(0, seconds(50)),))
REPORT = report((segment(10), segment(40, "save", 0.75)), tags=(SOCCER,))


@pytest.fixture(params=["parquet", "jsonl"])
def ending(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What tables are written as: with pyarrow, and as if it were not installed."""
    if request.param == "jsonl":
        monkeypatch.setitem(sys.modules, "pyarrow", None)
    return str(request.param)


def rows_of(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows: list[dict[str, Any]] = pyarrow.parquet.read_table(path).to_pylist()
    return rows


def without_clip(whole: Report, index: int) -> Report:
    return replace(whole, clips=tuple(clip for clip in whole.clips if clip.segment != index))


def test_every_moment_and_every_tag_is_a_row(tmp_path: Path, ending: str) -> None:
    segments, tags = write_tables(tmp_path, [(FOLDER, REPORT)])
    assert (segments.name, tags.name) == (f"segments.{ending}", f"tags.{ending}")
    assert rows_of(segments)[1] == {
        "video": "game.mp4",
        "video_id": "5e" * 32,
        "folder": FOLDER,
        "segment": 1,
        "label": "save",
        "score": 0.75,
        "score_kind": "calibrated",
        "start_ns": seconds(40),
        "end_ns": seconds(50),
        "event_start_ns": seconds(46),
        "event_end_ns": seconds(47),
        "peak_ns": seconds(46.5),
        "clip": "clips/1.mp4",
    }
    about = {"video": "game.mp4", "video_id": "5e" * 32, "folder": FOLDER}
    assert rows_of(tags) == [
        about | {"taxonomy": "labels", "id": "soccer", "name": "soccer", "score": 0.8, "coverage": 0.5}
    ]


def test_a_clip_stands_beside_its_own_moment_and_no_other(tmp_path: Path, ending: str) -> None:
    segments, _ = write_tables(tmp_path, [(FOLDER, without_clip(REPORT, 0))])
    assert [row["clip"] for row in rows_of(segments)] == [None, "clips/1.mp4"]


def test_all_videos_of_a_run_stand_in_one_table_in_their_order(tmp_path: Path, ending: str) -> None:
    segments, tags = write_tables(tmp_path, [("videos/a-1", REPORT), ("videos/b-2", REPORT)])
    assert [row["folder"] for row in rows_of(segments)] == ["videos/a-1"] * 2 + ["videos/b-2"] * 2
    assert [row["folder"] for row in rows_of(tags)] == ["videos/a-1", "videos/b-2"]


def test_our_older_table_of_the_other_kind_is_taken_away(tmp_path: Path, ending: str) -> None:
    other = tmp_path / ("segments.jsonl" if ending == "parquet" else "segments.parquet")
    other.write_text("another story")
    write_tables(tmp_path, [(FOLDER, REPORT)])
    assert not other.exists()


def test_a_second_writing_of_the_same_changes_no_file(tmp_path: Path, ending: str) -> None:
    before = [path.stat().st_mtime_ns for path in write_tables(tmp_path, [(FOLDER, REPORT)])]
    assert [path.stat().st_mtime_ns for path in write_tables(tmp_path, [(FOLDER, REPORT)])] == before


def test_a_run_without_moments_has_tables_without_rows(tmp_path: Path, ending: str) -> None:
    paths = write_tables(tmp_path, [])
    assert [(path.suffix, rows_of(path)) for path in paths] == [(f".{ending}", [])] * 2


def test_a_file_name_that_is_no_text_is_written_as_text(tmp_path: Path, ending: str) -> None:
    odd = replace(REPORT, video=replace(REPORT.video, path=Path("/footage/a\udc80.mp4")))
    segments, _ = write_tables(tmp_path, [(FOLDER, odd)])
    assert rows_of(segments)[0]["video"] == "a\\udc80.mp4"


def test_a_column_keeps_its_type_where_every_value_is_missing(tmp_path: Path) -> None:
    runs = {"none": [], "full": [(FOLDER, REPORT)], "unmade": [(FOLDER, replace(REPORT, clips=()))]}
    schemas = [pyarrow.parquet.read_schema(write_tables(tmp_path / name, run)[0]) for name, run in runs.items()]
    assert schemas[0] == schemas[1] == schemas[2]
