"""What processes cost, measured in turns: A B C, A B C, ... so a machine that warms up or is shared is fair to all.

A contender is a command in a process of its own; a round runs each once. Figures are medians over rounds, ratios
medians of each round's own ratio. Imports nothing heavy: what this process holds counts in its children's peak.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from statistics import median
from typing import Any, TypeVar

Result = TypeVar("Result")
ROOT = Path(__file__).resolve().parent.parent
_BUSY = 0.3  # load per core above which the table warns its reader


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Of one process and the children it waited for. `answer`: the JSON on its last line of output, if any."""

    wall_s: float
    cpu_s: float
    peak_bytes: int
    answer: Any = None


def run(command: Sequence[str], env: Mapping[str, str] | None = None) -> Cost:
    """Run it to its end. Raises CalledProcessError, with what it wrote to stderr, where it fails."""
    began = time.monotonic()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, cwd=ROOT, env={**os.environ, **(env or {})}
    ) as process:
        assert process.stdout is not None
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return Cost(
        wall_s=time.monotonic() - began,
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_bytes=usage.ru_maxrss * 1024,
        answer=_last_json(output.decode()),
    )


def _last_json(output: str) -> Any:
    last = (output.strip().splitlines() or [""])[-1]
    return json.loads(last) if last.startswith("{") else None


def in_turns(
    contenders: Mapping[str, Sequence[str]], rounds: int, env: Mapping[str, str] | None = None
) -> dict[str, list[Cost]]:
    """{name: its cost in each round}; says on stderr what is running, because this takes long."""
    costs: dict[str, list[Cost]] = {name: [] for name in contenders}
    for index in range(rounds):
        for name, command in contenders.items():
            print(f"  round {index + 1}/{rounds}: {name}", file=sys.stderr)
            costs[name].append(run(command, env))
    return costs


def middle(costs: Iterable[Cost], figure: Callable[[Cost], float]) -> float:
    return median(figure(cost) for cost in costs)


def ratio(ours: Sequence[Cost], theirs: Sequence[Cost], figure: Callable[[Cost], float]) -> float:
    """How many times ours is theirs: the median over rounds, each round compared with itself."""
    return median(figure(b) / figure(a) for a, b in zip(ours, theirs, strict=True))


def spent(work: Callable[[], Result]) -> tuple[Result, dict[str, float]]:
    """In a contender: do `work`; its wall and CPU seconds, all threads and ended children included."""
    wall, cpu = time.monotonic(), _cpu_s()
    result = work()
    return result, {"wall_s": time.monotonic() - wall, "cpu_s": _cpu_s() - cpu}


def _cpu_s() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def module(name: str, *arguments: object) -> list[str]:
    """The command of a benchmark as a contender."""
    return [sys.executable, "-m", f"benchmarks.{name}", *map(str, arguments)]


def cores() -> int:
    return len(os.sched_getaffinity(0))


def circumstances() -> str:
    """Where and how figures came about, as Markdown: machine, commit, command, and a warning if others were at work."""
    lines = [
        f"- machine: {machine()}",
        f"- commit: {commit()}",
        f"- command: `{shlex.join(['python', '-m', f'benchmarks.{Path(sys.argv[0]).stem}', *sys.argv[1:]])}`",
    ]
    load = os.getloadavg()[0] / cores()
    if load > _BUSY:
        lines.append(f"- **not quiet**: load {load:.1f} a core when this began; ratios hold better than seconds")
    return "\n".join(lines)


def machine() -> str:
    return f"{_cpu_name()}, {cores()} cores, {_memory_gb():.0f} GB, {platform.system()}"


def _cpu_name() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def commit() -> str:
    """The one that is checked out, and whether files that git knows were changed since."""
    asked = [["git", "rev-parse", "--short", "HEAD"], ["git", "status", "--porcelain", "--untracked-files=no"]]
    said = [subprocess.run(ask, capture_output=True, text=True, cwd=ROOT, check=False).stdout.strip() for ask in asked]
    return (said[0] or "unknown") + (" with changes" if said[1] else "")


def print_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Markdown, each row as soon as it is known. Numbers come with two decimals; give text for anything else."""
    for row in chain([header, ["---"] * len(header)], rows):
        cells = (f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row)
        print("| " + " | ".join(cells) + " |", flush=True)
