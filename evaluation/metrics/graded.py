"""Items that are relevant by degrees: ratings, quantities bought, minutes watched.

``gain`` is (m,) >= 0, one number a relevant pair; ``gains`` is (n_users, K): the gain at each rank, 0 for a miss.
"""

from __future__ import annotations

import numpy as np

from evaluation.metrics.lists import Ints, Values, list_ranks
from evaluation.metrics.ranking import discount


def gain_matrix(items: Ints, user: Ints, item: Ints, gain: Values, n_items: int) -> Values:
    """(n_users, K) gain at each rank of the lists; arguments as of `hit_matrix`, each pair once.

    Example:
        >>> gain_matrix(np.array([[2, 0]]), np.array([0, 0]), np.array([0, 1]), np.array([5.0, 3.0]), 3)
        array([[0., 5.]])
    """
    ranks = list_ranks(items, user, item, n_items)
    gains, listed = np.zeros(items.shape), ranks > 0
    gains[user[listed], ranks[listed] - 1] = gain[listed]
    return gains


def best_gains(user: Ints, gain: Values, n_users: int, k: int) -> Values:
    """(n_users, k) the gains of the best list there is: each user's highest first, 0 where there are fewer.

    Example:
        >>> best_gains(np.array([0, 0, 1]), np.array([3.0, 5.0, 1.0]), 2, 2).tolist()
        [[5.0, 3.0], [1.0, 0.0]]
    """
    order = np.lexsort((-gain, user))
    counts = np.bincount(user, minlength=n_users)
    rank = np.arange(len(user)) - np.repeat(np.cumsum(counts) - counts, counts)
    best, within = np.zeros((n_users, k)), rank < k
    best[user[order][within], rank[within]] = gain[order][within]
    return best


def ndcg_graded(gains: Values, best: Values, k: int) -> Values:
    """Discounted gain of the first ``k``, Σ gain / log2(rank + 1), over that of the best achievable list.

    Gains count as they are (Järvelin and Kekäläinen, 2002; trec_eval and ranx do so); give 2^gain - 1 for those of
    Burges et al., 2005. With gains of 0 and 1 it is `ndcg`.

    Args:
        gains: (n_users, K) see `gain_matrix`.
        best: (n_users, >= k) see `best_gains`.
        k: List length.

    Returns:
        (n_users,) in [0, 1]; NaN for users without any gain to find.

    Example:
        >>> ndcg_graded(np.array([[0.0, 5.0]]), np.array([[5.0, 3.0]]), 2).round(4)  # 5 / log2(3) of 5 + 3 / log2(3)
        array([0.4577])
    """
    weight = discount(k)
    found, ideal = (m[:, :k] @ weight[: m[:, :k].shape[1]] for m in (gains, best))
    return np.where(ideal > 0, found / np.where(ideal > 0, ideal, 1), np.nan)
