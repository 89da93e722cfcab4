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


def given_path(text: str) -> Path:
    """For argparse: an empty name would be the working directory, which nobody meant."""
    if not text:
        raise argparse.ArgumentTypeError("an empty name; give a path")
    return Path(text)


def add_work_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that decide what is found."""
    parser.add_argument("--out", type=given_path, required=True, metavar="DIR", help="where results go")
    parser.add_argument("--config", type=Path, metavar="F.toml", help="settings; docs/config.toml lists them")
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, metavar="NAME|FILE", help="default, dunk, torchvision:NAME or a file"
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add_runtime_argument(parser)
    parser.add_argument("--sample-hz", type=float, metavar="R", help="pictures looked at per second of video")
    parser.add_argument("--audio", type=int, metavar="N", help="audio track, from 0; without it the file's default one")
    parser.add_argument("--no-clips", action="store_true", help="find moments, cut nothing")
    parser.add_argument("--force", action="store_true", help="do everything again")


def add_runtime_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--runtime", choices=("torch", "openvino"), help="who runs the network; openvino: on the CPU, if installed"
    )


def work_from(args: argparse.Namespace, watch: Watch | None = None) -> Work:
    """Raises UsageError or MachineError before any video is touched."""
    from models.describe import describe
    from models.runtime import require_runtime
    from pipeline.config import load_config, require_labels
    from pipeline.records import Labels, ModelFacts
    from pipeline.run import Work, unwatched

    config = load_config(args.config, _overrides(args))
    settings = config.infer
    require_runtime(settings.runtime, args.device, settings.precision)
    facts = describe(args.model, settings.precision, settings.runtime)
    require_labels(config, facts.tags, facts.events)
    model = ModelFacts(
        name=facts.name,
        version=facts.version,
        labels=Labels(facts.tags, facts.events),
        calibrated=facts.calibrated,
    )

    @cache
    def open_model() -> OpenModel:
        from models.predictor import open_predictor

        return open_predictor(
            args.model, args.device, settings.batch, settings.threads, settings.precision, settings.runtime
        )

    return Work(
        out=args.out,
        config=config,
        model=model,
        open_model=open_model,
        clips=not args.no_clips,
        force=args.force,
        watch=watch or unwatched,
    )


def _overrides(args: argparse.Namespace) -> dict[str, Mapping[str, Any]]:
    """Settings that have an option of their own, where it was given."""
    given = {
        ("decode", "sample_hz"): args.sample_hz,
        ("infer", "runtime"): args.runtime,
        ("export", "audio_track"): args.audio,
    }
    return {section: {key: value} for (section, key), value in given.items() if value is not None}
