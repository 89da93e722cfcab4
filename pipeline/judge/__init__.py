"""Figures of moments, highlights and cuts, each by its official definition, with chance beside it. Reads no video."""

from pipeline.judge.cuts import Transitions, cuts_of_videos, judge_cuts
from pipeline.judge.moments import Moment, judge_moments, moments_of_videos
from pipeline.judge.qvhighlights import BRIEF, judge_qvhighlights
from pipeline.judge.tvsum import judge_tvsum, read_tvsum, reference_points

__all__ = [
    "BRIEF",
    "Moment",
    "Transitions",
    "cuts_of_videos",
    "judge_cuts",
    "judge_moments",
    "judge_qvhighlights",
    "judge_tvsum",
    "moments_of_videos",
    "read_tvsum",
    "reference_points",
]
