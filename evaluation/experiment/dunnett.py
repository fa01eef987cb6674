"""Several treatments against one control: Dunnett's distribution of the largest |t| of comparisons that share it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.special import chdtri, ndtr, stdtr

from recsys.errors import ConfigError

Floats = npt.NDArray[np.float64]
NODES = 96
"""Of Gauss and Legendre's rule in either direction."""
NORMAL = 5000.0
"""Degrees of freedom from which t is taken for normal."""


def dunnett_p_values(t: npt.ArrayLike, sizes: npt.ArrayLike, df: float) -> Floats:
    """(K,) p-values, two-sided, adjusted for K comparisons with one control.

    P(max |T| >= |t_i|) where no treatment differs: Dunnett, A multiple comparison procedure for comparing several
    treatments with a control, 1955. Less strict than Bonferroni, because the comparisons share their control.

    Args:
        t: (K,) effect / standard error of each treatment.
        sizes: (K + 1,) units of control, then of each treatment.
        df: Degrees of freedom of the t.

    Raises:
        ConfigError: No treatment, or lengths that do not fit.

    Example:
        >>> dunnett_p_values([2.35, 0.0], [100, 100, 100], 1e9).round(3).tolist()
        [0.035, 1.0]
    """
    observed, loading = np.abs(np.asarray(t, np.float64)), _loadings(sizes)
    if observed.shape != loading.shape:
        raise ConfigError(f"one size of control and one of each treatment are needed, got {len(loading)} + 1")
    alone = 2 * stdtr(df, -observed)  # never more than the adjusted one, which loses its digits below 1e-12
    together = np.asarray([1 - _below(float(c), loading, df) for c in observed])
    return np.asarray(np.clip(together, alone, 1.0))


def dunnett_reach(sizes: npt.ArrayLike, df: float, *, alpha: float = 0.05) -> float:
    """Half-width, in standard errors, of intervals that cover all K effects at once with 1 - alpha.

    Args:
        sizes: (K + 1,) units of control, then of each treatment.
        df: Degrees of freedom.
        alpha: 1 - coverage of all together.

    Example:
        >>> round(dunnett_reach([100, 100, 100, 100], 1e9), 2)  # Dunnett 1964, table II: 2.35
        2.35
    """
    loading = _loadings(sizes)
    return float(brentq(lambda c: 1 - _below(c, loading, df) - alpha, 0.0, 200.0, xtol=1e-9))


def _loadings(sizes: npt.ArrayLike) -> Floats:
    """Comparisons i and j are correlated by loading_i × loading_j, through the control."""
    n = np.asarray(sizes, np.float64)
    if len(n) < 2 or not (n >= 1).all():
        raise ConfigError(f"control and at least one treatment with units are needed, got {n.tolist()}")
    return np.asarray(np.sqrt(n[1:] / (n[0] + n[1:])))


def _below(c: float, loading: Floats, df: float) -> float:
    """P(max |T| < c), integrated over the control's mean z and the pooled standard deviation s."""
    node, weight = np.polynomial.legendre.leggauss(NODES)
    z, dz = 8 * node, 8 * weight * np.exp(-32 * node**2) / np.sqrt(2 * np.pi)
    share = (node + 1) / 2
    s = np.ones(1) if df >= NORMAL else np.sqrt(chdtri(df, 1 - share) / df)
    ds = np.ones(1) if df >= NORMAL else weight / 2
    own = np.sqrt(1 - loading**2)
    cut, centre = c * s[:, None, None] / own, z[None, :, None] * loading / own
    inside = np.prod(ndtr(cut + centre) - ndtr(centre - cut), axis=2)
    return float(ds @ inside @ dz)
