"""All videos' segments and tags as two tables: Parquet where pyarrow is installed, JSON Lines where it is not."""

from __future__ import annotations

import importlib.util
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.records import Report
from pipeline.store.files import write_bytes, write_text

Row = dict[str, Any]

_SEGMENTS = {
    "video": "string",
    "video_id": "string",
    "folder": "string",
    "segment": "int64",
    "label": "string",
    "score": "float64",
    "score_kind": "string",
    "start_ns": "int64",
    "end_ns": "int64",
    "event_start_ns": "int64",
    "event_end_ns": "int64",
    "peak_ns": "int64",
    "clip": "string",
}
_TAGS = {
    "video": "string",
    "video_id": "string",
    "folder": "string",
    "taxonomy": "string",
    "id": "string",
    "name": "string",
    "score": "float64",
    "coverage": "float64",
}


def write_tables(out: Path, reports: Sequence[tuple[str, Report]]) -> tuple[Path, Path]:
    """`segments` and `tags`, one row each; `reports` are (folder relative to `out`, report)."""
    segments = [row for folder, report in reports for row in _segment_rows(folder, report)]
    tags = [row for folder, report in reports for row in _tag_rows(folder, report)]
    return _write(out / "segments", segments, _SEGMENTS), _write(out / "tags", tags, _TAGS)


def _segment_rows(folder: str, report: Report) -> list[Row]:
    return [
        {
            "video": _printable(report.video.path.name),
            "video_id": report.video.video_id,
            "folder": folder,
            "segment": index,
            "label": segment.label,
            "score": segment.score,
            "score_kind": segment.score_kind,
            "start_ns": segment.span.start_ns,
            "end_ns": segment.span.end_ns,
            "event_start_ns": segment.event.start_ns,
            "event_end_ns": segment.event.end_ns,
            "peak_ns": segment.peak_ns,
            "clip": clip.path if (clip := report.clip_of(index)) else None,
        }
        for index, segment in enumerate(report.segments)
    ]


def _tag_rows(folder: str, report: Report) -> list[Row]:
    return [
        {
            "video": _printable(report.video.path.name),
            "video_id": report.video.video_id,
            "folder": folder,
            "taxonomy": tag.taxonomy,
            "id": tag.id,
            "name": tag.name,
            "score": tag.score,
            "coverage": tag.coverage,
        }
        for tag in report.tags
    ]


def _printable(name: str) -> str:
    """A byte of a file name that is no UTF-8 is written as `\\udc80` to `\\udcff`: a table holds text only."""
    return name.encode("utf-8", "backslashreplace").decode()


def _write(stem: Path, rows: list[Row], columns: Mapping[str, str]) -> Path:
    """Publish one format and take away our older table of the other, which would tell another story."""
    parquet, lines = stem.with_suffix(".parquet"), stem.with_suffix(".jsonl")
    if importlib.util.find_spec("pyarrow") is not None:
        write_bytes(parquet, _parquet(rows, columns))
        lines.unlink(missing_ok=True)
        return parquet
    write_text(lines, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    parquet.unlink(missing_ok=True)
    return lines


def _parquet(rows: list[Row], columns: Mapping[str, str]) -> bytes:
    """Every column has its type even where all its values are missing, so that tables of several runs can be joined."""
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.schema([(name, pyarrow.type_for_alias(kind)) for name, kind in columns.items()])
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows, schema), file)
    return file.getvalue()
