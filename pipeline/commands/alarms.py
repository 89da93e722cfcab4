"""How often an event model fires on videos that do not show its events: the whole line, without any clip."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pipeline.config import Config
from pipeline.errors import VideoError
from pipeline.inputs import find_inputs
from pipeline.probe import probe
from pipeline.results import find_moments
from pipeline.run import OpenModel, analyze
from pipeline.timeline import NS_PER_S

MOST_A_MINUTE = 1.0


def false_alarms(folder: Path, out: Path, model: OpenModel, *, calibrated: bool) -> Iterator[str]:
    """Lines: how many moments each video yields, and how many a minute that is; each is a false alarm.

    Videos are those that a run would look at; `out` is not looked into. A video that cannot be read is named and counts
    for nothing.
    """
    found, seconds = 0, 0.0
    for file in find_inputs([folder], out).files:
        try:
            predictions = analyze(probe(file.path), model, Config())
        except VideoError as error:
            yield f"unseen {error}"
            continue
        segments = find_moments(predictions, Config(), calibrated=calibrated).segments
        lasted = predictions.span.duration_ns / NS_PER_S
        found, seconds = found + len(segments), seconds + lasted
        named = ", ".join(
            f"{segment.label} {segment.score:.2f} at {segment.event.start_ns / NS_PER_S:.1f} s" for segment in segments
        )
        yield f"unseen {file.relative}: {len(segments)} in {lasted:.0f} s" + (f" ({named})" if named else "")
    if seconds:
        rate = found / seconds * 60
        verdict = "" if rate <= MOST_A_MINUTE else "; more than one. Add such footage with --background"
        yield f"unseen {found} false alarms in {seconds / 60:.1f} minutes: {rate:.2f} a minute{verdict}"
    else:
        yield f"unseen {folder}: no video could be read"
