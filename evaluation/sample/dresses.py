"""Dresses."""

from __future__ import annotations

from dataclasses import replace

from evaluation.sample.canvas import Canvas
from evaluation.sample.geometry import (
    Anchor,
    flipped,
    mirrored,
    rounded,
)
from evaluation.sample.recipe import Recipe, buttons
from evaluation.sample.sewing import (
    cords,
    drape,
    hem_stitch,
    hood,
    neck_back,
    pointed_collar,
    pulls,
    rib_neck,
    ribbed_band,
    side_tape,
    sleeve,
    torso,
)
from evaluation.sample.stuff import FLAT, Relief


def dress(c: Canvas, r: Recipe) -> None:
    """A dress."""
    {
        "retro": _dress_retro,
        "minimalist": _dress_minimalist,
        "street": _dress_street,
        "luxury": _dress_luxury,
    }[r.cut](c, r)


def _frock(
    neck: float,
    depth: float,
    shoulder: float,
    waist: float,
    waist_y: float,
    hip: float,
    hem: float,
    hem_y: float,
) -> list[Anchor]:
    return mirrored(
        [
            (0, 42 + depth), (neck * 0.72, 42 + depth * 0.66), (neck, 42, 1), (shoulder, 48, 1),
            (shoulder - 4.5, 66),
            (waist + 8, 88, 1), (waist + 2.5, (88 + waist_y) / 2 + 6), (waist, waist_y), (hip, waist_y + 34),
            (hem, hem_y, 1), (hem * 0.55, hem_y + 6), (0, hem_y + 8),
        ]
    )  # fmt: skip


def _dress_retro(c: Canvas, r: Recipe) -> None:
    cloth = r.cloth(0.9)
    waist, hem, hem_y, neck = r.u(24, 28), r.u(62, 80), r.u(222, 272), r.u(13, 18)
    shoulder = neck + r.u(18, 21)
    neck_back(c, r.second, neck, 43)
    length = r.u(0, 1)
    end = (shoulder + 26 + 16 * length, 96 + 66 * length)
    if r.maybe(0.75):
        sleeve(c, cloth, (shoulder, 49), end, top=22, cuff=22, bell=4 + 10 * length)
    folds = drape(r, 130, hem_y, waist, hem, 7, 1.3) + pulls(r, waist + 6, 96)
    c.part(
        _frock(neck, r.u(9, 14), shoulder, waist, 126, waist + 14, hem, hem_y),
        cloth,
        Relief(puff=6, folds=folds, fan=0.85),
    )
    if r.maybe(0.6):
        c.part(
            mirrored(
                [
                    (0, hem_y - 4),
                    (hem * 0.55, hem_y - 6),
                    (hem * 0.955, hem_y - 13, 1),
                    (hem, hem_y, 1),
                    (hem * 0.55, hem_y + 6),
                    (0, hem_y + 8),
                ]
            ),
            r.second,
            Relief(puff=3, folds=folds, lift=0.1),
        )
    if r.maybe(0.7):
        pointed_collar(c, r.second, neck, 43, neck + 20, 26, r.seam)
        buttons(c, r, [(0, 66 + 12 * k) for k in range(4)], 2.4)
    belt = r.second if r.maybe(0.5) else r.of(r.palette.inks[-1])
    c.part(
        mirrored([(0, 123), (waist + 0.5, 121, 1), (waist + 1, 131, 1), (0, 133)]),
        belt,
        Relief(puff=2.5, lift=0.35),
    )
    c.part(
        rounded(-7, 120, 7, 135, 3),
        r.hard,
        Relief(puff=2, height=1.0, lift=0.4),
        holes=[rounded(-4, 123, 4, 132, 2)],
    )


def _dress_minimalist(c: Canvas, r: Recipe) -> None:
    cloth = r.cloth()
    neck, width, hem_y = r.u(13, 20), r.u(30, 34), r.u(232, 280)
    shoulder, hem = neck + r.u(13, 18), width + r.u(2, 12)
    neck_back(c, cloth, neck, 43)
    if r.maybe(0.5):
        long = r.u(0, 1)
        sleeve(c, cloth, (shoulder, 49), (shoulder + 15 + 8 * long, 96 + 56 * long), top=19, cuff=17)
    folds = drape(r, 110, hem_y, width - 4, hem, 3, 0.7) + pulls(r, width, 94, 1, 0.5)
    c.part(
        _frock(neck, r.u(6, 11), shoulder, width - 3, 128, width + 3, hem, hem_y),
        cloth,
        Relief(puff=6, folds=folds),
    )
    hem_stitch(c, r, hem - 1, hem_y - 5, curve=6)
    c.lines(
        [[(-neck, 44), (-neck * 0.6, 51), (0, 54.5), (neck * 0.6, 51), (neck, 44)]],
        r.seam,
        width=0.6,
        opacity=0.35,
    )
    if r.maybe(0.35):
        c.part(mirrored([(0, 127), (width - 2, 125, 1), (width - 2, 129, 1), (0, 131)]), cloth.shaded(0.9), FLAT)
        c.part([(3, 128, 1), (7, 129, 1), (9, 172, 1), (4, 172, 1)], cloth.shaded(0.92), FLAT)


def _dress_street(c: Canvas, r: Recipe) -> None:
    cloth = r.cloth()
    neck, width, hem_y = r.u(14, 17), r.u(42, 48), r.u(196, 232)
    shoulder = width + r.u(2, 6)
    hooded = r.maybe(0.45)
    if hooded:
        hood(c, r, neck, 44)
    neck_back(c, r.second, neck, 44)
    sleeve(c, r.around(), (shoulder, 56), (shoulder + 22, 112 + r.u(0, 16)), top=28, cuff=31)
    folds = drape(r, 120, hem_y, width - 6, width, 5, 0.9) + pulls(r, width - 3, 104)
    c.part(torso(neck, 43, 13, shoulder, width, width - 2, width + 2, hem_y), cloth, Relief(puff=6, folds=folds))
    c.lines(
        [[(-neck * 0.72, 53), (-neck, 43.5), (0, 57.5)]],
        r.seam,
        width=0.6,
        opacity=0.4,
    )
    rib_neck(c, r, neck, 43, 13)
    if r.maybe(0.6):
        ribbed_band(c, r, r.second, width + 2, hem_y - 6, hem_y + 6)
    if hooded:
        cords(c, r, neck, 52)
    if r.maybe(0.5):
        side_tape(c, r, width - 2, 100, hem_y - 6)


def _dress_luxury(c: Canvas, r: Recipe) -> None:
    cloth = r.cloth(0.85)
    waist, hip, hem_y = r.u(20, 23), r.u(32, 36), r.u(272, 288)
    hem = r.u(30, 62)
    depth = r.u(22, 40)
    strap = r.u(20, 24)
    inside = cloth.shaded(0.55)
    c.part(mirrored([(0, 84), (strap, 74, 1), (waist + 7, 92, 1), (0, 100)]), inside, FLAT)
    for side in ([(strap - 1.4, 42, 1), (strap + 1.4, 42, 1), (strap + 2.5, 74, 1), (strap - 1.5, 72, 1)],):
        c.part(side, cloth, FLAT)
        c.part(flipped(side), cloth, FLAT)
    body = mirrored(
        [
            (0, 58 + depth, 1), (strap * 0.6, 62 + depth * 0.4), (strap, 66, 1), (waist + 9, 88),
            (waist + 4, 108), (waist, 126),
            (hip, 168), (hip - 4, 205), (hem, hem_y, 1), (hem * 0.5, hem_y + 6), (0, hem_y + 8),
        ]
    )  # fmt: skip
    folds = drape(r, 140, hem_y, waist, hem, 6, 1.2) + drape(r, 84, 126, strap, waist, 4, 0.7)
    c.part(
        body,
        replace(cloth, satin=max(cloth.satin, 0.35), sheen=max(cloth.sheen, 0.6)),
        Relief(puff=6, folds=folds, fan=0.6),
    )
    if r.maybe(0.6):
        x = r.u(8, 16)
        c.part(
            [(x, 190, 1), (x + 7, 235), (hem * 0.42, hem_y + 6, 1), (x - 4, hem_y + 9, 1), (x - 2, 240)],
            inside,
            Relief(puff=3, height=-0.6, lift=0),
        )
    c.part(
        mirrored([(0, 124.5), (waist + 0.2, 122.5, 1), (waist + 0.4, 127, 1), (0, 129)]),
        r.hard,
        Relief(puff=1.6, height=0.9, lift=0.3),
    )
    buttons(c, r, [(-strap, 68), (strap, 68)], 2.2)
    if r.maybe(0.5):
        buttons(c, r, [(0, 126.5)], 4.2)
