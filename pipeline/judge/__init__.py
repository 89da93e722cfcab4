"""Figures of moments, highlights and cuts, each by its official definition, with chance beside it. Reads no video."""

from pipeline.judge.cuts import Transitions, judge_cuts
from pipeline.judge.moments import Moment, judge_moments
from pipeline.judge.qvhighlights import BRIEF, judge_qvhighlights
from pipeline.judge.tvsum import judge_tvsum, read_tvsum, reference_points

__all__ = [
    "BRIEF",
    "Moment",
    "Transitions",
    "judge_cuts",
    "judge_moments",
    "judge_qvhighlights",
    "judge_tvsum",
    "read_tvsum",
    "reference_points",
]
