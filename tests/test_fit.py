"""Pixels for a model: right colours, the whole picture, upright; from video frames and from photographs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from pipeline.errors import UnreadableVideo
from pipeline.media import fit, read_picture
from tests.media import ffmpeg

BT709, BT601, UNSTATED = 1, 6, 2
LIMITED, FULL = 1, 2
KR_KB = {BT709: (0.2126, 0.0722), BT601: (0.299, 0.114)}  # ITU-R BT.709, BT.601: luma weights of red and blue
COLOURS = [(255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (128, 128, 128), (200, 60, 30)]


def encoded(rgb: tuple[int, int, int], matrix: int, levels: int) -> list[int]:
    """Y, Cb, Cr of a colour, by the definition of the standard."""
    kr, kb = KR_KB[matrix]
    red, green, blue = (value / 255 for value in rgb)
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    cb, cr = (blue - luma) / (2 * (1 - kb)), (red - luma) / (2 * (1 - kr))
    if levels == FULL:
        return [round(255 * luma), round(128 + 255 * cb), round(128 + 255 * cr)]
    return [round(16 + 219 * luma), round(128 + 224 * cb), round(128 + 224 * cr)]


def plain(ycc: list[int], height_px: int, width_px: int, matrix: int, levels: int) -> av.VideoFrame:
    planes = np.stack([np.full((height_px, width_px), min(value, 255), np.uint8) for value in ycc])
    frame = av.VideoFrame.from_ndarray(planes, format="yuv444p")
    frame.colorspace, frame.color_range = matrix, levels
    return frame


@pytest.mark.parametrize("levels", [LIMITED, FULL])
@pytest.mark.parametrize("matrix", [BT601, BT709])
@pytest.mark.parametrize("rgb", COLOURS)
def test_a_colour_comes_out_as_the_file_states_it(rgb: tuple[int, int, int], matrix: int, levels: int) -> None:
    frame = plain(encoded(rgb, matrix, levels), 64, 96, matrix, levels)
    found = fit(frame, 32, 48, VideoReformatter())
    assert np.abs(found.astype(int) - rgb).max() <= 3


@pytest.mark.parametrize(("height_px", "assumed"), [(480, BT601), (576, BT601), (720, BT709), (1080, BT709)])
def test_an_unstated_matrix_is_the_one_that_players_assume(height_px: int, assumed: int) -> None:
    rgb = (200, 60, 30)
    frame = plain(encoded(rgb, assumed, LIMITED), height_px, 640, UNSTATED, LIMITED)
    assert np.abs(fit(frame, 32, 32, VideoReformatter()).astype(int) - rgb).max() <= 3


def test_nothing_at_the_edges_is_lost() -> None:
    picture = np.zeros((90, 160, 3), np.uint8)
    picture[:, :20], picture[:, -20:] = (255, 0, 0), (0, 0, 255)
    picture[:15, 60:100], picture[-15:, 60:100] = (0, 255, 0), (255, 255, 255)
    found = fit(av.VideoFrame.from_ndarray(picture, format="rgb24"), 64, 64, VideoReformatter()).astype(int)
    middle = 32
    corners = [found[middle, 1], found[middle, -2], found[1, middle], found[-2, middle]]
    expected = [(255, 0, 0), (0, 0, 255), (0, 255, 0), (255, 255, 255)]
    assert np.abs(np.array(corners) - expected).max() <= 12


def test_one_scaler_serves_sizes_in_turn() -> None:
    frame = plain(encoded((200, 60, 30), BT709, LIMITED), 64, 96, BT709, LIMITED)
    scaler = VideoReformatter()
    sizes = [(32, 48), (24, 24), (64, 96), (32, 48)]
    for height_px, width_px in sizes:
        found = fit(frame, height_px, width_px, scaler)
        assert found.shape == (height_px, width_px, 3)
        assert np.array_equal(found, fit(frame, height_px, width_px, VideoReformatter()))


# Photographs.


def two_halves(path: Path, options: str = "") -> Path:
    """Red on the left, blue on the right."""
    return ffmpeg(
        "-f lavfi -i color=red:size=40x60 -f lavfi -i color=blue:size=40x60 -filter_complex hstack "
        f"-frames:v 1 {options}",
        path,
    )


def turned(jpeg: Path, orientation: int) -> Path:
    """The same photograph with an EXIF orientation (TIFF 6.0 tag 0x0112) in front."""
    tiff = b"MM\0*\0\0\0\x08" + b"\0\x01" + b"\x01\x12\0\x03\0\0\0\x01" + bytes([0, orientation, 0, 0]) + b"\0\0\0\0"
    exif = b"Exif\0\0" + tiff
    data = jpeg.read_bytes()
    jpeg.write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    return jpeg


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.webp", "a.bmp", "%03d.png", "-x.jpg", "concat:a|b.png"])
def test_a_photograph_is_read_under_any_name(tmp_path: Path, name: str) -> None:
    shutil.move(two_halves(tmp_path / f"made{Path(name).suffix}"), tmp_path / name)
    found = read_picture(tmp_path / name, 24, 32).pixels.astype(int)
    assert np.abs(found[12, 4] - (255, 0, 0)).max() <= 12
    assert np.abs(found[12, 27] - (0, 0, 255)).max() <= 12


@pytest.mark.parametrize(("orientation", "red_at"), [(1, (12, 2)), (3, (12, 21)), (6, (2, 12)), (8, (21, 12))])
def test_a_photograph_is_turned_as_its_camera_says(tmp_path: Path, orientation: int, red_at: tuple[int, int]) -> None:
    """6: the camera was turned left, the picture is shown turned right, so its left edge is on top."""
    picture = turned(two_halves(tmp_path / "a.jpg"), orientation)
    found = read_picture(picture, 24, 24)
    assert np.abs(found.pixels[red_at].astype(int) - (255, 0, 0)).max() <= 12
    assert found.shape_px == ((80, 60) if orientation in (6, 8) else (60, 80))


def test_what_is_no_photograph_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("dear diary")
    (tmp_path / "empty.jpg").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    for name in ("text.jpg", "empty.jpg", "pipe.jpg"):
        with pytest.raises(UnreadableVideo, match=name):
            read_picture(tmp_path / name, 8, 8)
