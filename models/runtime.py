"""Who runs the network: torch, or OpenVINO on the CPU. The rule needs neither, so a run is refused before it begins."""

from __future__ import annotations

from importlib.util import find_spec

from pipeline.errors import MachineError, UsageError

TORCH, OPENVINO = "torch", "openvino"


def require_runtime(runtime: str, device: str, precision: str) -> None:
    """Raises MachineError where OpenVINO is asked for and not installed, UsageError where it should do what it is not
    used for here."""
    if runtime != OPENVINO:
        return
    if device == "cuda":
        raise UsageError("--runtime openvino: it runs on the CPU. Use --device cpu, or --runtime torch")
    if precision != "fp32":
        raise UsageError(f"--runtime openvino: it runs in fp32. Set infer.precision = {precision!r} to fp32")
    if find_spec("openvino") is None:
        raise MachineError(
            "--runtime openvino: OpenVINO is not installed. Install it (pip install 'matchcut[openvino]'), "
            "or use --runtime torch"
        )
