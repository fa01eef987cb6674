"""Loud prints."""

from __future__ import annotations

import numpy as np
from PIL import ImageDraw

from evaluation.sample.palettes import Palette
from evaluation.sample.printing import (
    edge,
    grid,
    ground,
    ink,
    noise,
    printed,
    rgb8,
)
from evaluation.sample.stuff import HEIGHT, WIDTH, Cloth


def camo(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Camouflage, in army or in loud colours."""
    texture = ground(p.main)
    for colour, level in zip(p.inks, (0.15, 0.55, 0.9), strict=False):
        field = noise(rng, 18 * scale) + 0.35 * noise(rng, 8 * scale)
        ink(texture, colour, edge((field - level) * 9))
    return Cloth(texture)


def tiedye(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """A dyed spiral."""
    xx, yy = grid()
    x, y = xx - WIDTH / 2 + rng.uniform(-15, 15), yy - 130
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    turn = angle * 3 / (2 * np.pi) + radius / (52 * scale) + 0.10 * noise(rng, 12)
    colours = np.array([p.main, *p.inks, p.main], np.float32)
    place = (turn % 1) * (len(colours) - 1)
    low = np.clip(place.astype(np.int64), 0, len(colours) - 2)
    part = np.clip((place - low) * 2 - 0.5, 0, 1)[..., None]
    streak = 1 + 0.05 * noise(rng, 5)[..., None]
    return Cloth(np.asarray(np.clip((colours[low] * (1 - part) + colours[low + 1] * part) * streak, 0, 1), np.float32))


def splatter(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Thrown paint with runs."""

    def paint(draw: ImageDraw.ImageDraw, s: float) -> None:
        for _ in range(46):
            x, y = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
            colour = rgb8(p.inks[int(rng.integers(len(p.inks)))])
            r = rng.lognormal(1.1, 0.7) * scale
            draw.ellipse(((x - r) * s, (y - r) * s, (x + r) * s, (y + r) * s), fill=colour)
            if r > 4:
                end, w = y + r * rng.uniform(2, 5), r * 0.22
                draw.rounded_rectangle(((x - w) * s, y * s, (x + w) * s, end * s), radius=w * s, fill=colour)
            for dx, dy in rng.normal(0, r * 1.6, (5, 2)):
                q = r * rng.uniform(0.08, 0.25)
                draw.ellipse(((x + dx - q) * s, (y + dy - q) * s, (x + dx + q) * s, (y + dy + q) * s), fill=colour)

    return Cloth(printed(paint, p.main))


def scribble(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Marker strokes, thick and looping, like a tag nobody can read."""

    def paint(draw: ImageDraw.ImageDraw, s: float) -> None:
        t = np.linspace(0, 1, 60)
        for _ in range(9):
            colour = rgb8(p.inks[int(rng.integers(len(p.inks)))])
            x0, y0 = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
            a, b, c = rng.uniform(2, 5), rng.uniform(10, 24) * scale, rng.uniform(0, 6)
            x = x0 + rng.uniform(40, 80) * scale * (t - 0.5) + 0.4 * b * np.sin(2 * np.pi * a * t)
            y = y0 + b * np.sin(2 * np.pi * a * t + c)
            w = int(rng.uniform(2.5, 5) * s)
            draw.line([tuple(q) for q in (np.stack([x, y], 1) * s).tolist()], fill=colour, width=w, joint="curve")

    return Cloth(printed(paint, p.main))


def checker(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Racing checks."""
    xx, yy = grid()
    cell = rng.uniform(10, 17) * scale
    side = np.minimum(np.abs(xx % cell - cell / 2), np.abs(yy % cell - cell / 2))
    odd = (np.floor(xx / cell) + np.floor(yy / cell)) % 2
    texture = ground(p.main)
    ink(texture, p.second, (odd * edge(side + 9)).astype(np.float32))
    return Cloth(texture)


def hazard(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Diagonal tape across a plain ground."""
    xx, yy = grid()
    slope = rng.choice([-0.55, 0.55])
    across = yy - slope * (xx - WIDTH / 2) - rng.uniform(120, 150)
    texture = ground(p.main)
    half = rng.uniform(13, 19) * scale
    ink(texture, p.inks[0], edge(half - np.abs(across)))
    cut = (xx + across * 0.9) % 22
    ink(texture, p.inks[-1], edge(half - np.abs(across)) * edge(5.5 - np.abs(cut - 11)))
    return Cloth(texture)


def graphic(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """A bold abstract mark on the chest: bars, disc, bolt or star."""
    inks = [rgb8(c) for c in p.inks]
    kind = int(rng.integers(4))

    def paint(draw: ImageDraw.ImageDraw, s: float) -> None:
        cx, cy, r = WIDTH / 2, rng.uniform(122, 134), rng.uniform(27, 34)
        first, second, third = inks[0], inks[1], inks[-1]

        def at(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
            return [((cx + x * r) * s, (cy + y * r) * s) for x, y in points]

        if kind == 0:
            draw.polygon(
                at([(0.15, -1.3), (-0.75, 0.2), (-0.05, 0.2), (-0.3, 1.4), (0.8, -0.25), (0.1, -0.25)]),
                fill=second,
            )
        elif kind == 1:
            draw.ellipse(at([(-1, -1), (1, 1)]), fill=second)
            draw.rectangle(at([(-1.25, -0.22), (1.25, 0.22)]), fill=first)
        elif kind == 2:
            star = [
                (np.cos(a) * q, np.sin(a) * q)
                for k in range(10)
                for a, q in [(np.pi * (k / 5 - 0.5), 1.2 if k % 2 == 0 else 0.5)]
            ]
            draw.polygon(at(star), fill=second)
        else:
            for k, colour in enumerate((first, second, third)):
                draw.rectangle(
                    at([(-1.1 + 0.25 * k, -0.9 + 0.62 * k), (0.7 + 0.25 * k, -0.45 + 0.62 * k)]), fill=colour
                )
        widths = rng.uniform(3, 9, 8)
        x = cx - (widths.sum() + 14) / 2
        for w in widths:  # a line of "letters"
            draw.rectangle((x * s, (cy + r * 1.5) * s, (x + w) * s, (cy + r * 1.5 + 6) * s), fill=first)
            x += w + 2

    return Cloth(printed(paint, p.main))


def halftone(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Dots that grow towards the hem."""
    xx, yy = grid()
    cell = 9.0 * scale
    row = np.floor(yy / cell)
    d = np.hypot((xx + (row % 2) * cell / 2) % cell - cell / 2, yy % cell - cell / 2)
    texture = ground(p.main)
    ink(texture, p.inks[0], edge(np.clip((yy - 70) / 230, 0, 1) * cell * 0.72 - d))
    return Cloth(texture)
