"""Backdrops of light and paper: posters, leaf shadows, gilded arches, bokeh, confetti, garlands.

Each drawing takes (x, y, palette (k, 3), jitter (6,)) and gives (3, h, w); x and y are in units of the shorter side.
"""

from __future__ import annotations

import numpy as np

from style.lab import Floats
from style.paint import Rng, chance, fractal, line, mix, noise, pixel, shapes, soft, spot, stamp, turned, window
from style.surfaces import gleam, sunlight


def posters(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """A hoarding pasted over many times: strips torn off, white paper at the tears, older colours below."""
    rng = chance(jitter)
    shift = rng.uniform(0, 90, 2).astype(np.float32)
    picture = mix(palette[0], palette[0], np.zeros_like(x))
    order = rng.permutation(len(palette) - 1) + 1
    for i in range(6):
        angle, across = rng.uniform(-0.16, 0.16) + (np.pi / 2) * (i % 2), rng.uniform(-0.42, 0.42)
        u, v = turned(x, y, angle)
        rip = 0.055 * fractal(u * 3 + shift[0] + 9 * i, v * 3 + shift[1], 3 * pixel(y), 5)
        half = rng.uniform(0.14, 0.30)
        inside = half - np.abs(v - across + rip)
        inside = np.minimum(inside, rng.uniform(0.3, 0.8) - np.abs(u - rng.uniform(-0.5, 0.5)) + 1.3 * rip)
        rim = 0.010 + 0.022 * np.clip(0.5 + noise(u * 8 + 5 * i, v * 8 + shift[0]), 0, 1)
        picture = picture * (1 - 0.22 * soft(inside + 0.016, 0.03) * (1 - soft(inside, pixel(y))))
        paper = mix(picture, np.full_like(picture, 238), soft(inside, pixel(y)))
        colour = palette[order[i % len(order)]]
        picture = mix(paper, _print(u, v, colour, palette[0], i, y), soft(inside - rim, pixel(y)))
    crumple = fractal(x * 7 + shift[0], y * 7 + shift[1], 7 * pixel(y), 3)
    ridge = np.exp(-np.abs(noise(x * 4.2 + shift[1], y * 4.2)) / 0.02)
    return np.minimum(picture * (1 + 0.045 * crumple - 0.05 * ridge) * sunlight(x, y, jitter), np.float32(255))


def _print(u: Floats, v: Floats, colour: Floats, ink: Floats, number: int, y: Floats) -> Floats:
    """What is printed on a sheet: plain, a halftone, or bars."""
    if number % 3 == 1:
        pitch = np.float32(0.05)
        a, b = turned(u, v, np.pi / 4)
        cell = np.hypot((a / pitch) % 1 - 0.5, (b / pitch) % 1 - 0.5)
        size = np.clip(0.33 + 0.5 * u, 0.12, 0.46)
        return mix(colour, ink, 1 - soft(cell - size, float(pixel(y) / pitch)))
    if number % 3 == 2:
        bar = np.abs((u / 0.11) % 1 - 0.5) - 0.27
        return mix(colour, ink, soft(bar, pixel(y) / 0.11))
    return mix(colour, colour, np.zeros_like(u))


def leaf_shadow(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """A plastered wall in morning light, and the shadows of palm fronds that reach in from the side."""
    rng = chance(jitter)
    shift = rng.uniform(0, 90, 2).astype(np.float32)
    plaster = fractal(x * 5 + shift[0], y * 5 + shift[1], 5 * pixel(y), 5)
    wall = mix(palette[0], palette[1], np.clip(0.30 + 0.20 * plaster + 0.45 * (x + y), 0, 1))
    side = 1.0 if jitter[0] >= 0 else -1.0
    shade = np.zeros_like(x)
    fronds = ((-0.62, -0.62, 0.75, 1.15), (-0.70, 0.05, 0.12, 1.0), (0.05, -0.85, 1.35, 0.8))
    for cx, cy, angle, length in fronds:
        angle += 0.16 * float(rng.uniform(-1, 1))
        shade = np.maximum(shade, _frond(x * side - cx, y - cy, angle, length, rng))
    dark = np.array([0.30, 0.285, 0.255], np.float32)[:, None, None]  # the sky still lights it, and bluishly
    return np.asarray(wall * (1.04 - dark * shade), np.float32)


def _frond(x: Floats, y: Floats, angle: float, length: float, rng: Rng) -> Floats:
    """A palm frond's shadow: narrow leaflets leave the curved stem at a slant, softer the farther they reach."""
    along, off = turned(x, y, angle)
    off = off - np.float32(0.22) * along * along
    reach = (
        np.float32(0.34 * length) * np.sqrt(np.clip(along / length, 0, 1) * np.clip(1.06 - along / length, 0, 1)) * 1.6
    )
    out = np.abs(off) / np.maximum(reach, 1e-3)
    pitch = np.float32(0.072 * length)
    root = along - 0.62 * np.abs(off) + 0.5 * pitch * (off > 0)
    leaf = np.abs(root / pitch - np.floor(root / pitch) - 0.5) * pitch
    half = np.float32(0.021 * length) * np.sqrt(np.clip(out * 6, 0.15, 1)) * np.sqrt(np.clip(1 - out, 0, 1))
    blur = 0.014 + 0.02 * float(rng.uniform()) + pixel(y)
    leaflets = soft(half - leaf, blur) * soft(1 - out, 0.15) * (along > 0)
    stem = soft(0.006 - np.abs(off), blur) * soft(length - along, 0.02) * (along > -0.4)
    return np.asarray(np.maximum(leaflets, stem), np.float32)


def gilded(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """A dark wall with one pool of light, and a round arch drawn on it in thin double lines of metal."""
    lit = spot(x, y, (0.12 * float(jitter[0]), -0.16), 0.58)
    picture = mix(palette[0] * np.float32(0.62), palette[1], lit)
    floor = soft(y - y.max() * 0.74, 0.012 + pixel(y))
    picture = picture * (1 - 0.26 * floor * (1 - 0.4 * lit))
    half, top = 0.385 + 0.02 * jitter[1], -0.20 + 0.03 * jitter[2]
    distance = np.where(y < top, np.hypot(x, y - top), np.abs(x)) - half
    standing = 1 - floor
    metal = gleam(x, y, palette[-1])
    for inset, wide in ((0.0, 0.0042), (0.026, 0.0016)):
        picture = mix(picture, metal, 0.95 * standing * line(distance - inset, wide, y))
    skirting = line(y - y.max() * 0.74, 0.0022, y)
    return mix(picture, metal, 0.85 * skirting)


def bokeh(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """Lights far out of focus before a deep colour: discs that add up, large and faint, small and bright."""
    rng = chance(jitter)
    picture = _night(x, y, palette, jitter)
    for cx, cy in shapes(46, rng, x, y):
        radius, tilt = rng.uniform(0.02, 0.085), rng.uniform()
        middle = np.exp(-((cx / 0.42) ** 2) - (((cy - 0.05) / 0.42) ** 2))  # fewer behind the product
        colour = palette[2 + int(rng.integers(len(palette) - 2))] if len(palette) > 2 else palette[1]
        strength = (0.16 + 0.42 * tilt**2) * (0.05 / radius) ** 0.5 * (1 - 0.5 * middle)
        _disc(picture, x, y, (float(cx), float(cy)), float(radius), colour * np.float32(min(strength, 0.7)))
    return np.minimum(picture, np.float32(255))


def _night(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """From the lit ground colour to the deep one, with the light above the middle."""
    return mix(palette[0] * np.float32(0.72), palette[1], spot(x, y, (0.1 * float(jitter[0]), -0.12), 0.62))


def _disc(picture: Floats, x: Floats, y: Floats, at: tuple[float, float], radius: float, light: Floats) -> None:
    """Add a disc of light with a brighter rim, in place."""
    edge = max(0.006, pixel(y))
    place = window(x, y, at, radius + edge)
    distance = np.hypot(x[place] - np.float32(at[0]), y[place] - np.float32(at[1]))
    disc = (1 - soft(distance - np.float32(radius), edge)) * (0.72 + 0.28 * (distance / radius) ** 4)
    picture[(slice(None), *place)] += light[:, None, None] * disc.astype(np.float32)


def confetti(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """Scraps of paper and foil that fall thickly at the top and lie on the ground."""
    rng = chance(jitter)
    picture = _night(x, y, palette, jitter)
    for number, (cx, cy) in enumerate(shapes(120, rng, x, y)):
        middle = np.exp(-((cx / 0.30) ** 2) - (((cy - 0.03) / 0.33) ** 2))
        if rng.uniform() < 0.85 * middle:
            continue
        colour = palette[2 + number % (len(palette) - 2)] if len(palette) > 2 else palette[1]
        size = rng.uniform(0.012, 0.026)
        _scrap(picture, x, y, (float(cx), float(cy)), float(size), colour, rng)
    return np.minimum(picture, np.float32(255))


def _scrap(
    picture: Floats, x: Floats, y: Floats, at: tuple[float, float], size: float, colour: Floats, rng: Rng
) -> None:
    """One piece, turned in space: a rectangle or a disc, foreshortened, lit by how it lies, with a little shadow."""
    place = window(x, y, at, 2 * size)
    u, v = turned(x[place] - np.float32(at[0]), y[place] - np.float32(at[1]), float(rng.uniform(0, np.pi)))
    flat, bright = float(rng.uniform(0.3, 1)), float(rng.uniform(0.72, 1.22))
    v = v / np.float32(flat)
    distance = (
        np.maximum(np.abs(u) - size, np.abs(v) - 0.6 * size) if rng.uniform() < 0.7 else np.hypot(u, v) - 0.7 * size
    )
    here = (slice(None), *place)
    picture[here] *= 1 - 0.28 * (1 - soft(distance - 0.006, 0.018 + pixel(y)))
    shine = np.clip(bright + 0.25 * u / size, 0.5, 1.35).astype(np.float32)
    stamp(picture, place, np.minimum(colour[:, None, None] * shine, 255), 1 - soft(distance, pixel(y)))


def garland(x: Floats, y: Floats, palette: Floats, jitter: Floats) -> Floats:
    """Strings of warm bulbs that hang across a deep wall and light it."""
    rng = chance(jitter)
    picture = _night(x, y, palette, jitter)
    glow = palette[-1]
    for top, sag in ((-0.95, 0.30), (-0.70, 0.22), (-0.40, 0.26)):
        height = np.float32(y.max()) * top + 0.04 * float(rng.uniform(-1, 1))
        middle, tilt = float(rng.uniform(-0.2, 0.2)), float(rng.uniform(-0.1, 0.1))
        hang = height + sag * (1 - ((x - middle) / 0.75) ** 2) + tilt * x
        picture = picture * (1 - 0.55 * line(y - hang, 0.0022, y))
        for cx in np.arange(-1.0, 1.0, 0.115) + float(rng.uniform(0, 0.11)):
            if abs(cx) < float(x.max()) + 0.1:
                cy = float(height + sag * (1 - ((cx - middle) / 0.75) ** 2) + tilt * cx) + 0.014
                _bulb(picture, x, y, (float(cx), cy), glow)
    return np.minimum(picture, np.float32(255))


def _bulb(picture: Floats, x: Floats, y: Floats, at: tuple[float, float], colour: Floats) -> None:
    """A small lamp and the light around it, in place."""
    place = window(x, y, at, 0.2)
    distance = np.hypot(x[place] - np.float32(at[0]), y[place] - np.float32(at[1]))
    halo = 0.34 * np.exp(-distance / 0.030) + 0.10 * np.exp(-((distance / 0.085) ** 2))
    picture[(slice(None), *place)] += colour[:, None, None] * halo.astype(np.float32)
    core = 1 - soft(distance - np.float32(0.0115), 0.006 + pixel(y))
    stamp(picture, place, np.minimum(colour + 70, 255).astype(np.float32), core)
