"""Neighbourhood operations on single planes by shifted whole-array steps.

At catalogue sizes (20,000 pixels) they take a fraction of the time of the general filters in `scipy.ndimage`, whose
results the tests compare them with. Beyond the edge the nearest pixel is repeated.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]
Bools = npt.NDArray[np.bool_]


def box_mean(plane: Plane, radius: int) -> Plane:
    """Mean over (2 × radius + 1)² pixels of the last two axes.

    Example:
        >>> box_mean(np.float32([[0, 0, 0], [0, 9, 0], [0, 0, 0]]), 1)[1, 1].item()
        1.0
    """
    for axis in (-2, -1):
        plane = _window(plane, radius, axis, np.add)
    return plane * np.float32(1 / (2 * radius + 1) ** 2)


def local_maximum(plane: Plane, radius: int) -> Plane:
    """Maximum over (2 × radius + 1)² pixels of the last two axes."""
    for axis in (-2, -1):
        plane = _window(plane, radius, axis, np.maximum)
    return plane


def _window(plane: Plane, radius: int, axis: int, join: np.ufunc) -> Plane:
    """Join 2 × radius + 1 neighbours along an axis, by doubling: windows of 1, 2, 4 … make any length."""
    length, want = plane.shape[axis], 2 * radius + 1
    part, total, start, width = _extend(plane, radius, axis), None, 0, 1
    while want:
        if want & 1:
            piece = part[_along(axis, start, start + length)]
            total = piece if total is None else join(total, piece)
            start += width
        want >>= 1
        if want:
            part = join(part[_along(axis, 0, -width)], part[_along(axis, width, None)])
            width *= 2
    return np.asarray(total)


def _along(axis: int, start: int, stop: int | None) -> tuple[Any, ...]:
    return (..., slice(start, stop)) if axis == -1 else (..., slice(start, stop), slice(None))


def _extend(plane: Plane, radius: int, axis: int) -> Plane:
    first, last = plane[_along(axis, 0, 1)], plane[_along(axis, -1, None)]
    return np.concatenate([first] * radius + [plane] + [last] * radius, axis=axis)


def grow(mask: Bools, steps: int = 1) -> Bools:
    """Dilate by a diamond of radius ``steps``; nothing lies beyond the edge."""
    for _ in range(steps):
        out = mask.copy()
        out[1:] |= mask[:-1]
        out[:-1] |= mask[1:]
        out[:, 1:] |= mask[:, :-1]
        out[:, :-1] |= mask[:, 1:]
        mask = out
    return mask


def shrink(mask: Bools, steps: int = 1) -> Bools:
    """Erode by a diamond of radius ``steps``; beyond the edge the mask goes on.

    Example:
        >>> shrink(np.array([[1, 1, 1], [1, 1, 0], [1, 1, 1]], bool)).astype(int).tolist()
        [[1, 1, 0], [1, 0, 0], [1, 1, 0]]
    """
    return ~grow(~mask, steps)


def steepness(plane: Plane, radius: int) -> Plane:
    """Change a pixel of ``plane`` smoothed over (2 × radius + 1)² pixels."""
    smooth = box_mean(plane, radius)
    down, right = _extend(smooth, 1, -2), _extend(smooth, 1, -1)
    down, right = down[2:] - down[:-2], right[:, 2:] - right[:, :-2]
    return np.sqrt(down * down + right * right) * np.float32(0.5)
