"""Ranking metrics as pure array functions, and objects that name definition, range, denominator, empty case.

``hits`` is (n_users, K) bool: whether the item at each rank is relevant. ``n_relevant`` is (n_users,): how
many items are relevant to the user among the candidates. A user with none has no value (NaN): they are
counted, not averaged. A list shorter than ``k`` counts as filled with misses.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.errors import ConfigError, DataError

Ints = npt.NDArray[np.int64]
Hits = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]
Function = Callable[[Hits, Ints, int], Values]


def recall(hits: Hits, n_relevant: Ints, k: int) -> Values:
    """Share of the relevant items that are in the first ``k``.

    The denominator is all of them, so with more than ``k`` relevant items 1 is out of reach.

    Example:
        >>> recall(np.array([[True, False, True]]), np.array([4]), 3)  # 2 of 4
        array([0.5])
    """
    return _or_nan(hits[:, :k].sum(axis=1) / np.maximum(n_relevant, 1), n_relevant)


def precision(hits: Hits, n_relevant: Ints, k: int) -> Values:
    """Share of the first ``k`` ranks that hold a relevant item.

    Example:
        >>> precision(np.array([[True, False, True]]), np.array([4]), 10)  # 2 of 10 ranks, 7 of them empty
        array([0.2])
    """
    return _or_nan(hits[:, :k].sum(axis=1) / k, n_relevant)


def ndcg(hits: Hits, n_relevant: Ints, k: int) -> Values:
    """Discounted gain 1/log2(rank + 1) over the best achievable: min(k, n_relevant) hits at the top.

    Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002; gains are 0 or 1.

    Example:
        >>> ndcg(np.array([[False, True]]), np.array([1]), 2).round(4)  # 1 / log2(3)
        array([0.6309])
    """
    top, discount = hits[:, :k], 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0], np.cumsum(discount)])[np.clip(n_relevant, 1, k)]
    return _or_nan(np.asarray(top @ discount[: top.shape[1]] / ideal), n_relevant)


def average_precision(hits: Hits, n_relevant: Ints, k: int) -> Values:
    """Mean over the relevant items of the precision at their rank; denominator min(k, n_relevant).

    Example:
        >>> average_precision(np.array([[True, False, True]]), np.array([2]), 3).round(4)  # (1 + 2/3) / 2
        array([0.8333])
    """
    top = hits[:, :k]
    at_rank = np.cumsum(top, axis=1) / np.arange(1, top.shape[1] + 1)
    return _or_nan((at_rank * top).sum(axis=1) / np.clip(n_relevant, 1, k), n_relevant)


def reciprocal_rank(hits: Hits, n_relevant: Ints, k: int) -> Values:
    """1 / rank of the first relevant item, 0 where none is in the first ``k``.

    Example:
        >>> reciprocal_rank(np.array([[False, False, True]]), np.array([1]), 3).round(4)
        array([0.3333])
    """
    top = hits[:, :k]
    inverse = 1 / np.arange(1, top.shape[1] + 1)
    return _or_nan((top * inverse).max(axis=1, initial=0.0), n_relevant)


def hit_rate(hits: Hits, n_relevant: Ints, k: int) -> Values:
    """1 where any of the first ``k`` is relevant.

    Example:
        >>> hit_rate(np.array([[False, True], [False, False]]), np.array([3, 3]), 2)
        array([1., 0.])
    """
    return _or_nan(hits[:, :k].any(axis=1).astype(np.float64), n_relevant)


def _or_nan(values: npt.ArrayLike, n_relevant: Ints) -> Values:
    return np.where(n_relevant > 0, values, np.nan)


@dataclass(frozen=True)
class Measure:
    """How to read a number.

    Attributes:
        name: As in results.
        definition: What is counted.
        denominator: By what it is divided.
        empty: What a case without anything to count gives.
        range: Lowest and highest value; higher is better where "better" applies.
    """

    name: str
    definition: str
    denominator: str
    empty: str
    range: tuple[float, float] = (0.0, 1.0)


@dataclass(frozen=True)
class Metric(Measure):
    """A measure of each user's list, averaged over users.

    Attributes:
        function: (hits, n_relevant, k) → (n_users,) values.
    """

    function: Function = hit_rate


def _metric(name: str, function: Function, definition: str, denominator: str) -> Metric:
    empty = "a user without relevant items has no value and is not averaged"
    return Metric(name, definition, denominator, empty, function=function)


METRICS = {
    m.name: m
    for m in (
        _metric("recall", recall, "relevant items in the first k", "the user's relevant items"),
        _metric("precision", precision, "relevant items in the first k", "k"),
        _metric(
            "ndcg",
            ndcg,
            "gain 1/log2(rank + 1) of relevant items",
            "the best achievable, min(k, relevant) hits on top",
        ),
        _metric(
            "map",
            average_precision,
            "precision at each relevant item's rank",
            "min(k, the user's relevant items)",
        ),
        _metric("mrr", reciprocal_rank, "1 / rank of the first relevant item", "1 a user"),
        _metric("hit_rate", hit_rate, "users with a relevant item in the first k", "1 a user"),
    )
}
"""Accuracy, by name."""

SHARES = {
    m.name: m
    for m in (
        Measure("coverage", "distinct items in at least one list", "candidate items", "0 without candidates"),
        Measure("cold_share", "listed items that nobody had before the split", "listed items", "0 without lists"),
        Measure("filled", "ranks that hold an item", "users × k", "0 without users"),
        Measure(
            "undecided",
            "lists whose scores are all equal, so that a hash of the id ranks them, not the model",
            "users",
            "lists of fewer than two items decide nothing and are not counted as undecided",
        ),
    )
}
"""What the lists of all users look like together; no judgement by relevance."""


def coverage(items: Ints, n_items: int) -> float:
    """Share of the candidate items that appear in at least one list; -1 marks an empty rank.

    Range [0, 1]; denominator ``n_items``, the candidates; 0 without candidates.

    Example:
        >>> coverage(np.array([[0, 1], [1, -1]]), 4)
        0.5
    """
    shown = np.unique(items)
    return float((shown >= 0).sum() / n_items) if n_items else 0.0


def hit_matrix(items: Ints, user: Ints, item: Ints, n_items: int) -> Hits:
    """Which recommended items are relevant, by sorted search.

    Args:
        items: (n_users, K) recommended item indices, -1 empty.
        user: (m,) row of each relevant pair.
        item: (m,) its item index.
        n_items: Items in the catalogue.

    The lists must be such as `check_lists` lets through: a repeated item would count twice.

    Example:
        >>> hit_matrix(np.array([[2, 0]]), np.array([0]), np.array([0]), 3)
        array([[False,  True]])
    """
    keys = np.sort(user * np.int64(n_items) + item)
    wanted = np.arange(len(items), dtype=np.int64)[:, None] * n_items + items
    return found_in(keys, wanted) & (items >= 0)


def found_in(keys: Ints, wanted: Ints) -> Hits:
    """Which of ``wanted`` (any shape) are among the sorted ``keys``.

    Example:
        >>> found_in(np.array([2, 5, 9]), np.array([[5, 6], [9, 10]])).tolist()
        [[True, False], [True, False]]
    """
    if not len(keys):
        return np.zeros(wanted.shape, dtype=bool)
    place = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.asarray(keys[place] == wanted)


def check_k(ks: Sequence[int]) -> None:
    """Refuse list lengths below 1.

    Raises:
        ConfigError: There is none, or one is below 1.
    """
    if not len(ks) or min(ks) < 1:
        raise ConfigError(f"k must be >= 1, got {list(ks)}; it is the length of a list")


def check_lists(items: Ints, n_items: int) -> None:
    """Refuse lists that no recommender may give.

    Raises:
        DataError: An item twice in one list, or an index that is neither -1 nor an item's.
    """
    if not items.size:
        return
    if items.min() < -1 or items.max() >= n_items:
        raise DataError(f"lists must hold item indices in [0, {n_items}) or -1, got {items.min()} to {items.max()}")
    ordered = np.sort(items, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        row = int(np.argmax(twice.any(axis=1)))
        item = ordered[row, 1:][twice[row]][0]
        raise DataError(f"row {row} recommends item index {item} more than once; lists must be distinct")
