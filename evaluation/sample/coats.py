"""Coats and jackets."""

from __future__ import annotations

from dataclasses import replace

from evaluation.sample.canvas import Canvas
from evaluation.sample.geometry import (
    Anchor,
    flipped,
    mirrored,
    rounded,
)
from evaluation.sample.palettes import lighter
from evaluation.sample.recipe import Recipe, buttons
from evaluation.sample.sewing import (
    Folds,
    cords,
    cuffs,
    drape,
    hood,
    lapels,
    lining,
    pulls,
    ribbed_band,
    sleeve,
    torso,
)
from evaluation.sample.stuff import Cloth, Relief


def coat(c: Canvas, r: Recipe) -> None:
    """A coat or jacket."""
    (_puffer if r.cut == "street" else _tailored)(c, r)


# cut -> (shoulder, chest, waist, hem, hem_y, arm y, cuff, lapel reach)
_COAT = {
    "retro": (46, 43, 38, 62, 262, 196, 30, 34),
    "minimalist": (47, 44, 43, 47, 280, 206, 25, 20),
    "luxury": (44, 41, 34, 54, 284, 204, 22, 29),
}


def _tailored(c: Canvas, r: Recipe) -> None:
    shoulder, chest, waist, hem, hem_y, arm_y, cuff, reach = (v * r.u(0.97, 1.03) for v in _COAT[r.cut])
    cloth, y, neck = r.cloth(0.9), 46.0, 13.0
    fur = Cloth.plain(lighter(r.palette.second, 0.25), grain=0.16, sheen=0.1)
    trim = fur if r.maybe(0.45 if r.cut == "retro" else 0.3 if r.cut == "luxury" else 0) else None
    at, end = (shoulder, y + (shoulder - neck) * 0.26), (shoulder + 24, arm_y)
    lining(c, r, neck, y, 46)
    sleeve(c, r.around(0.9), at, end, top=28, cuff=cuff, bell=4 if r.cut == "retro" else 0)
    cuffs(c, trim or cloth.shaded(0.92), end, at, cuff / 2 + (6 if trim else 3 if r.cut == "retro" else 0.5), 13)
    folds = drape(r, 150, hem_y, waist, hem, 5, 1.0) + pulls(r, chest, 104)
    c.part(
        torso(neck, y, 40, shoulder, chest, waist, hem, hem_y, vee=True),
        cloth,
        Relief(puff=7, folds=folds, fan=0.4),
    )
    shift = 0.0 if r.cut == "minimalist" else 6.0
    c.lines([[(shift, y + 70), (shift, hem_y + 2)]], r.seam, width=1.0, opacity=0.7)
    c.lines([[(shift + 1.2, y + 72), (shift + 1.2, hem_y + 2)]], (0, 0, 0), width=1.6, opacity=0.12)
    for side in (-1, 1):
        flap: list[Anchor] = [
            (side * 12, 176, 1),
            (side * 33, 180, 1),
            (side * 33, 190, 1),
            (side * 12, 186, 1),
        ]
        c.part(flap, cloth.shaded(0.95), Relief(puff=1.6, height=0.7, lift=0.35))
    if trim:
        _fur_collar(c, trim, neck, y)
        c.part(
            mirrored([(0, hem_y - 11), (hem * 0.97, hem_y - 14, 1), (hem + 2, hem_y + 2, 1), (0, hem_y + 7)]),
            trim,
            Relief(puff=5, height=1.1, lift=0.3),
        )
    elif r.cut != "minimalist" or r.maybe(0.6):
        lapels(c, r.second if r.cut == "retro" and r.maybe(0.4) else cloth, neck, y, reach, y + 74, r.seam)
    _coat_closing(c, r, cloth, waist, y)


def _coat_closing(c: Canvas, r: Recipe, cloth: Cloth, waist: float, y: float) -> None:
    if r.cut == "luxury" and r.maybe(0.6):
        c.part(
            mirrored([(0, 144), (waist + 3, 142, 1), (waist + 3.5, 152, 1), (0, 155)]),
            cloth.shaded(0.85),
            Relief(puff=2.5, lift=0.4),
        )
        c.part(
            rounded(-8, 141, 8, 157, 3),
            r.hard,
            Relief(puff=1.8, lift=0.4),
            holes=[rounded(-5, 144, 5, 154, 2)],
        )
    if r.cut == "minimalist":
        buttons(c, r, [(4, y + 92), (4, y + 128)], 2.2)
    else:
        rows = [(x, y + 84 + 24 * k) for k in range(4) for x in ((-14.0, 18.0) if r.cut == "luxury" else (1.5,))]
        buttons(c, r, [p for p in rows if abs(p[1] - 149) > 9 or r.cut != "luxury"], 3.4)


def _fur_collar(c: Canvas, fur: Cloth, neck: float, y: float) -> None:
    leaf: list[Anchor] = [
        (2, y + 62),
        (neck - 4, y + 26),
        (neck - 2, y - 2),
        (neck + 6, y - 8),
        (neck + 17, y + 6),
        (neck + 14, y + 34),
        (10, y + 64),
    ]
    c.part(mirrored([(0, y - 8), (neck + 3, y - 6), (neck, y + 6), (0, y + 8)]), fur.shaded(0.72), Relief(puff=3))
    for side in (leaf, flipped(leaf)):
        c.part(side, fur, Relief(puff=5.5, height=1.3, lift=0.45))


def _puffer(c: Canvas, r: Recipe) -> None:
    cloth = replace(r.cloth(), sheen=0.7)
    y, neck, hem_y = 56.0, 15.0, r.u(206, 226)
    shoulder, chest = 52 * r.u(0.97, 1.05), 50 * r.u(0.97, 1.05)
    hood(c, r, neck + 2, y - 6)
    at, end = (shoulder, y + 11), (shoulder + 24, r.u(184, 196))
    sleeve(c, replace(r.around(), bump=None, sheen=0.7), at, end, top=34, cuff=29)
    _rolls(
        c,
        r,
        [(shoulder + 2 + 22 * t, y + 22 + (end[1] - y - 22) * t, 17) for t in (0.12, 0.32, 0.52, 0.72, 0.9)],
    )
    cuffs(c, r.second, end, at, 11, 7)
    steps = range(int((hem_y - y - 26) / 22))
    folds: Folds = tuple(
        (((-chest, y + 32 + 22 * k), (0, y + 35 + 22 * k), (chest, y + 32 + 22 * k)), 15.0, 1.1) for k in steps
    )
    c.part(
        torso(neck, y, 12, shoulder, chest, chest, chest - 3, hem_y),
        cloth,
        Relief(puff=8, height=1.2, folds=folds),
    )
    seams: list[list[Anchor]] = [
        [(-chest - 2, y + 21 + 22 * k), (0, y + 24 + 22 * k), (chest + 2, y + 21 + 22 * k)]
        for k in range(len(steps) + 1)
    ]
    c.lines(seams, lighter(r.palette.main, -0.55), width=1.1, opacity=0.6)
    ribbed_band(c, r, r.second, chest - 3, hem_y - 5, hem_y + 7)
    c.lines([[(0, y + 8), (0, hem_y + 6)]], r.palette.inks[0], width=4.2)
    c.lines([[(0, y + 8), (0, hem_y + 6)]], r.palette.trim, width=2.0, dash=(1.0, 0.9))
    c.part(rounded(-2.4, y + 14, 2.4, y + 24, 2), r.hard, Relief(puff=1.4, lift=0.4))
    cords(c, r, neck, y + 6)


def _rolls(c: Canvas, r: Recipe, places: list[tuple[float, float, float]]) -> None:
    dark = lighter(r.palette.main, -0.55)
    for side in (-1, 1):
        c.lines(
            [[(side * (x - w), y + 3), (side * x, y + 1), (side * (x + w), y - 4)] for x, y, w in places],
            dark,
            width=1.1,
            opacity=0.55,
        )
