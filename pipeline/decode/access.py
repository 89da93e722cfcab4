"""Is this packet a place where decoding can start? Containers flag more than is true, so the bitstream is asked.

x264's intra-refresh flags P pictures as key; a recovery point may name pictures that are right only some frames later.
Sources: ITU-T H.264 (7.3.1 NAL unit, 7.3.3 slice header, D.1.8 recovery point), ITU-T H.265 (7.4.2.2 NAL unit types).
"""

from __future__ import annotations

from collections.abc import Iterator

from av.packet import Packet
from av.video.stream import VideoStream

_H264_SLICE, _H264_IDR, _H264_SEI = 1, 5, 6
_RECOVERY_POINT = 6
_INTRA_SLICES = (2, 4)  # slice_type modulo 5: I, SI
_HEVC_IRAP = range(16, 24)  # BLA, IDR, CRA
_HEVC_VCL = range(0, 32)
_HEAD_BYTES = 64  # of each NAL unit: enough for the fields that are read
_LENGTH_SIZE_AT = {"h264": 4, "hevc": 21}  # byte of avcC / hvcC whose low two bits hold NAL length size - 1


class RandomAccess:
    """Judges the packets of one stream. Codecs other than H.264 and HEVC are taken at their container's word."""

    def __init__(self, stream: VideoStream) -> None:
        codec = stream.codec_context.name
        extradata = stream.codec_context.extradata or b""
        self._codec = codec
        self._length_size = 0  # 0: Annex B start codes
        at = _LENGTH_SIZE_AT.get(codec)
        if at is not None and len(extradata) > at and extradata[0] == 1:
            self._length_size = (extradata[at] & 3) + 1

    def opens(self, packet: Packet[VideoStream]) -> bool:
        """True when the pictures from this one on, in display order, need nothing that came before."""
        if not packet.is_keyframe or packet.pts is None:
            return False
        if self._codec == "h264":
            return _h264_opens(self._nal_units(bytes(packet)))
        if self._codec == "hevc":
            return _hevc_opens(self._nal_units(bytes(packet)))
        return True

    def _nal_units(self, data: bytes) -> Iterator[bytes]:
        return _length_prefixed(data, self._length_size) if self._length_size else _annex_b(data)


def _length_prefixed(data: bytes, size: int) -> Iterator[bytes]:
    at = 0
    while at + size < len(data):
        length = int.from_bytes(data[at : at + size], "big")
        yield data[at + size : at + size + min(length, _HEAD_BYTES)]
        at += size + length


def _annex_b(data: bytes) -> Iterator[bytes]:
    at = data.find(b"\0\0\1")
    while at >= 0:
        yield data[at + 3 : at + 3 + _HEAD_BYTES]
        at = data.find(b"\0\0\1", at + 3)


def _h264_opens(units: Iterator[bytes]) -> bool:
    """IDR, or an I slice whose recovery point says that the picture itself is already right."""
    recovery = -1
    for unit in units:
        kind = unit[0] & 31 if unit else 0
        if kind == _H264_IDR:
            return True
        if kind == _H264_SEI:
            recovery = max(recovery, _recovery_frame_count(unit[1:]))
        if kind == _H264_SLICE:
            return recovery == 0 and _slice_type(unit[1:]) in _INTRA_SLICES
    return False


def _hevc_opens(units: Iterator[bytes]) -> bool:
    for unit in units:
        kind = (unit[0] >> 1) & 63 if unit else 63
        if kind in _HEVC_VCL:
            return kind in _HEVC_IRAP
    return False


def _slice_type(rbsp: bytes) -> int:
    bits = _Bits(rbsp)
    bits.exp_golomb()  # first_mb_in_slice
    return bits.exp_golomb() % 5


def _recovery_frame_count(rbsp: bytes) -> int:
    """recovery_frame_cnt of a recovery point message, -1 where there is none among the first messages."""
    at = 0
    while at + 2 <= len(rbsp):
        kind, at = _extended_byte(rbsp, at)
        size, at = _extended_byte(rbsp, at)
        if kind == _RECOVERY_POINT:
            return _Bits(rbsp[at:]).exp_golomb()
        at += size
    return -1


def _extended_byte(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    while at < len(data) and data[at] == 0xFF:
        value, at = value + 255, at + 1
    return (value + data[at] if at < len(data) else value), at + 1


class _Bits:
    """A bit reader over the head of a NAL unit, emulation prevention bytes taken out."""

    def __init__(self, data: bytes) -> None:
        self._bits = "".join(f"{byte:08b}" for byte in data.replace(b"\0\0\3", b"\0\0"))
        self._at = 0

    def exp_golomb(self) -> int:
        """Unsigned Exp-Golomb, ue(v); a value cut off by the end of the head reads as a large one."""
        one = self._bits.find("1", self._at)
        if one < 0:
            return 1 << 31
        zeros = one - self._at
        self._at = one + zeros + 1
        return int(self._bits[one : self._at] or "1", 2) - 1
