"""Ranking metrics as pure array functions, and objects that name definition, range, denominator and empty case.

``hits`` is (n_users, K) bool: whether the item at each rank is relevant; ``n_relevant`` is (n_users,), how many items
are relevant to the user among the candidates. A user with none has no value (NaN): they are counted, not averaged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.errors import ConfigError, DataError

Hits = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]
Function = Callable[[Hits, npt.NDArray[np.int64], int], Values]


def _per_relevant(total: Values, denominator: npt.NDArray[np.int64]) -> Values:
    return np.where(denominator > 0, total / np.maximum(denominator, 1), np.nan)


def recall(hits: Hits, n_relevant: npt.NDArray[np.int64], k: int) -> Values:
    """Share of the relevant items that are in the first ``k``.

    Example:
        >>> recall(np.array([[True, False, True]]), np.array([4]), 3)  # 2 of 4
        array([0.5])
    """
    return _per_relevant(hits[:, :k].sum(axis=1), n_relevant)


def precision(hits: Hits, n_relevant: npt.NDArray[np.int64], k: int) -> Values:
    """Share of the first ``k`` ranks that hold a relevant item; a short list counts as filled with misses."""
    return np.where(n_relevant > 0, hits[:, :k].sum(axis=1) / k, np.nan)


def ndcg(hits: Hits, n_relevant: npt.NDArray[np.int64], k: int) -> Values:
    """Discounted gain 1/log2(rank + 1) over the best achievable: min(k, n_relevant) hits at the top.

    Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002.

    Example:
        >>> ndcg(np.array([[False, True]]), np.array([1]), 2).round(4)  # 1 / log2(3)
        array([0.6309])
    """
    discount = 1 / np.log2(np.arange(2, k + 2))
    gain = hits[:, :k] @ discount[: hits[:, :k].shape[1]]
    ideal = np.concatenate([[0], np.cumsum(discount)])[np.minimum(n_relevant, k)]
    return np.where(n_relevant > 0, gain / np.where(ideal > 0, ideal, 1), np.nan)


def average_precision(hits: Hits, n_relevant: npt.NDArray[np.int64], k: int) -> Values:
    """Mean over the relevant items of the precision at their rank; denominator min(k, n_relevant).

    Example:
        >>> average_precision(np.array([[True, False, True]]), np.array([2]), 3).round(4)  # (1 + 2/3) / 2
        array([0.8333])
    """
    top = hits[:, :k]
    at_rank = np.cumsum(top, axis=1) / np.arange(1, top.shape[1] + 1)
    return _per_relevant((at_rank * top).sum(axis=1), np.minimum(n_relevant, k))


def reciprocal_rank(hits: Hits, n_relevant: npt.NDArray[np.int64], k: int) -> Values:
    """1 / rank of the first relevant item, 0 where none is in the first ``k``."""
    top = hits[:, :k]
    first = np.where(top.any(axis=1), 1 / (top.argmax(axis=1) + 1), 0.0) if top.shape[1] else np.zeros(len(top))
    return np.where(n_relevant > 0, first, np.nan)


def hit_rate(hits: Hits, n_relevant: npt.NDArray[np.int64], k: int) -> Values:
    """1 where any of the first ``k`` is relevant."""
    return np.where(n_relevant > 0, hits[:, :k].any(axis=1).astype(float), np.nan)


@dataclass(frozen=True)
class Metric:
    """A metric and how to read it; all range over [0, 1], higher is better, and have no value without relevant items."""

    name: str
    function: Function
    definition: str
    denominator: str


METRICS = {
    m.name: m
    for m in (
        Metric("recall", recall, "relevant items in the first k", "the user's relevant items"),
        Metric("precision", precision, "relevant items in the first k", "k"),
        Metric("ndcg", ndcg, "gain 1/log2(rank + 1) of relevant items", "the best achievable, min(k, relevant) hits on top"),
        Metric("map", average_precision, "precision at each relevant item's rank", "min(k, the user's relevant items)"),
        Metric("mrr", reciprocal_rank, "1 / rank of the first relevant item", "1 a user"),
        Metric("hit_rate", hit_rate, "users with a relevant item in the first k", "1 a user"),
    )
}


def coverage(items: npt.NDArray[np.int64], n_items: int) -> float:
    """Share of the candidate items that appear in at least one list; -1 marks an empty rank.

    Example:
        >>> coverage(np.array([[0, 1], [1, -1]]), 4)
        0.5
    """
    shown = np.unique(items)
    return float((shown >= 0).sum() / n_items) if n_items else 0.0


def hit_matrix(items: npt.NDArray[np.int64], user: npt.NDArray[np.int64], item: npt.NDArray[np.int64], n_items: int) -> Hits:
    """Which recommended items are relevant.

    Args:
        items: (n_users, K) recommended item indices, -1 empty.
        user: (m,) row of each relevant pair.
        item: (m,) its item index.
        n_items: Items in the catalogue.

    Raises:
        DataError: An item is recommended twice to one user.

    Example:
        >>> hit_matrix(np.array([[2, 0]]), np.array([0]), np.array([0]), 3)
        array([[False,  True]])
    """
    _refuse_duplicates(items)
    keys = np.sort(user * np.int64(n_items) + item)
    wanted = np.arange(len(items), dtype=np.int64)[:, None] * n_items + items
    if not len(keys):
        return np.zeros(items.shape, bool)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.asarray((keys[place] == wanted) & (items >= 0))


def check_k(ks: tuple[int, ...]) -> None:
    """Refuse list lengths below 1."""
    if not ks or min(ks) < 1:
        raise ConfigError(f"k must be >= 1, got {list(ks)}; it is the length of a list")


def _refuse_duplicates(items: npt.NDArray[np.int64]) -> None:
    ordered = np.sort(items, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        row = int(np.argmax(twice.any(axis=1)))
        raise DataError(f"row {row} recommends item index {ordered[row, 1:][twice[row]][0]} more than once; lists must be distinct")
