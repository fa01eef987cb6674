"""Silhouettes of clothes, laid flat and seen from the front; x counts from the middle, y from the top (240 × 320)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from evaluation.sample.canvas import FLAT, Canvas, Cloth, Relief
from evaluation.sample.geometry import Anchor, ellipse, flipped, mirrored, rounded
from evaluation.sample.palettes import lighter
from evaluation.sample.recipe import Recipe, buttons

Folds = tuple[tuple[Sequence[Anchor], float, float], ...]


def drape(
    r: Recipe, top: float, bottom: float, narrow: float, wide: float, count: int, depth: float = 1.0
) -> Folds:
    """Folds that fall from ``narrow`` at ``top`` to ``wide`` at ``bottom`` (half-widths)."""
    folds = []
    for k in range(count):
        at = (k + r.u(0.25, 0.75)) / count * 2 - 1
        start = top + r.u(0, 0.35) * (bottom - top)
        x0, x1 = at * narrow * 0.85, at * wide * 0.92
        middle = (x0 + x1) / 2 + r.u(-3, 3)
        width = max(wide / count * r.u(0.7, 1.2), 3.0)
        folds.append(
            (((x0, start), (middle, (start + bottom) / 2), (x1, bottom + 8)), width, depth * r.u(0.5, 1.0))
        )
    return tuple(folds)


def pulls(r: Recipe, x: float, y: float, count: int = 3, depth: float = 0.7) -> Folds:
    """Short creases that run from the armholes towards the middle, both sides."""
    folds = []
    for side in (-1, 1):
        for _ in range(count):
            y0 = y + r.u(-6, 24)
            line = (
                (side * x, y0),
                (side * x * 0.72, y0 + r.u(2, 8)),
                (side * x * r.u(0.3, 0.5), y0 + r.u(6, 20)),
            )
            folds.append((line, r.u(3, 5), depth * r.u(-0.8, 1.0)))
    return tuple(folds)


def neck_back(c: Canvas, cloth: Cloth, half: float, y: float, drop: float = 9) -> None:
    """The inside of the back, seen through the neck."""
    c.part(
        mirrored([(0, y - 1.5), (half, y, 1), (half * 0.8, y + drop * 1.4), (0, y + drop * 2)]),
        cloth.shaded(0.62),
        FLAT,
    )
    c.lines(
        [[(-half * 0.9, y + 3.5), (0, y + 5), (half * 0.9, y + 3.5)]],
        (0.1, 0.1, 0.1),
        width=0.6,
        opacity=0.25,
    )


def _lining(c: Canvas, r: Recipe, neck: float, y: float, depth: float) -> None:
    """What the open front of a shirt or coat shows."""
    lining = r.of(lighter(r.palette.second, -0.3))
    c.part(
        mirrored([(0, y - 5), (neck, y - 3, 1), (neck * 0.7, y + depth * 0.6), (0, y + depth)]), lining, FLAT
    )
    c.part(rounded(-5, y + 2, 5, y + 7, 1), r.of(lighter(r.palette.main, 0.6)), FLAT)


def sleeve(
    c: Canvas,
    cloth: Cloth,
    shoulder: tuple[float, float],
    end: tuple[float, float],
    *,
    top: float,
    cuff: float,
    bell: float = 0.0,
) -> None:
    """Both sleeves: from ``shoulder`` to the middle of the cuff, ``top`` and ``cuff`` wide; ``bell`` widens the end."""
    (sx, sy), (ex, ey) = shoulder, end
    length = max(((ex - sx) ** 2 + (ey - sy) ** 2) ** 0.5, 1)
    nx, ny = (ey - sy) / length, -(ex - sx) / length  # outward normal
    half, wide = cuff / 2, cuff / 2 + bell
    at = (0.55 * sx + 0.45 * ex, 0.55 * sy + 0.45 * ey)
    outer = [
        (sx - 6, sy - 1, 1), (sx + 2, sy + 3), (at[0] + nx * (top * 0.4), at[1] + ny * top * 0.4),
        (ex + nx * wide, ey + ny * wide, 1),
    ]  # fmt: skip
    inner = [
        (ex - nx * wide, ey - ny * wide, 1),
        (at[0] - nx * half * 1.05, at[1] - ny * half * 1.05),
        (sx - top * 0.5, sy + top * 1.15, 1),
    ]
    fold = (((sx - 4, sy + top * 0.8), at, (ex, ey)), top * 0.22, 0.8)
    crease = (((sx - 2, sy + top), (at[0] - 2, at[1] + 3), (at[0] + 4, at[1] + 2)), 4.0, -0.7)
    for side in (outer + inner, flipped(outer + inner)):
        mirror = side[0][0] < 0
        folds = tuple((flipped(a) if mirror else a, w, d) for a, w, d in (fold, crease))
        c.part(side, cloth, Relief(puff=4.5, folds=folds, shift=(37 if mirror else 149, 41)))


def cuffs(
    c: Canvas,
    cloth: Cloth,
    end: tuple[float, float],
    shoulder: tuple[float, float],
    half: float,
    depth: float,
) -> None:
    """A band at the end of both sleeves."""
    (sx, sy), (ex, ey) = shoulder, end
    length = max(((ex - sx) ** 2 + (ey - sy) ** 2) ** 0.5, 1)
    ax, ay = (ex - sx) / length, (ey - sy) / length
    nx, ny = ay, -ax
    band: list[Anchor] = [
        (ex + nx * half, ey + ny * half, 1), (ex - nx * half, ey - ny * half, 1),
        (ex - nx * half - ax * depth, ey - ny * half - ay * depth, 1), (ex + nx * half - ax * depth, ey + ny * half - ay * depth, 1),
    ]  # fmt: skip
    for side in (band, flipped(band)):
        c.part(side, cloth, Relief(puff=2.2, height=0.8, lift=0.15))


def torso(
    neck: float,
    neck_y: float,
    depth: float,
    shoulder: float,
    chest: float,
    waist: float,
    hem: float,
    hem_y: float,
    *,
    vee: bool = False,
) -> list[Anchor]:
    """The outline of a top: half-widths at neck, shoulder, chest, waist and hem."""
    slope = (shoulder - neck) * 0.26
    top = neck_y + slope
    start: list[Anchor] = (
        [(0, neck_y + depth, 1)] if vee else [(0, neck_y + depth), (neck * 0.72, neck_y + depth * 0.68)]
    )
    return mirrored(
        [
            *start, (neck, neck_y, 1), ((neck + shoulder) / 2, neck_y + slope * 0.42), (shoulder, top, 1),
            (shoulder - 3.5, top + 16), (chest, top + 34, 1), ((chest + 2 * waist) / 3, (top + 34) * 0.55 + hem_y * 0.45),
            (hem, hem_y, 1), (hem * 0.5, hem_y + 2.5), (0, hem_y + 3),
        ]
    )  # fmt: skip


def hem_stitch(c: Canvas, r: Recipe, half: float, y: float, *, curve: float = 2.5) -> None:
    """A seam above a hem."""
    c.lines([[(-half, y), (0, y + curve), (half, y)]], r.seam, width=0.6, opacity=0.55, dash=(2.2, 1.3))


def ribbed_band(c: Canvas, r: Recipe, cloth: Cloth, half: float, y0: float, y1: float) -> None:
    """A knitted waistband."""
    c.part(rounded(-half, y0, half, y1, 3), cloth, Relief(puff=2.5, lift=0.1))
    ticks = [[(x, y0 + 1.5), (x, y1 - 1.5)] for x in _spread(-half + 3, half - 3, 3.2)]
    c.lines(ticks, r.seam, width=0.6, opacity=0.3)


def pointed_collar(
    c: Canvas,
    cloth: Cloth,
    neck: float,
    y: float,
    spread: float,
    drop: float,
    seam: tuple[float, float, float],
) -> None:
    """A shirt collar; a large ``spread`` and ``drop`` make it a 70s one."""
    leaf: list[Anchor] = [
        (1, y + 12, 1),
        (neck * 0.7, y + 3),
        (neck + 1, y - 4, 1),
        (neck + 4, y + 1),
        (spread, y + drop, 1),
    ]
    c.part(
        mirrored([(0, y - 5), (neck + 1, y - 4, 1), (neck, y + 3, 1), (0, y + 4)]), cloth.shaded(0.7), FLAT
    )
    for side in (leaf, flipped(leaf)):
        c.part(side, cloth, Relief(puff=2.5, height=0.8, lift=0.45))
        inner = [(a[0] * 0.93, a[1] - 1.5) for a in (side[0], side[4])]
        c.lines([inner], seam, width=0.5, opacity=0.5, dash=(1.8, 1.2))


def lapels(
    c: Canvas, cloth: Cloth, neck: float, y: float, reach: float, end: float, seam: tuple[float, float, float]
) -> None:
    """Coat lapels that cross at ``end``."""
    leaf: list[Anchor] = [
        (neck - 1, y - 4, 1), (neck + 6, y + 3, 1), (reach - 5, y + 26, 1), (reach, y + 22, 1), (reach - 4, y + 42), (1, end, 1), (neck * 0.5, y + 30),
    ]  # fmt: skip
    c.part(
        mirrored([(0, y - 5), (neck + 1, y - 4, 1), (neck, y + 5, 1), (0, y + 7)]), cloth.shaded(0.65), FLAT
    )
    for side in (flipped(leaf), leaf):
        c.part(side, cloth, Relief(puff=2.8, height=0.8, lift=0.5))
        c.lines([[side[1][:2], side[2][:2]]], seam, width=0.6, opacity=0.5)


def _spread(low: float, high: float, step: float) -> list[float]:
    return [low + k * step for k in range(int((high - low) / step) + 1)]


# --- dress -----------------------------------------------------------------------------------------------------------


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
            (0, 42 + depth), (neck * 0.72, 42 + depth * 0.66), (neck, 42, 1), (shoulder, 48, 1), (shoulder - 4.5, 66),
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
        c.part(
            mirrored([(0, 127), (width - 2, 125, 1), (width - 2, 129, 1), (0, 131)]), cloth.shaded(0.9), FLAT
        )
        c.part([(3, 128, 1), (7, 129, 1), (9, 172, 1), (4, 172, 1)], cloth.shaded(0.92), FLAT)


def _dress_street(c: Canvas, r: Recipe) -> None:
    cloth = r.cloth()
    neck, width, hem_y = r.u(14, 17), r.u(42, 48), r.u(196, 232)
    shoulder = width + r.u(2, 6)
    hood = r.maybe(0.45)
    if hood:
        _hood(c, r, neck, 44)
    neck_back(c, r.second, neck, 44)
    sleeve(c, r.around(), (shoulder, 56), (shoulder + 22, 112 + r.u(0, 16)), top=28, cuff=31)
    folds = drape(r, 120, hem_y, width - 6, width, 5, 0.9) + pulls(r, width - 3, 104)
    c.part(
        torso(neck, 43, 13, shoulder, width, width - 2, width + 2, hem_y), cloth, Relief(puff=6, folds=folds)
    )
    c.lines(
        [mirrored([(0, 57.5), (neck * 0.72, 53), (neck, 43.5, 1)])[::-1][:2] + [(0, 57.5)]],
        r.seam,
        width=0.6,
        opacity=0.4,
    )
    _rib_neck(c, r, neck, 43, 13)
    if r.maybe(0.6):
        ribbed_band(c, r, r.second, width + 2, hem_y - 6, hem_y + 6)
    if hood:
        _cords(c, r, neck, 52)
    if r.maybe(0.5):
        _side_tape(c, r, width - 2, 100, hem_y - 6)


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
            (0, 58 + depth, 1), (strap * 0.6, 62 + depth * 0.4), (strap, 66, 1), (waist + 9, 88), (waist + 4, 108), (waist, 126),
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


# --- tops ------------------------------------------------------------------------------------------------------------


def _rib_neck(c: Canvas, r: Recipe, neck: float, y: float, depth: float, cloth: Cloth | None = None) -> None:
    outer = mirrored(
        [
            (0, y + depth + 4.5),
            (neck * 0.8, y + depth * 0.72 + 3),
            (neck + 4, y + 0.8, 1),
            (neck - 0.5, y - 0.6, 1),
            (neck * 0.7, y + depth * 0.66),
            (0, y + depth - 0.5),
        ][:3]
    )
    inner = mirrored([(0, y + depth - 0.5), (neck * 0.7, y + depth * 0.66), (neck - 0.5, y - 1, 1)])
    ring = [a for a in outer if a[1] < 900]
    shape = _between(ring, inner)
    c.part(shape, cloth or r.second, Relief(puff=1.8, height=0.8, lift=0.2))


def _between(outer: list[Anchor], inner: list[Anchor]) -> list[Anchor]:
    """A U-shaped band: the outer curve from right to left through its bottom, back along the inner one."""
    half_o = [a for a in outer if a[0] >= 0]
    half_i = [a for a in inner if a[0] >= 0]
    right = [*reversed(half_o)]
    out = [*right, *flipped(half_o[1:])]
    back = [*reversed(flipped(half_i[1:])), *half_i]
    return [*out, *back]


def _hood(c: Canvas, r: Recipe, neck: float, y: float) -> None:
    cloth = r.cloth()
    c.part(
        mirrored([(0, y - 20), (neck + 6, y - 14), (neck + 15, y + 2), (neck + 8, y + 16, 1), (0, y + 18)]),
        cloth,
        Relief(puff=5, shift=(60, 90)),
    )
    c.part(
        mirrored([(0, y - 12), (neck, y - 7), (neck + 5, y + 4), (neck, y + 14), (0, y + 16)]),
        r.second.shaded(0.75),
        Relief(puff=3, height=-0.7, lift=0),
    )


def _cords(c: Canvas, r: Recipe, neck: float, y: float) -> None:
    cord = r.palette.inks[0]
    ends = r.u(30, 44)
    strings: list[list[Anchor]] = [
        [(s * neck * 0.5, y), (s * neck * 0.62, y + ends * 0.5), (s * neck * 0.5 + s * r.u(-1, 3), y + ends)]
        for s in (-1, 1)
    ]
    c.lines(strings, lighter(cord, -0.5), width=2.4, opacity=0.5)
    c.lines(strings, cord, width=1.6)
    c.dots([(a[-1][0], a[-1][1]) for a in strings], 1.8, r.hard)


def _side_tape(c: Canvas, r: Recipe, half: float, y0: float, y1: float) -> None:
    for side in (-1, 1):
        c.lines([[(side * half, y0), (side * (half + 1), y1)]], r.palette.inks[0], width=5)
        c.lines([[(side * half, y0), (side * (half + 1), y1)]], r.palette.inks[-1], width=1.4)


# cut -> (neck, depth, shoulder, chest, waist, hem, hem_y, sleeve end dx, dy, top, cuff)
_TEE = {
    "retro": (15, 11, 50, 45, 42, 44, 208, 20, 36, 27, 25),
    "minimalist": (16, 10, 54, 49, 48, 50, 216, 22, 46, 30, 29),
    "street": (17, 10, 66, 60, 60, 62, 226, 24, 58, 38, 42),
    "luxury": (15, 36, 48, 44, 40, 44, 214, 17, 40, 25, 22),
}


def t_shirt(c: Canvas, r: Recipe) -> None:
    """A T-shirt."""
    c.size *= 0.9 if r.cut == "street" else 1.0
    neck, depth, shoulder, chest, waist, hem, hem_y, dx, dy, top, cuff = (
        v * r.u(0.97, 1.04) for v in _TEE[r.cut]
    )
    cloth = r.cloth()
    vee = r.cut == "luxury"
    ringer = r.second if r.cut == "retro" or (r.cut == "street" and r.maybe(0.4)) else cloth.shaded(0.93)
    y = 62.0
    at, end = (shoulder, y + (shoulder - neck) * 0.26), (shoulder + dx, y + dy + 12)
    neck_back(c, cloth, neck, y)
    arms = r.second if r.cut == "retro" and r.maybe(0.35) else r.around()
    sleeve(c, arms, at, end, top=top, cuff=cuff)
    if r.cut == "retro":
        cuffs(c, r.second, end, at, cuff / 2, 4.5)
    folds = drape(r, 130, hem_y, waist, hem, 4, 0.8) + pulls(r, chest, 112)
    c.part(
        torso(neck, y, depth, shoulder, chest, waist, hem, hem_y, vee=vee), cloth, Relief(puff=6, folds=folds)
    )
    if vee:
        c.lines([[(-neck, y, 1), (0, y + depth, 1), (neck, y, 1)]], r.palette.trim, width=1.6)
        buttons(c, r, [(0, y + depth + 1.5)], 2.0)
        if r.maybe(0.5):
            c.part(
                ellipse(-18, y + 52, 5, 5), r.hard, Relief(puff=1.5), holes=[ellipse(-18, y + 52, 2.6, 2.6)]
            )
    else:
        _rib_neck(c, r, neck, y, depth, ringer)
    hem_stitch(c, r, hem - 1, hem_y - 4)
    if r.cut == "minimalist" and r.maybe(0.5):
        _pocket(c, r, cloth, 10, 104, 28, 126)


def _pocket(c: Canvas, r: Recipe, cloth: Cloth, x0: float, y0: float, x1: float, y1: float) -> None:
    shape: list[Anchor] = [(x0, y0, 1), (x1, y0, 1), (x1, y1 - 4, 1), ((x0 + x1) / 2, y1, 1), (x0, y1 - 4, 1)]
    c.part(shape, cloth, Relief(puff=1.6, height=0.7, lift=0.25, shift=(3, 5)))
    c.lines([[(x0 + 1.5, y0 + 3), (x1 - 1.5, y0 + 3)]], r.seam, width=0.6, opacity=0.5, dash=(1.8, 1.2))


# cut -> (neck, shoulder, chest, waist, hem, hem_y, arm dx, arm y, top, cuff, bell, collar spread, drop)
_SHIRT = {
    "retro": (14, 48, 44, 40, 44, 224, 34, 192, 28, 24, 6, 40, 33),
    "minimalist": (14, 52, 48, 47, 49, 232, 26, 204, 30, 22, 0, 15, 4),
    "street": (15, 63, 58, 58, 59, 226, 24, 122, 38, 43, 0, 29, 21),
    "luxury": (14, 48, 44, 40, 43, 230, 26, 204, 27, 20, 0, 25, 23),
}


def shirt(c: Canvas, r: Recipe) -> None:
    """A shirt or blouse."""
    neck, shoulder, chest, waist, hem, hem_y, dx, arm_y, top, cuff, bell, spread, drop = (
        v * r.u(0.97, 1.04) for v in _SHIRT[r.cut]
    )
    cloth = r.cloth(0.85)
    y = 54.0
    at, end = (shoulder, y + (shoulder - neck) * 0.26), (shoulder + dx, arm_y)
    _lining(c, r, neck, y, 26)
    sleeve(c, r.around(0.85), at, end, top=top, cuff=cuff, bell=bell)
    if r.cut != "street":
        cuffs(c, r.second if r.cut == "retro" else cloth.shaded(0.94), end, at, cuff / 2 + bell * 0.9, 9)
    folds = drape(r, 120, hem_y, waist, hem, 4, 0.8) + pulls(r, chest, 108)
    c.part(
        torso(neck, y, 16, shoulder, chest, waist, hem, hem_y, vee=True), cloth, Relief(puff=6, folds=folds)
    )
    placket = r.second if r.cut == "retro" and r.maybe(0.5) else cloth.shaded(0.96)
    c.part(
        [(-4.5, y + 12, 1), (4.5, y + 12, 1), (4.5, hem_y + 2, 1), (-4.5, hem_y + 2, 1)],
        placket,
        Relief(puff=1.5, height=0.6, lift=0.25, shift=(7, 3)),
    )
    c.lines(
        [[(-3.4, y + 14), (-3.4, hem_y)], [(3.4, y + 14), (3.4, hem_y)]],
        r.seam,
        width=0.5,
        opacity=0.4,
        dash=(1.8, 1.2),
    )
    buttons(
        c, r, [(0, y + 26 + k * (hem_y - y - 44) / 6) for k in range(7)], 2.3 if r.cut == "luxury" else 2.0
    )
    _shirt_collar(c, r, cloth, neck, y, spread, drop)
    hem_stitch(c, r, hem - 1, hem_y - 4)
    if r.cut in ("street", "retro") and r.maybe(0.7):
        _pocket(c, r, cloth, 11, 104, 29, 127)
        if r.cut == "street":
            _pocket(c, r, cloth, -29, 104, -11, 127)


def _shirt_collar(
    c: Canvas, r: Recipe, cloth: Cloth, neck: float, y: float, spread: float, drop: float
) -> None:
    if r.cut == "minimalist":
        c.part(
            mirrored([(0, y - 6), (neck, y - 5, 1), (neck + 1.5, y + 2, 1), (0, y + 5)]),
            cloth.shaded(0.7),
            FLAT,
        )
        leaf: list[Anchor] = [
            (0.5, y + 17, 1),
            (neck * 0.75, y + 9),
            (neck + 1.5, y + 1, 1),
            (neck, y - 5, 1),
            (neck * 0.6, y + 4),
            (0.5, y + 10, 1),
        ]
        for side in (leaf, flipped(leaf)):
            c.part(side, cloth, Relief(puff=2, height=0.7, lift=0.3))
        return
    pointed_collar(c, r.second if r.cut == "retro" and r.maybe(0.6) else cloth, neck, y, spread, drop, r.seam)
    if r.cut == "luxury" and r.maybe(0.6):  # a bow
        tail: list[Anchor] = [(1, y + 12, 1), (8, y + 40), (14, y + 66, 1), (3, y + 70, 1), (0, y + 40)]
        loop: list[Anchor] = [(0, y + 11, 1), (12, y + 3), (21, y + 9), (13, y + 19)]
        for shape in (tail, flipped(tail), loop, flipped(loop)):
            c.part(shape, cloth, Relief(puff=3.5, height=1.1, lift=0.4, shift=(11, 17)))
        c.part(rounded(-4, y + 7, 4, y + 16, 3), cloth, Relief(puff=2.5, lift=0.4))


# --- coat ------------------------------------------------------------------------------------------------------------


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
    _lining(c, r, neck, y, 46)
    sleeve(c, r.around(0.9), at, end, top=28, cuff=cuff, bell=4 if r.cut == "retro" else 0)
    cuffs(
        c, trim or cloth.shaded(0.92), end, at, cuff / 2 + (6 if trim else 3 if r.cut == "retro" else 0.5), 13
    )
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
        rows = [
            (x, y + 84 + 24 * k) for k in range(4) for x in ((-14.0, 18.0) if r.cut == "luxury" else (1.5,))
        ]
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
    c.part(
        mirrored([(0, y - 8), (neck + 3, y - 6), (neck, y + 6), (0, y + 8)]), fur.shaded(0.72), Relief(puff=3)
    )
    for side in (leaf, flipped(leaf)):
        c.part(side, fur, Relief(puff=5.5, height=1.3, lift=0.45))


def _puffer(c: Canvas, r: Recipe) -> None:
    cloth = replace(r.cloth(), sheen=0.7)
    y, neck, hem_y = 56.0, 15.0, r.u(206, 226)
    shoulder, chest = 52 * r.u(0.97, 1.05), 50 * r.u(0.97, 1.05)
    _hood(c, r, neck + 2, y - 6)
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
        (((-chest, y + 32 + 22 * k), (0, y + 35 + 22 * k), (chest, y + 32 + 22 * k)), 15.0, 1.1)
        for k in steps
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
    _cords(c, r, neck, y + 6)


def _rolls(c: Canvas, r: Recipe, places: list[tuple[float, float, float]]) -> None:
    dark = lighter(r.palette.main, -0.55)
    for side in (-1, 1):
        c.lines(
            [[(side * (x - w), y + 3), (side * x, y + 1), (side * (x + w), y - 4)] for x, y, w in places],
            dark,
            width=1.1,
            opacity=0.55,
        )


# --- trousers and skirts ---------------------------------------------------------------------------------------------

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
        (-3, 40, 1), (waist, 38, 1), (hip - 2, 70), (hip, 104), (knee, 186), (hem, hem_y, 1), (hem_in, hem_y + 3, 1), (inner, 190), (2.5, 128, 1), (-3, 112, 1),
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
        _cords(c, r, 14, 46)
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
