"""What this machine can do: accelerator, decoders, encoders, weights, scheduler. Changes nothing."""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="default", metavar="NAME|FILE", help="the model to look for")


def run(args: argparse.Namespace) -> int:
    network = (_accelerator(), _openvino(), _weights(args.model))
    findings = [_machine(), _decoding(), _encoding(), *network, _scheduler(), _tables()]
    for ok, name, text in findings:
        sys.stdout.write(f"{'ok  ' if ok else 'MISS'}  {name:<12} {text}\n")
    needed = {"decoding", "encoding", "model"}
    return 0 if all(ok for ok, name, _ in findings if name in needed) else 3


Finding = tuple[bool, str, str]


def _machine() -> Finding:
    cores = len(os.sched_getaffinity(0))
    free_gib = shutil.disk_usage(Path.cwd()).free / (1 << 30)
    return True, "machine", f"{cores} cores, {free_gib:.0f} GiB free here, Python {sys.version.split()[0]}"


def _decoding() -> Finding:
    import av
    from av.codec.hwaccel import hwdevices_available

    wanted = ("h264", "hevc", "vp9", "av1", "mpeg2video", "mpeg4")
    have = [name for name in wanted if name in av.codecs_available or f"lib{name}" in av.codecs_available]
    hardware = ", ".join(hwdevices_available()) or "none"
    text = f"PyAV {av.__version__}: {', '.join(have)}; hardware decoders: {hardware} (not used)"
    return len(have) == len(wanted), "decoding", text


def _encoding() -> Finding:
    from pipeline.errors import MatchcutError
    from pipeline.export import ffmpeg_program

    try:
        program = ffmpeg_program()
        listed = subprocess.check_output([program, "-hide_banner", "-encoders"], text=True, timeout=20)
        have = [name for name in ("libx264", "aac") if name in listed]
    except (OSError, MatchcutError, subprocess.SubprocessError) as error:
        return False, "encoding", f"no ffmpeg ({error}). Install imageio-ffmpeg, or set MATCHCUT_FFMPEG"
    return len(have) == 2, "encoding", f"{program}: {', '.join(have)}"


def _accelerator() -> Finding:
    import torch

    if torch.cuda.is_available():
        return True, "accelerator", f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}"
    return False, "accelerator", f"no CUDA device; the CPU is used (torch {torch.__version__})"


def _openvino() -> Finding:
    if importlib.util.find_spec("openvino") is None:
        return False, "openvino", "not installed; torch runs the network (pip install matchcut[openvino])"
    return True, "openvino", f"{importlib.metadata.version('openvino')}, used where --runtime openvino is given"


def _weights(name: str) -> Finding:
    from models.describe import describe
    from pipeline.errors import CheckpointError

    try:
        facts = describe(name, "fp32")
    except CheckpointError as error:
        return False, "model", str(error)
    labels = f"{len(facts.tags)} tags, {len(facts.events)} events"
    return True, "model", f"{facts.name} {facts.version}: {labels}, {facts.width_px} x {facts.height_px} px"


def _scheduler() -> Finding:
    if importlib.util.find_spec("prefect") is None:
        return False, "prefect", "not installed; `matchcut run` works without it, flows do not"
    server = os.environ.get("PREFECT_API_URL", "embedded server")
    return True, "prefect", f"{importlib.metadata.version('prefect')}, {server}"


def _tables() -> Finding:
    have = importlib.util.find_spec("pyarrow") is not None
    return (
        have,
        "parquet",
        "pyarrow is here" if have else "no pyarrow: tables are JSON Lines (pip install matchcut[parquet])",
    )
