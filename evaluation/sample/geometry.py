"""Outlines: a few hand-set points become smooth closed curves."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Field = npt.NDArray[np.floating[Any]]
Points = npt.NDArray[np.float64]
"""(n, 2) x, y in pixels of the final picture; x counts from the middle, y from the top."""
Anchor = tuple[float, ...]
"""(x, y), or (x, y, 1) for a corner."""


def curve(anchors: Sequence[Anchor], *, closed: bool = True, steps: int = 12) -> Points:
    """A smooth curve through ``anchors`` (centripetal Catmull-Rom), broken at corners.

    Args:
        anchors: (x, y) or (x, y, 1), where 1 makes the point a corner.
        closed: Whether the last point joins the first.
        steps: Points per span.

    Returns:
        (n, 2) points; a closed curve does not repeat its first.

    Example:
        >>> square = curve([(0, 0, 1), (2, 0, 1), (2, 2, 1), (0, 2, 1)], steps=1)
        >>> square.tolist()
        [[0.0, 0.0], [2.0, 0.0], [2.0, 2.0], [0.0, 2.0]]
    """
    xy = np.array([a[:2] for a in anchors], dtype=np.float64)
    corner = np.array([len(a) > 2 and bool(a[2]) for a in anchors])
    if not closed:
        corner[[0, -1]] = True
        cuts = np.flatnonzero(corner)
        pieces = [_span(xy[a : b + 1], steps) for a, b in pairwise(cuts)]
        return np.concatenate([*pieces, xy[-1:]])
    if not corner.any():
        ring = np.concatenate([xy[-2:], xy, xy[:3]])
        return _span(ring, steps)[2 * steps : (len(xy) + 2) * steps]
    start = int(np.flatnonzero(corner)[0])
    xy, corner = np.roll(xy, -start, axis=0), np.roll(corner, -start)
    xy = np.concatenate([xy, xy[:1]])
    cuts = np.append(np.flatnonzero(corner), len(xy) - 1)
    return np.concatenate([_span(xy[a : b + 1], steps) for a, b in pairwise(cuts)])


def _span(xy: Points, steps: int) -> Points:
    """Points along one piece between corners, its end left out; (n, 2) -> ((n-1)*steps, 2)."""
    if len(xy) == 2:
        t = np.arange(steps)[:, None] / steps
        return np.asarray(xy[0] * (1 - t) + xy[1] * t)
    gap = np.maximum(np.linalg.norm(np.diff(xy, axis=0), axis=1), 1e-6) ** 0.5
    slope = np.diff(xy, axis=0) / gap[:, None]
    inner = (slope[:-1] * gap[1:, None] + slope[1:] * gap[:-1, None]) / (gap[:-1] + gap[1:])[:, None]
    ends = 1.5 * slope[[0, -1]] - 0.5 * inner[[0, -1]]
    tangent = np.concatenate([ends[:1], inner, ends[1:]])
    t = np.arange(steps)[None, :, None] / steps
    h = gap[:, None, None]
    out = (
        (2 * t**3 - 3 * t**2 + 1) * xy[:-1, None]
        + (t**3 - 2 * t**2 + t) * h * tangent[:-1, None]
        + (3 * t**2 - 2 * t**3) * xy[1:, None]
        + (t**3 - t**2) * h * tangent[1:, None]
    )
    return np.asarray(out.reshape(-1, 2))


def mirrored(half: Sequence[Anchor]) -> list[Anchor]:
    """Complete the right half of a symmetric outline (top middle to bottom middle) with its left half.

    Example:
        >>> mirrored([(0, 0), (3, 1, 1), (0, 2)])
        [(0, 0), (3, 1, 1), (0, 2), (-3, 1, 1)]
    """
    return [*half, *((-a[0], *a[1:]) for a in reversed(half) if a[0] != 0)]


def flipped(anchors: Sequence[Anchor]) -> list[Anchor]:
    """The same outline on the other side."""
    return [(-a[0], *a[1:]) for a in anchors]


def ellipse(x: float, y: float, rx: float, ry: float | None = None, *, n: int = 48) -> Points:
    """An ellipse as points; a circle when ``ry`` is left out."""
    angle = np.linspace(0, 2 * np.pi, n, endpoint=False)
    return np.stack([x + rx * np.cos(angle), y + (rx if ry is None else ry) * np.sin(angle)], axis=1)


def rounded(x0: float, y0: float, x1: float, y1: float, radius: float) -> Points:
    """A rectangle with round corners."""
    r = min(radius, abs(x1 - x0) / 2, abs(y1 - y0) / 2)
    centres = ((x1 - r, y1 - r, 0.0), (x0 + r, y1 - r, 0.5), (x0 + r, y0 + r, 1.0), (x1 - r, y0 + r, 1.5))
    turn = np.linspace(0, 0.5, 9)
    arcs = [
        np.stack([cx + r * np.cos(np.pi * (a + turn)), cy + r * np.sin(np.pi * (a + turn))], axis=1)
        for cx, cy, a in centres
    ]
    return np.concatenate(arcs)


def tapered(points: Points, width: float) -> Points:
    """A brush stroke along ``points``: ``width`` in the middle, pointed at both ends."""
    along = np.gradient(points, axis=0)
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    half = width / 2 * np.sin(np.pi * np.linspace(0, 1, len(points)))[:, None] ** 0.7
    return np.concatenate([points + normal * half, (points - normal * half)[::-1]])
