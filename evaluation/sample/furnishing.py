"""What things that stand on a floor share."""

from __future__ import annotations

import numpy as np

from evaluation.sample.canvas import Canvas
from evaluation.sample.geometry import (
    Anchor,
)
from evaluation.sample.recipe import Recipe
from evaluation.sample.stuff import Cloth, Colour, Relief

FLOOR = 288.0

WOODS: dict[str, Colour] = {
    "retro": (0.50, 0.30, 0.16),
    "minimalist": (0.80, 0.67, 0.50),
    "street": (0.16, 0.16, 0.17),
    "luxury": (0.27, 0.14, 0.09),
}


def wood(r: Recipe) -> Cloth:
    """Teak, pale oak, black steel or mahogany, by the cut's style."""
    colour = np.array(WOODS[r.cut], np.float32)
    if r.cut == "street":
        return Cloth.plain(WOODS["street"], sheen=0.7)
    yy, xx = np.mgrid[0:320, 0:240].astype(np.float32)
    vein = 0.06 * np.sin(xx * 0.9 + 3 * np.sin(yy / 38 + r.u(0, 6))) + 0.04 * np.sin(xx * 2.3 + yy / 25)
    texture = np.asarray(np.clip(colour * (1 + vein)[..., None], 0, 1), np.float32)
    return Cloth(texture, sheen=0.9 if r.cut == "luxury" else 0.35, grain=0.02)


def leg(c: Canvas, cloth: Cloth, x0: float, y0: float, x1: float, y1: float, w0: float, w1: float) -> None:
    """A tapering leg from (x0, y0) to (x1, y1)."""
    shape: list[Anchor] = [(x0 - w0, y0, 1), (x0 + w0, y0, 1), (x1 + w1, y1, 1), (x1 - w1, y1, 1)]
    c.part(shape, cloth, Relief(puff=2, height=0.8, round=0.4, lift=0.1))
