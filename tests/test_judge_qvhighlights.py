"""QVHighlights: the official values for the official sample, and what they are made of, by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError
from pipeline.judge import BRIEF, judge_qvhighlights
from pipeline.judge.qvhighlights import precision_of_clips

ROOT = Path(__file__).parents[1]
FOLDER = Path(os.environ.get("MATCHCUT_DATA", ROOT / "../shared/data")) / "annotations" / "qvhighlights"

Row = dict[str, Any]


def truth(windows: list[list[float]], *, qid: int = 1, duration: int = 60, saliency: int = 4) -> Row:
    """All three annotators give every clip in the windows the same score."""
    clips = sorted({clip for start, end in windows for clip in range(int(start // 2), int(-(-end // 2)))})
    return {
        "qid": qid,
        "duration": duration,
        "relevant_windows": windows,
        "relevant_clip_ids": clips,
        "saliency_scores": [[saliency] * 3] * len(clips),
    }


def answer(windows: list[list[float]], scores: list[float] | None = None, *, qid: int = 1) -> Row:
    return {"qid": qid, "pred_relevant_windows": windows, "pred_saliency_scores": scores or [0.0] * 30}


@st.composite
def queries(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    """Answers and truths."""
    rows: tuple[list[Row], list[Row]] = ([], [])
    for qid in range(draw(st.integers(1, 4))):
        starts = draw(st.lists(st.integers(0, 50), min_size=1, max_size=3, unique=True))
        rows[1].append(truth([[start, start + draw(st.integers(2, 10))] for start in starts], qid=qid))
        found = [[draw(st.integers(0, 40)), 50, draw(st.floats(0, 1))] for _ in range(draw(st.integers(1, 4)))]
        rows[0].append(answer(found, draw(st.lists(st.floats(0, 1), min_size=30, max_size=30)), qid=qid))
    return rows


# --- laws ---


@given(queries())
def test_a_perfect_answer_scores_a_hundred(rows: tuple[list[Row], list[Row]]) -> None:
    perfect = []
    for row in rows[1]:
        scores = [float(clip in row["relevant_clip_ids"]) for clip in range(30)]
        perfect.append(answer([[*window, 1.0] for window in row["relevant_windows"]], scores, qid=row["qid"]))
    figures = judge_qvhighlights(perfect, rows[1])
    assert {name: figures[name] for name in BRIEF if name in figures} == {
        name: pytest.approx(100) for name in BRIEF if name in figures
    }
    assert figures["HL-min-Good-mAP_chance"] < 100


@given(queries(), st.integers(0, 100))
def test_the_order_of_queries_does_not_matter(rows: tuple[list[Row], list[Row]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    mixed = [[rows[k][number] for number in rng.permutation(len(rows[k]))] for k in (0, 1)]
    before, after = judge_qvhighlights(*rows), judge_qvhighlights(*mixed)
    assert {name: after[name] for name in after if "chance" not in name} == {
        name: pytest.approx(before[name]) for name in before if "chance" not in name
    }


@given(queries())
def test_a_stricter_overlap_never_helps(rows: tuple[list[Row], list[Row]]) -> None:
    figures = judge_qvhighlights(*rows)
    for name in ("mAP", "R1"):
        by_tiou = [
            figures[f"MR-full-{name}@{tiou}"] for tiou in (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
        ]
        assert by_tiou == pytest.approx(sorted(by_tiou, reverse=True))


# --- by hand ---


@pytest.mark.parametrize(
    ("good", "scores", "expected"),
    [
        ([1, 0, 0], [0.9, 0.5, 0.1], 1.0),
        ([0, 1, 1], [0.9, 0.5, 0.1], 2 / 3),  # 1/2 becomes 2/3: precision is made monotone
        ([1, 0, 0, 1], [4, 3, 2, 1], (1 + 1 / 2) / 2),
        ([1, 1, 0, 1], [2, 2, 2, 1], (3 / 4 + 3 / 4) / 2),  # 2 of the first 3, made monotone; one threshold counts once
        ([0, 0], [2, 1], 0.0),
        ([1, 1], [2, 2], 1.0),
    ],
)
def test_average_precision_of_clips_by_hand(good: list[int], scores: list[float], expected: float) -> None:
    assert precision_of_clips(np.array(good, bool)[:, None], np.array(scores, float)) == pytest.approx([expected])


def test_the_first_window_counts_for_r1_whatever_its_score_and_its_union_is_the_hull() -> None:
    """[0, 10] against [8, 14] and [20, 30]: 2 of 14 s. Second in the list, but better scored, is the right one."""
    figures = judge_qvhighlights([answer([[0, 10, 0.1], [20, 30, 0.9]])], [truth([[8, 14], [20, 30]])])
    assert figures["MR-full-R1@0.5"] == 0
    assert figures["MR-full-mAP@0.5"] == pytest.approx(50)
    figures = judge_qvhighlights([answer([[20, 30, 0.1], [0, 10, 0.9]])], [truth([[8, 14], [20, 30]])])
    assert figures["MR-full-R1@0.95"] == 100
    assert figures["MR-full-mAP@0.5"] == pytest.approx(25)


def test_only_ten_windows_count() -> None:
    wrong = [[40, 41, 0.9]] * 10
    assert judge_qvhighlights([answer([*wrong, [0, 10, 1.0]])], [truth([[0, 10]])])["MR-full-mAP"] == 0


def test_lengths_part_the_true_windows() -> None:
    figures = judge_qvhighlights([answer([[0, 10, 0.9]])], [truth([[0, 10], [20, 31]])])
    assert (figures["MR-short-mAP"], figures["MR-middle-mAP"]) == (100, 0)
    assert figures["MR-full-mAP"] == pytest.approx(50)
    assert "MR-long-mAP" not in figures


def test_a_highlight_is_hit_where_any_annotator_calls_it_good() -> None:
    row = truth([[0, 4]]) | {"saliency_scores": [[1, 1, 3], [4, 4, 4]]}
    hits = judge_qvhighlights([answer([[0, 4, 1]], [1.0] + [0.0] * 29)], [row])
    assert [hits[f"HL-min-{level}-Hit1"] for level in ("Fair", "Good", "VeryGood")] == [100, 100, 0]


def test_scores_of_clips_that_are_not_there_are_dropped_and_missing_ones_are_0() -> None:
    beyond = answer([[0, 4, 1]], [0.5] * 30 + [9.0])
    assert judge_qvhighlights([beyond], [truth([[0, 4]])])["HL-min-Fair-Hit1"] == 0
    short = answer([[0, 4, 1]], [0.5, 0.5])
    assert judge_qvhighlights([short], [truth([[0, 4]])])["HL-min-Fair-mAP"] == pytest.approx(100)


def test_an_answer_may_have_windows_only_or_scores_only() -> None:
    rows = [truth([[0, 4]])]
    windows = judge_qvhighlights([{"qid": 1, "pred_relevant_windows": [[0, 4, 1]]}], rows)
    assert "MR-full-mAP" in windows and "HL-min-Fair-mAP" not in windows
    scores = judge_qvhighlights([{"qid": 1, "pred_saliency_scores": [1.0, 1.0]}], rows)
    assert "MR-full-mAP" not in scores and scores["HL-min-Fair-mAP"] == 100


@pytest.mark.parametrize(
    ("answers", "truths", "words"),
    [
        ([answer([[0, 1, 1]])], [truth([[0, 4]]), truth([[0, 4]], qid=7)], "not in both: 7"),
        ([answer([[0, 1, 1]]), answer([[0, 1, 1]])], [truth([[0, 4]])], "2 answers for 1 queries"),
        ([], [], "0 answers for 0 queries"),
        ([{"query": "x"}], [truth([[0, 4]])], "an answer without a qid"),
        ([answer([[0, 1]])], [truth([[0, 4]])], "qid 1: ValueError"),
        ([answer([[0, 1, 1]])], [{"qid": 1}], "qid 1: KeyError 'duration'"),
        ([answer([[0, 1, 1]])], [truth([[0, 80]], duration=60)], "qid 1: IndexError"),
        ([{"qid": 1}], [truth([[0, 4]])], "neither pred_relevant_windows nor pred_saliency_scores"),
    ],
)
def test_rows_that_cannot_be_judged_are_named(answers: list[Row], truths: list[Row], words: str) -> None:
    with pytest.raises(DataError, match=words):
        judge_qvhighlights(answers, truths)


# --- the official sample ---


@pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real data: {FOLDER} is absent")
def test_all_official_values_of_the_official_sample() -> None:
    def rows(name: str) -> list[Row]:
        return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]

    official = json.loads((FOLDER / "standalone_eval/sample_val_preds_metrics_raw.json").read_text(encoding="utf-8"))
    figures = judge_qvhighlights(
        rows("standalone_eval/sample_val_preds.jsonl"), rows("data/highlight_val_release.jsonl")
    )
    expected = dict(official["brief"])
    for length in ("full", "long", "middle", "short"):
        expected |= {f"MR-{length}-mAP@{tiou}": value for tiou, value in official[length]["MR-mAP"].items()}
        expected |= {f"MR-{length}-R1@{tiou}": value for tiou, value in official[length]["MR-R1"].items()}
        expected[f"MR-{length}-mAP"] = expected.pop(f"MR-{length}-mAP@average")
    assert set(official["brief"]) == set(BRIEF) and len(expected) == 90
    assert {name: round(figures[name], 2) for name in expected} == expected
    assert figures["HL-min-VeryGood-mAP_chance"] == pytest.approx(15.3, abs=0.5)
    assert figures["HL-min-VeryGood-Hit1_chance"] == pytest.approx(22.4, abs=1.5)
