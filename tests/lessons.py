"""Folders to learn from, made in a moment: each class is a colour that fills a square on noise, so all can be told.

The square is the main subject; where it lies is known, and is written beside the picture where boxes are asked for.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from models.data import Dataset
from tests.media import ffmpeg
from tests.networks import SIDE_PX

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
    pixels, (x0, y0, x1, y1) = picture(label, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels[..., ::-1])
    if boxed:
        corners = f"<xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
        size = "<size><width>7</width><height>9</height></size>"
        text = f"<annotation>{size}<object><name>{label}</name><bndbox>{corners}</bndbox></object></annotation>"
        path.with_suffix(".xml").write_text(text)
    return path


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
    box = np.array([corners for _, _, corners in made], np.float32) / side_px
    return Dataset(
        np.stack([pixels for _, pixels, _ in made]),
        tuple(label for label, _, _ in made),
        box if boxed else np.full_like(box, np.nan),
        np.arange(len(made)),
        tuple(map(Path, names)),
        names,
        names,
    )
