"""What a training run is to do, and the numbers that follow from it: rates, epochs, augmentation, weights of losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from models.augment import Augmentation, partners
from models.losses import LossWeights, Targets, event_balance, tag_balance
from models.resolve import ImageNet, resolve
from models.spec import FINETUNE, FROZEN, JOINT, SCRATCH, SEQUENTIAL, read_info
from models.targets import Plan
from models.train import Schedule

IMAGENET_SIDE_PX = 160

_EPOCHS = {FROZEN: 60, FINETUNE: 20, JOINT: 20, SEQUENTIAL: 20, SCRATCH: 60}
_FROZEN_BATCH, _BATCH = 64, 32
_LEAST_BATCH, _STEPS_AN_EPOCH, _LEAST_STEPS = 8, 30, 1000  # a backbone learns by steps: few pictures come more often
_RATES = {  # of the heads, of the backbone
    FROZEN: (0.02, 0.0),
    FINETUNE: (0.01, 0.002),
    JOINT: (0.004, 0.004),
    SEQUENTIAL: (0.01, 0.002),
    SCRATCH: (0.05, 0.05),
}
_BOX_FARTHER, _OBJECTS_FARTHER = 2.0, 4.0  # times a finetuned backbone's rate, where only places are asked for
_FASTEST = 0.004  # of those: more was not tried
_ZOOM = 2.0  # area of the largest view, there
_DECAY, _FROZEN_DECAY = 5e-4, 0.02  # of weights; heads alone, which see every feature a hundred times, need the more

_NOTHING = Plan()


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is to be done. `base` is a model's name: default, dunk, a checkpoint, torchvision:NAME.

    regime      backbone                          heads
    frozen      as it is; features computed once  all together
    finetune    slowly                            all together, faster
    joint       at the heads' rate                all together; how much each counts is learned, unless it is given
    sequential  slowly, with the classifiers      those that say where come after, on what is fixed then
    scratch     from random values                all together, at one rate

    None: as usual for the regime. `initial` names the random values of a network from scratch.
    """

    base: str = "default"
    regime: str = FROZEN
    epochs: int | None = None
    seed: int = 0
    heldout: float = 0.0  # share of each class that takes no part, and is judged at the end
    size_px: int | None = None
    attach: str | None = None  # as the base has it; torchvision's: conv
    batch: int | None = None
    rate: float | None = None
    backbone_rate: float | None = None
    weight_decay: float | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    learn_weights: bool | None = None
    box_loss: str = "smooth-l1"
    label_smoothing: float | None = None
    balance: bool = True
    average: float = 0.998
    shuffle: bool = True
    patience: int | None = None  # epochs without a better one, after which training stops
    initial: str | None = None
    augment: bool = True
    precision: str = "fp32"  # bf16: a backbone that learns computes in it
    device: str = "cpu"  # where the backbone computes

    def schedule(self, pictures: int, regime: str | None = None, plan: Plan = _NOTHING) -> Schedule:
        """Rates, batch and epochs of the recipe's regime, or of another one that it passes through, for so many and
        what is asked of them."""
        regime = regime or self.regime
        usual = _FROZEN_BATCH if regime == FROZEN else min(_BATCH, max(_LEAST_BATCH, pictures // _STEPS_AN_EPOCH))
        batch = self.batch or usual
        rate, backbone_rate = self._rates(regime, batch, plan)
        least = 0 if regime == FROZEN else _LEAST_STEPS * min(batch, pictures) // pictures
        return Schedule(
            epochs=self.epochs or max(_EPOCHS[regime], least),
            batch=batch,
            rate=rate,
            backbone_rate=backbone_rate,
            weight_decay=self._decay(regime),
            average=self.average,
            shuffle=self.shuffle,
        )

    def _rates(self, regime: str, batch: int, plan: Plan) -> tuple[float, float]:
        """Of the heads and of the backbone, as given or as usual. A backbone that was taught has much to lose: in small
        batches its usual rate goes by the root of their size (arXiv 1404.5997), as the noise of gradients does. What it
        was taught is what pictures show: where only places are asked for, it may move farther."""
        rate, backbone_rate = _RATES[regime]
        if regime != SCRATCH:
            backbone_rate *= min(1.0, batch / _BATCH) ** 0.5
        if regime == FINETUNE and plan.places_alone:
            farther = _BOX_FARTHER if plan.boxes else _OBJECTS_FARTHER
            backbone_rate = min(farther * backbone_rate, _FASTEST)
        rate = self.rate or (backbone_rate if regime == JOINT else rate)
        if self.backbone_rate is not None:
            return rate, self.backbone_rate
        return rate, rate if regime == JOINT else backbone_rate

    def _decay(self, regime: str) -> float:
        if self.weight_decay is not None:
            return self.weight_decay
        return _FROZEN_DECAY if regime == FROZEN else _DECAY

    def loss_weights(self, targets: Targets, plan: Plan) -> LossWeights:
        """What each head's loss counts, with every class and every event as heavy as its opposite."""
        smoothing = self.label_smoothing
        if smoothing is None:
            smoothing = 0.0 if self.regime == FROZEN else 0.1
        return LossWeights(
            parts=self.weights,
            box_loss=self.box_loss,
            label_smoothing=smoothing,
            tag_share=tag_balance(targets.tag, len(plan.tags)) if self.balance and plan.tags else (),
            event_yes=event_balance(targets.events) if self.balance else (),
        )

    def learns_weights(self) -> bool:
        """Whether how much each part counts is learned."""
        if self.learn_weights is None:
            return self.regime == JOINT and not self.weights
        return self.learn_weights

    def augmentation(self, plan: Plan) -> Augmentation:
        """How pictures are varied. What says *where* must see most of the picture; a backbone that moves for it alone
        sees more than the picture."""
        where = plan.boxes or plan.detector or plan.points
        return Augmentation(
            smallest_area=0.5 if where else 0.35,
            largest_area=_ZOOM if self.regime == FINETUNE and plan.places_alone else 1.0,
            stretch=1.33,
            light=0.3,
            partners=partners(plan.points),
        )


def input_size(recipe: Recipe) -> tuple[int, int]:
    """Height and width of the pictures that the network will take. Raises CheckpointError."""
    where = resolve(recipe.base)
    if recipe.size_px is not None or isinstance(where, ImageNet):
        return (recipe.size_px or IMAGENET_SIDE_PX,) * 2
    spec = read_info(where.path).spec
    return spec.height_px, spec.width_px
