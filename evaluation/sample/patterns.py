"""Prints and weaves by style; each answers what a part is made of."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from evaluation.sample.palettes import Palette
from evaluation.sample.patterns_luxury import chain, damask, lattice, pinstripe, quilt, satin, velvet
from evaluation.sample.patterns_retro import (
    arches,
    broad,
    corduroy,
    daisies,
    diamonds,
    plaid,
    polka,
    rings,
    sunset,
    waves,
)
from evaluation.sample.patterns_street import (
    camo,
    checker,
    graphic,
    halftone,
    hazard,
    scribble,
    splatter,
    tiedye,
)
from evaluation.sample.printing import (
    Pattern,
    edge,
    grid,
    ground,
    ink,
)
from evaluation.sample.stuff import HEIGHT, WIDTH, Cloth


def plain(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """One colour, matte."""
    return Cloth(ground(p.main), grain=0.012, sheen=0.15)


def linen(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """One colour with slubs along and across."""
    texture = ground(p.main)
    along = ndimage.uniform_filter1d(rng.standard_normal((HEIGHT, WIDTH)).astype(np.float32), 15, axis=1)
    across = ndimage.uniform_filter1d(rng.standard_normal((HEIGHT, WIDTH)).astype(np.float32), 15, axis=0)
    texture *= (1 + 0.055 * (along + across))[..., None]
    return Cloth(np.clip(texture, 0, 1), sheen=0.1)


def rib(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """One colour, finely ribbed."""
    xx, _ = grid()
    return Cloth(ground(p.main), bump=0.13 * np.sin(2 * np.pi * xx / 4).astype(np.float32), sheen=0.15)


def block(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Two quiet colours, one above the other."""
    _, yy = grid()
    texture = ground(p.main)
    ink(texture, p.second, edge(yy - rng.uniform(150, 190)))
    return Cloth(texture, sheen=0.15)


def breton(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Thin, wide-set stripes."""
    _, yy = grid()
    texture = ground(p.main)
    step = rng.uniform(11, 16)
    ink(texture, p.inks[-1], edge(0.8 - np.abs(yy % step - step / 2)))
    return Cloth(texture, sheen=0.15)


PATTERNS: dict[str, tuple[tuple[Pattern, float], ...]] = {
    "retro": (
        (daisies, 3), (rings, 2), (waves, 2), (sunset, 1.5), (arches, 2), (diamonds, 1.2), (broad, 1.6),
        (polka, 1.2),
        (plaid, 1), (corduroy, 1.2),
    ),
    "minimalist": ((plain, 5), (linen, 2.2), (rib, 2), (block, 1), (breton, 1)),
    "street": (
        (camo, 1.8), (tiedye, 1.4), (splatter, 1.4), (scribble, 1.6), (checker, 1), (hazard, 1.2),
        (graphic, 3), (halftone, 1),
    ),
    "luxury": (
        (satin, 4), (velvet, 2), (damask, 1.6), (quilt, 1.2), (pinstripe, 1), (lattice, 1.2), (chain, 0.8),
    ),
}  # fmt: skip
"""Patterns of each style, with weights."""

PLACED: frozenset[Pattern] = frozenset({sunset, block, hazard, graphic})
"""Prints that sit in one place on the body and are left out on sleeves and legs."""


def draw_pattern(style: str, rng: np.random.Generator) -> Pattern:
    """A pattern of ``style``."""
    table = PATTERNS[style]
    weights = np.array([w for _, w in table])
    return table[int(rng.choice(len(table), p=weights / weights.sum()))][0]
