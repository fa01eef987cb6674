"""Lamps and vases."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evaluation.sample.canvas import Canvas
from evaluation.sample.furnishing import FLOOR, wood
from evaluation.sample.geometry import (
    Anchor,
    ellipse,
    flipped,
    mirrored,
    rounded,
)
from evaluation.sample.palettes import lighter
from evaluation.sample.recipe import Recipe, buttons
from evaluation.sample.stuff import FLAT, Cloth, Colour, Relief


def lamp(c: Canvas, r: Recipe) -> float:
    """A table lamp; answers the y of its floor."""
    {"retro": _mushroom, "minimalist": _globe, "street": _worklight, "luxury": _classic}[r.cut](c, r)
    return FLOOR


def _lit(c: Canvas, shape: list[Anchor], cloth: Cloth, x: float, y: float, radius: float, *, fan: float = 0.4) -> None:
    c.part(shape, cloth, Relief(puff=5, round=0.75, fan=fan, lift=0.4))
    c.glow(x, y, radius, (1.0, 0.93, 0.74), 0.42)


def _mushroom(c: Canvas, r: Recipe) -> None:
    half, top = r.u(66, 82), r.u(66, 84)
    rim, glossy = top + r.u(72, 86), replace(r.second, sheen=0.9)
    base = mirrored(
        [
            (0, rim - 4),
            (r.u(14, 20), rim, 1),
            (r.u(16, 26), rim + 50),
            (r.u(40, 52), FLOOR - 12),
            (r.u(44, 54), FLOOR, 1),
            (0, FLOOR + 3),
        ]
    )
    c.part(
        base,
        replace(glossy, texture=Cloth.plain(r.palette.inks[-1]).texture) if r.maybe(0.5) else glossy,
        Relief(puff=5, round=0.95),
    )
    for k in range(int(r.u(0, 3))):
        y = FLOOR - 30 - 12 * k
        c.lines([[(-60, y), (0, y + 3), (60, y)]], r.palette.inks[0], width=4, opacity=0.9)
    c.part(
        mirrored([(0, rim - 6), (half * 0.9, rim - 3), (half * 0.9, rim + 3), (0, rim + 9)]),
        Cloth.plain((1.0, 0.90, 0.66), sheen=0.2),
        FLAT,
    )
    dome = mirrored(
        [
            (0, top),
            (half * 0.55, top + 10),
            (half * 0.93, rim - 26),
            (half, rim, 1),
            (half * 0.5, rim + 6),
            (0, rim + 8),
        ]
    )
    _lit(c, dome, replace(r.cloth(0.9), sheen=0.9), 0, rim + 4, 30, fan=0.9)
    buttons(c, r, [(0, top - 1)], 4)


def _globe(c: Canvas, r: Recipe) -> None:
    kind, metal = r.maybe(0.5), Cloth.plain(lighter(r.palette.inks[-1], -0.1), sheen=0.7)
    c.part(
        mirrored([(0, FLOOR - 8), (34, FLOOR - 7), (36, FLOOR - 1), (0, FLOOR + 2)]),
        metal,
        Relief(puff=3, round=0.8),
    )
    if kind:
        radius = r.u(38, 50)
        y = FLOOR - r.u(120, 150) - radius
        c.part(rounded(-2.2, y, 2.2, FLOOR - 5, 1), metal, Relief(puff=1.5, round=0.8))
        c.part(
            ellipse(0, y, radius),
            Cloth.plain((0.985, 0.97, 0.93), sheen=0.3),
            Relief(puff=radius * 0.45, height=0.35, round=0.22),
        )
        c.glow(0, y, radius * 0.75, (1.0, 0.98, 0.9), 0.6)
        return
    half, top = r.u(44, 56), r.u(70, 88)
    low = top + r.u(62, 80)
    c.part(
        rounded(-2.6, low - 4, 2.6, FLOOR - 5, 1),
        wood(r) if r.maybe(0.5) else metal,
        Relief(puff=1.5, round=0.8),
    )
    _lit(
        c,
        mirrored([(0, top), (half * r.u(0.85, 1.0), top + 1, 1), (half, low, 1), (0, low + 3)]),
        r.of(lighter(r.palette.main, 0.25)),
        0,
        low - 18,
        36,
    )


def _worklight(c: Canvas, r: Recipe) -> None:
    metal = Cloth.plain((0.13, 0.13, 0.14), sheen=0.8)
    c.part(
        mirrored([(0, FLOOR - 16), (44, FLOOR - 15, 1), (50, FLOOR, 1), (0, FLOOR + 3)]),
        r.second if r.maybe(0.4) else metal,
        Relief(puff=4, round=0.5),
    )
    elbow, head = (-38.0, 178.0), (16.0, 96.0)
    for a, b in (((0.0, FLOOR - 14), elbow), (elbow, head)):
        for dx in (-3.5, 3.5):
            c.part(
                [
                    (a[0] + dx - 1.8, a[1], 1),
                    (a[0] + dx + 1.8, a[1], 1),
                    (b[0] + dx + 1.8, b[1], 1),
                    (b[0] + dx - 1.8, b[1], 1),
                ],
                r.of(r.palette.inks[0], sheen=0.7),
                Relief(puff=1.5, lift=0.2),
            )
    c.dots([elbow, (0, FLOOR - 18), head], 6.5, metal)
    c.part([(58, 150), (74, 128), (84, 140), (70, 160)], Cloth.plain((1.0, 0.93, 0.68)), FLAT)
    shade: list[Anchor] = [(10, 86), (24, 74), (44, 80), (92, 118, 1), (88, 142), (44, 164, 1), (16, 112)]
    _lit(c, shade, replace(r.cloth(0.7), sheen=0.8), 76, 146, 26, fan=0)
    c.lines([[(92, 118), (80, 146), (44, 164)]], lighter(r.palette.main, -0.4), width=2.5)


def _classic(c: Canvas, r: Recipe) -> None:
    top, low = r.u(54, 66), r.u(136, 150)
    upper, half = r.u(34, 44), r.u(64, 76)
    c.part(
        mirrored([(0, FLOOR - 9), (38, FLOOR - 8, 1), (40, FLOOR, 1), (0, FLOOR + 3)]),
        r.hard,
        Relief(puff=2.5, round=0.8),
    )
    body = mirrored(
        [
            (0, low + 12),
            (9, low + 14),
            (10, low + 26),
            (r.u(30, 40), low + 60),
            (r.u(24, 34), FLOOR - 40),
            (12, FLOOR - 16),
            (22, FLOOR - 8, 1),
            (0, FLOOR - 6),
        ]
    )
    c.part(body, replace(r.cloth(0.7), sheen=1.0, satin=0.1), Relief(puff=5, round=1.0, fan=0.6))
    c.part(rounded(-4, low - 2, 4, low + 14, 1), r.hard, Relief(puff=2, round=0.8))
    for y, w in ((low + 14, 10.0), (FLOOR - 15, 14.0)):
        c.part(rounded(-w, y - 3, w, y + 3, 3), r.hard, Relief(puff=2, round=0.8, lift=0.3))
    count = int(r.u(9, 13))
    folds = tuple(
        (((upper * t, top + 2), ((upper + half) / 2 * t * 0.97, (top + low) / 2), (half * t, low)), 6.0, 0.7)
        for t in np.linspace(-0.92, 0.92, count)
    )
    shade = mirrored(
        [
            (0, top - 2),
            (upper, top, 1),
            ((upper + half) / 2 - 4, (top + low) / 2),
            (half, low, 1),
            (0, low + 5),
        ]
    )
    c.part(
        shade,
        replace(r.of(lighter(r.palette.main, 0.12)), satin=0.2),
        Relief(puff=5, round=0.7, folds=folds, lift=0.4),
    )
    c.glow(0, low - 20, 38, (1.0, 0.9, 0.68), 0.42)
    for y, w in ((top, upper), (low, half)):
        c.lines([[(-w, y), (0, y + (5 if y == low else -2)), (w, y)]], r.palette.trim, width=3.2)
    buttons(c, r, [(0, top - 6)], 4.5)


# cut -> profiles: half-widths down the height, from lip to foot
_PROFILES: dict[str, tuple[tuple[float, ...], ...]] = {
    "retro": ((24, 17, 30, 60, 66, 46, 30), (34, 22, 48, 40, 62, 52, 36), (18, 16, 17, 40, 66, 66, 40)),
    "minimalist": (
        (30, 32, 35, 37, 37, 35, 31),
        (14, 13, 22, 46, 54, 46, 28),
        (44, 44, 43, 41, 38, 34, 28),
        (16, 15, 15, 18, 34, 42, 30),
    ),
    "street": ((48, 34, 50, 32, 50, 34, 44), (40, 56, 40, 56, 40, 56, 44), (28, 28, 58, 58, 58, 34, 34)),
    "luxury": ((36, 20, 22, 52, 58, 34, 28), (44, 26, 30, 46, 40, 22, 34), (30, 22, 46, 58, 50, 30, 32)),
}


def vase(c: Canvas, r: Recipe) -> float:
    """A vase, sometimes with stems; answers the y of its floor."""
    options = _PROFILES[r.cut]
    profile = np.array(options[int(r.rng.integers(len(options)))]) * r.u(0.9, 1.08)
    height = {"retro": 158.0, "minimalist": 150.0, "street": 150.0, "luxury": 166.0}[r.cut] * r.u(0.9, 1.06)
    top = FLOOR - height
    if r.maybe(0.5):
        _stems(c, r, top, float(profile[0]))
    hard = r.cut == "street"
    ys = np.linspace(top, FLOOR, len(profile))
    half: list[Anchor] = [(0, top - 3), (float(profile[0]), top, 1)]
    half += [(float(w), float(y), 1.0 if hard else 0.0) for w, y in zip(profile[1:-1], ys[1:-1], strict=True)]
    half += [(float(profile[-1]), FLOOR, 1), (0, FLOOR + 4)]
    c.part(ellipse(0, top, float(profile[0]), 5), r.of(lighter(r.palette.main, -0.55)), FLAT)
    glaze = {"retro": 0.7, "minimalist": 0.12, "street": 0.45, "luxury": 1.0}[r.cut]
    c.part(
        [*mirrored([*half[1:-1], half[-1]]), (0, top + 6)],
        replace(r.cloth(0.85), sheen=glaze),
        Relief(puff=6, round=0.95, fan=0.75, height=0.8, lift=0.25),
    )
    _vase_details(c, r, profile, ys)
    return FLOOR


def _vase_details(
    c: Canvas,
    r: Recipe,
    profile: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    ys: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> None:
    def ring(k: int, colour: Colour, width: float, opacity: float = 0.95) -> None:
        w, y = float(profile[k]) + 1, float(ys[k])
        c.lines(
            [[(-w, y), (-w * 0.6, y + 4), (0, y + 6), (w * 0.6, y + 4), (w, y)]],
            colour,
            width=width,
            opacity=opacity,
        )

    if r.cut == "luxury":
        for k in (0, 1, 5):
            ring(k, lighter(r.palette.trim, -0.35), 4.6)
            ring(k, r.palette.trim, 3.4)
            ring(k, lighter(r.palette.trim, 0.55), 0.9, 0.7)
        if r.maybe(0.5):
            x, y = float(profile[3]), float(ys[3])
            handle: list[Anchor] = [
                (float(profile[1]), float(ys[1])),
                (x + 6, float(ys[1]) - 2),
                (x + 16, (float(ys[1]) + y) / 2),
                (x - 2, y),
            ]
            for side in (handle, flipped(handle)):
                c.lines([side], lighter(r.palette.trim, -0.3), width=5, clip=False)
                c.lines([side], r.palette.trim, width=3.4, clip=False)
    elif r.cut == "retro" and r.maybe(0.7):
        for k, colour in zip((2, 4), r.palette.inks, strict=False):
            ring(k, colour, 7)
            ring(k, lighter(colour, 0.35), 1.0, 0.5)
    else:
        ring(0, lighter(r.palette.main, 0.3), 1.4, 0.6)


def _stems(c: Canvas, r: Recipe, top: float, half: float) -> None:
    count = {"retro": 5, "minimalist": 3, "street": 3, "luxury": 7}[r.cut]
    green: Colour = (0.36, 0.42, 0.26) if r.cut != "minimalist" else (0.66, 0.58, 0.44)
    for k in range(count):
        lean = (k + 0.5) / count * 2 - 1
        x, y = lean * r.u(44, 62), top - r.u(40, 62) + abs(lean) * 16
        c.lines([[(lean * half * 0.5, top + 4), (x * 0.5, (top + y) / 2), (x, y)]], green, width=1.6, clip=False)
        if r.cut == "minimalist":  # dried grass
            plume: list[Anchor] = [(x * 0.86, y + 30), (x - 6, y + 8), (x + lean * 4, y - 16), (x + 7, y + 6)]
            c.part(plume, Cloth.plain((0.86, 0.79, 0.66), grain=0.1), Relief(puff=4, height=0.8, lift=0.1))
            continue
        ink = r.palette.inks[k % len(r.palette.inks)] if r.cut != "luxury" else lighter(r.palette.main, 0.7)
        size = r.u(10, 14) if r.cut != "luxury" else r.u(11, 16)
        petals = 7 if r.cut == "retro" else 5
        for j in range(petals):
            a = 2 * np.pi * j / petals + lean
            c.part(
                ellipse(x + 0.62 * size * np.cos(a), y + 0.62 * size * np.sin(a), size * 0.5, n=20),
                Cloth.plain(ink, sheen=0.3),
                Relief(puff=2.5, height=0.9, lift=0.3),
            )
        c.dots([(x, y)], size * 0.34, Cloth.plain(r.palette.trim if r.cut == "luxury" else (0.93, 0.76, 0.30)))
