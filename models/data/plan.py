"""Which pictures of a file are looked at, before any is read: one of a picture, some of a clip, moments of a video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from models.data.find import Source
from models.data.reader import Reader
from models.data.timed import NS_PER_S, Event, Moment, clashes, moments
from pipeline.errors import VideoError


@dataclass(frozen=True, slots=True)
class Plan:
    """A file, the moments of a clip (none of a picture), and what is wrong with it; without pictures it is left out."""

    source: Source
    moments: tuple[Moment, ...]
    pictures: int
    problems: tuple[str, ...] = ()


def planned(source: Source, reader: Reader, frames: int, blocks: int) -> Plan:
    """At most `frames` of a clip, evenly spread, or of each event; a long video in at most `blocks` blocks of time."""
    try:
        if not reader.is_video(source.path):
            return _of_picture(source)
        duration_ns = reader.duration_ns(source.path)
    except (VideoError, OSError) as error:
        return Plan(source, (), 0, (f"unreadable: {error}",))
    name = source.path.name
    boxed = (f"not used: {name}: boxes of a clip",) if source.marks else ()
    if not (source.events or source.label or source.attributes):
        return Plan(source, (), 0, boxed)
    if not source.events:
        times_ns = {(2 * k + 1) * duration_ns // (2 * frames) for k in range(frames)}
        taken = tuple(Moment(t_ns, source.label, 0) for t_ns in sorted(times_ns))
        return Plan(source, taken, len(taken), boxed)
    events = [replace(event, end_ns=min(event.end_ns, duration_ns)) for event in source.events]
    inside = [event for event in events if event.start_ns < duration_ns]
    taken = moments(inside, duration_ns, frames, blocks) if inside else ()
    return Plan(source, taken, len(taken), (*boxed, *_late(source.events, duration_ns, name), *_clashing(inside, name)))


def _of_picture(source: Source) -> Plan:
    if not source.events:
        return Plan(source, (), 1)
    return Plan(source, (), 0, (f"unreadable: {source.path.name}: events in what is no video by its ending",))


def _late(events: Sequence[Event], duration_ns: int, name: str) -> Iterator[str]:
    for event in sorted(events):
        if event.end_ns > duration_ns:
            what = "is cut there" if event.start_ns < duration_ns else "is left out"
            yield f"event after the end: {name}: {_told(event)} of {_s(duration_ns)} s {what}"


def _clashing(events: Sequence[Event], name: str) -> Iterator[str]:
    for one, other in clashes(events):
        yield f"overlap: {name}: {_told(one)} and {_told(other)}; each picture is of the one whose middle is nearer"


def _told(event: Event) -> str:
    return f"{event.label} from {_s(event.start_ns)} to {_s(event.end_ns)} s"


def _s(t_ns: int) -> str:
    return f"{t_ns / NS_PER_S:.3f}".rstrip("0").rstrip(".")
