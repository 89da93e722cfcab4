"""Segments, tags and the reel's list again from stored predictions: no picture is decoded, no network is run."""

from __future__ import annotations

import argparse

from pipeline.commands.again import add_arguments, again

__all__ = ["add_arguments", "run"]


def run(args: argparse.Namespace) -> int:
    return again(args, clips=False)
