"""What a product is drawn from: each visible trait comes from one of the styles in its mixture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.sample.canvas import Canvas
from evaluation.sample.geometry import ellipse
from evaluation.sample.palettes import STYLES, Palette, brightness, draw_palette, lighter
from evaluation.sample.patterns import PLACED, draw_pattern
from evaluation.sample.printing import Pattern
from evaluation.sample.stuff import Cloth, Colour, Relief


@dataclass(frozen=True)
class Recipe:
    """The traits of one product.

    Attributes:
        cut: The style its silhouette follows.
        trim: The style its details follow.
        palette: Its colours.
        pattern: Its print or weave.
        rng: Everything else about its shape.
    """

    cut: str
    trim: str
    palette: Palette
    pattern: Pattern
    rng: np.random.Generator

    def u(self, low: float, high: float) -> float:
        """A number between ``low`` and ``high``."""
        return float(self.rng.uniform(low, high))

    def maybe(self, chance: float) -> bool:
        """True with probability ``chance``."""
        return bool(self.rng.random() < chance)

    def cloth(self, scale: float = 1.0) -> Cloth:
        """The patterned stuff."""
        return self.pattern(self.rng, self.palette, scale)

    def around(self, scale: float = 1.0) -> Cloth:
        """The stuff of sleeves and legs: the pattern when it runs all over, else its plain ground."""
        return self.of(self.palette.main) if self.pattern in PLACED else self.cloth(scale)

    def of(self, colour: Colour, *, sheen: float | None = None) -> Cloth:
        """Plain stuff in the material of the cut's style."""
        base, grain, satin = _MATERIAL[self.cut]
        return Cloth.plain(colour, sheen=base if sheen is None else sheen, grain=grain, satin=satin)

    @property
    def second(self) -> Cloth:
        """Plain stuff of the contrast colour."""
        return self.of(self.palette.second)

    @property
    def leather(self) -> Cloth:
        """Smooth leather of the main colour."""
        return Cloth.plain(self.palette.main, sheen=0.85 if self.cut == "luxury" else 0.5, grain=0.012)

    @property
    def hard(self) -> Cloth:
        """The trim: metal gleams, horn and plastic less so."""
        return Cloth.plain(self.palette.trim, sheen=1.0 if self.palette.metal else 0.5, grain=0.0)

    @property
    def seam(self) -> Colour:
        """The colour of seams: darker than light stuff, lighter than dark stuff."""
        return lighter(self.palette.main, -0.42 if brightness(self.palette.main) > 0.22 else 0.26)

    @property
    def thread(self) -> Colour:
        """The colour of visible stitches."""
        contrast = self.palette.inks[-1] if self.cut in ("retro", "street") else self.palette.main
        return lighter(contrast, 0.35 if brightness(self.palette.main) < 0.5 else -0.25)


# style -> sheen, grain, satin of its plain stuff
_MATERIAL = {
    "retro": (0.2, 0.02, 0.0),
    "minimalist": (0.15, 0.012, 0.0),
    "street": (0.3, 0.014, 0.0),
    "luxury": (0.8, 0.006, 0.4),
}


def draw_recipe(mixture: npt.NDArray[np.float64], rng: np.random.Generator) -> Recipe:
    """Draw each trait from the style mixture, (n_styles,) summing to 1.

    Example:
        >>> draw_recipe(np.array([0, 0, 0, 1.0]), np.random.default_rng(0)).cut
        'luxury'
    """
    palette, pattern, cut, trim = (STYLES[int(i)] for i in rng.choice(len(STYLES), 4, p=mixture))
    return Recipe(cut, trim, draw_palette(palette, rng), draw_pattern(pattern, rng), rng)


def buttons(c: Canvas, r: Recipe, places: list[tuple[float, float]], radius: float) -> None:
    """Buttons with a rim and, when they are not metal, holes."""
    c.dots(places, radius, r.hard)
    if radius >= 2.2 and not r.palette.metal:
        dark = lighter(r.palette.trim, -0.6)
        flat = Cloth.plain(dark, sheen=0.0, grain=0.0)
        for x, y in places:
            for dx in (-0.35, 0.35):
                c.part(ellipse(x + dx * radius, y, 0.5, n=12), flat, Relief(puff=1, height=0, lift=0))
