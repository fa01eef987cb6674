"""Rich weaves and gilt prints."""

from __future__ import annotations

import numpy as np
from PIL import ImageDraw

from evaluation.sample.palettes import Palette, brightness, lighter
from evaluation.sample.printing import (
    edge,
    grid,
    ground,
    ink,
    noise,
    printed,
    rgb8,
    scattered,
)
from evaluation.sample.stuff import Cloth


def satin(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Silk satin."""
    return Cloth(ground(p.main), sheen=0.9, grain=0.004, satin=float(rng.uniform(0.55, 0.9)))


def velvet(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Velvet: deep, with a soft bloom."""
    texture = ground(p.main) * (1 + 0.05 * noise(rng, 26))[..., None]
    return Cloth(np.asarray(np.clip(texture, 0, 1), np.float32), sheen=0.55, grain=0.03, satin=0.22)


def damask(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Tone-on-tone leaves, woven."""
    tone = p.accents[-1] if brightness(p.main) < 0.5 else lighter(p.main, -0.14)
    step = rng.uniform(26, 34) * scale

    def paint(draw: ImageDraw.ImageDraw, s: float) -> None:
        for x, y in scattered(rng, step, 0.0):
            for k, (dx, dy, rx, ry) in enumerate(
                ((0, -5, 3, 6), (-5, 2, 4.5, 2.4), (5, 2, 4.5, 2.4), (0, 6, 2, 4.5), (0, 0.5, 1.6, 1.6))
            ):
                q = step / 28
                box = (
                    (x + (dx - rx) * q) * s,
                    (y + (dy - ry) * q) * s,
                    (x + (dx + rx) * q) * s,
                    (y + (dy + ry) * q) * s,
                )
                draw.ellipse(box, fill=rgb8(tone if k < 4 else p.main))

    return Cloth(printed(paint, p.main), sheen=0.7, satin=0.45, grain=0.006)


def quilt(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Quilted diamonds with a stud at each crossing."""
    xx, yy = grid()
    cell = rng.uniform(17, 22) * scale
    u, v = (xx + yy) / cell, (xx - yy) / cell
    su, sv = np.abs(np.sin(np.pi * u)), np.abs(np.sin(np.pi * v))
    bump = np.asarray(3.2 * np.sqrt(np.minimum(su, sv)), np.float32)
    texture = ground(p.main)
    near = np.hypot((u + 0.5) % 1 - 0.5, (v + 0.5) % 1 - 0.5) * cell
    ink(texture, p.trim, edge(1.6 - near))
    return Cloth(texture, bump=bump, sheen=0.7, grain=0.008, satin=0.15)


def pinstripe(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Hairlines on fine wool."""
    xx, _ = grid()
    step = rng.uniform(8, 11)
    texture = ground(p.main)
    ink(texture, lighter(p.accents[0], 0.15), edge(0.15 - np.abs(xx % step - step / 2)) * 0.8)
    return Cloth(texture, sheen=0.45, satin=0.25, grain=0.012)


def lattice(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """A gilt lattice with small medallions."""
    xx, yy = grid()
    cell = rng.uniform(22, 30) * scale
    u, v = (xx + yy) / cell, (xx - yy) / cell
    line = np.minimum(np.abs(u % 1 - 0.5), np.abs(v % 1 - 0.5)) * cell * 0.71
    texture = ground(p.main)
    ink(texture, p.accents[0], edge(0.35 - line) * 0.85)
    d = np.hypot(u % 1 - 0.0 - np.round(u % 1), v % 1 - np.round(v % 1)) * cell * 0.71
    ink(texture, p.accents[0], edge(2.6 - d) * 0.9)
    ink(texture, p.main, edge(1.2 - d))
    return Cloth(texture, sheen=0.65, satin=0.3, grain=0.006)


def chain(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Scarf print: gilt chains along borders."""
    xx, yy = grid()
    cell = rng.uniform(50, 64) * scale
    texture = ground(p.main)
    x = xx % cell - cell / 2
    link = 9.0
    flat = np.hypot(x / 4.2, (yy % link - link / 2) / 5.4)
    ink(texture, p.second, edge(cell * 0.16 - np.abs(x)) * 0.9)
    ink(texture, p.accents[0], edge((0.30 - np.abs(flat - 0.8)) * 4.5))
    ink(texture, p.accents[0], edge(0.7 - np.abs(np.abs(x) - cell * 0.16)))
    return Cloth(texture, sheen=0.8, satin=0.45, grain=0.004)
