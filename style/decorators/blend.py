"""Decorators that mix the restyled picture with the photo: `Strength` and `KeepColour`."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from recsys.errors import ConfigError
from style.base import Images
from style.compose import mixed, to_picture
from style.decorators.base import Call, Painted
from style.lab import Floats


@dataclass(frozen=True)
class Strength:
    """Take a share of the style; 0 is the photo and 1 the restyled picture, bit by bit.

    Attributes:
        share: 0..1.

    Example:
        >>> Strength(1.2)
        Traceback (most recent call last):
        recsys.errors.ConfigError: strength.share must be in 0..1, got 1.2
    """

    share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ConfigError(f"strength.share must be in 0..1, got {self.share:g}")

    def paint(self, call: Call) -> Painted:
        """Mix photo and picture in sRGB."""
        painted = call.painted()
        shares = np.full(len(call.images), self.share, np.float32)
        return replace(painted, images=blend(call.images, painted.images, shares), shares=painted.shares * shares)


@dataclass(frozen=True)
class KeepColour:
    """Take only lightness from the style: the photo's two chroma planes (YCbCr, ITU-R BT.601) stay.

    Where luma and chroma together leave sRGB the colour is clipped.
    """

    def paint(self, call: Call) -> Painted:
        """Exchange luma alone."""
        painted = call.painted()
        pairs = zip(call.images, painted.images, strict=True)
        return painted.with_images(np.stack([to_picture(mixed(*pair, 1.0, keep_colour=True)) for pair in pairs]))


def blend(before: Images, after: Images, shares: Floats) -> Images:
    """(n, h, w, 3): ``shares`` (n,) of ``after``, the rest ``before``; 0 and 1 are exact."""
    pairs = zip(before, after, shares.tolist(), strict=True)
    return np.stack([b if s == 0 else a if s == 1 else to_picture(mixed(b, a, s)) for b, a, s in pairs])
