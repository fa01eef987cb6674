"""Inference about two groups of randomised users: pure functions of moments, values and counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtr, stdtrit

from recsys.errors import DataError

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Mean and variance (n - 1) of one arm's per-user values."""

    n: int
    mean: float
    variance: float

    @classmethod
    def of(cls, values: npt.ArrayLike) -> Moments:
        """From values.

        Raises:
            DataError: Fewer than two values have no variance.
        """
        array = np.asarray(values, np.float64)
        if len(array) < 2:
            raise DataError(f"each arm needs at least 2 users, got {len(array)}")
        return cls(len(array), float(array.mean()), float(array.var(ddof=1)))

    @classmethod
    def from_sums(cls, total: float, squares: float, n: int) -> Moments:
        """From a sum, a sum of squares and a count, as a warehouse hands them out.

        Example:
            >>> Moments.from_sums(6.0, 14.0, 3)  # 1, 2, 3
            Moments(n=3, mean=2.0, variance=1.0)
        """
        if n < 2:
            raise DataError(f"each arm needs at least 2 users, got {n}")
        return cls(n, total / n, max(squares - total**2 / n, 0.0) / (n - 1))


@dataclass(frozen=True)
class Estimate:
    """A difference between arms, absolute and relative to control, with intervals.

    ``p_value`` belongs to the absolute difference: it is below alpha exactly when [low, high] excludes 0.
    ``relative_p_value`` belongs to the relative one likewise. The two differ where control's mean is
    uncertain. Relative figures are None where control's mean is 0.
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
    relative_p_value: float | None
    n_control: int
    n_treatment: int


def welch(control: Moments, treatment: Moments, *, alpha: float = 0.05) -> Estimate:
    """Welch's unequal-variances t-test of a difference in means, and its relative size by the delta method.

    Relative effect: treatment / control - 1, variance (v1 + ratio² v0) / control², v the variances of the
    means; its t uses Welch's degrees of freedom.

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
    spread = v0**2 / (control.n - 1) + v1**2 / (treatment.n - 1)
    df = (v0 + v1) ** 2 / spread if spread > 0 else float(control.n + treatment.n - 2)
    difference = treatment.mean - control.mean
    low, high, error, p = _t_test(difference, v0 + v1, df, alpha)
    relative = relative_low = relative_high = relative_error = relative_p = None
    if control.mean != 0:
        ratio = treatment.mean / control.mean
        relative, relative_variance = ratio - 1, (v1 + ratio**2 * v0) / control.mean**2
        relative_low, relative_high, relative_error, relative_p = _t_test(relative, relative_variance, df, alpha)
    return Estimate(
        control=control.mean,
        treatment=treatment.mean,
        absolute=difference,
        low=low,
        high=high,
        standard_error=error,
        p_value=p,
        relative=relative,
        relative_low=relative_low,
        relative_high=relative_high,
        relative_standard_error=relative_error,
        relative_p_value=relative_p,
        n_control=control.n,
        n_treatment=treatment.n,
    )


def paired(control: Floats, treatment: Floats, *, alpha: float = 0.05) -> Estimate:
    """Student's paired t-test: both values of one user, who was in both arms.

    The relative effect is a ratio of two means whose covariance is known: variance of treatment - ratio × control.

    Args:
        control: (n,) each user's (linearised) value.
        treatment: (n,) the same users'.
        alpha: 1 - coverage of the intervals.

    Raises:
        DataError: Fewer than two users.

    Example:
        >>> e = paired(np.array([1.0, 2.0, 3.0]), np.array([2.0, 2.5, 4.5]))
        >>> round(e.absolute, 6), round(e.relative, 6), e.n_control
        (1.0, 0.5, 3)
    """
    n, off = len(control), treatment - control
    spread, before, after = Moments.of(off), float(control.mean()), float(treatment.mean())
    low, high, error, p = _t_test(spread.mean, spread.variance / n, n - 1.0, alpha)
    relative: tuple[float | None, ...] = (None, None, None, None)
    if before != 0:
        variance = Moments.of(treatment - after / before * control).variance / n / before**2
        relative = _t_test(after / before - 1, variance, n - 1.0, alpha)
    return Estimate(
        control=before,
        treatment=after,
        absolute=spread.mean,
        low=low,
        high=high,
        standard_error=error,
        p_value=p,
        relative=after / before - 1 if before != 0 else None,
        relative_low=relative[0],
        relative_high=relative[1],
        relative_standard_error=relative[2],
        relative_p_value=relative[3],
        n_control=n,
        n_treatment=n,
    )


def _t_test(effect: float, variance: float, df: float, alpha: float) -> tuple[float, float, float, float]:
    """Low, high, standard error, two-sided p; without variance a difference is certain."""
    error = float(np.sqrt(variance))
    reach = float(stdtrit(df, 1 - alpha / 2)) * error
    p = float(2 * stdtr(df, -abs(effect) / error)) if error > 0 else float(effect == 0)
    return effect - reach, effect + reach, error, p


def linearise(numerator: Floats, denominator: Floats) -> Floats:
    """(n,) per-user values whose mean is the ratio of totals and whose variance is the delta method's.

    r + (numerator - r × denominator) / mean(denominator), r the ratio of totals: Deng, Knoblich and Lu,
    Applying the delta method in metric analytics, 2018. Apply it within one arm.

    Raises:
        DataError: The denominator sums to 0.

    Example:
        >>> float(linearise(np.array([1.0, 3.0]), np.array([10.0, 10.0])).mean())
        0.2
    """
    total = float(denominator.sum())
    if total == 0:
        raise DataError("the ratio's denominator sums to 0 in an arm; nothing was shown there")
    ratio, mean = numerator.sum() / total, total / len(denominator)
    return np.asarray(ratio + (numerator - ratio * denominator) / mean)
