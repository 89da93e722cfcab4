"""One backbone pass, any heads. The forward pass is the same in training and serving."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.backbone import Backbone, Features
from models.heads import Classifier, Detector, Localizer, Points
from models.spec import Spec

TAGS, EVENTS, BOX, POINTS, OBJECTS = "tags", "events", "box", "points", "objects"
ATTRIBUTES = "attributes"  # all of them together
Head = Classifier | Localizer | Points | Detector


def attribute(number: int) -> str:
    """What the head of the attribute of that number is called: names are the user's, and may hold anything."""
    return f"attribute{number}"


class Network(nn.Module):
    """`forward(uint8 (B, H, W, 3)) -> (Features, {head: output})`, random until loaded or trained."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        self.backbone = Backbone(spec)
        self.heads = nn.ModuleDict(_heads(spec, self.backbone))

    @property
    def device(self) -> torch.device:
        """Where its weights lie."""
        return next(self.parameters()).device

    def forward(self, pixels_BHWC: Tensor) -> tuple[Features, dict[str, Tensor]]:
        features: Features = self.backbone(pixels_BHWC)
        return features, self.answers(features)

    def answers(self, features: Features, heads: Sequence[str] | None = None) -> dict[str, Tensor]:
        """What every head, or these, say of features that are there already: see `models.heads`."""
        return {name: head(features) for name, head in self.heads.items() if heads is None or name in heads}


def _heads(spec: Spec, backbone: Backbone) -> dict[str, Head]:
    """The heads that the spec asks for, by name, in a fixed order: random values come from one stream."""
    sizes, heads = backbone.sizes, dict[str, Head]()
    if spec.tags:
        heads[TAGS] = Classifier(sizes, len(spec.tags))
    if spec.events:
        heads[EVENTS] = Classifier(sizes, len(spec.events))
    if spec.localizer:
        heads[BOX] = Localizer(sizes, spec.attach, len(spec.tags) if spec.box_per_class else 1)
    for number, (_, labels) in enumerate(spec.attributes):
        heads[attribute(number)] = Classifier(sizes, len(labels))
    if spec.points:
        heads[POINTS] = Points(sizes, spec.attach, len(spec.points))
    if spec.detector:
        heads[OBJECTS] = Detector(sizes, len(spec.detector))
    return heads
