"""From options to a `Work`: the configuration, the network's facts, and a way to open it when it is needed.

What a run was told is kept in the output folder, so that `rescore` and `export` need not be told again.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from pipeline.config import Config, load_config, override_config
from pipeline.records import Labels, ModelFacts
from pipeline.run import OpenModel, Watch, Work, unwatched
from pipeline.store import PRIVATE, read_json, write_json

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


def work_from(args: argparse.Namespace, watch: Watch = unwatched) -> Work:
    """Raises ConfigError or CheckpointError before any video is touched."""
    from models.describe import describe

    overrides: dict[str, Mapping[str, Any]] = {"decode": {"sample_hz": args.sample_hz}} if args.sample_hz else {}
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
        watch=watch,
    )


def remember_config(out: Path, config: Config) -> None:
    write_json(out / PRIVATE / "config.json", asdict(config))


def remembered_config(out: Path, given: Path | None) -> Config:
    """The file that is given, or else what the run was told, or else the defaults."""
    if given is not None:
        return load_config(given)
    stored = read_json(out / PRIVATE / "config.json")
    return override_config(Config(), stored or {}, "config.json")
