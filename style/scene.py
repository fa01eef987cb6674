"""Backdrops, shadows and grades of our own: pure array functions on planes (3, h, w) float32, 0..255."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from recsys.errors import ConfigError, unknown_name
from style.lab import Floats, rgb_to_lab
from style.paint import Rng, mix, pixel, soft
from style.raster import box_mean
from style.spectacle import bokeh, confetti, garland, gilded, leaf_shadow, posters
from style.surfaces import asphalt, brick, concrete, linen, marble, planks, velvet

Palette = tuple[str, ...]


@dataclass(frozen=True)
class Backdrop:
    """What stands behind the product.

    Attributes:
        kinds: Drawings to choose from, one an item: see `BACKDROPS`.
        palettes: Colour sets (#rrggbb, ground first); each item gets one that its product stands out from.
        jitter: How much position and size differ from item to item (0 = not at all).
    """

    kinds: tuple[str, ...]
    palettes: tuple[Palette, ...]
    jitter: float = 1.0

    def __post_init__(self) -> None:
        if not self.kinds or not self.palettes:
            raise ConfigError("backdrop needs at least one kind and one palette, e.g. kinds = ['studio']")
        for kind in self.kinds:
            if kind not in BACKDROPS:
                raise ConfigError(unknown_name("backdrop", kind, BACKDROPS))
        for palette in self.palettes:
            if len(palette) < 2:
                raise ConfigError(f"backdrop.palettes: a palette needs two colours or more, got {list(palette)}")
            colours(palette)

    def draw(self, shape: tuple[int, int], product: Floats, rng: Rng) -> Floats:
        """A picture (3, h, w) for a product whose Lab colour is ``product`` (3,)."""
        kind = self.kinds[int(rng.integers(len(self.kinds)))]
        palette = self._contrast(product, rng)
        jitter = rng.uniform(-1, 1, 6).astype(np.float32) * np.float32(self.jitter)
        return BACKDROPS[kind](*_field(*shape), palette, jitter)

    def _contrast(self, product: Floats, rng: Rng) -> Floats:
        """One of the three palettes whose ground differs most from the product."""
        sets = [colours(p) for p in self.palettes]
        grounds = np.stack([rgb_to_lab(s[:2].astype(np.uint8)).mean(axis=1) for s in sets])
        far = np.linalg.norm(grounds - product, axis=1)
        best = np.argsort(-far, kind="stable")[:3]
        best = best[far[best] >= 0.65 * far[best[0]]]
        return sets[int(best[int(rng.integers(len(best)))])]


@dataclass(frozen=True)
class Shadow:
    """A soft shadow of the product on its backdrop.

    Attributes:
        strength: 0 = none, 1 = black.
        blur: Radius, as a share of the photo's shorter side.
        right: Offset to the right, same unit.
        down: Offset down, same unit.
        studio: How much of the photo's own studio shadow stays (0..1).
    """

    strength: float = 0.0
    blur: float = 0.04
    right: float = 0.02
    down: float = 0.03
    studio: float = 1.0

    def __post_init__(self) -> None:
        for name in ("strength", "studio"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"shadow.{name} must be in 0..1, got {getattr(self, name):g}")
        if not 0 <= self.blur <= 0.3 or max(abs(self.right), abs(self.down)) > 0.5:
            raise ConfigError("shadow.blur must be in 0..0.3, right and down in -0.5..0.5")


@dataclass(frozen=True)
class Grade:
    """Film: tone and texture of the scene.

    Attributes:
        warmth: -1 cool .. 1 warm.
        fade: 0..1, lifts black and dulls white.
        grain: Standard deviation in 8-bit steps.
        vignette: 0..1, darkness of the corners.
        product: Share of warmth and fade that the product takes, too (0 = the product stays exactly as it is).
    """

    warmth: float = 0.0
    fade: float = 0.0
    grain: float = 0.0
    vignette: float = 0.0
    product: float = 0.0

    def __post_init__(self) -> None:
        bounds = {"warmth": (-1, 1), "fade": (0, 1), "grain": (0, 40), "vignette": (0, 1), "product": (0, 1)}
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                raise ConfigError(f"grade.{name} must be in {low}..{high}, got {getattr(self, name):g}")


def colours(palette: Palette) -> Floats:
    """(k, 3) RGB 0..255 of #rrggbb texts.

    Example:
        >>> colours(("#ff8000", "#000000")).tolist()
        [[255.0, 128.0, 0.0], [0.0, 0.0, 0.0]]
    """
    rows = []
    for text in palette:
        try:
            if len(text) != 7 or text[0] != "#":
                raise ValueError
            rows.append(list(bytes.fromhex(text[1:])))
        except ValueError:
            raise ConfigError(f"{text!r} is not a colour; write it as #rrggbb") from None
    return np.array(rows, np.float32)


@lru_cache(maxsize=16)
def _field(height: int, width: int) -> tuple[Floats, Floats]:
    """x, y in units of the shorter side, (0, 0) in the middle."""
    unit = min(height, width)
    y = (np.arange(height, dtype=np.float32) - (height - 1) / 2) / unit
    x = (np.arange(width, dtype=np.float32) - (width - 1) / 2) / unit
    grid = np.meshgrid(x, y)
    return grid[0].astype(np.float32), grid[1].astype(np.float32)


# --- the drawings: (x, y, palette (k, 3), jitter (6,)) -> (3, h, w) -----------------------------------------------


def _studio(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """A wall that brightens towards a window, and a floor without an edge."""
    wall, floor = palette[0], palette[1]
    light = np.float32(1) - np.float32(0.055) * np.hypot(x + 0.35 + 0.1 * jitter[0], y + 0.45).astype(np.float32)
    horizon = y.max() * (0.62 + 0.05 * jitter[1])
    return np.asarray(mix(wall, floor, soft(y - horizon, 0.22)) * light, np.float32)


def _arch(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """A plain wall with one round-topped panel."""
    ground = _studio(x, y, palette, jitter)
    half, top = 0.40 + 0.03 * jitter[2], -0.28 + 0.05 * jitter[3]
    distance = np.where(y < top, np.hypot(x, y - top), np.abs(x)) - half
    return mix(ground, palette[-1], 1 - soft(distance.astype(np.float32), pixel(y)))


def _sunburst(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """Rays from behind the product, softer towards the middle."""
    cx, cy = 0.12 * jitter[0], 0.25 + 0.15 * jitter[1]
    dx, dy = x - cx, y - cy
    radius = np.hypot(dx, dy)
    rays = 12
    turn = np.arctan2(dy, dx) * np.float32(rays) + np.pi * jitter[2]
    edge = np.float32(pixel(y) * rays) / np.maximum(radius, 0.02)  # a ray's edge stays a pixel wide
    share = np.clip(np.sin(turn) / np.maximum(edge, 1e-3) + 0.5, 0, 1)
    picture = mix(palette[0], palette[1], share)
    disc = 1 - soft((radius - 0.36).astype(np.float32), pixel(y))
    return mix(picture, palette[2 % len(palette)], disc)


def _arcs(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """Concentric bands of the seventies from a lower corner."""
    side = 1.0 if jitter[0] >= 0 else -1.0
    radius = np.hypot(x * side - 0.52, y - y.max() - 0.04).astype(np.float32)
    picture = mix(palette[0], palette[0], np.zeros_like(x))
    outer = 0.98 + 0.10 * jitter[1]
    for i, colour in enumerate(palette[1:]):
        picture = mix(picture, colour, 1 - soft(radius - (outer - 0.13 * i), pixel(y)))
    return mix(picture, palette[0], 1 - soft(radius - (outer - 0.13 * (len(palette) - 1)), pixel(y)))


def _stripes(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """A ribbon of bands that runs across and bends down."""
    bend = 0.16 * np.sin(x * 3.2 + 2 * jitter[0]).astype(np.float32)
    height = y + bend - 0.12 * jitter[1] - 0.02
    picture = mix(palette[0], palette[0], np.zeros_like(x))
    bands, width = palette[1:], 0.11
    for i, colour in enumerate(bands):
        top = (i - len(bands) / 2) * width
        inside = soft(height - top, pixel(y)) * (1 - soft(height - top - width, pixel(y)))
        picture = mix(picture, colour, inside)
    return picture


def _two_tone(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """Two fields of colour that meet in a slanting line."""
    slope = 0.28 * (1 if jitter[0] >= 0 else -1) + 0.1 * jitter[1]
    line = (y - slope * x - 0.22 - 0.1 * jitter[2]).astype(np.float32)
    light = np.float32(1.04) - np.float32(0.10) * np.hypot(x, y + 0.2).astype(np.float32)
    return np.asarray(mix(palette[0], palette[1], soft(line, pixel(y))) * light, np.float32)


def _spotlight(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """A pool of light on a strong colour."""
    radius = np.hypot(x - 0.06 * jitter[0], (y + 0.05 * jitter[1]) * 0.85).astype(np.float32)
    lit, dim = palette[0] + (255 - palette[0]) * np.float32(0.25), palette[0] * np.float32(0.84)
    return mix(dim, lit, np.exp(-((radius / np.float32(0.62)) ** 2)))


BACKDROPS: dict[str, Callable[[Floats, Floats, Floats, Floats], Floats]] = {
    "studio": _studio,
    "arch": _arch,
    "sunburst": _sunburst,
    "arcs": _arcs,
    "stripes": _stripes,
    "two-tone": _two_tone,
    "spotlight": _spotlight,
    "concrete": concrete,
    "asphalt": asphalt,
    "brick": brick,
    "posters": posters,
    "marble": marble,
    "velvet": velvet,
    "gilded": gilded,
    "linen": linen,
    "planks": planks,
    "leaf-shadow": leaf_shadow,
    "bokeh": bokeh,
    "confetti": confetti,
    "garland": garland,
}


# --- shadow, grade, putting together ------------------------------------------------------------------------------


def cast_shadow(alpha: Floats, shadow: Shadow) -> Floats:
    """Light (h, w) that falls on the backdrop: 1, less where the product's shadow lies."""
    height, width = alpha.shape
    unit = min(height, width)
    moved = _shift(alpha, round(shadow.down * unit), round(shadow.right * unit))
    radius = max(1, round(shadow.blur * unit / 2))
    for _ in range(3):  # three boxes are nearly a Gaussian
        moved = box_mean(moved, radius)
    return 1 - np.float32(shadow.strength) * moved


def _shift(plane: Floats, down: int, right: int) -> Floats:
    out = np.zeros_like(plane)
    height, width = plane.shape
    if abs(down) < height and abs(right) < width:
        target = (slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0)))
        source = (slice(max(-down, 0), height + min(-down, 0)), slice(max(-right, 0), width + min(-right, 0)))
        out[target] = plane[source]
    return out


def tone(planes: Floats, grade: Grade, share: float = 1.0) -> Floats:
    """Warm or cool by channel gains and fade, ``share`` of it."""
    lift, scale = lift_and_scale(grade, share)
    return np.asarray(planes * scale[:, None, None] + lift[:, None, None], np.float32)


def lift_and_scale(grade: Grade, share: float = 1.0) -> tuple[Floats, Floats]:
    """What `tone` adds to each channel (3,) and multiplies it by (3,)."""
    warm, fade = np.float32(grade.warmth * share), np.float32(grade.fade * share)
    gain = np.array([1 + 0.05 * warm, 1 + 0.005 * warm, 1 - 0.13 * warm], np.float32)
    lift = np.array([34, 27, 24], np.float32) * fade
    top = np.array([250, 246, 236], np.float32)
    scale = gain * (1 - fade + fade * (top - lift / np.maximum(fade, 1e-6)) / 255)
    return lift, np.asarray(scale, np.float32)


def vignette(shape: tuple[int, int], strength: float) -> Floats:
    """Light (h, w): 1 in the middle, 1 − strength in the corners."""
    x, y = _field(*shape)
    away = (x / max(x.max(), 1e-6)) ** 2 + (y / max(y.max(), 1e-6)) ** 2
    return np.asarray(1 - strength / 4 * away * away, np.float32)


def film_grain(shape: tuple[int, int], sigma: float, rng: Rng) -> Floats:
    """Noise (h, w), half of it a little coarser than a pixel; at least a dither against banding."""
    fine = rng.standard_normal(shape, dtype=np.float32)
    if sigma < 1:
        return fine * np.float32(max(sigma, 0.45))
    return np.float32(sigma) * (np.float32(0.7) * fine + np.float32(1.5) * box_mean(fine, 1))
