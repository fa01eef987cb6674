"""Texture and colour statistics: projected Gram matrices of early convolutions (Gatys et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from torch import nn

from recsys.errors import ConfigError
from style.base import Images
from style.encoders.efficientnet import SIZE, lite0
from style.encoders.layers import PaddedConv
from style.encoders.trunk import Reader, Rows, Tap, Trunk, choose_device

STAGES = (1, 3, 5)
"""Early stages of the trunk: 16, 24 and 40 channels at 1/2, 1/4 and 1/8 of the picture's size."""
RANDOM_WIDTHS = (16, 24, 40)
DIMS = 256


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

    def __init__(
        self,
        device: str = "auto",
        weights: Literal["pretrained", "random"] = "pretrained",
        engine: str = "auto",
    ) -> None:
        if weights not in ("pretrained", "random"):
            raise ConfigError(f"gram.weights must be pretrained or random, got {weights!r}")
        place = choose_device(device)
        self.key = weights
        self.trunk = lite0(place, engine) if weights == "pretrained" else random_trunk(place, engine)
        stages = STAGES if weights == "pretrained" else tuple(range(len(RANDOM_WIDTHS)))
        taps = tuple(Tap(stage, "gram") for stage in stages)
        # a sparse product: a dense one would wake BLAS threads that then spin beside the encoders
        self.reader = Reader(taps, lambda grams: np.asarray(gram_rows(grams) @ _projection(), np.float32))

    def encode(self, images: Images) -> npt.NDArray[np.float32]:
        """(n, 224, 224, 3) uint8 → (n, 256) float32."""
        return self.trunk.run(images, [self.reader])[0]


def gram_rows(grams: Sequence[Rows]) -> Rows:
    """The upper triangles of (n, c, c) Gram matrices side by side, signed square roots.

    Example:
        >>> gram_rows([np.array([[[4, -9], [-9, 1]]], np.float32)]).tolist()
        [[2.0, -3.0, 1.0]]
    """
    triangles = [gram[:, *np.triu_indices(gram.shape[1])] for gram in grams]
    values = np.concatenate(triangles, axis=1)
    return np.asarray(np.copysign(np.sqrt(np.abs(values)), values))


@lru_cache(maxsize=1)
def _projection() -> sp.csr_array:
    """(width, DIMS), one entry in 16 is ±1/√(DIMS/16), the rest 0."""
    width = sum(c * (c + 1) // 2 for c in RANDOM_WIDTHS)
    rng = np.random.default_rng(20060820)
    signs = rng.choice(np.array([-1, 1], np.float32), (width, DIMS)) * (rng.random((width, DIMS)) < 1 / 16)
    return sp.csr_array(signs * np.float32(4 / np.sqrt(DIMS)))


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
