"""Prints of the seventies."""

from __future__ import annotations

import numpy as np
from PIL import ImageDraw

from evaluation.sample.palettes import Palette
from evaluation.sample.printing import (
    bands,
    edge,
    grid,
    ground,
    ink,
    printed,
    rgb8,
    scattered,
)
from evaluation.sample.stuff import WIDTH, Cloth


def daisies(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Flower power."""
    step = rng.uniform(34, 46) * scale
    petals = int(rng.integers(6, 9))

    def paint(draw: ImageDraw.ImageDraw, s: float) -> None:
        for x, y in scattered(rng, step):
            size = step * rng.uniform(0.3, 0.5)
            colour, heart = (p.inks[int(i)] for i in rng.permutation(len(p.inks))[:2])
            turn = rng.uniform(0, np.pi)
            for k in range(petals):
                a = turn + 2 * np.pi * k / petals
                cx, cy, r = x + 0.6 * size * np.cos(a), y + 0.6 * size * np.sin(a), size * 2.3 / petals
                draw.ellipse(((cx - r) * s, (cy - r) * s, (cx + r) * s, (cy + r) * s), fill=rgb8(colour))
            r = size * 0.34
            draw.ellipse(((x - r) * s, (y - r) * s, (x + r) * s, (y + r) * s), fill=rgb8(heart))

    return Cloth(printed(paint, p.main))


def rings(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Concentric circles in a grid."""
    xx, yy = grid()
    cell = rng.uniform(34, 48) * scale
    row = np.floor(yy / cell)
    x = (xx + (row % 2) * cell / 2 * rng.integers(2)) % cell - cell / 2
    d = np.hypot(x, yy % cell - cell / 2)
    texture = ground(p.main)
    for share, colour in zip((0.46, 0.35, 0.24, 0.12), (*p.inks, p.main), strict=False):
        ink(texture, colour, edge(cell * share - d))
    return Cloth(texture)


def waves(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Rolling bands."""
    xx, yy = grid()
    long = WIDTH / rng.integers(2, 5)
    y = yy + rng.uniform(8, 14) * scale * np.sin(2 * np.pi * xx / long + rng.uniform(0, 6))
    widths = [float(w) * scale for w in rng.uniform(8, 18, 1 + len(p.inks))]
    return Cloth(bands(y, widths, [p.main, *p.inks]))


def sunset(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """A block of racing stripes on a plain ground."""
    _, yy = grid()
    texture = ground(p.main)
    top, width = rng.uniform(92, 120), rng.uniform(8, 12) * scale
    for k, colour in enumerate(p.inks[:4]):
        ink(texture, colour, edge(width / 2 - np.abs(yy - top - k * width)))
    return Cloth(texture)


def arches(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Nested rainbow arches."""
    xx, yy = grid()
    cell = rng.uniform(40, 56) * scale
    height = cell * 0.62
    row = np.floor(yy / height)
    x = (xx + (row % 2) * cell / 2) % cell - cell / 2
    d = np.hypot(x, height - yy % height)
    texture = ground(p.main)
    for share, colour in zip((0.49, 0.39, 0.29, 0.19, 0.1), (*p.inks, p.main), strict=False):
        ink(texture, colour, edge(cell * share - d))
    return Cloth(texture)


def diamonds(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Argyle."""
    xx, yy = grid()
    a, b = rng.uniform(26, 34) * scale, rng.uniform(36, 50) * scale
    u, v = xx / a, yy / b
    texture = ground(p.main)
    d = np.abs((u % 1) - 0.5) + np.abs((v % 1) - 0.5)
    column = (np.floor(u) + np.floor(v)) % 2
    ink(texture, p.inks[0], edge((0.5 - d) * a) * (column == 0))
    ink(texture, p.inks[1], edge((0.5 - d) * a) * (column == 1))
    line = np.minimum(np.abs((u + v) % 1 - 0.5), np.abs((u - v) % 1 - 0.5)) * a
    ink(texture, p.inks[-1], edge(0.7 - line))
    return Cloth(texture)


def broad(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Broad upright stripes in many colours."""
    xx, _ = grid()
    widths = [float(w) * scale for w in rng.uniform(7, 17, 1 + len(p.inks))]
    return Cloth(bands(xx, widths, [p.main, *p.inks]))


def polka(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Large dots."""
    xx, yy = grid()
    cell = rng.uniform(20, 30) * scale
    row = np.floor(yy / cell)
    d = np.hypot((xx + (row % 2) * cell / 2) % cell - cell / 2, yy % cell - cell / 2)
    texture = ground(p.main)
    ink(texture, p.second, edge(cell * rng.uniform(0.24, 0.34) - d))
    return Cloth(texture)


def plaid(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Checked wool."""
    xx, yy = grid()
    cell = rng.uniform(34, 46) * scale
    texture = ground(p.main)
    for axis in (xx, yy):
        place = axis % cell
        ink(texture, p.inks[-1], edge(cell * 0.2 - np.abs(place - cell / 2)) * 0.5)
        ink(texture, p.inks[0], edge(1.2 - np.abs(place - cell * 0.12)) * 0.75)
        ink(texture, p.inks[1 % len(p.inks)], edge(1.2 - np.abs(place - cell * 0.88)) * 0.6)
    return Cloth(texture, grain=0.035, sheen=0.1)


def corduroy(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Plain, in upright ribs."""
    xx, _ = grid()
    return Cloth(ground(p.main), bump=0.25 * np.sin(2 * np.pi * xx / 5).astype(np.float32), grain=0.03, sheen=0.15)
