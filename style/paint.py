"""What drawings are made of: soft edges, mixtures, noise that looks the same at any size, small shapes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from style.lab import Floats

Rng = np.random.Generator
TABLE = 128
"""Cells after which the noise repeats; a power of two."""


def mix(first: Floats, second: Floats, share: Floats) -> Floats:
    """Between two colours (3,), or planes, by a plane."""
    first, second = (c[:, None, None] if c.ndim == 1 else c for c in (first, second))
    return np.asarray(first + (second - first) * share, np.float32)


def soft(value: npt.NDArray[np.floating], width: float) -> Floats:
    """0 below, 1 above zero, smooth over ``width``.

    Example:
        >>> soft(np.float32([-1, 0, 1]), 1.0).tolist()
        [0.0, 0.5, 1.0]
    """
    t = np.clip(value / np.float32(width) + np.float32(0.5), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def pixel(y: Floats) -> float:
    """The size of a pixel, a little wider so that edges are smooth."""
    return 1.6 / float(min(y.shape))


def line(distance: npt.NDArray[np.floating], half: float, y: Floats) -> Floats:
    """1 where ``distance`` is within ``half`` of 0, its edges a pixel wide; thinner than a pixel it grows faint."""
    edge = pixel(y)
    wide = max(half, edge / 2)
    return np.asarray(np.float32(half / wide) * (1 - soft(np.abs(distance) - np.float32(wide), edge)))


def chance(jitter: Floats) -> Rng:
    """A generator that an item's jitter decides: none of it (all 0), the same drawing for all."""
    return np.random.default_rng(np.ascontiguousarray(jitter, np.float32).view(np.uint32).tolist())


@lru_cache(maxsize=1)
def _lattice() -> Floats:
    return np.random.default_rng(7).uniform(-1, 1, (TABLE, TABLE)).astype(np.float32)


def noise(u: Floats, v: Floats) -> Floats:
    """Smooth value noise in -1..1 with one random value at each whole (u, v).

    Source: Ebert et al., Texturing and Modeling, 3rd ed. 2003, chapter 2 (lattice value noise).
    """
    table = _lattice().ravel()
    left, top = np.floor(u), np.floor(v)
    fu, fv = u - left, v - top
    fu, fv = fu * fu * (3 - 2 * fu), fv * fv * (3 - 2 * fv)
    column, row = left.astype(np.int32) & (TABLE - 1), (top.astype(np.int32) & (TABLE - 1)) * TABLE
    beside, below = (column + 1) & (TABLE - 1), (row + TABLE) & (TABLE * TABLE - 1)
    upper, lower = table.take(row + column), table.take(below + column)
    upper += (table.take(row + beside) - upper) * fu
    lower += (table.take(below + beside) - lower) * fu
    return np.asarray(upper + (lower - upper) * fv, np.float32)


def fractal(u: Floats, v: Floats, step: float, octaves: int = 5) -> Floats:
    """Sum of noise at doubling frequency and halving strength, about -1..1.

    Octaves of less than two pixels would turn to hiss that depends on the photo's size: they fade out.

    Args:
        u: Across, in cells of the coarsest octave.
        v: Down.
        step: `pixel` in those cells.
        octaves: At most so many.
    """
    total, strength = np.zeros(u.shape, np.float32), 1.0
    for i in range(octaves):
        keep = float(np.clip(2 - 1.25 * step * 2**i, 0, 1))
        if keep == 0:
            break
        turn = np.float32(2**i)
        total += np.float32(keep * strength) * noise(u * turn + np.float32(17.3 * i), v * turn + np.float32(31.7 * i))
        strength /= 2
    return total


def turned(x: Floats, y: Floats, angle: float) -> tuple[Floats, Floats]:
    """Coordinates along and across a direction (radians from the x axis)."""
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return x * c + y * s, y * c - x * s


def window(x: Floats, y: Floats, at: tuple[float, float], radius: float) -> tuple[slice, slice]:
    """Rows and columns of the grid within ``radius`` of a point, so that small shapes cost little."""
    rows = np.searchsorted(y[:, 0], [at[1] - radius, at[1] + radius])
    columns = np.searchsorted(x[0], [at[0] - radius, at[0] + radius])
    return slice(int(rows[0]), int(rows[1])), slice(int(columns[0]), int(columns[1]))


def stamp(picture: Floats, place: tuple[slice, slice], colour: Floats, share: Floats) -> None:
    """Lay a shape of one colour into a window of the picture, in place."""
    here = (slice(None), *place)
    picture[here] = mix(picture[here], colour, share)


def spot(x: Floats, y: Floats, at: tuple[float, float], radius: float) -> Floats:
    """A pool of light: 1 in its middle, falling off like a bell."""
    distance = np.hypot(x - np.float32(at[0]), y - np.float32(at[1])) / np.float32(radius)
    return np.asarray(np.exp(-distance * distance), np.float32)


def shapes(count: int, rng: Rng, x: Floats, y: Floats) -> npt.NDArray[np.float64]:
    """(count, 2) points over the picture, one in each cell of a grid, so that none are bare and none crowded."""
    columns = max(1, round(np.sqrt(count * x.shape[1] / x.shape[0])))
    rows = -(-count // columns)
    cell = rng.permutation(rows * columns)[:count]
    inside = rng.uniform(0.05, 0.95, (count, 2)) + np.stack([cell % columns, cell // columns], axis=1)
    return np.asarray((2 * inside / [columns, rows] - 1) * [float(x.max()), float(y.max())])
