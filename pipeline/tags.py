"""Tag scores over time -> what the video is about, with where and how much. Pure: no files, no frames, no clock."""

from __future__ import annotations

import numpy as np

from pipeline.config import TagsConfig
from pipeline.names import slug
from pipeline.records import NO_LABEL, Array, Predictions, Tag
from pipeline.steps import Steps, backdated, spans_above
from pipeline.timeline import Span, seconds_to_ns


def tags(predictions: Predictions, config: TagsConfig) -> tuple[Tag, ...]:
    """The tags that hold for `min_coverage` of the video or more, by coverage x score, the highest first, then by name.

    A tag holds where its moving average is at least `min_score`. `coverage` is the share of the video's time in its
    spans, `score` the mean score there. `NO_LABEL` is never a tag, and events are none: they become segments.
    """
    scores = predictions.scores
    if len(scores.pts_ns) == 0:
        return ()
    # An average is never above its highest sample: with a thousand labels, most are done here.
    possible = np.flatnonzero(scores.probs[:, : len(scores.labels.tags)].max(axis=0) >= config.min_score)
    named = [(scores.labels.tags[k], scores.probs[:, k]) for k in possible]
    found = [_tag(name, probs, predictions, config) for name, probs in named if name != NO_LABEL]
    held = [tag for tag in found if tag.spans and tag.coverage >= config.min_coverage]
    held.sort(key=lambda tag: (-tag.coverage * tag.score, tag.name))
    return tuple(held[: config.max_tags])


def _tag(name: str, probs: Array, predictions: Predictions, config: TagsConfig) -> Tag:
    steps = Steps.of(predictions, probs)
    seen = spans_above(steps.moving_average(seconds_to_ns(config.smooth_s)), config.min_score)
    placed = backdated(seen, predictions)
    spans = tuple(Span(start, end) for start, end in placed.tolist() if start < end)
    covered = sum(span.duration_ns for span in spans) / predictions.span.duration_ns
    mean = steps.mean(seen) if len(seen) else 0.0
    return Tag(
        taxonomy=config.taxonomy,
        id=slug(name),
        name=name,
        score=min(1.0, mean),
        coverage=min(1.0, covered),
        spans=spans,
    )
