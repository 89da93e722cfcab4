"""What is optimised at once, as jobs for `models.train`: heads on features that stay, or the whole network."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.augment import NO_AUGMENTATION, Augmentation, augmented
from models.backbone import Features
from models.cache import FeatureCache
from models.heads import Classifier
from models.losses import LossWeights, Targets, joint_loss
from models.network import Head, Network
from models.train import Ints, Job, LearnedWeights, Schedule

Pixels = npt.NDArray[np.uint8]

_CHUNK = 512  # pictures that are varied at once
_SMALL, _SMALL_SHARE = 0.75, 0.5  # side of the first pictures, and for how many of the steps


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Pictures uint8 (N, H, W, 3), what is known of them, and how they are varied; `rows` are those that are taught.

    With `bf16` a whole network computes in bfloat16, as autocast has it, and keeps its weights in fp32.
    """

    pixels: Pixels
    targets: Targets
    rows: Ints
    how: Augmentation
    weights: LossWeights
    learn_weights: bool = False
    bf16: bool = False

    def weigher(self, names: Sequence[str]) -> LearnedWeights | None:
        """What learns how much each of these heads counts, where that is wanted."""
        return LearnedWeights(names) if self.learn_weights else None


def heads_on(
    network: Network, variants: Sequence[Variant], material: Material, names: Sequence[str], rate: float
) -> Job:
    """These heads alone, on features computed once, which a hundred epochs go over in seconds.

    The backbone stays as it is, bit for bit, and so do all other heads.
    """
    features, targets = _taught(variants, material.rows)
    heads = heads_of(network, names)
    for head in heads.values():
        head.adapt(features)

    def loss_of(index: Ints, _: np.random.Generator, __: int) -> dict[str, Tensor]:
        rows = torch.from_numpy(index)
        part = features.rows(rows)
        answers = network.answers(Features(part.map.float(), part.vector.float()), names)
        return joint_loss(answers, targets.rows(rows), material.weights)

    return Job(
        modules=paced(heads, rate),
        loss_of=loss_of,
        count=len(targets.tag),
        weights=material.weigher(names),
    )


def whole(network: Network, material: Material, names: Sequence[str], schedule: Schedule, *, from_scratch: bool) -> Job:
    """Backbone and these heads, each at its own rate, on pictures that are varied anew each time.

    A BatchNorm that knows its statistics keeps them: eight pictures are a poor sample of what thousands had measured.

    Where no head knows the map's size, the first half of the steps has smaller pictures (arXiv 2104.00298). The network
    computes on the device where it lies; what it is wrong by is small, and computed on the CPU.
    """
    spec, heads = network.spec, heads_of(network, names)
    any_size = spec.attach == "conv" and all(isinstance(head, Classifier) for head in heads.values())
    small_steps = round(_SMALL_SHARE * schedule.steps(len(material.rows))) if any_size else 0

    def loss_of(index: Ints, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        network.train()
        if not from_scratch:
            _keep_statistics(network.backbone)
        rows = material.rows[index]
        known = material.targets.rows(torch.from_numpy(rows))
        scale = _SMALL if step < small_steps else 1.0
        size_px = round(spec.height_px * scale), round(spec.width_px * scale)
        device = network.device
        varied, known = augmented(material.pixels[rows], known, material.how, size_px, rng, device=device)
        with torch.autocast(device.type, torch.bfloat16, enabled=material.bf16):
            features = network.backbone(varied)
            answers = {name: head(features) for name, head in heads.items()}
        return joint_loss({name: answer.float().cpu() for name, answer in answers.items()}, known, material.weights)

    return Job(
        modules=[(network.backbone, schedule.backbone_rate), *paced(heads, schedule.rate)],
        loss_of=loss_of,
        count=len(material.rows),
        weights=material.weigher(names),
    )


def _keep_statistics(backbone: nn.Module) -> None:
    """BatchNorm as when it is served; its scale and shift go on learning."""
    for layer in backbone.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eval()


def heads_of(network: Network, names: Iterable[str]) -> dict[str, Head]:
    """Those of these names."""
    return {name: network.heads[name] for name in names}  # type: ignore[misc]


def paced(heads: Mapping[str, Head], rate: float) -> list[tuple[nn.Module, float]]:
    """Each head with the rate at which it learns."""
    return [(head, rate * head.pace) for head in heads.values()]


FeaturesOf = Callable[[Pixels], Features]


@dataclass(frozen=True, slots=True)
class Variant:
    """Features of N pictures in one form, and what is known of them in that form."""

    features: Features
    targets: Targets


def varied_features(
    material: Material, size_px: tuple[int, int], seed: int, features_of: FeaturesOf, count: int
) -> list[Variant]:
    """Every picture as it is, in the mirror, and in random crops: `count` variants of all, also of those that are not
    taught, so that another choice of rows asks for the same features."""
    rng = np.random.default_rng((seed, 2))
    mirror = Augmentation(smallest_area=1.0, stretch=1.0, mirror=1.0, light=0.0, partners=material.how.partners)
    variants = []
    for how in [NO_AUGMENTATION, mirror, *[material.how] * count][:count]:
        parts = []
        for at in range(0, len(material.pixels), _CHUNK):
            known = material.targets.rows(torch.arange(len(material.pixels))[at : at + _CHUNK])
            pixels, known = augmented(material.pixels[at : at + _CHUNK], known, how, size_px, rng)
            parts.append(Variant(features_of(pixels.numpy()), known))
        variants.append(_joined(parts))
    return variants


def _joined(parts: Sequence[Variant]) -> Variant:
    """One after the other."""
    maps, vectors = zip(*(part.features for part in parts), strict=True)
    columns = zip(*(part.targets for part in parts), strict=True)
    known = (None if column[0] is None else torch.cat(column) for column in columns)
    return Variant(Features(torch.cat(maps), torch.cat(vectors)), Targets(*known))  # type: ignore[arg-type]


class Memory:
    """What was seen last, by whom: cross-validation asks one backbone about the same pictures for every fold. `cache`
    keeps features beyond the run."""

    def __init__(self, cache: FeatureCache) -> None:
        self.cache = cache
        self._by: Hashable = None
        self._variants = list[Variant]()

    def variants(self, by: Hashable, compute: Callable[[], list[Variant]]) -> list[Variant]:
        """Those that were seen by it, or else computed now."""
        if by != self._by:
            self._by, self._variants = by, []
            self._variants = compute()
        return self._variants


def _taught(variants: Sequence[Variant], index: Ints) -> tuple[Features, Targets]:
    """These pictures in all variants, one variant after the other."""
    rows = torch.from_numpy(index)
    joined = _joined([Variant(variant.features.rows(rows), variant.targets.rows(rows)) for variant in variants])
    return joined.features, joined.targets
