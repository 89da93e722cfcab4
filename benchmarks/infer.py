"""What a network costs: pictures a second as it is served and as it is usually run, and what each further head adds.

    python -m benchmarks.infer [--only default resnet18] [--batches 1 8 16 64] [--rounds 9] [--quick | --gpu]

Only what happens inside `submit(pictures).result()` is measured: uint8 pictures of the network's size in, NumPy arrays
out; no decoding, no resizing, no loading. Contenders take turns in one process on one thread, forwards and backwards.
What is counted on the CPU is CPU time of the whole process, all its threads, which on a quiet machine is the clock's
and on a busy one stays right; on a GPU it is the clock's. Random values are settled on pictures, so that no layer
answers nothing.
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.pairs import circumstances, print_table
from models.checkpoint import load
from models.network import Head, Network
from models.predictor import InTorch, Pixels, Predictor
from models.resolve import Checkpoint, resolve
from models.runtime import OPENVINO
from models.serve import served
from models.spec import Spec
from pipeline.commands.work import DEFAULT_MODEL

RANDOM = ("resnet18", "mobilenet_v3_large", "squeezenet1_1")
SIDE_PX = 224
TAGS = tuple(f"tag {number}" for number in range(20))
HEADS: dict[str, dict[str, Any]] = {
    "events": {"events": ("goal", "dunk", "serve")},
    "attributes": {"attributes": (("view", ("close", "middle", "far")),)},
    "localizer": {"localizer": True},
    "points": {"points": tuple(f"point {number}" for number in range(8))},
    "detector": {"detector": tuple(f"object {number}" for number in range(10))},
}
ALONE, AGAIN, ALL = "classifier", "none", "all"  # none: the same once more, which shows what chance does
TURN = 16  # pictures at least
Way = Callable[[Network, int], Predictor]


def eager(network: Network, batch: int) -> Predictor:
    """As it was trained: nothing fused, nothing folded, in the contiguous memory that torch makes by itself."""

    def one_pass(pixels: Pixels, /) -> tuple[Tensor, dict[str, Tensor]]:
        with torch.inference_mode():
            contiguous = torch.tensor(pixels).permute(0, 3, 1, 2).contiguous()
            features, answers = network(contiguous.permute(0, 2, 3, 1))
            return features.vector, answers

    return Predictor(network.spec, one_pass, batch=batch)


def fp32(network: Network, batch: int) -> Predictor:
    return _in_torch(network, batch, "cpu", bf16=False)


def bf16(network: Network, batch: int) -> Predictor:
    return _in_torch(network, batch, "cpu", bf16=True)


def openvino(network: Network, batch: int) -> Predictor:
    from models.in_openvino import InOpenVINO

    shape = (batch, network.spec.height_px, network.spec.width_px, 3)
    return Predictor(network.spec, InOpenVINO(served(copy.deepcopy(network), bf16=False), shape, 1), batch=batch)


def _in_torch(network: Network, batch: int, device: str, *, bf16: bool) -> Predictor:
    one_pass = InTorch(served(copy.deepcopy(network), bf16=bf16), torch.device(device), bf16=bf16)
    return Predictor(network.spec, one_pass, batch=batch)


def ways() -> dict[str, Way]:
    """How a network is served here."""
    found: dict[str, Way] = {"fp32": fp32, "bf16": bf16}
    return found | {"OpenVINO": openvino} if find_spec(OPENVINO) else found


@dataclass(frozen=True, slots=True)
class Trunk:
    """A backbone that heads are put on."""

    name: str
    spec: Spec
    backbone: nn.Module

    def network(self, heads: Mapping[str, Any]) -> Network:
        """A classifier and those heads, with random values; each measures its features."""
        torch.manual_seed(0)
        network = Network(replace(self.spec, **heads))
        network.backbone.load_state_dict(self.backbone.state_dict())
        with torch.no_grad():
            features, _ = network.eval()(torch.from_numpy(pictures(self.spec, 8)))
            for head in heads_of(network):
                head.adapt(features)
        return network


def heads_of(network: Network) -> list[Head]:
    return list(network.heads.values())  # type: ignore[arg-type]


def trunk(name: str) -> Trunk:
    """The embedded default's, or torchvision's of that name with random values and settled BatchNorm."""
    if name == DEFAULT_MODEL:
        where = resolve(name)
        assert isinstance(where, Checkpoint)
        network, _ = load(where.path)
        return Trunk(name, replace(network.spec, localizer=False), network.backbone)
    torch.manual_seed(0)
    network = Network(Spec(backbone=name, height_px=SIDE_PX, width_px=SIDE_PX, tags=TAGS))
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None
    with torch.no_grad():
        network.train()(torch.from_numpy(pictures(network.spec, 8)))
    return Trunk(name, network.spec, network.backbone)


def pictures(spec: Spec, count: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (count, spec.height_px, spec.width_px, 3), dtype=np.uint8)


def costs(
    contenders: Mapping[str, Predictor], rounds: int, clock: Callable[[], float] = time.process_time
) -> dict[str, list[float]]:
    """{name: seconds a picture in each round}; every other round goes backwards: none always follows the same."""
    found: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(-1, rounds):
        for name in names if number % 2 else names[::-1]:
            seconds = seconds_a_picture(contenders[name], clock)
            if number >= 0:  # the round before the first is for what is set up at first use
                found[name].append(seconds)
    return found


def seconds_a_picture(predictor: Predictor, clock: Callable[[], float]) -> float:
    pixels = pictures(predictor.spec, predictor.batch)
    repeats = max(1, TURN // predictor.batch)
    began = clock()
    for _ in range(repeats):
        predictor.submit(pixels).result()
    return (clock() - began) / (repeats * len(pixels))


def ratio(one: Sequence[float], other: Sequence[float]) -> float:
    """How many times the other's cost is this one's: the median over rounds, each compared with itself."""
    return median(b / a for a, b in zip(one, other, strict=True))


def per_second(seconds: Sequence[float]) -> str:
    return f"{1 / median(seconds):.1f}"


def speed_rows(trunks: Sequence[Trunk], batches: Sequence[int], rounds: int) -> Iterator[tuple[object, ...]]:
    """The classifier alone, by network and batch."""
    for one in trunks:
        network = one.network({})
        for batch in batches:
            made = {"eager": eager(network, batch)} | {name: way(network, batch) for name, way in ways().items()}
            cost = costs(made, rounds)
            fast = [(per_second(cost[name]), ratio(cost[name], cost["fp32"])) for name in list(made)[2:]]
            usual = per_second(cost["eager"]), per_second(cost["fp32"]), ratio(cost["fp32"], cost["eager"])
            yield (one.name, batch, *usual, *(figure for pair in fast for figure in pair))


def head_rows(trunks: Sequence[Trunk], batches: Sequence[int], rounds: int) -> Iterator[tuple[object, ...]]:
    """What each head adds to the time of the classifier alone, and what all of them do together."""
    together = {key: value for heads in HEADS.values() for key, value in heads.items()}
    added = {AGAIN: {}, **HEADS, ALL: together}
    for one in trunks:
        networks = {name: one.network(heads) for name, heads in {ALONE: {}, **added}.items()}
        for batch in batches:
            for way, served_so in ways().items():
                cost = costs({name: served_so(network, batch) for name, network in networks.items()}, rounds)
                more = (f"{ratio(cost[ALONE], cost[name]) - 1:+.1%}" for name in added)
                yield (one.name, batch, way, per_second(cost[ALONE]), *more)


def gpu_rows(trunks: Sequence[Trunk], batches: Sequence[int], rounds: int) -> Iterator[tuple[object, ...]]:
    """The classifier alone on a GPU, by the clock."""
    for one in trunks:
        network = one.network({})
        for batch in batches:
            made = {name: _in_torch(network, batch, "cuda", bf16=name == "bf16") for name in ("fp32", "bf16")}
            cost = costs(made | {"CPU": fp32(network, batch)}, rounds, time.perf_counter)
            faster = ratio(cost["fp32"], cost["CPU"]), per_second(cost["bf16"]), ratio(cost["bf16"], cost["fp32"])
            yield one.name, batch, per_second(cost["CPU"]), per_second(cost["fp32"]), *faster


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.infer", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", choices=(DEFAULT_MODEL, *RANDOM), nargs="+", default=[DEFAULT_MODEL, *RANDOM])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 16, 64])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="the embedded network in batches of 8")
    parser.add_argument("--gpu", action="store_true", help="the GPU's table alone; fails where there is none")
    args = parser.parse_args(argv)
    if args.gpu and not torch.cuda.is_available():
        print("no GPU here: torch sees none", file=sys.stderr)
        return 3
    if args.quick:
        args.only, args.batches = [DEFAULT_MODEL], [8]
    torch.set_num_threads(1)
    print(f"## Inference: as served against as usual\n\n{circumstances()}\n{here()}\n")
    what = [trunk(name) for name in args.only], args.batches, args.rounds
    if not args.gpu:
        print_cpu(*what)
    if torch.cuda.is_available():
        print("\n### On a GPU, by the clock\n")
        print_table(("network", "batch", "CPU /s", "GPU fp32 /s", "x CPU", "GPU bf16 /s", "x fp32"), gpu_rows(*what))
    return 0


def print_cpu(trunks: Sequence[Trunk], batches: Sequence[int], rounds: int) -> None:
    fast = [title for name in list(ways())[1:] for title in (f"{name} /s", "x fp32")]
    print_table(
        ("network", "batch", "eager /s", "served fp32 /s", "x eager", *fast), speed_rows(trunks, batches, rounds)
    )
    print("\n### What a head adds to the classifier alone\n")
    print_table(
        ("network", "batch", "served", f"{ALONE} alone /s", AGAIN, *HEADS, ALL), head_rows(trunks, batches, rounds)
    )


def here() -> str:
    """What this machine has of what the figures depend on, and what was left out for want of it."""
    cpu = Path("/proc/cpuinfo").read_text(encoding="utf-8") if Path("/proc/cpuinfo").exists() else ""
    lines = [
        f"- one thread; torch {torch.__version__}, {torch.backends.cpu.get_cpu_capability()}, "
        f"{'with' if 'avx512_bf16' in cpu else 'without'} instructions for bf16",
        f"- GPU: {torch.cuda.get_device_name(0)}" if torch.cuda.is_available() else "- GPU: left out, torch sees none",
    ]
    if not find_spec(OPENVINO):
        lines.append("- OpenVINO: left out, it is not installed (pip install 'matchcut[openvino]')")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
