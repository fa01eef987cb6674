"""What a decorator is: a rule laid over any stylizer, which is a stylizer again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from recsys.config import to_mapping
from recsys.errors import DataError
from style.base import Images, StyleCode, Stylizer, StylizerSpec
from style.lab import Floats


@dataclass(frozen=True, eq=False)
class Painted:
    """Restyled photos, and what is to be told of each.

    Attributes:
        images: (n, h, w, 3) uint8.
        shares: (n,) float32, 0..1: how much of the style was taken.
        reasons: Why a picture may not be shown, or is the original; "" where all is well.
        scores: The last guard's, (n,) each.
    """

    images: Images
    shares: Floats
    reasons: tuple[str, ...]
    scores: Mapping[str, Floats] = field(default_factory=dict)

    @classmethod
    def plain(cls, images: Images) -> Painted:
        """All of the style was taken, and nothing is to be told."""
        return cls(images, np.ones(len(images), np.float32), ("",) * len(images))

    def with_images(self, images: Images) -> Painted:
        """The same told of other pixels."""
        return replace(self, images=images)


class Decorator(Protocol):
    """One rule over a stylizer; a frozen dataclass whose fields are its keys in TOML."""

    def paint(self, call: Call) -> Painted:
        """Restyle the photos of ``call`` under this rule."""
        ...


@dataclass(frozen=True, eq=False)
class Call:
    """What a decorator is asked for.

    Attributes:
        inner: What it decorates.
        images: (n, h, w, 3) uint8 photos.
        code: Of the style.
        seed: Of everything random.
        key: Stable hash of what ``inner`` is; "" where nobody said.
    """

    inner: Stylizer
    images: Images
    code: StyleCode
    seed: int
    key: str

    def painted(self, images: Images | None = None, *, seed: int | None = None) -> Painted:
        """What ``inner`` makes of the photos, or of others."""
        chosen = self.images if images is None else images
        return paint(self.inner, chosen, self.code, seed=self.seed if seed is None else seed)

    def take(self, rows: list[int]) -> Call:
        """Of some photos."""
        return replace(self, images=self.images[rows])


def paint(stylizer: Stylizer, images: Images, code: StyleCode, *, seed: int = 0) -> Painted:
    """What a stylizer makes, and what its decorators tell of it.

    Raises:
        DataError: ``images`` are not (n, h, w, 3) uint8, or the stylizer answered another shape.
    """
    if images.ndim != 4 or images.shape[3] != 3 or images.dtype != np.uint8:
        raise DataError(f"photos must be (n, h, w, 3) uint8, got {images.shape} {images.dtype}; read them with decode")
    if isinstance(stylizer, Decorated):
        return stylizer.paint(images, code, seed=seed)
    if not len(images):
        return Painted.plain(images)
    made = stylizer.apply(images, code, seed=seed)
    if made.shape != images.shape or made.dtype != np.uint8:
        raise DataError(
            f"stylizer {stylizer.spec.name!r} made {made.shape} {made.dtype} of {images.shape} uint8; "
            "it must keep shape and type"
        )
    return Painted.plain(made)


class Decorated:
    """A stylizer under one decorator; decorate it again to lay another on top.

    Attributes:
        spec: The inner stylizer's.
        inner: What is decorated.
        decorator: The rule.
        key: Stable hash of what ``inner`` is.
    """

    def __init__(self, inner: Stylizer, decorator: Decorator, *, key: str = "") -> None:
        self.inner, self.decorator, self.key = inner, decorator, key
        self.spec: StylizerSpec = inner.spec

    def encode(self, style: Images) -> StyleCode:
        """The inner stylizer's code."""
        return self.inner.encode(style)

    def apply(self, images: Images, code: StyleCode, *, seed: int = 0) -> Images:
        """(n, h, w, 3) uint8 → the same shape; `paint` tells more."""
        return self.paint(images, code, seed=seed).images

    def paint(self, images: Images, code: StyleCode, *, seed: int = 0) -> Painted:
        """Pictures, shares, reasons and scores."""
        code.read(self.spec.name)
        if not len(images):
            return Painted.plain(images)
        return self.decorator.paint(Call(self.inner, images, code, seed, self.key))


def table_of(decorator: Decorator) -> dict[str, Any]:
    """A decorator's keys, defaults included."""
    found: dict[str, Any] = to_mapping(decorator)
    return found
