"""What parts are made of and how they bulge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from evaluation.sample.geometry import (
    Anchor,
    Floats,
    Points,
)

WIDTH, HEIGHT, SCALE = 240, 320, 4
"""Size of a photo in pixels, and how much finer outlines are drawn before they are reduced."""

Colour = tuple[float, float, float]

Outline = Sequence[Anchor] | Points

LIGHT = (0.62, 0.78)


@dataclass(frozen=True)
class Cloth:
    """What a part is made of.

    Attributes:
        texture: (HEIGHT, WIDTH, 3) float32 RGB in [0, 1], read with wrap-around.
        bump: (HEIGHT, WIDTH) height of its structure (ribs, quilting), or None.
        sheen: Strength of highlights: 0 felt, 1 satin or lacquer.
        grain: Strength of the fine noise of its surface.
        satin: Strength of the long soft reflections of silk.
    """

    texture: Floats
    bump: Floats | None = None
    sheen: float = 0.25
    grain: float = 0.015
    satin: float = 0.0

    @classmethod
    def plain(cls, colour: Colour, *, sheen: float = 0.25, grain: float = 0.015, satin: float = 0.0) -> Cloth:
        """One colour all over."""
        texture = np.broadcast_to(np.asarray(colour, np.float32), (HEIGHT, WIDTH, 3))
        return cls(texture, sheen=sheen, grain=grain, satin=satin)

    def shaded(self, factor: float) -> Cloth:
        """The same, darker or lighter."""
        return replace(self, texture=np.clip(self.texture * np.float32(factor), 0, 1))


@dataclass(frozen=True)
class Relief:
    """How a part bulges.

    Attributes:
        puff: Width of the rounding along its border, pixels.
        height: Strength of that rounding.
        round: 0 flat … 1 a turned body, lit across each row like a cylinder.
        folds: (anchors, width, depth) of soft strokes; positive depth stands out.
        fan: 0 … 1: how far the pattern follows the part's width (a flared skirt's stripes fan out).
        shift: Pattern offset (x, y), so that cut pieces do not continue each other.
        lift: Strength of the shadow it throws on what lies below.
    """

    puff: float = 4.0
    height: float = 1.0
    round: float = 0.0
    folds: tuple[tuple[Sequence[Anchor], float, float], ...] = ()
    fan: float = 0.0
    shift: tuple[int, int] = (0, 0)
    lift: float = 0.3


FLAT = Relief(puff=1.5, height=0.4)
