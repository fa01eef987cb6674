"""How strongly an interaction counts: what kind it was, and how long ago."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.errors import ConfigError, DataError

Weights = npt.NDArray[np.float64]

MOST = 1e12
"""The heaviest interaction: squares of sums of such weights are still float32."""


def event_factors(events: pd.Series, weights: Mapping[str, float]) -> Weights:
    """(n,) the weight of each interaction's event.

    Raises:
        ConfigError: A weight is negative or not finite.
        DataError: Events are not named in ``weights``; all of them are listed.

    Example:
        >>> event_factors(pd.Series(["view", "purchase"]), {"view": 1, "cart": 3, "purchase": 5}).tolist()
        [1.0, 5.0]
    """
    check_event_weights(weights)
    unnamed = sorted(set(events.unique()) - set(weights))
    if unnamed:
        listed = ", ".join(repr(name) for name in unnamed)
        raise DataError(
            f"event_weights names {sorted(weights)}, the log also has {listed}; give each a weight (0 ignores it)"
        )
    return np.asarray(events.map(dict(weights)), dtype=np.float64)


def check_event_weights(weights: Mapping[str, float]) -> None:
    """Refuse weights that are negative or not finite, and those of which none is above 0."""
    for name, weight in weights.items():
        if not 0 <= weight < np.inf:
            raise ConfigError(f"the weight of event {name!r} must be >= 0 and finite, got {weight}")
    if weights and not any(weights.values()):
        raise ConfigError(f"event_weights are 0 for {', '.join(weights)}: nothing is left to learn from")


def recency(timestamp: npt.NDArray[Any], half_life_days: float) -> Weights:
    """(n,) in (0, 1]: halves every ``half_life_days`` before the last interaction, which has 1.

    Raises:
        ConfigError: ``half_life_days`` is not positive and finite.
        DataError: An interaction has no timestamp.

    Example:
        >>> recency(np.array(["2024-01-01", "2024-01-31"], "datetime64[ns]"), 30.0).tolist()
        [0.5, 1.0]
    """
    check_half_life(half_life_days)
    unknown = int(np.isnat(timestamp).sum())
    if unknown:
        raise DataError(
            f"half_life_days needs timestamps, {unknown} interactions have none; mend them or omit the decay"
        )
    if not len(timestamp):
        return np.empty(0)
    days = np.asarray((timestamp.max() - timestamp) / np.timedelta64(1, "D"), dtype=np.float64)
    return np.asarray(np.exp2(-days / half_life_days))


def check_half_life(half_life_days: float | None) -> None:
    """Refuse a half-life that is not positive and finite; None is no decay."""
    if half_life_days is not None and not 0 < half_life_days < np.inf:
        raise ConfigError(f"half_life_days must be > 0, got {half_life_days}; omit it for no decay")


def as_float32(weight: Weights) -> npt.NDArray[np.float32]:
    """As models take them; a weight that was positive stays so, however old it is.

    Raises:
        DataError: A weight exceeds `MOST`.
    """
    if weight.max(initial=0) > MOST:
        raise DataError(f"interaction weights must be at most {MOST:g}, got {weight.max():.3g}; lower event_weights")
    with np.errstate(under="ignore"):
        narrow = weight.astype(np.float32)
    return np.where(weight > 0, np.maximum(narrow, np.finfo(np.float32).tiny), narrow)
