"""GrabCut: a graph cut between the product's colours and the border's, for products that are partly as the studio is.

Source: Rother, Kolmogorov, Blake (2004), GrabCut: interactive foreground extraction using iterated graph cuts, fig. 3;
as OpenCV has it. Needs the extra ``grabcut``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from recsys.errors import DataError
from recsys.extras import require
from style.raster import grow, shrink
from style.studio import Bools, Grid

ROUNDS = 2
REACH = 25
"""Pixels (units) around the silhouette within which cloth may have been lost."""
LEAST = 0.004
"""Share of the product below which what was found besides is noise."""


def refine(image: npt.NDArray[np.uint8], product: Bools, grid: Grid) -> Bools:
    """The silhouette (h, w) and what GrabCut finds beside it of the same colours, in patches worth speaking of.

    The border's pixels are surely background, the silhouette's inside is surely product; all else is left to the cut.
    Where the silhouette is sure of its outline the cut would fray it, so it only adds.
    """
    unit = grid.unit
    if not product.any() or (product | grid.ring).all():
        return product
    cut = _cut(image, _seeds(product, grid))
    more = shrink(cut & ~product, unit)
    labels, count = ndimage.label(more)
    sizes = np.bincount(labels.ravel(), minlength=count + 1) >= LEAST * product.sum()
    sizes[0] = False
    return product | (grow(sizes[labels], unit) & cut)


def _seeds(product: Bools, grid: Grid) -> npt.NDArray[np.uint8]:
    cv2 = require("cv2", extra="grabcut")
    seeds = np.full(product.shape, cv2.GC_PR_BGD, np.uint8)
    seeds[~grow(product, REACH * grid.unit) | (grid.ring & ~product)] = cv2.GC_BGD
    seeds[product] = cv2.GC_PR_FGD
    seeds[shrink(product, 3 * grid.unit)] = cv2.GC_FGD
    return seeds


def _cut(image: npt.NDArray[np.uint8], seeds: npt.NDArray[np.uint8]) -> Bools:
    cv2 = require("cv2", extra="grabcut")
    cv2.setRNGSeed(0)  # its mixtures start from k-means with random centres
    models = np.zeros((1, 65)), np.zeros((1, 65))
    try:
        cv2.grabCut(np.ascontiguousarray(image), seeds, None, *models, ROUNDS, cv2.GC_INIT_WITH_MASK)
    except cv2.error as error:
        raise DataError(f"GrabCut cannot part {image.shape} ({error}); take mask = 'studio'") from error
    return np.asarray((seeds == cv2.GC_FGD) | (seeds == cv2.GC_PR_FGD))
