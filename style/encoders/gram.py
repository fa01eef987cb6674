"""Texture and colour statistics: projected Gram matrices of early convolutions (Gatys et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from recsys.errors import ConfigError
from style.base import Images
from style.encoders.efficientnet import SIZE, lite0
from style.encoders.layers import PaddedConv
from style.encoders.trunk import Reader, Trunk, choose_device

STAGES = (1, 3, 5)
"""Early stages of the trunk: 16, 24 and 40 channels at 1/2, 1/4 and 1/8 of the picture's size."""
RANDOM_WIDTHS = (16, 24, 40)


class Gram:
    """How a picture is painted, not what it shows: 256 dimensions, to be whitened before use.

    The upper triangles of F Fᵀ / (h w) at three stages, their signed square roots, and a fixed Gaussian
    random projection that keeps distances (Johnson and Lindenstrauss 1984) and bounds the cost.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
        weights: ``pretrained`` shares EfficientNet-Lite0's early stages (extra ``pretrained``); ``random``
            needs no extra: random convolutions also carry texture (Ustyuzhaninov et al. 2017).

    Raises:
        MissingExtraError: ``pretrained`` weights without the extra.
    """

    name = "gram"
    size = SIZE
    semantic = False
    whiten = 64
    dims = 256

    def __init__(self, device: str = "auto", weights: Literal["pretrained", "random"] = "pretrained") -> None:
        if weights not in ("pretrained", "random"):
            raise ConfigError(f"gram.weights must be pretrained or random, got {weights!r}")
        place = choose_device(device)
        self.key = weights
        self.trunk = lite0(place) if weights == "pretrained" else random_trunk(place)
        stages = STAGES if weights == "pretrained" else tuple(range(len(RANDOM_WIDTHS)))
        projection = _projection(self.dims).to(place)
        self.reader = Reader(stages, lambda activations: gram_rows(activations) @ projection)

    def encode(self, images: Images) -> npt.NDArray[np.float32]:
        """(n, 224, 224, 3) uint8 → (n, 256) float32."""
        return self.trunk.run(images, [self.reader])[0]


def gram_matrix(features: Tensor) -> Tensor:
    """(n, c, h, w) → (n, c, c): inner products of channels, divided by h w.

    Example:
        >>> gram_matrix(torch.ones(1, 2, 3, 3)).tolist()
        [[[1.0, 1.0], [1.0, 1.0]]]
    """
    flat = features.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]


def gram_rows(activations: Sequence[Tensor]) -> Tensor:
    """Upper triangles of the Gram matrices of several stages side by side, signed square roots."""
    triangles = []
    for features in activations:
        gram = gram_matrix(features.contiguous())
        rows, columns = torch.triu_indices(gram.shape[1], gram.shape[1], device=gram.device)
        triangles.append(gram[:, rows, columns])
    values = torch.cat(triangles, dim=1)
    return values.sign() * values.abs().sqrt()


@lru_cache(maxsize=4)
def _projection(dims: int) -> Tensor:
    width = sum(c * (c + 1) // 2 for c in RANDOM_WIDTHS)
    matrix = np.random.default_rng(20160627).standard_normal((width, dims)) / np.sqrt(dims)
    return torch.from_numpy(matrix.astype(np.float32))


@lru_cache(maxsize=2)
def random_trunk(device: str) -> Trunk:
    """Three strided convolutions with fixed random weights (He et al. 2015)."""
    rng, stages, before = np.random.default_rng(20151206), [], 3
    for width in RANDOM_WIDTHS:
        layer = PaddedConv(before, width, 3, 2, (1, 1, 1, 1))
        weight = rng.standard_normal((width, before, 3, 3)) * np.sqrt(2 / (9 * before))
        layer.weight = nn.Parameter(torch.from_numpy(weight.astype(np.float32)))
        layer.bias = nn.Parameter(torch.zeros(width))
        stages.append(nn.Sequential(layer, nn.ReLU()))
        before = width
    return Trunk(stages, mean=127.0, scale=64.0, size=SIZE, device=device)
