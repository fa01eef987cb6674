"""Prints and weaves, each a function of a generator, a palette and a size that returns what a part is made of."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from evaluation.sample.canvas import HEIGHT, WIDTH, Cloth, Colour
from evaluation.sample.geometry import Floats
from evaluation.sample.palettes import Palette, brightness, lighter

FINE = 3
Pattern = Callable[[np.random.Generator, Palette, float], Cloth]


def grid() -> tuple[Floats, Floats]:
    """x and y of every pixel, (HEIGHT, WIDTH) each."""
    yy, xx = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    return xx, yy


def edge(distance: Floats) -> Floats:
    """Coverage of the region where ``distance`` (pixels) is positive, one pixel soft."""
    return np.asarray(np.clip(distance + 0.5, 0, 1), np.float32)


def ground(colour: Colour) -> Floats:
    """One colour everywhere, (HEIGHT, WIDTH, 3)."""
    return np.tile(np.asarray(colour, np.float32), (HEIGHT, WIDTH, 1))


def ink(texture: Floats, colour: Colour, cover: Floats) -> None:
    """Print ``colour`` on ``texture`` where ``cover`` says."""
    texture += (np.asarray(colour, np.float32) - texture) * cover[..., None]


def bands(position: Floats, widths: list[float], colours: list[Colour]) -> Floats:
    """Repeating bands of ``colours`` along ``position`` (pixels)."""
    period = sum(widths)
    place = position % period
    texture = ground(colours[-1])
    start = 0.0
    for width, colour in zip(widths, colours, strict=True):
        middle = start + width / 2
        away = np.abs((place - middle + period / 2) % period - period / 2)
        ink(texture, colour, edge(width / 2 - away))
        start += width
    return texture


def noise(rng: np.random.Generator, size: float) -> Floats:
    """Smooth noise with blobs of about ``size`` pixels, mean 0, deviation 1; wraps around."""
    coarse = rng.standard_normal((HEIGHT // 2, WIDTH // 2)).astype(np.float32)
    soft = ndimage.gaussian_filter(coarse, size / 4, mode="wrap")
    full = np.asarray(Image.fromarray(soft).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC), np.float32)
    return np.asarray((full - full.mean()) / full.std(), np.float32)


def printed(paint: Callable[[ImageDraw.ImageDraw, float], None], colour: Colour) -> Floats:
    """What ``paint`` draws on a ground, drawn larger and reduced."""
    image = Image.new("RGB", (WIDTH * FINE, HEIGHT * FINE), rgb8(colour))
    paint(ImageDraw.Draw(image), FINE)
    return np.asarray(image.reduce(FINE), np.float32) / 255


def rgb8(colour: Colour) -> tuple[int, int, int]:
    """A colour as Pillow wants it."""
    r, g, b = (round(min(max(c, 0), 1) * 255) for c in colour)
    return (r, g, b)


def scattered(rng: np.random.Generator, step: float, jitter: float = 0.25) -> list[tuple[float, float]]:
    """Motif places: a brick grid, shaken."""
    rows, cols = int(HEIGHT / step) + 2, int(WIDTH / step) + 2
    places = [(c + 0.5 * (r % 2), r * 0.9) for r in range(rows) for c in range(cols)]
    shaken = (np.array(places) + rng.uniform(-jitter, jitter, (len(places), 2))) * step
    return [(float(x), float(y)) for x, y in shaken]


# --- retro -----------------------------------------------------------------------------------------------------------


def daisies(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Flower power."""
    step = rng.uniform(34, 46) * scale
    petals = int(rng.integers(6, 9))

    def paint(draw: ImageDraw.ImageDraw, s: float) -> None:
        for x, y in scattered(rng, step):
            size = step * rng.uniform(0.3, 0.5)
            colour, heart = (p.inks[int(i)] for i in rng.permutation(len(p.inks))[:2])
            turn = rng.uniform(0, np.pi)
            for k in range(petals):
                a = turn + 2 * np.pi * k / petals
                cx, cy, r = x + 0.6 * size * np.cos(a), y + 0.6 * size * np.sin(a), size * 2.3 / petals
                draw.ellipse(((cx - r) * s, (cy - r) * s, (cx + r) * s, (cy + r) * s), fill=rgb8(colour))
            r = size * 0.34
            draw.ellipse(((x - r) * s, (y - r) * s, (x + r) * s, (y + r) * s), fill=rgb8(heart))

    return Cloth(printed(paint, p.main))


def rings(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Concentric circles in a grid."""
    xx, yy = grid()
    cell = rng.uniform(34, 48) * scale
    row = np.floor(yy / cell)
    x = (xx + (row % 2) * cell / 2 * rng.integers(2)) % cell - cell / 2
    d = np.hypot(x, yy % cell - cell / 2)
    texture = ground(p.main)
    for share, colour in zip((0.46, 0.35, 0.24, 0.12), (*p.inks, p.main), strict=False):
        ink(texture, colour, edge(cell * share - d))
    return Cloth(texture)


def waves(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Rolling bands."""
    xx, yy = grid()
    long = WIDTH / rng.integers(2, 5)
    y = yy + rng.uniform(8, 14) * scale * np.sin(2 * np.pi * xx / long + rng.uniform(0, 6))
    widths = [float(w) * scale for w in rng.uniform(8, 18, 1 + len(p.inks))]
    return Cloth(bands(y, widths, [p.main, *p.inks]))


def sunset(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """A block of racing stripes on a plain ground."""
    _, yy = grid()
    texture = ground(p.main)
    top, width = rng.uniform(92, 120), rng.uniform(8, 12) * scale
    for k, colour in enumerate(p.inks[:4]):
        ink(texture, colour, edge(width / 2 - np.abs(yy - top - k * width)))
    return Cloth(texture)


def arches(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Nested rainbow arches."""
    xx, yy = grid()
    cell = rng.uniform(40, 56) * scale
    height = cell * 0.62
    row = np.floor(yy / height)
    x = (xx + (row % 2) * cell / 2) % cell - cell / 2
    d = np.hypot(x, height - yy % height)
    texture = ground(p.main)
    for share, colour in zip((0.49, 0.39, 0.29, 0.19, 0.1), (*p.inks, p.main), strict=False):
        ink(texture, colour, edge(cell * share - d))
    return Cloth(texture)


def diamonds(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Argyle."""
    xx, yy = grid()
    a, b = rng.uniform(26, 34) * scale, rng.uniform(36, 50) * scale
    u, v = xx / a, yy / b
    texture = ground(p.main)
    d = np.abs((u % 1) - 0.5) + np.abs((v % 1) - 0.5)
    column = (np.floor(u) + np.floor(v)) % 2
    ink(texture, p.inks[0], edge((0.5 - d) * a) * (column == 0))
    ink(texture, p.inks[1], edge((0.5 - d) * a) * (column == 1))
    line = np.minimum(np.abs((u + v) % 1 - 0.5), np.abs((u - v) % 1 - 0.5)) * a
    ink(texture, p.inks[-1], edge(0.7 - line))
    return Cloth(texture)


def broad(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Broad upright stripes in many colours."""
    xx, _ = grid()
    widths = [float(w) * scale for w in rng.uniform(7, 17, 1 + len(p.inks))]
    return Cloth(bands(xx, widths, [p.main, *p.inks]))


def polka(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Large dots."""
    xx, yy = grid()
    cell = rng.uniform(20, 30) * scale
    row = np.floor(yy / cell)
    d = np.hypot((xx + (row % 2) * cell / 2) % cell - cell / 2, yy % cell - cell / 2)
    texture = ground(p.main)
    ink(texture, p.second, edge(cell * rng.uniform(0.24, 0.34) - d))
    return Cloth(texture)


def plaid(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Checked wool."""
    xx, yy = grid()
    cell = rng.uniform(34, 46) * scale
    texture = ground(p.main)
    for axis in (xx, yy):
        place = axis % cell
        ink(texture, p.inks[-1], edge(cell * 0.2 - np.abs(place - cell / 2)) * 0.5)
        ink(texture, p.inks[0], edge(1.2 - np.abs(place - cell * 0.12)) * 0.75)
        ink(texture, p.inks[1 % len(p.inks)], edge(1.2 - np.abs(place - cell * 0.88)) * 0.6)
    return Cloth(texture, grain=0.035, sheen=0.1)


def corduroy(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Plain, in upright ribs."""
    xx, _ = grid()
    return Cloth(
        ground(p.main), bump=0.25 * np.sin(2 * np.pi * xx / 5).astype(np.float32), grain=0.03, sheen=0.15
    )


# --- minimalist ------------------------------------------------------------------------------------------------------


def plain(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """One colour, matte."""
    return Cloth(ground(p.main), grain=0.012, sheen=0.15)


def linen(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """One colour with slubs along and across."""
    texture = ground(p.main)
    along = ndimage.uniform_filter1d(rng.standard_normal((HEIGHT, WIDTH)).astype(np.float32), 15, axis=1)
    across = ndimage.uniform_filter1d(rng.standard_normal((HEIGHT, WIDTH)).astype(np.float32), 15, axis=0)
    texture *= (1 + 0.055 * (along + across))[..., None]
    return Cloth(np.clip(texture, 0, 1), sheen=0.1)


def rib(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """One colour, finely ribbed."""
    xx, _ = grid()
    return Cloth(ground(p.main), bump=0.13 * np.sin(2 * np.pi * xx / 4).astype(np.float32), sheen=0.15)


def block(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Two quiet colours, one above the other."""
    _, yy = grid()
    texture = ground(p.main)
    ink(texture, p.second, edge(yy - rng.uniform(150, 190)))
    return Cloth(texture, sheen=0.15)


def breton(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Thin, wide-set stripes."""
    _, yy = grid()
    texture = ground(p.main)
    step = rng.uniform(11, 16)
    ink(texture, p.inks[-1], edge(0.8 - np.abs(yy % step - step / 2)))
    return Cloth(texture, sheen=0.15)


# --- street ----------------------------------------------------------------------------------------------------------


def camo(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Camouflage, in army or in loud colours."""
    texture = ground(p.main)
    for colour, level in zip(p.inks, (0.15, 0.55, 0.9), strict=False):
        field = noise(rng, 18 * scale) + 0.35 * noise(rng, 8 * scale)
        ink(texture, colour, edge((field - level) * 9))
    return Cloth(texture)


def tiedye(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """A dyed spiral."""
    xx, yy = grid()
    x, y = xx - WIDTH / 2 + rng.uniform(-15, 15), yy - 130
    radius, angle = np.hypot(x, y), np.arctan2(y, x)
    turn = angle * 3 / (2 * np.pi) + radius / (52 * scale) + 0.10 * noise(rng, 12)
    colours = np.array([p.main, *p.inks, p.main], np.float32)
    place = (turn % 1) * (len(colours) - 1)
    low = np.clip(place.astype(np.int64), 0, len(colours) - 2)
    part = np.clip((place - low) * 2 - 0.5, 0, 1)[..., None]
    streak = 1 + 0.05 * noise(rng, 5)[..., None]
    return Cloth(
        np.asarray(np.clip((colours[low] * (1 - part) + colours[low + 1] * part) * streak, 0, 1), np.float32)
    )


def splatter(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Thrown paint with runs."""

    def paint(draw: ImageDraw.ImageDraw, s: float) -> None:
        for _ in range(46):
            x, y = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
            colour = rgb8(p.inks[int(rng.integers(len(p.inks)))])
            r = rng.lognormal(1.1, 0.7) * scale
            draw.ellipse(((x - r) * s, (y - r) * s, (x + r) * s, (y + r) * s), fill=colour)
            if r > 4:
                end, w = y + r * rng.uniform(2, 5), r * 0.22
                draw.rounded_rectangle(((x - w) * s, y * s, (x + w) * s, end * s), radius=w * s, fill=colour)
            for dx, dy in rng.normal(0, r * 1.6, (5, 2)):
                q = r * rng.uniform(0.08, 0.25)
                draw.ellipse(
                    ((x + dx - q) * s, (y + dy - q) * s, (x + dx + q) * s, (y + dy + q) * s), fill=colour
                )

    return Cloth(printed(paint, p.main))


def scribble(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Marker strokes, thick and looping, like a tag nobody can read."""

    def paint(draw: ImageDraw.ImageDraw, s: float) -> None:
        t = np.linspace(0, 1, 60)
        for _ in range(9):
            colour = rgb8(p.inks[int(rng.integers(len(p.inks)))])
            x0, y0 = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
            a, b, c = rng.uniform(2, 5), rng.uniform(10, 24) * scale, rng.uniform(0, 6)
            x = x0 + rng.uniform(40, 80) * scale * (t - 0.5) + 0.4 * b * np.sin(2 * np.pi * a * t)
            y = y0 + b * np.sin(2 * np.pi * a * t + c)
            w = int(rng.uniform(2.5, 5) * s)
            draw.line(
                [tuple(q) for q in (np.stack([x, y], 1) * s).tolist()], fill=colour, width=w, joint="curve"
            )

    return Cloth(printed(paint, p.main))


def checker(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Racing checks."""
    xx, yy = grid()
    cell = rng.uniform(10, 17) * scale
    side = np.minimum(np.abs(xx % cell - cell / 2), np.abs(yy % cell - cell / 2))
    odd = (np.floor(xx / cell) + np.floor(yy / cell)) % 2
    texture = ground(p.main)
    ink(texture, p.second, (odd * edge(side + 9)).astype(np.float32))
    return Cloth(texture)


def hazard(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Diagonal tape across a plain ground."""
    xx, yy = grid()
    slope = rng.choice([-0.55, 0.55])
    across = yy - slope * (xx - WIDTH / 2) - rng.uniform(120, 150)
    texture = ground(p.main)
    half = rng.uniform(13, 19) * scale
    ink(texture, p.inks[0], edge(half - np.abs(across)))
    cut = (xx + across * 0.9) % 22
    ink(texture, p.inks[-1], edge(half - np.abs(across)) * edge(5.5 - np.abs(cut - 11)))
    return Cloth(texture)


def graphic(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """A bold abstract mark on the chest: bars, disc, bolt or star."""
    inks = [rgb8(c) for c in p.inks]
    kind = int(rng.integers(4))

    def paint(draw: ImageDraw.ImageDraw, s: float) -> None:
        cx, cy, r = WIDTH / 2, rng.uniform(122, 134), rng.uniform(27, 34)
        first, second, third = inks[0], inks[1], inks[-1]
        at = lambda pts: [((cx + x * r) * s, (cy + y * r) * s) for x, y in pts]  # noqa: E731
        if kind == 0:
            draw.polygon(
                at([(0.15, -1.3), (-0.75, 0.2), (-0.05, 0.2), (-0.3, 1.4), (0.8, -0.25), (0.1, -0.25)]),
                fill=second,
            )
        elif kind == 1:
            draw.ellipse(at([(-1, -1), (1, 1)]), fill=second)
            draw.rectangle(at([(-1.25, -0.22), (1.25, 0.22)]), fill=first)
        elif kind == 2:
            star = [
                (np.cos(a) * q, np.sin(a) * q)
                for k in range(10)
                for a, q in [(np.pi * (k / 5 - 0.5), 1.2 if k % 2 == 0 else 0.5)]
            ]
            draw.polygon(at(star), fill=second)
        else:
            for k, colour in enumerate((first, second, third)):
                draw.rectangle(
                    at([(-1.1 + 0.25 * k, -0.9 + 0.62 * k), (0.7 + 0.25 * k, -0.45 + 0.62 * k)]), fill=colour
                )
        widths = rng.uniform(3, 9, 8)
        x = cx - (widths.sum() + 14) / 2
        for w in widths:  # a line of "letters"
            draw.rectangle((x * s, (cy + r * 1.5) * s, (x + w) * s, (cy + r * 1.5 + 6) * s), fill=first)
            x += w + 2

    return Cloth(printed(paint, p.main))


def halftone(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Dots that grow towards the hem."""
    xx, yy = grid()
    cell = 9.0 * scale
    row = np.floor(yy / cell)
    d = np.hypot((xx + (row % 2) * cell / 2) % cell - cell / 2, yy % cell - cell / 2)
    texture = ground(p.main)
    ink(texture, p.inks[0], edge(np.clip((yy - 70) / 230, 0, 1) * cell * 0.72 - d))
    return Cloth(texture)


# --- luxury ----------------------------------------------------------------------------------------------------------


def satin(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Silk satin."""
    return Cloth(ground(p.main), sheen=0.9, grain=0.004, satin=float(rng.uniform(0.55, 0.9)))


def velvet(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Velvet: deep, with a soft bloom."""
    texture = ground(p.main) * (1 + 0.05 * noise(rng, 26))[..., None]
    return Cloth(np.asarray(np.clip(texture, 0, 1), np.float32), sheen=0.55, grain=0.03, satin=0.22)


def damask(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Tone-on-tone leaves, woven."""
    tone = p.accents[-1] if brightness(p.main) < 0.5 else lighter(p.main, -0.14)
    step = rng.uniform(26, 34) * scale

    def paint(draw: ImageDraw.ImageDraw, s: float) -> None:
        for x, y in scattered(rng, step, 0.0):
            for k, (dx, dy, rx, ry) in enumerate(
                ((0, -5, 3, 6), (-5, 2, 4.5, 2.4), (5, 2, 4.5, 2.4), (0, 6, 2, 4.5), (0, 0.5, 1.6, 1.6))
            ):
                q = step / 28
                box = (
                    (x + (dx - rx) * q) * s,
                    (y + (dy - ry) * q) * s,
                    (x + (dx + rx) * q) * s,
                    (y + (dy + ry) * q) * s,
                )
                draw.ellipse(box, fill=rgb8(tone if k < 4 else p.main))

    return Cloth(printed(paint, p.main), sheen=0.7, satin=0.45, grain=0.006)


def quilt(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Quilted diamonds with a stud at each crossing."""
    xx, yy = grid()
    cell = rng.uniform(17, 22) * scale
    u, v = (xx + yy) / cell, (xx - yy) / cell
    su, sv = np.abs(np.sin(np.pi * u)), np.abs(np.sin(np.pi * v))
    bump = np.asarray(3.2 * np.sqrt(np.minimum(su, sv)), np.float32)
    texture = ground(p.main)
    near = np.hypot((u + 0.5) % 1 - 0.5, (v + 0.5) % 1 - 0.5) * cell
    ink(texture, p.trim, edge(1.6 - near))
    return Cloth(texture, bump=bump, sheen=0.7, grain=0.008, satin=0.15)


def pinstripe(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Hairlines on fine wool."""
    xx, _ = grid()
    step = rng.uniform(8, 11)
    texture = ground(p.main)
    ink(texture, lighter(p.accents[0], 0.15), edge(0.15 - np.abs(xx % step - step / 2)) * 0.8)
    return Cloth(texture, sheen=0.45, satin=0.25, grain=0.012)


def lattice(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """A gilt lattice with small medallions."""
    xx, yy = grid()
    cell = rng.uniform(22, 30) * scale
    u, v = (xx + yy) / cell, (xx - yy) / cell
    line = np.minimum(np.abs(u % 1 - 0.5), np.abs(v % 1 - 0.5)) * cell * 0.71
    texture = ground(p.main)
    ink(texture, p.accents[0], edge(0.35 - line) * 0.85)
    d = np.hypot(u % 1 - 0.0 - np.round(u % 1), v % 1 - np.round(v % 1)) * cell * 0.71
    ink(texture, p.accents[0], edge(2.6 - d) * 0.9)
    ink(texture, p.main, edge(1.2 - d))
    return Cloth(texture, sheen=0.65, satin=0.3, grain=0.006)


def chain(rng: np.random.Generator, p: Palette, scale: float) -> Cloth:
    """Scarf print: gilt chains along borders."""
    xx, yy = grid()
    cell = rng.uniform(50, 64) * scale
    texture = ground(p.main)
    x = xx % cell - cell / 2
    link = 9.0
    flat = np.hypot(x / 4.2, (yy % link - link / 2) / 5.4)
    ink(texture, p.second, edge(cell * 0.16 - np.abs(x)) * 0.9)
    ink(texture, p.accents[0], edge((0.30 - np.abs(flat - 0.8)) * 4.5))
    ink(texture, p.accents[0], edge(0.7 - np.abs(np.abs(x) - cell * 0.16)))
    return Cloth(texture, sheen=0.8, satin=0.45, grain=0.004)


PATTERNS: dict[str, tuple[tuple[Pattern, float], ...]] = {
    "retro": (
        (daisies, 3), (rings, 2), (waves, 2), (sunset, 1.5), (arches, 2), (diamonds, 1.2), (broad, 1.6), (polka, 1.2),
        (plaid, 1), (corduroy, 1.2),
    ),
    "minimalist": ((plain, 5), (linen, 2.2), (rib, 2), (block, 1), (breton, 1)),
    "street": (
        (camo, 1.8), (tiedye, 1.4), (splatter, 1.4), (scribble, 1.6), (checker, 1), (hazard, 1.2), (graphic, 3), (halftone, 1),
    ),
    "luxury": ((satin, 4), (velvet, 2), (damask, 1.6), (quilt, 1.2), (pinstripe, 1), (lattice, 1.2), (chain, 0.8)),
}  # fmt: skip
"""Patterns of each style, with weights."""


PLACED: frozenset[Pattern] = frozenset({sunset, block, hazard, graphic})
"""Prints that sit in one place on the body and are left out on sleeves and legs."""


def draw_pattern(style: str, rng: np.random.Generator) -> Pattern:
    """A pattern of ``style``."""
    table = PATTERNS[style]
    weights = np.array([w for _, w in table])
    return table[int(rng.choice(len(table), p=weights / weights.sum()))][0]
