"""Real data sets, where they are at hand: every object is found, and lies where the picture shows it.

The folder is `../shared/data`, or what MATCHCUT_DATA names; without it these tests are skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.data.find import find
from pipeline.commands.learning import READER, read_data

ROOT = Path(__file__).parents[1]
FOLDER = Path(os.environ.get("MATCHCUT_DATA", ROOT / "../shared/data"))

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real data: {FOLDER} is absent")


def test_raccoons_are_found_in_a_folder_beside_their_annotations() -> None:
    data = read_data([FOLDER / "boxes" / "raccoon"], None, (64, 64))
    assert data.classes == ("raccoon",)
    assert (len(data), len(data.objects)) == (150, 163)
    assert data.listed.all() and np.isfinite(data.box).all()


def test_fruit_lies_in_its_boxes_though_sizes_are_stated_wrongly() -> None:
    """Fruit is more colourful than what is around it: in 112 of the 120 pictures."""
    data = read_data([FOLDER / "boxes" / "fruit" / "train"], None, (64, 64))
    assert (len(data), len(data.objects)) == (120, 249)
    right = 0
    for number, picture in enumerate(data.pixels):
        inside = np.zeros((64, 64), bool)
        for x0, y0, x1, y1 in np.rint(data.objects.xyxy[data.objects.picture == number] * 64).astype(int):
            inside[y0:y1, x0:x1] = True
        colour = cv2.cvtColor(picture, cv2.COLOR_RGB2HSV)[..., 1]
        right += inside.all() or colour[inside].mean() > colour[~inside].mean()
    assert right >= 108


def test_clips_are_grouped_by_what_their_names_say() -> None:
    found = find([FOLDER / "clips" / "ucf101"], READER)
    assert len(found.sources) == 116
    assert all(source.group == source.path.stem[:-4] for source in found.sources)
