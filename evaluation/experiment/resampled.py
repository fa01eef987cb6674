"""The effect by the bootstrap: users of each arm are drawn again, and the metric is worked out anew."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from evaluation.bootstrap import bootstrap_means
from evaluation.experiment.covariates import winsorise
from evaluation.experiment.metrics import Metric
from evaluation.experiment.values import Columns
from evaluation.inference import Estimate

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def resampled_metric(columns: Columns, metric: Metric, *, resamples: int, seed: int) -> Floats:
    """(resamples,) the metric of one arm's users, drawn with replacement.

    A quantile of a resample is a random order statistic of the users: the k-th smallest of n draws is the user at the
    place n × Beta(k, n - k + 1), so nothing is drawn but that.

    Args:
        columns: Name → (n,) of one arm.
        metric: What is measured; ``winsorise`` is left to the caller.
        resamples: How many.
        seed: Same seed, same resamples.

    Example:
        >>> spend = {"spend": np.arange(101.0)}
        >>> found = resampled_metric(spend, Metric("spend", kind="quantile"), resamples=999, seed=0)
        >>> bool(45 < np.median(found) < 55)
        True
    """
    x = columns[metric.numerator]
    if metric.kind == "quantile":
        return _resampled_quantile(x, metric.quantile, resamples, seed)
    if metric.kind == "proportion":
        x = (x > 0).astype(np.float64)
    below = np.ones_like(x) if metric.denominator is None else columns[metric.denominator]
    sums = bootstrap_means(np.column_stack([x, below]), resamples=resamples, seed=seed)
    if metric.denominator is None:
        return sums[:, 0] if x.any() else np.zeros(resamples)
    return sums[:, 0] / np.where(sums[:, 1] > 0, sums[:, 1], np.nan)


def bootstrap_estimate(
    plain: Estimate, columns: Columns, metric: Metric, arm: Ints, *, alpha: float, resamples: int, seed: int = 0
) -> Estimate:
    """The same estimate, its intervals, errors and p-values by the bootstrap's percentiles (Efron, 1979).

    Args:
        plain: By Student's t, for the point estimates.
        columns: Name → (n,) of both arms.
        metric: What is measured.
        arm: (n,) 0 or 1.
        alpha: 1 - coverage; the p-value is at most alpha exactly when the interval excludes 0.
        resamples: How many.
        seed: Same seed, same resamples.
    """
    if metric.winsorise < 1:
        columns = columns | {metric.numerator: winsorise(columns[metric.numerator], metric.winsorise)}
    sides = []
    for side in (0, 1):
        mine = {c: columns[c][arm == side] for c in metric.columns}
        sides.append(resampled_metric(mine, metric, resamples=resamples, seed=2 * seed + side))
    low, high, error, p = _percentiles(sides[1] - sides[0], alpha)
    found = replace(plain, low=low, high=high, standard_error=error, p_value=p)
    if plain.relative is None or not (sides[0] != 0).all():
        return replace(found, relative_low=None, relative_high=None, relative_standard_error=None)
    low, high, error, p = _percentiles(sides[1] / sides[0] - 1, alpha)
    return replace(found, relative_low=low, relative_high=high, relative_standard_error=error, relative_p_value=p)


def _resampled_quantile(x: Floats, share: float, resamples: int, seed: int) -> Floats:
    rng, ordered, n = np.random.default_rng(seed), np.sort(x), len(x)
    at = share * (n - 1)
    k = min(int(at), n - 2) + 1  # between the k-th and the next, as `np.quantile` has it
    first = rng.beta(k, n - k + 1, resamples)
    second = first + (1 - first) * rng.beta(1, n - k, resamples)
    low, high = (ordered[np.minimum((n * u).astype(np.int64), n - 1)] for u in (first, second))
    return np.asarray(low + (at - (k - 1)) * (high - low))


def _percentiles(drawn: Floats, alpha: float) -> tuple[float, float, float, float]:
    """Low, high, standard error, p: the ends are order statistics, so that p and interval never disagree."""
    known = np.sort(drawn[np.isfinite(drawn)])
    n = len(known)
    k = max(int(alpha / 2 * (n + 1)), 1)
    tail = 1 + min(int((known <= 0).sum()), int((known >= 0).sum()))
    return float(known[k - 1]), float(known[n - k]), float(known.std(ddof=1)), min(2 * tail / (n + 1), 1.0)
