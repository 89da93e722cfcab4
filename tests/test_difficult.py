"""Awkward real files, where they are at hand: each is read as a full decode reads it, or refused with a sentence.

The folder is `../shared/data`, or what MATCHCUT_DATA names; without it these tests are skipped. Its NOTES.tsv says what
a plain PyAV loop made of each file.
"""

from __future__ import annotations

import csv
import os
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from pipeline.decode import decode
from pipeline.errors import VideoError
from pipeline.probe import probe
from pipeline.sample import sample_times
from tests.naive import full_decode

ROOT = Path(__file__).parents[1]
FOLDER = Path(os.environ.get("MATCHCUT_DATA", ROOT / "../shared/data")) / "videos" / "difficult"
SIZE_PX = (36, 64)

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no real data: {FOLDER} is absent")


def names() -> list[str]:
    ignored = ("NOTES.tsv", "SOURCE.txt")
    return sorted(str(p.relative_to(FOLDER)) for p in FOLDER.rglob("*") if p.is_file() and p.name not in ignored)


@cache
def notes() -> dict[str, dict[str, str]]:
    with (FOLDER / "NOTES.tsv").open(encoding="utf-8", newline="") as file:
        return {row["file"]: row for row in csv.DictReader(file, delimiter="\t")}


def may_be_refused(name: str) -> bool:
    """Nothing came out of a plain loop, or garbage (encrypted), or pictures without times (raw streams)."""
    row = notes()[name]
    frames = int(row["pyav_frames"] or 0)
    return frames <= 0 or "encrypted" in row["note"].lower() or "no-pts" in row["flags"]


@pytest.mark.parametrize("name", names())
def test_a_difficult_file_is_read_whole_or_refused_with_a_sentence(name: str) -> None:
    path = FOLDER / name
    try:
        video = probe(path)
        times_ns = sample_times(video.span, 10)
        chunk_ns = -(-video.span.duration_ns // 3)
        pieces = list(decode(video, times_ns, *SIZE_PX, threads=2, chunk_ns=chunk_ns))
    except VideoError as error:
        assert may_be_refused(name), f"refused: {error}"
        assert path.name in str(error)
        assert len(str(error)) > len(path.name) + 20
        return
    full = full_decode(path, video.stream_index, *SIZE_PX)
    if full.errors or full.corrupt:
        assert sum(piece.facts.corrupt for piece in pieces) > 0
        return
    shown = full.on_display(times_ns.tolist())
    assert [int(t) for piece in pieces for t in piece.batch.pts_ns] == [full.time_ns(index) for index in shown]
    assert np.array_equal(np.concatenate([piece.batch.pixels for piece in pieces]), full.pixels[shown])
