"""What people know to be true, and predictions of others, as files: read, checked, named where something is wrong.

moments   CSV with the columns path, start, end, label; times in seconds or hh:mm:ss.mmm. A row with a path alone
          says that this video was watched, and nothing is in it
cuts      JSON: {video: {"transitions": [[begin, end], ...], "frame_num": n}}, as ClipShots has its truth, or
          {video: {"cut": [[begin, end], ...], "gradual": [...]}}, as it has predictions
scores    JSON: {video: [score of each frame]}
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from models.data.table import rows_of, time_ns
from pipeline.errors import DataError
from pipeline.judge import Moment, Transitions
from pipeline.timeline import Span

COLUMNS = ("path", "start", "end", "label")


@dataclass(frozen=True, slots=True)
class KnownMoments:
    """Moments by the name of their video; `watched` are all videos that the file speaks of; `unknown` are paths in it
    that no video has."""

    moments: tuple[Moment, ...]
    watched: frozenset[str]
    unknown: tuple[str, ...]


def read_moments(path: Path, videos: Sequence[str]) -> KnownMoments:
    """The truth in a CSV, about `videos`. A row's path names the video whose path ends in it, folder by folder. Raises
    DataError for a path that two videos end in, for a line that cannot be read, or where no path is known."""
    found, watched, unknown = [], set(), []
    for line, row in _table(path):
        where = f"{path}, line {line}"
        video = _ending_in(row["path"], videos, where)
        if video is None:
            unknown.append(row["path"])
            continue
        watched.add(video)
        if row["start"] or row["end"] or row["label"]:
            found.append(_moment(video, row, where))
    if not watched:
        raise DataError(f"{path}: none of its paths is that of a video here: {', '.join(unknown[:3]) or 'it is empty'}")
    return KnownMoments(tuple(found), frozenset(watched), tuple(dict.fromkeys(unknown)))


def _table(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Rows with the number of their line, empty where a column is; further columns are left out."""
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    columns, rows = rows_of(path)
    if not set(COLUMNS) <= set(columns):
        raise DataError(f"{path}: its first line is to name the columns {','.join(COLUMNS)}")
    return [(line, {name: row.get(name, "").strip() for name in COLUMNS}) for line, row in rows]


def _ending_in(path: str, videos: Sequence[str], where: str) -> str | None:
    parts = PurePath(path).parts
    if not parts:
        raise DataError(f"{where}: no path. Write the video's name, or the end of its path")
    same = [video for video in videos if PurePath(video).parts[-len(parts) :] == parts]
    if len(same) > 1:
        raise DataError(f"{where}: {path} may be {' or '.join(same[:3])}. Write more of its folders")
    return same[0] if same else None


def _moment(video: str, row: Mapping[str, str], where: str) -> Moment:
    start_ns, end_ns = (_time_ns(row[name], f"{where}: {name}") for name in ("start", "end"))
    if not row["label"]:
        raise DataError(f"{where}: no label. Write what is seen there")
    if start_ns >= end_ns:
        raise DataError(
            f"{where}: it ends at {row['end']}, but starts at {row['start']}. A moment ends after its start"
        )
    return Moment(video=video, label=row["label"], span=Span(start_ns, end_ns))


def _time_ns(text: str, where: str) -> int:
    try:
        return time_ns(text)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None


def read_transitions(path: Path) -> dict[str, Transitions]:
    """Shot boundaries by video. Raises DataError naming the video."""
    return {video: _transitions(value, f"{path}, {video}") for video, value in _object(path).items()}


def _transitions(value: Any, where: str) -> Transitions:
    try:
        if "transitions" in value:
            return Transitions.of(_pairs(value["transitions"]), int(value.get("frame_num", 0)))
        return Transitions(cut=_pairs(value["cut"]), gradual=_pairs(value["gradual"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{where}: {type(error).__name__} {error}. Write {{transitions: [[begin, end], ...]}} or {{cut, gradual}}"
        ) from error


def _pairs(rows: Any) -> tuple[tuple[int, int], ...]:
    return tuple((int(begin), int(end)) for begin, end in rows)


def read_scores(path: Path) -> dict[str, list[float]]:
    """A finite score for each frame, by video. Raises DataError naming the video."""
    scores = _object(path)
    for video, values in scores.items():
        if not isinstance(values, list) or not all(type(v) in (int, float) and math.isfinite(v) for v in values):
            raise DataError(f"{path}, {video}: a list of numbers is wanted, one for each frame")
    return scores


def read_rows(path: Path) -> list[Any]:
    """JSON Lines: a value each. Raises DataError naming the line."""
    lines = enumerate(_text(path).split("\n"), start=1)
    return [_parsed(line, f"{path}, line {number}") for number, line in lines if line.strip()]


def _object(path: Path) -> dict[str, Any]:
    value = _parsed(_text(path), str(path))
    if not isinstance(value, dict):
        raise DataError(f"{path}: an object with a key for each video is wanted")
    return value


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: no JSON ({error})") from error


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise DataError(f"{path}: no such file") from error
    except (IsADirectoryError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: no text in UTF-8 ({error})") from error
