"""What a person sees during a run: bars on a terminal, plain lines elsewhere, JSON for machines. Decides nothing."""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from types import TracebackType

from rich.console import Console as Terminal
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from pipeline.commands.words import shown, summary_text
from pipeline.records import Summary, VideoOutcome
from pipeline.timeline import ns_to_seconds, timecode

_LOOKING = 0.8  # of the time that a video takes, roughly; the rest is cutting


class Console:
    """One run's output. All but JSON goes to standard error, so that standard output can be piped."""

    def __init__(self, *, verbose: bool) -> None:
        self._terminal = Terminal(stderr=True, soft_wrap=True, highlight=False)
        self._verbose = verbose
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeRemainingColumn(),
            console=self._terminal,
            transient=True,
            disable=not self._terminal.is_terminal,
        )
        self._began = time.monotonic()
        self._ended = 0
        self._total: TaskID | None = None
        self._stage: tuple[Path, str] | None = None
        self._stage_bar: TaskID | None = None
        self._looked_at: set[Path] = set()

    def __enter__(self) -> Console:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def begin(self, videos: int, ignored: int) -> None:
        self._total = self._bars.add_task("all videos", total=max(videos, 1))
        beside = f" ({ignored} other files ignored)" if ignored else ""
        if videos:
            self._say(f"{videos} videos{beside}")
        else:
            self._say(f"warning: no videos found{beside}; nothing to do")

    def watch(self, video: Path, stage: str, share: float) -> None:
        if stage == "looking":
            self._looked_at.add(video)
        if (video, stage) != self._stage:
            self._stage = video, stage
            if self._stage_bar is not None:
                self._bars.remove_task(self._stage_bar)
            self._stage_bar = self._bars.add_task(f"{stage} {escape(shown(video.name))}", total=1.0)
            if self._verbose:
                self._say(f"{stage} {video.name}")
        if self._stage_bar is not None:
            self._bars.update(self._stage_bar, completed=share)
        self._advance_to(self._ended + (share * _LOOKING if stage == "looking" else _LOOKING + share * (1 - _LOOKING)))

    def _advance_to(self, videos: float) -> None:
        """So many of all videos: a single long one moves the total as well."""
        if self._total is not None:
            self._bars.update(self._total, completed=videos)

    def outcome(self, outcome: VideoOutcome) -> None:
        self._ended += 1
        self._advance_to(self._ended)
        if outcome.error is not None:
            self._say(f"failed  {outcome.error}")
            return
        length = timecode(outcome.duration_ns or 0)
        about = ", ".join(outcome.tags[:3]) or "no tags"
        self._say(f"done    {outcome.path.name}  {length}  {outcome.segments} moments, {outcome.clips} clips; {about}")

    def end(self, summary: Summary, out: Path, *, as_json: bool) -> None:
        if as_json:
            sys.stdout.write(summary_text(summary, out))
        if summary.videos:
            self._say(f"page    {out / 'index.html'}")
        self._say(self._last_line(summary))

    def _last_line(self, summary: Summary) -> str:
        segments, clips = (sum(getattr(v, name) for v in summary.videos) for name in ("segments", "clips"))
        counts = f"{summary.done} done, {summary.failed} failed; {segments} segments, {clips} clips verified"
        return f"{counts}; {self._speed(summary)}; peak memory {_peak_kib() / 1024:.0f} MiB"

    def _speed(self, summary: Summary) -> str:
        """Of the videos that were looked at in this run: those that stood already cost nothing."""
        wall_s = time.monotonic() - self._began
        looked_at = [video for video in summary.videos if video.path in self._looked_at]
        video_s = sum(ns_to_seconds(video.duration_ns or 0) for video in looked_at)
        if not video_s:
            return f"nothing had to be looked at ({wall_s:.1f} s)"
        return f"{video_s / wall_s:.1f} video seconds per second ({video_s:.0f} s in {wall_s:.1f} s)"

    def _say(self, line: str) -> None:
        self._terminal.print(shown(line), markup=False)


def _peak_kib() -> int:
    """Of this process alone: on Linux, getrusage counts what the process that started this one held, too."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    told = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    return int(told) if told else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
