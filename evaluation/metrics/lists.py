"""Lists of item indices: what they may hold, and where the relevant items stand in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.errors import ConfigError, DataError

Ints = npt.NDArray[np.int64]
Hits = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]
Matrix = npt.NDArray[np.floating] | sp.csr_array
"""A feature block's values, one row an item."""

TABLE_CELLS = 2**22
"""Users × items that are looked up at once: a table of bytes that stays near the processor."""
MIN_ROWS = 32
"""Users looked up at once however large the catalogue is."""


def hit_matrix(items: Ints, user: Ints, item: Ints, n_items: int) -> Hits:
    """Which recommended items are relevant, by looking them up in a table of few users at a time.

    Args:
        items: (n_users, K) recommended item indices, -1 empty.
        user: (m,) row of each relevant pair, in any order; a pair that is there twice counts once.
        item: (m,) its item index.
        n_items: Items in the catalogue.

    The lists must be such as `check_lists` lets through: a repeated item would count twice.

    Raises:
        DataError: A relevant pair names a row or an item that is not there.

    Example:
        >>> hit_matrix(np.array([[2, 0]]), np.array([0]), np.array([0]), 3)
        array([[False,  True]])
    """
    check_pairs(user, item, len(items), n_items)
    if (user[1:] < user[:-1]).any():
        order = np.argsort(user, kind="stable")
        user, item = user[order], item[order]
    hits = np.zeros(items.shape, dtype=bool)
    width = n_items + 1  # the first cell of a row answers for the empty rank, -1
    rows = min(max(MIN_ROWS, TABLE_CELLS // width), max(len(items), 1))
    table, base = np.zeros(rows * width, dtype=bool), np.arange(1, rows * width, width)[:, None]
    ends = np.searchsorted(user, np.arange(0, len(items) + rows, rows))
    for number, start in enumerate(range(0, len(items), rows)):
        part, own = items[start : start + rows], slice(ends[number], ends[number + 1])
        cells = (user[own] - start) * width + item[own] + 1
        table[cells] = True
        hits[start : start + rows] = table[base[: len(part)] + part]
        table[cells] = False
    return hits


def list_ranks(items: Ints, user: Ints, item: Ints, n_items: int) -> Ints:
    """(m,) rank, from 1, at which the list of each relevant pair holds its item; 0 where it does not.

    Arguments as of `hit_matrix`.

    Example:
        >>> list_ranks(np.array([[2, 0]]), np.array([0, 0]), np.array([0, 1]), 3)
        array([2, 0])
    """
    row, rank = np.nonzero(hit_matrix(items, user, item, n_items))
    if not len(row):
        return np.zeros(len(user), dtype=np.int64)
    listed, wanted = row * np.int64(n_items) + items[row, rank], user * np.int64(n_items) + item
    order = np.argsort(listed)
    place = order[np.minimum(np.searchsorted(listed, wanted, sorter=order), len(listed) - 1)]
    return np.where(listed[place] == wanted, rank[place] + 1, 0)


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


def check_lists(items: Ints, n_items: int, scores: npt.NDArray[np.floating] | None = None) -> None:
    """Refuse lists that no recommender may give.

    Args:
        items: (n_users, K) item indices, -1 past the end of a short list.
        n_items: Items in the catalogue.
        scores: Of the same shape, higher is better, where the lists come with scores.

    Raises:
        DataError: An item twice in one list, an index that is neither -1 nor an item's, an empty rank before a filled
            one, or a listed item whose score is NaN or above the one before it.
    """
    if not items.size:
        return
    if items.min() < -1 or items.max() >= n_items:
        raise DataError(f"lists must hold item indices in [0, {n_items}) or -1, got {items.min()} to {items.max()}")
    filled = items >= 0
    gaps = (filled[:, 1:] > filled[:, :-1]).any(axis=1)
    if gaps.any():
        raise DataError(f"row {int(np.argmax(gaps))} has an empty rank before a filled one; -1 may only end a list")
    ordered = np.sort(items, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        row = int(np.argmax(twice.any(axis=1)))
        item = ordered[row, 1:][twice[row]][0]
        raise DataError(f"row {row} recommends item index {item} more than once; lists must be distinct")
    if scores is not None:
        _check_scores(scores, filled)


def _check_scores(scores: npt.NDArray[np.floating], filled: Hits) -> None:
    if scores.shape != filled.shape:
        raise DataError(f"scores must have the shape of the lists, {filled.shape}, got {scores.shape}")
    missing = (np.isnan(scores) & filled).any(axis=1)
    if missing.any():
        raise DataError(f"row {int(np.argmax(missing))} lists an item with a NaN score; has the model diverged?")
    rising = ((scores[:, 1:] > scores[:, :-1]) & filled[:, 1:]).any(axis=1)
    if rising.any():
        raise DataError(f"row {int(np.argmax(rising))} is not sorted by score, best first; sort the lists")


def check_pairs(user: Ints, item: Ints, n_users: int, n_items: int) -> None:
    """Refuse relevant pairs that name a row or an item that is not there.

    Raises:
        DataError: The arrays differ in length, or an index lies outside its range; the message counts them.
    """
    if np.shape(user) != np.shape(item):
        raise DataError(f"user and item must be equally long, got {np.shape(user)} and {np.shape(item)}")
    for name, index, size in (("row", user, n_users), ("item", item, n_items)):
        if len(index) and (index.min() < 0 or index.max() >= size):
            n_unknown = int(((index < 0) | (index >= size)).sum())
            raise DataError(
                f"the {name} index of {n_unknown} of {len(index)} relevant pairs lies outside [0, {size}); "
                "leave unknown ids out before, and count them"
            )
