"""Colours through a 3-D lookup table: any map of colours, fitted on a sample, applied at any size."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

GRID = 33
Picture = npt.NDArray[np.uint8]


@lru_cache(maxsize=2)
def grid_colours(size: int = GRID) -> Picture:
    """(size³, 3) the colours at the table's nodes."""
    level = np.linspace(0, 255, size).round().astype(np.uint8)
    return np.stack(np.meshgrid(level, level, level, indexing="ij"), axis=-1).reshape(-1, 3)


def apply_table(image: Picture, table: npt.NDArray[np.float32]) -> Picture:
    """(h, w, 3) uint8 through a (3, g, g, g) table of 0..255 values, trilinear.

    Example:
        >>> level = np.linspace(0, 255, 2, dtype=np.float32)
        >>> negative = 255 - np.stack(np.meshgrid(level, level, level, indexing="ij"))
        >>> apply_table(np.array([[[0, 255, 100]]], np.uint8), negative).tolist()
        [[[255, 0, 155]]]
    """
    size = table.shape[1]
    levels = np.ascontiguousarray(table.transpose(3, 2, 1, 0), np.float32).ravel() / 255  # red changes fastest
    lut = ImageFilter.Color3DLUT(size, levels, channels=3, target_mode="RGB", _copy_table=False)
    return np.asarray(Image.fromarray(image).filter(lut))
