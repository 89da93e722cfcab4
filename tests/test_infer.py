"""A network sees one shape only, each picture once, and says the same however its pictures were parted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import MachineError
from pipeline.infer import Inferred, infer
from pipeline.records import FrameBatch
from tests.fakes import FakeModel, answer

HEIGHT_PX, WIDTH_PX = 6, 8
COUNT = 23
PIXELS = np.random.default_rng(3).integers(0, 256, (COUNT, HEIGHT_PX, WIDTH_PX, 3), np.uint8)
PTS_NS = np.arange(COUNT, dtype=np.int64) * 500_000_000


def parted(*sizes: int) -> list[FrameBatch]:
    """The first pictures in batches of these sizes."""
    ends = np.cumsum(sizes)
    return [FrameBatch(PIXELS[end - n : end], PTS_NS[end - n : end]) for end, n in zip(ends, sizes, strict=True)]


def bits(inferred: Inferred) -> list[tuple[str, tuple[int, ...], bytes]]:
    boxes, features = inferred.boxes, inferred.features
    arrays: list[npt.NDArray[np.generic] | None] = [inferred.scores.pts_ns, inferred.scores.probs, features]
    arrays += [boxes.frame, boxes.xyxy, boxes.score, boxes.label, inferred.points]
    return [(array.dtype.str, array.shape, array.tobytes()) for array in arrays if array is not None]


def in_order(pixels: npt.NDArray[np.uint8]) -> list[bytes]:
    return [picture.tobytes() for picture in pixels]


PARTS = st.lists(st.integers(0, 9), max_size=8).filter(lambda sizes: sum(sizes) <= COUNT)


@given(sizes=PARTS, batch=st.integers(1, 9))
def test_the_answer_is_that_for_each_picture_alone(sizes: list[int], batch: int) -> None:
    model, count = FakeModel(batch=batch, crowded=True, point_names=("a", "b")), sum(sizes)
    inferred = infer(parted(*sizes), model)
    expected = answer(PIXELS[:count], model) if count else None
    assert inferred.scores.pts_ns.tolist() == PTS_NS[:count].tolist()
    assert inferred.scores.labels.names == ("bright", "none", "flash")
    assert inferred.scores.probs.shape == (count, 3)
    if expected is not None and expected.boxes is not None and expected.features is not None:
        np.testing.assert_array_equal(inferred.scores.probs, expected.probs)
        np.testing.assert_array_equal(inferred.boxes.frame, expected.boxes.picture)
        np.testing.assert_array_equal(inferred.boxes.xyxy, expected.boxes.xyxy)
        np.testing.assert_array_equal(inferred.points, expected.points)
        np.testing.assert_array_equal(inferred.features, expected.features)


@given(one=PARTS, batch=st.integers(1, 9))
def test_no_bit_depends_on_how_the_pictures_arrive(one: list[int], batch: int) -> None:
    whole = infer(parted(sum(one)), FakeModel(batch=batch, crowded=True, point_names=("a", "b")))
    assert bits(infer(parted(*one), FakeModel(batch=batch, crowded=True, point_names=("a", "b")))) == bits(whole)


@given(sizes=PARTS, batch=st.integers(1, 9))
def test_the_network_sees_one_shape_and_each_picture_once_in_order(sizes: list[int], batch: int) -> None:
    model, count = FakeModel(batch=batch), sum(sizes)
    infer(parted(*sizes), model)
    assert set(model.shapes) <= {(batch, HEIGHT_PX, WIDTH_PX, 3)}
    assert len(model.shapes) == -(-count // batch)
    assert in_order(np.array(model.passed[:count])) == in_order(PIXELS[:count])
    assert not np.array(model.passed[count:]).any()  # what the last batch is padded with is black


def test_without_pictures_the_network_is_not_asked() -> None:
    model = FakeModel()
    for batches in ([], parted(0), parted(0, 0)):
        inferred = infer(batches, model)
        assert inferred.scores.probs.shape == (0, 3) and len(inferred.boxes) == 0
    assert model.shapes == []


@pytest.mark.parametrize("refuses_late", [False, True])
@given(sizes=PARTS, batch=st.integers(1, 9), room=st.integers(1, 9))
def test_a_device_that_is_too_small_gives_the_same_answer_in_smaller_parts(
    refuses_late: bool, sizes: list[int], batch: int, room: int
) -> None:
    small = FakeModel(batch=batch, room=room, refuses_late=refuses_late, crowded=True, point_names=("a", "b"))
    large = FakeModel(batch=batch, crowded=True, point_names=("a", "b"))
    assert bits(infer(parted(*sizes), small)) == bits(infer(parted(*sizes), large))
    real = set(in_order(PIXELS[: sum(sizes)]))
    through = [picture for picture in in_order(np.array(small.passed)) if picture in real]
    assert through == in_order(PIXELS[: sum(sizes)])  # each once, though some were refused before


def test_once_refused_a_size_is_not_tried_again_and_every_part_has_one_shape() -> None:
    model = FakeModel(batch=8, room=2)
    infer(parted(19), model)
    tried = [shape[0] for shape in model.shapes]
    # The second batch was tried before the first was known to be refused; of the last, three pictures are real.
    assert tried == [8, 8, 4, *[2] * 4, *[2] * 4, *[2] * 2]


def test_a_device_without_room_for_one_picture_is_named_with_the_repair() -> None:
    with pytest.raises(MachineError, match=r"no room for one picture.*--device cpu"):
        infer(parted(3), FakeModel(batch=4, room=0))


def test_one_batch_is_under_way_while_the_next_is_filled() -> None:
    model = FakeModel(batch=4)

    def watched() -> Iterator[FrameBatch]:
        for number, batch in enumerate(parted(4, 4, 4), 1):
            model.log.append(f"picture {number}")
            yield batch

    infer(watched(), model)
    ahead = ["picture 1", "submit 1", "picture 2", "submit 2", "result 1", "picture 3", "submit 3", "result 2"]
    assert model.log == [*ahead, "result 3"]


def test_a_network_without_a_localizer_gives_no_boxes() -> None:
    inferred = infer(parted(5), FakeModel(localizes=False))
    assert len(inferred.boxes) == 0 and len(inferred.scores.pts_ns) == 5


def test_a_box_belongs_to_its_picture_and_bears_its_best_label() -> None:
    inferred = infer(parted(5, 5), FakeModel())
    probs, boxes = inferred.scores.probs, inferred.boxes
    assert boxes.frame.tolist() == list(range(10))
    assert boxes.label.tolist() == probs.argmax(axis=1).tolist()
    np.testing.assert_array_equal(boxes.score, probs.max(axis=1))


def test_a_network_with_other_labels_says_them() -> None:
    model = replace(FakeModel(), tags=("bright", "none"), events=())
    assert infer(parted(2), model).scores.labels.names == ("bright", "none")
