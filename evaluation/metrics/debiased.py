"""Accuracy that allows for what the log could not show, and sampled metrics, which are biased and say so.

A log holds a relevant pair only where the item was seen, and popular items are seen more. ``propensity`` is that
chance, of each pair that is there. ``credit`` is (m,) what the list earns for each relevant pair: see `credits`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.metrics.lists import Ints, Values
from recsys.errors import ConfigError, DataError

GAMMA = 1.5
"""Exponent of the power law of popularity, see `power_law_propensity`."""


class BiasedMetricWarning(UserWarning):
    """A number is computed that may order models otherwise than the metric that it is named after."""


def credits(ranks: Ints, k: int, *, discounted: bool = False) -> Values:
    """(m,) what each relevant pair earns: 1 in the first ``k`` (recall), or 1/log2(rank + 1) there (DCG).

    Args:
        ranks: (m,) rank of each relevant pair's item, 0 where it is not listed; see `list_ranks`.
        k: List length.
        discounted: By rank.

    Example:
        >>> credits(np.array([1, 3, 0]), 2).tolist()
        [1.0, 0.0, 0.0]
    """
    within = (ranks >= 1) & (ranks <= k)
    return np.where(within, 1 / np.log2(np.maximum(ranks, 1) + 1) if discounted else 1.0, 0.0)


def power_law_propensity(popularity: npt.ArrayLike, gamma: float = GAMMA) -> Values:
    """Propensity by item where nothing better is known: (popularity / its maximum)^((γ + 1) / 2).

    Yang et al., Unbiased offline recommender evaluation for missing-not-at-random implicit feedback, 2018, whose
    estimates of γ lie between 1.5 and 3. It is right up to a factor, which `snips` does not feel and `ips` does.

    Args:
        popularity: (n_items,) interactions of each item; an item without any has no estimate (NaN).
        gamma: Above -1.

    Raises:
        DataError: No item has an interaction, or a number is negative or not finite.

    Example:
        >>> power_law_propensity([16, 4, 0], gamma=1.0)
        array([1.  , 0.25,  nan])
    """
    counts = np.asarray(popularity, float)
    if not counts.size or not np.isfinite(counts).all() or counts.min() < 0 or not counts.max():
        raise DataError("popularity must be finite and >= 0 with at least one item above 0; count train interactions")
    return np.where(counts > 0, (counts / counts.max()) ** ((gamma + 1) / 2), np.nan)


def ips(credit: Values, propensity: Values, user: Ints, size: npt.ArrayLike) -> Values:
    """Inverse propensity scoring: Σ credit / propensity over the user's relevant pairs, over ``size``.

    Its mean over logs is what a log of everything would give, if the propensities are right; its variance is that of
    the rarest pairs. Schnabel et al., Recommendations as treatments, 2016, equation 9.

    Args:
        credit: (m,) in [0, 1].
        propensity: (m,) in (0, 1].
        user: (m,) row of each pair.
        size: (n_users,) the denominator: how many items are truly relevant where that is known (gives recall), or
            how many could be listed (gives the value of a candidate, as in the source).

    Returns:
        (n_users,) values from 0, above 1 by chance; NaN where ``size`` is 0.

    Raises:
        DataError: A propensity outside (0, 1], arrays of different lengths, or a row outside ``size``.

    Example:
        >>> ips(np.array([1.0, 0.0]), np.array([0.5, 0.1]), np.array([0, 0]), [4])
        array([0.5])
    """
    denominator = np.asarray(size, float)
    weight = _weights(credit, propensity, user, len(denominator))
    total = np.bincount(user, weights=credit * weight, minlength=len(denominator))
    return np.where(denominator > 0, total / np.where(denominator > 0, denominator, 1), np.nan)


def snips(credit: Values, propensity: Values, user: Ints, n_users: int) -> Values:
    """Self-normalised `ips`: Σ credit / propensity over Σ 1 / propensity of the user's relevant pairs.

    Within [0, 1] where credit is, less variable than `ips`, and blind to a factor on all propensities; its bias goes
    with the number of pairs. Yang et al., 2018, as recall where credit is 1 in the first k.

    Returns:
        (n_users,) values; NaN for users without a relevant pair.

    Raises:
        DataError: As `ips`.

    Example:
        >>> snips(np.array([1.0, 0.0]), np.array([0.5, 0.25]), np.array([0, 0]), 1).round(4)  # 2 of 2 + 4
        array([0.3333])
    """
    weight = _weights(credit, propensity, user, n_users)
    top, bottom = (np.bincount(user, weights=w, minlength=n_users) for w in (credit * weight, weight))
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1), np.nan)


@dataclass(frozen=True, eq=False)
class Strata:
    """Credit within strata of like propensity, where popularity cannot favour anybody.

    Attributes:
        edges: (n_strata + 1,) propensities: stratum s holds edges[s] < propensity <= edges[s + 1].
        n_pairs: (n_strata,) relevant pairs of each.
        credit: (n_strata,) mean credit of each; NaN where it has no pair.
    """

    edges: Values
    n_pairs: Ints
    credit: Values

    def standardised(self, weight: npt.ArrayLike) -> float:
        """Mean over strata as they weigh in the population, not in the log (direct standardisation).

        Args:
            weight: (n_strata,) share of each in what could be relevant, for instance of the candidates.

        Returns:
            A mean in the range of credit; NaN where a stratum of weight above 0 has no pair.

        Raises:
            DataError: Not one weight >= 0 a stratum, or all are 0.
        """
        share = np.asarray(weight, float)
        if share.shape != self.credit.shape or share.min() < 0 or not share.sum() > 0:
            raise DataError(f"weight must be {len(self.credit)} numbers >= 0, one a stratum, got {share.tolist()}")
        used = share > 0
        return float(share[used] @ self.credit[used] / share.sum())

    def to_frame(self) -> pd.DataFrame:
        """One row a stratum: from, to, n_pairs, credit."""
        columns: dict[str, Any] = {"from": self.edges[:-1], "to": self.edges[1:]}
        return pd.DataFrame(columns | {"n_pairs": self.n_pairs, "credit": self.credit})


def strata_edges(propensity: Values, n_strata: int = 5) -> Values:
    """Edges, from 0, between which equally many lie; equal ones stay together, so there may be fewer strata.

    Args:
        propensity: Of the candidates, where strata are to weigh alike in the catalogue; of the relevant pairs, where
            each is to have as much evidence.
        n_strata: How many.

    Raises:
        ConfigError: ``n_strata`` is below 1.
        DataError: Nothing to divide, or a propensity outside (0, 1].

    Example:
        >>> strata_edges(np.array([0.1, 0.2, 0.5, 0.5, 0.5, 1.0]), 3).tolist()
        [0.0, 0.2, 0.5, 1.0]
    """
    if n_strata < 1:
        raise ConfigError(f"n_strata must be >= 1, got {n_strata}; 5 is usual")
    if not len(propensity):
        raise DataError("nothing to stratify: there is no propensity; is the test side empty?")
    _check_propensity(propensity)
    tops = np.quantile(propensity, np.arange(1, n_strata + 1) / n_strata, method="inverted_cdf")
    return np.concatenate([[0.0], np.unique(tops)])


def stratified(credit: Values, propensity: Values, edges: npt.ArrayLike) -> Strata:
    """Mean credit of the relevant pairs in each stratum of propensity.

    A model that wins in total and loses in every stratum wins by a Simpson's paradox of the log. Jadidinejad, Macdonald
    and Ounis, The Simpson's paradox in the offline evaluation of recommendation systems, 2021.

    Args:
        credit: (m,) in [0, 1].
        propensity: (m,) in (0, 1].
        edges: (n_strata + 1,) ascending, see `strata_edges`.

    Raises:
        DataError: A propensity outside (0, 1] or outside the edges, or edges that do not ascend.

    Example:
        >>> parts = stratified(np.array([0.0, 1.0, 1.0]), np.array([0.1, 0.1, 0.9]), [0, 0.5, 1])
        >>> parts.credit.tolist(), parts.standardised([0.9, 0.1])
        ([0.5, 1.0], 0.55)
    """
    bounds, n_strata = np.asarray(edges, float), np.size(edges) - 1
    if n_strata < 1 or not (np.diff(bounds) > 0).all():
        raise DataError(f"edges must be two numbers or more that ascend, got {bounds.tolist()}")
    _weights(credit, propensity, np.zeros(len(credit), np.int64), 1)
    outside = (propensity <= bounds[0]) | (propensity > bounds[-1])
    if outside.any():
        raise DataError(f"{outside.sum()} propensities lie outside ({bounds[0]}, {bounds[-1]}]; widen the edges")
    stratum = np.searchsorted(bounds, propensity) - 1
    n_pairs = np.bincount(stratum, minlength=n_strata)
    total = np.bincount(stratum, weights=credit, minlength=n_strata)
    return Strata(bounds, n_pairs, np.where(n_pairs > 0, total / np.maximum(n_pairs, 1), np.nan))


def sampled_ranks(ranks: Ints, n_candidates: int | Ints, n_negatives: int, rng: np.random.Generator) -> Ints:
    """BIASED: the rank of each relevant item among ``n_negatives`` drawn irrelevant ones instead of all candidates.

    Metrics of such ranks can order models otherwise than the metrics whose names they bear, and all but AUC tend to
    AUC as the sample gets small (Krichene and Rendle, On sampled metrics for item recommendation, 2020). They are here
    to reproduce numbers of others; rank all candidates to decide anything.

    Args:
        ranks: (m,) rank, from 1, of each relevant item among the irrelevant candidates and itself.
        n_candidates: How many that are; (m,) where it differs by user.
        n_negatives: Irrelevant items drawn a pair, without replacement; below ``n_candidates``.
        rng: Draws.

    Returns:
        (m,) ranks from 1 to ``n_negatives`` + 1.

    Raises:
        DataError: A rank outside 1 to ``n_candidates``.
        ConfigError: ``n_negatives`` outside 1 to ``n_candidates`` - 1.

    Warns:
        BiasedMetricWarning: Always.
    """
    fewest = int(np.min(n_candidates)) if np.size(n_candidates) else n_negatives + 1
    if not 1 <= n_negatives < fewest:
        raise ConfigError(f"n_negatives must be from 1 to {fewest - 1}, got {n_negatives}; 100 is usual")
    if len(ranks) and (ranks.min() < 1 or (ranks > n_candidates).any()):
        most = int(np.max(n_candidates))
        raise DataError(f"ranks must be from 1 to {most}, got {ranks.min()} to {ranks.max()}; rank everything")
    warnings.warn(
        f"metrics among {n_negatives} sampled of up to {np.max(n_candidates, initial=0)} candidates are biased and may "
        "order models wrongly; "
        "rank all candidates to decide anything",
        BiasedMetricWarning,
        stacklevel=2,
    )
    above = rng.hypergeometric(ranks - 1, n_candidates - ranks, n_negatives)
    return np.asarray(above + 1, np.int64)


def _weights(credit: Values, propensity: Values, user: Ints, n_users: int) -> Values:
    """1 / propensity; checks first."""
    if not len(credit) == len(propensity) == len(user):
        lengths = f"{len(credit)}, {len(propensity)} and {len(user)}"
        raise DataError(f"credit, propensity and user must be equally long, got {lengths}")
    if len(user) and (user.min() < 0 or user.max() >= n_users):
        raise DataError(f"user must hold rows in [0, {n_users}), got {user.min()} to {user.max()}")
    _check_propensity(propensity)
    return np.asarray(1 / propensity, np.float64)


def _check_propensity(propensity: Values) -> None:
    wrong = ~((propensity > 0) & (propensity <= 1))
    if wrong.any():
        worst = propensity[int(np.argmax(wrong))]
        raise DataError(f"{wrong.sum()} propensities lie outside (0, 1], for instance {worst}; clip or leave them out")
