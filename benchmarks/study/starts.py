"""Random values to start from: what they do to activations, and whether a network learns from them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from benchmarks.study.choices import Choice
from benchmarks.study.columns import TOP1
from benchmarks.study.findings import Compared, Stated
from benchmarks.study.question import Arm, Bars, Column, Curves, Figures, Question
from benchmarks.study.sources import SPORTS, Pictures, Place, Sources
from benchmarks.study.teaching import Teaching
from models.network import Network
from models.recipe import Recipe
from models.resolve import TORCHVISION
from models.spec import SCRATCH
from models.start import start
from models.targets import plan_labels

SIDE_PX = 44  # and 33 in the first half of the steps: five poolings leave one cell of either
FEW = tuple(Place(f"{SPORTS}/{name}", each=90) for name in ("chess", "football", "formula1", "swimming"))
_SEEN = 64  # pictures that activations are measured on
_LAST = 3  # epochs whose mean is the loss at the end
_LOSS = Column(key="last_loss", title="loss at the end", share=False, better=-1)
_KEPT = Column(key="kept", title="last layer's spread, of the first's", share=False, better=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Starting:
    """Teach a network from scratch; before that, measure the activations' spread by layer."""

    teaching: Teaching

    def quick(self) -> Starting:
        return replace(self, teaching=self.teaching.quick())

    def measured(self, seed: int, sources: Sources) -> Figures:
        data = sources.dataset(self.teaching.pictures)
        recipe = replace(self.teaching.recipe, seed=seed)
        network, _ = start(recipe, plan_labels(data, (), self.teaching.heads))
        seen = np.linspace(0, len(data) - 1, min(_SEEN, len(data)), dtype=np.int64)
        spreads = spread_by_layer(network, data.pixels[seen])
        taught = dict(self.teaching.measured(seed, sources))
        losses = taught["loss"]
        assert not isinstance(losses, float)
        last = float(np.mean(losses[-_LAST:]))
        return {**taught, "last_loss": last, "spread": spreads, "kept": spreads[-1] / max(spreads[0], 1e-30)}


def spread_by_layer(network: Network, pixels: npt.NDArray[np.uint8]) -> list[float]:
    """The standard deviation of what comes out of each rectifier, from the first to the last, as training begins:
    BatchNorm goes by the pictures at hand."""
    found: list[float] = []

    def note(_: nn.Module, __: tuple[Tensor, ...], out: Tensor) -> None:
        found.append(float(out.std()))

    layers = [layer for layer in network.backbone.trunk.modules() if isinstance(layer, nn.ReLU)]
    hooks = [layer.register_forward_hook(note) for layer in layers]
    with torch.no_grad():
        network.train().backbone(torch.from_numpy(pixels))
    for hook in hooks:
        hook.remove()
    return found


def _from(backbone: str, name: str) -> Starting:
    recipe = Recipe(
        base=f"{TORCHVISION}{backbone}",
        regime=SCRATCH,
        initial=name,
        size_px=SIDE_PX,
        epochs=20,
        batch=16,
        rate=0.01,
        backbone_rate=0.01,
    )
    return Starting(teaching=Teaching(recipe=recipe, pictures=Pictures(places=FEW, side_px=SIDE_PX), folds=1))


def initial() -> Question:
    bases = {"without BatchNorm": "vgg11", "with BatchNorm": "vgg11_bn"}
    values = ("small", "xavier", "he")
    ways = {f"{name}, {told}": _from(backbone, name) for told, backbone in bases.items() for name in values}
    names = tuple(ways)
    usual = "he, with BatchNorm"
    return Question(
        name="initial",
        asks="Which random values should a network start from: small ones, Xavier's or He's, with and without "
        "BatchNorm?",
        how="vgg11 and vgg11_bn from scratch, the same eight convolutions without and with BatchNorm, on four sports "
        "at 44 px, 90 photographs of each, 20 epochs (smaller pictures in the first ten); SGD at 0.01, the rate of the "
        "paper. `small` is normal with a deviation of 0.01. Activations are measured behind each rectifier before the "
        "first step. One third is judged.",
        arms=tuple(Arm(name=name, way=way, seconds=70) for name, way in ways.items()),
        columns=(_LOSS, TOP1, _KEPT),
        findings=(
            Compared(column=_LOSS, arms=names),
            Stated(lead="Spread of the last layer's activations, over the first's", column=_KEPT, arms=names),
        ),
        chosen=Choice(
            setting="networks with BatchNorm that start from torchvision's own values, which are He's",
            because="because it keeps activations at one scale whatever they start from",
            column=_LOSS,
            arm=usual,
            others=tuple(name for name in names if name != usual),
        ),
        plots=(
            Curves(key="loss", across="epoch", upwards="training loss"),
            Curves(key="spread", across="layer", upwards="spread of activations", logarithmic=True),
            Bars(column=TOP1),
        ),
    )
