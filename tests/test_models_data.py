"""What folders teach: classes, boxes, scenes, negatives; what cannot be read is named and lost alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.data import Found, find, main_object, read
from models.spec import NONE
from models.targets import Plan, plan_labels, truth_of, unknown_classes
from pipeline.commands.learning import READER, read_data
from pipeline.errors import DataError
from tests.lessons import dataset, picture, write_clip, write_picture, write_pictures
from tests.networks import SIDE_PX

SIZE = (SIDE_PX, SIDE_PX)


def test_the_folder_is_the_class_of_pictures_and_of_clips(tmp_path: Path) -> None:
    write_picture(tmp_path / "dunk" / "a.png", "dunk", 1)
    write_clip(tmp_path / "pass" / "b.mp4", "pass")
    data = read(find([tmp_path], READER), READER, SIZE, frames=5)
    assert data.label == ("dunk", *["pass"] * 5)
    assert (data.pixels[0] == picture("dunk", 1)[0]).all()
    assert data.described() == ("dunk: 1 files, 1 pictures", "pass: 1 files, 5 pictures")


def test_a_box_is_measured_in_the_picture_whatever_the_file_says_of_its_size(tmp_path: Path) -> None:
    write_picture(tmp_path / "any" / "a.png", "dunk", 3, boxed=True)
    data = read_data([tmp_path], None, SIZE)
    assert data.label == ("dunk",)
    assert data.box[0] == pytest.approx(np.array(picture("dunk", 3)[1]) / SIDE_PX, abs=1e-6)


def test_the_largest_object_of_a_picture_is_its_main_one(tmp_path: Path) -> None:
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>{side}</xmax><ymax>{side}</ymax>"
        "</bndbox></object>"
        for name, side in (("ball", 10), ("player", 40), ("sign", 20))
    )
    path = tmp_path / "a.xml"
    path.write_text(f"<annotation>{objects}</annotation>")
    assert main_object(path, (100, 200)) == ("player", pytest.approx((0.0, 0.0, 0.2, 0.4)))
    path.write_text("<annotation/>")
    assert main_object(path, (100, 200))[0] == NONE


@pytest.mark.parametrize("text", ["<annotation>", "<a><object><bndbox><xmin>x</xmin></bndbox></object></a>", "no xml"])
def test_a_damaged_annotation_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "damaged.xml"
    path.write_text(text)
    with pytest.raises(DataError, match=r"damaged\.xml"):
        main_object(path, (10, 10))


def test_what_cannot_be_read_is_named_and_the_rest_is_learned_from(tmp_path: Path) -> None:
    write_pictures(tmp_path, 2)
    (tmp_path / "dunk" / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "pass" / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "empty").mkdir()
    data = read_data([tmp_path], None, SIZE)
    assert len(data) == 6
    assert [sentence.split(":")[0] for sentence in data.unreadable] == ["broken.jpg", "broken.mp4"]
    assert data.empty == ("empty",)
    assert data.described()[-3:] == (
        "empty class: empty",
        *(f"unreadable: {sentence}" for sentence in data.unreadable),
    )


def test_what_is_hidden_inside_is_left_out_and_where_the_folder_lies_does_not_matter(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / ".local" / "data", 1)
    write_picture(root / "dunk" / ".trash" / "a.png", "dunk", 5)
    assert len(find([root], READER).sources) == 3


def test_a_folder_that_teaches_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        find([tmp_path / "nowhere"], READER)
    with pytest.raises(DataError, match="no picture and no clip"):
        find([tmp_path], READER)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.png").write_bytes(b"")
    with pytest.raises(DataError, match="none of 1 files"):
        read(find([tmp_path], READER), READER, SIZE, frames=1)


def test_a_background_is_what_it_is_not(tmp_path: Path) -> None:
    write_pictures(tmp_path / "data", 1)
    write_picture(tmp_path / "beside" / "street" / "a.png", "rest", 9)
    data = read_data([tmp_path / "data"], tmp_path / "beside", SIZE)
    assert data.label.count(NONE) == 1
    assert "street" not in data.classes


def test_frames_of_one_scene_share_its_group(tmp_path: Path) -> None:
    for name in ("v_Dunk_g01_c01", "v_Dunk_g01_c02", "v_Dunk_g02_c01"):
        write_clip(tmp_path / "dunk" / f"{name}.mp4", "dunk")
    found: Found = find([tmp_path], READER)
    assert [source.group for source in found.sources] == ["v_Dunk_g01", "v_Dunk_g01", "v_Dunk_g02"]


def test_other_names_and_left_out_classes() -> None:
    data = dataset(2).relabelled({"pass": "play", "rest": ""})
    assert data.label == ("dunk", "dunk", "play", "play")
    assert len(data.pixels) == 4


# Which labels are tags, and which are events


def test_every_class_is_a_tag_unless_it_is_named_as_an_event() -> None:
    assert plan_labels(("a", "b", "c"), (), boxes=False) == Plan(("a", "b", "c"), (), boxes=False)
    assert plan_labels(("a", "b", "c"), ("b",), boxes=True) == Plan(("a", "c"), ("b",), boxes=True)


def test_a_single_class_beside_events_is_their_background() -> None:
    assert plan_labels(("dunk", "other"), ("dunk",), boxes=False) == Plan((), ("dunk",), boxes=False)


@pytest.mark.parametrize(("classes", "events"), [(("dunk",), ("dunk",)), (("dunk",), ())])
def test_a_single_label_without_negatives_is_refused(classes: tuple[str, ...], events: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match="without negatives"):
        plan_labels(classes, events, boxes=False)


def test_a_single_class_can_still_teach_its_boxes() -> None:
    assert plan_labels(("raccoon",), (), boxes=True) == Plan((), (), boxes=True)


def test_an_event_that_no_folder_has_is_named_beside_those_there_are() -> None:
    with pytest.raises(DataError, match=r"dnk: no such class; found dunk, other"):
        plan_labels(("dunk", "other"), ("dnk",), boxes=False)


def test_an_event_has_no_tag_and_any_other_class_is_no_event() -> None:
    truth = truth_of(dataset(1), ("pass", "rest"), ("dunk",))
    assert truth.tag.tolist() == [-1, 0, 1]
    assert truth.events.tolist() == [[1.0], [0.0], [0.0]]
    assert unknown_classes(dataset(1), ("pass",), ("dunk",)) == ("rest",)
