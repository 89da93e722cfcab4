"""Scores over time -> segments. Pure: no files, no frames, no clock.

    smoothed   .2 .6 .8 .9 .6 .3 .2 .6 .2     enter .7, leave .5
    event       .  #  #  #  #  .  .  .  .     reaches enter, and goes as far as the score stays at leave or above

How a label's events are found is its `config.LabelRule`: smooth, hysteresis, bridge gaps, put the edges where the
change was, cut down or drop by length, add lead-in and tail.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from pipeline.config import AggregateConfig, LabelRule
from pipeline.records import Predictions, Reason, Segment, Track
from pipeline.steps import Ramp, Steps, Times, backdated, spans_above
from pipeline.timeline import Span, seconds_to_ns

# What a cause is called to the reader, and from which value on it is worth a sentence; any other is a label's score.
_SENTENCES = {
    "loudness_rise_db": (1.0, "sound rose {:.0f} dB over its running median"),
    "motion_ratio": (1.2, "picture motion {:.1f} times its running median"),
    "subject_size_ratio": (1.2, "main subject {:.1f} times its median size"),
    "subject_speed_ratio": (1.2, "main subject {:.1f} times its median speed"),
}


def event_tracks(predictions: Predictions, calibrated: bool) -> tuple[Track, ...]:
    """One track per event label of the model, in its order; none for a model without events."""
    kind = "calibrated" if calibrated else "uncalibrated"
    scores = predictions.scores
    columns = ((label, scores.probs[:, scores.labels.column(label)]) for label in scores.labels.events)
    return tuple(Track(label=name, score=probs, score_kind=kind, causes={name: probs}) for name, probs in columns)


def aggregate(tracks: Sequence[Track], predictions: Predictions, config: AggregateConfig) -> tuple[Segment, ...]:
    """The moments of every track, in order of event start, then event end, then label.

    A segment's score is the highest value of the moving average, that is the mean score of its best `smooth_s`: never
    below `enter`, and never lowered by a weaker stretch beside it. Its peak is the sample in the middle of that best
    stretch. Events of one label never overlap, nor do their clips: handles give way (`_with_handles`).
    """
    if len(predictions.scores.pts_ns) == 0:
        return ()
    found = [segment for track in tracks for segment in _segments(track, predictions, config.rule(track.label))]
    return tuple(sorted(found, key=lambda segment: (segment.event, segment.label)))


def _segments(track: Track, predictions: Predictions, rule: LabelRule) -> list[Segment]:
    """One label's. Times are those of the samples that show something, until `backdated` makes them the video's."""
    steps = Steps.of(predictions, track.score)
    ramp = steps.moving_average(seconds_to_ns(rule.smooth_s))
    spans = spans_above(ramp, rule.leave)
    strong = _reach(ramp, spans, rule.enter)
    if not strong.any():
        return []
    edges, spans = _snapped(spans, steps, predictions, rule)[strong], spans[strong]
    first, last = _groups(edges, seconds_to_ns(rule.gap_s))
    best = [_best(ramp, start, end) for start, end in zip(spans[first, 0], spans[last, 1], strict=True)]
    seen = np.column_stack([edges[first, 0], np.array([peak for peak, _ in best]), edges[last, 1]])
    placed = _shortened(backdated(seen, predictions), seconds_to_ns(rule.max_s))
    long = np.flatnonzero(placed[:, 1] - placed[:, 0] >= max(1, seconds_to_ns(rule.min_s)))
    events = [Span(start, end) for start, end in placed[long].tolist()]
    found = zip(long, events, _with_handles(events, predictions.span, rule), strict=True)
    return [_segment(track, predictions.scores.pts_ns, best[k], event, clip) for k, event, clip in found]


def _reach(ramp: Ramp, spans: Times, enter: float) -> npt.NDArray[np.bool_]:
    """Which spans the ramp reaches `enter` in. Corners tell: a straight line is highest at one of its ends."""
    before = np.append(0, np.cumsum(ramp.value >= enter))
    first, after = ramp.t_ns.searchsorted(spans[:, 0]), ramp.t_ns.searchsorted(spans[:, 1], side="right")
    return np.asarray(before[after] > before[first])


def _snapped(spans: Times, steps: Steps, predictions: Predictions, rule: LabelRule) -> Times:
    """The spans with their edges where the change was: on the nearest strong cut, else where the score itself crosses
    `leave`, if that is within half of `smooth_s`, which is as far as averaging can have moved an edge.

    An edge moves less than half the way to the next one, so that none meet; those at the ends of the video stay.
    """
    pts_ns, cut = predictions.scores.pts_ns, predictions.signals.get("cut")
    cuts = pts_ns[cut >= rule.snap_cut] if cut is not None else pts_ns[:0]
    high, turns = steps.value >= rule.leave, steps.start_ns[1:]
    crossings = turns[high[1:] & ~high[:-1]], turns[high[:-1] & ~high[1:]]
    room = (np.diff(spans.ravel(), prepend=pts_ns[0], append=steps.end_ns) - 1) // 2
    room = np.minimum(room, seconds_to_ns(rule.smooth_s) // 2)
    moved = spans.copy()
    for side, edges in enumerate(spans.T):
        within = edges - room[side:-1:2], edges + room[side + 1 :: 2]
        on_score = _nearest(crossings[side], edges, within, otherwise=edges)
        on_cut = _nearest(cuts, edges, within, otherwise=on_score)
        inner = (edges > pts_ns[0]) & (edges < steps.end_ns)
        moved[:, side] = np.where(inner, on_cut, edges)
    return moved


def _nearest(targets: Times, edges: Times, within: tuple[Times, Times], otherwise: Times) -> Times:
    """For each edge the target nearest to it, the earlier of two, if that lies within the limits."""
    far = np.iinfo(np.int64).max // 4
    fenced = np.concatenate([[-far], targets, [far]])
    after = fenced.searchsorted(edges)
    earlier = edges - fenced[after - 1] <= fenced[after] - edges
    nearest = np.where(earlier, fenced[after - 1], fenced[after])
    return np.where((within[0] <= nearest) & (nearest <= within[1]), nearest, otherwise)


def _groups(spans: Times, gap_ns: int) -> tuple[Times, Times]:
    """First and last of the spans that are one, because `gap_ns` or less is between each and the next."""
    apart = np.flatnonzero(spans[1:, 0] - spans[:-1, 1] > gap_ns)
    return np.append(0, apart + 1), np.append(apart, len(spans) - 1)


def _best(ramp: Ramp, start_ns: int, end_ns: int) -> tuple[int, float]:
    """When and how high the ramp is at its highest: the middle of the first stretch that is."""
    first, after = ramp.t_ns.searchsorted(start_ns), ramp.t_ns.searchsorted(end_ns, side="right")
    t_ns, value = ramp.t_ns[first:after], ramp.value[first:after]
    lower = value < value.max()
    begin = int(lower.argmin())
    later = np.flatnonzero(lower[begin:])
    end = begin + int(later[0]) - 1 if len(later) else len(lower) - 1
    return int(t_ns[begin] + t_ns[end]) // 2, float(value.max())


def _shortened(placed: Times, max_ns: int) -> Times:
    """Rows (start, peak, end) -> (start, end), those longer than `max_ns` cut to it with the peak in the middle, or as
    near to that as the event allows."""
    start, peak, end = placed.T
    first = np.clip(peak - max_ns // 2, start, np.maximum(start, end - max_ns))
    return np.column_stack([first, np.minimum(end, first + max_ns)])


def _with_handles(events: Sequence[Span], video: Span, rule: LabelRule) -> list[Span]:
    """Clips: a lead-in and a tail around each event, inside the video.

    Two events too close for the tail of one and the lead-in of the next share the time between them, as `post_s` to
    `pre_s`: no clip repeats a picture of the one before it, and played in turn they miss none.
    """
    pre, post = seconds_to_ns(rule.pre_s), seconds_to_ns(rule.post_s)
    borders = [a.end_ns + (b.start_ns - a.end_ns) * post // max(1, pre + post) for a, b in pairwise(events)]
    return [
        Span(max(event.start_ns - pre, earliest), min(event.end_ns + post, latest))
        for event, earliest, latest in zip(events, [video.start_ns, *borders], [*borders, video.end_ns], strict=False)
    ]


def _segment(track: Track, pts_ns: Times, best: tuple[int, float], event: Span, clip: Span) -> Segment:
    peak = int(pts_ns.searchsorted(best[0], side="right")) - 1
    first, after = pts_ns.searchsorted([event.start_ns, event.end_ns])
    return Segment(
        span=clip,
        event=event,
        label=track.label,
        score=min(1.0, best[1]),
        score_kind=track.score_kind,
        peak_ns=min(max(int(pts_ns[peak]), event.start_ns), event.end_ns - 1),
        reasons=_reasons(track, slice(min(first, peak), max(after, peak + 1))),
    )


def _reasons(track: Track, samples: slice) -> tuple[Reason, ...]:
    """A sentence for every cause that spoke, with its highest value among the event's samples."""
    reasons = []
    for name, cause in track.causes.items():
        value = float(cause[samples].max())
        least, sentence = _SENTENCES.get(name, (0.0, name + " {:.2f} at the peak"))
        if value >= least:
            reasons.append(Reason(name=name, value=value, text=sentence.format(value)))
    return tuple(reasons)
