"""What is saved by computing once: two heads on one pass, and all windows of a picture in one pass. Time is measured by
turns, as `benchmarks.windows` does it, of networks with random values, which take as long as learned ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median

import numpy as np
import torch

from benchmarks.study.choices import Worth
from benchmarks.study.findings import Stated
from benchmarks.study.question import Arm, Bars, Column, Figures, Question
from benchmarks.study.sources import SIDE_PX, Sources
from benchmarks.windows import SCALES, by_turns, compare, flops, told, turn
from models.network import Network
from models.serve import served
from models.spec import Spec

SPEC = Spec(
    backbone="mobilenet_v2",
    height_px=SIDE_PX,
    width_px=SIDE_PX,
    tags=tuple(f"class {number}" for number in range(26)),
    localizer=True,
)
_GFLOP_RATIO = Column(key="gflop_ratio", title="times the operations", share=False)
_MS_RATIO = Column(key="ms_ratio", title="times the time", share=False)


def _made(spec: Spec) -> Network:
    return served(Network(spec), bf16=False).to(memory_format=torch.channels_last).eval()


@dataclass(frozen=True, slots=True, kw_only=True)
class Passes:
    """One network with two heads against two networks with one head each, for a batch of pictures."""

    batch: int
    rounds: int = 9

    def quick(self) -> Passes:
        return replace(self, rounds=1)

    def measured(self, seed: int, sources: Sources) -> Figures:
        torch.manual_seed(seed)
        one = _made(SPEC)
        two = _made(replace(SPEC, localizer=False)), _made(replace(SPEC, tags=()))
        shape = (self.batch, SIDE_PX, SIDE_PX, 3)
        pixels = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))
        works = (lambda: one(pixels), lambda: [network(pixels) for network in two])
        with torch.inference_mode():
            gflop = [flops(work) / self.batch for work in works]
            ms = np.array(by_turns([turn(work) for work in works], self.rounds)) / self.batch
        return {
            "gflop": gflop[0],
            "gflop_two": gflop[1],
            "gflop_ratio": gflop[1] / gflop[0],
            "ms": float(np.median(ms[:, 0])),
            "ms_two": float(np.median(ms[:, 1])),
            "ms_ratio": median((ms[:, 1] / ms[:, 0]).tolist()),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """All windows of one picture in one pass, against window by window."""

    scales: tuple[float, ...]
    fine: bool = False
    rounds: int = 5

    def quick(self) -> Sharing:
        return replace(self, rounds=1)

    def measured(self, seed: int, sources: Sources) -> Figures:
        torch.manual_seed(seed)
        found = compare(_made(SPEC), self.scales, self.rounds, fine=self.fine)
        return {name: float(value) for name, value in found._asdict().items()}


def two_heads() -> Question:
    arms = {"1 picture": Passes(batch=1), "8 pictures": Passes(batch=8)}
    return Question(
        name="two-heads",
        asks="What does one pass with two heads save against two networks?",
        how="mobilenet_v2 at 112 px with a head for 26 classes and one for a box, against a network for each. One "
        "thread, by turns; a picture's share of a batch. Operations are those of convolutions and matrix products.",
        arms=tuple(Arm(name=name, way=way, seconds=10) for name, way in arms.items()),
        columns=(
            Column(key="gflop", title="GFLOP, two heads", share=False),
            Column(key="gflop_two", title="GFLOP, two networks", share=False),
            _GFLOP_RATIO,
            Column(key="ms", title="ms, two heads", share=False),
            Column(key="ms_two", title="ms, two networks", share=False),
            _MS_RATIO,
        ),
        findings=(
            Stated(lead="Operations of two networks, over those of one", column=_GFLOP_RATIO, arms=tuple(arms)),
            Stated(lead="Time of two networks, over that of one", column=_MS_RATIO, arms=tuple(arms)),
        ),
        chosen=Worth(
            setting="one backbone for all heads",
            because="because heads are small beside it",
            column=_MS_RATIO,
            arm="8 pictures",
            against=1.0,
        ),
        plots=(Bars(column=_GFLOP_RATIO), Bars(column=_MS_RATIO)),
        alone=True,
    )


def shared_windows() -> Question:
    arms = {f"scales {told(scales)}": Sharing(scales=scales) for scales in SCALES.values()}
    arms[f"scales {told(SCALES[4])}, fine"] = Sharing(scales=SCALES[4], fine=True)
    last = f"scales {told(SCALES[4])}"
    return Question(
        name="shared-windows",
        asks="Windows one by one, or all in one pass that shares what they have in common?",
        how="mobilenet_v2 at 112 px with two heads; every window of one picture, 32 px apart (fine: 16 px). `one pass` "
        "runs the network over the whole picture at each scale, `one by one` over each window's crop in batches of 8. "
        "One thread, by turns. Scales are how many windows a picture is wide.",
        arms=tuple(Arm(name=name, way=way, seconds=15) for name, way in arms.items()),
        columns=(
            Column(key="windows", title="windows", share=False),
            Column(key="gflop_dense", title="GFLOP, one pass", share=False),
            Column(key="gflop_crops", title="GFLOP, one by one", share=False),
            _GFLOP_RATIO,
            Column(key="ms_dense", title="ms, one pass", share=False),
            Column(key="ms_crops", title="ms, one by one", share=False),
            _MS_RATIO,
        ),
        findings=(
            Stated(lead="Operations one by one, over those of one pass", column=_GFLOP_RATIO, arms=tuple(arms)),
            Stated(lead="Time one by one, over that of one pass", column=_MS_RATIO, arms=tuple(arms)),
        ),
        chosen=Worth(
            setting="one pass for `--windows`",
            because="because neighbouring windows are mostly the same picture",
            column=_MS_RATIO,
            arm=last,
            against=1.0,
        ),
        plots=(Bars(column=_GFLOP_RATIO), Bars(column=_MS_RATIO)),
        alone=True,
    )
