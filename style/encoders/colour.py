"""Colours of a picture: its palette and its histogram, both counted in one pass over CIE Lab."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from recsys.errors import ConfigError
from style.base import Images
from style.lab import rgb_to_lab

Rows = npt.NDArray[np.float32]

SIZE = 64
EDGES_L = np.arange(0, 101, 12.5, dtype=np.float32)[1:-1]
EDGES_AB = np.array([-48, -28, -15, -7, -2.5, 2.5, 7, 15, 28, 48], np.float32)
"""Narrow about grey, where most clothes are and where the eye tells more."""
SHAPE = (len(EDGES_L) + 1, len(EDGES_AB) + 1, len(EDGES_AB) + 1)
CELLS = SHAPE[0] * SHAPE[1] * SHAPE[2]
NODES_L = np.array([0, 20, 40, 60, 80, 100], np.float32)
NODES_AB = np.array([-60, -25, -10, -3, 3, 10, 25, 60], np.float32)
"""Of the histogram; closer about grey, too."""
APART = 4.0
"""A pixel further than this from the ground's colour (ΔE*ab) belongs to the product."""
LEAST = 0.02
"""Pictures with less product than this share have no ground: all of them counts."""
STEPS = 8
_BORDER = np.pad(np.zeros((SIZE - 4, SIZE - 4), bool), 2, constant_values=True).ravel()


@dataclass(frozen=True, eq=False)
class Counts:
    """What is counted in n pictures.

    Attributes:
        product: (n, cells) pixels off the ground in each cell of Lab.
        sums: (n, cells, 3) sums of their L, a, b.
        ground: (n, 4) share of the ground and its L, a, b; the share is 0 where there is no ground.
        shares: (n, nodes) the histogram: shares of the product, each pixel divided among the eight nodes about it.
    """

    product: Rows
    sums: Rows
    ground: Rows
    shares: Rows


def count(images: Images) -> Counts:
    """Cells of Lab in (n, 64, 64, 3) pictures; the ground is what has about the border's median colour."""
    n = len(images)
    lab = rgb_to_lab(images).reshape(3, n, -1)
    ground = np.median(lab[:, :, _BORDER], axis=2)
    off = ((lab - ground[:, :, None]) ** 2).sum(axis=0) > APART**2
    share = off.mean(axis=1)
    off |= (share < LEAST)[:, None]
    cell = np.searchsorted(EDGES_L, lab[0])
    for plane in lab[1:]:
        cell = cell * SHAPE[1] + np.searchsorted(EDGES_AB, plane)
    place = (cell + np.arange(n)[:, None] * CELLS)[off]
    product = np.bincount(place, minlength=n * CELLS).reshape(n, CELLS)
    sums = [np.bincount(place, plane[off], minlength=n * CELLS).reshape(n, CELLS) for plane in lab]
    about = np.concatenate([1 - off.mean(axis=1)[None], ground]).T
    parts = product, np.stack(sums, axis=2), about, divided(lab, off)
    return Counts(*(part.astype(np.float32) for part in parts))


def divided(lab: Rows, off: npt.NDArray[np.bool_]) -> npt.NDArray[np.float64]:
    """(n, nodes) shares of the pixels (3, n, m) that are ``off`` the ground, by interpolation between nodes."""
    n, nodes = len(off), len(NODES_L) * len(NODES_AB) ** 2
    place, weight = (np.arange(n)[:, None] * nodes + np.zeros(off.shape, np.int64))[off][None], np.ones((1, off.sum()))
    for plane, knots, step in zip(
        lab, (NODES_L, NODES_AB, NODES_AB), (len(NODES_AB) ** 2, len(NODES_AB), 1), strict=True
    ):
        value = plane[off]
        low = np.clip(np.searchsorted(knots, value) - 1, 0, len(knots) - 2)
        part = np.clip((value - knots[low]) / (knots[low + 1] - knots[low]), 0, 1)
        place = np.concatenate([place + low * step, place + (low + 1) * step])
        weight = np.concatenate([weight * (1 - part), weight * part])
    found = np.bincount(place.ravel(), weight.ravel(), minlength=n * nodes).reshape(n, nodes)
    return np.asarray(found / np.maximum(off.sum(axis=1, keepdims=True), 1))


def palette(counts: Counts, colours: int) -> tuple[Rows, Rows]:
    """Shares (n, colours) of the product's colours and these as Lab (n, colours, 3), the largest share first.

    Weighted k-means over the occupied cells of Lab. It starts from the fullest cell and takes as the next the cell with
    the largest count times squared distance from those taken, so that nothing is drawn. Equal shares: the darker
    first. A picture with fewer colours has shares of 0 at the end, their Lab 0.

    Source: Arthur, Vassilvitskii, "k-means++", 2007; the greedy choice in place of the drawn one.
    """
    weight = counts.product
    colour = counts.sums / np.maximum(weight, 1)[:, :, None]
    chosen = [weight.argmax(axis=1)]
    row = np.arange(len(weight))
    apart = np.full(weight.shape, np.inf, np.float32)
    for _ in range(colours - 1):
        apart = np.minimum(apart, ((colour - colour[row, chosen[-1]][:, None]) ** 2).sum(axis=2))
        chosen.append((weight * apart).argmax(axis=1))
    centre = colour[row[:, None], np.stack(chosen, axis=1)]
    for _ in range(STEPS):
        # |x - c|² without |x|², which is the same for every c
        nearest = ((centre**2).sum(axis=2)[:, None] - 2 * colour @ centre.transpose(0, 2, 1)).argmin(axis=2)
        member = (nearest[:, None] == np.arange(colours)[:, None]).astype(np.float32)
        amount = (member * weight[:, None]).sum(axis=2)
        centre = np.where(amount[..., None] > 0, member @ counts.sums / np.maximum(amount, 1)[..., None], centre)
    share = amount / np.maximum(weight.sum(axis=1), 1)[:, None]
    order = np.lexsort((centre[..., 0], -share), axis=1)
    share, centre = np.take_along_axis(share, order, 1), np.take_along_axis(centre, order[..., None], 1)
    return share, np.asarray(centre * (share > 0)[..., None])


@dataclass(frozen=True)
class CountReader:
    """What an encoder takes from the counts; see `style.encoders.trunk.Reader`."""

    finish: Callable[[Counts], Rows]


class LabCounts:
    """Counts colours once for all encoders that read them."""

    def run(self, images: Images, readers: Sequence[CountReader]) -> list[Rows]:
        """(n, 64, 64, 3) uint8 → one (n, d) a reader."""
        counts = count(images)
        return [reader.finish(counts) for reader in readers]


@lru_cache(maxsize=1)
def lab_counts() -> LabCounts:
    """The one counter."""
    return LabCounts()


class Palette:
    """A picture's colours as weighted Lab clusters: the ground first, then those of the product by share.

    Row: share, L, a, b of the ground (what has about the colour of the border); then share of the product, L, a, b of
    each colour, the largest first, of equal shares the darker. L, a and b are divided by 100 and multiplied by the root
    of their share, so that a small colour weighs little. Without ground its four numbers are 0.

    Args:
        device: Not used.
        colours: Of the product.

    Raises:
        ConfigError: ``colours`` is not within 1..16.

    Example:
        >>> photo = np.full((1, 64, 64, 3), 255, np.uint8)
        >>> photo[:, 16:48, 16:48] = (200, 0, 0)
        >>> Palette(colours=2).encode(photo)[0].astype(float).round(2).tolist()
        [0.75, 0.87, 0.0, 0.0, 1.0, 0.42, 0.67, 0.56, 0.0, 0.0, 0.0, 0.0]
    """

    name = "palette"
    extra = ""
    weights_licence = ""
    about = "the main colours, the ground apart"
    size = SIZE
    semantic = False
    whiten = 0

    def __init__(self, device: str = "auto", colours: int = 5) -> None:
        if not 1 <= colours <= 16:
            raise ConfigError(f"palette.colours must be within 1..16, got {colours}")
        self.key = f"colours={colours}"
        self.trunk = lab_counts()
        self.reader = CountReader(lambda counts: palette_rows(counts, colours))

    def encode(self, images: Images) -> Rows:
        """(n, 64, 64, 3) uint8 → (n, 4 + 4 colours) float32."""
        return self.trunk.run(images, [self.reader])[0]


def palette_rows(counts: Counts, colours: int) -> Rows:
    """See `Palette`."""
    share, lab = palette(counts, colours)
    shares = np.concatenate([counts.ground[:, :1], share], axis=1)
    labs = np.concatenate([counts.ground[:, None, 1:], lab], axis=1) / 100 * np.sqrt(shares)[..., None]
    return np.concatenate([shares[..., None], labs], axis=2).reshape(len(share), 4 + 4 * colours).astype(np.float32)


class ColourHistogram:
    """How much of the product has which colour: shares at 384 nodes of CIE Lab, closer about grey; to be whitened.

    The root of each share is taken, so that the inner product of two rows is about the Bhattacharyya coefficient of
    their colours. The ground, what has about the colour of the border, is left out where a product stands before it.
    """

    name = "colour-histogram"
    extra = ""
    weights_licence = ""
    about = "how much of which colour, whitened"
    size = SIZE
    semantic = False
    whiten = 64

    def __init__(self, device: str = "auto") -> None:
        self.trunk = lab_counts()
        self.reader = CountReader(lambda counts: np.sqrt(counts.shares))

    def encode(self, images: Images) -> Rows:
        """(n, 64, 64, 3) uint8 → (n, 384) float32 >= 0."""
        return self.trunk.run(images, [self.reader])[0]
