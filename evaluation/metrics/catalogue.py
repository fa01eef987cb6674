"""What the lists of all users do with the catalogue: reach, concentration, exposure of groups, popularity.

``items`` is (n_users, K) item indices, -1 past the end of a short list. Empty ranks are never counted.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from evaluation.metrics.lists import Ints, Matrix, Values
from recsys.errors import DataError


def coverage(items: Ints, n_items: int) -> float:
    """Share of the candidate items that appear in at least one list; -1 marks an empty rank.

    Range [0, 1]; denominator ``n_items``, the candidates; 0 without candidates.

    Example:
        >>> coverage(np.array([[0, 1], [1, -1]]), 4)
        0.5
    """
    shown = np.unique(items)
    return float((shown >= 0).sum() / n_items) if n_items else 0.0


def exposure(items: Ints, n_items: int, weight: npt.ArrayLike | None = None) -> Values:
    """(n_items,) how often each item is listed.

    Args:
        items: (n_users, K).
        n_items: Items in the catalogue.
        weight: (K,) what a rank is worth, for instance the chance that it is looked at; 1 where it is not given.

    Raises:
        DataError: An item index of ``n_items`` or more.

    Example:
        >>> exposure(np.array([[0, 1], [1, -1]]), 3, weight=[1, 0.5]).tolist()
        [1.0, 1.5, 0.0]
    """
    filled = items >= 0
    if items.size and items.max() >= n_items:
        raise DataError(f"lists must hold item indices in [0, {n_items}) or -1, got {items.max()}")
    worth = None if weight is None else np.broadcast_to(np.asarray(weight, float), items.shape)[filled]
    return np.bincount(items[filled], weights=worth, minlength=n_items).astype(np.float64)


def gini(exposed: npt.ArrayLike) -> float:
    """Gini index of exposures over all candidates, those never listed included.

    Σ (2j - n - 1) x_j / ((n - 1) Σ x) over exposures in ascending order. 0: all alike; 1: one item has all. NaN with
    fewer than two candidates or no exposure. Gunawardana and Shani, Evaluating recommender systems, 2015;
    others divide by n and stay below 1.

    Example:
        >>> gini([2, 2, 2]), gini([0, 0, 6])
        (0.0, 1.0)
    """
    x = np.sort(np.asarray(exposed, float))
    if len(x) < 2 or not x.sum():
        return float("nan")
    n = len(x)
    return float((2 * np.arange(1, n + 1) - n - 1) @ x / ((n - 1) * x.sum()))


def entropy(exposed: npt.ArrayLike) -> float:
    """Shannon entropy of exposures in bits: 2^entropy items, all alike, would be as evenly spread.

    Range [0, log2 n]; 0 log 0 is 0; NaN without exposure. Gunawardana and Shani, 2015.

    Example:
        >>> entropy([3, 3, 0, 3, 3])
        2.0
    """
    x = np.asarray(exposed, float)
    if not x.sum():
        return float("nan")
    share = x[x > 0] / x.sum()
    return float(-(share @ np.log2(share))) + 0.0


def group_shares(exposed: npt.ArrayLike, membership: Matrix) -> Values:
    """(n_groups,) share of the exposure that goes to each style, seller or price band.

    Args:
        exposed: (n_items,) see `exposure`; ones give the catalogue's own shares.
        membership: (n_items, n_groups) >= 0: a one-hot (`FeatureBlock.one_hot`) or degrees; an item whose row is zero
            is in no share.

    Returns:
        Shares that sum to 1 over the groups; NaN where no item of a group has exposure.

    Example:
        >>> group_shares([3.0, 1.0, 5.0], np.array([[1, 0], [0, 1], [0, 0]])).tolist()
        [0.75, 0.25]
    """
    total = np.asarray(np.asarray(exposed, float) @ membership, np.float64)
    return total / total.sum() if total.sum() else np.full(len(total), np.nan)


def disparity(shown: npt.ArrayLike, due: npt.ArrayLike) -> float:
    """Exposure that would have to change hands for every group to have its due: ½ Σ |shown - due|.

    Args:
        shown: (n_groups,) shares of exposure.
        due: (n_groups,) shares that are held to be fair: of the catalogue (`group_shares` of ones), of purchases.

    Returns:
        Total variation distance in [0, 1], 0: everybody has their due. NaN where a share is. Whether the difference
        of one group, ``shown - due``, is below or above 0 says whether it is short-changed (Gómez, Boratto and Salamó,
        Provider fairness across continents, 2022).

    Example:
        >>> round(disparity([0.75, 0.25], [0.5, 0.5]), 9)
        0.25
    """
    return float(np.abs(np.asarray(shown, float) - np.asarray(due, float)).sum() / 2)


def presentation_mix(presentation: npt.NDArray[Any], weight: npt.ArrayLike | None = None) -> dict[str, float]:
    """Look → share of the shown items that are shown in it.

    Args:
        presentation: (m,) look of each listed row, as in `Recommendations.presentation`.
        weight: (m,) what the row's rank is worth; 1 where it is not given.

    Returns:
        Shares that sum to 1, by name; nothing without rows.

    Example:
        >>> presentation_mix(np.array(["retro", "original", "original", "retro"]), weight=[1, 1, 0.5, 0])
        {'original': 0.6, 'retro': 0.4}
    """
    looks, code = np.unique(np.asarray(presentation, str), return_inverse=True)
    total = np.bincount(code, weights=None if weight is None else np.asarray(weight, float))
    return {str(look): float(share) for look, share in zip(looks, total / max(total.sum(), 1e-300), strict=True)}


def popularity(history: sp.csr_array) -> Ints:
    """(n_items,) how many users have each item; ``history`` is (n_users, n_items), a weight above 0 is having.

    Example:
        >>> popularity(sp.csr_array(np.array([[1, 0, 2], [1, 0, 0]]))).tolist()
        [2, 0, 1]
    """
    return np.bincount(history.indices[history.data > 0], minlength=history.shape[1]).astype(np.int64)


def novelty(items: Ints, popularity: Ints, n_users: int) -> Values:
    """Mean inverse user frequency of the listed items: -log2(users who have it / users).

    Range [0, log2 n_users]; 0: everybody has everything listed. An item that nobody has counts as had by one user.
    Denominator: the items listed. Castells, Vargas and Wang, Novelty and diversity metrics, 2011, MIUF; as in RecTools.

    Args:
        items: (n_users, K).
        popularity: (n_items,) users who have it, see `popularity`.
        n_users: Users in that history.

    Returns:
        (n_users,) values, NaN for empty lists.

    Example:
        >>> novelty(np.array([[0, 1, -1]]), np.array([4, 1]), 4)  # log2(4/4) and log2(4/1)
        array([1.])
    """
    return mean_over_listed(np.log2(n_users / np.maximum(popularity, 1)), items)


def average_popularity(items: Ints, popularity: Ints) -> Values:
    """Mean popularity of the listed items; the mean of it over users is ARP.

    Denominator: the items listed; NaN for empty lists. Yin et al., Challenging the long tail recommendation, 2012.

    Example:
        >>> average_popularity(np.array([[0, 1], [1, -1]]), np.array([4, 1]))
        array([2.5, 1. ])
    """
    return mean_over_listed(np.asarray(popularity, float), items)


def history_popularity(history: sp.csr_array, popularity: Ints) -> Values:
    """(n_users,) mean popularity of what each user has; NaN for users who have nothing.

    Example:
        >>> history_popularity(sp.csr_array(np.array([[1, 0, 2], [0, 0, 0]])), np.array([5, 1, 1]))
        array([ 3., nan])
    """
    had = sp.csr_array((history.data > 0, history.indices, history.indptr), shape=history.shape)
    total, counts = had @ np.asarray(popularity, float), np.asarray(had.sum(axis=1), float)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)


def popularity_lift(listed: npt.ArrayLike, had: npt.ArrayLike) -> float:
    """By how much lists are more popular than what the same users have: mean of ``listed`` / mean of ``had`` - 1.

    Args:
        listed: (n_users,) see `average_popularity`.
        had: (n_users,) see `history_popularity`.

    Returns:
        0: as popular as their history; 1: twice so; -1 is the least. Users for whom either is NaN are left out; NaN
        where nobody is left. Abdollahpouri et al., The connection between popularity bias, calibration, and fairness in
        recommendation, 2020.

    Example:
        >>> popularity_lift([4.0, 2.0], [1.0, 1.0])
        2.0
    """
    both = np.asarray(listed, float), np.asarray(had, float)
    known = ~(np.isnan(both[0]) | np.isnan(both[1]))
    return float(both[0][known].mean() / both[1][known].mean() - 1) if known.any() else float("nan")


def mean_over_listed(value: Values, items: Ints) -> Values:
    """(n_users,) mean of ``value`` (n_items,) over the listed items; NaN for empty lists.

    Example:
        >>> mean_over_listed(np.array([1.0, 3.0]), np.array([[0, 1], [1, -1], [-1, -1]]))
        array([ 2.,  3., nan])
    """
    filled = items >= 0
    counts = filled.sum(axis=1)
    total = np.where(filled, value[items], 0.0).sum(axis=1)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)
