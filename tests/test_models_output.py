"""From raw answers to names: every score has its column, every box its picture, every point its place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from models.network import BOX, EVENTS, OBJECTS, POINTS, TAGS, attribute
from models.output import output
from models.spec import Spec

SPEC = Spec(
    backbone="resnet18",
    height_px=64,
    width_px=64,
    tags=("dunk", "none"),
    events=("goal",),
    localizer=True,
    attributes=(("age", ("young", "old")), ("mood", ("calm", "glad", "cross"))),
    points=("nose",),
    detector=("ball", "goal"),
)
VECTOR = torch.zeros(2, 5)


def answers() -> dict[str, Tensor]:
    cells = torch.full((2, 2, 2, 7), -9.0)
    cells[..., 3:] = torch.log(torch.tensor(0.2))
    cells[1, 0, 1, [0, 2]] = 9.0  # a ball in the second picture
    return {
        TAGS: torch.tensor([[2.0, 0.0], [0.0, 2.0]]),
        EVENTS: torch.tensor([[0.0], [3.0]]),
        BOX: torch.tensor([[[0.25, 0.5, 0.5, 0.25]], [[0.9, 0.9, 0.5, -1.0]]]),
        attribute(0): torch.zeros(2, 2),
        attribute(1): torch.zeros(2, 3),
        POINTS: torch.tensor([[[0.5, 1.0, 9.0]], [[0.0, 0.0, -9.0]]]),
        OBJECTS: cells,
    }


def test_every_score_stands_in_the_column_of_its_name() -> None:
    names = ("dunk", "none", "age: young", "age: old", "mood: calm", "mood: glad", "mood: cross", "ball", "goal")
    assert SPEC.columns == names
    said = output(VECTOR, answers(), SPEC).probs
    assert said.shape == (2, len(names))
    assert said[0, :2] == pytest.approx(np.exp([2, 0]) / np.exp([2, 0]).sum())
    assert said[:, 2:4].tolist() == [[0.5, 0.5]] * 2
    assert said[:, 4:7] == pytest.approx(1 / 3)
    assert said[0, 7] < 0.01 and said[1, 7] > 0.99  # only the detector knows balls: how sure it is of the best one
    assert said[:, 8] == pytest.approx([0.5, 1 / (1 + np.exp(-3))])


def test_boxes_are_those_of_the_subject_and_of_the_detector_clipped_to_the_picture() -> None:
    boxes = output(VECTOR, answers(), SPEC).boxes
    assert boxes is not None
    assert boxes.picture.tolist() == [0, 1, 1]
    assert boxes.xyxy[0] == pytest.approx([0.25, 0.5, 0.75, 0.75])
    assert (boxes.xyxy >= 0).all() and (boxes.xyxy <= 1).all()
    assert (boxes.xyxy[:, :2] < boxes.xyxy[:, 2:]).all()
    assert boxes.xyxy[2] == pytest.approx([0.55, 0.05, 0.95, 0.45])  # 0.2 to each side of the cell's centre
    assert SPEC.columns[boxes.label[2]] == "ball"


def test_the_subjects_box_is_called_by_its_tag_and_by_no_attribute() -> None:
    said = answers() | {attribute(0): torch.tensor([[9.0, 0.0], [9.0, 0.0]])}  # surer than any tag
    boxes = output(VECTOR, said, SPEC).boxes
    assert boxes is not None
    assert [SPEC.columns[label] for label in boxes.label[:2]] == ["dunk", "none"]
    events = replace(SPEC, tags=(), attributes=(), detector=(), points=())
    only = {name: said[name] for name in (EVENTS, BOX)}
    boxes = output(VECTOR, only, events).boxes
    assert (
        boxes is not None and boxes.label.tolist() == [0, 0] and boxes.score == pytest.approx([0.5, 0.9526], abs=1e-4)
    )
    alone = output(VECTOR, {BOX: said[BOX]}, replace(events, events=()))
    assert alone.boxes is not None and alone.boxes.label.tolist() == [-1, -1] and alone.probs.shape == (2, 0)


def test_fewer_boxes_of_the_detector_are_told_the_surer_they_must_be() -> None:
    counts = []
    for least in (0.0, 0.2, 1.0):
        boxes = output(VECTOR, answers(), SPEC, least).boxes
        assert boxes is not None
        counts.append(len(boxes.label))
    assert counts[0] > counts[1] == 3 > counts[2] == 2


def test_with_a_box_for_each_class_the_best_tags_is_shown() -> None:
    spec = replace(SPEC, box_per_class=True)
    said = answers()
    said[BOX] = torch.tensor([[[0.0, 0.0, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5]]]).expand(2, -1, -1)
    boxes = output(VECTOR, said, spec).boxes
    assert boxes is not None
    assert boxes.xyxy[0] == pytest.approx([0, 0, 0.5, 0.5])
    assert boxes.xyxy[1] == pytest.approx([0.5, 0.5, 1, 1])


def test_points_are_placed_by_the_subjects_box() -> None:
    points = output(VECTOR, answers(), SPEC).points
    assert points is not None
    assert points[0, 0] == pytest.approx([0.5, 0.75, 1.0], abs=1e-3)
    assert points[1, 0, 2] < 0.01
    said = {name: answer for name, answer in answers().items() if name != BOX}
    alone = output(VECTOR, said, replace(SPEC, localizer=False)).points
    assert alone is not None
    assert alone[0, 0, :2] == pytest.approx([0.5, 1.0])
