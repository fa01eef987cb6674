"""Many comparisons at once: p-values adjusted for how many there are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.stats import false_discovery_control

from recsys.errors import ConfigError, DataError, unknown_name

Values = npt.NDArray[np.float64]


def holm(p_values: npt.ArrayLike) -> Values:
    """Holm's step-down adjustment (1979): controls the chance of any false positive in the family.

    Args:
        p_values: (m,) or (m, n) in [0, 1]; each column is a family of m.

    Raises:
        DataError: A value lies outside [0, 1].

    Example:
        >>> holm([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    p = _checked(p_values)
    order = np.argsort(p, axis=0, kind="stable")
    left = np.arange(len(p), 0, -1).reshape(-1, *[1] * (p.ndim - 1))
    stepped = np.maximum.accumulate(np.take_along_axis(p, order, axis=0) * left, axis=0)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum(stepped, 1.0), axis=0)
    return adjusted


def benjamini_hochberg(p_values: npt.ArrayLike) -> Values:
    """Benjamini and Hochberg's step-up adjustment (1995): controls the expected share of false positives.

    Milder than `holm`. Holds for independent or positively dependent tests, as comparisons with one baseline are.

    Args:
        p_values: As of `holm`.

    Raises:
        DataError: A value lies outside [0, 1].

    Example:
        >>> benjamini_hochberg([0.01, 0.04, 0.03]).round(3).tolist()
        [0.03, 0.04, 0.04]
    """
    return np.asarray(false_discovery_control(_checked(p_values), axis=0, method="bh"))


ADJUSTMENTS: dict[str, Callable[[npt.ArrayLike], Values]] = {"holm": holm, "bh": benjamini_hochberg}
"""By name."""


def check_adjustment(name: str) -> None:
    """Refuse a name that is none of `ADJUSTMENTS`.

    Raises:
        ConfigError: It is unknown.
    """
    if name not in ADJUSTMENTS:
        raise ConfigError(unknown_name("adjustment", name, ADJUSTMENTS))


def _checked(p_values: npt.ArrayLike) -> Values:
    p = np.asarray(p_values, dtype=np.float64)
    if not ((p >= 0) & (p <= 1)).all():
        raise DataError(f"p-values must lie in [0, 1], got {p.tolist()}")
    return p
