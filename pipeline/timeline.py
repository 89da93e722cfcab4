"""Time as integers: nanoseconds since the first displayed frame, intervals `[start, end)`, timecodes for people.

Knows no files and no frames. Conversions from stream ticks are exact: integer arithmetic, floor, so that order is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """`[start_ns, end_ns)`, never empty, never before t = 0."""

    start_ns: int
    end_ns: int

    def __post_init__(self) -> None:
        if not 0 <= self.start_ns < self.end_ns:
            raise ValueError(f"span [{self.start_ns}, {self.end_ns}) ns: 0 <= start < end is required")

    @property
    def duration_ns(self) -> int:
        return self.end_ns - self.start_ns

    def holds(self, t_ns: int) -> bool:
        return self.start_ns <= t_ns < self.end_ns

    def covers(self, other: Span) -> bool:
        return self.start_ns <= other.start_ns and other.end_ns <= self.end_ns

    def overlap_ns(self, other: Span) -> int:
        return max(0, min(self.end_ns, other.end_ns) - max(self.start_ns, other.start_ns))

    def iou(self, other: Span) -> float:
        """Intersection over union on the time line; 0 for spans that only touch."""
        shared = self.overlap_ns(other)
        return shared / (self.duration_ns + other.duration_ns - shared)


def seconds_to_ns(seconds: float | Fraction) -> int:
    """Nearest nanosecond. A Fraction is converted exactly; a float carries its own rounding."""
    return round(seconds * NS_PER_S)


def ns_to_seconds(t_ns: int) -> float:
    return t_ns / NS_PER_S


def ticks_to_ns(ticks: int, time_base: Fraction) -> int:
    """Stream ticks (relative to the first displayed frame) -> ns, rounded down."""
    return ticks * time_base.numerator * NS_PER_S // time_base.denominator


def last_tick_at(t_ns: int, time_base: Fraction) -> int:
    """The greatest tick whose `ticks_to_ns` is <= `t_ns`: the inverse of that floor, exactly."""
    return -(-(t_ns + 1) * time_base.denominator // (time_base.numerator * NS_PER_S)) - 1


def timecode(t_ns: int, separator: str = ":") -> str:
    """`hh:mm:ss.mmm`, rounded down; with `.` as separator it is fit for a file name."""
    ms = t_ns // NS_PER_MS
    hours, ms = divmod(ms, 3_600_000)
    minutes, ms = divmod(ms, 60_000)
    seconds, ms = divmod(ms, 1_000)
    return f"{hours:02d}{separator}{minutes:02d}{separator}{seconds:02d}.{ms:03d}"
