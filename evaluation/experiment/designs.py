"""What a design estimates: why randomising items, not users, overstates a look that draws attention."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from recsys.errors import ConfigError, DataError

Floats = npt.NDArray[np.float64]


def roll_out_lift(baseline: npt.ArrayLike, factor: float) -> Floats:
    """Relative gain in clicks when every item of a slate becomes ``factor`` times as attractive.

    Multinomial logit with an outside option: a slate of total attraction A is clicked with probability A / (1 + A), so
    the lift is factor / (1 + baseline (factor - 1)) - 1: items share one shopper's click, and nobody clicks twice.
    McFadden, Conditional logit analysis of qualitative choice behavior, 1974.

    Args:
        baseline: Probability of a click on the slate as it is, in [0, 1].
        factor: On every item's attraction, > 0.

    Raises:
        ConfigError: A value is out of range.

    Example:
        >>> (100 * roll_out_lift([0.05, 0.2, 0.5, 0.8], 1.1)).round(2).tolist()
        [9.45, 7.84, 4.76, 1.85]
    """
    p = np.asarray(baseline, np.float64)
    if not ((p >= 0) & (p <= 1)).all() or not 0 < factor < np.inf:
        raise ConfigError(f"baseline must lie in [0, 1] and factor above 0, got {baseline!r} and {factor}")
    return np.asarray(factor / (1 + p * (factor - 1)) - 1)


def item_side_lift(attraction: npt.ArrayLike, treated: npt.ArrayLike, factor: float) -> float:
    """What an item-side test reports: clicks per treated item over clicks per control item of the same slate, less 1.

    Treated items win clicks from control items, so the comparison is ``factor`` - 1 however full the slate is: it
    is not what a roll-out gains (`roll_out_lift`). Johari, Li, Liskovich and Weintraub, Experimental design in
    two-sided platforms: an analysis of bias, 2022.

    Args:
        attraction: (K,) of each item as it is, > 0.
        treated: (K,) which items show the look; some do and some do not.
        factor: On a treated item's attraction, > 0.

    Raises:
        DataError: No treated or no control item.

    Example:
        >>> round(item_side_lift([1.0, 1.0, 1.0, 1.0], [True, False, True, False], 1.1), 6)
        0.1
    """
    base, look = np.asarray(attraction, np.float64), np.asarray(treated, bool)
    if look.all() or not look.any():
        raise DataError("an item-side test needs treated and control items in the slate")
    shown = np.where(look, factor, 1.0) * base
    clicks = shown / (1 + shown.sum())
    # Each side's clicks over its own attraction, as random assignment makes both sides' items alike on average.
    return float((clicks[look].sum() / base[look].sum()) / (clicks[~look].sum() / base[~look].sum()) - 1)
