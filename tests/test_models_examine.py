"""Everything that is said of a checkpoint at the end: intervals by scene, localization, probabilities, pictures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.evaluate import Answers, Found
from models.examine import examined, pictured
from models.figures.detection import Objects
from models.spec import Spec
from models.targets import Truth

SPEC = Spec(backbone="resnet18", height_px=64, width_px=64, tags=("a", "b"), events=("dunk",), localizer=True)
COUNT = 40


def some() -> tuple[Answers, Truth]:
    """Three of four tags and boxes are right."""
    rng = np.random.default_rng(0)
    tag = rng.integers(0, 2, COUNT)
    said = np.where(np.arange(COUNT) % 4 == 0, 1 - tag, tag)
    box = np.tile(np.array([0.1, 0.2, 0.6, 0.8], np.float32), (COUNT, 1))
    found = np.where((np.arange(COUNT) % 4 == 1)[:, None], np.float32(0.9), box)
    found[:, 2:] = np.where((np.arange(COUNT) % 4 == 1)[:, None], np.float32(1.0), box[:, 2:])
    events = rng.normal(size=(COUNT, 1)).astype(np.float32)
    truth = Truth(
        tag,
        (events > 0).astype(np.float32),
        box,
        np.empty((COUNT, 0), np.int64),
        np.empty((COUNT, 0, 3), np.float32),
        np.full((COUNT, 1, 5), np.nan, np.float32),
    )
    return Answers(tags=np.eye(2, dtype=np.float32)[said] * 3, events=events, boxes=found[:, None]), truth


def test_figures_have_intervals_by_scene() -> None:
    found, truth = some()
    alone = examined(found, truth, SPEC, list(range(COUNT)))
    low, high = alone["tags"]["top1_interval"]
    assert low < alone["tags"]["top1"] == 0.75 < high
    scenes = examined(found, truth, SPEC, [k // 10 for k in range(COUNT)])
    assert scenes["tags"]["top1"] == 0.75
    assert scenes["tags"]["top1_interval"] != alone["tags"]["top1_interval"]
    one = examined(found, truth, SPEC, [0] * COUNT)
    assert one["tags"]["top1_interval"] is None  # one scene says nothing about others


def test_localization_needs_the_class_and_the_box() -> None:
    figures = examined(*some(), SPEC, list(range(COUNT)))
    assert figures["localization"]["top1_error"] == 0.5  # a quarter has the wrong class, another the wrong box
    assert figures["localization"]["gt_known_error"] == 0.25
    assert figures["box"]["v2"]["max_box_acc_v2"] == pytest.approx(0.75)


def test_any_object_of_the_main_ones_class_is_right_where_ilsvrc_counts() -> None:
    found, truth = some()
    assert found.boxes is not None
    alike = np.full((COUNT, 2, 4), np.nan, np.float32)
    alike[:, 0] = truth.box
    alike[1, 1] = found.boxes[1, 0]  # one of the ten wrong boxes is right about another object
    figures = examined(found, replace(truth, alike=alike), SPEC, list(range(COUNT)))
    assert figures["localization"]["gt_known_error"] == pytest.approx(9 / COUNT)
    assert figures["box"]["v2"]["by_iou"]["0.5"] == pytest.approx(31 / COUNT)
    assert figures["box"]["iou50"] == 0.75  # of the main one


def test_events_are_judged_as_probabilities() -> None:
    event = examined(*some(), SPEC, list(range(COUNT)))["events"]["dunk"]
    assert event["average_precision"] == 1.0
    assert set(event["calibration"]) >= {"ece", "brier", "brier_chance"}


def test_what_is_taken_for_what_can_be_looked_at() -> None:
    pages = pictured(*some(), SPEC, {})
    assert set(pages) == {"confusion", "reliability of tags", "reliability of dunk"}
    assert all(page.dtype == np.uint8 and page.ndim == 3 and page.std() > 0 for page in pages.values())


def test_what_calibration_did_can_be_looked_at() -> None:
    found, truth = some()
    calibration = {"tags": {"temperature": 2.0}, "events": {"dunk": {"slope": 0.5, "shift": 1.0}}}
    pages = pictured(found, truth, SPEC, calibration)
    for name, logits in (("tags", replace(found, tags=found.tags * 2)), ("dunk", None)):
        before = f"reliability of {name} before calibration"
        assert not np.array_equal(pages[f"reliability of {name}"], pages[before])
        if logits is not None:
            assert np.array_equal(pages[before], pictured(logits, truth, SPEC, {})[f"reliability of {name}"])


@pytest.mark.parametrize("name", ["top1", "top5"])
def test_every_figure_of_tags_has_an_interval(name: str) -> None:
    tags = examined(*some(), SPEC, list(range(COUNT)))["tags"]
    low, high = tags[f"{name}_interval"]
    assert low <= tags[name] <= high
    assert set(tags["top1_by_class_interval"]) == set(tags["top1_by_class"]) == set(tags["share_by_class"])
    low, high = tags["calibration"]["ece_interval"]
    assert low < high


def test_boxes_and_their_errors_have_intervals_that_hold_them() -> None:
    figures = examined(*some(), SPEC, list(range(COUNT)))
    of_boxes = [(figures["box"], "iou50"), (figures["box"], "mean_iou"), (figures["box"]["v2"], "max_box_acc_v2")]
    for part, name in [*of_boxes, (figures["localization"], "top1_error")]:
        low, high = part[f"{name}_interval"]
        assert low < part[name] < high


def test_attributes_points_and_objects_have_intervals() -> None:
    found, truth = some()
    rng = np.random.default_rng(1)
    spec = replace(SPEC, attributes=(("age", ("young", "old")),), points=("nose",), detector=("ball",))
    middle = np.array([[[0.35, 0.5, 1.0]]], np.float32).repeat(COUNT, 0)  # of the box: the picture's (0.35, 0.5)
    said = np.array([[[0.5, 0.5, 1.0]]], np.float32).repeat(COUNT, 0)
    said[::4, 0, 0] = 0.9
    ball = np.array([[[0, 0.1, 0.1, 0.3, 0.3]]], np.float32).repeat(COUNT, 0)
    boxes = ball[:, 0, 1:] + np.where(np.arange(COUNT) % 4 == 0, 0.5, 0.0)[:, None].astype(np.float32)
    objects = Found(Objects(np.arange(COUNT), np.zeros(COUNT, np.int64), boxes), rng.random(COUNT).astype(np.float32))
    old = rng.integers(0, 2, (COUNT, 1))
    truth = replace(truth, attributes=old, points=middle, objects=ball)
    logits = (np.eye(2, dtype=np.float32)[np.where(np.arange(COUNT) % 4 == 0, 1 - old[:, 0], old[:, 0])],)
    figures = examined(replace(found, attributes=logits, points=said, objects=objects), truth, spec, range(COUNT))
    of_each = [(figures["attributes"]["age"], "top1"), (figures["points"], "pck"), (figures["objects"], "map50")]
    for part, name in of_each:
        low, high = part[f"{name}_interval"]
        assert low < part[name] < high
    assert figures["points"]["pck"] == figures["attributes"]["age"]["top1"] == 0.75
