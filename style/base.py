"""The seams of `style/`: image batches, encoders and stylizers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from recsys.errors import ConfigError, DataError
from recsys.files import stable_hash

Images = npt.NDArray[np.uint8]
"""An image batch: (n, h, w, 3) uint8, RGB."""


@dataclass(frozen=True)
class StylizerSpec:
    """What a user must know before choosing a stylizer.

    Attributes:
        name: Its registered name.
        kind: ``colour`` (closed form), ``network`` or ``remote``.
        needs: Inputs beside the photo: ``style-image``, ``prompt``, ``mask``, ``training``.
        extra: The extra that brings its packages; "" for the core.
        offline: Whether it works without a network.
        deterministic: Same input and seed, same pixels.
        size_multiple: Height and width must be multiples of this; 1 = any size.
        code_licence: SPDX id of the code.
        weights_licence: SPDX id of the weights; "" when there are none.
        commercial: Whether both licences allow commercial use.
        about: One line.
    """

    name: str
    kind: Literal["colour", "network", "remote"]
    needs: tuple[str, ...] = ("style-image",)
    extra: str = ""
    offline: bool = True
    deterministic: bool = True
    size_multiple: int = 1
    code_licence: str = "MIT"
    weights_licence: str = ""
    commercial: bool = True
    about: str = ""


@dataclass(frozen=True, eq=False)
class StyleCode:
    """A style as numbers: what `Stylizer.encode` makes of a style image, hashable and mixable.

    Attributes:
        stylizer: Name of the stylizer that understands it.
        arrays: Named float32 arrays.

    Example:
        >>> a = StyleCode("x", {"v": np.zeros(2, np.float32)})
        >>> b = StyleCode("x", {"v": np.ones(2, np.float32)})
        >>> StyleCode.mix({a: 0.7, b: 0.3}).arrays["v"]
        array([0.3, 0.3], dtype=float32)
    """

    stylizer: str
    arrays: Mapping[str, npt.NDArray[np.float32]]
    key: str = field(init=False)

    def __post_init__(self) -> None:
        parts = {name: [a.shape, a.tobytes().hex()] for name, a in self.arrays.items()}
        object.__setattr__(self, "key", stable_hash([self.stylizer, parts]))

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StyleCode) and self.key == other.key

    def read(self, stylizer: str) -> Mapping[str, npt.NDArray[np.float32]]:
        """The arrays, for the stylizer that paints by them.

        Raises:
            ConfigError: They are another stylizer's.
            DataError: They hold values that are not finite.

        Example:
            >>> StyleCode("x", {}).read("y")
            Traceback (most recent call last):
            recsys.errors.ConfigError: y: the code is of x; encode the style with y
        """
        if self.stylizer != stylizer:
            raise ConfigError(f"{stylizer}: the code is of {self.stylizer}; encode the style with {stylizer}")
        if not all(np.isfinite(array).all() for array in self.arrays.values()):
            raise DataError(f"{stylizer}: the style code has values that are not finite; encode the style again")
        return self.arrays

    @staticmethod
    def mix(parts: Mapping[StyleCode, float]) -> StyleCode:
        """The weighted mean of several codes of one stylizer; weights are normalised to sum to 1.

        Raises:
            ConfigError: Codes are of several stylizers, or of models or options that do not go together; or a weight
                is negative or not finite, or all are 0.
        """
        names = {code.stylizer for code in parts}
        total = float(sum(parts.values()))
        if len(names) != 1 or not (0 < total < np.inf and min(parts.values()) >= 0):
            got = f"{sorted(names)} with {', '.join(f'{w:g}' for w in parts.values())}"
            raise ConfigError(f"mix codes of one stylizer with weights >= 0 that sum to more, got {got}")
        if len({tuple((k, a.shape) for k, a in sorted(code.arrays.items())) for code in parts}) > 1:
            raise ConfigError(f"codes of {names.pop()} are of different models or options; encode all with the same")
        arrays = {
            key: np.asarray(sum(np.float32(w / total) * code.arrays[key] for code, w in parts.items()), np.float32)
            for key in next(iter(parts)).arrays
        }
        return StyleCode(names.pop(), arrays)


@runtime_checkable
class Stylizer(Protocol):
    """F(I, S): restyles a batch of photos to a style."""

    spec: StylizerSpec

    def encode(self, style: Images) -> StyleCode:
        """The code of a style image ((1, h, w, 3); several are averaged)."""
        ...

    def apply(self, images: Images, code: StyleCode, *, seed: int = 0) -> Images:
        """Restyle (n, h, w, 3) uint8 to the same shape."""
        ...


@runtime_checkable
class Encoder(Protocol):
    """Image → vector."""

    name: str
    size: int
    """The height and width in pixels that `encode` expects."""
    semantic: bool
    """Whether its cosine says that two pictures show the same thing; the guard uses the first such encoder."""
    whiten: int
    """Raw rows tell little by cosine: whiten them to this many dimensions before use; 0 = use them raw."""

    def encode(self, images: Images) -> npt.NDArray[np.float32]:
        """(n, size, size, 3) uint8 → (n, d) float32, finite."""
        ...
