"""Events in long videos: which moments are looked at, what each is said to show, and how a video is parted."""

from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.dataset import Dataset
from models.data.table import is_table, read_table, time_ns
from models.data.timed import NS_PER_S, Event, Moment, clashes, moments
from models.evaluate import Seen
from models.learn import split
from models.spec import NONE
from pipeline.commands.learning import FRAMES, read_data
from pipeline.errors import DataError
from tests.lessons import shown_in, write_match, write_picture

SIZE = (32, 32)
DURATION_NS = 400 * NS_PER_S


@st.composite
def events(draw: st.DrawFn) -> Event:
    tick_ns = draw(st.sampled_from([1, NS_PER_S // 4]))  # on a coarse grid, edges and pictures meet
    start_ns = draw(st.integers(0, DURATION_NS // tick_ns - 1)) * tick_ns
    length_ns = draw(st.integers(1, 30 * NS_PER_S // tick_ns)) * tick_ns
    return Event(start_ns, min(start_ns + length_ns, DURATION_NS), draw(st.sampled_from("ABC")))


many = st.lists(events(), min_size=1, max_size=12)


def holding(moment: Moment, among: list[Event]) -> list[Event]:
    return [event for event in among if event.start_ns <= moment.t_ns < event.end_ns]


# Laws


@given(many, st.integers(1, 12))
def test_a_moment_inside_events_is_of_the_one_whose_middle_is_nearer(given: list[Event], blocks: int) -> None:
    taken = moments(given, DURATION_NS, 24, blocks)
    assert [m.t_ns for m in taken] == sorted({m.t_ns for m in taken})
    for moment in taken:
        around = sorted(holding(moment, given))
        if around:
            nearest = min(abs(event.middle_ns - moment.t_ns) for event in around)
            first = next(event for event in around if abs(event.middle_ns - moment.t_ns) == nearest)
            assert moment.label == first.label


@given(many, st.integers(1, 12))
def test_what_is_not_timed_shows_none_and_is_a_second_away_from_every_edge(given: list[Event], blocks: int) -> None:
    for moment in moments(given, DURATION_NS, 24, blocks):
        assert 0 <= moment.t_ns < DURATION_NS
        if not holding(moment, given):
            assert moment.label == NONE
            edges = [edge for event in given for edge in (event.start_ns, event.end_ns)]
            assert min(abs(edge - moment.t_ns) for edge in edges) >= NS_PER_S


@given(many, st.integers(1, 24))
def test_of_an_event_at_least_one_picture_is_taken_and_at_most_so_many(given: list[Event], most: int) -> None:
    alone = given[:1]
    taken = [moment for moment in moments(alone, DURATION_NS, most, 1) if holding(moment, alone)]
    seconds = (alone[0].end_ns - alone[0].start_ns) // NS_PER_S
    assert 1 <= len(taken) <= most
    assert len(taken) >= min(most, 2 * seconds)


@given(many)
def test_there_are_about_as_many_negatives_as_there_is_time_for(given: list[Event]) -> None:
    taken = moments(given, DURATION_NS, 24, 1)
    timed = sum(bool(holding(moment, given)) for moment in taken)
    free_s = (
        sum(
            all(t < e.start_ns / NS_PER_S - 1 or t >= e.end_ns / NS_PER_S + 1 for e in given)
            for t in np.arange(0, DURATION_NS / NS_PER_S, 0.1)
        )
        / 10
    )
    wanted = min(max(timed, free_s // 10), 2 * free_s)
    assert len(taken) - timed == pytest.approx(wanted, abs=4)


@given(many, st.integers(2, 12))
def test_blocks_follow_each_other_and_two_seconds_lie_between_them(given: list[Event], blocks: int) -> None:
    taken = moments(given, DURATION_NS, 24, blocks)
    numbers = [moment.block for moment in taken]
    assert numbers == sorted(numbers) and numbers[-1] < blocks
    for event in given:
        assert len({m.block for m in taken if event.start_ns <= m.t_ns < event.end_ns}) <= 1
    for before, after in pairwise(taken):
        if before.block != after.block:
            assert after.t_ns - before.t_ns >= 2 * NS_PER_S


@given(st.integers(0, 99 * 3600 * NS_PER_S))
def test_a_time_is_read_as_it_is_written_in_every_notation(t_ns: int) -> None:
    seconds, rest = divmod(t_ns, NS_PER_S)
    minutes, hours = seconds // 60, seconds // 3600
    assert time_ns(f"{seconds}.{rest:09d}") == t_ns
    assert time_ns(f"{minutes}:{seconds % 60:02d}.{rest:09d}") == t_ns
    assert time_ns(f" {hours:02d}:{minutes % 60:02d}:{seconds % 60:02d}.{rest:09d} ") == t_ns


@given(many)
def test_a_clash_is_told_exactly_where_events_of_two_labels_overlap(given: list[Event]) -> None:
    told = list(clashes(given))
    assert all(one.label != other.label and one.start_ns <= other.start_ns < one.end_ns for one, other in told)
    overlap = any(a.label != b.label and a.start_ns < b.end_ns and b.start_ns < a.end_ns for a in given for b in given)
    assert bool(told) == overlap


# By hand


@pytest.mark.parametrize(
    ("text", "seconds"), [("0", 0), ("12.5", 12.5), ("1:02.25", 62.25), ("01:00:00.001", 3600.001), ("90:00", 5400)]
)
def test_a_time_by_hand(text: str, seconds: float) -> None:
    assert time_ns(text) == round(seconds * NS_PER_S)


def test_a_picture_at_the_end_of_an_event_is_no_longer_of_it() -> None:
    long, short = Event(0, 10 * NS_PER_S, "A"), Event(5_150_000_000, 5_250_000_000, "B")
    labels = {moment.t_ns: moment.label for moment in moments([long, short], 10 * NS_PER_S, 24, 1)}
    assert labels[5_200_000_000] == "B" and labels[5_250_000_000] == "A"


@pytest.mark.parametrize("text", ["", "x", "-1", "1:60", "1:2:3:4", "1:60:00", "nan", "1e3", "9" * 30, "1:-2", "٣"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(DataError, match="is no time"):
        time_ns(text)


def test_an_event_without_neighbours_has_its_pictures_in_the_middle_of_half_seconds() -> None:
    taken = moments([Event(10 * NS_PER_S, 12 * NS_PER_S, "A")], 12 * NS_PER_S, 24, 1)
    assert [moment.t_ns / NS_PER_S for moment in taken if moment.label == "A"] == [10.25, 10.75, 11.25, 11.75]
    assert [moment.t_ns / NS_PER_S for moment in taken if moment.label == NONE] == [1.125, 3.375, 5.625, 7.875]


def test_a_video_is_parted_in_the_middle_of_what_is_not_timed() -> None:
    two = [Event(0, 4 * NS_PER_S, "A"), Event(10 * NS_PER_S, 14 * NS_PER_S, "B")]
    taken = moments(two, 20 * NS_PER_S, 24, 10)
    assert max(moment.t_ns for moment in taken if moment.block == 0) < 7 * NS_PER_S
    assert {moment.label for moment in taken if moment.block == 0} == {"A", NONE}
    assert {moment.block for moment in taken if moment.label == "B"} == {1}


# Tables


def table(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_a_table_is_known_by_its_column_path_whatever_stands_between_its_columns(tmp_path: Path) -> None:
    for head in ("path,label", '"Path";"label"', "label\tpath", "\ufeffpath,start,end,label"):
        assert is_table(table(tmp_path / "a.csv", head))
    assert not is_table(table(tmp_path / "a.csv", "filename,label"))


@pytest.mark.parametrize(
    ("head", "words"),
    [
        ("file,label", "no column `path`"),
        ("path,label,label", "two columns of one name"),
        ("path,start,label", "need the columns start, end and label"),
        ("path,start,end", "need the columns start, end and label"),
        ('path,"lab', "no CSV that can be read"),
    ],
)
def test_a_table_that_cannot_be_understood_is_refused(tmp_path: Path, head: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_table(table(tmp_path / "a.csv", head), Path)


def test_a_table_that_is_no_text_or_far_too_large_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"path,label\n\xff\xfe,x\n")
    with pytest.raises(DataError, match="no CSV that can be read"):
        read_table(tmp_path / "a.csv", Path)
    with (tmp_path / "a.csv").open("r+b") as file:
        file.truncate(10**9)
    with pytest.raises(DataError, match="bytes"):
        read_table(tmp_path / "a.csv", Path)


def test_rows_give_labels_and_attributes_and_a_wrong_one_is_named_by_its_line(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_picture(tmp_path / f"{name}.png", "dunk", 1)
    lines = ("path,label,age,Mood", "a.png,dunk,young,", "", "b.png,,old,glad", "a.png,rest,,", "c.png,dunk,,")
    data = read_data([table(tmp_path / "labels.csv", *lines)], None, SIZE)
    assert data.label == ("dunk", "")
    assert data.attributes == {"age": ("young", "old"), "mood": ("", "glad")}
    assert [problem for problem in data.problems if problem.startswith("row")] == [
        "row: labels.csv, line 5: a.png stands in an earlier line, which counts",
        "row: labels.csv, line 6: 'c.png': no such file",
    ]


def test_a_column_of_names_is_no_attribute(tmp_path: Path) -> None:
    rows = []
    for number in range(101):
        write_picture(tmp_path / f"{number}.png", "dunk", number)
        rows.append(f"{number}.png,x{number}")
    data = read_data([table(tmp_path / "labels.csv", "path,url", *rows)], None, SIZE)
    assert data.attributes == {}
    assert "attribute: url: 101 values, 100 at most; left out" in data.problems


def test_a_table_beside_class_folders_adds_attributes_to_their_files(tmp_path: Path) -> None:
    for label in ("dunk", "pass"):
        write_picture(tmp_path / label / "a.png", label, 1)
    table(tmp_path / "ages.csv", "path,age", "dunk/a.png,old")
    data = read_data([tmp_path], None, SIZE)
    assert data.label == ("dunk", "pass")
    assert data.attributes == {"age": ("old", "")}


# Long videos


@pytest.fixture(scope="module")
def match(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 s: dunks at 4 and 22 s, passes at 12 and 30 s, three seconds each; and a table that says so."""
    folder = tmp_path_factory.mktemp("match")
    write_match(folder / "a.mp4", ("dunk", 4, 7), ("pass", 12, 15), ("dunk", 22, 25), ("pass", 30, 33))
    lines = ("a.mp4,4,7,dunk", "a.mp4,0:12,0:15,pass", "a.mp4,22.0,00:00:25,dunk", "a.mp4,30,33.000,pass")
    return table(folder / "events.csv", "path,start,end,label", *lines).parent


@pytest.fixture(scope="module")
def timed(match: Path) -> Dataset:
    return read_data([match], None, SIZE)


def test_every_picture_of_a_long_video_shows_what_it_is_said_to_show(timed: Dataset) -> None:
    assert [shown_in(picture) for picture in timed.pixels] == list(timed.label)
    assert {name: timed.label.count(name) for name in timed.classes} == {"dunk": 12, NONE: 24, "pass": 12}


def test_a_picture_knows_when_it_began_to_be_on_display(timed: Dataset) -> None:
    assert (np.diff(timed.time_ns) > 0).all()
    assert timed.time_ns[timed.label.index("dunk")] == 4.2 * NS_PER_S  # on display at 4.25 s, ten pictures a second


def test_events_and_negatives_of_one_video_are_judged_by_blocks_that_were_not_trained_on(timed: Dataset) -> None:
    part = split(timed, None, 0)
    assert {timed.label[k] for k in part["val"]} == {"dunk", "pass", NONE}
    train, val = (set(timed.digests_of(part[name])) for name in ("train", "val"))
    assert train and val and not train & val
    times = defaultdict[str, list[int]](list)
    for name in part:
        times[name] = timed.time_ns[part[name]].tolist()
    assert min(abs(a - b) for a in times["train"] for b in times["val"]) >= NS_PER_S


def test_a_video_that_was_trained_on_in_part_is_known_as_a_whole(timed: Dataset) -> None:
    part = split(timed, None, 0)
    kept = {name: timed.digests_of(rows) for name, rows in part.items() if len(rows)}
    assert {Seen.of(kept[name], kept).place for name in kept} == {("train",) * 2, ("val",) * 2}
    assert Seen.of([timed.digests[0].partition("@")[0], "another"], kept).place == ("train", "new")


def test_a_table_of_five_videos_is_parted_by_video(match: Path, tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}.mp4").write_bytes((match / "a.mp4").read_bytes() + bytes(number))
    rows = [f"{number}.mp4,{start},{start + 3},dunk" for number in range(5) for start in (4, 22)]
    data = read_data([table(tmp_path / "events.csv", "path,start,end,label", *rows)], None, SIZE)
    assert len(data.paths) == len(set(data.groups)) == 5
    assert not any("@" in digest for digest in data.digests)


def test_what_is_wrong_with_events_is_counted_and_named(match: Path, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes((match / "a.mp4").read_bytes())
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    write_picture(tmp_path / "picture.png", "dunk", 1)
    rows = (
        "a.mp4,4,7,dunk",
        "a.mp4,6,8,pass",
        "a.mp4,39,50,rest",
        "a.mp4,60,70,late",
        "a.mp4,9,8,dunk",
        "a.mp4,10,11,",
        "broken.mp4,1,2,dunk",
        "picture.png,1,2,dunk",
        "../../etc/a.mp4,1,2,dunk",
    )
    notes = table(tmp_path / "events.csv", "path,start,end,label,by", *(f"{row},me" for row in rows))
    data = read_data([notes], None, SIZE)
    told = "\n".join(data.problems)
    for words in (
        "not used: events.csv: of events, by",
        "line 6: the event ends at 8, not after its start, 9",
        "line 7: no label",
        "line 10: '../../etc/a.mp4' leads out of the given DATA",
        "event after the end: a.mp4: rest from 39 to 50 s of 40 s is cut there",
        "event after the end: a.mp4: late from 60 to 70 s of 40 s is left out",
        "overlap: a.mp4: dunk from 4 to 7 s and pass from 6 to 8 s",
        "unreadable: broken.mp4",
        "unreadable: picture.png: events in what is no video",
        "empty class: late",
    ):
        assert words in told
    assert set(data.classes) == {"dunk", "pass", "rest", NONE}
    assert data.label.count("rest") == 2


def test_videos_that_no_table_names_are_left_out_and_named(match: Path, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes((match / "a.mp4").read_bytes())
    table(tmp_path / "events.csv", "path,start,end,label", "a.mp4,4,7,dunk")
    data = read_data([tmp_path], None, SIZE)
    assert {path.name for path in data.paths} == {"a.mp4"}
    assert "no class: b.mp4: nothing says what it shows" in data.problems


def test_of_a_long_event_no_more_pictures_are_taken_than_of_a_clip(tmp_path: Path) -> None:
    write_match(tmp_path / "a.mp4", ("dunk", 0, 30))
    data = read_data([table(tmp_path / "events.csv", "path,start,end,label", "a.mp4,0,30,dunk")], None, SIZE)
    assert data.label.count("dunk") == FRAMES
