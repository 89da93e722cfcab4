"""The pages show what the records say, ask for nothing from outside, and never take data for markup."""

import base64
import hashlib
import os
import re
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config import AggregateConfig, Config, override_config
from pipeline.page import drawing, render_index, words
from pipeline.records import (
    DecodeFacts,
    Labels,
    ModelFacts,
    Predictions,
    Reason,
    Reel,
    Report,
    Signals,
    Summary,
    Tag,
    Track,
    VideoOutcome,
)
from pipeline.timeline import NS_PER_S, Span
from tests.pages import Page, heard, html_of, index_of, outcome, page_of, report, seconds, segment
from tests.predicted import predicted

LOADING = ("src", "href", "poster")
HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "\"><svg onload='alert(1)'>",
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }} {% raw %}",
    "-->]]>&lt;&amp;<!--",
    "line\nbreak\tand \x07 bell",
    "#?%41&x=1;:javascript:alert(1)//",
    "\u202egnp.exe \u2028 \U0001f3c0",
    os.fsdecode(b"caf\xe9 \xff.mp4"),
]


# ---- data is never markup


def report_full_of(text: str) -> tuple[Report, Predictions, dict[int, str]]:
    """A report with `text` wherever a file, a model or a configuration could have put it."""
    name = text.replace("/", "\\").replace("\0", "")
    label = f"goal {text}"
    labels = Labels((f"tag {text}", "none"), (label,))
    moment = segment(10, label, reasons=(Reason(name=label, value=1.0, text=f"because {text}"),))
    base = report((moment, segment(60, label)))
    clips = [
        replace(clip, path=f"clips/{index} {name}", changes=(f"changed {text}",))
        for index, clip in enumerate(base.clips)
    ]
    full = replace(
        base,
        video=replace(base.video, path=Path("/footage", f"a {name}.mp4"), video_id=f"id {text}"),
        model=ModelFacts(name=f"model {text}", version=f"v {text}", labels=labels),
        config_digest=f"digest {text}",
        tags=(
            Tag(taxonomy=f"taxonomy {text}", id=text, name=f"tag {text}", score=0.5, coverage=0.5, spans=(Span(0, 9),)),
        ),
        clips=tuple(clips),
        reel=Reel(key="r", path=f"reel {name}", segments=(0, 1), duration_ns=seconds(20)),
        reel_plan=(0, 1),
        notes=(f"note {text}",),
    )
    unheard = Signals({}, {f"loudness {text}": f"for {text}"})
    return full, replace(heard(events=(label,)), signals=unheard), {0: f"thumbs/{name}.jpg"}


def full_page(text: str) -> Page:
    html = html_of(*report_full_of(text))
    html.encode("utf-8")  # a page that cannot be written is no page
    return Page(html)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_adds_no_element_and_no_attribute_to_a_report(text: str) -> None:
    assert full_page(text).skeleton == full_page("plain").skeleton


@settings(max_examples=25, deadline=None)
@given(st.text(min_size=1, max_size=40))
def test_no_text_at_all_changes_the_structure_of_a_report(text: str) -> None:
    assert full_page(text).skeleton == full_page("plain").skeleton


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_the_text_it_is(text: str) -> None:
    shown = " ".join(words.printable(text).split())
    page = full_page(text).text
    for prefix in ("goal", "tag", "because", "note", "model", "taxonomy", "for", "changed"):
        assert f"{prefix} {shown}" in page


@pytest.mark.parametrize("text", HOSTILE)
def test_addresses_lead_to_the_very_file_and_nowhere_else(text: str) -> None:
    full, _, thumbs = report_full_of(text)
    page = full_page(text)
    assert unquote_to_bytes(page.data()["moments"][0]["clip"]) == os.fsencode(full.clips[0].path)
    assert full.reel is not None
    assert unquote_to_bytes(page.data()["reel"]["url"]) == os.fsencode(full.reel.path)
    assert unquote_to_bytes(page.values("src", "img")[0]) == os.fsencode(thumbs[0])
    assert unquote_to_bytes(page.data()["source"]) == os.fsencode(full.video.path)
    for attribute in LOADING:
        for address in page.values(attribute):
            assert not re.match(r"(?!data:image/svg)[a-z]+:|//", address, re.IGNORECASE), address


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_adds_no_element_and_no_attribute_to_the_index(text: str) -> None:
    assert index_full_of(text).skeleton == index_full_of("plain").skeleton
    assert " ".join(words.printable(f"could not {text}").split()) in index_full_of(text).text


def index_full_of(text: str) -> Page:
    name = text.replace("/", "\\")
    done = outcome(f"a {name}.mp4", dir=f"videos/{name}", tags=(f"tag {text}",), thumb=f"videos/{name}/0.jpg")
    failed = VideoOutcome(path=Path("/footage", f"b {name}"), video_id=None, dir=None, error=f"could not {text}")
    model = ModelFacts(name=f"model {text}", version=text, labels=Labels(()))
    html = render_index(Summary(model=model, config_digest=text, videos=(done, failed)))
    html.encode("utf-8")
    return Page(html)


# ---- self-contained


@pytest.mark.parametrize("page", [full_page("plain"), index_full_of("plain")], ids=["report", "index"])
def test_a_page_asks_for_nothing_from_outside(page: Page) -> None:
    assert not page.values("src", "script")
    [style] = page.inner("style")
    assert "@import" not in style
    assert "url(" not in style
    assert [link["href"][:5] for tag, link in page.elements if tag == "link"] == ["data:"]


@pytest.mark.parametrize("page", [full_page("plain"), index_full_of("plain")], ids=["report", "index"])
def test_a_browser_runs_our_script_and_no_other(page: Page) -> None:
    digest = base64.b64encode(hashlib.sha256(page.inner("script")[-1].encode()).digest()).decode()
    policy = page.values("content", "meta")[0]
    assert f"script-src 'sha256-{digest}';" in policy
    assert "default-src 'none'" in policy


# ---- what a report shows


def test_every_moment_is_on_the_timeline_and_in_the_list_with_its_times_reasons_and_clip() -> None:
    page = page_of(report((segment(10), segment(65.5, "save", 0.42))))
    assert [address for address in page.values("href", "a") if address.startswith("#")] == ["#moment-0", "#moment-1"]
    assert {"moment-0", "moment-1"} <= set(page.values("id"))
    for shown in ("00:01:05.500", "00:01:15.500", "save", "0.42", "the sound rose by 8.5 dB"):
        assert shown in page.text
    assert "verified 250 frames, 10.000 s, A/V skew +1.3 ms" in page.text
    assert [found["href"] for tag, found in page.elements if "download" in found] == ["clips/0.mp4", "clips/1.mp4"]
    assert page.data()["moments"][1] == {"start_s": 65.5, "end_s": 75.5, "clip": "clips/1.mp4"}


def test_a_moment_lies_where_its_time_is() -> None:
    page = page_of(report((segment(25),)))
    [bar] = [found["style"] for _, found in page.elements if found.get("class", "").startswith("bar ")]
    assert bar.startswith("left:25.0%;width:10.0%")
    [event] = [found["style"] for tag, found in page.elements if found.get("class") == "event" and "style" in found]
    assert event == "left:60.0%;width:10.0%"


def test_the_player_opens_with_the_reel() -> None:
    reel = Reel(key="r", path="reel.mp4", segments=(0,), duration_ns=seconds(10))
    assert page_of(report((segment(10),), reel=reel, reel_plan=(0,))).values("src", "video") == ["reel.mp4"]


def test_without_clips_the_page_says_how_to_make_them() -> None:
    unplayable = replace(report().video, path=Path("/footage/game.mkv"))
    page = page_of(report((segment(10),), clips=(), video=unplayable))
    assert not page.values("src", "video")
    assert "matchcut export" in page.text


def test_uncalibrated_scores_are_called_so() -> None:
    assert "they are no probabilities" in page_of(report((segment(10, score_kind="uncalibrated"),))).text
    assert "calibrated probabilities" in page_of(report((segment(10),))).text


@pytest.mark.parametrize(
    ("changes", "plays"),
    [
        ({}, True),
        ({"path": Path("/footage/game.MP4")}, True),
        ({"path": Path("/footage/game.webm"), "codec": "vp9"}, True),
        ({"path": Path("/footage/game.mkv")}, False),
        ({"path": Path("/footage/game.mov")}, False),
        ({"codec": "hevc"}, False),
        ({"codec": "mpeg4"}, False),
        ({"pixel_format": "yuv420p10le"}, False),
        ({"codec": "av1", "pixel_format": "yuv420p10le"}, True),
        ({"rotation_deg": 90}, True),
        ({"rotation_deg": 12}, False),
    ],
)
def test_the_source_is_offered_only_where_browsers_play_it(changes: dict[str, Any], plays: bool) -> None:
    source = page_of(report(video=replace(report().video, **changes))).data()["source"]
    assert (source is not None) == plays


def test_damage_and_missing_time_are_marked() -> None:
    def warned(**facts: int) -> int:
        decode = DecodeFacts(**{"frames": 900, "corrupt": 0, "samples": 200, "covered_ns": seconds(100)} | facts)
        return page_of(report(decode=decode)).values("class").count("warn")

    assert (warned(), warned(corrupt=1), warned(covered_ns=seconds(60)), warned(corrupt=9, covered_ns=0)) == (
        0,
        1,
        1,
        2,
    )


def test_a_signal_that_is_missing_says_why() -> None:
    silent = replace(heard(), signals=Signals({}, {"loudness_db": "the file has no sound"}))
    assert "loudness not measured: the file has no sound" in page_of(report((segment(10),)), silent).text


def test_given_scores_are_drawn_instead_of_the_models_own() -> None:
    excitement = Track(label="moment", score=np.full(200, 0.5, np.float32), score_kind="uncalibrated")
    page = Page(html_of(report(), tracks=[excitement]))
    assert page.values("data-name") == ["moment", "motion", "cuts"]
    assert page_of(report()).values("data-name") == ["goal", "save", "motion", "cuts"]


# ---- no moments


def test_a_static_silent_video_is_told_why_it_has_no_moments() -> None:
    text = page_of(report(), heard(motion=0.002, loudness_db=-70.0)).text
    assert "No moment stands out" in text
    assert "The picture stands still: its motion never passes 0.002 of 1." in text
    assert "It is silent: never louder than -70 LUFS." in text


def test_a_lively_video_without_moments_is_told_what_came_closest() -> None:
    score = np.full(200, 0.1, np.float32)
    score[62] = 0.55  # the sample at 31 s
    track = Track(label="goal", score=score, score_kind="uncalibrated")
    html = html_of(report(), heard(motion=0.3, loudness_db=lambda t: -30 + t / 10), tracks=[track])
    assert "“goal” came closest, with a score of 0.55 at 0:31." in Page(html).text
    assert "stands still" not in html
    assert "silent" not in html


def test_a_video_of_which_nothing_was_seen_says_so() -> None:
    assert "Not one frame of it could be looked at." in page_of(report(), predicted([], seconds(100))).text


def test_the_settings_that_the_page_advises_are_settings_that_find_more() -> None:
    [advised] = page_of(report()).inner("pre")
    rule, default = AggregateConfig(**tomllib.loads(advised)["aggregate"]), AggregateConfig()
    assert rule.enter < default.enter
    assert rule.leave < default.leave


# ---- drawing


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=400), st.integers(1, 60))
def test_no_extreme_is_lost_when_a_series_is_thinned(values: list[float], buckets: int) -> None:
    series = np.array(values, np.float32)
    kept = drawing.extremes(series, buckets)
    assert len(kept) <= max(2 * buckets, 0)
    assert (np.diff(kept) > 0).all()
    assert series[kept].max() == series.max()
    assert series[kept].min() == series.min()


def test_a_short_series_is_drawn_whole() -> None:
    assert drawing.extremes(np.zeros(1000)).tolist() == list(range(1000))


def test_a_single_loud_sample_of_a_long_match_is_drawn_at_its_time() -> None:
    count, at = 10_800, 4_321
    values = np.zeros(count, np.float32)
    values[at] = 1.0
    path = drawing.area(np.arange(count) * NS_PER_S // 2, values, Span(0, count * NS_PER_S // 2), 0.0, 1.0)
    peaks = [int(x) for x, y in re.findall(r"(\d+) (\d+)", path) if y == "0"]
    assert peaks == [round(1000 * at / count)]


def test_the_last_value_holds_to_the_end() -> None:
    path = drawing.area(np.array([0, 50]), np.array([0.0, 1.0]), Span(0, 100), 0.0, 1.0)
    assert path == "M0 100L0 100L500 0H1000V100"


def test_stems_keep_the_strongest_cut_of_a_column() -> None:
    pts_ns = np.array([0, 1, 50, 51]) * 1000
    path = drawing.stems(pts_ns, np.array([0.05, 0.04, 0.5, 0.9]), Span(0, 10_000_000), least=0.1)
    assert path == "M5 100V10"


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 20)), max_size=12))
def test_spans_in_one_row_never_overlap(pairs: list[tuple[int, int]]) -> None:
    spans = [Span(start, start + long) for start, long in pairs]
    rows = drawing.rows(spans)
    for one in range(len(spans)):
        for other in range(one):
            assert rows[one] != rows[other] or not spans[one].overlap_ns(spans[other])


@given(st.integers(1, 30 * 24 * 3600 * NS_PER_S))
def test_a_time_axis_has_a_few_even_marks(duration_ns: int) -> None:
    marks = drawing.ticks_ns(Span(0, duration_ns))
    assert 1 <= len(marks) <= 9
    assert marks[0] == 0
    assert len(set(np.diff(marks))) <= 1


@given(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6))
def test_a_scale_ends_at_a_round_number_just_above(value: float, least: float) -> None:
    top = drawing.nice_ceiling(value, least)
    wanted = max(value, least)
    assert wanted * (1 - 1e-9) <= top <= 2 * wanted


def test_the_bar_that_is_offered_is_lower_than_the_one_that_was_set() -> None:
    config = override_config(Config(), {"aggregate": {"enter": 0.3, "leave": 0.1}}, "test")
    text = Page(html_of(report(), config=config)).text
    assert "enter = 0.18" in text and "leave = 0.06" in text


# ---- size


def long_match(minutes: int) -> str:
    rng = np.random.default_rng(minutes)
    noisy: dict[str, Callable[[float], float]] = {
        "motion": lambda _: rng.random(),
        "loudness_db": lambda _: rng.uniform(-40, -10),
    }
    moments = tuple(segment(t) for t in np.linspace(0, minutes * 60 - 10, 40))
    return html_of(report(moments, minutes * 60.0), heard(minutes * 60.0, **noisy))


def test_the_page_of_a_long_match_stays_small() -> None:
    assert len(long_match(90).encode()) < 130_000
    assert len(long_match(90)) < 1.05 * len(long_match(45))


# ---- the index


def test_failures_come_first_with_their_sentence_and_no_link() -> None:
    bad = outcome("z.mp4", error="z.mp4: the file is empty (0 bytes)")
    page = index_of(outcome("a.mp4"), bad, outcome("b.mp4"))
    rows = [found["class"] for tag, found in page.elements if tag == "tr" and "class" in found]
    assert rows == ["failed", "done", "done"]
    assert "z.mp4: the file is empty (0 bytes)" in page.text
    reports = [address for address in page.values("href", "a") if address.endswith("report.html")]
    assert reports == ["videos/a.mp4-1a/report.html", "videos/b.mp4-1a/report.html"]


def test_the_index_adds_up() -> None:
    text = index_of(outcome("a.mp4"), outcome("b.mp4"), outcome("c.mp4", error="no"), ignored=4).text
    for shown in ("3 videos", "1 failed", "2 done", "9 moments", "6 clips", "4:30 of footage", "4 other files ignored"):
        assert shown in text


def test_an_empty_run_has_a_page_that_says_so() -> None:
    assert "No video was found" in index_of(ignored=2).text


# ---- words


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (words.clock(seconds(0)), "0:00"),
        (words.clock(seconds(59.999)), "0:59"),
        (words.clock(seconds(3725)), "1:02:05"),
        (words.duration(seconds(9.49)), "9.4 s"),
        (words.duration(seconds(59.99)), "59.9 s"),
        (words.duration(seconds(60)), "1:00"),
        (words.milliseconds(0), "0 ms"),
        (words.milliseconds(-2_249_000), "-2.2 ms"),
        (words.percent(0), "0%"),
        (words.percent(0.001), "< 1%"),
        (words.percent(0.5), "50%"),
        (words.number(-30.0), "\N{MINUS SIGN}30"),
        (words.count(0, "clip"), "no clips"),
        (words.count(1, "clip"), "1 clip"),
        (words.count(1200, "clip"), "1,200 clips"),
        (words.printable("a\nb\x7f"), "a␊b␡"),
        (words.address("a b#?.mp4"), "a%20b%23%3F.mp4"),
    ],
)
def test_quantities_read_as_people_write_them(said: str, expected: str) -> None:
    assert said == expected
