"""Records -> the words, numbers and addresses on a page. Knows no HTML: escaping is the template's."""

from __future__ import annotations

import os
from urllib.parse import quote

from pipeline.timeline import NS_PER_MS, NS_PER_S

_CONTROL_PICTURES = 0x2400  # the block of visible signs for newline, tab and the like


def printable(text: str) -> str:
    """The same text, every character of it visible or at least writable: control characters become their pictures,
    and a byte of a file name that is no UTF-8 becomes the replacement character."""
    return "".join(map(_shown, text))


def _shown(character: str) -> str:
    code = ord(character)
    if code < 0x20 or code == 0x7F:
        return chr(_CONTROL_PICTURES + min(code, 0x21))
    if 0x80 <= code < 0xA0 or 0xD800 <= code < 0xE000:
        return "\N{REPLACEMENT CHARACTER}"
    return character


def address(path: str | os.PathLike[str]) -> str:
    """A path as a relative URL: byte for byte, with `#`, `?`, `%`, `:` and quotes encoded, so it can hold no scheme."""
    return quote(os.fsencode(path), safe="/")


def clock(t_ns: int) -> str:
    """`m:ss` or `h:mm:ss`, rounded down: where something is, at a glance."""
    minutes, seconds = divmod(t_ns // NS_PER_S, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


def duration(duration_ns: int) -> str:
    """`9.4 s` below a minute, else as a clock shows it; rounded down."""
    tenths = duration_ns // (NS_PER_S // 10)
    return f"{tenths // 10}.{tenths % 10} s" if duration_ns < 60 * NS_PER_S else clock(duration_ns)


def milliseconds(t_ns: int) -> str:
    """Signed, to a tenth: `+1.3 ms`."""
    return f"{t_ns / NS_PER_MS:+.1f} ms" if round(t_ns / NS_PER_MS, 1) else "0 ms"


def percent(share: float) -> str:
    """Whole percents; what is there at all is never called 0 %."""
    return f"{share:.0%}" if share == 0 or share >= 0.01 else "< 1%"


def number(value: float) -> str:
    """As short as it is exact to six digits, with a true minus sign: `0.05`, `−30`."""
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def count(number: int, noun: str) -> str:
    """`no clips`, `1 clip`, `2 clips`, `1,200 clips`."""
    return (f"{number:,} {noun}" if number else f"no {noun}") + ("" if number == 1 else "s")
