"""Closed-form colour transfer through a 3-D lookup table; no weights."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from style.base import Images, StyleCode, StylizerSpec
from style.lab import rgb_to_lab

Array = npt.NDArray[np.float64]
GRID = 33
SAMPLE = 4096
"""Pixels that statistics are taken from: evenly spaced."""
GAIN = 2.0
"""Largest stretch of any colour direction: more lights up JPEG's chroma blocks."""


class MklColour:
    """Moves the colours of a photo to those of a style: mean and covariance in CIELAB agree afterwards.

    The Monge-Kantorovich linear map of Pitié and Kokaram (The linear Monge-Kantorovitch linear colour mapping for
    example-based colour transfer, 2007), the one that moves colours least; its gains are bounded to [1/2, 2].
    """

    spec = StylizerSpec(
        name="colour.mkl",
        kind="colour",
        needs=("style-image",),
        about="closed-form colour transfer: the palette of a style image, every edge kept",
    )

    def encode(self, style: Images) -> StyleCode:
        """Mean and covariance of the style's colours in CIELAB.

        Example:
            >>> code = MklColour().encode(np.full((1, 4, 4, 3), 255, np.uint8))
            >>> code.arrays["mean"].round().tolist()
            [100.0, 0.0, 0.0]
        """
        moments = [_moments(image) for image in style]
        mean = np.mean([m for m, _ in moments], axis=0)
        covariance = np.mean([c for _, c in moments], axis=0)
        return StyleCode(self.spec.name, {"mean": mean.astype(np.float32), "covariance": covariance.astype(np.float32)})

    def apply(self, images: Images, code: StyleCode, *, seed: int = 0) -> Images:
        """(n, h, w, 3) uint8 → the same shape; ``seed`` changes nothing."""
        made = [_transfer(image, code) for image in images]
        return np.stack(made) if made else images


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


def _moments(image: npt.NDArray[np.uint8]) -> tuple[Array, Array]:
    pixels = image.reshape(-1, 3)
    lab = rgb_to_lab(pixels[np.linspace(0, len(pixels) - 1, min(len(pixels), SAMPLE)).astype(np.int64)]).astype(
        np.float64
    )
    return lab.mean(axis=1), np.cov(lab) if lab.shape[1] > 1 else np.zeros((3, 3))


def _transfer(image: npt.NDArray[np.uint8], code: StyleCode) -> npt.NDArray[np.uint8]:
    mean, covariance = _moments(image)
    target_mean, target = code.arrays["mean"].astype(np.float64), code.arrays["covariance"].astype(np.float64)
    if np.allclose(mean, target_mean, atol=1e-3) and np.allclose(covariance, target, atol=1e-2):
        return image
    lab = _grid_lab() - mean[:, None]
    table = lab_to_rgb(linear_map(covariance, target) @ lab + target_mean[:, None])
    return apply_table(image, table.reshape(3, GRID, GRID, GRID))


def apply_table(image: npt.NDArray[np.uint8], table: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    """(h, w, 3) uint8 through a (3, g, g, g) table of 0..255 values, trilinear."""
    place = image.transpose(2, 0, 1).astype(np.float32) * ((table.shape[1] - 1) / 255)
    channels = [ndimage.map_coordinates(plane, place, order=1, mode="nearest", prefilter=False) for plane in table]
    return np.asarray(np.clip(np.stack(channels, axis=-1) + 0.5, 0, 255).astype(np.uint8))


@lru_cache(maxsize=1)
def _grid_lab() -> Array:
    """(3, GRID³) CIELAB values of the grid's colours."""
    level = np.linspace(0, 255, GRID).round().astype(np.uint8)
    colours = np.stack(np.meshgrid(level, level, level, indexing="ij"), axis=-1).reshape(-1, 3)
    return rgb_to_lab(colours).astype(np.float64)


_TO_RGB = np.linalg.inv(
    np.array([(0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041)])
)
_WHITE = np.array([0.95047, 1.0, 1.08883])


def lab_to_rgb(lab: Array) -> npt.NDArray[np.float32]:
    """CIELAB (3, …), D65 → sRGB 0..255 (3, …), clipped to the gamut.

    Example:
        >>> lab_to_rgb(np.array([[100.0], [0.0], [0.0]])).round().tolist()
        [[255.0], [255.0], [255.0]]
    """
    fy = (lab[0] + 16) / 116
    f = np.stack([fy + lab[1] / 500, fy, fy - lab[2] / 200])
    xyz = np.where(f**3 > 216 / 24389, f**3, (116 * f - 16) * 27 / 24389) * _WHITE.reshape(3, *[1] * (lab.ndim - 1))
    linear = np.clip(np.tensordot(_TO_RGB, xyz, axes=1), 0, 1)
    return np.asarray(
        255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055), np.float32
    )
