"""Convolutional networks that losses look through: any of their layers, with gradients into the picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import Tensor, nn

from recsys.errors import ArtifactError, ConfigError, unknown_name
from style.encoders.efficientnet import lite
from style.encoders.gram import random_trunk
from style.encoders.trunk import choose_device
from style.encoders.weights import fill


@dataclass(frozen=True, eq=False)
class Backbone:
    """A chain of named layers.

    Attributes:
        name: Its registered name.
        layers: Name → module, each fed by the one before; frozen.
        mean: (3,) subtracted from values 0..1.
        deviation: (3,) divides them.
        content: Layers that say what is shown, by default.
        style: Layers that say how it is painted, by default.
    """

    name: str
    layers: Mapping[str, nn.Module]
    mean: Tensor
    deviation: Tensor
    content: tuple[str, ...]
    style: tuple[str, ...]

    def features(self, images: Tensor, wanted: Iterable[str]) -> dict[str, Tensor]:
        """Activations (n, c, h', w') of the wanted layers of images (n, 3, h, w), 0..1; nothing deeper is computed."""
        left, found = set(wanted), dict[str, Tensor]()
        x = (images - self.mean[:, None, None]) / self.deviation[:, None, None]
        for name, layer in self.layers.items():
            if not left:
                break
            x = layer(x)
            if name in left:
                left.remove(name)
                found[name] = x
        return found

    def check(self, wanted: Iterable[str]) -> None:
        """Refuse layers that are not there.

        Raises:
            ConfigError: One is not.
        """
        for name in wanted:
            if name not in self.layers:
                raise ConfigError(unknown_name(f"layer of {self.name}", name, self.layers))


def load_backbone(name: str, *, weights: str = "", device: str = "auto") -> Backbone:
    """A backbone by name.

    Args:
        name: ``efficientnet-lite0`` (extra ``pretrained``, offline), ``vgg19`` or ``resnet50`` (torchvision), or
            ``random``: three fixed random convolutions, which need nothing and see texture too.
        weights: Of torchvision's: a file with a state dict; "" takes what torchvision has in its cache.
        device: ``auto``, ``cpu`` or ``cuda``.

    Raises:
        ArtifactError: The weights are not there or do not fit.
        ConfigError: An unknown name.
        MissingExtraError: The ``pretrained`` extra is not installed.
    """
    if name not in BACKBONES:
        raise ConfigError(unknown_name("backbone", name, BACKBONES))
    return _loaded(name, weights, choose_device(device))


@lru_cache(maxsize=4)
def _loaded(name: str, weights: str, device: str) -> Backbone:
    return BACKBONES[name](weights, device)


def _lite0(weights: str, device: str) -> Backbone:
    stages = {f"stage{i}": _out_of_place(stage) for i, stage in enumerate(lite(0, device, "torch").stages)}
    mean, deviation = (torch.full((3,), v / 255, device=device) for v in (127.0, 128.0))
    return Backbone("efficientnet-lite0", stages, mean, deviation, ("stage5",), ("stage1", "stage3", "stage5"))


def _random(weights: str, device: str) -> Backbone:
    trunk = random_trunk(device, "torch")
    stages = {f"stage{i}": stage for i, stage in enumerate(trunk.stages)}
    mean, deviation = (torch.full((3,), v / 255, device=device) for v in (trunk.mean, trunk.scale))
    return Backbone("random", stages, mean, deviation, ("stage2",), tuple(stages))


def _vgg19(weights: str, device: str) -> Backbone:
    """Layers are called as in the paper: relu4_2 is the second of the fourth block."""
    from torchvision.models import vgg19

    model, layers, block, number = vgg19(weights=None), dict[str, nn.Module](), 1, 0
    _fill(model, "VGG19_Weights", weights)
    for module in model.features:
        if isinstance(module, nn.MaxPool2d):
            layers[f"pool{block}"], block, number = module, block + 1, 0
        elif isinstance(module, nn.Conv2d):
            number += 1
            layers[f"conv{block}_{number}"] = module
        else:
            layers[f"relu{block}_{number}"] = nn.ReLU()
    style = tuple(f"relu{i}_1" for i in range(1, 6))
    return _imagenet("vgg19", layers, device, ("relu4_2",), style)


def _resnet50(weights: str, device: str) -> Backbone:
    from torchvision.models import resnet50

    model = resnet50(weights=None)
    _fill(model, "ResNet50_Weights", weights)
    stem = nn.Sequential(model.conv1, model.bn1, nn.ReLU(), model.maxpool)
    layers = {"stem": stem, **{f"layer{i}": getattr(model, f"layer{i}") for i in range(1, 5)}}
    return _imagenet("resnet50", layers, device, ("layer3",), ("stem", "layer1", "layer2", "layer3"))


BACKBONES: Mapping[str, Callable[[str, str], Backbone]] = {
    "efficientnet-lite0": _lite0,
    "vgg19": _vgg19,
    "resnet50": _resnet50,
    "random": _random,
}


def _imagenet(
    name: str, layers: Mapping[str, nn.Module], device: str, content: tuple[str, ...], style: tuple[str, ...]
) -> Backbone:
    frozen = {k: _out_of_place(m).eval().requires_grad_(False).to(device) for k, m in layers.items()}
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return Backbone(name, frozen, mean.to(device), deviation.to(device), content, style)


def _fill(model: nn.Module, enum: str, weights: str) -> None:
    """Weights of a file, or of torchvision's cache; nothing is fetched."""
    import torchvision

    known = getattr(torchvision.models, enum).DEFAULT
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(known.url).name
    path = Path(weights) if weights else cached
    if not path.is_file():
        raise ArtifactError(
            f"{path} does not exist; fetch {known.url} there, give another file as weights, or use the backbone "
            "efficientnet-lite0, whose weights an installed package brings"
        )
    fill(model, path)


def _out_of_place(module: nn.Module) -> nn.Module:
    """Activations that were read must stay as they are."""
    for part in module.modules():
        if isinstance(part, nn.ReLU | nn.ReLU6):
            part.inplace = False
    return module
