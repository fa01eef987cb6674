"""The colours each style draws from."""

from __future__ import annotations

import colorsys
from dataclasses import dataclass

import numpy as np

from evaluation.sample.stuff import Colour

STYLES = ("retro", "minimalist", "street", "luxury")
"""The true styles, in the order of every style vector."""


@dataclass(frozen=True)
class Palette:
    """Colours in [0, 1] RGB.

    Attributes:
        main: The ground.
        second: Contrast parts (collar, cuffs, sole).
        accents: Further pattern colours.
        trim: Buttons, buckles, legs.
        metal: Whether the trim gleams.
    """

    main: Colour
    second: Colour
    accents: tuple[Colour, ...]
    trim: Colour
    metal: bool = False

    @property
    def inks(self) -> tuple[Colour, ...]:
        """Everything that may be printed on the ground."""
        return (self.second, *self.accents)


GOLD, STEEL, WOOD, BRONZE = "c79a3f", "a9adb3", "9a6a3f", "8a6a3c"

# (main, second, accents…), trim
_SETS: dict[str, tuple[tuple[str, str], ...]] = {
    "retro": (
        ("d99a2b f0dfb8 b4481e 5b3a21 2f7a78", WOOD),
        ("c8551f f3e2bd e3a735 6b3d1e 2f7a78", WOOD),
        ("2a7673 f2e3c0 e0a02f c5521f 5a3820", WOOD),
        ("6f4526 f0dcae d98a25 bf4b1d 7d8a3a", WOOD),
        ("efdcae 6b3d1e c8551f dba02f 2f7a78", WOOD),
        ("7f8a35 f1e4bf d99a2b 6a3f1f c2501f", WOOD),
        ("b5402c f2dfb4 e2a431 31706e 5b3a21", WOOD),
        ("e3b06a 7a3c1c c9571f f3e5c4 4d7d6b", WOOD),
    ),
    "minimalist": (
        ("f0ede6 d9d3c7 b9b2a5", STEEL),
        ("d8cfc0 f2efe8 a99f8f", STEEL),
        ("b8b6b1 efedea 7d7b78", STEEL),
        ("2c2c2e 4a4a4c 8b8b8d", "2c2c2e"),
        ("8d8a85 dcd9d3 55534f", STEEL),
        ("c9b79c efe8dc 8f7f68", "b99b72"),
        ("e6e3de 3a3a3c a3a09b", "3a3a3c"),
        ("a3aba9 e9eae8 6f7775", STEEL),
    ),
    "street": (
        ("1a1a1c f4f4f2 ff3b2f 35d0ff", "1a1a1c"),
        ("18181b d7ff2e f2f2f2 7a3cff", STEEL),
        ("f6f5f2 16161a ff4a1c 1f6bff", "16161a"),
        ("e0241f 131315 f6f6f4 ffd21f", "131315"),
        ("1d4fe0 f7f7f5 111114 ffd21f", "111114"),
        ("ff7a1a 131316 f5f5f3 22c7c0", "131316"),
        ("56603f 20221c 8d8a5e c9b98a", "20221c"),
        ("7a3cff 0f0f12 39f2b4 f4f4f4", "0f0f12"),
        ("ff4fa0 141417 f6f6f6 36d6ff", "141417"),
        ("8a8d92 17171a f3f3f3 ff4a1c", STEEL),
    ),
    "luxury": (
        ("0e4d3c 0a3329 c79a3f 14624c", GOLD),
        ("5a1026 3b0a19 c79a3f 7a1a37", GOLD),
        ("14245c 0c1740 c79a3f 243a80", GOLD),
        ("3d1a52 260f35 c79a3f 58297a", GOLD),
        ("17141a 2b2530 c79a3f 3b3342", GOLD),
        ("e9d9bd c9b48d c79a3f b79a6c", GOLD),
        ("0f4a55 0a323b c79a3f 1a6371", GOLD),
        ("7a1f2a 4d121a d3a84c 96303d", GOLD),
        ("d8b7a6 b98f7d c79a3f c9a08e", GOLD),
    ),
}


def draw_palette(style: str, rng: np.random.Generator) -> Palette:
    """A palette of ``style``, every colour a little off so that no two products share one.

    Example:
        >>> draw_palette("luxury", np.random.default_rng(1)).metal
        True
    """
    colours, trim = _SETS[style][int(rng.integers(len(_SETS[style])))]
    main, second, *accents = (_jitter(_rgb(c), rng) for c in colours.split())
    return Palette(main, second, tuple(accents), _rgb(trim), metal=trim in (GOLD, STEEL, BRONZE))


def lighter(colour: Colour, amount: float) -> Colour:
    """Towards white (positive) or black (negative), ``amount`` in [-1, 1]."""
    goal = 1.0 if amount > 0 else 0.0
    r, g, b = (c + (goal - c) * abs(amount) for c in colour)
    return (r, g, b)


def brightness(colour: Colour) -> float:
    """Luma in [0, 1]."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def _rgb(text: str) -> Colour:
    r, g, b = (int(text[i : i + 2], 16) / 255 for i in (0, 2, 4))
    return (r, g, b)


def _jitter(colour: Colour, rng: np.random.Generator) -> Colour:
    h, s, v = colorsys.rgb_to_hsv(*colour)
    dh, ds, dv = rng.normal(0, (0.008, 0.03, 0.025))
    scale = min(s * 4, 1.0)  # greys stay grey
    r, g, b = colorsys.hsv_to_rgb(
        (h + dh) % 1, float(np.clip(s + ds * scale, 0, 1)), float(np.clip(v + dv, 0.05, 0.97))
    )
    return (r, g, b)
