"""The measuring of benchmarks: every process and its children are counted, and rounds are compared with themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.pairs import Cost, in_turns, print_table, ratio, run, spent
from tests.doomed import WITH_TESTS

BURN = "import time\nend = time.process_time() + {seconds}\nwhile time.process_time() < end: pass\n"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def cost(wall_s: float) -> Cost:
    return Cost(wall_s=wall_s, cpu_s=0.0, peak_bytes=0)


def test_cpu_of_a_process_and_of_its_children_is_counted() -> None:
    burn = BURN.format(seconds=0.3)
    alone = run(python(burn))
    inside = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\n"
    assert 0.3 <= alone.cpu_s < 0.6
    assert 0.3 <= run(python(inside)).cpu_s < 0.8


def test_peak_memory_is_that_of_the_process() -> None:
    """Measured by a process of its own, as benchmarks do: what the measuring one holds is the least that can be told,
    and this one may hold more than the blocks."""
    measure = "import sys; from benchmarks.pairs import run; print(run([sys.executable, '-c', sys.argv[1]]).peak_bytes)"
    peaks = [
        int(subprocess.check_output([*python(measure), f"block = b'x' * {size}"], env=WITH_TESTS))
        for size in (200_000_000, 400_000_000)
    ]
    assert peaks[1] - peaks[0] == pytest.approx(200e6, rel=0.05)


def test_the_last_line_is_the_answer() -> None:
    assert run(python("print('noise')\nprint('{\"n\": 3}')")).answer == {"n": 3}


def test_a_contender_that_fails_stops_the_benchmark() -> None:
    with pytest.raises(subprocess.CalledProcessError):
        run(python("raise SystemExit(3)"))


def test_contenders_take_turns(tmp_path: Path) -> None:
    log = tmp_path / "log"
    contenders = {name: python(f"open({str(log)!r}, 'a').write({name!r})") for name in "ABC"}
    costs = in_turns(contenders, rounds=3)
    assert log.read_text() == "ABCABCABC"
    assert {name: len(rounds) for name, rounds in costs.items()} == {"A": 3, "B": 3, "C": 3}


def test_a_ratio_compares_each_round_with_itself() -> None:
    """The machine was three times slower in the last round: for both."""
    ours, theirs = [cost(1.0), cost(1.0), cost(3.0)], [cost(2.0), cost(2.0), cost(6.0)]
    assert ratio(ours, theirs, lambda c: c.wall_s) == 2.0


def test_spent_counts_work_but_not_waiting_as_cpu() -> None:
    answer, spending = spent(lambda: subprocess.run(["sleep", "0.3"], check=True).returncode)
    assert answer == 0
    assert spending["wall_s"] >= 0.3
    assert spending["cpu_s"] < 0.1


def test_tables_are_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("how", "s"), [("plan", 1.0)])
    assert capsys.readouterr().out == "| how | s |\n| --- | --- |\n| plan | 1.00 |\n"
