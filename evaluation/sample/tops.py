"""T-shirts and shirts."""

from __future__ import annotations

from evaluation.sample.canvas import Canvas
from evaluation.sample.geometry import (
    Anchor,
    ellipse,
    flipped,
    mirrored,
    rounded,
)
from evaluation.sample.recipe import Recipe, buttons
from evaluation.sample.sewing import (
    cuffs,
    drape,
    hem_stitch,
    lining,
    neck_back,
    pocket,
    pointed_collar,
    pulls,
    rib_neck,
    sleeve,
    torso,
)
from evaluation.sample.stuff import FLAT, Cloth, Relief

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
    neck, depth, shoulder, chest, waist, hem, hem_y, dx, dy, top, cuff = (v * r.u(0.97, 1.04) for v in _TEE[r.cut])
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
    c.part(torso(neck, y, depth, shoulder, chest, waist, hem, hem_y, vee=vee), cloth, Relief(puff=6, folds=folds))
    if vee:
        c.lines([[(-neck, y, 1), (0, y + depth, 1), (neck, y, 1)]], r.palette.trim, width=1.6)
        buttons(c, r, [(0, y + depth + 1.5)], 2.0)
        if r.maybe(0.5):
            c.part(ellipse(-18, y + 52, 5, 5), r.hard, Relief(puff=1.5), holes=[ellipse(-18, y + 52, 2.6, 2.6)])
    else:
        rib_neck(c, r, neck, y, depth, ringer)
    hem_stitch(c, r, hem - 1, hem_y - 4)
    if r.cut == "minimalist" and r.maybe(0.5):
        pocket(c, r, cloth, 10, 104, 28, 126)


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
    lining(c, r, neck, y, 26)
    sleeve(c, r.around(0.85), at, end, top=top, cuff=cuff, bell=bell)
    if r.cut != "street":
        cuffs(c, r.second if r.cut == "retro" else cloth.shaded(0.94), end, at, cuff / 2 + bell * 0.9, 9)
    folds = drape(r, 120, hem_y, waist, hem, 4, 0.8) + pulls(r, chest, 108)
    c.part(torso(neck, y, 16, shoulder, chest, waist, hem, hem_y, vee=True), cloth, Relief(puff=6, folds=folds))
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
    buttons(c, r, [(0, y + 26 + k * (hem_y - y - 44) / 6) for k in range(7)], 2.3 if r.cut == "luxury" else 2.0)
    _shirt_collar(c, r, cloth, neck, y, spread, drop)
    hem_stitch(c, r, hem - 1, hem_y - 4)
    if r.cut in ("street", "retro") and r.maybe(0.7):
        pocket(c, r, cloth, 11, 104, 29, 127)
        if r.cut == "street":
            pocket(c, r, cloth, -29, 104, -11, 127)


def _shirt_collar(c: Canvas, r: Recipe, cloth: Cloth, neck: float, y: float, spread: float, drop: float) -> None:
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
