"""Make the clips and the reel that do not stand, after `rescore` or a run without clips."""

from __future__ import annotations

import argparse

from pipeline.commands.again import add_arguments, again

__all__ = ["add_arguments", "run"]


def run(args: argparse.Namespace) -> int:
    return again(args, clips=True)
