"""Style by the channels of early convolutions: Gram matrices (Gatys et al. 2016), or means and deviations."""

from __future__ import annotations

from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from recsys.errors import ConfigError
from style.base import Images
from style.encoders.efficientnet import SIZE, lite
from style.encoders.layers import PaddedConv
from style.encoders.reading import Pool, layer_reader
from style.encoders.trunk import Trunk, choose_device

RANDOM_WIDTHS = (16, 24, 40)


class Gram:
    """How a picture is painted, not what it shows: 256 dimensions, to be whitened before use.

    The upper triangles of F Fᵀ / (h w) at three stages, their signed square roots, and a fixed sparse random
    projection that keeps distances (Li, Hastie and Church 2006).

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
        weights: ``pretrained`` shares EfficientNet-Lite0's early stages (extra ``pretrained``); ``random``
            needs no extra: random convolutions also carry texture (Ustyuzhaninov et al. 2017).
        engine: ``auto``, ``torch`` or ``onnxruntime``; see `Trunk`.

    Raises:
        MissingExtraError: ``pretrained`` weights without the extra.
    """

    name = "gram"
    extra = "pretrained"
    weights_licence = "Apache-2.0 upstream"
    about = "texture and pattern, whitened"
    size = SIZE
    semantic = False
    whiten = 64
    pool: ClassVar[Pool] = "gram"
    stages: ClassVar[tuple[str, ...]] = ("stage1", "stage3", "stage5")
    """Early stages of the trunk: 16, 24 and 40 channels at 1/2, 1/4 and 1/8 of the picture's size."""

    def __init__(
        self,
        device: str = "auto",
        weights: Literal["pretrained", "random"] = "pretrained",
        engine: str = "auto",
    ) -> None:
        if weights not in ("pretrained", "random"):
            raise ConfigError(f"{self.name}.weights must be pretrained or random, got {weights!r}")
        place = choose_device(device)
        self.key = weights
        self.trunk = lite(0, place, engine) if weights == "pretrained" else random_trunk(place, engine)
        stages = self.stages if weights == "pretrained" else self.trunk.layers
        self.reader = layer_reader(self.name, self.trunk.layers, stages, self.pool)

    def encode(self, images: Images) -> npt.NDArray[np.float32]:
        """(n, 224, 224, 3) uint8 → (n, 256) float32; `ChannelStatistics` (n, 464)."""
        return self.trunk.run(images, [self.reader])[0]


class ChannelStatistics(Gram):
    """The mean and the deviation of each channel at three middle stages: what AdaIN exchanges between two pictures.

    Stages 5, 8 and 11 (40, 80 and 112 channels at 1/8 and 1/16 of the size): 464 dimensions, to be whitened. They tell
    patterns better than earlier stages do. Source: Huang, Belongie 2017.
    """

    name = "channel-statistics"
    about = "pattern and texture by channels' means and deviations, whitened"
    pool = "mean-std"
    stages = ("stage5", "stage8", "stage11")


@lru_cache(maxsize=2)
def random_trunk(device: str, engine: str) -> Trunk:
    """Three strided convolutions with fixed random weights (He et al. 2015)."""
    rng, stages, before = np.random.default_rng(20151206), [], 3
    for width in RANDOM_WIDTHS:
        layer = PaddedConv(before, width, 3, 2, (1, 1, 1, 1))
        weight = rng.standard_normal((width, before, 3, 3)) * np.sqrt(2 / (9 * before))
        layer.weight = nn.Parameter(torch.from_numpy(weight.astype(np.float32)))
        layer.bias = nn.Parameter(torch.zeros(width))
        stages.append(nn.Sequential(layer, nn.ReLU()))
        before = width
    return Trunk(stages, mean=127.0, scale=64.0, size=SIZE, device=device, engine=engine)
