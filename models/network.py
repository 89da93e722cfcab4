"""One backbone pass, any heads. The forward pass is the same in training and serving."""

from __future__ import annotations

from torch import Tensor, nn

from models.backbone import Backbone, Features
from models.heads import Classifier, Localizer
from models.spec import Spec

TAGS, EVENTS, BOX = "tags", "events", "box"


class Network(nn.Module):
    """`forward(uint8 (B, H, W, 3)) -> (Features, {head: output})`, random until loaded or trained."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.spec = spec
        self.backbone = Backbone(spec)
        self.heads = nn.ModuleDict()
        if spec.tags:
            self.heads[TAGS] = Classifier(self.backbone.sizes, len(spec.tags))
        if spec.events:
            self.heads[EVENTS] = Classifier(self.backbone.sizes, len(spec.events))
        if spec.localizer:
            self.heads[BOX] = Localizer(self.backbone.sizes)

    def forward(self, pixels_BHWC: Tensor) -> tuple[Features, dict[str, Tensor]]:
        features: Features = self.backbone(pixels_BHWC)
        return features, self.answers(features)

    def answers(self, features: Features) -> dict[str, Tensor]:
        """Every head's output for features that are there already: logits of tags and events, boxes (x, y, w, h)."""
        return {name: head(features) for name, head in self.heads.items()}
