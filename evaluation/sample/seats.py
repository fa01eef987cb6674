"""Chairs and sofas, from the front."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evaluation.sample.canvas import Canvas
from evaluation.sample.furnishing import FLOOR, leg, wood
from evaluation.sample.geometry import (
    Anchor,
    ellipse,
    mirrored,
    rounded,
)
from evaluation.sample.palettes import lighter
from evaluation.sample.recipe import Recipe, buttons
from evaluation.sample.stuff import FLAT, Cloth, Relief


def chair(c: Canvas, r: Recipe) -> float:
    """An armchair or chair from the front; answers the y of its floor."""
    {"retro": _shell, "minimalist": _plain_chair, "street": _bucket, "luxury": _wing}[r.cut](c, r)
    return FLOOR


def _legs(
    c: Canvas, stuff: Cloth, half: float, top: float, splay: float, w0: float, w1: float, *, back: float = 0.6
) -> None:
    for s in (-1, 1):
        leg(
            c,
            stuff.shaded(0.7),
            s * half * back,
            top,
            s * (half * back + splay * 0.5),
            FLOOR - 14,
            w0 * 0.85,
            w1,
        )
    for s in (-1, 1):
        leg(c, stuff, s * half, top, s * (half + splay), FLOOR, w0, w1)


def _shell(c: Canvas, r: Recipe) -> None:
    half, top, seat = r.u(58, 68), r.u(74, 96), r.u(196, 206)
    _legs(c, wood(r), half * 0.72, seat + 18, 16, 5, 2.6)
    cloth = r.cloth()
    back = mirrored(
        [
            (0, top),
            (half * 0.7, top + 10),
            (half * 1.02, top + 62),
            (half * 0.96, seat - 6),
            (half * 0.86, seat + 16),
            (0, seat + 22),
        ]
    )
    c.part(back, r.second if r.maybe(0.4) else cloth, Relief(puff=9, height=1.2))
    inner = mirrored(
        [(0, top + 10), (half * 0.58, top + 20), (half * 0.84, top + 66), (half * 0.78, seat), (0, seat + 6)]
    )
    c.part(inner, cloth, Relief(puff=10, height=-0.7, lift=0.15))
    buttons(c, r, [(x, top + y) for y in (48, 78) for x in (-24, 0, 24)], 2.6)
    for s in (-1, 1):
        arm: list[Anchor] = [
            (s * half * 0.78, seat - 34),
            (s * half * 1.1, seat - 40),
            (s * half * 1.16, seat),
            (s * half * 0.95, seat + 22),
            (s * half * 0.72, seat + 8),
        ]
        c.part(arm, r.second, Relief(puff=7, height=1.2, lift=0.45))
    c.part(
        mirrored(
            [
                (0, seat - 6),
                (half * 0.74, seat - 4),
                (half * 0.84, seat + 10),
                (half * 0.7, seat + 24),
                (0, seat + 27),
            ]
        ),
        cloth,
        Relief(puff=7, height=1.3, lift=0.5, shift=(40, 50)),
    )


def _plain_chair(c: Canvas, r: Recipe) -> None:
    half, top, seat = r.u(46, 54), r.u(84, 102), r.u(192, 202)
    frame = wood(r) if r.maybe(0.65) else r.of(lighter(r.palette.inks[-1], -0.2), sheen=0.5)
    for s in (-1, 1):
        leg(c, frame.shaded(0.72), s * half * 0.72, seat, s * half * 0.74, FLOOR - 15, 3, 2.4)
        leg(c, frame, s * half * 0.94, top, s * half * 0.9, seat + 6, 3.2, 3.2)
    if r.maybe(0.5):
        c.part(
            mirrored([(0, top + 2), (half, top + 4, 1), (half, top + 34, 1), (0, top + 38)]),
            r.cloth(),
            Relief(puff=4, lift=0.4),
        )
    else:
        for x in np.linspace(-half * 0.7, half * 0.7, 6):
            leg(c, frame, float(x), top + 6, float(x), seat + 2, 1.7, 1.7)
        c.part(
            mirrored([(0, top - 5), (half, top - 3, 1), (half, top + 8, 1), (0, top + 7)]),
            frame,
            Relief(puff=3, lift=0.4),
        )
    for s in (-1, 1):
        leg(c, frame, s * half, seat + 6, s * (half + 2), FLOOR, 3.6, 2.6)
    c.part(
        mirrored(
            [
                (0, seat - 6),
                (half * 0.9, seat - 6, 1),
                (half + 7, seat + 9, 1),
                (half + 6, seat + 17, 1),
                (0, seat + 18),
            ]
        ),
        r.cloth(),
        Relief(puff=5, height=1.1, lift=0.5, shift=(0, 60)),
    )
    c.lines([[(-half - 6, seat + 9.5), (half + 6, seat + 9.5)]], r.seam, width=0.6, opacity=0.4)


def _bucket(c: Canvas, r: Recipe) -> None:
    half, top, seat = r.u(46, 52), r.u(52, 64), r.u(190, 200)
    metal = Cloth.plain((0.12, 0.12, 0.13), sheen=0.8)
    c.part(rounded(-6, seat + 10, 6, FLOOR - 22, 2), metal, Relief(puff=2.5, round=0.8))
    for x in (-62.0, -34.0, 0.0, 34.0, 62.0):
        c.part(
            [(-5, FLOOR - 30, 1), (5, FLOOR - 30, 1), (x + 5, FLOOR - 9, 1), (x - 5, FLOOR - 9, 1)],
            metal,
            Relief(puff=2.5),
        )
        c.part(ellipse(x, FLOOR - 5, 6.5), metal.shaded(0.7), Relief(puff=2.5))
    cloth = r.cloth()
    back = mirrored(
        [
            (0, top),
            (half * 0.62, top + 3),
            (half * 0.66, top + 22),
            (half * 1.02, top + 44),
            (half * 0.98, seat - 40),
            (half * 1.08, seat - 8),
            (0, seat + 4),
        ]
    )
    c.part(back, r.second, Relief(puff=8, height=1.2))
    c.part(
        mirrored(
            [
                (0, top + 8),
                (half * 0.4, top + 10),
                (half * 0.46, top + 30),
                (half * 0.66, top + 54),
                (half * 0.62, seat - 20),
                (0, seat - 8),
            ]
        ),
        cloth,
        Relief(puff=7, height=1.0, lift=0.4),
    )
    for s in (-1, 1):
        c.lines(
            [[(s * half * 0.84, top + 46), (s * half * 0.80, seat - 40), (s * half * 0.9, seat - 12)]],
            r.palette.inks[1],
            width=4,
        )
        c.part(ellipse(s * half * 0.34, top + 34, 7, 4.5), metal.shaded(0.5), FLAT)
        c.part(
            rounded(
                min(s * (half + 4), s * (half + 20)),
                seat - 46,
                max(s * (half + 4), s * (half + 20)),
                seat - 36,
                4,
            ),
            metal,
            Relief(puff=3, lift=0.3),
        )
        leg(c, metal, s * (half + 12), seat - 38, s * (half + 6), seat + 4, 3.5, 3.5)
    c.part(
        mirrored(
            [
                (0, seat - 14),
                (half * 1.0, seat - 16),
                (half * 1.24, seat + 4),
                (half * 1.1, seat + 18),
                (0, seat + 20),
            ]
        ),
        r.around(),
        Relief(puff=8, height=1.3, lift=0.5, shift=(30, 80)),
    )


def _wing(c: Canvas, r: Recipe) -> None:
    half, top, seat = r.u(56, 64), r.u(58, 72), r.u(196, 206)
    _legs(c, r.hard if r.maybe(0.5) else wood(r), half * 0.9, seat + 36, 4, 5, 2.6, back=0.66)
    cloth = replace(r.cloth(), sheen=0.75, satin=max(0.2, r.cloth().satin * 0.6))
    back = mirrored(
        [
            (0, top - 8),
            (half * 0.6, top),
            (half * 0.98, top + 8),
            (half * 1.02, seat - 40),
            (half, seat + 10),
            (0, seat + 12),
        ]
    )
    c.part(back, cloth, Relief(puff=9, height=1.1))
    tufts = [
        (x + 9 * (k % 2), top + 26 + 22 * k)
        for k in range(4)
        for x in (-36.0, -18.0, 0.0, 18.0) + ((36.0,) if k % 2 == 0 else ())
    ]
    c.lines(
        [[(x, y), (x + d, y + 22)] for x, y in tufts[:-4] for d in (-9, 9)],
        lighter(r.palette.main, -0.5),
        width=1.2,
        opacity=0.6,
    )
    buttons(c, r, tufts, 2.2)
    for s in (-1, 1):
        wing: list[Anchor] = [
            (s * half * 0.86, top + 2),
            (s * half * 1.12, top + 20),
            (s * half * 1.08, seat - 54),
            (s * half * 1.24, seat - 44),
            (s * half * 1.22, seat + 30),
            (s * half * 0.92, seat + 34, 1),
            (s * half * 0.84, seat - 30),
        ]
        c.part(wing, cloth, Relief(puff=7, height=1.2, lift=0.5, shift=(20, 33)))
        c.lines(
            [[(s * half * 0.99, seat - 40), (s * half * 1.0, seat + 30)]],
            r.palette.trim,
            width=1.6,
            dash=(1.2, 1.4),
        )
    c.part(
        rounded(-half * 0.9, seat - 14, half * 0.9, seat + 12, 9),
        cloth,
        Relief(puff=6, height=1.3, lift=0.5, shift=(51, 10)),
    )
    c.part(
        rounded(-half * 1.02, seat + 12, half * 1.02, seat + 38, 4),
        cloth,
        Relief(puff=5, lift=0.4, shift=(80, 20)),
    )
    c.dots([(float(x), seat + 34) for x in np.linspace(-half * 0.95, half * 0.95, 17)], 1.5, r.hard)


# cut -> (half width, back top, seat y, arm width, arm top, number of cushions, roundness)
_SOFA: dict[str, tuple[float, float, float, float, float, int, float]] = {
    "retro": (100, 150, 214, 20, 178, 3, 10),
    "minimalist": (104, 166, 220, 13, 190, 2, 4),
    "street": (104, 158, 226, 30, 182, 2, 18),
    "luxury": (102, 142, 216, 24, 174, 3, 12),
}


def sofa(c: Canvas, r: Recipe) -> float:
    """A sofa from the front; answers the y of its floor."""
    half, top, seat, arm, arm_top, cushions, radius = _SOFA[r.cut]
    top, arm_top = top + r.u(-8, 8), arm_top + r.u(-6, 6)
    cloth = r.cloth(0.9 if r.cut != "luxury" else 1.1)
    frame = r.hard if r.cut == "luxury" else wood(r)
    low = FLOOR - {"retro": 26.0, "minimalist": 20.0, "street": 4.0, "luxury": 16.0}[r.cut]
    splay = 12.0 if r.cut == "retro" else 0.0
    if r.cut != "street":
        _legs(c, frame, half * 0.86, low - 4, splay, 5, 2.6 if r.cut != "minimalist" else 4, back=0.5)
    if r.cut == "luxury":
        back: list[Anchor] = mirrored(
            [
                (0, top - 14),
                (half * 0.4, top - 8),
                (half * 0.75, top + 4),
                (half * 0.98, top + 10),
                (half * 0.98, seat + 10, 1),
                (0, seat + 10),
            ]
        )
        c.part(back, cloth, Relief(puff=8, height=1.1))
    else:
        c.part(
            rounded(-half * 0.97, top, half * 0.97, seat + 12, radius),
            cloth.shaded(0.94),
            Relief(puff=7, height=1.1),
        )
    _cushions(c, r, cloth, half - arm, top, seat, low, cushions, radius)
    for s in (-1, 1):
        x0, x1 = sorted((s * (half - arm), s * (half + 3)))
        c.part(
            rounded(x0, arm_top, x1, low, max(radius, 5)),
            cloth,
            Relief(puff=7, height=1.25, lift=0.5, shift=(63, 22)),
        )
        if r.cut == "luxury":
            c.part(
                ellipse((x0 + x1) / 2, arm_top + 13, arm * 0.56),
                cloth.shaded(0.92),
                Relief(puff=5, height=1.3, lift=0.5),
            )
            c.dots([((x0 + x1) / 2, arm_top + 13)], 3, r.hard)
    if r.cut == "retro":
        c.part(rounded(-half, low - 7, half, low, 1), frame, Relief(puff=2.5, lift=0.3))
    return FLOOR


def _cushions(
    c: Canvas,
    r: Recipe,
    cloth: Cloth,
    inner: float,
    top: float,
    seat: float,
    low: float,
    count: int,
    radius: float,
) -> None:
    width = 2 * inner / count
    c.part(rounded(-inner, seat - 8, inner, low, 2), cloth.shaded(0.55), FLAT)
    for k in range(count):
        x0 = -inner + k * width
        if r.cut != "luxury":
            c.part(
                rounded(x0 + 0.8, top + 8, x0 + width - 0.8, seat + 4, radius),
                cloth,
                Relief(puff=8, height=1.25, lift=0.35, shift=(11 * k, 7)),
            )
            if r.cut == "retro":
                buttons(c, r, [(x0 + width / 2, (top + seat) / 2 + 4)], 3)
    if r.cut == "luxury":
        tufts = [(float(x), top + 14 + 19 * k) for k in range(3) for x in np.arange(-60 + 10 * (k % 2), 66, 20.0)]
        c.lines(
            [[(x, y), (x + d, y + 19)] for x, y in tufts for d in (-10, 10) if y < top + 40],
            lighter(r.palette.main, -0.5),
            width=1.2,
            opacity=0.6,
        )
        buttons(c, r, tufts, 2.3)
    for k in range(count):
        x0 = -inner + k * width
        c.part(
            rounded(x0 + 0.5, seat - 4, x0 + width - 0.5, seat + 22, min(radius, 9)),
            cloth,
            Relief(puff=6, height=1.35, lift=0.5, shift=(17 * k + 5, 30)),
        )
    c.part(rounded(-inner - 2, seat + 20, inner + 2, low, 3), cloth.shaded(0.9), Relief(puff=4, lift=0.35))
    if r.maybe(0.75):
        x = float(r.rng.choice([-1, 1])) * inner * 0.62
        pillow: list[Anchor] = [
            (x - 20, seat - 34, 1),
            (x, seat - 31),
            (x + 20, seat - 34, 1),
            (x + 18, seat - 14),
            (x + 20, seat + 3, 1),
            (x, seat),
            (x - 20, seat + 3, 1),
            (x - 18, seat - 14),
        ]
        c.part(
            pillow,
            r.second if r.cut != "retro" else r.of(r.palette.inks[-1]),
            Relief(puff=8, height=1.3, lift=0.5),
        )
