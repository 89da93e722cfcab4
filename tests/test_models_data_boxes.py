"""Boxes, points and attributes from VOC and COCO files: where they lie, what is left out, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models import geometry
from models.data.coco import is_coco, read_coco
from models.data.dataset import Dataset
from models.data.marks import Mark, Marks, joined, placed
from models.data.notes import located
from models.data.voc import read_voc
from models.data.words import name_in
from models.spec import NONE
from models.targets import Plan, truth_of
from pipeline.commands.learning import read_data
from pipeline.errors import DataError
from tests.lessons import COLOURS, Edges, coco, scene, voc, write, write_clip, write_picture
from tests.networks import SIDE_PX

SIZE = (SIDE_PX, SIDE_PX)
SCENES = {"a": ("dunk",), "b": ("pass", "rest"), "c": ("rest", "dunk", "dunk", "pass"), "d": ()}


def write_scenes(folder: Path) -> dict[str, list[tuple[str, Edges]]]:
    """A picture each, and where the objects of each lie."""
    found = {}
    for seed, (name, labels) in enumerate(SCENES.items()):
        pixels, objects = scene(seed, *labels)
        write(folder / f"{name}.png", pixels)
        found[f"{name}.png"] = objects
    return found


def write_voc(folder: Path, first: int = 1) -> Path:
    for name, objects in write_scenes(folder).items():
        (folder / name).with_suffix(".xml").write_text(voc(*objects, first=first))
    return folder


def write_coco(folder: Path, change: Callable[[dict[str, Any]], None] = lambda content: None) -> Path:
    content = coco(write_scenes(folder / "images"))
    change(content)
    (folder / "labels.json").write_text(json.dumps(content))
    return folder


def problems_of(data: Dataset, kind: str) -> list[str]:
    return [problem for problem in data.problems if problem.startswith(f"{kind}: ")]


# Laws

corner = st.floats(-50, 250, allow_nan=False)


@st.composite
def marks(draw: st.DrawFn) -> Mark:
    left, top, right, bottom = (draw(corner) for _ in range(4))
    return Mark(label=draw(st.sampled_from("ab")), edges_px=(left, top, right, bottom))


@given(st.lists(marks(), max_size=6))
def test_every_box_lies_inside_its_picture_and_the_largest_is_the_main_one(given: list[Mark]) -> None:
    there = placed(Marks(objects=tuple(given), listed=True), (100, 200), "x")
    assert ((there.xyxy >= 0) & (there.xyxy <= 1)).all()
    assert (there.xyxy[:, :2] < there.xyxy[:, 2:]).all()
    assert there.main == (int(geometry.area(there.xyxy).argmax()) if given and len(there.xyxy) else -1)
    assert there.listed == (len(there.xyxy) == len(given))


@given(st.integers(0, 198), st.integers(0, 98), st.integers(2, 200), st.integers(2, 100))
def test_a_box_inside_keeps_its_pixels(left: int, top: int, width: int, height: int) -> None:
    edges = (float(left), float(top), float(min(200, left + width)), float(min(100, top + height)))
    there = placed(Marks(objects=(Mark(label="a", edges_px=edges),)), (100, 200), "x")
    assert there.xyxy[0] * [200, 100, 200, 100] == pytest.approx(edges, abs=1e-3)
    assert there.problems == ()


@given(st.text(max_size=300) | st.integers() | st.floats() | st.booleans() | st.none() | st.lists(st.integers()))
def test_a_name_is_one_short_printable_line_whatever_stands_in_the_file(value: object) -> None:
    name = name_in(value)
    assert name.isprintable() and len(name) <= 100 and name == name_in(name)


@given(st.lists(st.sampled_from(["..", ".", "a", "b.png", "", "/", "~", "x" * 300, "\0", "etc"]), max_size=8))
def test_no_name_leads_out_of_the_data(parts: list[str]) -> None:
    """Every file is there: what is taken is decided by the name alone."""
    root = Path("/data/here")
    try:
        place = located("/".join(parts), (root, root / "images"), (root,), lambda path: True)
    except DataError:
        return
    assert place.is_relative_to(root)


# Where boxes lie


def assert_on_colours(data: Dataset) -> None:
    """Inside each box there is the colour of its class and nothing else, and one pixel further out there is not."""
    edges = np.rint(data.objects.xyxy * SIDE_PX).astype(int)
    for number, (x0, y0, x1, y1), label in zip(data.objects.picture, edges, data.objects.label, strict=True):
        same = (data.pixels[number] == COLOURS[label]).all(axis=2)
        assert same[y0:y1, x0:x1].all()
        assert not same[y0 - 1 : y1 + 1, x0 - 1].all() and not same[y0 - 1 : y1 + 1, x1].all()


@pytest.mark.parametrize("first", [0, 1])
def test_all_objects_of_voc_lie_where_they_are_seen(tmp_path: Path, first: int) -> None:
    data = read_data([write_voc(tmp_path, first)], None, SIZE, boxes_from=first)
    assert len(data.objects) == 7
    assert data.label[0] == "dunk" and data.label[3] == NONE
    assert data.listed.all()
    assert problems_of(data, "box beyond the edge") == []
    assert_on_colours(data)


def test_all_objects_of_coco_lie_where_they_are_seen_and_their_pictures_have_no_class(tmp_path: Path) -> None:
    data = read_data([write_coco(tmp_path)], None, SIZE)
    assert len(data.objects) == 7
    assert data.label == ("",) * 4 and data.classes == ()
    assert data.listed.all()
    assert_on_colours(data)


def test_voc_and_coco_say_the_same_of_the_same_pictures(tmp_path: Path) -> None:
    one, other = (read_data([folder], None, SIZE) for folder in (write_voc(tmp_path / "v"), write_coco(tmp_path / "c")))
    assert np.array_equal(one.objects.xyxy, other.objects.xyxy)
    assert one.objects.label == other.objects.label
    assert np.array_equal(one.box, other.box, equal_nan=True)


def test_the_main_subject_is_the_largest_object(tmp_path: Path) -> None:
    data = read_data([write_voc(tmp_path)], None, SIZE)
    for number in range(3):
        mine = data.objects.xyxy[data.objects.picture == number]
        assert np.array_equal(data.box[number], mine[geometry.area(mine).argmax()])
    assert np.isnan(data.box[3]).all()


def test_the_class_of_a_picture_is_its_folder_where_several_stand_beside_each_other(tmp_path: Path) -> None:
    for folder in ("indoors", "outdoors"):
        write_picture(tmp_path / folder / "a.png", "dunk", 1, boxed=True)
    data = read_data([tmp_path], None, SIZE)
    assert data.label == ("indoors", "outdoors")
    assert data.objects.label == ("dunk", "dunk")


def test_folders_that_part_the_data_are_no_classes(tmp_path: Path) -> None:
    for folder in ("train", "test2017"):
        write_picture(tmp_path / folder / "a.png", "dunk", 1, boxed=True)
    write_picture(tmp_path / "train" / "b.png", "dunk", 2)
    data = read_data([tmp_path], None, SIZE)
    assert data.label == ("dunk", "dunk")
    assert problems_of(data, "no class") == ["no class: b.png: nothing says what it shows"]


def test_a_picture_for_boxes_only_is_no_negative_of_an_event(tmp_path: Path) -> None:
    data = read_data([write_coco(tmp_path)], None, SIZE)
    truth = truth_of(data, Plan(tags=("pass",), events=("dunk",)))
    assert (truth.tag == -1).all() and np.isnan(truth.events).all()
    assert np.isfinite(truth.box[:3]).all()


def test_boxes_for_some_and_labels_for_others_are_learned_together(tmp_path: Path) -> None:
    write_picture(tmp_path / "classes" / "pass" / "x.png", "pass", 9)
    data = read_data([write_coco(tmp_path / "boxes"), tmp_path / "classes"], None, SIZE)
    assert data.label == ("", "", "", "", "pass")
    assert data.listed.tolist() == [True] * 4 + [False]
    assert np.isfinite(data.box).all(axis=1).tolist() == [True] * 3 + [False] * 2


# What is wrong


def test_a_voc_file_with_a_0_may_count_from_0(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", "dunk", 1)
    (tmp_path / "a.xml").write_text(voc(("dunk", (0, 0, 20, 20)), first=0))
    assert "use --boxes-from 0" in problems_of(read_data([tmp_path], None, SIZE), "coordinates")[0]
    assert problems_of(read_data([tmp_path], None, SIZE, boxes_from=0), "coordinates") == []


@pytest.mark.parametrize(
    ("edges", "kind", "kept"),
    [
        ((70, 5, 80, 20), "box outside", False),
        ((10, 30, 10, 40), "box without area", False),
        ((30, 30, 20, 40), "box without area", False),
        ((10, 10, 80, 20), "box beyond the edge", True),
        ((10, 10, 65, 20), "", True),  # a pixel is a matter of counting
        ((float("nan"), 10, 30, 30), "no box", False),
        ((float("inf"), 10, 30, 30), "no box", False),
    ],
)
def test_a_box_that_cannot_be_is_named_and_its_picture_is_not_fully_listed(
    tmp_path: Path, edges: Edges, kind: str, kept: bool
) -> None:
    write_picture(tmp_path / "a.png", "dunk", 1)
    (tmp_path / "a.xml").write_text(voc(("dunk", (5, 5, 25, 25)), ("rest", edges)))
    data = read_data([tmp_path], None, SIZE)
    assert len(data.objects) == 1 + kept
    assert data.listed.tolist() == [kept]
    assert [problem.partition(": ")[0] for problem in data.problems if "scene" not in problem] == [kind] * bool(kind)


def test_objects_without_a_name_and_wrong_sizes_are_told(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", "dunk", 1)
    (tmp_path / "a.xml").write_text(voc(("", (5, 5, 9, 9)), ("dunk", (5, 5, 25, 25)), stated_px=(64, 48)))
    data = read_data([tmp_path], None, SIZE)
    assert data.objects.label == ("dunk",) and not data.listed[0]
    assert problems_of(data, "unknown class") == ["unknown class: a.xml: 1 objects without a name are left out"]
    assert "64 x 48 pixels are stated, it has 64 x 64" in problems_of(data, "stated size")[0]


ENTITIES = '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;&b;&b;">]><annotation>&c;</annotation>'


@pytest.mark.parametrize(
    "text", ["<annotation>", "<a><object><bndbox><xmin>x</xmin></bndbox></object></a>", "no xml", ENTITIES, ""]
)
def test_a_damaged_voc_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "damaged.xml").write_text(text)
    with pytest.raises(DataError, match=r"damaged\.xml: not a VOC annotation"):
        read_voc(tmp_path / "damaged.xml")


def test_a_picture_stays_for_its_class_where_its_voc_file_is_damaged(tmp_path: Path) -> None:
    for folder in ("dunk", "pass"):
        write_picture(tmp_path / folder / "a.png", folder, 1)
        (tmp_path / folder / "a.xml").write_text("no xml")
    data = read_data([tmp_path], None, SIZE)
    assert data.label == ("dunk", "pass") and not data.listed.any()
    assert len(problems_of(data, "unreadable")) == 2


def crowd(content: dict[str, Any]) -> None:
    content["annotations"][1]["iscrowd"] = 1


def other_category(content: dict[str, Any]) -> None:
    content["annotations"][1]["category_id"] = 99


def no_bbox(content: dict[str, Any]) -> None:
    content["annotations"][1]["bbox"] = [1, 2, float("nan"), 4]


@pytest.mark.parametrize(("change", "kind"), [(crowd, "crowd"), (other_category, "unknown class"), (no_bbox, "no box")])
def test_what_coco_says_wrongly_is_counted_and_its_picture_is_not_fully_listed(
    tmp_path: Path, change: Callable[[dict[str, Any]], None], kind: str
) -> None:
    data = read_data([write_coco(tmp_path, change)], None, SIZE)
    assert len(data.objects) == 6
    assert data.listed.tolist() == [True, False, True, True]
    assert [problem[: len(kind) + 16] for problem in data.problems] == [f"{kind}: labels.json: 1"]


def hostile(content: dict[str, Any]) -> None:
    names = ("../../../etc/hosts.png", "/etc/hosts.png", "labels.json", "\x1b[2Jnowhere.png", "a\0.png", 7, None)
    content["images"] += [{"id": f"x{number}", "file_name": name} for number, name in enumerate(names)]
    content["annotations"] += [{"image_id": "x0"}, {"image_id": []}, "text", None, {"image_id": 12345}]
    content["categories"] += [None, {"id": {}}, {"name": "no id"}]


def test_hostile_and_lost_names_are_refused_by_name(tmp_path: Path) -> None:
    data = read_data([write_coco(tmp_path, hostile)], None, SIZE)
    assert len(data) == 4 and len(data.objects) == 7
    told = "\n".join(problems_of(data, "missing"))
    assert told.count("\n") == 6 and "\x1b" not in told
    assert told.count("leads out of the given DATA and is refused") == 2
    assert "'labels.json' is no picture" in told and "nowhere.png': no such file" in told
    assert problems_of(data, "unknown picture")[0].startswith("unknown picture: labels.json: 4 ")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"images": 1, "annotations": [], "categories": []}', "[]", "\xff", "1" * 5000]
)
def test_what_is_no_coco_file_is_refused_when_it_is_given_and_named_when_it_is_found(tmp_path: Path, text: str) -> None:
    write_picture(tmp_path / "dunk" / "a.png", "dunk", 1)
    (tmp_path / "labels.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=r"labels\.json"):
        read_data([tmp_path / "labels.json"], None, SIZE)
    data = read_data([tmp_path], None, SIZE)
    assert data.label == ("dunk",)
    assert any(problem.startswith(("not used: labels.json", "unreadable: labels.json")) for problem in data.problems)


def test_annotations_that_are_far_too_large_are_not_read(tmp_path: Path) -> None:
    for name, reads in (("a.xml", read_voc), ("a.json", lambda path: read_coco(path, Path))):
        with (tmp_path / name).open("wb") as file:
            file.truncate(10**9)
        with pytest.raises(DataError, match="bytes"):
            reads(tmp_path / name)
    assert is_coco(tmp_path / "a.json")  # so that it is told


# Points and attributes


def with_points(content: dict[str, Any]) -> None:
    for category in content["categories"]:
        category["keypoints"] = ["head", "foot"]
    for entry in content["annotations"]:
        x, y, w, h = entry["bbox"]
        entry["keypoints"] = [x, y, 2, x + w, y + h, 1]
        entry["attributes"] = {"size": "big" if w > 15 else "small", "occluded": False, "list": []}
    content["annotations"][0]["keypoints"] = [0, 0, 0, 3, 3, 2]
    content["annotations"][1]["keypoints"] = [3, 3, 2]


def test_points_and_attributes_are_those_of_the_main_subject(tmp_path: Path) -> None:
    data = read_data([write_coco(tmp_path, with_points)], None, SIZE)
    assert data.point_names == ("head", "foot")
    assert data.points[0, 1] == pytest.approx([3 / SIDE_PX, 3 / SIDE_PX, 1])
    assert np.isnan(data.points[0, 0]).all() and np.isnan(data.points[3]).all()
    assert data.points[2, 0] == pytest.approx([*data.box[2, :2], 1])
    assert data.points[2, 1] == pytest.approx([*data.box[2, 2:], 0])
    width = (data.box[:, 2] - data.box[:, 0]) * SIDE_PX
    assert data.attributes["size"][:3] == tuple("big" if w > 15 else "small" for w in width[:3])
    assert data.attributes["occluded"] == ("false", "false", "false", "")
    assert "list" not in data.attributes
    assert problems_of(data, "points")[0].startswith("points: labels.json: 1 ")
    assert data.described()[-2].startswith("points head, foot: of ")


def test_points_outside_their_picture_are_unknown() -> None:
    mark = Mark(label="a", edges_px=(0, 0, 9, 9), points_px={"head": (101.0, 5.0, 1.0), "foot": (5.0, 5.0, 0.0)})
    there = placed(Marks(objects=(mark,)), (100, 100), "x.png")
    assert np.isnan(there.points["head"]).all() and there.points["foot"] == (0.05, 0.05, 0.0)
    assert there.problems == ("point outside: x.png: head is left out",)


def test_a_picture_that_is_turned_against_its_annotation_is_told() -> None:
    told = placed(Marks(size_px=(48, 64)), (64, 48), "x.png").problems
    assert told == (
        "stated size: x.png: 64 x 48 pixels are stated, it has 48 x 64, which count (turned: are its boxes?)",
    )


def test_boxes_of_a_clip_are_not_used_and_its_class_is(tmp_path: Path) -> None:
    for label in ("dunk", "pass"):
        write_clip(tmp_path / label / "a.mp4", label)
        (tmp_path / label / "a.xml").write_text(voc((label, (1, 1, 5, 5))))
    data = read_data([tmp_path], None, SIZE)
    assert set(data.label) == {"dunk", "pass"} and len(data) > 2
    assert problems_of(data, "not used") == ["not used: a.mp4: boxes of a clip"] * 2


def test_an_object_that_two_files_name_counts_once_with_the_points_of_either() -> None:
    box, other = (0.0, 0.0, 5.0, 5.0), (1.0, 0.0, 5.0, 5.0)
    with_point = Mark(label="a", edges_px=box, points_px={"head": (1.0, 1.0, 1.0)})
    plain = Mark(label="a", edges_px=box, attributes={"age": "old"})
    both = joined([Marks(objects=(plain,), listed=True), Marks(objects=(with_point, Mark(label="a", edges_px=other)))])
    assert [mark.edges_px for mark in both.objects] == [box, other]
    assert both.objects[0].points_px and both.objects[0].attributes
    assert not both.listed


def test_pictures_of_coco_lie_where_coco_itself_puts_them(tmp_path: Path) -> None:
    content = coco(write_scenes(tmp_path / "val2017"))
    (tmp_path / "annotations").mkdir()
    notes = tmp_path / "annotations" / "instances_val2017.json"
    notes.write_text(json.dumps(content))
    assert len(read_data([notes], None, SIZE)) == len(read_data([tmp_path], None, SIZE)) == 4
