"""Sneakers and boots, from the side."""

from __future__ import annotations

from dataclasses import replace

from evaluation.sample.canvas import Canvas
from evaluation.sample.geometry import (
    Anchor,
    curve,
    rounded,
)
from evaluation.sample.palettes import lighter
from evaluation.sample.recipe import Recipe
from evaluation.sample.stuff import FLAT, Cloth, Relief

GROUND = 236.0
"""y of the ground a shoe or bag stands on."""


def sneaker(c: Canvas, r: Recipe) -> float:
    """A sneaker from the side, toe to the right; answers the y of its ground."""
    chunky = {"retro": 14.0, "minimalist": 15.0, "street": 27.0, "luxury": 12.0}[r.cut] * r.u(0.92, 1.1)
    high = r.cut == "street" and r.maybe(0.6)
    top = GROUND - chunky
    collar = top - (112 if high else 66)
    body = r.around(0.7) if r.cut in ("street", "luxury") else r.leather
    c.part(
        [(-70, collar + 8), (-48, collar - 4), (-20, collar + 8), (-30, collar + 24), (-62, collar + 26)],
        r.of(lighter(r.palette.second, -0.45)),
        FLAT,
    )
    upper: list[Anchor] = [
        (-84, top + 3, 1), (-88, top - 26), (-79, collar + 28), (-76, collar + 4), (-69, collar + 1),
        (-60, collar + 9), (-40, collar + 11), (-20, collar - 2, 1),
        (-2, top - 54 if not high else top - 66), (26, top - 37), (62, top - 29), (86, top - 17),
        (92, top + 3, 1),
    ]  # fmt: skip
    folds = (
        (((22, top - 36), (30, top - 20), (24, top - 8)), 4.0, -0.6),
        (((-40, top - 4), (-30, top - 30), (-44, top - 50)), 6.0, 0.6),
    )
    c.part(upper, body, Relief(puff=9, height=1.25, folds=folds))
    _sneaker_panels(c, r, top, collar)
    _laces(c, r, top, collar, high)
    _sole(c, r, top, chunky)
    return GROUND


def _sneaker_panels(c: Canvas, r: Recipe, top: float, collar: float) -> None:
    second = r.of(r.palette.second, sheen=0.4) if r.cut != "minimalist" else r.leather.shaded(0.97)
    toe: list[Anchor] = [
        (44, top + 3, 1),
        (48, top - 16),
        (58, top - 31, 1),
        (74, top - 25),
        (87, top - 15),
        (93, top + 3, 1),
    ]
    heel: list[Anchor] = [
        (-84, top + 3, 1),
        (-88, top - 26),
        (-79, collar + 28),
        (-76.5, collar + 4),
        (-69, collar + 0.6),
        (-62, collar + 8, 1),
        (-64, top - 34),
        (-52, top + 3, 1),
    ]
    c.part(toe, second, Relief(puff=4, lift=0.25))
    c.part(heel, second if r.cut != "luxury" else r.hard, Relief(puff=3.5, lift=0.25))
    for path in (toe[1:3], heel[5:8]):
        c.lines([[a[:2] for a in path]], r.seam, width=0.7, opacity=0.6, dash=(2, 1.3))
    ink = r.palette.inks
    if r.cut == "retro":
        for k in range(3):
            x = -30 + 15 * k
            band: list[Anchor] = [
                (x, top + 2, 1),
                (x + 6, top + 2, 1),
                (x + 24, top - 40 + 3 * k, 1),
                (x + 18, top - 43 + 3 * k, 1),
            ]
            c.part(band, r.of(ink[1 % len(ink)] if k % 2 else ink[0], sheen=0.4), Relief(puff=1.5, lift=0.2))
    elif r.cut == "street":
        bolt: list[Anchor] = [
            (-50, top - 12, 1),
            (-16, top - 40, 1),
            (-18, top - 27, 1),
            (32, top - 34, 1),
            (-6, top - 6, 1),
            (-4, top - 19, 1),
        ]
        c.part(bolt, r.of(ink[1], sheen=0.5), Relief(puff=2, lift=0.35))
    elif r.cut == "luxury":
        c.part(
            [(-44, top - 14, 1), (8, top - 36, 1), (11, top - 33, 1), (-42, top - 10, 1)],
            r.hard,
            Relief(puff=1.4, lift=0.3),
        )
    else:
        c.lines([[(-48, top), (-20, top - 26), (20, top - 34)]], r.seam, width=0.7, opacity=0.4, dash=(2, 1.3))


def _laces(c: Canvas, r: Recipe, top: float, collar: float, high: bool) -> None:
    tongue: list[Anchor] = [
        (-24, collar + 4, 1),
        (-12, collar - 16),
        (2, collar - 12, 1),
        (8, top - 52, 1),
        (-8, top - 52, 1),
    ]
    c.part(tongue, r.of(lighter(r.palette.main, 0.12)), Relief(puff=3, lift=0.2))
    rows = 8 if high else 5
    light = r.palette.second if r.cut in ("street", "retro") else lighter(r.palette.main, 0.55)
    lace = Cloth.plain(light, sheen=0.2)
    for k in range(rows):
        t = k / (rows - 1)
        x, y = -14 + 44 * t, collar + 2 + (top - 38 - collar) * t ** (0.8 if high else 0.9)
        c.part(
            curve([(x - 10, y + 7), (x - 8, y + 3.5), (x + 7, y - 5), (x + 9, y - 2), (x - 7, y + 9)]),
            lace,
            Relief(puff=1.4, height=1.0, lift=0.45),
        )


def _sole(c: Canvas, r: Recipe, top: float, chunky: float) -> None:
    gum = (0.72, 0.48, 0.26)
    white = (0.95, 0.945, 0.93)
    colour = {
        "retro": gum if r.maybe(0.6) else r.palette.inks[-1],
        "minimalist": white,
        "street": white if r.maybe(0.6) else r.palette.inks[0],
        "luxury": r.palette.second,
    }[r.cut]
    sole: list[Anchor] = [
        (-88, top - 2, 1),
        (-40, top + 1),
        (30, top),
        (92, top - 4, 1),
        (99, top + chunky * 0.35),
        (90, GROUND, 1),
        (-84, GROUND, 1),
        (-92, top + chunky * 0.5),
    ]
    c.part(sole, Cloth.plain(colour, sheen=0.35, grain=0.02), Relief(puff=4.5, height=1.1, lift=0.35))
    dark = lighter(colour, -0.45)
    c.lines(
        [[(-90, top + chunky * 0.45), (0, top + chunky * 0.45), (97, top + chunky * 0.3)]],
        dark,
        width=0.9,
        opacity=0.5,
    )
    if r.cut == "street":
        c.part(
            [
                (-91, top + chunky * 0.5, 1),
                (-30, top + chunky * 0.45),
                (-44, GROUND - 3, 1),
                (-85, GROUND - 3, 1),
            ],
            r.of(r.palette.inks[1], sheen=0.6),
            Relief(puff=3, height=1.1, lift=0.3),
        )
        teeth = [rounded(-84 + 13 * k, GROUND - 4, -75 + 13 * k, GROUND + 2, 1.5) for k in range(14)]
        for tooth in teeth:
            c.part(tooth, Cloth.plain(dark, sheen=0.1), FLAT)
    else:
        c.lines([[(-84, GROUND - 1), (90, GROUND - 1)]], dark, width=2.2, opacity=0.6)


def boot(c: Canvas, r: Recipe) -> float:
    """A boot from the side; answers the y of its ground."""
    c.size *= {"retro": 1.18, "minimalist": 1.62, "street": 1.42, "luxury": 1.1}[r.cut]
    c.drop = {"retro": -32.0, "minimalist": -72.0, "street": -54.0, "luxury": -20.0}[r.cut]
    shaft = {"retro": 150.0, "minimalist": 84.0, "street": 108.0, "luxury": 158.0}[r.cut] * r.u(0.92, 1.08)
    heel = {"retro": 30.0, "minimalist": 12.0, "street": 22.0, "luxury": 46.0}[r.cut]
    ground = GROUND + 28
    top, sole = ground - shaft - heel, {"retro": 9.0, "minimalist": 6.0, "street": 18.0, "luxury": 3.5}[r.cut]
    stuff = r.leather if r.cut in ("minimalist", "street") or r.maybe(0.4) else replace(r.around(0.7), sheen=0.6)
    wide, ankle = (30, 25) if r.cut != "luxury" else (25, 18)
    back = ground - heel
    toe = 62 if r.cut != "luxury" else 78
    tip = ground - sole - (12 if r.cut != "luxury" else 4)
    c.part(
        [(-8 - wide, top + 4), (-8, top - 5), (-8 + wide, top + 5), (-8, top + 15)],
        r.of(lighter(r.palette.second, -0.4)),
        FLAT,
    )
    body: list[Anchor] = [
        (-8 - wide, top + 3, 1), (-8, top + 9), (-8 + wide, top + 4, 1), (-6 + ankle, back - 46),
        (8 + ankle, back - 24 + heel * 0.25), (42, ground - sole - 20),
        (toe - 4, tip - 2), (toe, ground - sole, 1), (24, ground - sole, 1), (4, back - 1),
        (-36, back, 1), (-38, back - 22), (-11 - ankle, back - 52),
    ]  # fmt: skip
    folds = (
        (((-30, back - 46), (-6, back - 38), (16, back - 44)), 6.0, -0.9),
        (((-28, back - 62), (-8, back - 56), (14, back - 60)), 5.0, 0.7),
        (((14, back - 20), (22, back - 10), (34, ground - sole - 8)), 5.0, -0.5),
    )
    _heel(c, r, ground, heel, sole, back, toe)
    c.part(body, stuff, Relief(puff=9, height=1.2, round=0.35, folds=folds))
    _boot_details(c, r, (top, back, wide, ankle), ground - sole)
    return ground


def _heel(c: Canvas, r: Recipe, ground: float, heel: float, sole: float, back: float, toe: float) -> None:
    wood = (
        Cloth.plain((0.50, 0.32, 0.19), sheen=0.4)
        if r.cut == "retro"
        else Cloth.plain(lighter(r.palette.second, -0.35) if r.cut != "street" else (0.1, 0.1, 0.11), sheen=0.5)
    )
    stuff = r.hard if r.cut == "luxury" and r.maybe(0.5) else wood
    low: dict[str, tuple[float, float]] = {
        "retro": (-38, -6),
        "minimalist": (-36, -2),
        "street": (-42, 0),
        "luxury": (-34, -28),
    }
    x0, x1 = low[r.cut]
    c.part(
        [
            (-37, back - 4, 1),
            (2, back - 4, 1),
            ((x1 + 2) if r.cut == "luxury" else x1, back + heel * 0.4),
            (x1, ground, 1),
            (x0, ground, 1),
            (x0, back + heel * 0.4),
        ],
        stuff,
        Relief(puff=4, round=0.3),
    )
    under: list[Anchor] = [
        (-36, back - 8, 1),
        (2, back - 9),
        (22, ground - sole - 9),
        (toe - 4, ground - sole - 4),
        (toe, ground - sole - 1.5, 1),
        (toe + 2, ground, 1),
        (22, ground, 1),
        (0, back + sole * 0.7),
        (-36, back + sole * 0.6, 1),
    ]
    c.part(under, stuff if r.cut == "street" else wood, Relief(puff=2.5, lift=0.2))
    if r.cut == "street":
        for k in range(9):
            c.part(rounded(-40 + 12 * k, ground - 6, -31 + 12 * k, ground + 1, 1.5), wood.shaded(0.7), FLAT)
        c.lines(
            [[(-38, back + 4), (0, back + 5), (26, ground - sole + 4), (toe, ground - sole + 4)]],
            r.palette.inks[1],
            width=1.3,
            dash=(2.5, 1.8),
        )


def _boot_details(c: Canvas, r: Recipe, m: tuple[float, float, float, float], toe_y: float) -> None:
    top, back, wide, ankle = m
    if r.cut == "retro":
        c.part(
            [
                (-8 - wide, top + 3, 1),
                (-8, top + 9),
                (-8 + wide, top + 4, 1),
                (-9 + wide, top + 20, 1),
                (-8, top + 25),
                (-7 - wide, top + 19, 1),
            ],
            r.second,
            Relief(puff=3, lift=0.35),
        )
        c.lines([[(-16, top + 28), (-18, back - 50), (-20, back - 6)]], r.palette.trim, width=2.4, dash=(1.4, 1.1))
        c.lines(
            [[(-10, top + 26), (-10, back - 40), (2, back - 12), (30, toe_y - 16)]],
            r.palette.inks[-1],
            width=2.0,
            opacity=0.9,
        )
    elif r.cut == "minimalist":
        c.part(
            [(-14, top + 10, 1), (8, top + 9, 1), (4, back - 18), (-12, back - 18)],
            Cloth.plain(lighter(r.palette.main, -0.45), grain=0.05),
            Relief(puff=2, lift=0.1),
        )
        c.part(
            [
                (-12 - wide * 0.8, top + 5, 1),
                (-8 - wide * 0.4, top + 7, 1),
                (-12 - wide * 0.5, top - 9, 1),
                (-10 - wide * 0.85, top - 9, 1),
            ],
            r.second,
            FLAT,
        )
    elif r.cut == "street":
        for k in range(7):
            y, x = top + 16 + k * (back - top - 28) / 6, -4 + wide * 0.55 + (k > 4) * (k - 4) * 9
            c.lines([[(x - 11, y + 3), (x + 7, y - 3)]], r.palette.inks[1 % len(r.palette.inks)], width=2.6)
            c.dots([(x - 12, y + 3), (x + 8, y - 3)], 1.7, r.hard)
        c.part(
            [
                (-36 - wide * 0.05, back - 26, 1),
                (22 + ankle * 0.2, back - 30, 1),
                (24, back - 19, 1),
                (-37, back - 14, 1),
            ],
            r.second,
            Relief(puff=2.5, lift=0.4),
        )
        c.part(
            rounded(-6, back - 31, 8, back - 15, 2),
            r.hard,
            Relief(puff=1.6, lift=0.4),
            holes=[rounded(-2.5, back - 27.5, 4.5, back - 18.5, 1)],
        )
    else:
        c.lines([[(-10 - wide, top + 8), (-8, top + 14), (-6 + wide, top + 9)]], r.palette.trim, width=1.6)
        c.part(
            [
                (-10 - ankle, back - 46, 1),
                (-6 + ankle, back - 48, 1),
                (-5 + ankle, back - 43, 1),
                (-11 - ankle, back - 40, 1),
            ],
            r.hard,
            Relief(puff=1.6, lift=0.35),
        )
        c.lines([[(-12, top + 16), (-14, back - 52)]], r.palette.trim, width=1.0, dash=(1.2, 1.0))
