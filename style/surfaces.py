"""Backdrops of stuff: concrete, asphalt, brick, marble, velvet, linen, wood.

Each drawing takes (x, y, palette (k, 3), jitter (6,)) and gives (3, h, w); x and y are in units of the shorter side.
"""

from __future__ import annotations

import numpy as np

from style.lab import Floats
from style.paint import chance, fractal, line, mix, noise, pixel, shapes, soft, spot, stamp, turned, window


def concrete(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """A wall of cast panels with seams and tie holes; the sun's edge runs across it."""
    rng = chance(jitter)
    shift = rng.uniform(0, 90, 2).astype(np.float32)
    cloud = fractal(x * 2.2 + shift[0], y * 2.2 + shift[1], 2.2 * pixel(y))
    grit = fractal(x * 46 + shift[1], y * 46, 46 * pixel(y), 2)
    picture = mix(*_stone(palette, 0.82, 196), np.clip(0.5 + 0.55 * cloud + 0.14 * grit, 0, 1))
    streaks = fractal(x * 9 + shift[0], y * 0.9, 9 * pixel(y), 3)
    light = 1 - 0.05 * np.clip(streaks, 0, 1) * soft(0.5 - np.abs(y), 0.8)
    light = light * (1 - 0.16 * _pits(x, y, shift))
    across, down = 0.30 + 0.08 * jitter[0], -0.18 + 0.1 * jitter[1]
    for seam in (x - across, x - across + 1.0, y - down, y - down - 0.62):
        light = light * (1 - 0.34 * line(seam, 0.0028, y)) * (1 + 0.07 * line(seam - 0.006, 0.003, y))
    for side in (-0.09, 0.09):
        for row in (-0.1, 0.72):
            hole = np.hypot(x - across - side, y - down - row)
            light = light * (1 - 0.42 * (1 - soft(hole - 0.011, pixel(y))))
    return np.asarray(picture * light * sunlight(x, y, jitter), np.float32)


def _stone(palette: Floats, grey: float, level: float) -> tuple[Floats, Floats]:
    """Two colours as stone has them: nearly grey, around a lightness of its own."""
    colour = np.asarray(palette[:2].mean(axis=0), np.float32)
    pale = colour.mean() + (colour - colour.mean()) * np.float32(1 - grey)
    pale = pale + (np.float32(level) - colour.mean()) * np.float32(0.6)
    return np.clip(pale + np.float32(9), 0, 255), np.clip(pale - np.float32(9), 0, 255)


def _pits(x: Floats, y: Floats, shift: Floats) -> Floats:
    """Air holes: few, small, dark."""
    fine = noise(x * 60 + shift[1], y * 60 + shift[0])
    return soft(fine - 0.86, 0.1) * float(np.clip(2 - 120 * pixel(y), 0.25, 1))


def asphalt(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """Tarmac with bright grit and a worn painted line, seen from above in hard sun."""
    rng = chance(jitter)
    shift = rng.uniform(0, 90, 2).astype(np.float32)
    cloud = fractal(x * 1.7 + shift[0], y * 1.7, 1.7 * pixel(y), 4)
    picture = mix(*_stone(palette, 0.9, 82), np.clip(0.45 + 0.5 * cloud, 0, 1))
    stones = fractal(x * 24 + shift[1], y * 24 + shift[0], 24 * pixel(y), 3)
    picture = picture * (1 + 0.1 * stones)
    picture = picture + 34 * soft(stones - 0.95, 0.3)
    angle = (0.32 if jitter[0] >= 0 else -0.32) + 0.12 * float(jitter[1])
    _, off = turned(x, y, angle + np.pi / 2)
    off = off - 0.40 - 0.06 * jitter[2]
    worn = fractal(x * 13 + shift[0], y * 13 + shift[1], 13 * pixel(y), 4) + 0.35 * stones
    paint = line(off, 0.075, y) * soft(0.95 - np.abs(worn), 0.5)
    crack = off + 0.62 + 0.05 * fractal(x * 5, y * 5 + shift[0], 5 * pixel(y), 4)
    pale = palette[int(palette.sum(axis=1).argmax())]  # road paint is the palest colour there is
    picture = mix(picture, pale, 0.92 * paint)
    return picture * (1 - 0.5 * line(crack, 0.003, y)) * sunlight(x, y, jitter)


def sunlight(x: Floats, y: Floats, jitter: Floats) -> Floats:
    """Light (3, h, w) of a low sun past the edge of a house: bright, or a bluish shade."""
    slope = 0.62 * (1 if jitter[3] >= 0 else -1) + 0.14 * jitter[4]
    edge = y - slope * x - 0.20 - 0.1 * jitter[5]
    shade = soft(edge, 0.012 + pixel(y))
    lit, dark = np.array([[1.05, 1.03, 1.0], [0.62, 0.66, 0.73]], np.float32)
    return mix(lit, dark, shade)


def brick(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """A painted brick wall: two colours that meet in a slanting line, every brick a little different."""
    rng = chance(jitter)
    shift = rng.uniform(0, 90, 2).astype(np.float32)
    tall, wide = 0.085, 0.24
    row = np.floor(y / tall)
    along = x / np.float32(wide) + 0.5 * (row % 2)
    column = np.floor(along)
    inside = np.minimum((0.5 - np.abs(along - column - 0.5)) * wide, (0.5 - np.abs(y / tall - row - 0.5)) * tall)
    ragged = inside + 0.0016 * fractal(x * 50, y * 50 + shift[0], 50 * pixel(y), 2)
    face = soft(ragged - 0.0055, 0.004 + pixel(y))
    tint = noise((column * 7.31 + shift[0]).astype(np.float32), (row * 5.17 + shift[1]).astype(np.float32))
    rough = fractal(x * 34 + shift[0], y * 34, 34 * pixel(y), 3)
    slope = 0.35 * (1 if jitter[0] >= 0 else -1) + 0.1 * jitter[1]
    border = y - slope * x - 0.12 - 0.1 * jitter[2] + 0.004 * rough
    picture = mix(palette[0], palette[1], soft(border, 0.004 + pixel(y)))
    band = line(border + 0.075, 0.022, y)
    picture = mix(picture, palette[-1], band)
    light = (1 + 0.07 * tint + 0.045 * rough) * (0.70 + 0.30 * face)
    rim = soft(ragged - 0.0055 + 0.004, 0.004 + pixel(y)) - face
    return np.asarray(np.minimum(picture * light * (1 + 0.05 * rim) * sunlight(x, y, jitter), 255), np.float32)


def marble(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """Dark polished stone with fine veins, one soft light on it, and a thin metal frame."""
    rng = chance(jitter)
    shift = rng.uniform(0, 90, 2).astype(np.float32)
    u, v = turned(x, y, 0.75 + 0.3 * float(jitter[0]))
    bend = fractal(u * 2.0 + shift[0], v * 2.0 + shift[1], 2.0 * pixel(y), 6)
    cloud = fractal(u * 1.4 + 0.9 * bend + shift[1], v * 2.4, 2.4 * pixel(y), 5)
    picture = mix(palette[0], palette[1], np.clip(0.35 + 0.5 * cloud, 0, 1))
    for scale, thin, strength in ((1.0, 0.016, 0.72), (2.3, 0.014, 0.42), (4.6, 0.02, 0.2)):
        thin = max(thin, 0.6 * scale * pixel(y))
        ridge = noise(u * 0.7 * scale + bend * 0.5 + shift[0] * scale, v * 2.4 * scale + bend * 0.8 + shift[1])
        vein = np.exp(-np.abs(ridge) / np.float32(thin)) + 0.1 * np.exp(-np.abs(ridge) / np.float32(5 * thin))
        faint = np.clip(0.55 + 1.1 * noise(u * 1.7 + shift[1] * scale, v * 1.7), 0, 1)
        picture = mix(picture, palette[2 % len(palette)], np.float32(strength) * np.minimum(vein, 1) * faint)
    light = 0.62 + 0.62 * spot(x, y, (0.1 * float(jitter[1]), -0.08), 0.62)
    return metal_frame(np.minimum(picture * light, np.float32(255)), x, y, palette[-1])


def metal_frame(picture: Floats, x: Floats, y: Floats, colour: Floats) -> Floats:
    """A thin line along the border that catches the light."""
    inset = np.maximum(np.abs(x) - x.max(), np.abs(y) - y.max()) + np.float32(0.045)
    return mix(picture, gleam(x, y, colour), 0.95 * line(inset, 0.0032, y))


def gleam(x: Floats, y: Floats, colour: Floats) -> Floats:
    """The colour as polished metal (3, h, w): brighter and darker along a diagonal."""
    sheen = 0.5 + 0.5 * np.sin(5.5 * x + 4.2 * y + 0.8)
    return mix(colour * np.float32(0.72), np.minimum(colour * np.float32(1.22) + 16, 255), sheen.astype(np.float32))


def velvet(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """A heavy curtain in deep folds; the nap glows at the folds' flanks, a light falls on its middle."""
    rng = chance(jitter)
    shift = rng.uniform(0, 90, 2).astype(np.float32)
    sway = 0.05 * fractal(x * 1.5 + shift[0], y * 0.7 + shift[1], 1.5 * pixel(y), 3)
    phase = (x + sway) * np.float32(24 + 3 * jitter[0]) + 1.3 * noise(x * 2.6 + shift[1], y * 0.35 + shift[0])
    fold = 0.5 + 0.5 * np.sin(phase)
    flank = np.cos(phase) ** 2
    nap = fractal(x * 70, y * 26 + shift[0], 70 * pixel(y), 2)
    share = np.clip(0.10 + 0.42 * fold**1.6 + 0.24 * flank * fold + 0.03 * nap, 0, 1)
    light = 0.42 + 0.78 * spot(x, y, (0.08 * float(jitter[1]), -0.05), 0.6)
    return mix(palette[0] * np.float32(0.5), palette[1], (share * light).astype(np.float32))


def linen(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """A cloth of uneven threads in plain weave, with a few soft folds."""
    rng = chance(jitter)
    shift = rng.uniform(0, 90, 2).astype(np.float32)
    count = min(105.0, 0.36 / pixel(y) * 1.6)  # threads a unit, none finer than the eye of the picture
    warp = noise(x * count + shift[0], y * 7 + shift[1]) + 0.22 * noise(x * count * 0.31, y * 4 + shift[0])
    weft = noise(x * 7 + shift[1], y * count + shift[0]) + 0.22 * noise(x * 4, y * count * 0.31 + shift[1])
    over = np.sign(np.sin(np.pi * count * x) * np.sin(np.pi * count * y)).astype(np.float32)
    threads = 0.55 * (warp + weft) + 0.25 * over * (warp - weft)
    u, v = turned(x, y, 0.9 + 0.4 * float(jitter[0]))
    folds = fractal(u * 1.1 + shift[0], v * 2.6 + shift[1], 2.6 * pixel(y), 2)
    picture = mix(palette[0], palette[1], np.clip(0.42 + 0.36 * threads, 0, 1))
    return np.asarray(picture * (1 + np.float32(0.06) * folds), np.float32)


def planks(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """Boards side by side with grain and knots, light falling in from the left."""
    rng = chance(jitter)
    shift = rng.uniform(0, 90, 2).astype(np.float32)
    wide = 0.235
    at = x / np.float32(wide) + 0.5 + 0.3 * jitter[0]
    board = np.floor(at)
    own = (board * 13.7 + shift[0]).astype(np.float32)
    ring = (at - board) * 3.2 + 0.9 * fractal(at * 1.1 + own, y * 0.9 + own, 5 * pixel(y), 2)
    fibre = fractal(x * 62 + own, y * 2.4 + own, 62 * pixel(y), 3)
    cathedral = 0.5 + 0.5 * np.sin(5.2 * ring + 1.6 * noise(y * 0.8 + own, own))
    share = np.clip(0.34 + 0.26 * cathedral + 0.22 * fibre, 0, 1)
    picture = mix(palette[0], palette[1], share.astype(np.float32))
    tint = noise(own, own * 0 + shift[1])
    edge = (0.5 - np.abs(at - board - 0.5)) * wide
    light = (1 + 0.06 * tint) * (1 - 0.55 * line(edge, 0.0024, y))
    light = light * (1 - 0.10 * np.exp(-edge / 0.009)) * (1.03 - 0.10 * (x + 0.4 * y))
    picture = np.minimum(picture * light, np.float32(255)).astype(np.float32)
    for cx, cy in shapes(2, rng, x, y):
        _knot(picture, x, y, (float(cx), float(cy)), palette[1])
    return np.asarray(picture)


def _knot(picture: Floats, x: Floats, y: Floats, at: tuple[float, float], colour: Floats) -> None:
    place = window(x, y, at, 0.07)
    oval = np.hypot((x[place] - at[0]) / 0.55, y[place] - at[1])
    rings = 0.5 + 0.5 * np.sin(oval * 520)
    stamp(picture, place, colour * np.float32(0.55), (0.75 * np.exp(-((oval / 0.02) ** 2)) * (0.7 + 0.3 * rings)))
