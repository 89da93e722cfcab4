"""All videos' segments and tags as two tables: Parquet where pyarrow is installed, JSON Lines where it is not."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from pipeline.records import Report
from pipeline.store.files import write_atomically

Row = dict[str, Any]


def write_tables(out: Path, reports: Sequence[tuple[str, Report]]) -> tuple[Path, Path]:
    """`segments` and `tags`, one row each; `reports` are (folder relative to `out`, report)."""
    segments = [row for folder, report in reports for row in _segment_rows(folder, report)]
    tags = [row for folder, report in reports for row in _tag_rows(folder, report)]
    return _write(out / "segments", segments), _write(out / "tags", tags)


def _segment_rows(folder: str, report: Report) -> list[Row]:
    return [
        {
            "video": report.video.path.name,
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
            "video": report.video.path.name,
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


def _write(stem: Path, rows: list[Row]) -> Path:
    """Publish one format and take away our older table of the other, which would tell another story."""
    parquet, lines = stem.with_suffix(".parquet"), stem.with_suffix(".jsonl")
    if rows and importlib.util.find_spec("pyarrow") is not None:
        write_atomically(parquet, lambda file: _write_parquet(file, rows))
        lines.unlink(missing_ok=True)
        return parquet
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    write_atomically(lines, lambda file: file.write(text.encode("utf-8", "surrogateescape")))
    parquet.unlink(missing_ok=True)
    return lines


def _write_parquet(file: BinaryIO, rows: list[Row]) -> None:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
