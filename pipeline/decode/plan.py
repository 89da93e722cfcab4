"""Which packets of a chunk are decoded, skipped or dropped. Pure: integers in, decisions out.

One GOP in decode order, wanted frames marked *:

    K  P  b  b* P  b  b  P  b  b  | K ...     K, P: others refer to them    b: nothing refers to it
    .  .  s  .  d  d  d  d  d  d    .         . decoded  s skipped by the decoder  d never sent

After the last wanted frame of a GOP nothing is sent, and the decoder is flushed before the next key frame. That is
exact when the next GOP stands alone. Where it does not (open GOP: *leading* pictures, which come after a key frame but
are displayed before it, refer to both sides), a wanted leading picture keeps every reference of the GOP before it.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum


class Action(Enum):
    """What is done with a packet."""

    DECODE = "decode"
    SKIP = "skip"  # sent, but the decoder leaves it out if no other picture refers to it
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class Plan:
    """One action per packet; `flush` holds the packets before which the decoder forgets all it knew."""

    actions: tuple[Action, ...]
    flush: frozenset[int]
    wanted: frozenset[int]  # the pts that must come out; anything else tells that the plan does not hold here


def plan(
    pts: Sequence[int],
    shown: Sequence[bool],
    starts: Sequence[int],
    ticks: Sequence[int],
    *,
    fields: bool,
) -> Plan:
    """Decide for the packets of one chunk.

    pts     per packet in decode order; the chunk's GOPs, then the next key frame and its leading pictures (the coda)
    shown   per packet: may it be displayed by this chunk? (not pre-roll, not the next chunk's key frame)
    starts  index of each GOP's key packet, the coda's included; the first is 0
    ticks   wanted times, sorted, in stream ticks: the frame of the greatest pts <= tick is wanted
    fields  a frame comes as two packets: nothing is skipped, and a frame's neighbours in display order are kept too
    """
    displayed = sorted(p for p, is_shown in zip(pts, shown, strict=True) if is_shown)
    wanted = _on_display(displayed, ticks)
    needed = _with_neighbours(displayed, wanted) if fields else wanted
    unwanted = Action.DECODE if fields else Action.SKIP  # a field without its other half spoils the next picture
    actions = [Action.DECODE if p in needed else unwanted for p in pts]
    flush: set[int] = set()
    ends = [*starts[1:], len(pts)]
    for gop, (start, end) in enumerate(zip(starts, ends, strict=True)):
        if gop + 1 < len(starts) and _leads_wanted(pts, end, ends[gop + 1], needed):
            continue  # the next GOP's wanted leading pictures refer to any of these
        last = max((i for i in range(start, end) if pts[i] in needed), default=start - 1)
        if last < end - 1:
            actions[last + 1 : end] = [Action.DROP] * (end - 1 - last)
            flush.add(end)
    return Plan(tuple(actions), frozenset(flush), frozenset(wanted))


def _on_display(displayed: Sequence[int], ticks: Sequence[int]) -> set[int]:
    found = {bisect_right(displayed, tick) - 1 for tick in ticks}
    return {displayed[i] for i in found if i >= 0}


def _with_neighbours(displayed: Sequence[int], wanted: set[int]) -> set[int]:
    places = {bisect_left(displayed, p) for p in wanted}
    return {displayed[j] for i in places for j in (i - 1, i, i + 1) if 0 <= j < len(displayed)}


def _leads_wanted(pts: Sequence[int], key: int, end: int, needed: set[int]) -> bool:
    return any(pts[i] in needed and pts[i] < pts[key] for i in range(key, end))
