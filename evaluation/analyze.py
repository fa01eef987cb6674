"""Reading a user-randomised test: Welch, the delta method for ratios, CUPED, and the check of the split."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from recsys.errors import DataError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Mean and variance of one arm's per-user values."""

    n: int
    mean: float
    variance: float

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Moments:
        """From values, variance with n - 1."""
        array = np.asarray(values, np.float64)
        return cls(len(array), float(array.mean()), float(array.var(ddof=1)))

    @classmethod
    def from_sums(cls, total: float, squares: float, n: int) -> Moments:
        """From a sum, a sum of squares and a count."""
        return cls(n, total / n, (squares - total**2 / n) / (n - 1))


@dataclass(frozen=True)
class Estimate:
    """A difference between arms, absolute and relative to control, with intervals.

    ``relative`` and its interval come from the delta method on the ratio of means; the interval belongs to the
    absolute difference's own test wherever control's mean is well away from 0.
    """

    control: float
    treatment: float
    absolute: float
    low: float
    high: float
    standard_error: float
    p_value: float
    relative: float | None
    relative_low: float | None
    relative_high: float | None
    relative_standard_error: float | None
    n_control: int
    n_treatment: int


def welch(control: Moments, treatment: Moments, *, alpha: float = 0.05) -> Estimate:
    """Welch's unequal-variances t-test of a difference in means (1947).

    Args:
        control: Moments of the per-user values; users are the units.
        treatment: Likewise.
        alpha: 1 - coverage of the intervals.

    Raises:
        DataError: An arm has fewer than two users.

    Example:
        >>> round(welch(Moments(100, 1.0, 1.0), Moments(100, 1.5, 1.0)).p_value, 5)
        0.00051
    """
    if min(control.n, treatment.n) < 2:
        raise DataError(f"each arm needs at least 2 users, got {control.n} and {treatment.n}")
    v0, v1 = control.variance / control.n, treatment.variance / treatment.n
    error, difference = float(np.sqrt(v0 + v1)), treatment.mean - control.mean
    spread = v0**2 / (control.n - 1) + v1**2 / (treatment.n - 1)
    df = (v0 + v1) ** 2 / spread if spread > 0 else float(control.n + treatment.n - 2)
    reach = float(stats.t.ppf(1 - alpha / 2, df))
    p = float(2 * stats.t.sf(abs(difference) / error, df)) if error > 0 else float(difference == 0)
    relative = relative_error = None
    if control.mean != 0:
        ratio = treatment.mean / control.mean
        relative = ratio - 1
        relative_error = float(np.sqrt(v1 + ratio**2 * v0) / abs(control.mean))
    low, high = (None, None) if relative is None or relative_error is None else (relative - reach * relative_error, relative + reach * relative_error)
    ends = (difference - reach * error, difference + reach * error)
    return Estimate(
        control.mean, treatment.mean, difference, *ends, error, p, relative, low, high, relative_error, control.n, treatment.n
    )


def linearise(numerator: Floats, denominator: Floats) -> Floats:
    """Per-user values whose mean is the ratio of totals and whose variance is the delta method's.

    r + (numerator - r × denominator) / mean(denominator), r the ratio of totals: Deng, Knoblich and Lu, Applying the
    delta method in metric analytics, 2018.

    Example:
        >>> float(linearise(np.array([1.0, 3.0]), np.array([10.0, 10.0])).mean())
        0.2
    """
    ratio, mean = numerator.sum() / denominator.sum(), denominator.mean()
    return np.asarray(ratio + (numerator - ratio * denominator) / mean)


def cuped(values: Floats, covariate: Floats, arm: npt.NDArray[np.int64]) -> tuple[Floats, float]:
    """Values adjusted by what was known before: y - theta (x - mean x), theta pooled within arms.

    Deng, Xu, Kohavi and Walker, Improving the sensitivity of online controlled experiments by utilizing pre-experiment
    data, 2013.

    Returns:
        Adjusted values, and the ratio of their variance to the raw one within arms: 1 - rho².
    """
    centred_y, centred_x = values.astype(float).copy(), covariate.astype(float).copy()
    for side in (0, 1):
        centred_y[arm == side] -= centred_y[arm == side].mean()
        centred_x[arm == side] -= centred_x[arm == side].mean()
    power = float(centred_x @ centred_x)
    theta = float(centred_x @ centred_y) / power if power > 0 else 0.0
    raw = float(centred_y @ centred_y)
    left = float(((centred_y - theta * centred_x) ** 2).sum())
    return values - theta * (covariate - covariate.mean()), left / raw if raw > 0 else 1.0


def sample_ratio(counts: tuple[int, int], allocation: float = 0.5) -> float:
    """p-value that (control, treatment) counts fit the planned share of treatment; χ² with one degree of freedom.

    Example:
        >>> round(sample_ratio((1000, 1200)), 10)
        2.00787e-05
    """
    total = sum(counts)
    if total == 0:
        raise DataError("no users in either arm")
    expected = [total * (1 - allocation), total * allocation]
    return float(stats.chisquare(list(counts), expected).pvalue)


def analyze(users: pd.DataFrame, *, alpha: float = 0.05) -> tuple[list[dict[str, Any]], float]:
    """All goals of a user-level frame, by Welch or delta method, without and with CUPED where a pre-period was logged.

    Args:
        users: One row a user: arm (0 control, 1 treatment), clicks, impressions; optionally pre_clicks.
        alpha: 1 - coverage.

    Returns:
        Rows with metric, method and the fields of `Estimate`, and CUPED's variance ratio of clicks per user (1 without).

    Raises:
        DataError: A column is missing or holds NaN, or an arm is empty.
    """
    columns = _columns(users)
    arm = columns["arm"].astype(np.int64)
    values = {"clicks_per_user": columns["clicks"]}
    if columns["impressions"].sum() > 0:
        values["click_through_rate"] = _ratio_by_arm(columns["clicks"], columns["impressions"], arm)
    rows, variance_ratio = [], 1.0
    for metric, y in values.items():
        method = "Welch" if metric == "clicks_per_user" else "delta method"
        rows.append(_row(metric, method, y, arm, alpha))
        if "pre_clicks" in columns:
            adjusted, ratio = cuped(y, columns["pre_clicks"], arm)
            variance_ratio = ratio if metric == "clicks_per_user" else variance_ratio
            rows.append(_row(metric, f"{method} + CUPED", adjusted, arm, alpha))
    return rows, variance_ratio


def segment_effects(users: pd.DataFrame, segment: str, *, alpha: float = 0.05) -> list[dict[str, Any]]:
    """Relative effect on clicks per user within each level of a column: exploratory, not adjusted."""
    rows = []
    for level, part in users.groupby(segment, sort=True):
        counts = part["arm"].value_counts()
        if min(counts.get(0, 0), counts.get(1, 0)) >= 2:
            e = _estimate(part["clicks"].to_numpy(float), part["arm"].to_numpy(), alpha)
            rows.append({"segment": segment, "level": str(level), "n": len(part), "relative": e.relative, "low": e.relative_low, "high": e.relative_high})
    return rows


def _columns(users: pd.DataFrame) -> dict[str, Floats]:
    needed = ("arm", "clicks", "impressions")
    missing = [c for c in needed if c not in users.columns]
    if missing:
        raise DataError(f"the user table misses {', '.join(missing)}; it has {', '.join(map(str, users.columns))}")
    found = {c: users[c].to_numpy(np.float64) for c in (*needed, "pre_clicks") if c in users.columns}
    for name, values in found.items():
        if not np.isfinite(values).all():
            raise DataError(f"column {name!r} has missing or infinite values in {int((~np.isfinite(values)).sum())} rows; mend the log")
    if not np.isin(found["arm"], (0, 1)).all() or len(np.unique(found["arm"])) < 2:
        raise DataError("column 'arm' must hold 0 (control) and 1 (treatment), both present")
    return found


def _ratio_by_arm(numerator: Floats, denominator: Floats, arm: npt.NDArray[np.int64]) -> Floats:
    values = np.empty_like(numerator)
    for side in (0, 1):
        mine = arm == side
        if denominator[mine].sum() == 0:
            raise DataError("an arm has no impressions; the click-through rate has no denominator")
        values[mine] = linearise(numerator[mine], denominator[mine])
    return values


def _estimate(values: Floats, arm: npt.NDArray[np.int64], alpha: float) -> Estimate:
    return welch(Moments.of(values[arm == 0]), Moments.of(values[arm == 1]), alpha=alpha)


def _row(metric: str, method: str, values: Floats, arm: npt.NDArray[np.int64], alpha: float) -> dict[str, Any]:
    return {"metric": metric, "method": method} | vars(_estimate(values, arm, alpha))
