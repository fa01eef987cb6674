"""Ranking metrics as pure array functions.

``hits`` is (n_users, K) bool: whether the item at each rank is relevant. ``n_relevant`` is (n_users,): how
many items are relevant to the user among the candidates. A user with none has no value (NaN): they are
counted, not averaged. A list shorter than ``k`` counts as filled with misses. Gains are 0 or 1;
see `graded` for others.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evaluation.metrics.lists import Hits, Ints, Values

PERSISTENCE = 0.8
"""Of `rbp`: the chance that a user goes on to the next rank."""


def recall(hits: Hits, n_relevant: Ints, k: int) -> Values:
    """Share of the relevant items that are in the first ``k``.

    The denominator is all of them, so with more than ``k`` relevant items 1 is out of reach.

    Example:
        >>> recall(np.array([[True, False, True]]), np.array([4]), 3)  # 2 of 4
        array([0.5])
    """
    return _or_nan(_n_hits(hits, k) / np.maximum(n_relevant, 1), n_relevant)


def precision(hits: Hits, n_relevant: Ints, k: int) -> Values:
    """Share of the first ``k`` ranks that hold a relevant item.

    Example:
        >>> precision(np.array([[True, False, True]]), np.array([4]), 10)  # 2 of 10 ranks, 7 of them empty
        array([0.2])
    """
    return _or_nan(_n_hits(hits, k) / k, n_relevant)


def ndcg(hits: Hits, n_relevant: Ints, k: int) -> Values:
    """Discounted gain 1/log2(rank + 1) over the best achievable: min(k, n_relevant) hits at the top.

    Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002.

    Example:
        >>> ndcg(np.array([[False, True]]), np.array([1]), 2).round(4)  # 1 / log2(3)
        array([0.6309])
    """
    return _or_nan(_dcg(hits, k) / _ideal(k)[np.clip(n_relevant, 1, k)], n_relevant)


def ndcg_full_k(hits: Hits, n_relevant: Ints, k: int) -> Values:
    """Discounted gain over that of ``k`` hits, however few items are relevant.

    With fewer than ``k`` relevant items 1 is out of reach: users with few weigh less than in `ndcg`.

    Example:
        >>> ndcg_full_k(np.array([[True, False]]), np.array([1]), 2).round(4)  # 1 / (1 + 1 / log2(3))
        array([0.6131])
    """
    return _or_nan(_dcg(hits, k) / _ideal(k)[k], n_relevant)


def average_precision(hits: Hits, n_relevant: Ints, k: int) -> Values:
    """Precision at the rank of each relevant item in the first ``k``, summed; denominator min(k, n_relevant).

    Example:
        >>> average_precision(np.array([[True, False, True]]), np.array([2]), 3).round(4)  # (1 + 2/3) / 2
        array([0.8333])
    """
    return _or_nan(_precision_sum(hits, k) / np.clip(n_relevant, 1, k), n_relevant)


def average_precision_all(hits: Hits, n_relevant: Ints, k: int) -> Values:
    """`average_precision` with all relevant items as denominator, as trec_eval's ``map_cut`` and ranx have it.

    With more than ``k`` relevant items 1 is out of reach.

    Example:
        >>> average_precision_all(np.array([[True, False, True]]), np.array([4]), 3).round(4)  # (1 + 2/3) / 4
        array([0.4167])
    """
    return _or_nan(_precision_sum(hits, k) / np.maximum(n_relevant, 1), n_relevant)


def reciprocal_rank(hits: Hits, n_relevant: Ints, k: int) -> Values:
    """1 / rank of the first relevant item, 0 where none is in the first ``k``.

    Example:
        >>> reciprocal_rank(np.array([[False, False, True]]), np.array([1]), 3).round(4)
        array([0.3333])
    """
    row, rank, nth = _found(hits, k)
    values, first = np.zeros(len(hits)), nth == 0
    values[row[first]] = 1 / (rank[first] + 1)
    return _or_nan(values, n_relevant)


def hit_rate(hits: Hits, n_relevant: Ints, k: int) -> Values:
    """1 where any of the first ``k`` is relevant.

    Example:
        >>> hit_rate(np.array([[False, True], [False, False]]), np.array([3, 3]), 2)
        array([1., 0.])
    """
    return _or_nan((_n_hits(hits, k) > 0).astype(np.float64), n_relevant)


def r_precision(hits: Hits, n_relevant: Ints, k: int) -> Values:
    """Share of the first R ranks that hold a relevant item, R = n_relevant.

    Ranks past ``k`` are not looked at, so with R > k 1 is out of reach. Buckley and Voorhees, Evaluating evaluation
    measure stability, 2000.

    Example:
        >>> r_precision(np.array([[True, False, True]]), np.array([2]), 3)  # 1 of the first 2
        array([0.5])
    """
    row, rank, _ = _found(hits, k)
    within = np.bincount(row[rank < n_relevant[row]], minlength=len(hits))
    return _or_nan(within / np.maximum(n_relevant, 1), n_relevant)


def rbp(hits: Hits, n_relevant: Ints, k: int, *, persistence: float = PERSISTENCE) -> Values:
    """Rank-biased precision: what a user finds per item looked at, who goes on with chance ``persistence``.

    (1 - p) Σ p^(rank - 1) over the hits in the first ``k``; an endless list of hits gives 1, one of ``k`` gives
    1 - p^k. Moffat and Zobel, Rank-biased precision for measurement of retrieval effectiveness, 2008.

    Example:
        >>> rbp(np.array([[True, False, True]]), np.array([2]), 3, persistence=0.5)  # (1 + 1/4) / 2
        array([0.625])
    """
    row, rank, _ = _found(hits, k)
    return _or_nan((1 - persistence) * _sum(row, persistence**rank, len(hits)), n_relevant)


def pauc(hits: Hits, n_relevant: Ints, k: int) -> Values:
    """Partial AUC: pairs of a relevant item and one of the ``k`` highest irrelevant ones that are in the right order.

    Denominator k · n_relevant. Lists must hold ``k`` irrelevant items to tell; a relevant item that is not listed
    counts as below them, and a rank past the end of a list as irrelevant.

    Hiranandani et al., Optimization and Analysis of the pAp@k Metric for Recommender Systems, 2020; as RecTools'
    ``PartialAUC``.

    Example:
        >>> pauc(np.array([[True, False, True, False]]), np.array([2]), 2)  # (2 + 1) of 4 pairs
        array([0.75])
    """
    row, rank, nth = _found(hits, hits.shape[1])
    right = np.maximum(k - (rank - nth), 0)
    return _or_nan(_sum(row, right, len(hits)) / (k * np.maximum(n_relevant, 1)), n_relevant)


def pap(hits: Hits, n_relevant: Ints, k: int) -> Values:
    """Partial AUC + precision: `pauc` of the min(k, n_relevant) highest relevant items against the ``k`` irrelevant.

    Unlike `pauc`, a perfect first min(k, n_relevant) gives 1 whatever comes after. It reads up to 2k ranks; a relevant
    item that is not listed counts as below the irrelevant ones. Budhiraja et al., Rich-Item Recommendations for
    Rich-Users, 2020 (pAp@k); as RecTools' ``PAP``.

    Example:
        >>> pap(np.array([[True, False, True, False]]), np.array([4]), 2)  # (2 + 1) of 2 · 2 pairs
        array([0.75])
    """
    row, rank, nth = _found(hits, hits.shape[1])
    right = np.where(nth < k, np.maximum(k - (rank - nth), 0), 0)
    return _or_nan(_sum(row, right, len(hits)) / (k * np.clip(n_relevant, 1, k)), n_relevant)


def auc(hits: Hits, n_relevant: Ints, n_candidates: Ints | int, *, n_listed: Ints | None = None) -> Values:
    """Chance that a relevant item stands above an irrelevant one, over all candidates.

    Items that are not listed stand below the listed ones and are tied among themselves; a tied pair counts 1/2. With
    lists of all candidates that is the area under the ROC curve (Mann and Whitney, 1947).

    Args:
        hits: (n_users, K).
        n_relevant: (n_users,).
        n_candidates: Items that could be listed, one number or (n_users,); what a user had already is none.
        n_listed: (n_users,) items in each list; K where it is not given.

    Returns:
        (n_users,) in [0, 1]; NaN where nothing is relevant, or everything.

    Example:
        >>> auc(np.array([[True, False]]), np.array([2]), 4)  # (2 + 1/2) of 2 · 2 pairs
        array([0.625])
    """
    row, rank, nth = _found(hits, hits.shape[1])
    listed = np.minimum(hits.shape[1] if n_listed is None else n_listed, n_candidates)
    n_found, n_negative = np.bincount(row, minlength=len(hits)), np.asarray(n_candidates) - n_relevant
    right = n_found * n_negative - _sum(row, rank - nth, len(hits))
    tied = (n_relevant - n_found) * (n_negative - (listed - n_found))
    pairs = n_relevant * n_negative
    return np.where(pairs > 0, (right + tied / 2) / np.maximum(pairs, 1), np.nan)


def _found(hits: Hits, k: int) -> tuple[Ints, Ints, Ints]:
    """Row, rank (from 0) and place among its row's hits of each hit in the first ``k``: hits are few, ranks many."""
    top = hits[:, :k]
    place = np.flatnonzero(top)
    row = place // max(top.shape[1], 1)
    counts = np.bincount(row, minlength=len(hits))
    nth = np.arange(len(place)) - (np.cumsum(counts) - counts)[row]
    return row, place - row * top.shape[1], nth


def _n_hits(hits: Hits, k: int) -> Ints:
    return np.bincount(_found(hits, k)[0], minlength=len(hits))


def _dcg(hits: Hits, k: int) -> Values:
    row, rank, _ = _found(hits, k)
    return _sum(row, discount(k)[rank], len(hits))


def discount(k: int) -> Values:
    """(k,) what a hit at each rank is worth: 1/log2(rank + 1).

    Example:
        >>> discount(3).round(4).tolist()
        [1.0, 0.6309, 0.5]
    """
    return np.asarray(1 / np.log2(np.arange(2, k + 2)))


def _ideal(k: int) -> Values:
    """(k + 1,) discounted gain of 0 to k hits on top."""
    return np.concatenate([[0], np.cumsum(discount(k))])


def _precision_sum(hits: Hits, k: int) -> Values:
    row, rank, nth = _found(hits, k)
    return _sum(row, (nth + 1) / (rank + 1), len(hits))


def _sum(row: Ints, values: npt.NDArray[np.generic], n_rows: int) -> Values:
    return np.asarray(np.bincount(row, weights=values, minlength=n_rows), np.float64)


def _or_nan(values: npt.ArrayLike, n_relevant: Ints) -> Values:
    return np.where(n_relevant > 0, values, np.nan)
