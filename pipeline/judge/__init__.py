"""Figures of moments, highlights and cuts, each by its official definition, with chance beside it. Reads no video."""

from pipeline.judge.moments import Moment, judge_moments

__all__ = ["Moment", "judge_moments"]
