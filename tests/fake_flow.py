"""The flow with a fake network, for the processes that tests start: `python -m tests.fake_flow --in ... --out ...`."""

from __future__ import annotations

import sys
from argparse import Namespace

from flows.deployments import main
from flows.highlights import highlights_flow
from pipeline.config import load_config
from pipeline.run import Work
from tests.fakes import FakeModel


def make_work(options: Namespace) -> Work:
    """`pipeline.commands.work.work_from`, but for the network."""
    return Work(
        out=options.out,
        config=load_config(options.config),
        model=FakeModel().facts(),
        open_model=FakeModel,
        clips=not options.no_clips,
        force=options.force,
    )


highlights = highlights_flow(make_work)

if __name__ == "__main__":
    sys.exit(main(flow="tests.fake_flow.highlights"))
