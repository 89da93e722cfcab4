"""Which files of a folder are taken for videos: what people keep beside them is never mistaken for one."""

import os
import time
from pathlib import Path

import pytest

from pipeline.errors import UsageError
from pipeline.inputs import VIDEO_ENDINGS, Inputs, find_inputs, settled


def laid_out(root: Path, *names: str, content: bytes = b"x") -> Path:
    """Files of these names below `root`, all with the same content."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def names(found: Inputs) -> list[str]:
    return [file.relative for file in found.files]


def test_folders_are_walked_and_what_is_no_video_is_counted(tmp_path: Path) -> None:
    root = laid_out(tmp_path / "in", "b.mp4", "a/deep/c.MKV", "a/notes.txt", "cover.jpg", "a/README")
    found = find_inputs([root], tmp_path / "out")
    assert names(found) == ["a/deep/c.MKV", "b.mp4"]
    assert [file.path for file in found.files] == [root / "a/deep/c.MKV", root / "b.mp4"]
    assert found.ignored == 3


def test_every_documented_ending_is_taken_whatever_its_case(tmp_path: Path) -> None:
    endings = sorted(VIDEO_ENDINGS)
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    assert " ".join(endings) in " ".join(readme.split())
    root = laid_out(tmp_path / "in", *(f"{n}{end.upper() if n % 2 else end}" for n, end in enumerate(endings)))
    assert len(find_inputs([root], tmp_path / "out").files) == len(endings)
    assert {".mp4", ".mkv", ".mov", ".ts", ".webm", ".avi", ".mxf", ".m2ts", ".mpg", ".wmv", ".flv"} <= VIDEO_ENDINGS


def test_what_is_hidden_is_neither_taken_nor_counted(tmp_path: Path) -> None:
    root = laid_out(tmp_path / "in", "a.mp4", ".hidden.mp4", ".trash/b.mp4", "._a.mp4", ".DS_Store")
    assert find_inputs([root], tmp_path / "out") == find_inputs([root / "a.mp4"], tmp_path / "out")


def test_a_file_that_is_named_is_taken_whatever_its_ending_is(tmp_path: Path) -> None:
    root = laid_out(tmp_path, "recording", ".hidden.bin")
    found = find_inputs([root / "recording", root / ".hidden.bin"], tmp_path / "out")
    assert (sorted(names(found)), found.ignored) == ([".hidden.bin", "recording"], 0)


def test_an_input_that_is_not_there_is_a_mistake_in_the_request(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="gone: no such file or folder"):
        find_inputs([tmp_path / "gone"], tmp_path / "out")


def test_an_empty_folder_is_no_mistake(tmp_path: Path) -> None:
    assert find_inputs([tmp_path], tmp_path / "out") == Inputs((), 0)


def test_the_output_folder_inside_the_input_is_not_looked_into(tmp_path: Path) -> None:
    root = laid_out(tmp_path, "a.mp4", "out/videos/a-1/clips/1.mp4", "out/reel.mp4", "out/b.txt")
    assert find_inputs([root], root / "out") == find_inputs([root / "a.mp4"], root / "out")
    (tmp_path / "link").symlink_to(root / "out")
    assert names(find_inputs([root], root / "link")) == ["a.mp4"]
    (tmp_path / "way").symlink_to(root)
    assert names(find_inputs([root / "way"], root / "out")) == ["a.mp4"]


def test_the_output_folder_as_input_is_refused_rather_than_silently_empty(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is the output folder too"):
        find_inputs([laid_out(tmp_path, "a.mp4")], tmp_path)


def test_results_of_another_run_inside_the_input_are_not_looked_into(tmp_path: Path) -> None:
    root = laid_out(tmp_path, "a.mp4", "older/videos/a-1/reel.mp4", "killed/videos/a-1/reel.mp4")
    (root / "older" / "summary.json").write_text('{\n "schema": "matchcut.summary/1",\n "done": 1\n}\n')
    (root / "killed" / ".matchcut").mkdir()  # it never came to write a summary
    assert names(find_inputs([root], tmp_path / "out")) == ["a.mp4"]


@pytest.mark.parametrize("content", ['{"camera": 7}', "", "matchcut"])
def test_a_summary_that_another_program_wrote_hides_nothing(tmp_path: Path, content: str) -> None:
    root = laid_out(tmp_path, "card/a.mp4")
    (root / "card" / "summary.json").write_text(content)
    found = find_inputs([root], tmp_path / "out")
    assert (names(found), found.ignored) == (["card/a.mp4"], 1)


def test_a_pipe_in_place_of_a_summary_hangs_nothing(tmp_path: Path) -> None:
    root = laid_out(tmp_path, "a.mp4")
    os.mkfifo(root / "summary.json")
    assert names(find_inputs([root], tmp_path / "out")) == ["a.mp4"]


def test_links_to_folders_are_not_followed(tmp_path: Path) -> None:
    laid_out(tmp_path / "archive", "old.mp4")
    root = laid_out(tmp_path / "in", "a.mp4")
    (root / "archive").symlink_to(tmp_path / "archive")
    assert names(find_inputs([root], tmp_path / "out")) == ["a.mp4"]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    root = laid_out(tmp_path / "in", "a.mp4", "deep/b.mp4")
    (root / "deep" / "up").symlink_to(root)
    (root / "self.mp4").symlink_to(root / "self.mp4")
    (root / "nowhere.mp4").symlink_to(root / "gone")
    found = find_inputs([root], tmp_path / "out")
    assert names(found) == ["a.mp4", "deep/b.mp4", "nowhere.mp4", "self.mp4"]  # the last two fail, named, when read


def test_the_same_file_counts_once_however_it_is_named(tmp_path: Path) -> None:
    root = laid_out(tmp_path / "in", "a.mp4", "notes.txt")
    (root / "link.mp4").symlink_to(root / "a.mp4")
    found = find_inputs([root, root / "a.mp4", root / ".." / "in"], tmp_path / "out")
    assert (names(found), found.ignored) == (["a.mp4"], 1)


def test_files_that_may_be_equal_never_go_by_the_same_name(tmp_path: Path) -> None:
    one, two = laid_out(tmp_path / "one", "game.mp4"), laid_out(tmp_path / "two", "game.mp4")
    both = find_inputs([one, two], tmp_path / "out")
    assert names(both) == ["game.mp4", (two / "game.mp4").as_posix()]
    named = find_inputs([one / "game.mp4", two / "game.mp4"], tmp_path / "out")
    assert names(named) == names(both)


def test_a_name_does_not_change_with_what_else_is_given(tmp_path: Path) -> None:
    one, two = laid_out(tmp_path / "one", "game.mp4"), laid_out(tmp_path / "two", "game.mp4", content=b"another")
    assert names(find_inputs([one, two], tmp_path / "out")) == ["game.mp4", "game.mp4"]


def test_the_order_is_that_of_the_paths_and_not_of_the_disk(tmp_path: Path) -> None:
    root = laid_out(tmp_path / "in", *(f"{n:02d}/{m}.mp4" for n in (9, 1, 5) for m in "cab"))
    paths = [file.path for file in find_inputs([root], tmp_path / "out").files]
    assert paths == sorted(paths) and len(paths) == 9


def test_a_file_is_settled_once_size_and_times_stood_still(tmp_path: Path) -> None:
    root = laid_out(tmp_path / "in", "a.mp4")
    files = find_inputs([root], tmp_path / "out").files
    changed_s = (root / "a.mp4").stat().st_ctime
    assert settled(files, changed_s + 59.9, 60.0) == ()
    assert settled(files, changed_s + 60.1, 60.0) == files


def test_a_copy_that_keeps_its_old_date_is_not_settled_before_its_time(tmp_path: Path) -> None:
    root = laid_out(tmp_path / "in", "a.mp4")
    os.utime(root / "a.mp4", (0, 0))  # as cp -p and rsync -t do
    files = find_inputs([root], tmp_path / "out").files
    assert settled(files, time.time(), 60.0) == ()


def test_a_file_that_is_dated_in_the_future_or_gone_is_not_settled(tmp_path: Path) -> None:
    root = laid_out(tmp_path / "in", "a.mp4", "b.mp4")
    files = find_inputs([root], tmp_path / "out").files
    os.utime(root / "a.mp4", (2**32, 2**32))
    (root / "b.mp4").unlink()
    assert settled(files, time.time() + 3600, 60.0) == ()
