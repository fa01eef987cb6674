"""Fields on the pixel grid that the lighting is made from."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from evaluation.sample.geometry import (
    Floats,
)
from evaluation.sample.stuff import HEIGHT, WIDTH


def blur(field_: Floats, sigma: float) -> Floats:
    """Nearly Gaussian: three box filters (Wells 1986), whose cost does not grow with ``sigma``."""
    size = max(round(sigma * 0.98) * 2 + 1, 3) if sigma > 1.6 else 3
    out = field_
    for _ in range(3 if sigma > 1.6 else 2):
        out = ndimage.uniform_filter(out, size, mode="constant")
    return np.asarray(out, np.float32)


def extent(mask: Floats) -> tuple[Floats, Floats]:
    """First and last covered column of each row; empty rows take the part's whole width."""
    on = mask > 0.5
    any_ = on.any(axis=1)
    left = np.where(any_, on.argmax(axis=1), 0)
    right = np.where(any_, mask.shape[1] - on[:, ::-1].argmax(axis=1), mask.shape[1])
    return (
        np.asarray(ndimage.uniform_filter1d(left.astype(np.float32), 5, mode="nearest")),
        np.asarray(ndimage.uniform_filter1d(right.astype(np.float32), 5, mode="nearest")),
    )


def cylinder(mask: Floats) -> Floats:
    """Light on a turned body: bright left of the middle, dark towards the right edge; in about [-1, 0.8]."""
    left, right = extent(mask)
    x = np.arange(mask.shape[1], dtype=np.float32)[None]
    u = np.clip((x - left[:, None]) / np.maximum(right - left, 1)[:, None] * 2 - 1, -1, 1)
    lambert = -0.55 * u + 0.83 * np.sqrt(1 - u**2)
    return np.asarray(1.15 * (lambert - 0.62), np.float32)


def silk(rng: np.random.Generator) -> Floats:
    """Long soft reflections in [-0.5, 0.6]: warped diagonal waves."""
    yy, xx = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    a, b, c = rng.uniform(0, 2 * np.pi, 3).astype(np.float32)
    warp = 14 * np.sin(yy / 47 + a) + 7 * np.sin(yy / 19 + xx / 60 + b)
    wave = np.sin((xx + warp - 0.18 * yy) / 9.5 + c) * (0.6 + 0.4 * np.sin(yy / 35 + xx / 31 + b))
    return np.asarray(np.where(wave > 0, 0.6 * np.abs(wave) ** 2.2, -0.42 * np.abs(wave) ** 1.3), np.float32)
