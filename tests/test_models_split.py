"""Who may be judged: what belongs together is never parted, and every label keeps something to learn from."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.split import Shares, clusters, clusters_of, dhash, folded, group_in_name, leaks, parted
from tests.lessons import dataset


def _scenes(count: int, copies: int) -> npt.NDArray[np.uint8]:
    """`count` scenes of coarse random blocks, each `copies` times with a little noise: near-duplicates."""
    rng = np.random.default_rng(7)
    blocks = rng.integers(0, 256, (count, 1, 6, 6, 1), dtype=np.int16)
    scenes = blocks.repeat(copies, axis=1).repeat(12, axis=2).repeat(12, axis=3).repeat(3, axis=4)
    noisy = scenes + rng.integers(-3, 4, scenes.shape, dtype=np.int16)
    return noisy.clip(0, 255).astype(np.uint8).reshape(-1, 72, 72, 3)


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("Dunk/v_Dunk_g07_c02.avi", "v_Dunk_g07"),
        ("Dunk/v_Dunk_g07_c11.avi", "v_Dunk_g07"),
        ("gymnast/Trial_2/videos/cam01.mp4", "Trial_2"),
        ("gymnast/take1-cam3.mp4", "take1"),
        ("tennis/long_rally.mp4", None),
        ("tennis/dog07.mp4", None),
    ],
)
def test_a_scene_is_read_from_names(name: str, group: str | None) -> None:
    assert group_in_name(Path(name)) == group


def test_near_duplicates_share_a_cluster_and_other_scenes_do_not() -> None:
    cluster = clusters(dhash(_scenes(8, 3)), [], range(24))
    by_scene = cluster.reshape(8, 3)
    assert (by_scene == by_scene[:, :1]).all()
    assert len(set(by_scene[:, 0])) == 8


def test_flat_pictures_are_no_duplicates_of_each_other() -> None:
    flat = np.stack([np.full((32, 32, 3), level, np.uint8) for level in (0, 0, 128)])
    assert len(set(clusters(dhash(flat), [], range(3)))) == 3


def test_equal_content_is_never_parted_even_where_it_is_flat() -> None:
    data = dataset(4)
    flat = replace(data, pixels=np.full_like(data.pixels, 9), digests=("same", "same", *data.digests[2:]))
    cluster = clusters_of(flat)
    assert cluster[0] == cluster[1] and len(set(cluster)) == len(data) - 1


def test_groups_and_near_duplicates_join_through_each_other() -> None:
    hashes = np.array([0b1111, 0xFFFF_FFFF_0000, 0b0111], np.uint64)
    assert len(set(clusters(hashes, [["a", "a", "b"]], range(3)))) == 1


def test_blocks_of_one_video_stay_apart_though_its_camera_stands_still() -> None:
    hashes = dhash(_scenes(1, 4))
    assert (
        len(set(clusters(hashes, [["a1", "a1", "a2", "b"]], ["a", "a", "a", "b"]))) == 1
    )  # the other video joins them
    assert len(set(clusters(hashes[:3], [["a1", "a1", "a2"]], ["a", "a", "a"]))) == 2


@given(
    groups=st.lists(st.integers(0, 12), min_size=1, max_size=60),
    shares=st.builds(Shares, val=st.floats(0, 0.4), heldout=st.floats(0, 0.4)),
    seed=st.integers(0, 99),
)
def test_no_cluster_is_ever_parted_and_every_picture_has_one_place(
    groups: list[int], shares: Shares, seed: int
) -> None:
    cluster = clusters(np.zeros(len(groups), np.uint64), [groups], range(len(groups)))
    labels = [group % 3 for group in groups]
    part = parted(cluster, labels, shares, seed)
    assert sorted(np.concatenate(list(part.values()))) == list(range(len(groups)))
    homes = [set(cluster[rows]) for rows in part.values()]
    assert sum(len(home) for home in homes) == len(set(cluster))
    trained = {labels[k] for k in part["train"]}
    assert trained == set(labels)


def test_the_same_seed_gives_the_same_split_and_another_one_another() -> None:
    cluster = np.arange(60)
    first, again, other = (parted(cluster, ["x"] * 60, Shares(), seed)["val"] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_label_of_one_scene_is_trained_on_and_not_judged() -> None:
    part = parted(np.array([0, 0, 0, 3, 4, 5, 6, 7]), ["a"] * 3 + ["b"] * 5, Shares(val=0.2), 0)
    assert set(part["train"]) >= {0, 1, 2}
    assert len(part["val"]) == 1


def test_a_cluster_of_several_labels_is_dealt_as_one_of_the_rarest() -> None:
    cluster = np.repeat(np.arange(10), 3)
    label = ["none", "none", "goal"] * 5 + ["none"] * 15
    val = parted(cluster, label, Shares(val=0.2), 0)["val"]
    assert [label[k] for k in val].count("goal") == 1


def test_a_label_of_one_scene_is_taught_in_every_fold_and_not_judged() -> None:
    fold = folded(np.array([0, 0, 1, 2, 3, 4]), ["rest", "rest", "a", "a", "b", "b"], 2, 0)
    assert list(fold[:2]) == [-1, -1]
    assert sorted(fold[2:4]) == sorted(fold[4:]) == [0, 1]


# Files of train that val shows too


def test_files_that_val_shows_too_are_named_and_left_out() -> None:
    data = dataset(3)
    noise = np.random.default_rng(3).integers(-2, 3, data.pixels[:1].shape)
    nearly = np.clip(data.pixels[:1].astype(int) + noise, 0, 255).astype(np.uint8)
    val = replace(
        data.rows(np.array([0, 5])),
        pixels=np.concatenate([nearly, np.zeros_like(nearly)]),
        file=np.array([0, 1]),
        paths=(Path("val/near.png"), Path("val/equal.png")),
        digests=("another", data.digests[5]),
        groups=("x", "y"),
    )
    found = leaks(data, val)
    assert found.files == {0, 5}
    assert found.problems == (
        "leak: dunk0 looks like near.png of val; left out of training",
        "leak: pass5 is equal to equal.png of val; left out of training",
    )
    assert leaks(data.rows(np.array([1, 5])), val.rows(np.array([0]))).files == frozenset()


def test_flat_pictures_and_other_scenes_are_no_leaks() -> None:
    data = dataset(4)
    one, other = data.rows(np.arange(0, 12, 2)), data.rows(np.arange(1, 12, 2))
    other = replace(other, digests=tuple(f"{digest} of val" for digest in other.digests))
    assert leaks(one, other).files == frozenset()
    flat = replace(one, pixels=np.zeros_like(one.pixels))
    assert leaks(flat, replace(other, pixels=flat.pixels)).files == frozenset()


def test_a_copy_in_another_light_is_a_leak_and_another_thing_of_that_shape_is_none() -> None:
    disk = np.full((64, 64, 3), 250, np.uint8)
    disk[16:48, 20:50] = (250, 160, 20)
    pixels = np.stack([disk, (disk * 0.8).astype(np.uint8), np.where(disk == 250, 250, (60, 20, 160)).astype(np.uint8)])
    assert len(set(clusters(dhash(pixels), [], "abc"))) == 1
    data = replace(dataset(1), pixels=pixels)
    val = replace(data.rows(np.array([0])), digests=("x", "y", "z"))
    assert leaks(data.rows(np.array([1, 2])), val).files == {1}


def test_any_block_of_a_video_that_val_shows_is_a_leak() -> None:
    data = dataset(1)
    data = replace(data, digests=("v@0-1", "v@2-3", "w"))
    val = replace(data, pixels=np.zeros_like(data.pixels), digests=("v@9-10", "x", "y"))
    assert leaks(data, val).files == {0, 1}


@given(st.lists(st.tuples(st.integers(0, 11), st.sampled_from("abc")), min_size=1, max_size=60), st.integers(2, 5))
def test_folds_part_no_scene_and_spread_every_label(pictures: list[tuple[int, str]], folds: int) -> None:
    cluster = np.array([scene for scene, _ in pictures])
    kind = dict(pictures)
    label = [kind[scene] for scene in cluster]
    fold = folded(cluster, label, folds, seed=1)
    assert all(len(set(fold[cluster == scene])) == 1 for scene in set(cluster.tolist()))
    for name in set(label):
        scenes = [scene for scene, own in kind.items() if own == name]
        places = [int(fold[cluster == scene][0]) for scene in scenes]
        sizes = [places.count(number) for number in range(folds)]
        assert places == [-1] if len(scenes) == 1 else max(sizes) - min(sizes) <= 1
    assert np.array_equal(fold, folded(cluster, label, folds, seed=1))
