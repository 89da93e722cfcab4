"""TVSum: rank agreement known by hand, and the published agreement of its annotators."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import DataError, MachineError
from pipeline.judge import judge_tvsum, read_tvsum, reference_points
from pipeline.judge.tvsum import human_agreement, needed

ROOT = Path(__file__).parents[1]
FILE = Path(os.environ.get("MATCHCUT_DATA", ROOT / "../shared/data")) / "annotations" / "tvsum" / "ydata-tvsum50.mat"

Annotations = dict[str, np.ndarray]


@st.composite
def annotations(draw: st.DrawFn) -> Annotations:
    """A few people over one or two short videos."""
    people = draw(st.integers(2, 4))
    rows = st.lists(st.integers(1, 5), min_size=8, max_size=8)
    return {name: np.array([draw(rows) for _ in range(people)], np.uint8) for name in "ab"[: draw(st.integers(1, 2))]}


scores = st.lists(st.integers(-9, 9), min_size=8, max_size=8)


def agreement(score: list[float], known: Annotations) -> tuple[float, float]:
    """Tau and rho of the same score for every video."""
    found = judge_tvsum(dict.fromkeys(known, score), known)
    return found["tau"], found["rho"]


# --- laws ---


@given(annotations(), scores, st.sampled_from([np.exp, np.cbrt, lambda x: 3 * x - 7]))
def test_only_the_order_of_scores_counts(
    known: Annotations, score: list[float], change: Callable[[np.ndarray], np.ndarray]
) -> None:
    moved = change(np.array(score, float)).tolist()
    assert agreement(moved, known) == pytest.approx(agreement(score, known))


@given(annotations(), scores)
def test_the_opposite_order_has_the_opposite_agreement(known: Annotations, score: list[float]) -> None:
    tau, rho = agreement(score, known)
    assert agreement([-value for value in score], known) == pytest.approx((-tau, -rho))
    assert abs(tau) <= 1 + 1e-9 and abs(rho) <= 1 + 1e-9


@given(annotations(), st.integers(0, 100))
def test_the_order_of_people_does_not_matter(known: Annotations, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mixed = {name: rng.permutation(people) for name, people in known.items()}
    assert human_agreement(mixed) == pytest.approx(human_agreement(known))


# --- by hand ---


def test_a_score_in_everybodys_order_agrees_wholly() -> None:
    known = {"a": np.array([[1, 2, 3, 4], [2, 3, 4, 5]], np.uint8)}
    found = judge_tvsum({"a": [0.1, 0.2, 0.3, 0.4]}, known)
    assert (found["tau"], found["rho"]) == pytest.approx((1, 1))
    assert (found["tau_human"], found["rho_human"]) == pytest.approx((1, 1))
    assert found["videos"] == 1


def test_ties_count_as_tau_b_has_them() -> None:
    """1 1 2 3 against 1 2 3 4: of six pairs five in order and one tied: 5 / sqrt(5 * 6)."""
    found = judge_tvsum({"a": [1, 2, 3, 4]}, {"a": np.array([[1, 1, 2, 3]] * 2, np.uint8)})
    assert found["tau"] == pytest.approx(5 / np.sqrt(30))
    ranks = np.corrcoef([1.5, 1.5, 3, 4], [1, 2, 3, 4])[0, 1]
    assert found["rho"] == pytest.approx(ranks)


def test_the_mean_is_over_annotators_then_over_videos() -> None:
    """Video a: one agrees, one is turned round. Video b: both agree."""
    up, down = [1, 2, 3, 4], [4, 3, 2, 1]
    known = {"a": np.array([up, down], np.uint8), "b": np.array([up, up], np.uint8)}
    found = judge_tvsum({"a": up, "b": up}, known)
    assert (found["tau"], found["rho"]) == pytest.approx((0.5, 0.5))
    assert found["tau_human"] == pytest.approx(0)  # -1 and 1
    assert judge_tvsum({"b": up}, known)["tau_human"] == pytest.approx(1)  # only of the videos that have scores


def test_who_leaves_one_out_compares_with_each_other_one() -> None:
    """Pairs 1-2, 1-3, 2-3: agree, opposite, opposite."""
    known = {"a": np.array([[1, 2, 3], [1, 2, 3], [3, 2, 1]], np.uint8)}
    assert human_agreement(known) == {"tau": pytest.approx(-1 / 3), "rho": pytest.approx(-1 / 3)}


def test_a_score_that_never_changes_agrees_with_nobody() -> None:
    found = judge_tvsum({"a": [7, 7, 7]}, {"a": np.array([[1, 2, 3], [3, 3, 3]], np.uint8)})
    assert (found["tau"], found["rho"], found["tau_human"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        ({"b": [1, 2, 3]}, "b: no such video among the 1 of the annotations"),
        ({"a": [1, 2]}, "a: 2 scores for 3 frames"),
        ({}, "no scores"),
    ],
)
def test_scores_that_cannot_be_judged_are_named(found: dict[str, list[float]], words: str) -> None:
    with pytest.raises(DataError, match=words):
        judge_tvsum(found, {"a": np.array([[1, 2, 3]] * 2, np.uint8)})


# --- files ---


def test_annotations_are_read_from_a_file_like_tvsums(tmp_path: Path) -> None:
    people = np.array([[1, 2, 3], [3, 2, 1]], float)
    with h5py.File(tmp_path / "a.mat", "w") as file:
        file["refs/name"] = np.array([[ord(letter)] for letter in "x-1"], np.uint16)
        file["refs/people"] = people
        for column, where in (("video", "refs/name"), ("user_anno", "refs/people")):
            file.create_dataset(f"tvsum50/{column}", data=[[file[where].ref]], dtype=h5py.ref_dtype)
    (read,) = read_tvsum(tmp_path / "a.mat").items()
    assert read[0] == "x-1"
    assert read[1].tolist() == people.tolist()


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mat").write_text("no HDF5")
    with pytest.raises(DataError, match="not TVSum's annotations"):
        read_tvsum(tmp_path / "a.mat")
    with h5py.File(tmp_path / "b.mat", "w") as file:
        file["other"] = [1]
    with pytest.raises(DataError, match=r"b\.mat: not TVSum's annotations"):
        read_tvsum(tmp_path / "b.mat")


def test_what_is_not_installed_is_named_with_the_extra_that_brings_it() -> None:
    with pytest.raises(MachineError, match=r"pip install 'matchcut\[eval\]'"):
        needed("a_module_that_is_not_there")


@pytest.mark.skipif(not FILE.is_file(), reason=f"no real data: {FILE} is absent")
def test_the_annotators_of_tvsum_agree_as_published() -> None:
    known = read_tvsum(FILE)
    assert (len(known), sum(people.shape[1] for people in known.values())) == (50, 352_353)
    points = reference_points(known)
    assert (round(points["tau_human"], 3), round(points["rho_human"], 3)) == (0.177, 0.204)
    assert abs(points["tau_chance"]) < 0.005 and abs(points["rho_chance"]) < 0.005
