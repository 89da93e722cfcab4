"""Events in a long video -> the moments that are looked at, and what each shows. Pure: integers, no files.

    0 s      10        20        30        40 s       G goal, F foul; two pictures a second of them
    |--n--n--|1s GGGGGGG 1s|--n--n--|1s FFFFF 1s|--|
                               ^ where a block of time may end: in the middle of what is not timed

What is not timed shows `none`, except within a second of an event, whose edges are where a person pressed a key.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from models.spec import NONE

NS_PER_S = 1_000_000_000
BLOCKS = 10  # at most, of one video

_RATE_HZ = 2
_EDGE_NS = NS_PER_S
_NEGATIVE_EVERY_NS = 10 * NS_PER_S  # at least, where events are few
_MOST_NEGATIVES = 1000  # of one video


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """`[start_ns, end_ns)` of a video shows `label`."""

    start_ns: int
    end_ns: int
    label: str

    @property
    def middle_ns(self) -> int:
        return (self.start_ns + self.end_ns) // 2


Stretch = tuple[int, int]  # [start_ns, end_ns), never empty


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """What is shown at a time; `block` numbers the part of the video that is trained on or judged as a whole."""

    t_ns: int
    label: str
    block: int


def moments(events: Sequence[Event], duration_ns: int, most: int, blocks: int) -> tuple[Moment, ...]:
    """Times in order, each once: of every event at most `most`, and about as many of what is not timed.

    Events lie inside [0, duration_ns). At most `blocks` blocks, parted where nothing is timed; no picture of `none` is
    within a second of a place where they part.
    """
    ordered = sorted(events)
    labels = dict(_labelled(sorted({t_ns for event in ordered for t_ns in _times(event, most)}), ordered))
    free = _untimed(ordered, duration_ns)
    cuts = _cuts(ordered, free, blocks)
    negatives = _spread([part for stretch in free for part in _beside(stretch, cuts)], len(labels))
    labels |= dict.fromkeys(negatives, NONE)
    return tuple(Moment(t_ns, labels[t_ns], bisect_right(cuts, t_ns)) for t_ns in sorted(labels))


def clashes(events: Sequence[Event]) -> Iterator[tuple[Event, Event]]:
    """Each event that begins inside an earlier one of another label, and that one."""
    last: dict[str, Event] = {}  # of each label, the event that ends last so far
    for event in sorted(events):
        others = [other for label, other in last.items() if label != event.label and other.end_ns > event.start_ns]
        yield from ((other, event) for other in others[:1])
        last[event.label] = max(last.get(event.label, event), event, key=lambda known: known.end_ns)


def _times(event: Event, most: int) -> Iterator[int]:
    """Two a second, evenly spread, never at an edge; one of an event that is shorter."""
    duration_ns = event.end_ns - event.start_ns
    count = max(1, min(most, duration_ns * _RATE_HZ // NS_PER_S))
    return (event.start_ns + (2 * k + 1) * duration_ns // (2 * count) for k in range(count))


def _labelled(times_ns: Sequence[int], events: Sequence[Event]) -> Iterator[tuple[int, str]]:
    """Of events that overlap, the one whose middle is nearer; of two as near, the earlier. Both lists are sorted."""
    coming, here = deque(events), list[Event]()
    for t_ns in times_ns:
        while coming and coming[0].start_ns <= t_ns:
            here.append(coming.popleft())
        here = [event for event in here if event.end_ns > t_ns]
        yield t_ns, min(here, key=lambda event: abs(event.middle_ns - t_ns)).label


def _untimed(events: Sequence[Event], duration_ns: int) -> list[Stretch]:
    """What is at least a second away from all events."""
    found, begin = list[Stretch](), 0
    for event in events:
        if event.start_ns - _EDGE_NS > begin:
            found.append((begin, event.start_ns - _EDGE_NS))
        begin = max(begin, event.end_ns + _EDGE_NS)
    return [*found, (begin, duration_ns)] if begin < duration_ns else found


def _cuts(events: Sequence[Event], free: Sequence[Stretch], blocks: int) -> list[int]:
    """Middles of stretches between events, such that no block but the last has fewer events than its share."""
    share = -(-len(events) // blocks)
    cuts, before = list[int](), 0
    for start, end in free:
        begun = bisect_left(events, start, key=lambda event: event.start_ns)
        if begun - before >= share and begun < len(events):
            cuts.append((start + end) // 2)
            before = begun
    return cuts


def _beside(stretch: Stretch, cuts: Sequence[int]) -> Iterator[Stretch]:
    """The stretch without the seconds around the one cut that may lie in it."""
    start, end = stretch
    cut = next((cut for cut in cuts if start <= cut < end), None)
    parts = [stretch] if cut is None else [(start, cut - _EDGE_NS), (cut + _EDGE_NS, end)]
    return (part for part in parts if part[0] < part[1])


def _spread(free: Sequence[Stretch], events: int) -> Iterator[int]:
    """Times evenly spread over all that is free: as many as pictures of events, or one every 10 s if that is more."""
    total_ns = sum(end - start for start, end in free)
    count = min(max(events, total_ns // _NEGATIVE_EVERY_NS), total_ns * _RATE_HZ // NS_PER_S, _MOST_NEGATIVES)
    place, passed = iter(free), 0
    start = end = 0
    for k in range(count):
        at = (2 * k + 1) * total_ns // (2 * count)
        while at - passed >= end - start:
            passed += end - start
            start, end = next(place)
        yield start + at - passed
