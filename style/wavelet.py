"""Haar's wavelets without decimation: a picture as a smooth rest and details of each scale, which add up to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Planes = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Bands:
    """One scale of a picture; the four planes add up to what was split.

    Attributes:
        low: Smooth both ways.
        across: Fine from left to right, smooth down: upright edges.
        down: Smooth from left to right, fine down.
        both: Fine both ways: corners, grain.
    """

    low: Planes
    across: Planes
    down: Planes
    both: Planes

    @property
    def details(self) -> Planes:
        """What `low` leaves out; to it the smooth rest is added back."""
        return self.across + self.down + self.both


def split(planes: Planes, scale: int) -> Bands:
    """Split planes (…, h, w) at ``scale`` (0 finest): Haar's analysis and synthesis, averaged over all shifts.

    Haar's two filters, back and forth, are (1, 2, 1) / 4 and (-1, 2, -1) / 4 with gaps of 2^scale when all shifts are
    averaged. So reconstruction is a sum, and bands that were changed leave no blocks. Beyond the edge the nearest
    pixel is repeated.

    Source: Coifman, Donoho (1995), Translation-Invariant De-Noising, section 2; the four bands are those of wavelet
    pooling, Yoo et al. (2019), Photorealistic Style Transfer via Wavelet Transforms, section 3.2.

    Example:
        >>> bands = split(np.array([[0.0, 4.0, 0.0, 0.0]]), 0)
        >>> bands.low.tolist(), bands.across.tolist()
        ([[1.0, 2.0, 1.0, 0.0]], [[-1.0, 2.0, -1.0, 0.0]])
    """
    smooth = _smooth(planes, scale, -1)
    fine = planes - smooth
    low, rest = _smooth(smooth, scale, -2), _smooth(fine, scale, -2)
    return Bands(low, rest, smooth - low, fine - rest)


def pyramid(planes: Planes, scales: int) -> tuple[Sequence[Bands], Planes]:
    """Bands of each scale, finest first, and the smooth rest; the rest and all details add up to the planes.

    Example:
        >>> bands, rest = pyramid(np.arange(16.0).reshape(4, 4), 2)
        >>> bool(np.allclose(rest + sum(b.details for b in bands), np.arange(16.0).reshape(4, 4)))
        True
    """
    found = list[Bands]()
    for scale in range(scales):
        found.append(split(planes, scale))
        planes = found[-1].low
    return found, planes


def _smooth(planes: Planes, scale: int, axis: int) -> Planes:
    gap, size = 1 << scale, planes.shape[axis]
    wide = np.take(planes, np.clip(np.arange(-gap, size + gap), 0, size - 1), axis=axis)
    before, after = (np.take(wide, np.arange(size) + start, axis=axis) for start in (0, 2 * gap))
    return np.asarray(planes / 2 + (before + after) / 4)
