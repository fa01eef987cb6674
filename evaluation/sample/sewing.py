"""What clothes share: sleeves, collars, cuffs, folds. They lie flat and are seen from the front."""

from __future__ import annotations

from collections.abc import Sequence

from evaluation.sample.canvas import Canvas
from evaluation.sample.geometry import (
    Anchor,
    flipped,
    mirrored,
    rounded,
)
from evaluation.sample.palettes import lighter
from evaluation.sample.recipe import Recipe
from evaluation.sample.stuff import FLAT, Cloth, Relief

Folds = tuple[tuple[Sequence[Anchor], float, float], ...]


def drape(r: Recipe, top: float, bottom: float, narrow: float, wide: float, count: int, depth: float = 1.0) -> Folds:
    """Folds that fall from ``narrow`` at ``top`` to ``wide`` at ``bottom`` (half-widths)."""
    folds = []
    for k in range(count):
        at = (k + r.u(0.25, 0.75)) / count * 2 - 1
        start = top + r.u(0, 0.35) * (bottom - top)
        x0, x1 = at * narrow * 0.85, at * wide * 0.92
        middle = (x0 + x1) / 2 + r.u(-3, 3)
        width = max(wide / count * r.u(0.7, 1.2), 3.0)
        folds.append((((x0, start), (middle, (start + bottom) / 2), (x1, bottom + 8)), width, depth * r.u(0.5, 1.0)))
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


def lining(c: Canvas, r: Recipe, neck: float, y: float, depth: float) -> None:
    """What the open front of a shirt or coat shows."""
    inside = r.of(lighter(r.palette.second, -0.3))
    c.part(mirrored([(0, y - 5), (neck, y - 3, 1), (neck * 0.7, y + depth * 0.6), (0, y + depth)]), inside, FLAT)
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
    """Both sleeves, ``top`` wide at the ``shoulder``, ``cuff`` wide at the ``end``; ``bell`` flares it."""
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
        (ex - nx * half - ax * depth, ey - ny * half - ay * depth, 1),
        (ex + nx * half - ax * depth, ey + ny * half - ay * depth, 1),
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
            (shoulder - 3.5, top + 16), (chest, top + 34, 1),
            ((chest + 2 * waist) / 3, (top + 34) * 0.55 + hem_y * 0.45),
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
    c.part(mirrored([(0, y - 5), (neck + 1, y - 4, 1), (neck, y + 3, 1), (0, y + 4)]), cloth.shaded(0.7), FLAT)
    for side in (leaf, flipped(leaf)):
        c.part(side, cloth, Relief(puff=2.5, height=0.8, lift=0.45))
        inner = [(a[0] * 0.93, a[1] - 1.5) for a in (side[0], side[4])]
        c.lines([inner], seam, width=0.5, opacity=0.5, dash=(1.8, 1.2))


def lapels(
    c: Canvas, cloth: Cloth, neck: float, y: float, reach: float, end: float, seam: tuple[float, float, float]
) -> None:
    """Coat lapels that cross at ``end``."""
    leaf: list[Anchor] = [
        (neck - 1, y - 4, 1), (neck + 6, y + 3, 1), (reach - 5, y + 26, 1), (reach, y + 22, 1),
        (reach - 4, y + 42), (1, end, 1), (neck * 0.5, y + 30),
    ]  # fmt: skip
    c.part(mirrored([(0, y - 5), (neck + 1, y - 4, 1), (neck, y + 5, 1), (0, y + 7)]), cloth.shaded(0.65), FLAT)
    for side in (flipped(leaf), leaf):
        c.part(side, cloth, Relief(puff=2.8, height=0.8, lift=0.5))
        c.lines([[side[1][:2], side[2][:2]]], seam, width=0.6, opacity=0.5)


def _spread(low: float, high: float, step: float) -> list[float]:
    return [low + k * step for k in range(int((high - low) / step) + 1)]


def rib_neck(c: Canvas, r: Recipe, neck: float, y: float, depth: float, cloth: Cloth | None = None) -> None:
    """A knitted band around a round neck."""
    outer: list[Anchor] = [(neck + 4, y + 0.8, 1), (neck * 0.8, y + depth * 0.72 + 3), (0, y + depth + 4.5)]
    inner: list[Anchor] = [(neck - 0.5, y - 1, 1), (neck * 0.7, y + depth * 0.66), (0, y + depth - 0.5)]
    around = [*outer, *reversed(flipped(outer[:-1])), *flipped(inner), *reversed(inner[:-1])]
    c.part(around, cloth or r.second, Relief(puff=1.8, height=0.8, lift=0.2))


def hood(c: Canvas, r: Recipe, neck: float, y: float) -> None:
    """A hood behind the neck."""
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


def cords(c: Canvas, r: Recipe, neck: float, y: float) -> None:
    """Drawstrings."""
    cord = r.palette.inks[0]
    ends = r.u(30, 44)
    strings: list[list[Anchor]] = [
        [(s * neck * 0.5, y), (s * neck * 0.62, y + ends * 0.5), (s * neck * 0.5 + s * r.u(-1, 3), y + ends)]
        for s in (-1, 1)
    ]
    c.lines(strings, lighter(cord, -0.5), width=2.4, opacity=0.5)
    c.lines(strings, cord, width=1.6)
    c.dots([(a[-1][0], a[-1][1]) for a in strings], 1.8, r.hard)


def side_tape(c: Canvas, r: Recipe, half: float, y0: float, y1: float) -> None:
    """Tape down both sides."""
    for side in (-1, 1):
        c.lines([[(side * half, y0), (side * (half + 1), y1)]], r.palette.inks[0], width=5)
        c.lines([[(side * half, y0), (side * (half + 1), y1)]], r.palette.inks[-1], width=1.4)


def pocket(c: Canvas, r: Recipe, cloth: Cloth, x0: float, y0: float, x1: float, y1: float) -> None:
    """A patch pocket."""
    shape: list[Anchor] = [(x0, y0, 1), (x1, y0, 1), (x1, y1 - 4, 1), ((x0 + x1) / 2, y1, 1), (x0, y1 - 4, 1)]
    c.part(shape, cloth, Relief(puff=1.6, height=0.7, lift=0.25, shift=(3, 5)))
    c.lines([[(x0 + 1.5, y0 + 3), (x1 - 1.5, y0 + 3)]], r.seam, width=0.6, opacity=0.5, dash=(1.8, 1.2))
