"""What the study says is computed from its results: means with intervals, differences that count and that do not."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from benchmarks.study.choices import Choice, Worth
from benchmarks.study.columns import MEAN_IOU, TOP1
from benchmarks.study.findings import Compared, Gained, Power, Reached, Stated
from benchmarks.study.question import Bars, Column, Curves, Points, Question, Results
from benchmarks.study.runner import Stored
from benchmarks.study.seeds import curve, difference, over_seeds
from benchmarks.study.words import cell, listed, number
from benchmarks.study.writer import section, table, wrapped, write
from tests.test_study_runner import Counting, question

LOSS = Column(key="loss", title="loss", share=False, better=-1)
ARMS = ("red", "blue")


def results(**arms: tuple[float, ...]) -> Results:
    """The share right of each arm by seed; chance is a tenth."""
    return {arm: {seed: {"top1": v, "loss": v, "chance": 0.1} for seed, v in enumerate(vs)} for arm, vs in arms.items()}


CLEAR = results(red=(0.60, 0.70, 0.80), blue=(0.50, 0.61, 0.69))  # 10 points apart with every seed
UNCLEAR = results(red=(0.60, 0.70, 0.80), blue=(0.65, 0.60, 0.70))


# Intervals

values = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=6)


@given(values, st.floats(-100, 100), st.floats(0.1, 10))
def test_an_interval_moves_and_grows_with_its_values(some: list[float], shift: float, factor: float) -> None:
    before, after = over_seeds(some), over_seeds([factor * value + shift for value in some])
    assert before.half is not None
    assert after.mean == pytest.approx(factor * before.mean + shift, abs=1e-6)
    assert after.half == pytest.approx(factor * before.half, rel=1e-6, abs=1e-6)


@given(values)
def test_a_difference_seen_from_the_other_side_is_its_opposite(some: list[float]) -> None:
    one, other = dict(enumerate(some)), dict(enumerate(reversed(some)))
    there, back = difference(one, other), difference(other, one)
    assert there is not None and back is not None
    assert (there.mean, there.half, there.clear) == (-back.mean, back.half, back.clear)


def test_the_interval_of_three_seeds_by_hand() -> None:
    """Student's t with two degrees of freedom is 4.303: 4.303 * 0.1 / sqrt(3)."""
    found = over_seeds([0.6, 0.7, 0.8])
    assert (found.mean, found.half) == (pytest.approx(0.7), pytest.approx(0.24841, abs=1e-5))


def test_what_all_seeds_have_in_common_does_not_hide_a_difference() -> None:
    gap = difference({0: 0.60, 1: 0.70, 2: 0.80}, {0: 0.50, 1: 0.61, 2: 0.69})
    assert gap is not None and gap.clear
    assert gap.mean == pytest.approx(0.1)


def test_one_seed_has_no_interval_and_nothing_is_clear() -> None:
    found = over_seeds([0.7])
    assert (found.half, found.clear) == (None, False)


def test_seeds_that_only_one_way_has_do_not_count() -> None:
    gap = difference({0: 1.0, 1: 2.0, 5: 100.0}, {0: 0.5, 1: 1.5})
    assert gap is not None
    assert (gap.mean, gap.seeds) == (0.5, 2)
    assert difference({0: 1.0}, {1: 1.0}) is None


@given(mean=st.floats(0, 1), half=st.floats(0.0005, 0.5))
def test_a_share_is_told_in_percent(mean: float, half: float) -> None:
    told, spread = cell(TOP1, replace(over_seeds([mean, mean]), half=half)).split(" ± ")
    assert float(told) == pytest.approx(100 * mean, abs=0.051)
    assert float(spread) == pytest.approx(100 * half, abs=0.051)


@given(mean=st.floats(1e-3, 1e3), half=st.floats(1e-3, 1e2))
def test_a_number_keeps_the_digits_that_its_interval_leaves(mean: float, half: float) -> None:
    told, spread = number(replace(over_seeds([mean, mean]), half=half)).split(" ± ")
    assert float(spread) == pytest.approx(half, rel=0.051, abs=0.5 if half >= 10 else 0)
    assert abs(float(told) - mean) <= 0.051 * half if half < 10 else abs(float(told) - mean) <= 0.5


# Sentences


def compared(found: Results, column: Column = TOP1) -> str:
    return Compared(column=column, arms=ARMS).said(found)


def test_a_difference_larger_than_its_spread_is_told_as_one() -> None:
    assert compared(CLEAR) == (
        "Class right: red is better than blue by 10.0 ± 2.5 points, more than the spread over seeds."
    )


def test_a_difference_smaller_than_its_spread_is_told_as_none() -> None:
    assert compared(UNCLEAR) == (
        "Class right: no difference that three seeds can show; red comes first (5.0 ± 21.5 points from blue)."
    )


def test_of_a_loss_less_is_better() -> None:
    assert compared(CLEAR, LOSS).startswith("Loss: blue is better than red by 0.100 ± 0.025, more than")


def test_one_seed_shows_no_difference_however_large() -> None:
    assert "no difference that one seed can show" in compared(results(red=(0.9,), blue=(0.1,)))


def test_ways_that_ended_in_no_number_or_were_not_measured_are_named_and_never_the_best() -> None:
    found = results(red=(0.6, 0.7, 0.8), blue=(0.5, 0.61, 0.69), green=(math.nan, 0.9, 0.9))
    said = Compared(column=TOP1, arms=("red", "green", "blue", "grey")).said(found)
    assert said.startswith("Class right: red is better than blue by 10.0")
    assert said.endswith("green ended in no number; grey is not measured.")
    assert "nothing to compare" in Compared(column=TOP1, arms=("red", "grey")).said(found)


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=2, max_size=4, unique=True))
def test_what_is_called_better_is_better_with_its_interval_off_zero(rows: list[tuple[float, float, float]]) -> None:
    names = [f"arm{number}" for number in range(len(rows))]
    found = results(**dict(zip(names, rows, strict=True)))
    means = {name: sum(row) / 3 for name, row in zip(names, rows, strict=True)}
    best = max(names, key=means.__getitem__)
    assume(all(abs(means[best] - means[name]) > 1e-9 for name in names if name != best))
    said = Compared(column=TOP1, arms=tuple(names)).said(found)
    for name, row in zip(names, rows, strict=True):
        gap = over_seeds([a - b for a, b in zip(rows[names.index(best)], row, strict=True)])
        assert (f"{best} is better" in said and f"than {name} by" in said) == gap.clear


def test_steps_say_what_each_adds() -> None:
    found = results(five=(0.4, 0.5, 0.6), ten=(0.5, 0.61, 0.69), all=(0.55, 0.56, 0.74))
    assert Gained(column=TOP1, arms=("five", "ten", "all")).said(found) == (
        "Class right: from five to ten +10.0 ± 2.5 points, "
        "from ten to all no change that three seeds can show (+1.7 ± 14.3 points)."
    )


def test_the_way_from_chance_is_told_and_the_fewest_that_are_enough() -> None:
    found = results(five=(0.3, 0.3, 0.3), ten=(0.48, 0.50, 0.46), all=(0.5, 0.5, 0.5))
    said = Reached(column=TOP1, arms=("five", "ten", "all"), of="labels").said(found)
    assert "five labels come 50 ± 0 % and ten labels come 95 ± 12 % of the way from the commonest class to all" in said
    assert said.endswith("ten are the fewest that three seeds cannot tell from all.")
    short = Reached(column=TOP1, arms=("five", "all"), of="labels").said(found)
    assert short.endswith("three seeds can tell all of them from all.")


@pytest.mark.parametrize(("power", "verdict"), [(-0.5, "which agrees"), (-1.0, "more than seeds vary")])
def test_a_power_is_found_and_held_against_the_expected_one(power: float, verdict: str) -> None:
    noise = (1.0, 1.05, 0.96)
    found = {str(x): {k: {"top1": noise[k] ** math.log(x) * x**power} for k in range(3)} for x in (8, 32, 128)}
    said = Power(column=TOP1, arms=tuple(found), x=(8, 32, 128), expected=-0.5, because="chance").said(found)
    assert said.startswith(f"Class right goes with the power {power + math.log(1.05 * 0.96) / 3:.2f}")
    assert verdict in said


CHOICE = Choice(setting="red", because="because it is warm", column=TOP1, arm="red", others=("blue",))


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (CLEAR, "these figures bear it out."),
        (UNCLEAR, "nothing that was tried is better in class right by more than the spread over seeds."),
        (
            {"red": CLEAR["blue"], "blue": CLEAR["red"]},
            "in these figures others are better: blue by 10.0 ± 2.5 points.",
        ),
        ({}, "this is not measured here."),
    ],
)
def test_a_choice_says_whether_figures_speak_for_it(found: Results, verdict: str) -> None:
    assert CHOICE.said(found) == f"We chose red, because it is warm; {verdict}"


@pytest.mark.parametrize(
    ("against", "verdict"),
    [(0.3, "bear it out"), (0.7, "three seeds cannot show that it pays"), (1.2, "speak against it")],
)
def test_a_choice_that_must_pay_is_held_against_a_number(against: float, verdict: str) -> None:
    worth = Worth(setting="red", because="because", column=TOP1, arm="red", against=against)
    assert verdict in worth.said(CLEAR)


def test_figures_are_stated_arm_by_arm() -> None:
    said = Stated(lead="Right", column=TOP1, arms=("red", "grey", "blue")).said(CLEAR)
    assert said == "Right: 70.0 ± 24.8 % (red) and 60.0 ± 23.7 % (blue)."
    assert listed(["a", "b", "c"]) == "a, b and c"


# The page

ASKED = replace(
    question(Counting("red"), Counting("blue")),
    plots=(
        Bars(column=TOP1),
        Curves(key="curve", across="epoch", upwards="loss", logarithmic=True),
        Points(column=TOP1, x=(8.0, 16.0), across="pictures", slope=-0.5),
    ),
)


def test_a_table_has_an_arm_a_row_with_its_interval_and_chance_in_brackets() -> None:
    shown = replace(ASKED, columns=(TOP1, replace(LOSS, baseline="none", baseline_title="nothing"), MEAN_IOU))
    assert table(shown, {"red": CLEAR["red"]}).splitlines() == [
        "| Way | Class right, % (the commonest class) | Loss |",
        "| --- | --- | --- |",
        "| red | 70.0 ± 24.8 (10.0) | 0.70 ± 0.25 |",
        "| blue | - | - |",
    ]


def test_a_question_without_results_says_how_to_get_them() -> None:
    assert [*section(3, ASKED, {})] == [
        "## 3. Which colour?",
        "By looking.",
        "Not measured yet: `python -m benchmarks.study --only colours`",
    ]


@given(st.lists(st.sampled_from(["word", "`a b c d`", "a-b", "`x`"]), min_size=1, max_size=80))
def test_lines_are_wrapped_and_commands_stay_whole(words: list[str]) -> None:
    lines = wrapped(" ".join(words)).splitlines()
    assert " ".join(lines) == " ".join(words)
    assert all(len(line) <= 120 and line.count("`") % 2 == 0 for line in lines)


def there(found: Results) -> Stored:
    return Stored({"colours": found}, ("abc",), ("a machine",), 120.0)


def page(folder: Path, asked: Question, found: Results) -> str:
    write([asked], (0, 1, 2), there(found), folder / "study.md")
    return (folder / "study.md").read_text()


def test_the_page_says_where_it_comes_from_and_shows_its_pictures(tmp_path: Path) -> None:
    said = page(tmp_path, ASKED, CLEAR)
    for part in ("- machine: a machine", "- commit: abc", "- seeds: 0, 1 and 2", "2 minutes", "10.0 ± 2.5 points"):
        assert part in said
    assert "![colours](study/colours.png)" in said
    assert (tmp_path / "study" / "colours.png").read_bytes()[:4] == b"\x89PNG"


def test_every_kind_of_plot_is_drawn_and_the_same_results_give_the_same_files(tmp_path: Path) -> None:
    arms = {"8": CLEAR["red"], "16": CLEAR["blue"]}
    found = {
        arm: {seed: {**figures, "curve": [2.0, 1.0 + seed, 0.0]} for seed, figures in by_seed.items()}
        for arm, by_seed in arms.items()
    }
    asked = replace(ASKED, arms=tuple(replace(arm, name=name) for arm, name in zip(ASKED.arms, arms, strict=True)))
    pages = [page(tmp_path / name, asked, found) for name in "ab"]
    pictures = [(tmp_path / name / "study" / "colours.png").read_bytes() for name in "ab"]
    assert pages[0] == pages[1] and pictures[0] == pictures[1]
    one = page(tmp_path / "c", replace(asked, plots=asked.plots[:1]), found)
    assert one == pages[0]
    assert len((tmp_path / "c" / "study" / "colours.png").read_bytes()) < len(pictures[0])


def test_curves_are_averaged_point_by_point() -> None:
    found = {"red": {0: {"curve": [1.0, 2.0]}, 1: {"curve": [3.0, 2.0]}}}
    drawn = curve(found, "red", "curve")
    assert drawn is not None
    assert drawn[0].tolist() == [2.0, 2.0]
    assert drawn[1].tolist() == [pytest.approx(12.706 * math.sqrt(2) / math.sqrt(2), abs=1e-2), 0.0]
