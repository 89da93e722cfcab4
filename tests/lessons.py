"""Folders to learn from, made in a moment: each class is a colour that fills a square on noise, so all can be told.

The square is the main subject; where it lies is known, and is written beside the picture where boxes are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from models.data.dataset import Dataset, Objects
from tests.media import ffmpeg
from tests.networks import SIDE_PX

Edges = tuple[int, int, int, int]  # left, top, right, bottom in pixels; the picture is 0 to its width

COLOURS = {"dunk": (230, 40, 40), "pass": (40, 60, 230), "rest": (40, 220, 60)}


def picture(label: str, seed: int, side_px: int = SIDE_PX) -> tuple[npt.NDArray[np.uint8], tuple[int, int, int, int]]:
    """uint8 (side_px, side_px, 3) RGB and the square's x0, y0, x1, y1 in pixels."""
    rng = np.random.default_rng((seed, *map(ord, label)))
    pixels = rng.integers(60, 190, (side_px, side_px, 3), dtype=np.uint8)
    side = int(rng.integers(side_px // 3, 2 * side_px // 3))
    x, y = (int(v) for v in rng.integers(0, side_px - side, 2))
    pixels[y : y + side, x : x + side] = COLOURS[label]
    return pixels, (x, y, x + side, y + side)


def write_picture(path: Path, label: str, seed: int, *, boxed: bool = False) -> Path:
    """A PNG; with `boxed` a VOC file beside it, whose stated size is wrong, as it often is."""
    pixels, edges_px = picture(label, seed)
    write(path, pixels)
    if boxed:
        path.with_suffix(".xml").write_text(voc((label, edges_px), stated_px=(7, 9)))
    return path


def write(path: Path, pixels: npt.NDArray[np.uint8]) -> Path:
    """RGB pixels as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels[..., ::-1])
    return path


def voc(*objects: tuple[str, Edges], first: int = 1, stated_px: tuple[int, int] = (0, 0)) -> str:
    """The XML of a picture; edges are pixels from 0, and are written as counted from `first`."""
    size = f"<size><width>{stated_px[0]}</width><height>{stated_px[1]}</height></size>"
    nodes = [
        f"<object><name>{label}</name><bndbox><xmin>{x0 + first}</xmin><ymin>{y0 + first}</ymin>"
        f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for label, (x0, y0, x1, y1) in objects
    ]
    return f"<annotation>{size}{''.join(nodes)}</annotation>"


def scene(seed: int, *labels: str) -> tuple[npt.NDArray[np.uint8], list[tuple[str, Edges]]]:
    """A picture of up to four squares of the classes' colours, each in its own quarter, and where they lie."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(60, 190, (SIDE_PX, SIDE_PX, 3), dtype=np.uint8)
    half, objects = SIDE_PX // 2, []
    for quarter, label in enumerate(labels):
        side = int(rng.integers(6, half - 4))
        x, y = (int(v) for v in rng.integers(0, half - side, 2) + half * np.array(divmod(quarter, 2)))
        pixels[y : y + side, x : x + side] = COLOURS[label]
        objects.append((label, (x, y, x + side, y + side)))
    return pixels, objects


def coco(pictures: Mapping[str, Sequence[tuple[str, Edges]]]) -> dict[str, Any]:
    """The content of a COCO file: by the name of a picture its objects, with edges as pixels from 0."""
    images = [{"id": number, "file_name": name} for number, name in enumerate(pictures)]
    numbered = [(number, *found) for number, name in enumerate(pictures) for found in pictures[name]]
    return {
        "images": images,
        "categories": [{"id": 10 + number, "name": label} for number, label in enumerate(COLOURS)],
        "annotations": [
            {"image_id": number, "category_id": 10 + list(COLOURS).index(label), "bbox": [x0, y0, x1 - x0, y1 - y0]}
            for number, label, (x0, y0, x1, y1) in numbered
        ],
    }


def write_match(path: Path, *events: tuple[str, int, int], duration_s: int = 40) -> Path:
    """A long video, ten pictures a second: grey, and of a class's colour from second to second where it is shown."""
    boxes = "".join(
        f",drawbox=color=0x{bytes(COLOURS[label]).hex()}:t=fill:enable='gte(t,{start})*lt(t,{end})'"
        for label, start, end in events
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    graph = f"color=gray:size=64x64:rate=10:duration={duration_s}{boxes},format=yuv420p"
    return ffmpeg(f'-f lavfi -i "{graph}" -c:v libx264 -preset ultrafast -g 40', path)


def shown_in(picture: npt.NDArray[np.uint8]) -> str:
    """The class whose colour fills it, or `none`."""
    colours = {"none": (128, 128, 128), **COLOURS}
    return min(colours, key=lambda name: float(np.abs(picture.mean(axis=(0, 1)) - colours[name]).sum()))


def write_pictures(folder: Path, count: int, *, boxed: bool = False) -> Path:
    """`count` pictures of each class, a folder each."""
    for label in COLOURS:
        for seed in range(count):
            write_picture(folder / label / f"{label}{seed}.png", label, seed, boxed=boxed)
    return folder


def write_clip(path: Path, label: str) -> Path:
    """One second of the class's colour, moving."""
    red, green, blue = COLOURS[label]
    colour = f"0x{red:02x}{green:02x}{blue:02x}"
    path.parent.mkdir(parents=True, exist_ok=True)
    graph = f"color={colour}:size=64x64:rate=25:duration=1,noise=alls=20:allf=t"
    return ffmpeg(f"-f lavfi -i {graph} -c:v libx264 -preset ultrafast -pix_fmt yuv420p", path)


def dataset(count: int, *, boxed: bool = False, side_px: int = SIDE_PX) -> Dataset:
    """`count` pictures of each class in memory, each a file of its own."""
    made = [(label, *picture(label, seed, side_px)) for label in COLOURS for seed in range(count)]
    names = tuple(f"{label}{number}" for number, (label, _, _) in enumerate(made))
    labels = tuple(label for label, _, _ in made)
    box = np.array([corners for _, _, corners in made], np.float32) / side_px
    every = np.arange(len(made))
    return Dataset(
        pixels=np.stack([pixels for _, pixels, _ in made]),
        label=labels,
        box=box if boxed else np.full_like(box, np.nan),
        file=every,
        paths=tuple(map(Path, names)),
        digests=names,
        groups=names,
        objects=Objects(every, box, labels).rows(every if boxed else every[:0]),
        listed=np.full(len(made), boxed),
        attributes={},
        points=np.empty((len(made), 0, 3), np.float32),
        point_names=(),
        time_ns=np.zeros_like(every),
    )


def scenes(count: int) -> Dataset:
    """`count` pictures of two or three squares each, all of them listed; the class of a picture is its first's."""
    labels = list(COLOURS)
    made = [scene(seed, *(labels[(seed + k) % 3] for k in range(2 + seed % 2))) for seed in range(count)]
    objects = [
        (number, label, np.array(edges_px, np.float32) / SIDE_PX)
        for number, (_, found) in enumerate(made)
        for label, edges_px in found
    ]
    names = tuple(f"scene{number}" for number in range(count))
    every = np.arange(count)
    first = [next(k for k, (number, _, _) in enumerate(objects) if number == picture) for picture in every]
    return Dataset(
        pixels=np.stack([pixels for pixels, _ in made]),
        label=tuple(objects[k][1] for k in first),
        box=np.stack([objects[k][2] for k in first]),
        file=every,
        paths=tuple(map(Path, names)),
        digests=names,
        groups=names,
        objects=Objects(
            np.array([number for number, _, _ in objects]),
            np.stack([box for _, _, box in objects]),
            tuple(label for _, label, _ in objects),
        ),
        listed=np.full(count, fill_value=True),
        attributes={},
        points=np.empty((count, 0, 3), np.float32),
        point_names=(),
        time_ns=np.zeros_like(every),
    )


def relabelled(data: Dataset, names: Mapping[str, str]) -> Dataset:
    """The same pictures and objects under other class names; what is renamed to nothing is left out."""
    labels = tuple(names.get(label, label) for label in data.label)
    called = tuple(names.get(label, label) for label in data.objects.label)
    kept = np.flatnonzero([bool(name) for name in called])
    objects = Objects(data.objects.picture[kept], data.objects.xyxy[kept], tuple(called[k] for k in kept))
    rows = np.flatnonzero([bool(new) or not old for old, new in zip(data.label, labels, strict=True)])
    return replace(data, label=labels, objects=objects).rows(rows)
