"""Trousers and skirts."""

from __future__ import annotations

from evaluation.sample.canvas import Canvas
from evaluation.sample.geometry import (
    Anchor,
    flipped,
    mirrored,
    rounded,
)
from evaluation.sample.recipe import Recipe, buttons
from evaluation.sample.sewing import (
    Folds,
    cords,
    drape,
    hem_stitch,
)
from evaluation.sample.stuff import FLAT, Cloth, Relief

# cut -> (waist, hip, knee out, knee in, hem out, hem in, hem_y)
_LEG = {
    "retro": (29, 37, 37, 14, 58, 8, 288),
    "minimalist": (30, 39, 40, 9, 39, 10, 284),
    "street": (32, 46, 52, 6, 46, 10, 282),
    "luxury": (28, 37, 36, 11, 31, 14, 286),
}


def trousers(c: Canvas, r: Recipe) -> None:
    """Trousers."""
    waist, hip, knee, inner, hem, hem_in, hem_y = (v * r.u(0.97, 1.03) for v in _LEG[r.cut])
    cloth = r.around(0.9)
    leg: list[Anchor] = [
        (-3, 40, 1), (waist, 38, 1), (hip - 2, 70), (hip, 104), (knee, 186), (hem, hem_y, 1),
        (hem_in, hem_y + 3, 1), (inner, 190), (2.5, 128, 1), (-3, 112, 1),
    ]  # fmt: skip
    middle = (knee + inner) / 2
    for side in (-1, 1):
        folds: Folds = (
            (((side * hip * 0.55, 96), (side * middle, 190), (side * (hem + hem_in) / 2, hem_y)), 7.0, 0.9),
            (((side * 4, 118), (side * hip * 0.5, 128), (side * hip * 0.85, 126)), 4.5, -0.8),
            (((side * 5, 130), (side * hip * 0.5, 144), (side * hip * 0.8, 148)), 4.0, -0.6),
            (
                ((side * (inner + 3), 192), (side * middle, 200), (side * knee * 0.95, 194)),
                4.5,
                r.u(-0.9, 0.4),
            ),
            (
                (
                    (side * (hem_in + 2), hem_y - 22),
                    (side * middle, hem_y - 14),
                    (side * hem * 0.9, hem_y - 20),
                ),
                5.0,
                -0.9 if r.cut == "street" else -0.2,
            ),
        )
        c.part(
            leg if side > 0 else flipped(leg),
            cloth,
            Relief(puff=5.5, folds=folds, shift=(0, 0) if side > 0 else (13, 29)),
        )
    c.part(
        mirrored([(0, 37), (waist, 35, 1), (waist + 1, 46, 1), (0, 49)]),
        cloth if r.cut != "street" else r.second,
        Relief(puff=2.2, lift=0.3, shift=(50, 50)),
    )
    c.lines([[(0, 48), (0, 118), (1, 126)]], r.seam, width=0.9, opacity=0.7)
    c.lines([[(5, 49), (7, 80), (0.5, 96)]], r.seam, width=0.6, opacity=0.55, dash=(1.8, 1.2))
    c.lines(
        [[(s * waist * 0.55, 48), (s * waist * 0.8, 62), (s * (hip - 2), 68)] for s in (-1, 1)],
        r.seam,
        width=0.8,
        opacity=0.6,
    )
    _trouser_details(c, r, cloth, (waist, hip, knee, inner, hem, hem_in, hem_y))


def _trouser_details(c: Canvas, r: Recipe, cloth: Cloth, m: tuple[float, ...]) -> None:
    waist, hip, knee, _, hem, hem_in, hem_y = m
    if r.cut == "street":
        for s in (-1, 1):
            ends = sorted((s * (knee - 21), s * (knee - 1)))
            c.part(
                rounded(ends[0], 158, ends[1], 190, 3),
                cloth,
                Relief(puff=2.5, height=1.1, lift=0.45, shift=(9, 9)),
            )
            c.part(rounded(ends[0] - 1, 155, ends[1] + 1, 166, 2), r.second, Relief(puff=1.8, lift=0.4))
            ends = sorted((s * (hem_in - 1), s * (hem + 1)))
            c.part(rounded(ends[0], hem_y - 9, ends[1], hem_y + 4, 3), r.second, Relief(puff=2.5, lift=0.2))
        cords(c, r, 14, 46)
        if r.maybe(0.5):
            c.lines(
                [[(s * (hip - 1), 84), (s * (knee - 1), 186), (s * hem, hem_y - 10)] for s in (-1, 1)],
                r.palette.inks[0],
                width=4,
            )
        return
    if r.cut == "luxury":
        c.lines(
            [[(s * hip * 0.52, 70), (s * (hem + hem_in) / 2, hem_y)] for s in (-1, 1)],
            r.seam,
            width=0.8,
            opacity=0.6,
        )
        c.lines(
            [[(s * (hip - 1.5), 80), (s * (knee - 1), 186), (s * (hem - 1), hem_y)] for s in (-1, 1)],
            r.palette.trim,
            width=1.3,
            opacity=0.9 * r.maybe(0.5),
        )
    if r.cut == "retro":
        if r.maybe(0.6):
            for s in (-1, 1):
                band: list[Anchor] = [
                    (s * (hem * 0.965), hem_y - 14, 1),
                    (s * hem, hem_y, 1),
                    (s * hem_in, hem_y + 3, 1),
                    (s * (hem_in + 0.5), hem_y - 11, 1),
                ]
                c.part(band, r.second, Relief(puff=2.5, lift=0.15))
        loops = [-waist * 0.75, -waist * 0.35, waist * 0.35, waist * 0.75]
        c.lines([[(x, 35), (x, 48)] for x in loops], r.seam, width=2.2, opacity=0.7)
    buttons(c, r, [(0, 42.5)], 2.8 if r.cut == "luxury" else 2.2)
    c.lines(
        [[(s * (hem_in + 1), hem_y - 5), (s * hem, hem_y - 7)] for s in (-1, 1)],
        r.seam,
        width=0.6,
        opacity=0.5,
        dash=(2, 1.3),
    )


# cut -> (waist, hip, hem, hem_y, folds, depth)
_SKIRT = {
    "retro": (28, 48, 78, 224, 8, 1.4),
    "minimalist": (28, 40, 43, 256, 3, 0.6),
    "street": (30, 46, 62, 186, 9, 1.2),
    "luxury": (26, 39, 48, 274, 6, 1.3),
}


def skirt(c: Canvas, r: Recipe) -> None:
    """A skirt."""
    waist, hip, hem, hem_y, count, depth = (v * r.u(0.96, 1.05) for v in _SKIRT[r.cut])
    cloth = r.cloth(0.9)
    c.part(mirrored([(0, 60), (waist - 2, 58), (waist - 3, 64), (0, 70)]), cloth.shaded(0.6), FLAT)
    body = mirrored(
        [
            (0, 66),
            (waist, 62, 1),
            (hip, 104),
            ((hip + hem) / 2 + 1, (104 + hem_y) / 2),
            (hem, hem_y, 1),
            (hem * 0.55, hem_y + 7),
            (0, hem_y + 9),
        ]
    )
    folds = drape(r, 72, hem_y, waist, hem, int(count), depth)
    c.part(body, cloth, Relief(puff=6, folds=folds, fan=0.9 if r.cut in ("retro", "luxury") else 0.3))
    if r.cut == "street":
        c.lines(
            [
                [(x * waist, 74), (x * hip * 1.05, 112), (x * hem, hem_y + 8)]
                for x in (-0.8, -0.48, -0.16, 0.16, 0.48, 0.8)
            ],
            r.seam,
            width=1.0,
            opacity=0.6,
        )
    if r.cut in ("minimalist", "luxury") and r.maybe(0.6):
        x = r.u(12, 20)
        c.part(
            [(x, hem_y - 62, 1), (x + 4, hem_y - 20), (x + 6, hem_y + 8, 1), (x - 3, hem_y + 9, 1)],
            cloth.shaded(0.5),
            Relief(puff=2, height=-0.6, lift=0),
        )
    c.part(
        mirrored([(0, 65), (waist, 61, 1), (waist + 1.5, 74, 1), (0, 78)]),
        r.second if r.cut in ("retro", "street") else cloth.shaded(0.93),
        Relief(puff=2.5, lift=0.3),
    )
    _skirt_details(c, r, (waist, hem, hem_y))


def _skirt_details(c: Canvas, r: Recipe, m: tuple[float, float, float]) -> None:
    waist, hem, hem_y = m
    if r.cut == "retro":
        if r.maybe(0.6):
            buttons(c, r, [(0, 72 + k * (hem_y - 80) / 6) for k in range(7)], 2.8)
        else:
            c.part(
                mirrored(
                    [
                        (0, hem_y - 5),
                        (hem * 0.5, hem_y - 7),
                        (hem * 0.95, hem_y - 14, 1),
                        (hem, hem_y, 1),
                        (hem * 0.55, hem_y + 7),
                        (0, hem_y + 9),
                    ]
                ),
                r.second,
                Relief(puff=3, lift=0.1),
            )
    elif r.cut == "street":
        for x in (-13, 13):
            c.part(
                rounded(x - 6, 64, x + 6, 77, 2),
                r.hard,
                Relief(puff=1.6, lift=0.4),
                holes=[rounded(x - 3.5, 66.5, x + 3.5, 74.5, 1)],
            )
        if r.maybe(0.6):
            chain = [(-waist - 4 + k * 2.6, 84 + 12 * (1 - ((k - 7) / 7) ** 2)) for k in range(15)]
            c.dots(chain, 1.5, r.hard)
    elif r.cut == "luxury":
        c.lines([[(-waist, 74.5), (0, 78), (waist, 74.5)]], r.palette.trim, width=1.5)
        buttons(c, r, [(-waist * 0.6, 69), (-waist * 0.3, 70.5)], 2.6)
    else:
        hem_stitch(c, r, hem - 1, hem_y - 5, curve=7)
