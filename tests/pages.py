"""Pages as a browser's parser sees them, and the records they are drawn from, made by hand."""

import json
from collections.abc import Mapping, Sequence
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.aggregate import event_tracks
from pipeline.config import Config
from pipeline.page import render_index, render_report
from pipeline.records import (
    Clip,
    DecodeFacts,
    Labels,
    ModelFacts,
    Predictions,
    Reason,
    Report,
    Segment,
    Summary,
    Track,
    Video,
    VideoOutcome,
)
from pipeline.timeline import NS_PER_S, Span
from tests.predicted import grid, predicted

FOLDER = Path("/results/videos/game-1a2b3c4d")
VOID = {"meta", "link", "img", "path", "br", "input", "source", "col", "hr"}


class Page(HTMLParser):
    """A page as a browser's parser sees it: elements with attributes in order, and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.inside: list[str] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(html)
        self.close()
        assert not self.inside, f"never closed: {self.inside}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.inside.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.inside.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.inside[-1] if self.inside else "", data))

    @property
    def skeleton(self) -> list[tuple[str, tuple[str, ...]]]:
        return [(tag, tuple(attributes)) for tag, attributes in self.elements]

    @property
    def text(self) -> str:
        return " ".join(" ".join(text for tag, text in self.texts if tag not in ("script", "style")).split())

    def inner(self, tag: str) -> list[str]:
        return [text for inside, text in self.texts if inside == tag]

    def values(self, attribute: str, tag: str | None = None) -> list[str]:
        return [found[attribute] for name, found in self.elements if attribute in found and tag in (None, name)]

    def data(self) -> Any:
        return json.loads(self.inner("script")[0])


def seconds(value: float) -> int:
    return round(value * NS_PER_S)


def segment(start_s: float, label: str = "goal", score: float = 0.9, **changes: Any) -> Segment:
    """A clip of 10 s whose event is the second from 6 to 7, with its peak in the middle."""
    event = Span(seconds(start_s + 6), seconds(start_s + 7))
    facts: dict[str, Any] = {
        "span": Span(seconds(start_s), seconds(start_s + 10)),
        "event": event,
        "label": label,
        "score": score,
        "score_kind": "calibrated",
        "peak_ns": event.start_ns + NS_PER_S // 2,
        "reasons": (Reason(name="loudness_db", value=8.5, text="the sound rose by 8.5 dB"),),
    }
    return Segment(**facts | changes)


# long: a record, spelled out
def report(segments: tuple[Segment, ...] = (), duration_s: float = 100.0, **changes: Any) -> Report:
    """Of `segments`, each with a clip at `clips/<index>.mp4`."""
    clips = tuple(
        Clip(
            key=f"k{index}",
            path=f"clips/{index}.mp4",
            segment=index,
            frames=250,
            duration_ns=seconds(10),
            av_skew_ns=1_300_000,
            verified=True,
        )
        for index in range(len(segments))
    )
    facts: dict[str, Any] = {
        "video": Video(
            path=Path("/footage/game.mp4"),
            video_id="5e" * 32,
            width_px=1280,
            height_px=720,
            span=Span(0, seconds(duration_s)),
            time_base=Fraction(1, 90_000),
            origin_pts=0,
            frame_rate=Fraction(25),
            codec="h264",
            pixel_format="yuv420p",
            stream_index=0,
            audio_streams=1,
        ),
        "model": ModelFacts(name="default", version="77aa", labels=Labels(("soccer", "none"), ("goal", "save"))),
        "config_digest": "0123456789abcdef",
        "segments": segments,
        "tags": (),
        "clips": clips,
        "reel": None,
        "reel_plan": (),
        "decode": DecodeFacts(frames=900, corrupt=0, samples=200, covered_ns=seconds(duration_s)),
        "missing_signals": {},
        "timing": {"video_seconds_per_second": 40.0},
    }
    return Report(**facts | changes)


def heard(duration_s: float = 100.0, *, events: tuple[str, ...] = ("goal", "save"), **signals: Any) -> Predictions:
    """Two samples a second, every event at 0.25. A signal is a number or a function of the time in seconds."""
    pts_ns = grid(int(2 * duration_s))
    series = {
        name: [value(t_ns / NS_PER_S) if callable(value) else value for t_ns in pts_ns]
        for name, value in ({"motion": 0.1, "cut": 0.0} | signals).items()
    }
    scores = dict.fromkeys(events, np.full(len(pts_ns), 0.25))
    return predicted(pts_ns, seconds(duration_s), events=scores, signals=series)


def html_of(
    report: Report,
    signals: Predictions | None = None,
    thumbs: Mapping[int, str] | None = None,
    *,
    tracks: Sequence[Track] | None = None,
    config: Config | None = None,
) -> str:
    """Drawn from the model's own probabilities of its events, where no `tracks` are given."""
    signals = signals or heard()
    drawn = event_tracks(signals, calibrated=False) if tracks is None else tracks
    return render_report(report, signals, thumbs or {}, FOLDER, tracks=drawn, config=config or Config())


def page_of(report: Report, signals: Predictions | None = None, thumbs: Mapping[int, str] | None = None) -> Page:
    return Page(html_of(report, signals, thumbs))


def outcome(name: str, **changes: Any) -> VideoOutcome:
    facts: dict[str, Any] = {
        "path": Path("/footage", name),
        "video_id": "5e" * 32,
        "dir": f"videos/{name}-1a",
        "segments": 3,
        "clips": 2,
        "duration_ns": seconds(90),
    }
    return VideoOutcome(**facts | changes)


def index_of(*videos: VideoOutcome, ignored: int = 0) -> Page:
    model = ModelFacts(name="default", version="77aa", labels=Labels(()))
    return Page(render_index(Summary(model=model, config_digest="01", videos=videos, ignored=ignored)))
