"""What the data teach: which heads there are to be, and what each is to answer for every picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.data.dataset import Objects
from models.network import EVENTS, TAGS
from models.targets import Plan, plan_labels, truth_of, unknown_classes
from pipeline.errors import DataError
from tests.lessons import dataset, relabelled, scenes


def test_classes_become_tags_and_what_is_named_an_event() -> None:
    data = dataset(2)
    assert plan_labels(data, ()) == Plan(tags=("dunk", "pass", "rest"))
    assert plan_labels(data, ("dunk",)) == Plan(tags=("pass", "rest"), events=("dunk",))
    alone = relabelled(data, {"rest": "pass"})
    assert plan_labels(alone, ("dunk",)) == Plan(events=("dunk",))  # a single other class is its background


def test_a_detector_is_planned_where_pictures_list_several_objects_or_where_it_is_asked_for() -> None:
    assert plan_labels(scenes(4), ()).detector == ("dunk", "pass", "rest")
    one = dataset(2, boxed=True)
    assert plan_labels(one, ()).detector == ()
    assert plan_labels(one, (), ("detector",)) == Plan(detector=("dunk", "pass", "rest"))


def test_only_the_heads_that_are_asked_for_are_planned() -> None:
    data = dataset(2, boxed=True)
    assert plan_labels(data, (), ("localizer",)) == Plan(boxes=True)
    assert plan_labels(data, (), ("classifier",)) == Plan(tags=("dunk", "pass", "rest"))
    assert plan_labels(data, (), box_per_class=True).box_per_class


@pytest.mark.parametrize(
    ("heads", "words"),
    [
        (("localizer",), "--heads localizer: the data teach nothing of that"),
        (("points",), "--heads points"),
        (("detector",), "--heads detector"),
        (("attributes",), "--heads attributes"),
    ],
)
def test_what_the_data_do_not_teach_cannot_be_asked_for(heads: tuple[str, ...], words: str) -> None:
    with pytest.raises(DataError, match=words):
        plan_labels(dataset(2), (), heads)


def test_a_label_without_negatives_is_refused_in_these_words() -> None:
    data = dataset(2)
    one = data.rows(np.array([0, 1]))
    for refused in (lambda: plan_labels(one, ()), lambda: plan_labels(one, ("dunk",))):
        with pytest.raises(DataError, match="a single label without negatives teaches nothing"):
            refused()
    with pytest.raises(DataError, match="--box-per-class"):
        plan_labels(data, (), box_per_class=True)
    with pytest.raises(DataError, match="no class and no box"):
        plan_labels(replace(data, label=("",) * len(data)), ())


def test_an_event_that_no_folder_has_is_named_beside_those_there_are() -> None:
    with pytest.raises(DataError, match=r"dnk: no such class; found dunk, pass, rest"):
        plan_labels(dataset(1), ("dnk",))


def test_an_event_is_looked_for_among_the_classes_whatever_heads_are_asked_for() -> None:
    with pytest.raises(DataError, match="dnk: no such class"):
        plan_labels(dataset(1, boxed=True), ("dnk",), ("localizer",))
    assert plan_labels(dataset(1, boxed=True), ("dunk",), ("localizer",)) == Plan(events=("dunk",), boxes=True)


def test_points_are_placed_in_a_box_and_are_not_learned_without_one() -> None:
    data = replace(dataset(1), points=np.full((3, 1, 3), 0.5, np.float32), point_names=("nose",))
    assert plan_labels(data, ()).points == ()
    with pytest.raises(DataError, match="without boxes and --heads localizer"):
        plan_labels(data, (), ("points",))
    boxed = replace(data, box=dataset(1, boxed=True).box)
    assert plan_labels(boxed, (), ("points", "localizer")).points == ("nose",)
    with pytest.raises(DataError, match="--heads points"):
        plan_labels(boxed, (), ("points",))


def test_a_single_class_can_still_teach_its_boxes() -> None:
    data = dataset(2, boxed=True)
    assert plan_labels(data.rows(np.array([0, 1])), ()) == Plan(boxes=True)


def test_what_nobody_said_is_unknown() -> None:
    data = dataset(1)
    plan = Plan(tags=("pass", "rest"), events=("dunk",))
    truth = truth_of(replace(data, label=("dunk", "", "rest")), plan)
    assert truth.tag.tolist() == [-1, -1, 1]
    assert truth.events[:, 0].tolist() == pytest.approx([1, np.nan, 0], nan_ok=True)
    assert np.isnan(truth.box).all() and np.isnan(truth.objects).all()
    assert unknown_classes(relabelled(data, {"rest": "dance"}), plan) == ("dance",)


def test_objects_stand_in_rows_that_are_filled_up() -> None:
    data = scenes(3)
    truth = truth_of(data, Plan(detector=("dunk", "rest")))
    counts = [
        sum(label != "pass" for p, label in zip(data.objects.picture, data.objects.label, strict=True) if p == k)
        for k in range(3)
    ]
    assert (truth.objects[..., 0] >= 0).sum(axis=1).tolist() == counts
    unlisted = truth_of(replace(data, listed=np.array([True, False, True])), Plan(detector=("dunk", "rest")))
    assert np.isnan(unlisted.objects[1]).all() and np.isfinite(unlisted.objects[[0, 2]]).all()
    assert unlisted.targets().objects is not None


def test_a_box_is_right_about_any_object_of_the_main_ones_class() -> None:
    small, large, other = [0.1, 0.1, 0.2, 0.2], [0.3, 0.3, 0.9, 0.9], [0.0, 0.0, 0.1, 0.1]
    data = replace(
        scenes(3),
        box=np.array([large, small, [np.nan] * 4], np.float32),
        objects=Objects(
            np.array([0, 0, 0, 1]), np.array([small, large, other, small], np.float32), ("dunk", "dunk", "rest", "rest")
        ),
    )
    equal = replace(data, objects=replace(data.objects, xyxy=np.array([large, small, large, small], np.float32)))
    assert len(truth_of(equal, Plan(boxes=True)).boxes(np.arange(1))[0]) == 3  # the first of equals is the main one
    main, lonely = truth_of(data, Plan(boxes=True)).boxes(np.arange(2))
    assert main[0].tolist() == np.float32(large).tolist()
    assert {tuple(box) for box in main.tolist()} == {tuple(np.float32(box).tolist()) for box in (small, large)}
    assert {tuple(box) for box in lonely.tolist()} == {tuple(np.float32(small).tolist())}


def test_attributes_and_points_are_matched_by_name() -> None:
    data = replace(
        dataset(1),
        attributes={"age": ("young", "", "old")},
        points=np.arange(9, dtype=np.float32).reshape(3, 1, 3),
        point_names=("nose",),
    )
    plan = Plan(attributes=(("age", ("old", "young")), ("mood", ("calm", "glad"))), points=("ear", "nose"))
    truth = truth_of(data, plan)
    assert truth.attributes.tolist() == [[1, -1], [-1, -1], [0, -1]]
    assert np.isnan(truth.points[:, 0]).all()
    assert truth.points[:, 1].tolist() == data.points[:, 0].tolist()


def test_of_heads_the_data_do_not_speak_about_nothing_is_known() -> None:
    truth = truth_of(dataset(1), Plan(tags=("pass", "rest"), events=("dunk",)))
    assert (truth.without([TAGS]).tag == -1).all() and np.isfinite(truth.without([TAGS]).events).all()
    assert np.isnan(truth.without([EVENTS]).events).all()
