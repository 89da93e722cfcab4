"""Who may be judged: files are parted by scene, never by frame, and what looks alike stays together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models.data.dataset import BLOCK, Dataset

Pixels = npt.NDArray[np.uint8]
Hashes = npt.NDArray[np.uint64]
Ints = npt.NDArray[np.int64]

NEAR_BITS = 6  # of 64: as many may differ between two pictures of the same thing
_FLAT = 6.0  # below this spread of grey a picture shows nothing that could be compared
_ALIKE = 0.9  # least correlation of 9 x 8 cells' colours: re-encoded and relit copies have 0.96 and more
_GROUP = re.compile(r"(?:^|[_\-. ])g\d{1,3}(?=[_\-. ]|$)", re.IGNORECASE)  # UCF's v_Dunk_g07_c02
_TAKE = re.compile(r"^(?:take|trial|session|scene|match|game)[_\-. ]?\d+", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """How much of each label is kept from training: `val` to choose by, `heldout` to judge by."""

    val: float = 0.2
    heldout: float = 0.0


def group_in_name(path: Path) -> str | None:
    """The scene that a file's name or folder states: `v_Dunk_g07` of v_Dunk_g07_c02.avi, `Trial_2` of a folder."""
    found = _GROUP.search(path.stem)
    if found:
        return path.stem[: found.end()]
    for part in (path.stem, *reversed(path.parent.parts)):
        take = _TAKE.match(part)
        if take:
            return take.group()
    return None


def dhash(pixels: Pixels) -> Hashes:
    """64 bits a picture, (N,): is each of 9 x 8 grey cells darker than its right neighbour? Flat pictures give 0."""
    hashes = np.zeros(len(pixels), np.uint64)
    for k, picture in enumerate(pixels):
        grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        cells = cv2.resize(grey, (9, 8), interpolation=cv2.INTER_AREA).astype(np.int16)
        if cells.std() >= _FLAT:
            hashes[k] = np.packbits(cells[:, 1:] > cells[:, :-1]).view(np.uint64)[0]
    return hashes


def clusters_of(data: Dataset) -> npt.NDArray[np.int64]:
    """The cluster of each picture: its scene, its file, and what is or looks the same."""
    content = [data.digests[file] for file in data.file]
    return clusters(dhash(data.pixels), [data.group, content], data.path)


def clusters(
    hashes: Hashes, groupings: Sequence[Sequence[Hashable]], files: Sequence[Hashable]
) -> npt.NDArray[np.int64]:
    """A cluster number for each picture, (N,): pictures of one group, or near-duplicates, share it, and so on.

    Each of `groupings` (N,) says what belongs together already (the frames of a clip). A hash of 0 compares with
    nothing, and pictures of one of `files` (N,) not with each other: its blocks of time are parted though its camera
    stands still.
    """
    number: dict[Hashable, int] = {}
    whole = np.array([number.setdefault(file, len(number)) for file in files])
    parent = np.arange(len(hashes))

    def root(k: int) -> int:
        while parent[k] != k:
            parent[k] = parent[parent[k]]
            k = int(parent[k])
        return k

    for groups in groupings:
        first: dict[Hashable, int] = {}
        for k, group in enumerate(groups):
            parent[root(k)] = root(first.setdefault(group, k))
    for k in np.flatnonzero(hashes).tolist():
        apart = np.bitwise_count(hashes[:k] ^ hashes[k])
        others = (hashes[:k] != 0) & (whole[:k] != whole[k])
        for near in np.flatnonzero((apart <= NEAR_BITS) & others).tolist():
            parent[root(k)] = root(near)
    return np.array([root(k) for k in range(len(hashes))], dtype=np.int64)


def parted(cluster: npt.NDArray[np.int64], label: Sequence[Hashable], shares: Shares, seed: int) -> Mapping[str, Ints]:
    """Numbers of the pictures in train, val and heldout. No cluster is parted; of each label the shares are kept.

    A cluster of several labels stands for the rarest of them. A label with a single cluster is trained on and cannot be
    judged: at least one cluster always stays in train.
    """
    place = np.full(int(cluster.max(initial=-1)) + 1, "train", dtype="<U8")
    kind_of = _kinds(cluster, label)
    rng = np.random.default_rng(seed)
    for kind in sorted(set(kind_of.values()), key=str):
        mine = rng.permutation(sorted(c for c, k in kind_of.items() if k == kind))
        val, heldout = (_count(len(mine), share) for share in (shares.val, shares.heldout))
        if val + heldout < len(mine):
            place[mine[:val]], place[mine[val : val + heldout]] = "val", "heldout"
        elif val < len(mine):
            place[mine[:val]] = "val"
    return {name: np.flatnonzero(place[cluster] == name) for name in ("train", "val", "heldout")}


def folded(cluster: npt.NDArray[np.int64], label: Sequence[Hashable], folds: int, seed: int) -> Ints:
    """The fold of each picture, (N,), from 0: no cluster is parted, and each label's are spread over all folds.

    A cluster of several labels stands for the rarest of them. A label with a single cluster is taught and cannot be
    judged: its fold is -1.
    """
    kind_of = _kinds(cluster, label)
    place = np.full(int(cluster.max(initial=-1)) + 1, -1, np.int64)
    rng, last = np.random.default_rng(seed), 0
    for kind in sorted(set(kind_of.values()), key=str):
        mine = rng.permutation(sorted(c for c, k in kind_of.items() if k == kind))
        if len(mine) > 1:
            place[mine] = (last + np.arange(len(mine))) % folds
            last += len(mine)  # go on where the label before ended: folds are of one size
    return place[cluster]


def _kinds(cluster: npt.NDArray[np.int64], label: Sequence[Hashable]) -> dict[int, Hashable]:
    """The label that each cluster stands for."""
    count = Counter(label)
    return {int(cluster[k]): label[k] for k in sorted(range(len(label)), key=lambda k: (-count[label[k]], -k))}


def _count(clusters: int, share: float) -> int:
    return max(1, round(clusters * share)) if share > 0 else 0


@dataclass(frozen=True, slots=True)
class Leaks:
    """Files to be left out of training, by number, and a sentence for each."""

    files: frozenset[int]
    problems: tuple[str, ...]


def leaks(train: Dataset, val: Dataset) -> Leaks:
    """Files of `train` that show what `val` shows: equal content, or a picture that is nearly one of its pictures."""
    said = dict(_equal(train, val))
    there = dhash(val.pixels)
    comparable = np.flatnonzero(there)
    for k, found in enumerate(dhash(train.pixels)):
        if found and int(train.file[k]) not in said:
            near = comparable[np.bitwise_count(there[comparable] ^ found) <= NEAR_BITS]
            alike = next((j for j in near if _colours_agree(train.pixels[k], val.pixels[j])), None)
            said |= {} if alike is None else {int(train.file[k]): f"looks like {val.path[alike].name}"}
    return Leaks(
        frozenset(said),
        tuple(f"leak: {train.paths[k].name} {said[k]} of val; left out of training" for k in sorted(said)),
    )


def _colours_agree(one: Pixels, other: Pixels) -> bool:
    """The hash alone takes any two things on white for each other. Brightness and contrast do not matter."""
    coarse = [cv2.resize(picture, (9, 8), interpolation=cv2.INTER_AREA).ravel() for picture in (one, other)]
    return bool(np.asarray(np.corrcoef(coarse))[0, 1] >= _ALIKE)


def _equal(train: Dataset, val: Dataset) -> Iterator[tuple[int, str]]:
    """Files of equal content; any two blocks of one video count as that."""
    known = {val.digests[k].partition(BLOCK)[0]: val.paths[k].name for k in np.unique(val.file)}
    for number in np.unique(train.file).tolist():
        content = train.digests[number].partition(BLOCK)[0]
        if content in known:
            yield number, f"is equal to {known[content]}"
