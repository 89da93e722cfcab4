"""The wheel runs outside the checkout, and nothing in the working directory stands in for what is in it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.lessons import write_picture

ROOT = Path(__file__).parents[1]
PACKED = ("pipeline", "models", "flows", "pyproject.toml", "README.md", "LICENSE")
BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a wheel built from a copy of the sources would install."""
    base = tmp_path_factory.mktemp("wheel")
    (base / "source").mkdir()
    for name in PACKED:
        if (ROOT / name).is_dir():  # without what other processes are compiling there
            shutil.copytree(ROOT / name, base / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, base / "source" / name)
    subprocess.run(
        [sys.executable, "-c", BUILD, str(base)], cwd=base / "source", capture_output=True, text=True, check=True
    )
    (wheel,) = base.glob("matchcut-*.whl")
    zipfile.ZipFile(wheel).extractall(base / "site")
    return base / "site"


@pytest.fixture
def decoys(tmp_path: Path) -> Path:
    """A working directory with packages of the same names, which end whoever imports them."""
    for name in ("pipeline", "models", "flows"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise SystemExit('the decoy was imported')")
    return tmp_path


def test_a_command_from_the_wheel_runs_beside_decoys(site: Path, decoys: Path) -> None:
    write_picture(decoys / "a.png", "dunk", 0)
    code = (
        "import sys, pipeline, models; print(pipeline.__file__, models.__file__); from pipeline.cli import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code, "predict", "a.png", "--jsonl"],
        cwd=decoys,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
        check=True,
    )
    where, answer = ended.stdout.splitlines()
    assert all(Path(file).is_relative_to(site) for file in where.split())
    assert len(json.loads(answer)["labels"]) == 23


def test_the_wheel_holds_pages_weights_and_the_marks_of_typed_packages(site: Path) -> None:
    wanted = ("pipeline/page/report.html", "pipeline/page/report.js", "pipeline/page/page.css")
    wanted += ("models/weights/default.safetensors", "models/weights/dunk.safetensors", "models/weights/MODEL_CARD.md")
    wanted += tuple(f"{name}/py.typed" for name in ("pipeline", "models", "flows"))
    assert [name for name in wanted if not (site / name).is_file()] == []
    assert not (site / "tests").exists() and not (site / "benchmarks").exists()
