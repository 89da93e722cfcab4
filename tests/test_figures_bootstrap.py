"""Intervals: the ordinary bootstrap for groups of one, wider where pictures of a group agree, none for one group."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.figures.bootstrap import bootstrap

values = st.lists(st.floats(-100, 100), min_size=2, max_size=30)


def mean_of(data: np.ndarray) -> Callable[[np.ndarray], Mapping[str, float]]:
    return lambda rows: {"mean": float(data[rows].mean())}


def width(found: Mapping[str, tuple[float, float] | None]) -> float:
    assert found["mean"] is not None
    return found["mean"][1] - found["mean"][0]


@given(values, st.integers(0, 100))
def test_groups_of_one_are_the_ordinary_bootstrap(given_values: list[float], seed: int) -> None:
    data = np.array(given_values)
    found = bootstrap(mean_of(data), range(len(data)), resamples=50, seed=seed)
    rng = np.random.default_rng(seed)
    means = [data[rng.integers(0, len(data), len(data))].mean() for _ in range(50)]
    assert found["mean"] == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))


@given(values, st.data())
def test_names_of_groups_do_not_matter(given_values: list[float], data: st.DataObject) -> None:
    groups = data.draw(st.lists(st.integers(0, 4), min_size=len(given_values), max_size=len(given_values)))
    rows = np.array(given_values)
    renamed = [f"scene {9 - group}" for group in groups]
    found = [bootstrap(mean_of(rows), names, resamples=20) for names in (groups, renamed)]
    assert found[0] == found[1]


@given(values)
def test_the_interval_lies_within_what_was_seen(given_values: list[float]) -> None:
    data = np.array(given_values)
    found = bootstrap(lambda rows: {"median": float(np.median(data[rows]))}, range(len(data)), resamples=20)["median"]
    assert found is not None
    assert data.min() <= found[0] <= found[1] <= data.max()


def test_pictures_that_repeat_their_scene_make_nothing_surer() -> None:
    scenes = np.random.default_rng(0).normal(size=20)
    once, repeated = bootstrap(mean_of(scenes), range(20)), np.repeat(scenes, 10)
    by_scene = bootstrap(mean_of(repeated), np.repeat(np.arange(20), 10).tolist())
    assert by_scene["mean"] == pytest.approx(once["mean"])
    assert width(bootstrap(mean_of(repeated), range(200))) < 0.5 * width(by_scene)


def test_the_interval_of_a_mean_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    hit = 0
    for _ in range(200):
        found = bootstrap(mean_of(rng.normal(size=40)), range(40), resamples=200)["mean"]
        assert found is not None
        hit += found[0] <= 0 <= found[1]
    assert 0.88 <= hit / 200 <= 0.98


def test_a_single_group_gives_no_interval() -> None:
    assert bootstrap(mean_of(np.arange(5.0)), ["one take"] * 5) == {"mean": None}


def test_resamples_without_the_figure_are_left_out() -> None:
    """The share of right among the yes: a resample may hold no yes."""
    yes, right = np.array([True, False, False]), np.array([True, True, False])

    def shares(rows: np.ndarray) -> dict[str, float]:
        return {"right": float(right[rows][yes[rows]].mean()) if yes[rows].any() else np.nan, "nothing": np.nan}

    assert bootstrap(shares, range(3), resamples=100) == {"right": (1.0, 1.0), "nothing": None}


def test_the_same_seed_gives_the_same_interval() -> None:
    found = [bootstrap(mean_of(np.arange(10.0)), range(10), seed=seed)["mean"] for seed in (7, 7, 8)]
    assert found[0] == found[1] != found[2]
