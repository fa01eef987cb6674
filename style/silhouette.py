"""The product's silhouette: everything that the studio does not reach from the border, freed of shadow and ringing.

The numbers were set on a few thousand shop photos of 176 px, looked at by eye; ``unit`` carries them to other sizes.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from style.faint import burnt_windows
from style.raster import grow, local_maximum, shrink
from style.studio import Bools, Place, Studio

SHADOW = 22.0
"""How much darker (L) than the background a soft shadow may be."""
TINT = 2.6
"""How far a shadow's chroma may be from the background's."""
BLEED = 0.22
"""Share of a saturated product's chroma that JPEG's chroma blocks may spill beside it."""
MARGIN = 10
"""Pixels (units) around the product that its neighbourhoods reach into."""


def silhouette(studio: Studio, unit: int) -> tuple[Bools, Bools, Place]:
    """The product (h, w), what it claimed before shadow and ringing were taken off, and the frame around it."""
    plain = _plain(studio, unit)
    first = _first(studio, plain, unit)
    place = frame_of(first, unit)
    part, product = studio.crop(place), first[place]
    claimed = _large(product & ~_windows(plain[place], product, part, unit), 0.004 * first.size)
    product = claimed & ~_fringe(claimed, part, unit)
    product &= ~_gap(product, part, unit)
    return _whole(_large(product, 0.003 * first.size), place, first), _whole(claimed, place, first), place


def _whole(part: Bools, place: Place, like: Bools) -> Bools:
    out = np.zeros_like(like)
    out[place] = part
    return out


def frame_of(mask: Bools, unit: int) -> Place:
    """The frame around a mask with room for its neighbourhoods."""
    margin = MARGIN * unit
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return slice(0, mask.shape[0]), slice(0, mask.shape[1])
    top, left = max(rows[0] - margin, 0), max(columns[0] - margin, 0)
    return slice(top, rows[-1] + margin + 1), slice(left, columns[-1] + margin + 1)


def _first(studio: Studio, plain: Bools, unit: int) -> Bools:
    soft = _tint_allowed(studio, unit) & (studio.darker < SHADOW) & (studio.darker > -studio.plain)
    may = plain | (soft & (studio.slope < 2.5))
    reached = _reached(may, unit) | _reached(plain, 0)
    product = ~(grow(reached, unit) & may)
    return grow(shrink(product, unit), unit) | _large(product & ~plain, 12 * unit**2)


def _plain(studio: Studio, unit: int) -> Bools:
    """Pixels like the background; beside a strong edge the means tell nothing, there each pixel counts alone."""
    strong = local_maximum(studio.difference, unit) > 8
    return (studio.difference < studio.plain) & (strong | (studio.mean < studio.calm))


def _tint_allowed(studio: Studio, unit: int) -> Bools:
    """Chroma within a shadow's, or within what a saturated product nearby spills where lightness is the studio's."""
    near = local_maximum(studio.tint, 8 * unit)
    spill = (studio.tint < BLEED * near) & (np.abs(studio.darker) < 3.5)
    return (studio.tint < max(TINT, studio.plain)) | spill


def _reached(may: Bools, gap: int) -> Bools:
    """Pixels connected to the border through ``may``, gaps narrower than 2 × ``gap`` closed."""
    labels, count = ndimage.label(shrink(may, gap))
    touching = np.zeros(count + 1, bool)
    for side in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        touching[side] = True
    touching[0] = False
    return np.asarray(touching[labels])


def _large(mask: Bools, least: float) -> Bools:
    """Components of at least ``least`` pixels, diagonal neighbours joined."""
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    keep = np.bincount(labels.ravel(), minlength=count + 1) >= least
    keep[0] = False
    return np.asarray(keep[labels])


def _windows(plain: Bools, product: Bools, studio: Studio, unit: int) -> Bools:
    """Enclosed pieces of background: through a handle, between arm and body; only when they match it closely."""
    if studio.burnt_out:  # a white print looks nearly like the studio
        return burnt_windows(product, plain, studio, unit)
    close = plain & product & (studio.difference < max(1.3, 2.2 * studio.noise))
    sure = shrink(close, unit)
    if not sure.any():
        return sure
    labels, count = ndimage.label(sure)
    area = np.bincount(labels.ravel(), minlength=count + 1)
    mean = np.bincount(labels.ravel(), studio.difference.ravel(), minlength=count + 1) / np.maximum(area, 1)
    good = (area >= 30 * unit**2) & (mean < max(0.8, 1.5 * studio.noise))
    good[0] = False
    return grow(good[labels], 2 * unit) & plain


def _fringe(product: Bools, studio: Studio, unit: int) -> Bools:
    """Studio pixels left along the outline: overshoot, ringing, shadow; small beside the contrast of the product."""
    near = local_maximum(studio.difference, 3 * unit)
    far = local_maximum(studio.difference, 8 * unit)
    strong = studio.difference > 0.5 * far
    between = shrink(grow(strong, 3 * unit), 3 * unit)  # white stripes of the cloth have colour on both sides
    slight = (studio.difference < 0.3 * near) & (near > 16) & ~between
    off = _into(~product, slight, 3 * unit)
    if product.any() and np.percentile(studio.difference[product], 15) > 24:  # all of it dark: contact shadows, too
        off = _into(off, (studio.tint < 2) & (studio.darker < 0.6 * far) & ~between, 6 * unit)
    return off & product


def _into(mask: Bools, may: Bools, steps: int) -> Bools:
    for _ in range(steps):
        mask = mask | (grow(mask) & may)
    return mask


def _gap(product: Bools, studio: Studio, unit: int) -> Bools:
    """The narrow shadowy gap between trouser legs: open below, closed by strong contrast left and right.

    More than three such gaps are stripes of the fabric, and stay.
    """
    found = np.zeros_like(product)
    near = local_maximum(studio.difference, 6 * unit)
    slight = product & (studio.difference < 0.25 * near) & (near > 30)
    if not slight.any():
        return found
    rows, _ = ndimage.label(slight, structure=[[0, 0, 0], [1, 1, 1], [0, 0, 0]])
    narrow = slight & (np.bincount(rows.ravel())[rows] <= 14 * unit)
    upward = np.array([[1, 1, 1], [0, 1, 0], [0, 0, 0]], bool)
    risen = ndimage.binary_dilation(~product, upward, iterations=-1, mask=~product | narrow) & product
    labels, _ = ndimage.label(risen)
    gaps = [s for i, s in enumerate(ndimage.find_objects(labels), 1) if _is_gap(s, labels[s] == i, studio)]
    for place in gaps if len(gaps) <= 3 else []:
        found[place] |= risen[place]
    return found


def _is_gap(place: tuple[slice, ...], inside: Bools, studio: Studio) -> bool:
    height, width = inside.shape
    return bool(height >= 1.5 * width and inside.sum() >= 6 and studio.difference[place][inside].min() < studio.plain)
