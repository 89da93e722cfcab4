"""Calibration: what is calibrated has no error, what was stretched is found out, and a few pictures blow nothing up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from models.figures.calibration import (
    Platt,
    event_calibration,
    event_reliability,
    fitted_platt,
    fitted_temperature,
    reliability,
    sigmoid,
    softmax,
    tag_calibration,
    tag_reliability,
)


def honest_tags(count: int, classes: int = 5, spread: float = 2.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits whose softmax is the very distribution that the classes are drawn from."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=spread, size=(count, classes))
    edges = softmax(logits).cumsum(axis=1)
    return logits, np.minimum((edges < rng.random((count, 1))).sum(axis=1), classes - 1)


def honest_events(count: int, spread: float = 2.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    logit = rng.normal(scale=spread, size=count)
    return logit, rng.random(count) < sigmoid(logit)


@st.composite
def pictures(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    count, classes = draw(st.integers(1, 12)), draw(st.integers(2, 5))
    logits = draw(hnp.arrays(np.float64, (count, classes), elements=st.floats(-50, 50)))
    return logits, np.array(draw(st.lists(st.integers(0, classes - 1), min_size=count, max_size=count)))


@st.composite
def events(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    score = draw(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=12))
    return np.array(score), np.array(draw(st.lists(st.booleans(), min_size=len(score), max_size=len(score))))


# --- laws ---


@given(pictures(), st.integers(0, 100))
def test_the_order_of_pictures_does_not_matter(case: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    logits, tag = case
    order = np.random.default_rng(seed).permutation(len(tag))
    assert tag_calibration(logits[order], tag[order]) == pytest.approx(tag_calibration(logits, tag))


@given(pictures())
def test_every_picture_is_in_one_bin_whose_confidence_lies_in_it(case: tuple[np.ndarray, np.ndarray]) -> None:
    table = tag_reliability(*case)
    assert table.count.sum() == len(case[1])
    for number in np.flatnonzero(table.count):
        assert number / 15 - 1e-9 <= table.confidence[number] <= (number + 1) / 15 + 1e-9


@given(pictures(), st.floats(0.1, 10))
def test_logits_stretched_by_a_factor_get_a_temperature_larger_by_it(
    case: tuple[np.ndarray, np.ndarray], factor: float
) -> None:
    logits, tag = np.round(case[0], 3), case[1]
    assert fitted_temperature(logits * factor, tag) == pytest.approx(
        fitted_temperature(logits, tag) * factor if np.ptp(logits, axis=1).any() else 1.0, rel=1e-4
    )


@given(pictures())
def test_a_few_pictures_never_make_a_temperature_that_is_not_finite(case: tuple[np.ndarray, np.ndarray]) -> None:
    temperature = fitted_temperature(*case)
    assert np.isfinite(temperature) and temperature > 0
    assert np.isfinite(list(tag_calibration(case[0] / temperature, case[1]).values())).all()


@given(events())
def test_a_few_scores_never_make_a_slope_that_is_not_finite(case: tuple[np.ndarray, np.ndarray]) -> None:
    score, yes = np.round(case[0], 2), case[1]
    prob = sigmoid(fitted_platt(score, yes).logit(score))
    ups, downs = yes.sum(), (~yes).sum()
    assert np.isfinite(prob).all()
    assert 1 / (downs + 2) - 0.01 <= prob.mean() <= (ups + 1) / (ups + 2) + 0.01


@given(events(), st.floats(-5, 5), st.sampled_from([-4.0, -0.5, 0.25, 3.0]))
def test_scores_on_another_scale_get_the_same_probabilities(
    case: tuple[np.ndarray, np.ndarray], shift: float, factor: float
) -> None:
    score, yes = np.round(case[0], 1), case[1]
    before = sigmoid(fitted_platt(score, yes).logit(score))
    moved = score * factor + shift
    assert sigmoid(fitted_platt(moved, yes).logit(moved)) == pytest.approx(before, abs=1e-4)


# --- what is calibrated, and what was made of it ---


def test_a_calibrated_network_has_next_to_no_calibration_error() -> None:
    logits, tag = honest_tags(40_000)
    logit, yes = honest_events(40_000)
    assert tag_reliability(logits, tag).ece < 0.01
    assert event_reliability(logit, yes).ece < 0.01
    assert tag_reliability(logits * 3, tag).ece > 0.1
    assert event_reliability(logit * 3, yes).ece > 0.1


@pytest.mark.parametrize("known", [0.3, 1.0, 2.5, 10.0])
def test_the_temperature_that_logits_were_scaled_by_is_found(known: float) -> None:
    logits, tag = honest_tags(20_000)
    assert fitted_temperature(logits * known, tag) == pytest.approx(known, rel=0.03)


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.2, 1.5), (-3.0, -1.0)])
def test_the_slope_and_shift_that_scores_hide_are_found(slope: float, shift: float) -> None:
    logit, yes = honest_events(20_000)
    found = fitted_platt((logit - shift) / slope, yes)
    assert (found.slope, found.shift) == pytest.approx((slope, shift), rel=0.06, abs=0.06)


def test_the_temperature_has_the_least_likelihood_loss() -> None:
    logits, tag = honest_tags(2_000)
    best = fitted_temperature(logits * 4, tag)
    nll = {t: tag_calibration(logits * 4 / t, tag)["nll"] for t in (best * 0.9, best, best * 1.1)}
    assert min(nll, key=nll.__getitem__) == best


def test_five_pictures_that_are_all_right_do_not_make_a_network_certain() -> None:
    logits, tag = np.eye(3)[[0, 1, 2, 0, 1]], np.array([0, 1, 2, 0, 1])
    sure = softmax(logits / fitted_temperature(logits, tag)).max(axis=1)
    assert (sure < 0.95).all() and (sure > 0.8).all()
    prob = sigmoid(
        fitted_platt(np.array([-1.0, -2, 1, 2]), np.array([False, False, True, True])).logit(np.array([2.0]))
    )
    assert prob[0] < 0.9


# --- by hand ---


def test_expected_calibration_error_by_hand() -> None:
    """Two answers of 0.9, one right: a gap of 0.4. Two of 0.62, both right: 0.38. One of 0.5, wrong: 0.5."""
    table = reliability(np.array([0.9, 0.9, 0.62, 0.62, 0.5]), np.array([True, False, True, True, False]))
    assert table.ece == pytest.approx((2 * 0.4 + 2 * 0.38 + 0.5) / 5)
    assert [int(k) for k in np.flatnonzero(table.count)] == [7, 9, 13]
    assert np.isnan(table.accuracy[0]) and table.accuracy[13] == 0.5


def test_a_confidence_on_a_border_is_of_the_lower_bin_and_the_ends_belong() -> None:
    table = reliability(np.array([0.0, 0.5, 1.0]), np.array([False, True, True]), bins=2)
    assert table.count.tolist() == [2, 1]


def test_brier_and_likelihood_by_hand() -> None:
    logits = np.log([[0.7, 0.2, 0.1], [0.5, 0.25, 0.25]])
    found = tag_calibration(logits, np.array([0, 1]))
    assert found["brier"] == pytest.approx((0.3**2 + 0.2**2 + 0.1**2 + 0.5**2 + 0.75**2 + 0.25**2) / 2)
    assert found["nll"] == pytest.approx(-(np.log(0.7) + np.log(0.25)) / 2)
    assert found["nll_chance"] == pytest.approx(np.log(2))
    assert found["brier_chance"] == pytest.approx(0.5)
    assert found["ece_chance"] == pytest.approx(0)
    event = event_calibration(np.log([3.0, 1 / 3]), np.array([True, True]))
    assert event["brier"] == pytest.approx((0.25**2 + 0.75**2) / 2)
    assert event["nll"] == pytest.approx(-(np.log(0.75) + np.log(0.25)) / 2)
    assert event["brier_chance"] == pytest.approx(0, abs=1e-9)  # it was always there


def test_scores_that_are_all_the_same_tell_nothing_but_how_frequent_yes_is() -> None:
    assert fitted_platt(np.full(8, 3.0), np.arange(8) < 4) == Platt(0.0, 0.0)
    assert fitted_temperature(np.full((3, 4), 7.0), np.array([0, 1, 2])) == 1.0
