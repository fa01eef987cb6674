"""Handbags."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from evaluation.sample.canvas import Canvas
from evaluation.sample.geometry import (
    Anchor,
    Points,
    curve,
    ellipse,
    mirrored,
    rounded,
)
from evaluation.sample.palettes import lighter
from evaluation.sample.recipe import Recipe, buttons
from evaluation.sample.shoes import GROUND
from evaluation.sample.stuff import FLAT, Cloth, Relief


def handbag(c: Canvas, r: Recipe) -> float:
    """A handbag; answers the y of its ground."""
    {"retro": _saddle, "minimalist": _tote, "street": _crossbody, "luxury": _flap}[r.cut](c, r)
    return GROUND


def strap(c: Canvas, r: Recipe, path: Points, width: float, cloth: Cloth) -> None:
    """A band along ``path`` with stitched edges."""
    along = np.gradient(path, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1) / np.maximum(
        np.linalg.norm(along, axis=1, keepdims=True), 1e-9
    )
    left, right = path + normal * width / 2, path - normal * width / 2
    c.part(np.concatenate([left, right[::-1]]), cloth, Relief(puff=max(width * 0.35, 1.4), height=0.9))
    if width >= 5:
        inset = normal * (width / 2 - 1.2)
        c.lines([path + inset, path - inset], r.thread, width=0.5, opacity=0.6, dash=(1.8, 1.3))


def _arc(half: float, y: float, rise: float, *, square: float = 1.0) -> Points:
    return curve(
        [
            (-half, y),
            (-half * 0.92 * square, y - rise * 0.6),
            (0, y - rise),
            (half * 0.92 * square, y - rise * 0.6),
            (half, y),
        ],
        closed=False,
    )


def _saddle(c: Canvas, r: Recipe) -> None:
    half, top = r.u(62, 70), GROUND - r.u(84, 96)
    body = r.leather if r.maybe(0.35) else r.cloth(0.9)
    strap(c, r, _arc(half - 8, top + 14, r.u(95, 120)), 8, r.of(lighter(r.palette.inks[-1], -0.05), sheen=0.4))
    c.part(
        mirrored([(0, top), (half * 0.8, top + 2), (half, top + 40), (half * 0.88, GROUND - 12), (0, GROUND)]),
        body.shaded(0.86),
        Relief(puff=8, height=1.2),
    )
    flap = mirrored(
        [(0, top - 5), (half * 0.85, top - 2), (half + 2, top + 24), (half * 0.72, top + 54), (0, top + 66)]
    )
    c.part(flap, body, Relief(puff=8, height=1.2, lift=0.55))
    c.lines(
        [
            [
                (half * 0.98, top + 22),
                (half * 0.68, top + 50),
                (0, top + 61.5),
                (-half * 0.68, top + 50),
                (-half * 0.98, top + 22),
            ]
        ],
        r.thread,
        width=0.8,
        dash=(3, 2),
    )
    if r.maybe(0.5):
        fringe: list[list[Anchor]] = [
            [(x, top + 66 - (x / half) ** 2 * 16), (x + r.u(-1, 1), top + 82), (x + r.u(-2, 2), GROUND - 4)]
            for x in range(-44, 46, 4)
        ]
        c.lines(fringe, lighter(r.palette.inks[-1], -0.4), width=2.6, opacity=0.6)
        c.lines(fringe, r.palette.inks[-1], width=1.9)
    c.part(
        ellipse(0, top + 52, 9, 9),
        r.hard,
        Relief(puff=3, height=1.1, lift=0.5),
        holes=[ellipse(0, top + 52, 5, 5)],
    )


def _tote(c: Canvas, r: Recipe) -> None:
    half, top = r.u(54, 62), GROUND - r.u(118, 136)
    body = r.leather if r.maybe(0.5) else r.cloth()
    rise = r.u(52, 72)
    strap(c, r, _arc(24, top + 6, rise, square=1.05), 5, body.shaded(0.72))
    c.part(
        mirrored([(0, top + 5), (half * 0.95, top, 1), (half * 0.8, top - 4, 1), (0, top - 2)]),
        body.shaded(0.55),
        FLAT,
    )
    folds = (
        (((half * 0.7, top + 30), (half * 0.78, top + 70), (half * 0.7, GROUND - 10)), 8.0, -0.5),
        (((-half * 0.5, top + 20), (-half * 0.6, top + 60), (-half * 0.4, GROUND - 16)), 9.0, 0.5),
    )
    c.part(
        mirrored(
            [
                (0, top + 4),
                (half, top, 1),
                (half * 0.96, top + 60),
                (half * 0.9, GROUND - 3, 1),
                (half * 0.84, GROUND, 1),
                (0, GROUND),
            ]
        ),
        body,
        Relief(puff=7, folds=folds),
    )
    strap(c, r, _arc(24, top + 26, rise + 10, square=1.05), 5, body.shaded(0.96))
    c.lines(
        [[(-half + 1, top + 8), (0, top + 12), (half - 1, top + 8)]],
        r.seam,
        width=0.6,
        opacity=0.5,
        dash=(2, 1.3),
    )
    if r.maybe(0.4):
        c.part(rounded(-9, top + 84, 9, top + 88, 1), body.shaded(0.8), FLAT)


def _crossbody(c: Canvas, r: Recipe) -> None:
    half, top = r.u(58, 66), GROUND - r.u(92, 104)
    strap(c, r, _arc(half - 6, top + 14, r.u(110, 130), square=0.75), 13, r.second)
    strap(c, r, _arc(half - 6, top + 14, r.u(110, 130), square=0.75), 4, r.of(r.palette.inks[-1]))
    body = r.cloth(0.85) if r.maybe(0.8) else r.leather
    c.part(rounded(-half, top, half, GROUND, 16), body, Relief(puff=8, height=1.2))
    c.part(
        rounded(-half + 9, top + 44, half - 9, GROUND - 9, 10),
        r.around(0.7),
        Relief(puff=6, height=1.1, lift=0.5, shift=(71, 30)),
    )
    for y, x in ((top + 20, half - 4), (top + 52, half - 14)):
        c.lines([[(-x, y), (x, y)]], (0.07, 0.07, 0.08), width=4.2, opacity=0.9)
        c.lines([[(-x, y), (x, y)]], r.palette.inks[-1], width=1.8, dash=(1.2, 1.0))
        c.part(rounded(x - 12, y - 3, x - 6, y + 14, 2), r.hard, Relief(puff=1.5, height=1.0, lift=0.5))
    for x in (-half + 22, half - 22):
        c.part(rounded(x - 5, top - 3, x + 5, GROUND + 1, 2), r.second, Relief(puff=2, lift=0.4))
        c.part(
            rounded(x - 7.5, top + 32, x + 7.5, top + 45, 3),
            Cloth.plain((0.12, 0.12, 0.13), sheen=0.8),
            Relief(puff=2.5, height=1.2, lift=0.5),
        )


def _flap(c: Canvas, r: Recipe) -> None:
    half, top = r.u(60, 68), GROUND - r.u(80, 90)
    body = replace(r.cloth(0.75), sheen=0.85)
    arc = _arc(half - 10, top + 8, r.u(88, 112))
    gaps = np.r_[0, np.cumsum(np.linalg.norm(np.diff(arc, axis=0), axis=1))]
    at = np.arange(0, gaps[-1], 6.2)
    xs, ys = np.interp(at, gaps, arc[:, 0]), np.interp(at, gaps, arc[:, 1])
    for k, (x, y) in enumerate(zip(xs, ys, strict=True)):
        rx, ry = (4.4, 3.2) if k % 2 else (2.4, 4.2)
        c.part(
            ellipse(float(x), float(y), rx, ry, n=20),
            r.hard,
            Relief(puff=1.3, height=1.0, lift=0.2),
            holes=[ellipse(float(x), float(y), rx - 1.6, ry - 1.6, n=16)],
        )
    c.part(rounded(-half, top + 4, half, GROUND, 9), body.shaded(0.85), Relief(puff=6, height=1.2))
    c.part(
        mirrored(
            [
                (0, top - 2),
                (half - 6, top - 2),
                (half + 1, top + 6),
                (half, top + 44),
                (half - 10, top + 52),
                (0, top + 55),
            ]
        ),
        body,
        Relief(puff=6, height=1.2, lift=0.6),
    )
    c.lines(
        [
            [
                (half - 4, top + 44),
                (half - 12, top + 48.5),
                (0, top + 51.5),
                (-half + 12, top + 48.5),
                (-half + 4, top + 44),
            ]
        ],
        r.seam,
        width=0.6,
        opacity=0.6,
        dash=(2, 1.2),
    )
    c.part(rounded(-9, top + 42, 9, top + 59, 3), r.hard, Relief(puff=2.5, height=1.2, lift=0.55))
    c.part(ellipse(0, top + 50.5, 4.2), r.hard.shaded(0.62), Relief(puff=1.5, height=-0.8, lift=0))
    if r.maybe(0.5):
        buttons(c, r, [(-half + 8, GROUND - 8), (half - 8, GROUND - 8)], 3.0)
