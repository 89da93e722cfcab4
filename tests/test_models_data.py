"""What folders teach: classes, boxes, scenes, negatives; what cannot be read is named and lost alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.data.dataset import Dataset, Objects, unknown_to
from models.data.find import find
from models.data.read import read
from models.spec import NONE
from pipeline.commands.learning import READER, read_data
from pipeline.errors import DataError
from tests.lessons import dataset, picture, relabelled, write_clip, write_picture, write_pictures
from tests.networks import SIDE_PX

SIZE = (SIDE_PX, SIDE_PX)


def test_the_folder_is_the_class_of_pictures_and_of_clips(tmp_path: Path) -> None:
    write_picture(tmp_path / "dunk" / "a.png", "dunk", 1)
    write_clip(tmp_path / "pass" / "b.mp4", "pass")
    data = read(find([tmp_path], READER), READER, SIZE, frames=5)
    assert data.label == ("dunk", *["pass"] * 5)
    assert (data.pixels[0] == picture("dunk", 1)[0]).all()
    assert data.time_ns.tolist() == [0, 80_000_000, 280_000_000, 480_000_000, 680_000_000, 880_000_000]
    assert data.described()[:3] == (
        "1 pictures and 1 clips of 2 classes",
        "dunk: 1 files, 1 pictures",
        "pass: 1 files, 5 pictures",
    )


def test_a_folder_of_one_class_can_be_given_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pictures(tmp_path, 1)
    assert read_data([tmp_path / "dunk", tmp_path / "pass"], None, SIZE).classes == ("dunk", "pass")
    monkeypatch.chdir(tmp_path / "dunk")
    assert read_data([Path()], None, SIZE).classes == ("dunk",)


def test_a_file_that_is_given_twice_counts_once(tmp_path: Path) -> None:
    write_pictures(tmp_path, 2)
    assert len(read_data([tmp_path, tmp_path / "dunk", tmp_path / "pass" / ".." / "rest"], None, SIZE)) == 6


def test_a_box_is_measured_in_the_picture_whatever_the_file_says_of_its_size(tmp_path: Path) -> None:
    write_picture(tmp_path / "any" / "a.png", "dunk", 3, boxed=True)
    data = read_data([tmp_path], None, SIZE)
    assert data.label == ("dunk",)
    assert data.box[0] == pytest.approx(np.array(picture("dunk", 3)[1]) / SIDE_PX, abs=1e-6)


def test_what_cannot_be_read_is_named_and_the_rest_is_learned_from(tmp_path: Path) -> None:
    write_pictures(tmp_path, 2)
    (tmp_path / "dunk" / "broken.jpg").write_bytes(b"no picture")
    (tmp_path / "pass" / "broken.mp4").write_bytes(b"no video")
    (tmp_path / "empty").mkdir()
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost" / "broken.png").write_bytes(b"no picture")
    data = read_data([tmp_path], None, SIZE)
    assert len(data) == 6
    kinds = [tuple(sentence.split(": ")[:2]) for sentence in data.problems]
    assert kinds == [
        ("unreadable", "broken.jpg"),
        ("unreadable", "broken.png"),
        ("unreadable", "broken.mp4"),
        ("empty class", "empty"),
        ("empty class", "lost"),
    ]
    assert data.described()[-5:] == data.problems


def test_pictures_stand_where_their_files_stand_though_others_between_them_cannot_be_read(tmp_path: Path) -> None:
    for number in range(12):
        write_picture(tmp_path / "dunk" / f"{number:02d}.png", "dunk", number)
        if number % 3 == 0:
            (tmp_path / "dunk" / f"{number:02d}.png").write_bytes(b"no picture")
        if number % 4 == 1:
            write_clip(tmp_path / "dunk" / f"{number:02d}.mp4", "dunk")
    data = read(find([tmp_path], READER), READER, SIZE, frames=3)
    assert [int(path.stem) for path in data.path] == [1, 1, 1, 1, 2, 4, 5, 5, 5, 5, 7, 8, 9, 9, 9, 10, 11]
    for number, path in enumerate(data.path):
        if path.suffix == ".png":
            assert (data.pixels[number] == picture("dunk", int(path.stem))[0]).all()


def test_more_pictures_than_half_the_memory_are_refused_before_they_are_read(tmp_path: Path) -> None:
    write_clip(tmp_path / "pass" / "b.mp4", "pass")
    found = find([tmp_path], READER)
    with pytest.raises(DataError, match=r"10 pictures of 64 x 64 pixels need .* Use a smaller --size"):
        read(found, READER, SIZE, frames=10, most_bytes=10 * 64 * 64 * 3 - 1)
    assert len(read(found, READER, SIZE, frames=10, most_bytes=10 * 64 * 64 * 3)) == 10


def test_a_class_of_one_scene_is_said_to_be_learned_and_not_judged(tmp_path: Path) -> None:
    write_pictures(tmp_path, 2)
    write_clip(tmp_path / "alone" / "a.mp4", "pass")
    told = [problem for problem in read_data([tmp_path], None, SIZE).problems if problem.startswith("one scene")]
    assert [sentence.split(": ")[1] for sentence in told] == ["alone"]


def test_what_is_hidden_inside_is_left_out_and_where_the_folder_lies_does_not_matter(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / ".local" / "data", 1)
    write_picture(root / "dunk" / ".trash" / "a.png", "dunk", 5)
    assert len(find([root], READER).sources) == 3


def test_a_linked_folder_is_a_class_by_its_name_and_a_link_to_above_ends(tmp_path: Path) -> None:
    write_pictures(tmp_path / "elsewhere", 2)
    root = tmp_path / "data"
    root.mkdir()
    (root / "jump").symlink_to(tmp_path / "elsewhere" / "dunk")
    write_pictures(root / "others", 1)
    (root / "others" / "again").symlink_to(root)
    data = read_data([root], None, SIZE)
    assert (data.classes, len(data)) == (("dunk", "jump", "pass", "rest"), 5)


def test_a_folder_that_teaches_nothing_is_refused(tmp_path: Path) -> None:
    for nothing in ("nowhere", "video.mp4"):
        with pytest.raises(DataError, match="no such folder"):
            find([tmp_path / nothing], READER)
    with pytest.raises(DataError, match="no picture and no clip"):
        find([tmp_path], READER)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.png").write_bytes(b"")
    with pytest.raises(DataError, match="none of 1 files"):
        read(find([tmp_path], READER), READER, SIZE, frames=1)


def test_a_background_is_what_it_is_not(tmp_path: Path) -> None:
    write_pictures(tmp_path / "data", 1)
    write_picture(tmp_path / "beside" / "street" / "a.png", "rest", 9, boxed=True)
    data = read_data([tmp_path / "data"], tmp_path / "beside", SIZE)
    assert data.label.count(NONE) == 1
    assert "street" not in data.classes and not len(data.objects)
    inside = read_data([tmp_path / "data"], tmp_path / "data" / "rest", SIZE)
    assert inside.label == ("dunk", "pass", NONE)


def test_frames_of_one_scene_share_its_group(tmp_path: Path) -> None:
    for name in ("v_Dunk_g01_c01", "v_Dunk_g01_c02", "v_Dunk_g02_c01"):
        write_clip(tmp_path / "dunk" / f"{name}.mp4", "dunk")
    assert [source.group for source in find([tmp_path], READER).sources] == ["v_Dunk_g01", "v_Dunk_g01", "v_Dunk_g02"]


def test_what_the_folder_above_the_data_is_called_makes_no_scene(tmp_path: Path) -> None:
    root = write_pictures(tmp_path / "match_2024" / "clips", 2)
    assert len({source.group for source in find([root], READER).sources}) == 6
    takes = [write_pictures(tmp_path / "games" / name, 1) for name in ("take1", "take2")]
    assert {source.group for source in find(takes, READER).sources} == {"take1", "take2"}


def test_clips_are_read_the_same_twice(tmp_path: Path) -> None:
    for number in range(5):
        write_clip(tmp_path / "pass" / f"{number}.mp4", "pass")
        write_picture(tmp_path / "pass" / f"{number}.png", "pass", number)
    one, other = (read_data([tmp_path], None, SIZE) for _ in range(2))
    assert (one.pixels == other.pixels).all() and one.paths == other.paths


# The record


def full() -> Dataset:
    """Six pictures of which something of every kind is known."""
    data = dataset(2, boxed=True)
    extra = Objects(np.array([0, 4, 4]), np.array([[0, 0, 0.1, 0.1]] * 3, np.float32), ("rest", "dunk", "pass"))
    order = np.argsort(np.concatenate([data.objects.picture, extra.picture]), kind="stable")
    labels = (*data.objects.label, *extra.label)
    objects = Objects(
        np.concatenate([data.objects.picture, extra.picture])[order],
        np.concatenate([data.objects.xyxy, extra.xyxy])[order],
        tuple(labels[k] for k in order),
    )
    points = np.arange(12, dtype=np.float32).reshape(6, 2, 1).repeat(3, axis=2)
    ages = {"age": (*"ababa", "")}
    return replace(data, objects=objects, points=points, point_names=("head", "foot"), attributes=ages)


@given(st.lists(st.integers(0, 5), max_size=9))
def test_rows_keep_together_what_is_known_of_a_picture(index: list[int]) -> None:
    data = full()
    some = data.rows(np.array(index, np.int64))
    assert len(some) == len(index)
    for new, old in enumerate(index):
        assert some.label[new] == data.label[old] and some.attributes["age"][new] == data.attributes["age"][old]
        assert (some.points[new] == data.points[old]).all() and (some.pixels[new] == data.pixels[old]).all()
        mine, theirs = (d.objects.picture == k for d, k in ((some, new), (data, old)))
        assert np.array_equal(some.objects.xyxy[mine], data.objects.xyxy[theirs])
        assert [some.objects.label[k] for k in np.flatnonzero(mine)] == [
            data.objects.label[k] for k in np.flatnonzero(theirs)
        ]


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="6 pictures need as many entries"):
        replace(full(), label=("dunk",))
    with pytest.raises(ValueError, match="6 pictures need as many entries"):
        replace(full(), point_names=("head",))
    with pytest.raises(ValueError, match="in the order of the pictures"):
        Objects(np.array([1, 0]), np.zeros((2, 4), np.float32), ("a", "b"))


def test_other_names_and_left_out_classes() -> None:
    data = relabelled(full(), {"pass": "play", "rest": ""})
    assert data.label == ("dunk", "dunk", "play", "play")
    assert data.objects.label == ("dunk", "dunk", "play", "play")
    assert len(data.pixels) == 4


def test_a_picture_without_a_class_stays_when_classes_are_renamed() -> None:
    data = replace(full(), label=("", "dunk", "pass", "pass", "rest", "rest"))
    assert data.classes == ("dunk", "pass", "rest")
    assert relabelled(data, {"rest": ""}).label == ("", "dunk", "pass", "pass")


def test_many_problems_of_a_kind_are_told_by_the_first_and_their_number() -> None:
    data = replace(full(), problems=(*(f"unreadable: {k}.png: damaged" for k in range(9)), "empty class: x"))
    assert data.described()[-5:] == (
        "unreadable: 0.png: damaged",
        "unreadable: 1.png: damaged",
        "unreadable: 2.png: damaged",
        "unreadable: 6 more, 9 in all",
        "empty class: x",
    )


def test_a_person_is_told_of_classes_attributes_and_points() -> None:
    assert replace(full(), label=("", *full().label[1:])).described() == (
        "dunk: 1 files, 1 pictures, 1 boxes, 3 objects",
        "pass: 2 files, 2 pictures, 2 boxes, 3 objects",
        "rest: 2 files, 2 pictures, 2 boxes, 3 objects",
        "of no stated class: 1 files, 1 pictures, 1 boxes",
        "attribute age: a 3, b 2, unknown 1",
        "points head, foot: of 6 main subjects",
    )


def test_what_val_has_and_train_does_not_know_is_named() -> None:
    data = full()
    val = replace(relabelled(data, {"dunk": "jump"}), attributes={"age": ("a",) * 5 + ("z",), "mood": ("glad",) * 6})
    assert unknown_to(data, val) == (
        "unknown class: jump (class), 2 in val, is never trained on",
        "unknown class: jump (object), 3 in val, is never trained on",
        "unknown class: z (age), 1 in val, is never trained on",
        "unknown class: glad (mood), 6 in val, is never trained on",
    )
    assert unknown_to(data, data) == ()
