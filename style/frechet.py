"""How far one set of pictures is from another: the Fréchet distance of what a network sees in them (FID)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from style.backbone import Backbone

SIDE = 224
"""Height and width at which pictures are looked at."""
FIELD = 0.75
"""Side of a corner view, as a share of the picture's."""
MICRO_BATCH = 8

Rows = npt.NDArray[np.floating]


def frechet_distance(a: Rows, b: Rows) -> float:
    """Squared Fréchet distance of two normal distributions with the means and covariances of (n, d) and (m, d) rows.

    ||mean a - mean b||² + tr(A + B - 2 (A B)^½). With centred rows X and Y, A = XᵀX / (n - 1), the trace of (A B)^½ is
    the sum of the singular values of X Yᵀ: n and m may be far below d, and no root of a singular matrix is taken.

    It is 0 for equal sets and has no upper bound. Few rows make it too large: compare only distances of equally many.

    Source: Dowson, Landau (1982), The Fréchet distance between multivariate normal distributions, eq. 4; for pictures
    Heusel et al. (2017), GANs Trained by a Two Time-Scale Update Rule, eq. 6.

    Raises:
        ValueError: Fewer than 2 rows, or of other lengths.

    Example:
        >>> frechet_distance(np.array([[-1.0], [1.0]]), np.array([[2.0], [4.0]]))  # same spread, means 0 and 3
        9.0
    """
    if min(len(a), len(b)) < 2 or a.shape[1:] != b.shape[1:]:
        raise ValueError(f"a Fréchet distance is of two sets of >= 2 rows of equal length, got {a.shape} and {b.shape}")
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    means = first.mean(axis=0), second.mean(axis=0)
    x, y = (first - means[0]) / np.sqrt(len(a) - 1), (second - means[1]) / np.sqrt(len(b) - 1)
    shared = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    return max(0.0, float(np.square(means[0] - means[1]).sum() + np.square(x).sum() + np.square(y).sum() - 2 * shared))


def views(images: Tensor) -> Tensor:
    """(5 n, 3, 224, 224): each picture of (n, 3, s, s) as a whole, and its four corners.

    Eight held-out pictures alone would say little of a spread.
    """
    side = images.shape[2]
    part = max(1, round(FIELD * side))
    starts = [(0, 0), (0, side - part), (side - part, 0), (side - part, side - part)]
    fields = [images, *(images[:, :, y : y + part, x : x + part] for y, x in starts)]
    return torch.cat([functional.interpolate(f, (SIDE, SIDE), mode="bilinear", antialias=True) for f in fields])


@torch.no_grad()
def embedded(backbone: Backbone, images: Tensor) -> Rows:
    """(n, d) means of the backbone's last activations; with EfficientNet-Lite0 and 224 x 224 the encoder's rows."""
    last = list(backbone.layers)[-1]
    parts = [backbone.features(part, [last])[last].mean(dim=(2, 3)) for part in torch.split(images, MICRO_BATCH)]
    return np.asarray(torch.cat(parts).cpu().numpy())


def distances(backbone: Backbone, before: Tensor, made: Tensor, target: Tensor) -> dict[str, float]:
    """FID of pictures before and after, (n, 3, s, s) 0..1, against a domain's, and what is left of it.

    No dimension is left out and no covariance shrunk: in the directions in which neither domain varies, faults of the
    made pictures show.

    Returns:
        ``fid`` of what was made, ``fid_before``, and ``fid_share``, the first divided by the second: below 1 the
        pictures came nearer.
    """
    rows = [embedded(backbone, views(images)) for images in (before, made, target)]
    unmade, after = frechet_distance(rows[0], rows[2]), frechet_distance(rows[1], rows[2])
    return {"fid": after, "fid_before": unmade, "fid_share": after / max(unmade, 1e-12)}
