"""Less noise from what was known before the test: CUPED, CUPAC, post-stratification; and winsorising."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from evaluation.inference import Estimate, Moments, welch
from recsys.errors import ConfigError, DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Fit = Callable[[Floats, Floats], Callable[[Floats], Floats]]
"""(features, values) → a function that predicts values from features."""


def cuped(values: Floats, covariates: Floats) -> tuple[Floats, float]:
    """Values adjusted by what was known before: y - (x - mean x) θ, θ by least squares over all users.

    Deng, Xu, Kohavi and Walker, Improving the sensitivity of online controlled experiments by utilizing
    pre-experiment data, 2013, eq. 4. Covariates must date from before the test. One that does not vary changes nothing.

    Args:
        values: (n,).
        covariates: (n,) or (n, m).

    Returns:
        (n,) adjusted values with the same mean, and the ratio of their variance to the raw one: 1 - ρ².

    Example:
        >>> adjusted, ratio = cuped(np.array([1.0, 2.0, 3.0, 5.0]), np.array([0.0, 1.0, 2.0, 4.0]))
        >>> adjusted.round(6).tolist(), round(ratio, 6)
        ([2.75, 2.75, 2.75, 2.75], 0.0)
    """
    x = covariates.reshape(len(values), -1)
    x = x - x.mean(axis=0)
    y = values - values.mean()
    theta = np.linalg.lstsq(x, y, rcond=None)[0]
    left, raw = y - x @ theta, float(y @ y)
    return values - x @ theta, float(left @ left) / raw if raw > 0 else 1.0


def cross_fitted(
    features: Floats, values: Floats, fit: Fit, *, folds: int = 5, seed: int = 0, group: Ints | None = None
) -> Floats:
    """(n,) predictions of the values from features, each by a model that did not see that user: CUPAC's covariate.

    Tang, Huang, Kastelman and Bauman, Control using predictions as covariates in switchback experiments, 2020. Give
    the predictions to `cuped`. Features must date from before the test.

    Args:
        features: (n, m).
        values: (n,).
        fit: Trains a model; `linear` or any library's.
        folds: In [2, n].
        seed: Of the split into folds.
        group: (n,) codes from 0; rows of one group are in one fold. None: each row alone.

    Raises:
        ConfigError: ``folds`` is out of range.

    Example:
        >>> x = np.arange(20.0)[:, None]
        >>> cross_fitted(x, 3 * x[:, 0] + 1, linear).round(6)[:3].tolist()
        [1.0, 4.0, 7.0]
    """
    n = len(values) if group is None else int(group.max()) + 1
    if not 2 <= folds <= n:
        raise ConfigError(f"folds must lie in [2, {n}], got {folds}; 5 is usual")
    fold = np.random.default_rng(seed).permutation(n) % folds
    fold = fold if group is None else fold[group]
    found = np.empty(len(values))
    for i in range(folds):
        found[fold == i] = fit(features[fold != i], values[fold != i])(features[fold == i])
    return found


def linear(features: Floats, values: Floats) -> Callable[[Floats], Floats]:
    """Least squares with an intercept."""
    design = np.column_stack([np.ones(len(features)), features])
    beta = np.linalg.lstsq(design, values, rcond=None)[0]
    return lambda new: np.asarray(np.column_stack([np.ones(len(new)), new]) @ beta)


def post_stratified(values: Floats, arm: Ints, strata: npt.NDArray[np.int64], *, alpha: float = 0.05) -> Estimate:
    """The effect as the mean of the strata's effects, weighted by their share of all users.

    Miratrix, Sekhon and Yu, Adjusting treatment effect estimates by post-stratification, 2013. Degrees of freedom are
    those of the smaller arm's strata at large: use it with at least 20 users of each arm in a stratum.

    Args:
        values: (n,).
        arm: (n,) 0 or 1.
        strata: (n,) codes from 0, known before the test.
        alpha: 1 - coverage.

    Raises:
        DataError: A stratum has fewer than two users of an arm.

    Example:
        >>> arm = np.tile([0, 0, 1, 1], 2)
        >>> y = np.array([1.0, 2, 2, 3, 11, 12, 12, 13])
        >>> post_stratified(y, arm, np.repeat([0, 1], 4)).absolute
        1.0
    """
    n_strata = int(strata.max()) + 1
    share = np.bincount(strata, minlength=n_strata) / len(values)
    arms = [_stratified(values[arm == s], strata[arm == s], share) for s in (0, 1)]
    return welch(*arms, alpha=alpha)


def _stratified(values: Floats, strata: Ints, share: Floats) -> Moments:
    """Moments whose mean is the weighted one, and whose variance / n is that mean's variance."""
    n = np.bincount(strata, minlength=len(share))
    if n[share > 0].min() < 2:
        raise DataError("a stratum has fewer than 2 users of an arm; join small strata")
    n = np.maximum(n, 1)
    mean = np.bincount(strata, values, minlength=len(share)) / n
    squares = np.bincount(strata, (values - mean[strata]) ** 2, minlength=len(share))
    variance = squares / np.maximum(n - 1, 1)
    return Moments(len(values), float(share @ mean), float(len(values) * (share**2 @ (variance / n))))


def winsorise(values: Floats, share: float) -> Floats:
    """Values above the quantile ``share`` of all users of both arms are set to it: few buyers cannot rule the mean.

    Args:
        values: (n,).
        share: In (0, 1], such as 0.999; 1 changes nothing.

    Raises:
        ConfigError: ``share`` is out of range.

    Example:
        >>> winsorise(np.array([1.0, 2.0, 3.0, 100.0]), 0.7).tolist()
        [1.0, 2.0, 3.0, 3.0]
    """
    if not 0 < share <= 1:
        raise ConfigError(f"winsorise must lie in (0, 1], got {share}; 0.999 is usual")
    return np.minimum(values, np.quantile(values, share, method="lower"))
