"""A product photo from a category, a style mixture and a seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.sample import bags, bottoms, coats, decor, dresses, seats, shoes, tops
from evaluation.sample.canvas import Canvas
from evaluation.sample.recipe import Recipe, draw_recipe
from recsys.errors import ConfigError, unknown_name


@dataclass(frozen=True)
class Category:
    """One kind of product.

    Attributes:
        title: As product titles call it.
        draw: Draws it; answers the y of its ground, or None when it lies flat.
        share: Share of the catalogue, relative.
        price: Typical price.
        zoom: Size in the frame.
        drop: Shift down in the frame, pixels.
    """

    title: str
    draw: Callable[[Canvas, Recipe], float | None]
    share: float
    price: float
    zoom: float = 1.0
    drop: float = 0.0


CATEGORIES: dict[str, Category] = {
    "dress": Category("Dress", dresses.dress, 1.5, 90, 1.04, -2),
    "t-shirt": Category("T-shirt", tops.t_shirt, 1.3, 28, 1.14, 22),
    "shirt": Category("Shirt", tops.shirt, 1.1, 55, 1.08, 16),
    "coat": Category("Coat", coats.coat, 1.0, 180, 1.05, 2),
    "trousers": Category("Trousers", bottoms.trousers, 1.1, 75, 1.04, -2),
    "skirt": Category("Skirt", bottoms.skirt, 1.0, 60, 1.1, 2),
    "sneaker": Category("Sneaker", shoes.sneaker, 1.1, 95, 1.12, -30),
    "boot": Category("Boot", shoes.boot, 0.9, 140),
    "handbag": Category("Handbag", bags.handbag, 1.0, 120, 1.12, 6),
    "lamp": Category("Lamp", decor.lamp, 0.9, 85, 1.05, -16),
    "chair": Category("Chair", seats.chair, 0.9, 210, 1.08, -18),
    "vase": Category("Vase", decor.vase, 0.9, 45, 1.12, -22),
    "sofa": Category("Sofa", seats.sofa, 0.8, 720, 1.06, -54),
}
"""Every category by the name it has in the catalogue."""


def draw_item(category: str, mixture: npt.NDArray[np.float64], *, seed: int | list[int]) -> npt.NDArray[np.uint8]:
    """A studio photo of one product.

    Args:
        category: A name of `CATEGORIES`.
        mixture: (n_styles,) shares in the order of `STYLES`, summing to 1; each visible trait
            (colours, pattern, silhouette, details) is drawn from it.
        seed: Same seed, same pixels.

    Returns:
        (320, 240, 3) uint8 RGB.

    Raises:
        ConfigError: An unknown category.

    Example:
        >>> draw_item("vase", np.array([1.0, 0, 0, 0]), seed=1).shape
        (320, 240, 3)
    """
    if category not in CATEGORIES:
        raise ConfigError(unknown_name("category", category, CATEGORIES))
    kind, rng = CATEGORIES[category], np.random.default_rng(seed)
    flat = kind.draw.__module__ in {m.__name__ for m in (bottoms, coats, dresses, tops)}
    canvas = Canvas(
        rng,
        tilt=float(rng.normal(0, 0.008)) * flat,
        size=kind.zoom * float(rng.uniform(0.95, 1.01)),
        drop=kind.drop,
    )
    recipe = draw_recipe(mixture, rng)
    return canvas.photo(floor=kind.draw(canvas, recipe), backdrop=float(rng.uniform(0.835, 0.855)))
