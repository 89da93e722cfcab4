"""H.264 with two fields per frame as two packets (PAFF), as camcorders and broadcasters write it; no free encoder does.

The stream is written bit by bit (ITU-T H.264, clause 7.3). A macroblock is either I_PCM, raw samples, or skipped, a
copy of the same place in the last reference field of the same parity. So pictures are exact, and truly depend on each
other. Frame n shows n as ten blocks, like tests/media.py; GOPs of 24 frames, in decode order I P b b P b b ..., b being
a P picture that nothing refers to.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av

MBS = 10  # macroblocks per field: one row
GOP = 24
LOW, HIGH, GREY = 16, 235, 128
_I_PCM = {"I": 25, "P": 30}
_SLICE_TYPE = {"I": 7, "P": 5}


def write_paff(path: Path, frames: int) -> None:
    """MPEG-TS, 160 x 32 px, 25 frames a second, one packet per field; `frames` is a multiple of 24."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_mux_stream("h264", rate=25, width=16 * MBS, height=32)
        for order, (number, units) in enumerate(_in_decode_order(frames)):
            for bottom, unit in enumerate(units):
                packet = av.Packet(unit)
                packet.stream, packet.time_base = stream, Fraction(1, 90_000)
                packet.dts = order * 3600 + bottom * 1800
                packet.pts = (number + 1) * 3600 + bottom * 1800
                packet.is_keyframe = number % GOP == 0 and not bottom
                container.mux(packet)


def _in_decode_order(frames: int) -> Iterator[tuple[int, list[bytes]]]:
    """Per frame its number and its two fields, each an access unit."""
    for first in range(0, frames, GOP):
        yield first, [_field(first, first, bottom, 0, kept=True) for bottom in (0, 1)]
        for reference, anchor in enumerate(range(first + 3, first + GOP + 2, 3), start=1):
            last = min(anchor, first + GOP - 1)
            before = anchor - 3
            yield last, [_field(last, before, bottom, reference, kept=True) for bottom in (0, 1)]
            for number in range(before + 1, last):
                yield number, [_field(number, last, bottom, reference + 1, kept=False) for bottom in (0, 1)]


def _field(number: int, copied: int, bottom: int, frame_num: int, *, kept: bool) -> bytes:
    """The access unit of one field of frame `number`; where frame `copied` looks alike, macroblocks are skipped."""
    in_gop = number % GOP
    idr = in_gop == 0 and not bottom
    kind = "I" if in_gop == 0 else "P"
    bits = _Bits().ue(0).ue(_SLICE_TYPE[kind]).ue(0).u(8, frame_num).u(1, 1).u(1, bottom)
    if idr:
        bits.ue(number // GOP % 2)
    bits.u(8, 2 * in_gop + bottom)
    if kind == "P":
        bits.u(2, 0)  # neither another number of references nor another order
    if kept:
        bits.u(2 if idr else 1, 0)
    bits.ue(0).ue(1)  # no change of QP, no deblocking
    _macroblocks(bits, kind, number, copied)
    header = _nal(3, 7, _sps()) + _nal(3, 8, _pps()) if idr else b""
    return b"\0\0\0\1\x09\xf0" + header + _nal(1 if kept else 0, 5 if idr else 1, bits.end())


def _macroblocks(bits: _Bits, kind: str, number: int, copied: int) -> None:
    skipped = 0
    for column in range(MBS):
        if kind == "P" and (number ^ copied) >> column & 1 == 0:
            skipped += 1
            continue
        if kind == "P":
            bits.ue(skipped)
            skipped = 0
        luma = HIGH if number >> column & 1 else LOW
        bits.ue(_I_PCM[kind]).align().raw(bytes([luma] * 256 + [GREY] * 128))
    if skipped:
        bits.ue(skipped)


def _sps() -> bytes:
    bits = _Bits().u(8, 77).u(8, 0).u(8, 30).ue(0).ue(4).ue(0).ue(4)  # Main 3.0; frame_num and POC of 8 bits
    bits.ue(2).u(1, 0).ue(MBS - 1).ue(0).u(2, 0).u(1, 1).u(1, 0)  # 2 references; fields, no MBAFF
    bits.u(1, 1).u(4, 0).u(1, 1).u(32, 1).u(32, 50).u(1, 1).u(3, 0)  # VUI: 50 fields a second
    return bits.u(2, 3).ue(0).ue(0).ue(0).ue(0).ue(1).ue(2).end()  # one frame is reordered, two are held


def _pps() -> bytes:
    return _Bits().ue(0).ue(0).u(2, 0).ue(0).ue(0).ue(0).u(3, 0).ue(0).ue(0).ue(0).u(3, 4).end()


def _nal(importance: int, kind: int, payload: bytes) -> bytes:
    out = bytearray()
    for byte in payload:
        if byte <= 3 and out[-2:] == b"\0\0":
            out.append(3)  # emulation prevention: no start code inside
        out.append(byte)
    return b"\0\0\0\1" + bytes([importance << 5 | kind]) + bytes(out)


class _Bits:
    """A bit string; `ue` is unsigned Exp-Golomb."""

    def __init__(self) -> None:
        self._bits = ""

    def u(self, width: int, value: int) -> _Bits:
        self._bits += f"{value:0{width}b}"
        return self

    def ue(self, value: int) -> _Bits:
        code = f"{value + 1:b}"
        self._bits += "0" * (len(code) - 1) + code
        return self

    def align(self) -> _Bits:
        self._bits += "0" * (-len(self._bits) % 8)
        return self

    def raw(self, data: bytes) -> _Bits:
        self._bits += f"{int.from_bytes(data, 'big'):0{8 * len(data)}b}"
        return self

    def end(self) -> bytes:
        """With the stop bit."""
        self.u(1, 1).align()
        return int(self._bits, 2).to_bytes(len(self._bits) // 8, "big")
