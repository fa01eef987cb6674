"""How much a log can say about a policy: effective sample size, weights, overlap; and intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from evaluation.ope.log import Floats, Ints
from evaluation.ope.rounds import Rounds
from recsys.errors import DataError

BINS = tuple(float(edge) for edge in np.logspace(-3, 5, 33))
"""Edges of the histogram of weights; smaller weights are in the first bin, 0 is counted apart."""


def effective_size(w: Floats) -> float:
    """(Σ w)² / Σ w²: as many equally weighted rounds would be as noisy (Kish, 1965); 0 where all weights are 0.

    Example:
        >>> effective_size(np.array([1.0, 1.0, 0.0, 0.0]))
        2.0
    """
    power = float(w @ w)
    return float(w.sum()) ** 2 / power if power > 0 else 0.0


@dataclass(frozen=True)
class Interval:
    """A mean with its error.

    Attributes:
        value: The mean.
        low: Lower end.
        high: Upper end.
        standard_error: Of the mean; dependent rounds are summed by unit first.
    """

    value: float
    low: float
    high: float
    standard_error: float


def mean_interval(values: Floats, *, alpha: float, size: float, unit: Ints | None = None) -> Interval:
    """Student's interval of a mean of (linearised) values.

    Args:
        values: (n,).
        alpha: 1 - coverage.
        size: Effective number of observations; t has one degree of freedom less, so that few effective rounds give
            wide intervals.
        unit: (n,) from 0; rounds of one unit are dependent (Liang and Zeger, 1986).

    Raises:
        DataError: Fewer than two units.

    Example:
        >>> interval = mean_interval(np.array([0.0, 1.0] * 50), alpha=0.05, size=100)
        >>> round(interval.low, 3), round(interval.high, 3)
        (0.4, 0.6)
    """
    mean = float(values.mean())
    off = values - mean
    off = off if unit is None else np.bincount(unit, off).astype(np.float64)
    n = len(off)
    if n < 2:
        raise DataError("an interval needs 2 independent units at least, the log has one")
    error = float(np.sqrt(off @ off * n / (n - 1))) / len(values)
    reach = error * float(stdtrit(max(min(size, n) - 1, 1.0), 1 - alpha / 2))
    return Interval(mean, mean - reach, mean + reach, error)


@dataclass(frozen=True)
class Diagnostics:
    """What the weights say.

    Attributes:
        n: Rounds.
        n_units: Independent units.
        ess: Effective sample size of the weights.
        reward_ess: Effective number of rewards that are not 0: the same of w |r|. Rare clicks make it far smaller
            than ``ess``.
        mean_weight: 1 in expectation where propensities are right and the log overlaps with the policy.
        mean_weight_error: Its standard error.
        max_weight: The largest.
        quantiles: Weights at 50, 90, 99 and 99.9 %.
        histogram: How many weights are in each bin of `BINS`; those above the last edge are in the last.
        zero: Share of weights that are 0.
        largest_share: Of the sum of weights, in the largest one.
        unsupported: Share of the policy's choices that the log never shows.
        refused: Share of the source's rows that were refused.
    """

    n: int
    n_units: int
    ess: float
    reward_ess: float
    mean_weight: float
    mean_weight_error: float
    max_weight: float
    quantiles: tuple[float, float, float, float]
    histogram: tuple[int, ...]
    zero: float
    largest_share: float
    unsupported: float
    refused: float


def diagnose(rounds: Rounds, *, unit: Ints | None = None, n_refused: int = 0) -> Diagnostics:
    """Look at the weights of a policy on a log.

    Args:
        rounds: The weights and rewards.
        unit: (n,) from 0; rounds of one unit are dependent.
        n_refused: Rows of the source that are not among the rounds.
    """
    w = rounds.weight
    total = float(w.sum())
    mean = mean_interval(w, alpha=0.05, size=len(w), unit=unit)
    quantiles = np.quantile(w, [0.5, 0.9, 0.99, 0.999])
    return Diagnostics(
        n=len(w),
        n_units=len(w) if unit is None else int(unit.max()) + 1,
        ess=effective_size(w),
        reward_ess=effective_size(w * np.abs(rounds.reward)),
        mean_weight=mean.value,
        mean_weight_error=mean.standard_error,
        max_weight=float(w.max()),
        quantiles=(float(quantiles[0]), float(quantiles[1]), float(quantiles[2]), float(quantiles[3])),
        histogram=_histogram(w),
        zero=float((w == 0).mean()),
        largest_share=float(w.max()) / total if total > 0 else 1.0,
        unsupported=rounds.unsupported,
        refused=n_refused / (n_refused + len(w)),
    )


def _histogram(w: Floats) -> tuple[int, ...]:
    step = np.log10(w[w > 0])
    step -= np.log10(BINS[0])
    step *= (len(BINS) - 1) / np.log10(BINS[-1] / BINS[0])
    return tuple(np.bincount(step.clip(0, len(BINS) - 2).astype(np.int64), minlength=len(BINS) - 1).tolist())


@dataclass(frozen=True)
class Limits:
    """What must hold before a verdict is given.

    Attributes:
        min_ess: Least effective sample size.
        min_reward_ess: Least effective number of rewards that are not 0: intervals of rarer events are no good.
        max_share: Most of the weights' sum that one round may hold.
        max_unsupported: Most of the policy's choices that the log may lack.
        max_refused: Most of the source's rows that may be refused.
        max_weight_error: How many standard errors, and at least 2 %, the mean weight may be off 1.
    """

    min_ess: float = 100.0
    min_reward_ess: float = 20.0
    max_share: float = 0.1
    max_unsupported: float = 0.01
    max_refused: float = 0.01
    max_weight_error: float = 4.0


def problems(found: Diagnostics, limits: Limits) -> tuple[str, ...]:
    """Why no verdict may be given, in words; empty where one may."""
    off = abs(found.mean_weight - 1)
    checks = {
        f"effective sample size {found.ess:,.1f} of {found.n:,} rounds, {limits.min_ess:g} are needed": found.ess
        < limits.min_ess,
        f"effective number of rewards {found.reward_ess:,.1f}, {limits.min_reward_ess:g} are needed": found.reward_ess
        < limits.min_reward_ess,
        f"one round holds {found.largest_share:.0%} of all weight": found.largest_share > limits.max_share,
        f"mean weight {found.mean_weight:.3g} ± {found.mean_weight_error:.2g}, expected 1: propensities are wrong, or "
        "the log does not overlap with the policy": off > max(0.02, limits.max_weight_error * found.mean_weight_error),
        f"{found.unsupported:.1%} of the policy's choices are never shown in the log": found.unsupported
        > limits.max_unsupported,
        f"{found.refused:.1%} of the rows were refused": found.refused > limits.max_refused,
    }
    return tuple(text for text, failed in checks.items() if failed)
