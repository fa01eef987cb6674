"""For whom and when: the effect by segment, by taste, by half and by day. Exploratory, none of it adjusted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr, ndtri

from evaluation.experiment.metrics import Metric
from evaluation.experiment.values import Columns, user_values
from evaluation.inference import Estimate, Moments, welch

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Effect = tuple[float | None, float | None, float | None]
DAY_COLUMNS = ("n", "x", "xx", "y", "yy", "xy")


def by_label(labels: pd.Series, effect: Callable[[Bools], Effect]) -> list[dict[str, Any]]:
    """The effect within each level, in the labels' order; levels too small for an effect get None.

    Args:
        labels: (n,) of each user; missing ones are the level "unknown".
        effect: Relative effect, low and high among some users.
    """
    categories = pd.Categorical(labels)
    levels = [(code, str(level)) for code, level in enumerate(categories.categories)]
    rows = []
    for code, level in [*levels, (-1, "unknown")]:
        which = np.asarray(categories.codes == code)
        if which.any():
            row = {"segment": str(labels.name), "level": level, "n": int(which.sum())}
            rows.append(row | dict(zip(("relative", "low", "high"), effect(which), strict=True)))
    return rows


def by_number(values: Floats, arm: Ints, number: Floats, *, name: str, alpha: float) -> list[dict[str, Any]]:
    """How the effect grows with a number known before the test, such as a user's taste for the style.

    Least squares of the values on arm, number and their product, within users whose number is known; the product's
    coefficient over control's mean, per standard deviation of the number. Errors are heteroscedasticity-consistent
    (HC1): Lin, Agnostic notes on regression adjustments to experimental data, 2013.

    Returns:
        One row: taste, n, per_sd, low, high, p_value; none where the number does not vary or control's mean is 0.
    """
    known = np.isfinite(number)
    y, side, x = values[known], arm[known], number[known]
    centre = y[side == 0].mean() if (side == 0).any() else 0.0
    if len(y) < 8 or np.ptp(x) == 0 or centre == 0 or min(np.bincount(side, minlength=2)) < 4:
        return []
    x = (x - x.mean()) / x.std()
    design = np.column_stack([np.ones_like(x), side, x, side * x])
    bread = np.linalg.pinv(design.T @ design)
    beta = bread @ (design.T @ y)
    scores = design * (y - design @ beta)[:, None]
    variance = (bread @ (scores.T @ scores) @ bread)[3, 3] * len(y) / (len(y) - 4)
    slope, error = float(beta[3] / centre), float(np.sqrt(variance) / abs(centre))
    reach = float(-ndtri(alpha / 2)) * error
    p = float(2 * ndtr(-abs(slope) / error)) if error > 0 else float(slope == 0)
    return [{"taste": name, "n": len(y), "per_sd": slope, "low": slope - reach, "high": slope + reach, "p_value": p}]


def by_half(columns: Columns, arm: Ints, metric: Metric, alpha: float) -> dict[str, Any] | None:
    """The effect in the first and in the second half of the test, and the test of their difference.

    Users are in both halves, so the difference is taken within users: a novelty effect fades, and makes it negative.

    Returns:
        first, second (relative), change, low, high (absolute, second minus first) and p_value; None where the second
        half was not logged apart, or the metric is no mean and no ratio.
    """
    if metric.kind not in ("mean", "ratio") or not all(f"late_{c}" in columns for c in metric.columns):
        return None
    if min(np.bincount(arm, minlength=2)) < 2:
        return None
    late = {c: np.nan_to_num(columns[f"late_{c}"]) for c in metric.columns}
    halves = [{c: columns[c] - late[c] for c in late}, late]
    values = [user_values(half, metric, arm) for half in halves]
    if values[0] is None or values[1] is None:
        return None
    effects = [_welch(v, arm, alpha).relative for v in (values[0], values[1])]
    change = _welch(values[1] - values[0], arm, alpha)
    told = {"change": change.absolute, "low": change.low, "high": change.high, "p_value": change.p_value}
    return {"first": effects[0], "second": effects[1], **told}


def by_day(sums: pd.DataFrame, alpha: float) -> list[dict[str, Any]]:
    """The effect among the users of each day.

    Args:
        sums: One row a day and arm: day, arm, and `DAY_COLUMNS`, which are the users, and the sums over users of
            the numerator x, x², the denominator y (1 for a mean), y² and xy.
        alpha: 1 - coverage.

    Example:
        >>> day = {"day": "d", "arm": [0, 1], "n": 4, "x": [4, 8], "xx": [6, 20], "y": 4, "yy": 4, "xy": [4, 8]}
        >>> round(by_day(pd.DataFrame(day), 0.05)[0]["relative"], 6)
        1.0
    """
    rows = []
    for day, group in sums.groupby("day", sort=True):
        found = {side: _day_moments(r) for side, r in zip(group["arm"], group.itertuples(), strict=True)}
        row: dict[str, Any] = {"day": str(day), "n": int(group["n"].sum())}
        pair = found.get(0), found.get(1)
        e = welch(pair[0], pair[1], alpha=alpha) if pair[0] is not None and pair[1] is not None else None
        ends = (None, None, None) if e is None else (e.relative, e.relative_low, e.relative_high)
        rows.append(row | dict(zip(("relative", "low", "high"), ends, strict=True)))
    return rows


def _day_moments(row: Any) -> Moments | None:
    """Of a ratio's linearised values; a mean is a ratio whose denominators are 1."""
    if row.n < 2 or row.y == 0:
        return None
    ratio = row.x / row.y
    squares = max(row.xx - 2 * ratio * row.xy + ratio**2 * row.yy, 0.0)
    return Moments(int(row.n), float(ratio), float(squares / (row.n - 1) * (row.n / row.y) ** 2))


def _welch(values: Floats, arm: Ints, alpha: float) -> Estimate:
    return welch(Moments.of(values[arm == 0]), Moments.of(values[arm == 1]), alpha=alpha)
