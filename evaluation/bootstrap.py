"""Uncertainty of means over users: count-based bootstrap as matrix products, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from recsys.errors import DataError

Values = npt.NDArray[np.float64]


def bootstrap_means(values: npt.NDArray[np.floating], *, resamples: int, seed: int, block: int = 64) -> Values:
    """Means of every column in each resample of the rows.

    A resample is a vector of counts, multinomial(n, 1/n): drawing n users with replacement. Efron, 1979.

    Args:
        values: (n_users, m) finite.
        resamples: How many.
        seed: Same seed, same counts, whatever ``block``.
        block: Resamples whose counts are held at once: memory is block × n_users.

    Returns:
        (resamples, m).

    Example:
        >>> bootstrap_means(np.ones((5, 2)), resamples=3, seed=0).tolist()
        [[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]]
    """
    n = len(values)
    if n == 0 or not np.isfinite(values).all():
        raise DataError("the bootstrap needs finite values of at least one user")
    rng, found = np.random.default_rng(seed), np.empty((resamples, values.shape[1]))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        draws = rng.integers(0, n, size=(size, n), dtype=np.int32) + np.arange(size, dtype=np.int64)[:, None] * n
        counts = np.bincount(draws.ravel(), minlength=size * n).reshape(size, n).astype(values.dtype)
        found[start : start + size] = counts @ values / n
    return found


def interval(means: Values, level: float = 0.95) -> tuple[Values, Values]:
    """Percentile interval of every column.

    Example:
        >>> low, high = interval(np.arange(101.0)[:, None], 0.9)
        >>> round(float(low[0]), 6), round(float(high[0]), 6)
        (5.0, 95.0)
    """
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def two_sided_p(differences: Values) -> Values:
    """Bootstrap p-value of "no difference": twice the smaller tail, never below 2 / (resamples + 1)."""
    n = len(differences)
    below, above = (differences <= 0).sum(axis=0), (differences >= 0).sum(axis=0)
    return np.minimum(1.0, 2 * (np.minimum(below, above) + 1) / (n + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment (1979): controls the chance of any false positive in the family.

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return [float(v) for v in adjusted]
