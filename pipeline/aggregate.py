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
    """One label's. `seen` are rows (start, peak, end) in the time of the samples that show them, `placed` in that of
    the video."""
    ramp = Steps.of(predictions, track.score).moving_average(seconds_to_ns(rule.smooth_s))
    spans = _reaching(ramp, spans_above(ramp, rule.leave), rule.enter)
    if len(spans) == 0:
        return []
    spans = _bridged(spans, seconds_to_ns(rule.gap_s))
    best = [_best(ramp, start, end) for start, end in spans.tolist()]
    seen = np.column_stack([spans[:, 0], np.array([peak for peak, _ in best]), spans[:, 1]])
    placed = _shortened(backdated(_snapped(seen, predictions, rule), predictions), seconds_to_ns(rule.max_s))
    long = np.flatnonzero(placed[:, 2] - placed[:, 0] >= max(1, seconds_to_ns(rule.min_s)))
    events = [Span(start, end) for start, _, end in placed[long].tolist()]
    clips = _with_handles(events, predictions.span, rule)
    found = zip(long, events, clips, strict=True)
    return [_segment(track, predictions.scores.pts_ns, best[k], event, clip) for k, event, clip in found]


def _reaching(ramp: Ramp, spans: Times, enter: float) -> Times:
    """The spans in which the ramp reaches `enter`. Corners tell: a straight line is highest at one of its ends."""
    before = np.append(0, np.cumsum(ramp.value >= enter))
    first, after = ramp.t_ns.searchsorted(spans[:, 0]), ramp.t_ns.searchsorted(spans[:, 1], side="right")
    return spans[before[after] > before[first]]


def _bridged(spans: Times, gap_ns: int) -> Times:
    """Spans that are `gap_ns` apart or closer become one."""
    apart = spans[1:, 0] - spans[:-1, 1] > gap_ns
    return np.column_stack([spans[np.append(True, apart), 0], spans[np.append(apart, True), 1]])


def _best(ramp: Ramp, start_ns: int, end_ns: int) -> tuple[int, float]:
    """When and how high the ramp is at its highest: the middle of the first stretch that is."""
    first, after = ramp.t_ns.searchsorted(start_ns), ramp.t_ns.searchsorted(end_ns, side="right")
    t_ns, value = ramp.t_ns[first:after], ramp.value[first:after]
    lower = value < value.max()
    begin = int(lower.argmin())
    later = np.flatnonzero(lower[begin:])
    end = begin + int(later[0]) - 1 if len(later) else len(lower) - 1
    return int(t_ns[begin] + t_ns[end]) // 2, float(value.max())


def _snapped(seen: Times, predictions: Predictions, rule: LabelRule) -> Times:
    """Edges that lie on a strong cut where one is within half of `smooth_s`.

    Pictures change at a cut, and scores with them; the average moved that edge by up to half its window. An edge never
    passes its own peak, nor half the way to the next event; those at the two ends of the video stay.
    """
    cut = predictions.signals.get("cut")
    if cut is None:
        return seen
    pts_ns, end_ns, reach = predictions.scores.pts_ns, predictions.span.end_ns, seconds_to_ns(rule.smooth_s) // 2
    cuts = pts_ns[cut >= rule.snap_cut]
    start, peak, end = seen.T
    half_way = end[:-1] + (start[1:] - end[:-1]) // 2
    earliest = np.maximum(start - reach, np.append(pts_ns[0], half_way))
    latest = np.minimum(end + reach, np.append(half_way, end_ns))
    snapped_start = np.where(start > pts_ns[0], _nearest(cuts, start, earliest, np.minimum(peak, start + reach)), start)
    snapped_end = np.where(end < end_ns, _nearest(cuts, end, np.maximum(peak + 1, end - reach), latest), end)
    return np.column_stack([snapped_start, peak, snapped_end])


def _nearest(cuts: Times, edges: Times, lowest: Times, highest: Times) -> Times:
    """Each edge moved to the cut nearest to it, the earlier of two, if that lies in `[lowest, highest]`."""
    far = np.iinfo(np.int64).max // 4
    fenced = np.concatenate([[-far], cuts, [far]])
    after = fenced.searchsorted(edges)
    before_is_nearer = edges - fenced[after - 1] <= fenced[after] - edges
    nearest = np.where(before_is_nearer, fenced[after - 1], fenced[after])
    return np.where((lowest <= nearest) & (nearest <= highest), nearest, edges)


def _shortened(placed: Times, max_ns: int) -> Times:
    """Events longer than `max_ns` keep that much, with the peak in its middle or as near as the event allows."""
    start, peak, end = placed.T
    first = np.clip(peak - max_ns // 2, start, np.maximum(start, end - max_ns))
    return np.column_stack([first, peak, np.minimum(end, first + max_ns)])


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
