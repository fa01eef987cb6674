"""Families of networks that packages build by name: ``torchvision:resnet50``, ``timm:vit_tiny_patch16_224``."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from recsys.errors import ArtifactError, ConfigError
from recsys.extras import require
from style.encoders.network import Network, NetworkEncoder, pooled_output
from style.encoders.reading import Pool
from style.encoders.trunk import choose_device
from style.encoders.weights import RANDOM, cached, fetched, fill, randomly


class Zoo(NetworkEncoder):
    """What such a family is made with; it says how its `network` is had."""

    name: str

    def __init__(
        self,
        model: str,
        device: str = "auto",
        layers: tuple[str, ...] = (),
        pool: Pool = "mean-std",
        weights: str = "",
        allow_download: bool = False,
    ) -> None:
        network = self.network(model, choose_device(device), weights, allow_download)
        super().__init__(f"{self.name}:{model}", network, layers, pool)

    @staticmethod
    def network(model: str, device: str, weights: str, allow_download: bool) -> Network:
        """The network with its weights."""
        raise NotImplementedError


class Torchvision(Zoo):
    """Any classifier of torchvision; a row is what its last linear layer is given.

    Args:
        model: As torchvision calls it, such as ``resnet50``.
        device: ``auto``, ``cpu`` or ``cuda``.
        layers: Read these modules in place, such as ``layer2`` or ``layer3.1.conv2``.
        pool: See `style.encoders.reading.layer_reader`.
        weights: A file with a state dict; "" takes torchvision's own from torch's cache; ``random`` none.
        allow_download: Fetch them if they are not there.

    Raises:
        ArtifactError: The weights are not there or do not fit.
        ConfigError: An unknown model or layer.
    """

    name = "torchvision"
    about = "any classifier of torchvision, any of its layers"

    @staticmethod
    def network(model: str, device: str, weights: str, allow_download: bool) -> Network:
        """See `torchvision_network`."""
        return torchvision_network(model, device, weights, allow_download)


class Timm(Zoo):
    """Any model of timm; a row is its pooled embedding.

    Arguments are as of `Torchvision`; layers are the model's own modules, such as ``layer2`` or ``blocks.3``. Weights
    of the hub are taken as safetensors only.

    Raises:
        ArtifactError: The weights are not there or do not fit.
        ConfigError: An unknown model or layer.
        MissingExtraError: timm is not installed.
    """

    name = "timm"
    extra = "timm"
    about = "any model of timm, any of its layers"

    @staticmethod
    def network(model: str, device: str, weights: str, allow_download: bool) -> Network:
        """See `timm_network`."""
        return timm_network(model, device, weights, allow_download)


@lru_cache(maxsize=4)
def torchvision_network(model: str, device: str, weights: str, allow_download: bool) -> Network:
    """See `Torchvision`."""
    from torchvision import models

    known = models.list_models(module=models)
    if model not in known:
        raise ConfigError(_unknown("torchvision", model, known))
    about = models.get_model_weights(model).DEFAULT

    def make() -> nn.Module:
        made: nn.Module = models.get_model(model, weights=None, **_quiet(model))
        return made

    module = _weighted(
        make, f"torchvision:{model}", weights, lambda: cached(model, about.url, allow_download=allow_download)
    )
    looks = about.transforms()
    return frozen(module, before_the_head(module), looks.mean, looks.std, int(looks.crop_size[0]), device)


@lru_cache(maxsize=4)
def timm_network(model: str, device: str, weights: str, allow_download: bool) -> Network:
    """See `Timm`."""
    timm = require("timm", extra="timm")
    if model.partition(".")[0] not in timm.list_models():
        raise ConfigError(_unknown("timm", model, timm.list_models()))

    def make() -> nn.Module:
        made: nn.Module = timm.create_model(model, pretrained=False, num_classes=0)
        return made

    probe = make()
    about = timm.data.resolve_model_data_config(probe)
    spare = _heads(probe)
    module = _weighted(
        make, f"timm:{model}", weights, lambda: _timm_file(model, probe.pretrained_cfg, allow_download), spare
    )
    return frozen(
        module, lambda x: pooled_output(module(x)), about["mean"], about["std"], about["input_size"][1], device
    )


def _timm_file(model: str, about: Any, allow_download: bool) -> Path:
    hub = about.get("hf_hub_id") if isinstance(about, dict) else None
    if not hub:
        raise ArtifactError(f"timm:{model} has no weights on the hub; give a file as weights")
    download = require("huggingface_hub", extra="timm").hf_hub_download
    found = fetched(f"timm:{model}", lambda: download(hub, "model.safetensors", local_files_only=not allow_download))
    return Path(str(found))


def _heads(module: nn.Module) -> tuple[str, ...]:
    """Where a file with the classifier keeps what a network without it has no place for."""
    about = getattr(module, "pretrained_cfg", {})
    names = about.get("classifier", ()) if isinstance(about, dict) else ()
    return tuple(f"{name}." for name in ([names] if isinstance(names, str) else names or ()))


def _weighted(
    make: Callable[[], nn.Module], name: str, weights: str, find: Callable[[], Path], spare: tuple[str, ...] = ()
) -> nn.Module:
    if weights == RANDOM:
        return randomly(make)
    path = Path(weights) if weights else find()
    module = make()
    fill(module, path, spare=spare)
    return module


def frozen(
    module: nn.Module,
    answer: Callable[[Tensor], Tensor],
    mean: Sequence[float],
    deviation: Sequence[float],
    size: int,
    device: str,
) -> Network:
    """A network in evaluation mode on its device."""
    module.eval().requires_grad_(False).to(device)
    return Network(module, answer, torch.tensor(mean, device=device), torch.tensor(deviation, device=device), size)


def before_the_head(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """Pictures → what the last linear layer is given; of a network without one, the mean of what it answers."""
    linear = [m for m in module.modules() if isinstance(m, nn.Linear)]

    def answer(x: Tensor) -> Tensor:
        given: list[Tensor] = []
        if not linear:
            return pooled_output(module(x))
        handle = linear[-1].register_forward_pre_hook(lambda layer, inputs: given.append(inputs[0]))
        try:
            module(x)
        finally:
            handle.remove()
        return given[0].flatten(1)

    return answer


def _quiet(model: str) -> dict[str, Any]:
    """Two old models announce their initialisation otherwise."""
    return {"init_weights": True} if model in ("googlenet", "inception_v3") else {}


def _unknown(family: str, model: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(model, known, n=5) or list(known)[:5]
    return f"{family} has no model {model!r}; some of its {len(known)}: {', '.join(close)}"
