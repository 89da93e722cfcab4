"""Media for the tests: each recipe is made once per session, when the first test asks for it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import media


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`make("h264_bframes.mp4")`: the path of that recipe's file (tests/media.py). Read it, never write to it."""
    folder = tmp_path_factory.mktemp("media")
    return lambda name: media.make(name, folder)
