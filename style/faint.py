"""Faint cloth and burnt-out windows: what a silhouette loses, or keeps, where product and studio are one colour.

White cloth before a white wall differs from it by its seams, hems and folds alone. Their fine structure, where there is
enough of it, belongs to the product, and so does what it encloses.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from style.raster import box_mean, grow, shrink
from style.studio import Bools, Grid, Studio

OPEN = 0.75
"""Least share of a neighbourhood that must be free of the product to be judged: beside it the mean is one-sided."""
PATCH = 12
"""Pixels (units²) of structure in one place below which it is noise."""
REACH = 9
"""Pixels (units) between seams that enclose cloth."""
WINDOW = 100
"""Pixels (units²) inside a burnt-out window, its rim left out, below which a white print may look like one."""


def structure(studio: Studio, beyond: Bools, unit: int) -> Bools:
    """Pixels (h, w) beyond the product that stand out from their surroundings there: seams, not soft shadows."""
    planes = np.stack([studio.darker * beyond, beyond.astype(np.float32)])
    near, share = box_mean(planes, unit), box_mean(planes, 4 * unit)
    fine = np.abs(near[0] / np.maximum(near[1], 0.05) - share[0] / np.maximum(share[1], 0.05))
    slope = 0.15 * box_mean(planes[0], 2 * unit)  # a shadow's own slope is no structure
    return np.asarray(beyond & (share[1] > OPEN) & (fine > 0.7 + 0.25 * studio.noise + slope))


def recover(product: Bools, claimed: Bools, studio: Studio, grid: Grid) -> Bools:
    """The silhouette (h, w) and the faint cloth that its structure encloses beside it; nothing is taken away."""
    unit = grid.unit
    seams = structure(studio, ~grow(claimed, 2 * unit), unit)
    labels, count = ndimage.label(grow(seams, 2 * unit))
    many = np.bincount(labels[seams], minlength=count + 1) >= PATCH * unit**2
    seams &= many[labels]
    if not seams.any():
        return product
    wide = np.pad(product | seams, REACH * unit)
    closed = shrink(grow(wide, REACH * unit), REACH * unit)[REACH * unit : -REACH * unit, REACH * unit : -REACH * unit]
    more = ndimage.binary_fill_holes(closed) & ~ndimage.binary_fill_holes(product)
    return np.asarray(product | (grow(shrink(more, 2 * unit), 2 * unit) & more))


def burnt_windows(product: Bools, plain: Bools, studio: Studio, unit: int) -> Bools:
    """Enclosed pieces of a burnt-out background: through a handle, between arm and body.

    White cloth and prints keep some shading; a window is one colour in most of its inside, and that is the studio's.
    """
    found = np.zeros_like(product)
    labels, _ = ndimage.label(plain & product)
    inside = shrink(plain & product, 2 * unit)
    for i, place in enumerate(ndimage.find_objects(labels), 1):
        core = studio.difference[place][inside[place] & (labels[place] == i)]
        if core.size >= WINDOW * unit**2:
            middle = float(np.median(core))
            one = float((np.abs(core - middle) < 0.05).mean())
            if one >= 0.5 and middle < 0.6 and np.quantile(core, 0.9) < 1.05:
                found[place] |= labels[place] == i
    return found
