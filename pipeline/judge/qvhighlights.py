"""QVHighlights (arXiv 2107.09609): moments and highlights for a query, by the rules of its `standalone_eval`.

Figures have its names and are percentages. Rows are those of its JSON Lines, parsed. A clip is two seconds.

HL  a clip is good where an annotator's score is Fair (2), Good (3) or VeryGood (4) and above
MR  average precision and R1 at tIoU 0.5, 0.55 ... 0.95, for true windows of all lengths together, and for short
    (<= 10 s), middle (<= 30 s) and long ones
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import DataError
from pipeline.judge.matching import UNMATCHED, interpolated_precision, matched, tious

Floats = npt.NDArray[np.float64]
Row = Mapping[str, Any]

CLIP_S = 2
LEVELS = {"Fair": 2, "Good": 3, "VeryGood": 4}
TIOUS = tuple(round(0.5 + 0.05 * k, 2) for k in range(10))
LENGTHS_S = {"full": (0.0, np.inf), "long": (30.0, np.inf), "middle": (10.0, 30.0), "short": (0.0, 10.0)}
MOST_WINDOWS = 10
DRAWS = 5  # over more than a thousand queries chance hardly moves
_BRIEF_MOMENTS = ("MR-full-R1@0.5", "MR-full-R1@0.7", "MR-full-mAP", "MR-full-mAP@0.5", "MR-full-mAP@0.75")
# What papers print, in their order.
BRIEF = (
    *_BRIEF_MOMENTS,
    *(f"MR-{length}-mAP" for length in ("long", "middle", "short")),
    *(f"HL-min-{level}-{figure}" for level in LEVELS for figure in ("mAP", "Hit1")),
)


@dataclass(frozen=True, slots=True)
class Query:
    """What is true: `windows` (M, 2) in seconds, `saliency` (clips, annotators) 0 to 4. What was answered: `found`
    (N, 3) start, end, score in the order given, and `scores`, one for each clip; None where it was not."""

    duration_s: float
    windows: Floats
    saliency: Floats
    found: Floats | None
    scores: Floats | None


def judge_qvhighlights(answers: Sequence[Row], truth: Sequence[Row], *, seed: int = 0) -> dict[str, Any]:
    """All official figures, how many `queries` they are of, and for those of BRIEF chance under `NAME_chance`: random
    scores for the clips, windows of the same lengths and scores at random places, in the mean of 5 draws.

    Every query of the truth has one answer, with windows, with scores of clips, or both. Raises DataError.
    """
    queries = _joined(answers, truth)
    rng = np.random.default_rng(seed)
    figures = _figures(queries)
    if not figures:
        raise DataError("neither pred_relevant_windows nor pred_saliency_scores stands in all answers. Add one of them")
    drawn = [_figures([_at_random(query, rng) for query in queries]) for _ in range(DRAWS)]
    chance = {f"{name}_chance": float(np.mean([draw[name] for draw in drawn])) for name in BRIEF if name in figures}
    return {"queries": len(queries)} | figures | chance


def _figures(queries: Sequence[Query]) -> dict[str, float]:
    figures: dict[str, float] = {}
    if all(query.found is not None for query in queries):
        for length, limits_s in LENGTHS_S.items():
            figures |= {f"MR-{length}-{name}": value for name, value in _moments(queries, limits_s).items()}
    if all(query.scores is not None for query in queries):
        figures |= _highlights(queries)
    return figures


# Highlights


def _highlights(queries: Sequence[Query]) -> dict[str, float]:
    """Per level the mean over queries and annotators of average precision, and how often any annotator calls the best
    scored clip good."""
    figures = {}
    for level, least in LEVELS.items():
        precisions = [precision_of_clips(query.saliency >= least, _fitted(query)) for query in queries]
        figures[f"HL-min-{level}-mAP"] = 100 * float(np.mean(precisions))
        figures[f"HL-min-{level}-Hit1"] = 100 * float(np.mean([_hit(query, least) for query in queries]))
    return figures


def _hit(query: Query, least: int) -> bool:
    assert query.scores is not None
    best = int(query.scores.argmax())
    return best < len(query.saliency) and bool((query.saliency[best] >= least).any())


def _fitted(query: Query) -> Floats:
    """The answer's scores for the clips that there are; a clip without one has 0."""
    assert query.scores is not None
    scores, clips = query.scores, len(query.saliency)
    return np.append(scores, np.zeros(max(0, clips - len(scores))))[:clips]


def precision_of_clips(good: npt.NDArray[np.bool_], scores: Floats) -> Floats:
    """Average precision of N scores for each of the columns of `good` (N, K): the plain mean of precision, made
    monotone, over the thresholds at which recall grows. Equal scores are one threshold, so this is not the area under
    the curve. Nothing good: 0."""
    order = np.argsort(-scores, kind="stable")
    last_of_step = np.append(np.diff(scores[order]) != 0, True)
    hits = good[order].cumsum(axis=0)[last_of_step]
    precision = hits / (np.flatnonzero(last_of_step) + 1)[:, None]
    monotone = np.maximum.accumulate(precision[::-1], axis=0)[::-1]
    grows = np.diff(hits, axis=0, prepend=0) > 0
    return np.asarray((monotone * grows).sum(axis=0) / np.maximum(1, grows.sum(axis=0)))


# Moments


def _moments(queries: Sequence[Query], limits_s: tuple[float, float]) -> dict[str, float]:
    """Over the queries that have a true window of such a length; only those windows count."""
    chosen = [kept for query in queries if len((kept := _of_length(query, limits_s)).windows)]
    if not chosen:
        return {}
    precisions = 100 * np.mean([_precisions(query) for query in chosen], axis=0)
    firsts = np.array([_first_overlap(query) for query in chosen])
    figures = {"queries": len(chosen), "mAP": float(precisions.mean())}
    figures |= {f"mAP@{tiou}": float(value) for tiou, value in zip(TIOUS, precisions, strict=True)}
    return figures | {f"R1@{tiou}": 100 * float((firsts >= tiou).mean()) for tiou in TIOUS}


def _of_length(query: Query, limits_s: tuple[float, float]) -> Query:
    lengths_s = query.windows[:, 1] - query.windows[:, 0]
    return replace(query, windows=query.windows[(lengths_s > limits_s[0]) & (lengths_s <= limits_s[1])])


def _precisions(query: Query) -> list[float]:
    """Average precision at each tIoU of the first ten windows, the best scored first; equal ones as they were given."""
    assert query.found is not None
    first = query.found[:MOST_WINDOWS]
    overlap = tious(first[np.argsort(-first[:, 2], kind="stable"), :2], query.windows)
    hits = [matched(overlap, tiou) != UNMATCHED for tiou in TIOUS]
    return [interpolated_precision(hit, len(query.windows)) for hit in hits]


def _first_overlap(query: Query) -> float:
    """Of the first window given with the true one that it overlaps most; here the hull of the two is their union."""
    assert query.found is not None
    if not len(query.found):
        return 0.0
    start, end = query.found[0, :2]
    low, high = query.windows[int(tious(query.found[:1, :2], query.windows)[0].argmax())]
    hull = max(end, high) - min(start, low)
    return float(max(0.0, min(end, high) - max(start, low)) / hull) if hull > 0 else 0.0


# Chance


def _at_random(query: Query, rng: np.random.Generator) -> Query:
    found = None
    if query.found is not None:
        lengths_s = query.found[:, 1] - query.found[:, 0]
        starts_s = rng.random(len(lengths_s)) * np.maximum(0, query.duration_s - lengths_s)
        found = np.stack([starts_s, starts_s + lengths_s, query.found[:, 2]], axis=1)
    return replace(query, found=found, scores=None if query.scores is None else rng.random(len(query.saliency)))


# Rows


def _joined(answers: Sequence[Row], truth: Sequence[Row]) -> list[Query]:
    by_query = {_number(row, "an answer"): row for row in answers}
    known = [_number(row, "a truth") for row in truth]
    odd = sorted(set(by_query) ^ set(known), key=str)
    if odd or not known or len(by_query) != len(answers):
        raise DataError(
            f"{len(answers)} answers for {len(known)} queries; not in both: {', '.join(map(str, odd[:5])) or 'none'}. "
            "Give one answer for each query, and no others"
        )
    return [_query(by_query[number], row, number) for number, row in zip(known, truth, strict=True)]


def _number(row: Row, what: str) -> Any:
    if not isinstance(row, Mapping) or "qid" not in row:
        raise DataError(f"{what} without a qid: {row!s:.60}. Each line is an object with qid (see QVHighlights)")
    return row["qid"]


def _query(answer: Row, row: Row, number: Any) -> Query:
    try:
        saliency = np.zeros((int(row["duration"] / CLIP_S), 3))
        if len(row["relevant_clip_ids"]):
            saliency[row["relevant_clip_ids"]] = row["saliency_scores"]
        found, scores = answer.get("pred_relevant_windows"), answer.get("pred_saliency_scores")
        return Query(
            duration_s=float(row["duration"]),
            windows=np.array(row["relevant_windows"], np.float64).reshape(-1, 2),
            saliency=saliency,
            found=None if found is None else np.array(found, np.float64).reshape(-1, 3),
            scores=None if not scores else np.array(scores, np.float64).reshape(-1),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"qid {number}: {type(error).__name__} {error}. Write the line as QVHighlights does") from error
