"""CSV files -> rows: a file with its label and attributes, or an event in a long video.

path,label,age          path,start,end,label
a.jpg,cat,young         match.mp4,12.5,00:21,goal       seconds, mm:ss or hh:mm:ss, with decimals
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.data.timed import NS_PER_S, Event
from models.data.words import Locate, name_in
from pipeline.errors import DataError

_MAX_BYTES = 50_000_000  # about a million rows
_HEAD_BYTES = 4096
_DELIMITERS = ",;\t"
_TIMES = ("start", "end")
_OWN = ("path", "label", *_TIMES)
_TIME = re.compile(r"(?:(?:(\d{1,4}):)?(\d{1,4}):)?(\d{1,7})(?:\.(\d{1,9})\d*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Known:
    """What a row says of a whole file; `label` "" where it says none."""

    label: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Table:
    """A CSV file: either what is `known` of whole files, or `events` in videos."""

    known: Mapping[Path, Known]
    events: Mapping[Path, tuple[Event, ...]]
    problems: tuple[str, ...]


def is_table(path: Path) -> bool:
    """Does the first line of a CSV file name a column `path`?"""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return False
    first = head.decode("utf-8-sig", "replace").partition("\n")[0]
    return "path" in (cell.strip('" \r').lower() for cell in re.split(f"[{_DELIMITERS}]", first))


def read_table(path: Path, locate: Locate) -> Table:
    """All rows; one that cannot be used is a problem named by its line. Raises DataError."""
    columns, rows = rows_of(path)
    timed = _are_events(columns, path)
    unused = [name for name in columns if name and name not in _OWN] if timed else []
    problems = [f"not used: {path.name}: of events, {', '.join(unused)}"] if unused else []
    known, events = dict[Path, Known](), dict[Path, list[Event]]()
    for line, row in rows:
        try:
            place = locate(row.get("path", ""))
            if timed:
                events.setdefault(place, []).append(_event(row))
            elif place in known:
                raise DataError(f"{place.name} stands in an earlier line, which counts")
            else:
                known[place] = _known(row)
        except DataError as error:
            problems.append(f"row: {path.name}, line {line}: {error}")
    return Table(known, {place: tuple(all_of) for place, all_of in events.items()}, tuple(problems))


def rows_of(path: Path) -> tuple[list[str], list[tuple[int, dict[str, str]]]]:
    """Names of the columns in lower case, and each row that holds something, with the line that it ends on, from 1.
    Raises DataError."""
    if path.stat().st_size > _MAX_BYTES:
        raise DataError(f"{path.name}: {path.stat().st_size} bytes, {_MAX_BYTES} at most. Part it into several files")
    try:
        text = path.read_text(encoding="utf-8-sig")
        head = text.partition("\n")[0]
        reader = csv.reader(io.StringIO(text), delimiter=max(_DELIMITERS, key=head.count), strict=True)
        columns = [name_in(cell).lower() for cell in next(reader, [])]
        rows = [(reader.line_num, dict(zip(columns, cells, strict=False))) for cells in reader if any(cells)]
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path.name}: no CSV that can be read ({error}). Save it as CSV in UTF-8") from None
    return columns, rows


def _are_events(columns: Sequence[str], path: Path) -> bool:
    """Has the table times? Raises DataError where columns are missing or stand there twice."""
    times = [name for name in _TIMES if name in columns]
    if "path" not in columns:
        raise DataError(f"{path.name}: no column `path`, only {', '.join(columns)}. Name the columns in the first line")
    if len({name for name in columns if name}) < sum(map(bool, columns)):
        raise DataError(f"{path.name}: two columns of one name: {', '.join(columns)}. Rename one")
    if times and (len(times) < 2 or "label" not in columns):
        raise DataError(f"{path.name}: events need the columns start, end and label; it has {', '.join(columns)}")
    return bool(times)


def _known(row: Mapping[str, str]) -> Known:
    attributes = {name: name_in(value) for name, value in row.items() if name and name not in _OWN}
    return Known(name_in(row.get("label", "")), {name: value for name, value in attributes.items() if value})


def _event(row: Mapping[str, str]) -> Event:
    label = name_in(row.get("label", ""))
    if not label:
        raise DataError("no label. Say what is shown, or `none`")
    start_ns, end_ns = (time_ns(row.get(name, "")) for name in _TIMES)
    if end_ns <= start_ns:
        raise DataError(f"the event ends at {row['end'].strip()}, not after its start, {row['start'].strip()}")
    return Event(start_ns, end_ns, label)


def time_ns(text: str) -> int:
    """Seconds, mm:ss or hh:mm:ss, each with decimals, as exact nanoseconds. Raises DataError."""
    parts = _TIME.fullmatch(text.strip())
    hours, minutes, seconds, decimals = parts.groups("") if parts else ("", "", "", "")
    if not parts or (minutes and int(seconds) >= 60) or (hours and int(minutes) >= 60):
        raise DataError(f"{name_in(text)!r} is no time. Write seconds, mm:ss or hh:mm:ss")
    whole_s = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds)
    return whole_s * NS_PER_S + int(decimals.ljust(9, "0"))
