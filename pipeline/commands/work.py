"""From options to a `Work`: the configuration, the network's facts, and a way to open it when it is needed."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.run import OpenModel, Watch, Work

DEFAULT_MODEL = "default"


def add_work_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that decide what is found."""
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="where results go")
    parser.add_argument("--config", type=Path, metavar="F.toml", help="settings; docs/config.toml lists them")
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, metavar="NAME|FILE", help="default, torchvision:NAME or a file"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--sample-hz", type=float, metavar="R", help="pictures looked at per second of video")
    parser.add_argument("--no-clips", action="store_true", help="find moments, cut nothing")
    parser.add_argument("--force", action="store_true", help="do everything again")


def work_from(args: argparse.Namespace, watch: Watch | None = None) -> Work:
    """Raises ConfigError or CheckpointError before any video is touched."""
    from models.describe import describe
    from pipeline.config import load_config
    from pipeline.records import Labels, ModelFacts
    from pipeline.run import Work, unwatched

    given = args.sample_hz is not None
    overrides: dict[str, Mapping[str, Any]] = {"decode": {"sample_hz": args.sample_hz}} if given else {}
    config = load_config(args.config, overrides)
    facts = describe(args.model, config.infer.precision)
    model = ModelFacts(
        name=facts.name,
        version=facts.version,
        labels=Labels(facts.tags, facts.events),
        calibrated=facts.calibrated,
    )

    @cache
    def open_model() -> OpenModel:
        from models.predictor import open_predictor

        settings = config.infer
        return open_predictor(args.model, args.device, settings.batch, settings.threads, settings.precision)

    return Work(
        out=args.out,
        config=config,
        model=model,
        open_model=open_model,
        clips=not args.no_clips,
        force=args.force,
        watch=watch or unwatched,
    )
