"""Media for the tests, and runs over them: made once per session, when the first test asks for them."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests import media
from tests.games import Desk, make_game

settings.register_profile("matchcut", deadline=None)  # a shared machine stalls at times; that is no finding
settings.load_profile("matchcut")


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What commands keep for next time is kept for these tests only."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """`make("h264_bframes.mp4")`: the path of that recipe's file (tests/media.py). Read it, never write to it."""
    folder = tmp_path_factory.mktemp("media")
    return lambda name: media.make(name, folder)


@pytest.fixture(scope="session")
def game(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A game of 5 s with one moment (tests/games.py). Read it, never write to it."""
    return make_game(tmp_path_factory.mktemp("games") / "game.mp4")


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory, game: Path) -> Path:
    """The folder of a desk whose one game, `a`, is all done, clips and all. Copy it, never write to it."""
    desk = Desk(tmp_path_factory.mktemp("done"))
    desk.games.mkdir()
    shutil.copy(game, desk.games / "a.mp4")
    assert desk.run().failed == 0
    return desk.base


@pytest.fixture
def desk(tmp_path: Path, game: Path) -> Desk:
    """A game `a`, nothing done yet."""
    desk = Desk(tmp_path / "base")
    desk.games.mkdir(parents=True)
    shutil.copy(game, desk.games / "a.mp4")
    return desk


@pytest.fixture
def done_desk(tmp_path: Path, done: Path) -> Desk:
    """A game `a`, all done; it may be changed."""
    desk = Desk(Path(shutil.copytree(done, tmp_path / "base")))
    desk.run()  # the copy is a file of its own, whose fingerprint is taken once
    return desk
