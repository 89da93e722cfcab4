"""Motion, cut strength and loudness on the sample grid. Knows no networks, nor what the signals are used for."""

from __future__ import annotations

from array import array
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.filter import Graph
from av.packet import Packet

from pipeline.media import audio_stream, open_media
from pipeline.records import FrameBatch, Signals, Video
from pipeline.timeline import NS_PER_MS, ticks_to_ns

VERSION = 2

SILENCE_DB = -70.0  # EBU R128's absolute gate: nothing quieter is told apart
_THUMB_PX = 64
_HIST_BINS = 8
_MOMENT_NS = 100 * NS_PER_MS  # ebur128 reports so often
_MOMENTARY_CENTRE_NS = 100 * NS_PER_MS  # ... of the 400 ms that end with its 100 ms frame


class PictureMeter:
    """Fed with every sampled picture in order; compares each with the one before, across batches and chunks."""

    def __init__(self) -> None:
        self._last: _Look | None = None
        self._motion: list[float] = []
        self._cut: list[float] = []

    def add(self, batch: FrameBatch) -> None:
        for picture in batch.pixels:
            look = _look(picture)
            self._motion.append(_motion(self._last, look) if self._last else 0.0)
            self._cut.append(_cut(self._last, look) if self._last else 0.0)
            self._last = look

    def series(self) -> dict[str, npt.NDArray[np.float32]]:
        """`motion` and `cut`, float32 (N,) in [0, 1]; 0 for the first sample."""
        return {"motion": np.array(self._motion, np.float32), "cut": np.array(self._cut, np.float32)}


@dataclass(frozen=True, slots=True)
class _Look:
    luma: npt.NDArray[np.float32]
    colours: npt.NDArray[np.float32]


def _look(picture: npt.NDArray[np.uint8]) -> _Look:
    small = cv2.resize(picture, (_THUMB_PX, _THUMB_PX), interpolation=cv2.INTER_AREA)
    luma = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), (5, 5), 0) / np.float32(255)
    ranges = [0, 256] * 3
    colours = cv2.calcHist([small], [0, 1, 2], None, [_HIST_BINS] * 3, ranges).ravel() / small[..., 0].size
    return _Look(luma.astype(np.float32), np.sqrt(colours).astype(np.float32))


def _motion(before: _Look, now: _Look) -> float:
    """Mean absolute luma difference of blurred 64 x 64 pictures: noise averages out, players do not."""
    return float(np.abs(now.luma - before.luma).mean())


def _cut(before: _Look, now: _Look) -> float:
    """Geometric mean of two doubts: other colours (Hellinger distance) and another layout (1 - correlation).

    A pan changes the layout but not the colours, a flash the colours but not the layout; a cut changes both.
    """
    hellinger = np.sqrt(max(0.0, 1.0 - float(before.colours @ now.colours)))
    a, b = before.luma - before.luma.mean(), now.luma - now.luma.mean()
    energy = float(np.sqrt((a * a).sum() * (b * b).sum()))
    layout = 1.0 - max(0.0, float((a * b).sum()) / energy) if energy > 1e-6 else hellinger
    return float(np.clip(np.sqrt(hellinger * layout), 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class Loudness:
    """Momentary loudness (EBU R128, 400 ms): `times_ns` int64 (K,) window centres, `lufs` float32 (K,).

    `missing` says why there is none; then both arrays are empty.
    """

    times_ns: npt.NDArray[np.int64]
    lufs: npt.NDArray[np.float32]
    missing: str = ""


class LoudnessMeter:
    """Fed with the packets of one audio track in order: its momentary loudness, by FFmpeg's ebur128 filter."""

    def __init__(self, video: Video, track: int) -> None:
        self._video, self._track = video, track
        self._meter: _R128 | None = None
        self._times_ns = array("q")
        self._lufs = array("f")

    def add(self, packet: Packet[AudioStream]) -> None:
        """What cannot be decoded is passed over."""
        if self._meter is None:
            self._meter = _R128(packet.stream.codec_context)
        for time_ns, value in self._meter.add(packet):
            self._times_ns.append(time_ns - self._video.origin_ns - _MOMENTARY_CENTRE_NS)
            self._lufs.append(max(SILENCE_DB, value))

    def result(self) -> Loudness:
        """t = 0 is the first displayed frame."""
        missing = "" if self._lufs else self._why_nothing()
        return Loudness(np.array(self._times_ns, np.int64), np.array(self._lufs, np.float32), missing)

    def _why_nothing(self) -> str:
        tracks = self._video.audio_streams
        if not tracks:
            return "no audio stream"
        if self._track >= tracks:
            return f"audio track {self._track} does not exist ({tracks} tracks)"
        return "the sound cannot be decoded"


def measure_loudness(video: Video, track: int = -1) -> Loudness:
    """Of one audio track (-1: the file's default one), read on its own. Raises UnreadableVideo."""
    meter = LoudnessMeter(video, track)
    with open_media(video.path) as container:
        stream = audio_stream(container, track)
        if stream is not None:
            with suppress(av.FFmpegError):
                for packet in container.demux(stream):
                    meter.add(packet)
    return meter.result()


class _R128:
    """Audio packets in, (container time in ns, momentary loudness in LUFS) out. Damaged packets are passed over."""

    def __init__(self, context: AudioCodecContext) -> None:
        self._context = context
        self._context.thread_count = 1
        self._graph: Graph | None = None

    def add(self, packet: Packet[AudioStream]) -> list[tuple[int, float]]:
        try:
            frames = self._context.decode(packet if packet.size else None)
            return [measured for frame in frames for measured in self._measure(frame)]
        except (av.FFmpegError, ValueError):
            return []

    def _measure(self, frame: AudioFrame) -> list[tuple[int, float]]:
        if self._graph is None:
            self._graph = _ebur128(frame)
        try:
            self._graph.push(frame)
        except (av.FFmpegError, ValueError):  # the format changed in mid-stream
            self._graph = _ebur128(frame)
            self._graph.push(frame)
        measured = []
        while (out := _pull(self._graph)) is not None:
            value = out.metadata.get("lavfi.r128.M")
            if value is not None and out.pts is not None:
                assert out.time_base is not None
                measured.append((ticks_to_ns(out.pts, Fraction(out.time_base)), float(value)))
        return measured


def _ebur128(frame: AudioFrame) -> Graph:
    graph = Graph()
    source = graph.add_abuffer(
        sample_rate=frame.sample_rate, format=frame.format, layout=frame.layout, time_base=frame.time_base
    )
    meter, sink = graph.add("ebur128", "metadata=1"), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    return graph


def _pull(graph: Graph) -> AudioFrame | None:
    try:
        frame = graph.pull()
    except (av.BlockingIOError, av.EOFError):
        return None
    assert isinstance(frame, AudioFrame)
    return frame


def signals(pictures: PictureMeter, loudness: Loudness, pts_ns: npt.NDArray[np.int64], end_ns: int) -> Signals:
    """All series on the grid `pts_ns` (N,), N >= 1.

    A sample's loudness is the mean level from half a sample period before it to half a period before the next one: a
    step shows in the same sample, on average, as one of the picture.
    """
    series = pictures.series()
    if loudness.missing:
        return Signals(series, {"loudness_db": loudness.missing})
    half = int(np.median(np.diff(pts_ns))) // 2 if len(pts_ns) > 1 else 0
    between = np.maximum(pts_ns[1:] - half, (pts_ns[:-1] + pts_ns[1:]) // 2)
    edges = np.concatenate([pts_ns[:1], between, [max(end_ns, int(pts_ns[-1]) + 1)]])
    return Signals({**series, "loudness_db": _mean_levels(loudness, edges).astype(np.float32)})


def _mean_levels(loudness: Loudness, edges_ns: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Between each two of `edges_ns` (N + 1,), in dB, (N,). A moment holds for 100 ms around its centre; where none was
    measured there is silence."""
    order = np.argsort(loudness.times_ns, kind="stable")
    starts = loudness.times_ns[order] - _MOMENT_NS // 2
    ends = np.minimum(starts + _MOMENT_NS, np.append(starts[1:], starts[-1] + _MOMENT_NS))
    above = (loudness.lufs[order].astype(np.float64) - SILENCE_DB) * (ends - starts)
    knots = np.column_stack([starts, ends]).ravel()
    area = np.column_stack([np.zeros(len(above)), above]).ravel().cumsum()
    within = np.diff(np.interp(edges_ns, knots, area))
    return np.asarray(SILENCE_DB + within / np.diff(edges_ns))
