"""How many users, for how long, to see what: formulas of a two-sided test of means and proportions."""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri, stdtr, stdtrit

from evaluation.experiment.group_sequential import boundaries, crossing
from evaluation.inference import Moments
from recsys.errors import ConfigError


def minimum_detectable_effect(
    control: Moments, n_treatment: int, *, alpha: float, power: float = 0.8, variance_ratio: float = 1.0
) -> float | None:
    """The smallest relative effect that a two-sided t-test of this size finds with probability ``power``.

    (t(1 - alpha/2) + t(power)) × standard error / mean, with control's variance in both arms: Duflo,
    Glennerster and Kremer, Using randomization in development economics research, 2007.

    Args:
        control: Moments of control's per-user values.
        n_treatment: Users in treatment.
        alpha: Significance level, two-sided.
        power: Chance to find it.
        variance_ratio: What CUPED leaves of the variance.

    Returns:
        A share of control's mean; None where the mean or the variance is 0.

    Example:
        >>> round(minimum_detectable_effect(Moments(10000, 2.0, 4.0), 10000, alpha=0.05), 4)
        0.0396
    """
    if control.mean == 0 or control.variance <= 0 or variance_ratio <= 0:
        return None
    df = control.n + n_treatment - 2
    reach = float(stdtrit(df, 1 - alpha / 2) + stdtrit(df, power))
    error = float(np.sqrt(control.variance * variance_ratio * (1 / control.n + 1 / n_treatment)))
    return reach * error / abs(control.mean)


def users_for_mean(
    relative: float, mean: float, sd: float, *, alpha: float = 0.05, power: float = 0.8, allocation: float = 0.5
) -> int:
    """Users in both arms that show a relative effect on a mean with probability ``power``.

    (z(1 - alpha/2) + z(power))² sd² (1/share of control + 1/share of treatment) / effect². For a ratio, ``sd`` is
    that of its linearised values; with CUPED it is √(1 - ρ²) of the raw one.

    Args:
        relative: Effect as a share of the mean, not 0.
        mean: Of control, not 0.
        sd: Standard deviation over users, > 0.
        alpha: Significance level, two-sided.
        power: Chance to find it.
        allocation: Share of treatment.

    Raises:
        ConfigError: A value is out of range.

    Example:
        >>> users_for_mean(0.05, mean=2.0, sd=2.0)
        12559
    """
    _check(alpha, power, allocation)
    effect = relative * mean
    if effect == 0 or not np.isfinite(effect) or not sd > 0:
        raise ConfigError(f"an effect other than 0 and sd > 0 are needed, got effect {effect:g} and sd {sd:g}")
    reach = float(ndtri(1 - alpha / 2) + ndtri(power))
    return math.ceil((reach * sd / effect) ** 2 * (1 / (1 - allocation) + 1 / allocation))


def users_for_proportions(control: float, treatment: float, *, alpha: float = 0.05, power: float = 0.8) -> int:
    """Users **per arm** that tell two proportions apart, arms of one size, rounded to the nearest.

    (z(1 - alpha/2) + z(power))² (p₀ q₀ + p₁ q₁) / (p₁ - p₀)²: Fleiss, Levin and Paik, Statistical methods for rates and
    proportions, 2003, chapter 4, with the arms' own variances.

    Raises:
        ConfigError: Proportions outside (0, 1), or equal.

    Example:
        >>> users_for_proportions(0.10, 0.102)
        356331
    """
    _check(alpha, power, 0.5)
    if not 0 < control < 1 or not 0 < treatment < 1 or control == treatment:
        raise ConfigError(f"proportions must lie in (0, 1) and differ, got {control} and {treatment}")
    reach = float(ndtri(1 - alpha / 2) + ndtri(power))
    spread = control * (1 - control) + treatment * (1 - treatment)
    return round(reach**2 * spread / (treatment - control) ** 2)


def power_of(relative: float, control: Moments, n_treatment: int, *, alpha: float = 0.05) -> float:
    """Chance that a two-sided t-test of this size finds a relative effect, with control's variance in both arms.

    Example:
        >>> round(power_of(0.0396, Moments(10000, 2.0, 4.0), 10000), 2)
        0.8
    """
    error = math.sqrt(control.variance * (1 / control.n + 1 / n_treatment))
    df, shift = control.n + n_treatment - 2, relative * control.mean / error
    edge = float(stdtrit(df, 1 - alpha / 2))
    return float(stdtr(df, shift - edge) + stdtr(df, -shift - edge))


def group_inflation(
    shares: tuple[float, ...], *, alpha: float = 0.05, power: float = 0.8, spending: str = "obrien-fleming"
) -> float:
    """How many times the users of a single look a group sequential test plans for, for the same power.

    Jennison and Turnbull, Group sequential methods, 2000, section 2.3.2.

    Example:
        >>> round(group_inflation((0.25, 0.5, 0.75, 1.0)), 2)
        1.02
    """
    bounds = boundaries(shares, alpha=alpha, spending=spending)
    alone = float(ndtri(1 - alpha / 2) + ndtri(power))
    drift = brentq(lambda d: crossing(bounds, shares, drift=d).sum() - power, 0.5 * alone, 3 * alone)
    return float(drift / alone) ** 2


def weeks(users: int, users_per_week: float) -> int:
    """Whole weeks until that many have come; whole, because weekdays differ.

    Example:
        >>> weeks(12559, 5000)
        3
    """
    if not users_per_week > 0:
        raise ConfigError(f"users per week must be above 0, got {users_per_week}")
    return max(1, math.ceil(users / users_per_week))


def _check(alpha: float, power: float, allocation: float) -> None:
    for name, value in (("alpha", alpha), ("power", power), ("allocation", allocation)):
        if not 0 < value < 1:
            raise ConfigError(f"{name} must be between 0 and 1, both excluded, got {value}")
