"""The study's questions are complete, its folds honest, and each of its ways works on squares of colour."""

from __future__ import annotations

import math
import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.study.__main__ import plan, quick
from benchmarks.study.costs import Passes, Sharing
from benchmarks.study.found import found_figures
from benchmarks.study.labels import Labelled, labelled
from benchmarks.study.question import Bars, Points, Question
from benchmarks.study.questions import questions
from benchmarks.study.runner import jobs
from benchmarks.study.sources import Folders, Pictures, Place
from benchmarks.study.starts import Starting, spread_by_layer
from benchmarks.study.steps import Jitter, jitter
from benchmarks.study.teaching import Teaching, figures_of, folds, mean, teach
from benchmarks.study.window_lesson import WindowLesson, held
from benchmarks.study.windows import Merged, OneBox
from models.cache import FeatureCache
from models.data.dataset import Dataset
from models.learn import prepare
from models.network import Network
from models.output import FoundBoxes
from models.recipe import Recipe
from models.spec import Spec
from models.targets import Plan
from tests import networks, teaching
from tests.lessons import COLOURS, dataset, picture, write_pictures

QUESTIONS = questions()
ANY = Pictures(places=())
SIDE_PX = networks.SIDE_PX


@dataclass(frozen=True)
class Squares:
    """Squares on noise instead of photographs, whatever is asked for."""

    folder: Path
    count: int = 9
    side_px: int = SIDE_PX

    @property
    def features(self) -> FeatureCache:
        return FeatureCache(self.folder / "features")

    @property
    def networks(self) -> Path:
        return self.folder / "networks"

    def dataset(self, pictures: Pictures) -> Dataset:
        return dataset(self.count, boxed=True, side_px=self.side_px)


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("base") / "base.safetensors"
    networks.checkpoint(path)
    return str(path)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


# What is declared


def test_the_questions_have_names_of_their_own_and_are_asked_in_words() -> None:
    names = [question.name for question in QUESTIONS]
    assert len(set(names)) == len(names) == 14
    assert all(question.asks.endswith("?") and question.how.endswith(".") for question in QUESTIONS)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.name)
def test_every_arm_has_a_name_and_a_result_of_its_own_and_reaches_its_process(question: Question) -> None:
    assert len({arm.name for arm in question.arms}) == len(question.arms) >= 2
    todo = jobs([question], (0, 1, 2), Path())
    assert len({job.path for job in todo}) == len(todo) == 3 * len(question.arms)
    assert [str(job) for job in pickle.loads(pickle.dumps(todo))] == [str(job) for job in todo]
    assert all(arm.way.quick() != arm.way and arm.seconds > 0 for arm in question.arms)


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.name)
def test_what_is_said_is_about_arms_and_columns_that_there_are(question: Question) -> None:
    """A misspelt arm would be told as `not measured` for ever."""
    names = {arm.name for arm in question.arms}
    for said in (*question.findings, question.chosen):
        fields = {name: getattr(said, name) for name in type(said).__dataclass_fields__}  # type: ignore[attr-defined]
        told = {*fields.get("arms", ()), *fields.get("others", ()), *([fields["arm"]] if "arm" in fields else [])}
        assert told and told <= names
        assert fields["column"] in question.columns
    assert len(question.findings) == 2
    for plot in question.plots:
        assert not isinstance(plot, Bars | Points) or plot.column in question.columns
        assert not isinstance(plot, Points) or len(plot.x) == len(question.arms)


def test_the_whole_study_fits_into_80_minutes_of_two_quiet_cores() -> None:
    todo = jobs(QUESTIONS, (0, 1, 2), Path())
    alone = sum(job.seconds for job in todo if job.alone)
    assert alone + sum(job.seconds for job in todo if not job.alone) / 2 < 80 * 60
    assert "14 questions" in plan(QUESTIONS, todo)


def test_a_quick_question_has_the_same_arms_on_less() -> None:
    for question in QUESTIONS:
        less = quick(question)
        assert [arm.name for arm in less.arms] == [arm.name for arm in question.arms]
        assert {job.path for job in jobs([less], (0,), Path())}.isdisjoint(
            job.path for job in jobs([question], (0,), Path())
        )


def test_of_each_folder_so_many_files_are_read_evenly_spread(tmp_path: Path) -> None:
    write_pictures(tmp_path / "images", 5, boxed=True)
    wanted = Pictures(places=(Place("images", each=3), Place("images/dunk", each=1)), side_px=SIDE_PX)
    read = Folders(tmp_path, tmp_path).dataset(wanted)
    assert {name: read.label.count(name) for name in COLOURS} == {"dunk": 4, "pass": 3, "rest": 3}
    assert [path.name for path in read.path if path.parent.name == "pass"] == ["pass0.png", "pass2.png", "pass4.png"]
    assert np.isfinite(read.box).all()
    every = Folders(tmp_path, tmp_path).dataset(Pictures(places=(Place("images"),), side_px=SIDE_PX))
    assert len(every) == 15


# Folds and figures


@given(st.integers(0, 50))
def test_every_picture_is_judged_once_and_never_by_a_network_that_was_taught_it(seed: int) -> None:
    data = dataset(6)
    parts = folds(data, seed)
    judged = sorted(int(k) for part in parts for k in part.judged.file)
    assert judged == list(range(len(data)))
    for part in parts:
        assert set(part.taught.file.tolist()).isdisjoint(part.judged.file.tolist())
        assert len(part.taught) + len(part.judged) == len(data)
        assert set(part.judged.label) == set(COLOURS)


def test_pictures_in_another_size_are_parted_alike() -> None:
    small, large = dataset(6), dataset(6, side_px=2 * SIDE_PX)
    for one, other in zip(folds(large, 1), folds(large, 1, small), strict=True):
        assert one.judged.file.tolist() == other.judged.file.tolist()
        assert other.judged.pixels.shape[1] == SIDE_PX


def test_folds_count_alike_and_curves_are_averaged_point_by_point() -> None:
    assert mean([{"a": 1.0, "c": [1.0, 2.0]}, {"a": 2.0, "c": [3.0, 4.0]}]) == {"a": 1.5, "c": [2.0, 3.0]}


def test_what_each_minibatch_lost_is_noted_without_changing_what_is_learned(base: str) -> None:
    data, recipe, cache = (
        dataset(6, boxed=True),
        Recipe(base=base, epochs=2, batch=8, augment=False),
        FeatureCache(None),
    )
    wanted = Plan(tags=tuple(sorted(COLOURS)), boxes=True)
    taught = teach(data, wanted, recipe, cache)
    pictures = len(prepare(data, None, wanted, recipe, cache).taught)
    assert len(taught.steps) == 2 * math.ceil(pictures / 8)
    assert len(taught.epochs) == 2
    assert np.mean(taught.steps) == pytest.approx(np.mean(taught.epochs), rel=0.1)
    said = figures_of(taught.network, data)
    assert set(said) == {
        "top1", "chance", "iou50", "iou50_constant", "mean_iou", "mean_iou_constant", "both", "both_centred",
    }  # fmt: skip
    top1, iou50, both = (said[key] for key in ("top1", "iou50", "both"))
    assert isinstance(top1, float) and isinstance(iou50, float) and isinstance(both, float)
    assert both <= min(top1, iou50) + 1e-9


def test_the_surest_box_of_a_picture_is_shown_and_nothing_found_is_nothing_right() -> None:
    data, names = dataset(1, boxed=True), tuple(sorted(COLOURS))
    label = names.index(data.label[0])
    found = FoundBoxes(
        np.array([0, 0, 1]),
        np.stack([data.box[0], data.box[0] / 8, data.box[1]]),
        np.array([0.9, 0.5, 0.7], np.float32),
        np.array([label, label, label]),
    )
    said = found_figures(found, names, data)
    assert said["iou50"] == pytest.approx(2 / 3)
    assert said["both"] == pytest.approx(1 / 3)
    assert said["after"] == 1.0


# Ways


def ways(base: str) -> dict[str, Any]:
    recipe = Recipe(base=base, size_px=SIDE_PX)
    teaching = Teaching(recipe=recipe, pictures=ANY)
    scratch = replace(recipe, base="torchvision:resnet18", regime="scratch", initial="he", size_px=44, batch=16)
    lesson = WindowLesson(recipe=recipe, scales=(1.0, 1.5), each=4)
    return {
        "classes": teaching,
        "boxes": replace(teaching, heads=("classifier", "localizer"), box_per_class=True),
        "start": Starting(teaching=replace(teaching, recipe=scratch)),
        "jitter": Jitter(teaching=teaching),
        "labels": Labelled(count=3, pictures=ANY, recipe=recipe),
        "clips": Labelled(count=3, pictures=ANY, recipe=recipe, events=("dunk",)),
        "one box": OneBox(recipe=recipe, pictures=ANY),
        "windows": Merged(scales=(1.0, 1.5), lesson=lesson, pictures=ANY),
        "passes": Passes(batch=1),
        "sharing": Sharing(scales=(1.5,)),
    }


@pytest.mark.parametrize("name", ways("default"))
def test_every_kind_of_way_works_and_the_same_seed_says_the_same(name: str, base: str, tmp_path: Path) -> None:
    side_px = 44 if name == "start" else 2 * SIDE_PX if name in ("one box", "windows") else SIDE_PX
    squares = Squares(tmp_path, side_px=side_px)
    way = ways(base)[name].quick()
    one, again = ({k: v for k, v in way.measured(0, squares).items() if "ms" not in k} for _ in "ab")
    assert one == again
    assert all(np.isfinite(value).all() for value in one.values())


def test_windows_are_taught_once_and_kept(base: str, tmp_path: Path) -> None:
    way = ways(base)["windows"].quick()
    squares = Squares(tmp_path, side_px=2 * SIDE_PX)
    said = way.measured(0, squares)
    (kept,) = squares.networks.iterdir()
    before = kept.stat().st_mtime_ns
    other = replace(way, merge="nms").measured(0, squares)
    assert [path.stat().st_mtime_ns for path in squares.networks.iterdir()] == [before]
    assert other["before"] == said["before"]
    assert 0 < other["after"] <= other["before"]


def test_a_quick_question_on_squares_learns_their_colours(tmp_path: Path) -> None:
    """On the embedded default, which has learned to see."""
    way = Teaching(recipe=Recipe(epochs=12, average=0.9, size_px=teaching.SIDE_PX), pictures=ANY, folds=1)
    said = way.measured(0, Squares(tmp_path, count=18, side_px=teaching.SIDE_PX))
    assert said["top1"] == pytest.approx(1, abs=0.15)
    assert said["chance"] == pytest.approx(1 / 3)


# What windows are taught


def test_a_window_is_taught_the_largest_object_that_it_holds_or_none() -> None:
    objects = np.array([[0.0, 0.0, 0.2, 0.2], [0.1, 0.1, 0.4, 0.4], [0.8, 0.8, 1.0, 1.0]])
    windows = np.array([[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0], [0.5, 0.0, 1.0, 0.5]])
    tag, box = held(objects, np.array([0, 1, 2]), windows, none=9)
    assert tag.tolist() == [1, 2, 9]
    assert box[0] == pytest.approx([0.2, 0.2, 0.8, 0.8])
    assert box[1] == pytest.approx([0.6, 0.6, 1.0, 1.0])
    assert np.isnan(box[2]).all()


# Labels, jitter, spreads


@given(st.integers(1, 8), st.integers(0, 20))
def test_so_many_files_of_each_class_are_labelled_and_fewer_are_a_part_of_more(count: int, seed: int) -> None:
    data = dataset(6)
    few, more = labelled(data, count, seed), labelled(data, count + 1, seed)
    assert {name: few.label.count(name) for name in COLOURS} == dict.fromkeys(COLOURS, min(count, 6))
    assert set(few.file.tolist()) <= set(more.file.tolist())


def test_clips_are_labelled_scene_after_scene_in_an_order_by_chance() -> None:
    """Two clips of a scene lie three apart."""
    data = dataset(6)
    paired = replace(data, groups=tuple(f"{data.label[k]}{k % 3}" for k in range(len(data))))
    first = set()
    for seed in range(8):
        scenes = [paired.groups[k] for k in labelled(paired, 2, seed).file]
        assert all(scenes.count(scene) == 2 for scene in scenes)
        first.add(tuple(sorted(set(scenes))))
    assert len(first) > 1


@given(st.floats(-5, 5), st.floats(-0.1, 0.1), st.integers(1, 9))
def test_a_loss_that_falls_in_a_straight_line_has_no_jitter(start: float, slope: float, window: int) -> None:
    line = [start + slope * k for k in range(60)]
    assert jitter(line, window) == pytest.approx(0, abs=1e-9)


def test_jitter_is_the_spread_around_the_running_mean() -> None:
    noise = np.random.default_rng(0).normal(size=20_000)
    assert jitter((3 + 0.2 * noise).tolist(), 50) == pytest.approx(0.2, rel=0.05)
    assert math.isnan(jitter([1.0, 2.0, 3.0], 5))


def test_what_falls_in_the_first_half_of_the_steps_is_no_jitter() -> None:
    falling = [100 * 0.9**k for k in range(1000)]
    noise = np.random.default_rng(1).normal(size=1000)
    assert jitter([*falling, *(0.2 * noise).tolist()], 50) == pytest.approx(0.2, rel=0.1)


@pytest.mark.parametrize(("backbone", "dies"), [("vgg11", True), ("vgg11_bn", False)])
def test_small_values_die_out_by_layer_and_not_with_batchnorm(backbone: str, dies: bool) -> None:
    from models.start import initialise

    torch.manual_seed(0)
    network = Network(Spec(backbone=backbone, height_px=44, width_px=44, tags=("a", "b")))
    initialise(network.backbone.trunk, "small")
    pixels = np.stack([picture("dunk", seed, 44)[0] for seed in range(16)])
    spreads = spread_by_layer(network, pixels)
    assert len(spreads) == 8
    assert (spreads[-1] < 1e-2 * spreads[0]) == dies
    assert not any(layer._forward_hooks for layer in network.modules())
