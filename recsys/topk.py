"""Exact top-k of score matrices: bounded memory, filters first, ties by index.

A wide row is not searched element by element. Its columns are laid out as interleaved groups, the maxima of the groups
are one vectorised pass, and only the ``k`` groups of highest maximum are looked at closer: the k-th
highest group maximum is a lower bound of the k-th best score, so nothing outside those groups can be in the list.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.errors import ConfigError, DataError

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
ScoreBlock = Callable[[Ints], Floats]

BLOCK_BYTES = 64 * 2**20
"""The scores in work at one time are about this large, whatever the number of users and items."""


def top_k(scores: Floats, k: int) -> tuple[Ints, Floats]:
    """The ``k`` best columns of every row, best first; equal scores are ranked by column index.

    Args:
        scores: (n, m) float32; ``-inf`` means excluded. NaN and ``+inf`` are refused.
        k: At least 1; where fewer than ``k`` columns are left, the rest is index -1 and score ``-inf``.

    Returns:
        (n, k) int64 columns and (n, k) float32 scores.

    Raises:
        ConfigError: ``k`` is below 1.
        DataError: A score is NaN or ``+inf``.

    Example:
        >>> columns, _ = top_k(np.array([[1.0, 3.0, 3.0], [2.0, -np.inf, -np.inf]], dtype=np.float32), 2)
        >>> columns.tolist()
        [[1, 2], [0, -1]]
    """
    check_k(k)
    n, m = scores.shape
    out_index, out_scores = np.full((n, k), -1, np.int64), np.full((n, k), -np.inf, np.float32)
    width = min(k, m)
    if n and width:
        columns, best = _best(np.ascontiguousarray(scores, dtype=np.float32), width)
        out_index[:, :width] = np.where(best > -np.inf, columns, -1)
        out_scores[:, :width] = best
    return out_index, out_scores


def top_k_blocked(
    score_block: ScoreBlock,
    rows: Ints,
    k: int,
    *,
    n_columns: int,
    seen: sp.csr_array | None = None,
    allowed: Mask | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> tuple[Ints, Floats]:
    """`top_k` of rows that are scored block by block, so that memory never holds rows × columns.

    Args:
        score_block: Row indices (b,) → fresh (b, n_columns) float32 scores (they are overwritten).
        rows: (n,) the rows to rank, repeats allowed.
        k: List length.
        n_columns: Columns of a score block.
        seen: CSR whose stored entries (row, column) are left out; indexed by the values of ``rows``.
        allowed: (n_columns,) columns that may appear.
        block_bytes: Size of one score block; at least one row is scored at a time.

    Example:
        >>> table = np.array([[1, 2, 3], [6, 5, 4]], dtype=np.float32)
        >>> seen = sp.csr_array(np.array([[0, 0, 1], [0, 0, 0]]))
        >>> top_k_blocked(lambda r: table[r], np.array([0, 1]), 2, n_columns=3, seen=seen)[0].tolist()
        [[1, 0], [0, 1]]
    """
    check_k(k)
    step = max(1, block_bytes // (4 * max(n_columns, 1)))
    index, best = np.empty((len(rows), k), np.int64), np.empty((len(rows), k), np.float32)
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        scores = score_block(rows[part])
        if seen is not None:
            scores[stored(seen, rows[part])] = -np.inf
        if allowed is not None:
            scores[:, ~allowed] = -np.inf
        index[part], best[part] = top_k(scores, k)
    return index, best


def check_k(k: int) -> None:
    """Refuse a list length that is no whole number >= 1."""
    if not isinstance(k, int | np.integer) or isinstance(k, bool):
        raise ConfigError(f"k must be a whole number, got {k!r}; it is the length of a list")
    if k < 1:
        raise ConfigError(f"k must be >= 1, got {k}; it is the length of a list")


def stored(seen: sp.csr_array, rows: Ints) -> tuple[Ints, Ints]:
    """Position in ``rows`` and column of every stored entry of ``seen[rows]``.

    Example:
        >>> owner, column = stored(sp.csr_array(np.array([[0, 1], [1, 1]])), np.array([1, 0, 1]))
        >>> owner.tolist(), column.tolist()
        ([0, 0, 1, 2, 2], [0, 1, 1, 0, 1])
    """
    counts = np.diff(seen.indptr)[rows]
    owner = np.repeat(np.arange(len(rows)), counts)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return owner, np.asarray(seen.indices[seen.indptr[rows].repeat(counts) + within], np.int64)


def _best(scores: Floats, k: int) -> tuple[Ints, Floats]:
    """Top k columns by (score descending, index ascending); ``k`` <= columns."""
    n, m = scores.shape
    # A group costs a comparison in every row, a column of a chosen group about 8 times as much.
    size = math.isqrt(m // (8 * k))
    if size < 4:
        return _best_of_all(scores, k)
    length = m // size
    tops = scores[:, : size * length].reshape(n, size, length).max(axis=1)  # column j + s·length is in group j
    _refuse_infinite(tops)
    take, exact = _at_least_kth(tops, k)
    if exact.all():
        return _best_of_groups(scores, _k_columns(take, k)[:, None, :] + length * np.arange(size)[:, None], k)
    index, best = np.empty((n, k), np.int64), np.empty((n, k), np.float32)
    for rows, search in ((np.flatnonzero(exact), _best), (np.flatnonzero(~exact), _best_of_tied)):
        if len(rows):
            index[rows], best[rows] = search(scores[rows], k)
    return index, best


def _best_of_tied(scores: Floats, k: int) -> tuple[Ints, Floats]:
    """`_best` where groups tie for the last place: groups of neighbours are ranked as their columns are.

    Of two groups with equal maxima the earlier holds the earlier column, so the k first groups by (maximum, place)
    hold the k first columns. Maxima of neighbours take several times as long.
    """
    n, m = scores.shape
    size = math.isqrt(m // (8 * k))
    tops = scores[:, : m // size * size].reshape(n, -1, size).max(axis=2)
    take = _lowest_of_tied(tops, k)
    return _best_of_groups(scores, _k_columns(take, k)[:, :, None] * size + np.arange(size), k)


def _best_of_groups(scores: Floats, groups: Ints, k: int) -> tuple[Ints, Floats]:
    """The best among (n, a, b) columns, ascending along the last two axes, and those left over by groups."""
    n, m = scores.shape
    columns = groups.reshape(n, -1)
    size = columns.shape[1] // k
    rest = np.broadcast_to(np.arange(m // size * size, m), (n, m % size))
    columns = np.concatenate([columns, rest], axis=1)
    found, best = _best_of_all(scores.take(columns + m * np.arange(n)[:, None]), k)
    return np.take_along_axis(columns, found, axis=1), best


def _k_columns(take: Mask, k: int) -> Ints:
    """(n, k) the columns taken in rows that take ``k`` each, ascending."""
    n, m = take.shape
    # Several times faster than np.nonzero.
    return np.asarray(np.flatnonzero(take).reshape(n, k) - m * np.arange(n)[:, None], np.int64)


def _best_of_all(scores: Floats, k: int) -> tuple[Ints, Floats]:
    """Top k columns by (score descending, index ascending), every element compared."""
    _refuse_infinite(scores)
    take, exact = _at_least_kth(scores, k)
    if not exact.all():
        take[~exact] = _lowest_of_tied(scores[~exact], k)
    columns = _k_columns(take, k)
    chosen = np.take_along_axis(scores, columns, axis=1)
    order = np.argsort(-chosen, axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1), np.take_along_axis(chosen, order, axis=1)


def _at_least_kth(scores: Floats, k: int) -> tuple[Mask, Mask]:
    """(n, m) what is not below its row's k-th highest score, and (n,) whether that is exactly ``k``."""
    kth = np.partition(scores, scores.shape[1] - k, axis=1)[:, -k]
    take = scores >= kth[:, None]
    return take, np.count_nonzero(take, axis=1) == k


def _lowest_of_tied(scores: Floats, k: int) -> Mask:
    """The k highest of every row, of equal ones those of lowest index."""
    border = np.partition(scores, scores.shape[1] - k, axis=1)[:, -k, None]
    above, on = scores > border, scores == border
    free = k - np.count_nonzero(above, axis=1)
    return np.asarray(above | (on & (np.cumsum(on, axis=1, dtype=np.int32) <= free[:, None])))


def _refuse_infinite(scores: Floats) -> None:
    if not scores.max() < np.inf:  # NaN compares as false, too
        raise DataError("scores hold NaN or infinity; the model's parameters are damaged or have diverged")
