"""Intervals: the ordinary bootstrap for groups of one, wider where pictures of a group agree, none for one group."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.figures.bootstrap import bootstrap

values = st.lists(st.floats(-100, 100), min_size=2, max_size=30)


@given(values, st.integers(0, 100))
def test_groups_of_one_are_the_ordinary_bootstrap(given_values: list[float], seed: int) -> None:
    data = np.array(given_values)
    found = bootstrap(lambda rows: float(data[rows].mean()), range(len(data)), resamples=50, seed=seed)
    rng = np.random.default_rng(seed)
    means = [data[rng.integers(0, len(data), len(data))].mean() for _ in range(50)]
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))
    assert found.value == pytest.approx(data.mean())


@given(values, st.data())
def test_names_of_groups_do_not_matter(given_values: list[float], data: st.DataObject) -> None:
    groups = data.draw(st.lists(st.integers(0, 4), min_size=len(given_values), max_size=len(given_values)))
    rows = np.array(given_values)
    renamed = [f"scene {9 - group}" for group in groups]
    found = [bootstrap(lambda k: float(rows[k].mean()), names, resamples=20) for names in (groups, renamed)]
    assert found[0] == found[1]


@given(values)
def test_the_interval_lies_within_what_was_seen(given_values: list[float]) -> None:
    data = np.array(given_values)
    found = bootstrap(lambda rows: float(np.median(data[rows])), range(len(data)), resamples=20)
    assert found.low is not None and found.high is not None
    assert data.min() <= found.low <= found.high <= data.max()


def test_pictures_that_repeat_their_scene_make_nothing_surer() -> None:
    scenes = np.random.default_rng(0).normal(size=20)
    once = bootstrap(lambda rows: float(scenes[rows].mean()), range(20))
    repeated = np.repeat(scenes, 10)
    by_scene = bootstrap(lambda rows: float(repeated[rows].mean()), np.repeat(np.arange(20), 10).tolist())
    by_picture = bootstrap(lambda rows: float(repeated[rows].mean()), range(200))
    assert (by_scene.low, by_scene.high) == pytest.approx((once.low, once.high))
    assert by_picture.high is not None and by_picture.low is not None
    assert by_scene.high is not None and by_scene.low is not None
    assert by_picture.high - by_picture.low < 0.5 * (by_scene.high - by_scene.low)


def test_the_interval_of_a_mean_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hit = 0
    for _ in range(200):
        data = rng.normal(size=40)
        found = bootstrap(lambda rows, data=data: float(data[rows].mean()), range(40), resamples=200)  # type: ignore[misc]
        assert found.low is not None and found.high is not None
        hit += found.low <= 0 <= found.high
    assert 0.88 <= hit / 200 <= 0.98


def test_a_single_group_gives_no_interval_and_says_so() -> None:
    found = bootstrap(lambda rows: float(len(rows)), ["one take"] * 5)
    assert (found.value, found.low, found.high, found.groups) == (5.0, None, None, 1)
    assert str(found) == "5.000 (a single group: no interval)"


def test_resamples_without_the_figure_are_left_out() -> None:
    """The share of right among the yes: a resample may hold no yes."""
    yes, right = np.array([True, False, False]), np.array([True, True, False])

    def share(rows: np.ndarray) -> float:
        return float(right[rows][yes[rows]].mean()) if yes[rows].any() else float("nan")

    found = bootstrap(share, range(3), resamples=100)
    assert (found.low, found.high) == (1.0, 1.0)
    assert bootstrap(lambda rows: float("nan"), range(3)).note == "no resample has this figure: no interval"


def test_the_same_seed_gives_the_same_interval() -> None:
    data = np.arange(10.0)
    intervals = {str(bootstrap(lambda rows: float(data[rows].mean()), range(10), seed=7)) for _ in range(2)}
    assert len(intervals) == 1
