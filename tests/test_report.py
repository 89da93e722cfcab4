"""`report.json` gives back the report that was written, and refuses what it did not write."""

import contextlib
import json
import os
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import UnusableResult
from pipeline.records import (
    Clip,
    DecodeFacts,
    Labels,
    ModelFacts,
    Reason,
    Reel,
    Report,
    Segment,
    Summary,
    Tag,
    Video,
    VideoOutcome,
    path_from,
)
from pipeline.report import from_json, summary_to_json, to_json
from pipeline.timeline import NS_PER_S, Span

FOLDER = Path("/results/videos/game-1a2b3c4d")
DOCS = Path(__file__).parents[1] / "docs" / "report.md"
FREE_KEYS = ("missing_signals", "timing")  # mappings whose keys are data

VIDEO = Video(
    path=Path("/footage/game.mp4"),
    video_id="5e" * 32,
    width_px=1280,
    height_px=720,
    span=Span(0, 60 * NS_PER_S),
    time_base=Fraction(1, 90_000),
    origin_pts=126_000,
    frame_rate=Fraction(30_000, 1001),
    codec="h264",
    pixel_format="yuv420p",
    stream_index=0,
    audio_streams=1,
)
MOMENT = Segment(
    span=Span(10 * NS_PER_S, 21 * NS_PER_S),
    event=Span(16 * NS_PER_S, 18 * NS_PER_S),
    label="goal",
    score=0.93,
    score_kind="calibrated",
    peak_ns=17 * NS_PER_S,
    reasons=(Reason(name="loudness", value=8.5, text="the sound rose by 8.5 dB"),),
)
CLIP = Clip(key="c1", path="clips/a.mp4", segment=0, frames=330, duration_ns=11 * NS_PER_S, av_skew_ns=0, verified=True)
REPORT = Report(
    video=VIDEO,
    model=ModelFacts(name="default", version="77aa", labels=Labels(("soccer", "none"), ("goal",))),
    config_digest="0123456789abcdef",
    segments=(MOMENT,),
    tags=(
        Tag(taxonomy="labels", id="soccer", name="soccer", score=0.8, coverage=0.5, spans=(Span(0, 30 * NS_PER_S),)),
    ),
    clips=(replace(CLIP, changes=("deinterlaced",)),),
    reel=Reel(key="r1", path="reel.mp4", segments=(0,), duration_ns=11 * NS_PER_S),
    reel_plan=(0,),
    decode=DecodeFacts(frames=900, corrupt=2, samples=120, covered_ns=60 * NS_PER_S),
    missing_signals={"loudness_db": "the file has no sound"},
    timing={"predict_s": 1.5, "video_seconds_per_second": 40.0},
    notes=("2 of 900 frames are damaged",),
)
SUMMARY = Summary(
    model=REPORT.model,
    config_digest="0123456789abcdef",
    videos=(
        VideoOutcome(
            path=VIDEO.path,
            video_id=VIDEO.video_id,
            dir="videos/game-1a2b3c4d",
            segments=1,
            clips=1,
            duration_ns=60 * NS_PER_S,
            tags=("soccer",),
            thumb="videos/game-1a2b3c4d/thumbs/0.jpg",
        ),
        VideoOutcome(path=Path("/footage/empty.mp4"), video_id=None, dir=None, error="empty.mp4: the file is empty"),
    ),
    ignored=3,
)

TIMES = st.integers(0, 6 * 3600 * NS_PER_S)
COUNTS = st.integers(0, 10**6)
SHARES = st.floats(0, 1)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TEXTS = st.text(max_size=12)
# Bytes, not characters: a file name on disk need not be UTF-8, and Python then carries surrogate escapes.
FILE_NAMES = st.binary(min_size=1, max_size=12).map(lambda raw: os.fsdecode(raw.translate(None, b"\0/") + b"x"))


@st.composite
def spans(draw: st.DrawFn) -> Span:
    start_ns = draw(TIMES)
    return Span(start_ns, start_ns + draw(st.integers(1, NS_PER_S)))


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    edges = sorted(draw(st.lists(TIMES, min_size=5, max_size=5, unique=True)))
    return Segment(
        span=Span(edges[0], edges[4]),
        event=Span(edges[1], edges[3]),
        label=draw(TEXTS),
        score=draw(SHARES),
        score_kind=draw(st.sampled_from(["calibrated", "uncalibrated"])),
        peak_ns=edges[2],
        reasons=tuple(draw(st.lists(st.builds(Reason, name=TEXTS, value=NUMBERS, text=TEXTS), max_size=2))),
    )


@st.composite
def videos(draw: st.DrawFn) -> Video:
    names = draw(st.lists(FILE_NAMES, min_size=1, max_size=4))
    root = draw(st.sampled_from(["/", "/results", "/results/videos", os.fspath(FOLDER)]))
    ratios = st.fractions(min_value=Fraction(1, 10**6), max_value=10**6)
    return Video(
        path=Path(root, *names),
        video_id=draw(TEXTS),
        width_px=draw(st.integers(1, 16384)),
        height_px=draw(st.integers(1, 16384)),
        span=Span(0, draw(TIMES) + 1),
        time_base=draw(ratios),
        origin_pts=draw(st.integers(-(2**40), 2**40)),
        frame_rate=draw(ratios),
        codec=draw(TEXTS),
        pixel_format=draw(TEXTS),
        stream_index=draw(COUNTS),
        audio_streams=draw(COUNTS),
        rotation_deg=draw(st.sampled_from([0, 90, 180, 270])),
        interlaced=draw(st.booleans()),
        hdr=draw(st.booleans()),
    )


@st.composite
def reports(draw: st.DrawFn) -> Report:  # long: a record, spelled out
    moments = draw(st.lists(segments(), min_size=1, max_size=3))
    indices = st.integers(0, len(moments) - 1)
    plans = st.lists(indices, max_size=3).map(tuple)
    paths = FILE_NAMES.map(lambda name: f"clips/{name}")
    clips = st.builds(
        Clip,
        key=TEXTS,
        path=paths,
        segment=indices,
        frames=COUNTS,
        duration_ns=TIMES,
        av_skew_ns=st.none() | st.integers(),
        verified=st.booleans(),
        changes=st.lists(TEXTS, max_size=2).map(tuple),
    )
    reels = st.builds(Reel, key=TEXTS, path=paths, segments=plans, duration_ns=TIMES)
    tags = st.builds(
        Tag,
        taxonomy=TEXTS,
        id=TEXTS,
        name=TEXTS,
        score=SHARES,
        coverage=SHARES,
        spans=st.lists(spans(), max_size=2).map(tuple),
    )
    labels = draw(st.lists(TEXTS, unique=True, max_size=4))
    return Report(
        video=draw(videos()),
        model=ModelFacts(
            name=draw(TEXTS),
            version=draw(TEXTS),
            labels=Labels(tuple(labels[:2]), tuple(labels[2:])),
            calibrated=draw(st.booleans()),
        ),
        config_digest=draw(TEXTS),
        segments=tuple(moments),
        tags=tuple(draw(st.lists(tags, max_size=2))),
        clips=tuple(draw(st.lists(clips, max_size=2))),
        reel=draw(st.none() | reels),
        reel_plan=draw(plans),
        decode=draw(st.builds(DecodeFacts, frames=COUNTS, corrupt=COUNTS, samples=COUNTS, covered_ns=TIMES)),
        missing_signals=draw(st.dictionaries(TEXTS, TEXTS, max_size=2)),
        timing=draw(st.dictionaries(TEXTS, NUMBERS, max_size=2)),
        notes=tuple(draw(st.lists(TEXTS, max_size=2))),
    )


def through_text(data: Any) -> Any:
    return json.loads(json.dumps(data, allow_nan=False))


@settings(max_examples=40, deadline=None)
@given(reports())
def test_a_report_comes_back_as_it_was_written(report: Report) -> None:
    assert from_json(through_text(to_json(report, FOLDER)), FOLDER) == report


def test_the_keys_other_programs_rely_on_hold_what_they_say() -> None:
    data = through_text(to_json(REPORT, FOLDER))
    [segment] = data["segments"]
    assert (segment["start"], segment["end"]) == ("00:00:10.000", "00:00:21.000")
    assert (segment["event_start_ns"], segment["event_end_ns"]) == (16 * NS_PER_S, 18 * NS_PER_S)
    assert segment["clip"] == "clips/a.mp4"
    assert data["clips"][0]["segment"] == 0
    assert data["model"]["labels"] == {"tags": ["soccer", "none"], "events": ["goal"]}
    assert data["video"]["has_audio"] is True
    assert data["video"]["duration_ns"] == 60 * NS_PER_S
    assert data["ads"] == data["breaks"] == []


def test_a_segment_without_a_clip_says_null() -> None:
    data = to_json(replace(REPORT, clips=(), reel=None), FOLDER)
    assert data["segments"][0]["clip"] is None
    assert data["reel"] is None


def test_results_and_source_can_move_together(tmp_path: Path) -> None:
    for home in ("here", "there"):
        (tmp_path / home / "out").mkdir(parents=True)
    here = replace(REPORT, video=replace(VIDEO, path=tmp_path / "here" / "game.mp4"))
    data = to_json(here, tmp_path / "here" / "out")
    assert data["video"]["path"] == "../game.mp4"
    assert from_json(data, tmp_path / "there" / "out").video.path == tmp_path / "there" / "game.mp4"


def test_a_source_that_shares_no_folder_keeps_its_absolute_path() -> None:
    assert path_from(FOLDER, VIDEO.path) == "/footage/game.mp4"


def changed(*keys: str | int, to: Any) -> Any:
    """The reference report as JSON with one value replaced, or removed where `to` is Ellipsis."""
    data = through_text(to_json(REPORT, FOLDER))
    node = data
    for key in keys[:-1]:
        node = node[key]
    if to is ...:
        del node[keys[-1]]
    else:
        node[keys[-1]] = to
    return data


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (None, "the whole file is not an object"),
        ([], "the whole file is not an object"),
        (changed("schema", to="matchcut.report/9"), "schema is 'matchcut.report/9'"),
        (changed("schema", to=...), "schema is missing"),
        (changed("segments", 0, "score", to=...), r"segments\[0\].score is missing"),
        (changed("segments", 0, "score", to="0.9"), r"segments\[0\].score = '0.9': a float"),
        (changed("segments", 0, "score", to=float("nan")), r"segments\[0\].score = nan"),
        (changed("segments", 0, "score", to=1.5), "score 1.5 must lie in"),
        (changed("segments", 0, "peak_ns", to=0), "peak 0 must lie inside"),
        (changed("segments", 0, "start_ns", to=True), r"segments\[0\].start_ns = True: a int"),
        (changed("segments", to={}), "segments = {}: a list"),
        (changed("video", to=[]), "video is not an object"),
        (changed("video", "time_base", to="1/0"), "Fraction"),
        (changed("video", "frame_rate", to="fast"), "fast"),
        (changed("video", "duration_ns", to=0), "span"),
        (changed("clips", 0, "segment", to=1), r"clips\[0\].segment = 1: there are 1 segments"),
        (changed("reel", "segments", to=[-1]), r"reel.segments\[0\] = -1"),
        (changed("timing", "predict_s", to=None), "timing.predict_s = None"),
        (changed("clips", 0, "path", to="../other/clip.mp4"), "leads out of the report's folder"),
        (changed("clips", 0, "path", to="/etc/passwd"), "leads out"),
        (changed("clips", 0, "path", to="clips/../../x.mp4"), "leads out"),
        (changed("clips", 0, "path", to="."), "leads out"),
        (changed("clips", 0, "path", to="clips/\0.mp4"), "no file can have this name"),
        (changed("video", "path", to="\0"), "no file can have this name"),
        (changed("video", "path", to="\ud800.mp4"), "surrogates not allowed"),
        (changed("reel", "path", to="/reel.mp4"), "leads out"),
    ],
)
def test_a_report_that_was_not_written_so_is_refused_with_the_key_and_the_repair(data: Any, complaint: str) -> None:
    with pytest.raises(UnusableResult, match=complaint) as refusal:
        from_json(data, FOLDER)
    assert os.fspath(FOLDER / "report.json") in str(refusal.value)
    assert "--force" in str(refusal.value)


def test_a_clip_behind_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "game"
    folder.mkdir()
    (folder / "clips").symlink_to(tmp_path)
    with pytest.raises(UnusableResult, match="leads out"):
        from_json(to_json(REPORT, folder), folder)


def test_a_link_that_leads_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "clips").symlink_to("clips")
    with pytest.raises(UnusableResult):
        from_json(to_json(REPORT, tmp_path), tmp_path)


def places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """The path of keys to every value below, itself excluded."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, below in inner for found in ((*path, key), *places(below, (*path, key)))]


ANY_JSON = st.sampled_from([None, True, 0, -1, 10**400, 0.5, 1e999, "", "x", "\0", [], [0], [None], {}, {"path": 1}])


@settings(deadline=None)
@given(st.sampled_from(places(to_json(REPORT, FOLDER))), ANY_JSON)
def test_a_value_changed_anywhere_is_either_still_a_report_or_our_own_error(
    place: tuple[str | int, ...], value: Any
) -> None:
    with contextlib.suppress(UnusableResult):
        assert isinstance(from_json(changed(*place, to=value), FOLDER), Report)


def test_the_summary_tells_done_from_failed() -> None:
    data = through_text(summary_to_json(SUMMARY, Path("/results")))
    assert (data["done"], data["failed"], data["ignored"]) == (1, 1, 3)
    done, failed = data["videos"]
    assert (done["state"], done["error"], done["segments"], done["clips"]) == ("done", None, 1, 1)
    assert (failed["state"], failed["error"], failed["id"]) == ("failed", "empty.mp4: the file is empty", None)


def test_a_done_video_has_a_folder() -> None:
    with pytest.raises(ValueError, match="has a folder"):
        VideoOutcome(path=VIDEO.path, video_id="1", dir=None)


def keys_of(value: Any, name: str = "") -> set[str]:
    """Every key of a JSON value, dotted, as the documentation writes them."""
    if name in FREE_KEYS:
        return {f"{name}.*"}
    if isinstance(value, dict):
        return set().union(*(keys_of(inner, f"{name}.{key}".lstrip(".")) for key, inner in value.items()))
    if isinstance(value, list) and value:
        return set().union(*(keys_of(inner, f"{name}[]") for inner in value))
    return {name}


def documented(heading: str) -> set[str]:
    section = DOCS.read_text(encoding="utf-8").split(f"## {heading}")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([^`]+)`", section, flags=re.MULTILINE))


def test_every_key_of_a_report_is_documented_and_no_other() -> None:
    assert keys_of(to_json(REPORT, FOLDER)) | {"reel"} == documented("report.json")  # reel itself may be null


def test_every_key_of_a_summary_is_documented_and_no_other() -> None:
    done = replace(SUMMARY, videos=SUMMARY.videos[:1])
    assert keys_of(summary_to_json(done, Path("/results"))) == documented("summary.json")
