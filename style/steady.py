"""What keeps a restyled clip from flickering: where nothing moves, the restyling stands still.

A stylizer answers the noise of a frame with other strokes each time. Here the change (styled minus source) is carried
on wherever the source still looks as it did when that change was made; where it does not, the new frame's change is
taken. No optical flow: what moves is painted anew, so nothing is dragged along.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from style.lab import Floats
from style.raster import box_mean, local_maximum

Picture = npt.NDArray[np.uint8]

QUIET, LOUD = 4.0, 24.0
"""Bounds, of 255, of the difference at which a pixel begins to count as moving."""
REACH = 0.1
"""How far around a moving thing the frame is painted anew, as a share of the shorter side."""
NOISE = 2.5
"""Of how many times the frame's noise that difference is."""


class Steady:
    """Carries the change of a clip's frames on where nothing moves.

    With source S, styled frame F, and m in 0..1 a pixel (the greater of `motion` and `calmness`), the change is
    D ← D + m (F - S - D), the source it belongs to is R ← R + m (S - R), and S + D is shown. Since S is compared with
    R, not with the frame before, slow changes of light add up until they are seen.

    Args:
        carry: See `VideoConfig`.

    Example:
        >>> steady, grey = Steady(), np.full((16, 16, 3), 90, np.uint8)
        >>> steady(grey, grey + 20)[0, 0, 0].item(), steady(grey, grey + 40)[0, 0, 0].item()
        (110, 110)
    """

    def __init__(self, carry: float = 1.0) -> None:
        self.least = np.float32(1 - carry)
        self.last: tuple[Floats, Floats] | None = None
        self.change = self.seen = np.zeros((1, 1, 3), np.float32)

    def __call__(self, source: Picture, styled: Picture) -> Picture:
        """(h, w, 3) uint8, the next frame and what the stylizer made of it → the frame to show."""
        now, made = source.astype(np.float32), styled.astype(np.float32)
        if self.last is None or self.least == 1:
            self.change, self.seen = made - now, now
        else:
            calm = calmness(now - self.last[0], made - self.last[1])
            share = np.maximum(np.maximum(motion(now, self.seen), calm), self.least)[..., None]
            self.change = self.change + share * (made - now - self.change)
            self.seen = self.seen + share * (now - self.seen)
        self.last = now, made
        return np.asarray(np.clip(now + self.change + np.float32(0.5), 0, 255).astype(np.uint8))


def calmness(source: Floats, styled: Floats) -> Floats:
    """(h, w) in 0..1: where the styled frame is as still as the source or stiller, so that nothing needs to be carried.

    Drawn scenery has no noise; a change that is carried would lend it the source's.

    Args:
        source: (h, w, 3) difference of two frames.
        styled: (h, w, 3) the same of what was made of them.
    """
    own, others = (box_mean(np.abs(d).mean(axis=-1), 3) for d in (source, styled))
    return np.asarray(np.clip((1.25 - others / (own + np.float32(0.25))) * 4, 0, 1), np.float32)


def motion(now: Floats, before: Floats) -> Floats:
    """(h, w) in 0..1: where two frames (h, w, 3) show different things, noise apart.

    The greatest difference over the channels, averaged over a few pixels, counts from some times the noise on, and
    wholly from twice that. Noise is what is left of the difference without its local mean, in the quietest tenth of
    the frame: a change of light is none. Around what moves counts too: networks paint a thing's surroundings otherwise
    than they paint the empty wall, and a halo would stay behind. When the camera moves all counts.

    Example:
        >>> still, moved = np.zeros((32, 32, 3), np.float32), np.zeros((32, 32, 3), np.float32)
        >>> moved[8:16, 8:16] = 99
        >>> found = motion(moved, still)
        >>> found[12, 12].item(), found[28, 28].item()
        (1.0, 0.0)
    """
    radius = max(1, round(min(now.shape[:2]) / 200))
    difference = np.moveaxis(now - before, -1, 0)
    level = box_mean(np.abs(difference).max(axis=0), radius)
    rough = box_mean(np.abs(difference - box_mean(difference, 2 * radius)).max(axis=0), radius)
    low = np.clip(NOISE * np.quantile(rough[::4, ::4], 0.1), QUIET, LOUD)
    solid = -local_maximum(-level, radius)  # a speck of noise is smaller than what moves
    found = np.clip(local_maximum(solid, 2 * radius) / low - 1, 0, 1)
    camera = _camera(now, found, float(low), radius)
    reach = max(2, round(REACH * min(now.shape[:2])))
    firm = np.clip(2 * found - 1, 0, 1)
    found = np.maximum(found, box_mean(local_maximum(firm, reach), reach // 2))
    return np.asarray(np.maximum(found, camera), np.float32)


def _camera(now: Floats, found: Floats, low: float, radius: int) -> float:
    """0..1, whether the camera moves or all is new: most of the frame does, or all that is drawn along three edges.

    Flat sky shows no motion of its own. A product that turns in its studio does not reach the edges, and who walks in
    comes by one of them.
    """
    grey = box_mean(now.mean(axis=-1), radius)
    drawn = local_maximum(grey, 2 * radius) + local_maximum(-grey, 2 * radius) > 2 * low
    width = max(1, min(found.shape) // 8)
    edges = (np.s_[:width], np.s_[-width:], np.s_[:, :width], np.s_[:, -width:])
    shares = [float(found[e][drawn[e]].mean()) if drawn[e].mean() > 0.05 else 0.0 for e in edges]
    along = sum(sorted(shares)[1:3]) / 2  # more than half: a third edge moves, too
    return float(np.clip((max(float(found.mean()), along) - 0.5) / 0.1, 0, 1))


@dataclass
class Flicker:
    """Sums the difference of consecutive frames where the source stands still, of several versions of a clip."""

    total: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(3))
    still: int = 0
    pixels: int = 0
    last: tuple[Floats, ...] = ()

    def add(self, *versions: Picture) -> None:
        """The next frame: (h, w, 3) uint8 of the source first."""
        now = tuple(v.astype(np.float32) for v in versions)
        if self.last:
            quiet = motion(now[0], self.last[0]) == 0
            self.still += int(quiet.sum())
            self.pixels += quiet.size
            pairs = zip(now, self.last, strict=True)
            self.total += [float(np.abs(a - b).mean(axis=-1, dtype=np.float64)[quiet].sum()) for a, b in pairs]
        self.last = now
