"""What a frozen backbone says of pictures: computed as it would be served, and kept."""

from __future__ import annotations

import copy
import hashlib
from functools import cached_property

import numpy as np
import numpy.typing as npt
import torch

from models.backbone import Backbone, Features, digest_of_weights
from models.cache import FeatureCache
from models.network import Network
from models.serve import fused

Pixels = npt.NDArray[np.uint8]

_CHUNK = 16  # pictures at once: few fit a CPU's cache


class FeatureReader:
    """A function from N pictures (N, H, W, 3) to float16 maps (N, D, h, w) and vectors (N, F) of a backbone as it is
    now, BatchNorm in eval and folded away; computed on `device`.

    Maps are 49 times the vectors at 193 pixels: without `maps` they have no channels.
    """

    def __init__(
        self, network: Network, cache: FeatureCache, *, maps: bool, device: torch.device | None = None
    ) -> None:
        self._network, self._cache, self._maps = network, cache, maps
        self._device = device or network.device

    def __call__(self, pixels: Pixels) -> Features:
        return self._cache.features(self._key(pixels), lambda: self._computed(pixels))

    def _computed(self, pixels: Pixels) -> Features:
        backbone, found = self._served, list[Features]()
        with torch.inference_mode():
            for at in range(0, len(pixels), _CHUNK):
                part = backbone(torch.from_numpy(pixels[at : at + _CHUNK]).to(self._device))
                found_map = part.map if self._maps else part.map[:, :0]
                found.append(Features(found_map.half().cpu(), part.vector.half().cpu()))
        joined = (torch.cat([part.map for part in found]), torch.cat([part.vector for part in found]))
        return Features(*(part.clone() for part in joined))

    @cached_property
    def _served(self) -> Backbone:
        backbone = copy.deepcopy(self._network.backbone)
        backbone.trunk = fused(backbone.trunk)
        return backbone.to(self._device).to(memory_format=torch.channels_last).eval()

    @cached_property
    def weights(self) -> bytes:
        """Their digest."""
        return digest_of_weights(self._network.backbone)

    def _key(self, pixels: Pixels) -> str:
        """The digest of the backbone's weights and of the pictures as it sees them; with or without the maps."""
        spec = self._network.spec
        digest = hashlib.sha256(repr((spec.backbone, spec.attach, pixels.shape, self._maps)).encode())
        digest.update(self.weights)
        digest.update(np.ascontiguousarray(pixels).data)
        return digest.hexdigest()[:32]
