"""Media for the tests: each recipe is made once per session, when the first test asks for it."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from tests import media

settings.register_profile("matchcut", deadline=None)  # a shared machine stalls at times; that is no finding
settings.load_profile("matchcut")


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`make("h264_bframes.mp4")`: the path of that recipe's file (tests/media.py). Read it, never write to it."""
    folder = tmp_path_factory.mktemp("media")
    return lambda name: media.make(name, folder)
