"""`matchcut eval` beyond checkpoints, as people meet it: results against a CSV, predictions against a benchmark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from pipeline.cli import main
from pipeline.commands.truths import read_moments, read_rows, read_scores, read_transitions
from pipeline.errors import DataError
from pipeline.judge import Transitions
from pipeline.timeline import NS_PER_S
from tests.games import DURATION_S, Desk, make_game

Capture = pytest.CaptureFixture[str]


def write(path: Path, content: Any) -> Path:
    """Text as it is, lists as JSON Lines, anything else as JSON."""
    if isinstance(content, list):
        content = "".join(json.dumps(row) + "\n" for row in content)
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def figures(capsys: Capture, *arguments: str | Path) -> dict[str, Any]:
    assert main(["eval", *map(str, arguments), "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    return told


def refusal(capsys: Capture, *arguments: str | Path) -> str:
    """What is said of a request that cannot be carried out."""
    assert main(["eval", *map(str, arguments)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


# Results against moments


def test_a_folder_of_results_is_judged_by_moments_in_its_videos(
    done_desk: Desk, tmp_path: Path, capsys: Capture
) -> None:
    (segment,) = done_desk.report()["segments"]
    event_s = (segment["event_start_ns"] / NS_PER_S, segment["event_end_ns"] / NS_PER_S)
    truth = write(tmp_path / "t.csv", f"path,start,end,label\na.mp4,{event_s[0]},0:0:{event_s[1]:06.3f},flash\n")
    told = figures(capsys, done_desk.out, truth)
    assert (told["map"], told["recall"], told["false_alarms_per_minute"]) == (1.0, 1.0, 0.0)
    assert (told["videos"], told["truths"], told["found"], told["warnings"]) == (1, 1, 1, [])
    assert told["minutes"] == pytest.approx(DURATION_S / 60, rel=0.05)
    assert 0 < told["recall_chance"] < 1
    assert main(["eval", str(done_desk.out), str(truth)]) == 0
    text = capsys.readouterr().out
    assert "mAP     1.000 (chance 0." in text and "of 1 moments known" in text
    assert "in      0.00 s off" in text


def test_what_a_truth_says_nothing_about_is_not_judged(done_desk: Desk, tmp_path: Path, capsys: Capture) -> None:
    """Two games: one was watched and has nothing, of the other nothing is known."""
    make_game(done_desk.games / "b.mp4", (1.0, 2.5))
    done_desk.run(clips=False)
    told = figures(capsys, done_desk.out, write(tmp_path / "t.csv", "path,start,end,label\nb.mp4,,,\n"))
    assert (told["videos"], told["truths"], told["found"]) == (1, 0, 1)
    assert told["map"] is None and told["false_alarms_per_minute"] > 10


def test_what_cannot_be_judged_as_it_seems_is_a_warning(done_desk: Desk, tmp_path: Path, capsys: Capture) -> None:
    (done_desk.games / "b.mp4").write_text("not a video")
    done_desk.run()
    rows = "path,start,end,label\nin/a.mp4,1,2,dunk\nb.mp4,1,2,dunk\nother.mp4,1,2,dunk\n"
    truth = write(tmp_path / "t.csv", rows)
    told = figures(capsys, done_desk.out, truth)
    assert (told["truths"], told["videos"], told["recall"]) == (2, 1, 0.0)
    unknown, failed, label = told["warnings"]
    assert "other.mp4: no such video" in unknown
    assert "b.mp4: it failed; all its moments count as missed" in failed
    assert "label dunk: nothing that was found bears it; found: flash" in label
    assert main(["eval", str(done_desk.out), str(truth)]) == 0
    assert capsys.readouterr().out.startswith("warning: other.mp4")


VIDEOS = ("/games/north/a.mp4", "/games/south/a.mp4", "/games/b.mp4")


@pytest.mark.parametrize(
    ("row", "start_s", "end_s", "video"),
    [
        ("b.mp4,1.5,2,goal", 1.5, 2, 2),
        ("north/a.mp4, 1:02:03.004, 1:02:04 ,goal", 3723.004, 3724, 0),
        ("/games/south/a.mp4,59,1:00,goal", 59, 60, 1),
        ('"b.mp4",00:00:01.000,90,"goal, at last"', 1, 90, 2),
    ],
)
def test_a_row_says_where_when_and_what(tmp_path: Path, row: str, start_s: float, end_s: float, video: int) -> None:
    known = read_moments(write(tmp_path / "t.csv", f"path,start,end,label\n{row}\n"), VIDEOS)
    (moment,) = known.moments
    assert moment.video == VIDEOS[video] and moment.label.startswith("goal")
    assert (moment.span.start_ns, moment.span.end_ns) == (round(start_s * NS_PER_S), round(end_s * NS_PER_S))


def test_columns_may_stand_in_any_order_beside_others(tmp_path: Path) -> None:
    text = "\ufefflabel,path,note,end,start\ngoal,b.mp4,seen twice,2,1\n"
    (moment,) = read_moments(write(tmp_path / "t.csv", text), VIDEOS).moments
    assert (moment.label, moment.span.start_ns) == ("goal", NS_PER_S)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.mp4,1,2,goal\n", "its first line is to name the columns path,start,end,label"),
        ("", "its first line is to name"),
        ("path,start,end,label\na.mp4,1,2,goal\n", "line 2: a.mp4 may be /games/north/a.mp4 or /games/south/a.mp4"),
        ("path,start,end,label\nc.mp4,1,2,goal\n", "none of its paths is that of a video here: c.mp4"),
        ("path,start,end,label\nest/b.mp4,1,2,goal\n", "none of its paths"),
        ("path,start,end,label\n,1,2,goal\n", "line 2: no path"),
        ("path,start,end,label\nb.mp4,2,1,goal\n", "line 2: it ends at 1, but starts at 2"),
        ("path,start,end,label\nb.mp4,1,2,\n", "line 2: no label"),
        ("path,start,end,label\nb.mp4,1,,goal\n", "line 2: end: '' is no time"),
        ("path,start,end,label\nb.mp4,-1,2,goal\n", "line 2: start: '-1' is no time. Write seconds, mm:ss or hh:mm:ss"),
        ("path,start,end,label\nb.mp4,1:75,2:00,goal\n", "start: '1:75' is no time"),
        ("path,start,end,label\nb.mp4,0,1e9,goal\n", "end: '1e9' is no time"),
    ],
)
def test_a_truth_that_cannot_be_read_is_named_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match="(?s).*" + words.replace("(", r"\(")):
        read_moments(write(tmp_path / "t.csv", text), VIDEOS)


# Predictions against benchmarks

QUERY = {
    "qid": 1,
    "duration": 20,
    "relevant_windows": [[0, 8]],
    "relevant_clip_ids": [0],
    "saliency_scores": [[4, 4, 4]],
}
ANSWER = {"qid": 1, "pred_relevant_windows": [[0, 8, 0.9]], "pred_saliency_scores": [1.0] + [0.0] * 9}


def test_predictions_are_judged_as_qvhighlights(tmp_path: Path, capsys: Capture) -> None:
    given = write(tmp_path / "p.jsonl", [ANSWER]), write(tmp_path / "t.jsonl", [QUERY])
    assert figures(capsys, "--as", "qvhighlights", *given)["MR-full-mAP"] == 100
    assert main(["eval", "--as", "qvhighlights", *map(str, given)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("MR-full-R1@0.5       100.00 (chance ") and lines[0].endswith("of 1 queries")


def write_annotations(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["refs/name"] = np.array([[ord("x")]], np.uint16)
        file["refs/people"] = np.array([[1, 2, 3], [1, 3, 2]], float)
        for column, where in (("video", "refs/name"), ("user_anno", "refs/people")):
            file.create_dataset(f"tvsum50/{column}", data=[[file[where].ref]], dtype=h5py.ref_dtype)
    return path


def test_scores_are_judged_as_tvsum_and_its_file_alone_tells_how_far_people_agree(
    tmp_path: Path, capsys: Capture
) -> None:
    annotations = write_annotations(tmp_path / "t.mat")
    told = figures(capsys, write(tmp_path / "s.json", {"x": [1, 2, 3]}), annotations, "--as", "tvsum")
    assert told["tau"] == pytest.approx((1 + 1 / 3) / 2)
    assert told["tau_human"] == pytest.approx(1 / 3)
    assert main(["eval", str(annotations), "--as", "tvsum"]) == 0
    assert capsys.readouterr().out.startswith("Kendall tau-b  human 0.333, chance ")


def test_shot_boundaries_are_judged_in_three_ways(tmp_path: Path, capsys: Capture) -> None:
    truth = write(tmp_path / "t.json", {"a.mp4": {"transitions": [[9, 10], [50, 60]], "frame_num": 100.0}})
    found = write(tmp_path / "p.json", {"a.mp4": {"cut": [[9, 10], [20, 21]], "gradual": []}})
    told = figures(capsys, found, truth, "--as", "cuts")
    assert told["one_to_one"]["precision"] == 0.5 and told["transnet"]["recall"] == 0.5
    assert main(["eval", "--as", "cuts", str(found), str(truth)]) == 0
    assert "clipshots_cut      recall    1.000 (chance 0." in capsys.readouterr().out


def test_both_of_clipshots_formats_are_read(tmp_path: Path) -> None:
    both = {"a": {"transitions": [[9, 10], [50, 60]], "frame_num": 100}, "b": {"cut": [[1, 2]], "gradual": [[5, 9]]}}
    assert read_transitions(write(tmp_path / "t.json", both)) == {
        "a": Transitions(cut=((9, 10),), gradual=((50, 60),), frames=100),
        "b": Transitions(cut=((1, 2),), gradual=((5, 9),)),
    }


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "t.json: no JSON"),
        ([[1]], "an object with a key for each video is wanted"),
        ({"a": 3}, "t.json, a: TypeError"),
        ({"a": {"cut": [[1, 2]]}}, "t.json, a: KeyError 'gradual'"),
        ({"a": {"transitions": [[1]]}}, "t.json, a: ValueError"),
    ],
)
def test_boundaries_that_cannot_be_read_are_named(tmp_path: Path, content: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        read_transitions(write(tmp_path / "t.json", content))


def test_lines_and_scores_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"t\.jsonl, line 3: no JSON"):
        read_rows(write(tmp_path / "t.jsonl", '{"qid": 1}\n\n{"qid": \n'))
    for wrong in ('{"a": [1, NaN]}', '{"a": 1}', '{"a": ["1"]}', '{"a": [true]}'):
        with pytest.raises(DataError, match=r"s\.json, a: a list of numbers is wanted"):
            read_scores(write(tmp_path / "s.json", wrong))


# Requests that cannot be carried out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.json", "b.json"], "a.json: neither a checkpoint (.safetensors) nor a folder with summary.json"),
        ([".", "b.json"], "Say what it is: --as qvhighlights, tvsum, cuts"),
        (["gone", "b.json"], "gone: no such model file"),
        (["default"], "no TRUTH: give folders that hold a folder for each class"),
        (["--as", "cuts", "a.json"], "0 TRUTH given: cuts are judged by one file"),
        (["--as", "tvsum", "a.json", "b.mat", "c.mat"], "2 TRUTH given"),
        (["--as", "cuts", "a.json", "gone.json"], "gone.json: no such file"),
        (["--as", "cuts", "a.json", "."], "no text in UTF-8"),
        (["--as", "moments", ".", "t.csv"], "no summary.json here"),
        (["--as", "cuts", "--all", "a.json", "a.json"], "--all is for checkpoints that are judged by pictures"),
    ],
)
def test_what_cannot_be_judged_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture, arguments: list[str], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "a.json", {})
    assert words in refusal(capsys, *arguments)
