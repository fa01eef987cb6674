"""Encoders by what a user writes: ``gram``, ``efficientnet-lite0@stage5``, ``timm:resnet18@layer2``, ``hf:clip``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys.errors import ConfigError, unknown_name
from recsys.files import stable_hash
from recsys.registry import component, create, names
from style.base import Encoder, Images


@dataclass(frozen=True)
class Spec:
    """An encoder as it is written: ``name``, ``name:model``, and after ``@`` layers joined by ``+``.

    Attributes:
        name: Registered.
        model: Which of a family: a model's name, a file or a folder; "" where there is but one.
        layers: Read these in place of the last.

    Example:
        >>> Spec.read("timm:resnet18@layer1+layer2")
        Spec(name='timm', model='resnet18', layers=('layer1', 'layer2'))
    """

    name: str
    model: str = ""
    layers: tuple[str, ...] = ()

    @classmethod
    def read(cls, text: str) -> Spec:
        """Take it apart; a model's name may hold ``@`` only as the last sign before layers."""
        name, colon, rest = text.partition(":")
        if not colon:
            name, _, layers = text.partition("@")
            return cls(name, "", _layers(layers))
        model, _, layers = rest.partition("@")
        return cls(name, model, _layers(layers))

    def options(self) -> dict[str, Any]:
        """As arguments of the encoder."""
        found: dict[str, Any] = {"model": self.model} if self.model else {}
        return found | ({"layers": self.layers} if self.layers else {})


def _layers(text: str) -> tuple[str, ...]:
    return tuple(layer for layer in text.split("+") if layer)


def is_encoder(text: str) -> bool:
    """Whether a registered encoder of pictures is meant.

    Example:
        >>> is_encoder("gram"), is_encoder("category")
        (True, False)
    """
    return Spec.read(text).name in names("encoders")


def make_encoder(text: str, *, device: str = "auto", base: Path | None = None, **options: Any) -> Encoder:
    """The encoder that ``text`` means; its name is ``text``, and a digest of the options where there are some.

    Args:
        text: See `Spec`.
        device: ``auto``, ``cpu`` or ``cuda``.
        base: Where relative paths of files and folders start; None: the working folder.
        options: Of the encoder, such as ``pool``.

    Raises:
        ConfigError: An unknown encoder, a family without a model, layers where there are none, or a wrong option.

    Example:
        >>> make_encoder("palette", colours=3).encode(np.zeros((2, 64, 64, 3), np.uint8)).shape
        (2, 16)
    """
    spec = Spec.read(text)
    if spec.name not in names("encoders"):
        raise ConfigError(unknown_name("encoder", spec.name, names("encoders")))
    wanted = spec.options() | options
    takes_model = getattr(component("encoders", spec.name), "family", "")
    if takes_model and not spec.model:
        raise ConfigError(f"encoder {spec.name!r} is a family; write {spec.name}:{takes_model}")
    if spec.model and not takes_model:
        raise ConfigError(f"encoder {spec.name!r} is one and has no {spec.model!r}; write {spec.name}")
    for key in ("model", "weights"):
        if base is not None and isinstance(wanted.get(key), str) and wanted[key] and (base / wanted[key]).exists():
            wanted[key] = str(base / wanted[key])
    name = f"{text} {stable_hash(options)[:8]}" if options else text
    return Named(create("encoders", spec.name, device=device, **wanted), name)


class Named:
    """An encoder under another name, so that two of one kind stand side by side."""

    def __init__(self, encoder: Encoder, name: str) -> None:
        self._encoder, self.name = encoder, name
        self.size, self.semantic, self.whiten = encoder.size, encoder.semantic, encoder.whiten

    def encode(self, images: Images) -> npt.NDArray[np.float32]:
        """As the encoder does."""
        return self._encoder.encode(images)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._encoder, name)  # trunk, reader, key


class FunctionEncoder:
    """Any function of pictures as an encoder, for use from Python; a study file names encoders that are registered.

    Args:
        name: Of its block.
        function: (n, size, size, 3) uint8 RGB → (n, d) numbers.
        size: Height and width of the pictures it is given.
        semantic: Whether its cosine says that two pictures show the same thing.
        whiten: See `Encoder`.
        key: Any text that changes when the function does, so that a resumed run notices.

    Example:
        >>> encoder = FunctionEncoder("mean", lambda images: images.mean((1, 2)), size=8)
        >>> encoder.encode(np.zeros((2, 8, 8, 3), np.uint8)).tolist()
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    """

    def __init__(
        self,
        name: str,
        function: Callable[[Images], npt.ArrayLike],
        *,
        size: int,
        semantic: bool = False,
        whiten: int = 0,
        key: str = "",
    ) -> None:
        if size < 1:
            raise ConfigError(f"{name}: size must be >= 1 pixel, got {size}")
        self.name, self.size, self.semantic, self.whiten, self.key = name, size, semantic, whiten, key
        self._function = function

    def encode(self, images: Images) -> npt.NDArray[np.float32]:
        """(n, size, size, 3) uint8 → (n, d) float32."""
        return np.asarray(self._function(images), np.float32)
