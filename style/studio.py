"""The studio of a product photo: what colour its background has where, learnt from the border."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from style.lab import Floats
from style.raster import box_mean

Bools = npt.NDArray[np.bool_]
Place = tuple[slice, slice]

PLAIN = 2.6
"""ΔE from the background model up to which a single pixel may be background."""
CALM = 1.3
"""The same for the mean of 3 × 3 pixels, where noise has cancelled out: what parts white from white."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Coordinates and radii of one photo size.

    Attributes:
        basis: (6, h, w): 1, x, y, xx, yy, xy with x and y in -1..1.
        border: (6, m): ``basis`` on the border.
        sparse: (6, m): ``basis`` on every second pixel (unit).
        ring: (h, w): the border.
        unit: How many pixels one pixel of a 176 px photo is.
    """

    basis: Floats
    border: Floats
    sparse: Floats
    ring: Bools
    unit: int


@lru_cache(maxsize=16)
def grid_of(height: int, width: int) -> Grid:
    """The grid of a photo size."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    basis = np.stack([np.ones_like(x), x, y, x * x, y * y, x * y]).astype(np.float32)
    ring = np.ones((height, width), bool)
    edge = max(2, min(height, width) // 40)
    ring[edge:-edge, edge:-edge] = False
    unit = max(1, round(min(height, width) / 150))
    sparse = np.ascontiguousarray(basis[:, :: 2 * unit, :: 2 * unit]).reshape(6, -1)
    return Grid(basis, basis[:, ring], sparse, ring, unit)


@dataclass(frozen=True, eq=False)
class Studio:
    """The background's colour model and how far each pixel of the photo is from it.

    Attributes:
        darker: (h, w), L below the model.
        tint: (h, w), chroma difference.
        difference: (h, w), ΔE76.
        mean: (h, w), ΔE76 of 3 × 3 means.
        slope: (h, w), change of L a pixel.
        plain: Threshold of ``difference``, raised by the photo's noise.
        calm: Threshold of ``mean``.
        even: Share of the border that obeys the model.
        noise: Median ΔE of that border.
        burnt_out: Whether the background is pure white, as white cloth may be.
    """

    darker: Floats
    tint: Floats
    difference: Floats
    mean: Floats
    slope: Floats
    plain: float
    calm: float
    even: float
    noise: float
    burnt_out: bool

    def crop(self, place: Place) -> Studio:
        """A part of it."""
        planes = {name: getattr(self, name)[place] for name in ("darker", "tint", "difference", "mean", "slope")}
        return replace(self, **planes)


def studio_of(lab: Floats, slope: Floats, grid: Grid) -> Studio:
    """Fit the background of a photo (3, h, w): first to its border, then to all that looks like the border."""
    ring = lab[:, grid.ring]
    inlier = np.abs(ring - _ground(ring)).max(axis=0) < 14
    noise = 1.0
    for _ in range(3):
        coefficients = _solve(grid.border, ring, inlier)
        off = np.sqrt(((ring - coefficients @ grid.border) ** 2).sum(axis=0))
        noise = float(np.median(off[inlier])) if inlier.any() else 9.0
        inlier = off < max(2.5, 4 * noise)
    plain = max(PLAIN, 3.5 * noise)
    off = lab - np.tensordot(coefficients, grid.basis, 1)
    near = (off * off).sum(axis=0) < plain * plain
    if near.mean() > 0.1:
        off = lab - surface(lab, near, grid)
    tint2 = off[1] * off[1] + off[2] * off[2]
    smooth = box_mean(off, 1)
    return Studio(
        darker=-off[0],
        tint=np.sqrt(tint2),
        difference=np.sqrt(tint2 + off[0] * off[0]),
        mean=np.sqrt((smooth * smooth).sum(axis=0)),
        slope=slope,
        plain=plain,
        calm=CALM * plain / PLAIN,
        even=float(inlier.mean()),
        noise=noise,
        burnt_out=float(np.median(ring[0])) > 99.5,
    )


def _ground(ring: Floats) -> Floats:
    """The border's commonest colour (3, 1); a product that the frame cuts is nearly always darker than the studio."""
    centre = np.median(ring, axis=1, keepdims=True)
    bright = np.percentile(ring[0], 60)
    if bright - centre[0, 0] > 6:
        centre = np.median(ring[:, ring[0] > bright], axis=1, keepdims=True)
    return np.asarray(centre)


def surface(planes: Floats, where: Bools, grid: Grid) -> Floats:
    """Quadratic surface (3, h, w) through the chosen pixels of each plane."""
    step = slice(None, None, 2 * grid.unit)
    chosen = where[step, step]
    if chosen.sum() < 24:
        chosen = grid.ring[step, step] | chosen
    values = planes[:, step, step].reshape(3, -1)
    return np.tensordot(_solve(grid.sparse, values, chosen.ravel()), grid.basis, 1).astype(np.float32)


def _solve(basis: Floats, values: Floats, chosen: Bools) -> Floats:
    """Least squares over the chosen pixels (ridge against empty corners): (6, m), (3, m), (m,) → (3, 6)."""
    weighted = basis * chosen
    ridge = np.diag([1e-6, 0.3, 0.3, 3, 3, 3]) * max(int(chosen.sum()), 1) * 1e-3
    gram = (weighted @ basis.T).astype(np.float64) + ridge
    return np.asarray(np.linalg.solve(gram, (weighted @ values.T).astype(np.float64)).T, np.float32)
