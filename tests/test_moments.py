"""From file to moments: what is found in composed programmes stands where they were made to be exciting."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import median

import pytest

from benchmarks.picture import Look
from benchmarks.programme import Recipe, Truth, compose
from models.predictor import open_predictor
from pipeline.config import Config, load_config
from pipeline.probe import probe
from pipeline.results import find_moments
from pipeline.run import analyze
from pipeline.store import save_predictions
from pipeline.timeline import NS_PER_S, Span
from tests.fakes import FakeModel
from tests.media import ffmpeg

SCENES = ("testsrc2=size=160x90", "mandelbrot=size=160x90", "life=size=160x90:ratio=0.3:seed=3:mold=10")


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Pictures that move, each in its own way, for 8 s."""
    folder = tmp_path_factory.mktemp("scenes")
    return [
        ffmpeg(f"-f lavfi -i {scene}:rate=25 -t 8 -c:v libx264 -preset ultrafast -pix_fmt yuv420p", folder / f"{n}.mp4")
        for n, scene in enumerate(SCENES)
    ]


def found_in(clips: list[Path], folder: Path, rises: str) -> tuple[Truth, list[Span]]:
    """A minute and a half with a crowd that roars there, and the moments of a network without events."""
    look = Look(width_px=160, height_px=90, preset="ultrafast")
    truth = compose(Recipe(seconds=90, rises=rises, look=look), clips, clips, folder)
    predictions = analyze(probe(folder / truth.file), FakeModel(events=()), Config())
    moments = find_moments(predictions, Config(), calibrated=False)
    return truth, [segment.event for segment in moments.segments]


@pytest.mark.parametrize("rises", ["events", "background"])
def test_every_roar_of_a_composed_programme_is_a_moment_with_its_edges_in_place(
    clips: list[Path], tmp_path: Path, rises: str
) -> None:
    truth, found = found_in(clips, tmp_path, rises)
    assert len(truth.rises) >= 4
    assert len(found) == len(truth.rises)
    late_s = [
        ((event.start_ns - rise.start_ns) / NS_PER_S, (event.end_ns - rise.end_ns) / NS_PER_S)
        for event, rise in zip(found, truth.rises, strict=True)
    ]
    ins, outs = zip(*late_s, strict=True)
    assert max(map(abs, ins + outs)) <= 0.75
    assert abs(median(ins)) <= 0.3 and abs(median(outs)) <= 0.3  # neither early nor late as a rule


def test_a_crowd_that_never_rises_makes_no_moment(clips: list[Path], tmp_path: Path) -> None:
    truth, found = found_in(clips, tmp_path, "none")
    assert truth.rises == () and found == []


@pytest.mark.parametrize("name", ["long.mp4", "h264_open_gop.ts", "vfr_irregular.mkv", "xvid.avi"])
def test_no_bit_of_the_predictions_depends_on_how_many_chunks_decode_at_once(
    make: Callable[[str], Path], tmp_path: Path, name: str
) -> None:
    """With the network that is shipped: pictures arrive in other batches, and at other times."""
    model, files = open_predictor("default", "cpu"), []
    for threads in (1, 2, 3):
        config = load_config(None, {"decode": {"threads": threads, "sample_hz": 10.0}})
        folder = tmp_path / str(threads)
        save_predictions(folder, analyze(probe(make(name)), model, config), "key")
        files.append((folder / "predictions.npz").read_bytes())
    assert files[0] == files[1] == files[2]
