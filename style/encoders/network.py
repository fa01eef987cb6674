"""Any torch network as a trunk: its layers are read by hooks, several encoders in one pass."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recsys.errors import ConfigError, DataError
from style.base import Images
from style.encoders.reading import Pool, layer_reader
from style.encoders.trunk import POOLS, Reader, Rows, Tap, spatial_mean

OUTPUT = "output"
"""The layer that stands for what the network itself answers."""
STEP = 16
"""Pictures at once."""


class _Seen(Exception):
    """Every layer that was asked for has answered: what lies deeper need not be computed."""


@dataclass(frozen=True, eq=False)
class Network:
    """A network and how it wants its pictures.

    Attributes:
        module: Frozen, in evaluation mode, on its device.
        answer: Normalised pictures (n, 3, h, w) → (n, d): the network's own embedding.
        mean: (3,) subtracted from values 0..1.
        deviation: (3,) divides them.
        size: Height and width of the pictures.
    """

    module: nn.Module
    answer: Callable[[Tensor], Tensor]
    mean: Tensor
    deviation: Tensor
    size: int

    @property
    def layers(self) -> tuple[str, ...]:
        """Its modules by name, then `OUTPUT`."""
        return (*(name for name, _ in self.module.named_modules() if name), OUTPUT)

    def run(self, images: Images, readers: Sequence[Reader]) -> list[Rows]:
        """(n, size, size, 3) uint8 → one (n, d) float32 a reader; nothing deeper than the last layer is computed."""
        if not len(images):
            blank = np.zeros((1, self.size, self.size, 3), np.uint8)
            return [rows[:0] for rows in self.run(blank, readers)]
        taps = sorted({tap for reader in readers for tap in reader.taps})
        parts = [self._pooled(images[i : i + STEP], taps) for i in range(0, len(images), STEP)]
        seen = {tap: np.concatenate([part[tap] for part in parts]) for tap in taps}
        return [reader.finish([seen[tap] for tap in reader.taps]) for reader in readers]

    def _pooled(self, images: Images, taps: Sequence[Tap]) -> dict[Tap, Rows]:
        with torch.inference_mode():
            pixels = torch.from_numpy(np.ascontiguousarray(images)).to(self.mean.device).permute(0, 3, 1, 2)
            x = (pixels.float() / 255 - self.mean[:, None, None]) / self.deviation[:, None, None]
            found = self._activations(x, {tap.stage for tap in taps})
            return {tap: _array(self._pool(tap, found[tap.stage])) for tap in taps}

    def _activations(self, x: Tensor, wanted: set[int]) -> dict[int, Any]:
        """Place of a layer → what it answers; of a layer that is called several times, at the first call."""
        known, modules = self.layers, dict(self.module.named_modules())
        found: dict[int, Any] = {}

        def look(place: int) -> Callable[..., None]:
            def hook(module: nn.Module, given: Any, answer: Any) -> None:
                found.setdefault(place, answer)
                if wanted <= found.keys():
                    raise _Seen

            return hook

        inner = [place for place in wanted if known[place] != OUTPUT]
        handles = [modules[known[place]].register_forward_hook(look(place)) for place in inner]
        try:
            found[len(known) - 1] = self.answer(x)
        except _Seen:
            pass
        finally:
            for handle in handles:
                handle.remove()
        silent = [known[place] for place in wanted - found.keys()]
        if silent:
            raise ConfigError(f"layer {silent[0]!r} is no part of what the network computes; name another")
        return found

    def _pool(self, tap: Tap, activation: Any) -> Tensor:
        layer, features = self.layers[tap.stage], _first(activation)
        if layer == OUTPUT:
            return features
        if features.ndim not in (3, 4):
            cure = "name one before the pooling"
            raise ConfigError(f"layer {layer!r} answers shape {tuple(features.shape)}, not a map of places; {cure}")
        return POOLS[tap.pool](as_map(features).float())


def as_map(features: Tensor) -> Tensor:
    """Activations as (n, c, h, w): tokens (n, t, c) become (n, c, t, 1), and channels that stand last go before places.

    Pictures are square, so the two sides that are equal are the places.

    Example:
        >>> as_map(torch.zeros(2, 7, 7, 96)).shape
        torch.Size([2, 96, 7, 7])
    """
    if features.ndim == 3:
        return features.transpose(1, 2)[..., None]
    _, a, b, c = features.shape
    return features.permute(0, 3, 1, 2) if a == b != c else features


def _first(answer: Any) -> Tensor:
    """The tensor of an answer, of several the first."""
    while not isinstance(answer, Tensor):
        try:
            answer = next(iter(answer.values() if isinstance(answer, dict) else answer))
        except (TypeError, StopIteration) as error:
            raise DataError(f"a layer answered {type(answer).__name__}, expected a tensor; name another") from error
    return answer


def _array(values: Tensor) -> Rows:
    return np.asarray(values.float().cpu().numpy(), np.float32)


def pooled_output(answer: Any) -> Tensor:
    """(n, d) of what a network without a head answers: a vector as it is, a map or tokens by their mean."""
    features = getattr(answer, "pooler_output", None)
    if features is None:
        features = _first(answer)
    return features if features.ndim == 2 else spatial_mean(as_map(features))


class NetworkEncoder:
    """What an encoder of a family has in common; a family fills `network`."""

    whiten = 0
    extra = ""
    family = "MODEL"
    weights_licence = "see the model"

    def __init__(self, name: str, network: Network, layers: tuple[str, ...], pool: Pool) -> None:
        self.name = name
        self.trunk, self.size = network, network.size
        self.semantic = not layers
        if layers:
            self.whiten = 64
        self.key = f"{pool} of {', '.join(layers)}" if layers else ""
        known = network.layers
        self.reader = layer_reader(name, known, layers or known[-1:], pool if layers else "mean")

    def encode(self, images: Images) -> Rows:
        """(n, size, size, 3) uint8 → (n, d) float32."""
        return self.trunk.run(images, [self.reader])[0]
