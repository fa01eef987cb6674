"""Closed-form colour transfer: the palette of a style, every edge kept; no weights.

Each method describes colours by a few numbers, moves a sample's description to the style's, and applies that move to
the nodes of a lookup table (`style.stylizers.table`), through which the whole photo goes at any size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from style.base import Images, StyleCode, StylizerSpec
from style.distance import colours, quantiles
from style.lab import lab_to_rgb, linear_to_srgb, rgb_to_lab, srgb_to_linear
from style.stylizers.table import GRID, Picture, apply_table, grid_colours

Array = npt.NDArray[np.float64]
Arrays = Mapping[str, npt.NDArray[Any]]
SAMPLE = 4096
"""Pixels that a description is taken from: evenly spaced."""
GAIN = 2.0
"""Largest stretch of any colour direction by a linear map: more lights up JPEG's chroma blocks."""
FLAT = 1.0
"""Width in CIELAB within which colours look alike, and are moved alike."""
STEEP = 2.0
"""Largest stretch where quantiles are matched, as `GAIN`."""
SAME = 1e-3
"""Largest difference, in the units of its space, at which a photo's description is the style's: it stays as it is."""


class ColourTransfer(ABC):
    """Template: `describe` colours, and `move` any colours as the photo's description must move to the style's."""

    spec: StylizerSpec

    def encode(self, style: Images) -> StyleCode:
        """The mean description of (n, h, w, 3) style images."""
        every = [self.describe(self.sample(image)) for image in style]
        return StyleCode(
            self.spec.name, {name: np.mean([d[name] for d in every], axis=0).astype(np.float32) for name in every[0]}
        )

    def apply(self, images: Images, code: StyleCode, *, seed: int = 0) -> Images:
        """(n, h, w, 3) uint8 → the same shape; ``seed`` changes nothing."""
        made = [self._one(image, code) for image in images]
        return np.stack(made) if made else images

    @abstractmethod
    def describe(self, points: Array) -> Arrays:
        """What is to agree, of (3, n) colours; means over several pictures must make sense."""

    @abstractmethod
    def move(self, nodes: Array, points: Array, own: Arrays, target: Arrays) -> Array:
        """(3, m) where ``nodes`` go when ``points``, described by ``own``, take the description ``target``."""

    def sample(self, image: Picture) -> Array:
        """(3, n) colours of a picture, in the method's space."""
        return colours(image, SAMPLE)

    def grid(self) -> Array:
        """(3, GRID³) colours of the table's nodes, in the method's space."""
        return _lab_grid()

    def to_rgb(self, points: Array) -> npt.NDArray[np.float32]:
        """(3, m) 0..255 of colours in the method's space."""
        return lab_to_rgb(points)

    def _one(self, image: Picture, code: StyleCode) -> Picture:
        points = self.sample(image)
        own = self.describe(points)
        target = {name: array.astype(np.float64) for name, array in code.read(self.spec.name).items()}
        if all(np.allclose(own[name], target[name], rtol=SAME, atol=SAME) for name in target):
            return image
        table = self.to_rgb(self.move(self.grid(), points, own, target).astype(np.float32))
        return apply_table(image, table.reshape(3, GRID, GRID, GRID))


class ReinhardColour(ColourTransfer):
    """Mean and spread of each axis of lαβ, an opponent space in which natural pictures' axes are nearly independent.

    Reinhard, Ashikhmin, Gooch, Shirley (2001), Color Transfer between Images, eqs. 4-8 (lαβ) and 10-11; gains are
    bounded to [1/2, 2].
    """

    spec = StylizerSpec(
        name="colour.reinhard",
        kind="colour",
        about="mean and spread of each colour axis: gentle, and blind to how axes go together",
    )
    _LMS: ClassVar[Array] = np.array([(0.3811, 0.5783, 0.0402), (0.1967, 0.7244, 0.0782), (0.0241, 0.1288, 0.8444)])
    _AXES: ClassVar[Array] = np.diag(1 / np.sqrt([3.0, 6.0, 2.0])) @ np.array([(1, 1, 1), (1, 1, -2), (1, -1, 0)])
    _DARK: ClassVar[float] = 1e-3
    """Light below which a logarithm would see differences that no eye does."""

    def describe(self, points: Array) -> Arrays:
        """Mean and standard deviation of each axis, (3,)."""
        return {"mean": points.mean(axis=1), "spread": points.std(axis=1)}

    def move(self, nodes: Array, points: Array, own: Arrays, target: Arrays) -> Array:
        """(x - mean) · gain + the style's mean."""
        gain = np.clip(target["spread"] / np.maximum(own["spread"], 1e-6), 1 / GAIN, GAIN)
        return np.asarray((nodes - own["mean"][:, None]) * gain[:, None] + target["mean"][:, None])

    def sample(self, image: Picture) -> Array:
        """(3, n) in lαβ."""
        pixels = image.reshape(-1, 3)
        places = np.linspace(0, len(pixels) - 1, min(len(pixels), SAMPLE)).astype(np.int64)
        return self._from_rgb(pixels[places])

    def grid(self) -> Array:
        """(3, GRID³) in lαβ."""
        return self._from_rgb(grid_colours())

    def to_rgb(self, points: Array) -> npt.NDArray[np.float32]:
        """Back from lαβ."""
        cones = 10 ** (self._AXES.T @ points)  # the axes are orthonormal
        return linear_to_srgb(np.linalg.solve(self._LMS, cones))

    def _from_rgb(self, pixels: Picture) -> Array:
        cones = self._LMS @ srgb_to_linear(pixels).T.astype(np.float64)
        return np.asarray(self._AXES @ np.log10(np.maximum(cones, self._DARK)))


class MklColour(ColourTransfer):
    """Moves the colours of a photo to those of a style: mean and covariance in CIELAB agree afterwards.

    The Monge-Kantorovich linear map of Pitié and Kokaram (The linear Monge-Kantorovitch linear colour mapping for
    example-based colour transfer, 2007), the one that moves colours least; its gains are bounded to [1/2, 2].
    """

    spec = StylizerSpec(
        name="colour.mkl",
        kind="colour",
        about="mean and covariance of the colours by the linear map that moves least; the safe choice",
    )

    def describe(self, points: Array) -> Arrays:
        """Mean (3,) and covariance (3, 3).

        Example:
            >>> MklColour().describe(np.zeros((3, 1)))["covariance"].tolist()
            [[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
        """
        covariance = np.cov(points) if points.shape[1] > 1 else np.zeros((3, 3))
        return {"mean": points.mean(axis=1), "covariance": covariance}

    def move(self, nodes: Array, points: Array, own: Arrays, target: Arrays) -> Array:
        """T (x - mean) + the style's mean."""
        mapping = linear_map(own["covariance"], target["covariance"])
        return np.asarray(mapping @ (nodes - own["mean"][:, None]) + target["mean"][:, None])


class HistogramColour(ColourTransfer):
    """Lightness and both chroma axes take the style's histograms, each for itself.

    Histogram specification (Gonzalez and Woods, Digital Image Processing, 3.3.2) of the three axes of CIELAB, as the
    quantile function of the style after the distribution function of the photo.
    """

    spec = StylizerSpec(
        name="colour.histogram",
        kind="colour",
        about="the histogram of each colour axis; strong, and smooth gradients may break into bands",
    )
    LEVELS: ClassVar[int] = 128

    def describe(self, points: Array) -> Arrays:
        """(LEVELS, 3) quantiles of each axis."""
        return {"quantiles": quantiles(points, _levels(self.LEVELS))}

    def move(self, nodes: Array, points: Array, own: Arrays, target: Arrays) -> Array:
        """Axis by axis."""
        pairs = zip(nodes, own["quantiles"].T, target["quantiles"].T, strict=True)
        return np.stack([matched(axis, before, after) for axis, before, after in pairs])


class OptimalTransportColour(ColourTransfer):
    """All colours together take the style's distribution, by moving as little as possible along many directions.

    Iterative distribution transfer (Pitié, Kokaram, Dahyot 2007, Automated colour grading using colour distribution
    transfer, algorithm 1): rotate, match the quantiles of the three axes, rotate back, again and again. The style is
    the quantiles along fixed directions, so that codes mix: between two styles lies their sliced barycentre (Rabin et
    al. 2011). Table nodes go as the sample around them does on the whole, which keeps JPEG's rings around a product
    with the ground they are on (regularity: Ferradans et al. 2014, Regularized discrete optimal transport).
    """

    spec = StylizerSpec(
        name="colour.ot",
        kind="colour",
        about="the whole colour distribution; the closest to the style, and the least faithful to single colours",
    )
    LEVELS: ClassVar[int] = 128
    ROTATIONS: ClassVar[int] = 12
    ROUNDS: ClassVar[int] = 2
    AROUND: ClassVar[float] = 1.0
    """Nodes over which what the sample does is averaged (a Gaussian's deviation)."""
    FEW: ClassVar[float] = 0.01
    """Pixels of the sample below which a node goes its own way."""

    def describe(self, points: Array) -> Arrays:
        """(ROTATIONS, LEVELS, 3) quantiles along the axes of each rotation."""
        return {"quantiles": np.stack([quantiles(r @ points, _levels(self.LEVELS)) for r in rotations(self.ROTATIONS)])}

    def move(self, nodes: Array, points: Array, own: Arrays, target: Arrays) -> Array:
        """Nodes are carried along by the same one-dimensional maps as the sample."""
        moved, along = points.copy(), nodes.copy()
        for _ in range(self.ROUNDS):
            for rotation, after in zip(rotations(self.ROTATIONS), target["quantiles"], strict=True):
                turned, followers = rotation @ moved, rotation @ along
                before = quantiles(turned, _levels(self.LEVELS))
                for axis in range(3):
                    turned[axis] = matched(turned[axis], before[:, axis], after[:, axis])
                    followers[axis] = matched(followers[axis], before[:, axis], after[:, axis])
                moved, along = rotation.T @ turned, rotation.T @ followers
        return self._regular(nodes, along, points, moved)

    def _regular(self, nodes: Array, along: Array, points: Array, moved: Array) -> Array:
        """(3, m) nodes go as the sample around them does on the whole, or ``along`` where there is none of it."""
        cells = np.rint(self.to_rgb(points) * ((GRID - 1) / 255)).astype(np.int64)
        flat = np.ravel_multi_index(tuple(cells), (GRID,) * 3)
        seen = np.stack([np.bincount(flat, w, GRID**3) for w in (np.ones(len(flat)), *(moved - points))])
        near = gaussian_filter(seen.reshape(4, GRID, GRID, GRID), (0, *[self.AROUND] * 3)).reshape(4, -1)
        return np.asarray(nodes + (near[1:] + self.FEW * (along - nodes)) / (near[0] + self.FEW))


def linear_map(source: Array, target: Array, *, gain: float = GAIN) -> Array:
    """(3, 3) symmetric T with T source T = target, its gains clipped to [1 / gain, gain].

    T = S^-1/2 (S^1/2 U S^1/2)^1/2 S^-1/2, Pitié and Kokaram 2007, eq. 7.

    Example:
        >>> linear_map(np.eye(3), 4 * np.eye(3), gain=3.0).round(6).tolist()
        [[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 2.0]]
    """
    values, vectors = np.linalg.eigh(source)
    root = np.sqrt(np.maximum(values, 1e-6))
    half, inverse = (vectors * root) @ vectors.T, (vectors / root) @ vectors.T
    inner, basis = np.linalg.eigh(half @ target @ half)
    mapped = inverse @ ((basis * np.sqrt(np.maximum(inner, 0))) @ basis.T) @ inverse
    gains, directions = np.linalg.eigh((mapped + mapped.T) / 2)
    return np.asarray((directions * np.clip(gains, 1 / gain, gain)) @ directions.T)


@lru_cache(maxsize=1)
def _lab_grid() -> Array:
    return rgb_to_lab(grid_colours()).astype(np.float64)


def _levels(n: int) -> Array:
    """From the least to the largest value."""
    return np.linspace(0, 1, n)


def matched(values: Array, before: Array, after: Array) -> Array:
    """Values where their quantiles go: piecewise linear between quantiles, shifted as the ends are beyond them.

    Quantiles nearer than ``FLAT`` go to the mean of where they would go each: a flat ground cannot be parted, and
    would else be thrown to one end of what it should cover, its noise to both.

    Example:
        >>> matched(np.array([-1.0, 0.5, 3.0]), np.array([0.0, 1.0]), np.array([10.0, 11.5])).round(3).tolist()
        [9.0, 10.75, 13.5]
        >>> matched(np.array([5.0]), np.array([5.0, 5.0, 5.0]), np.array([10.0, 20.0, 60.0])).tolist()
        [30.0]
    """
    starts = np.flatnonzero(np.diff(np.floor((before - before[0]) / FLAT), prepend=-1))
    counts = np.diff(starts, append=len(before))
    places, goals = (np.add.reduceat(q, starts) / counts for q in (before, after))
    most, drop = counts.argmax(), goals - STEEP * places
    darker, lighter = np.maximum.accumulate(drop[most::-1])[:0:-1], np.minimum.accumulate(drop[most:])
    inside = np.interp(values, places, STEEP * places + np.append(darker, lighter))
    return np.asarray(inside + np.minimum(values - places[0], 0) + np.maximum(values - places[-1], 0))


def rotations(n: int) -> Array:
    """(n, 3, 3) fixed rotations: the axes themselves first, then random ones."""
    rng = np.random.default_rng(20070101)
    turned = [np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(n - 1)]
    return np.stack([np.eye(3), *turned])
