"""Why a video has no moments, in sentences, from what was measured. Finds none itself: it names facts."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config import Config, ExciteConfig, LabelRule
from pipeline.page.words import clock
from pipeline.records import Predictions, Track

_EASIER = 0.6  # of the scores that were asked for
_STEADY_DB = 6.0  # loudness that stays this close together has no rise to speak of


def why_no_moments(predictions: Predictions, tracks: Sequence[Track], config: Config) -> tuple[str, ...]:
    """At least one sentence. Each names what was measured and its value. `config`: what the run was told."""
    if not len(predictions.scores.pts_ns):
        return ("Not one frame of it could be looked at.",)
    signals = (*_of_the_picture(predictions, config.excite), *_of_the_sound(predictions, config.excite))
    found = (*signals, *_of_the_scores(predictions, tracks))
    return found or ("Nothing in it stood out from its own surroundings.",)


def lower_bar(rule: LabelRule) -> LabelRule:
    """A rule that more moments pass than this one, to be offered as an example."""
    return LabelRule(enter=round(rule.enter * _EASIER, 2), leave=round(rule.leave * _EASIER, 2))


def _of_the_picture(predictions: Predictions, config: ExciteConfig) -> tuple[str, ...]:
    motion = predictions.signals.get("motion")
    if motion is None or motion.max() > config.motion_floor:
        return ()
    return (f"The picture stands still: its motion never passes {motion.max():.3f} of 1.",)


def _of_the_sound(predictions: Predictions, config: ExciteConfig) -> tuple[str, ...]:
    loudness = predictions.signals.get("loudness_db")
    if loudness is None:
        reason = predictions.signals.missing.get("loudness_db")
        return (f"There is no sound to go by: {reason}.",) if reason else ()
    if loudness.max() <= config.loudness_floor_db:
        return (f"It is silent: never louder than {loudness.max():.0f} LUFS.",)
    if loudness.max() - loudness.min() <= _STEADY_DB:
        spread = loudness.max() - loudness.min()
        return (f"Its loudness stays within {spread:.1f} dB, so no moment is louder than what surrounds it.",)
    return ()


def _of_the_scores(predictions: Predictions, tracks: Sequence[Track]) -> tuple[str, ...]:
    if not tracks:
        return ()
    best = max(tracks, key=lambda track: float(track.score.max()))
    when = clock(int(predictions.scores.pts_ns[best.score.argmax()]))
    return (f"“{best.label}” came closest, with a score of {best.score.max():.2f} at {when}.",)
