"""Exact top-k of score matrices: bounded memory, filters first, ties by index."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from recsys.errors import ConfigError, DataError

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
ScoreBlock = Callable[[Ints], Floats]

BLOCK_BYTES = 64 * 2**20
"""A block of scores is about this large, whatever the number of users and items."""


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
        columns, best = _select(np.ascontiguousarray(scores, dtype=np.float32), width)
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
            _exclude_seen(scores, seen, rows[part])
        if allowed is not None:
            scores[:, ~allowed] = -np.inf
        index[part], best[part] = top_k(scores, k)
    return index, best


def check_k(k: int) -> None:
    """Refuse a list length below 1."""
    if k < 1:
        raise ConfigError(f"k must be >= 1, got {k}; it is the length of a list")


def _exclude_seen(scores: Floats, seen: sp.csr_array, rows: Ints) -> None:
    """Set the stored entries of ``seen[rows]`` to -inf, in place."""
    counts = np.diff(seen.indptr)[rows]
    owner = np.repeat(np.arange(len(rows)), counts)
    within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    scores[owner, seen.indices[seen.indptr[rows].repeat(counts) + within]] = -np.inf


def _select(scores: Floats, k: int) -> tuple[Ints, Floats]:
    """Top k columns by (score descending, index ascending); ``k`` <= columns."""
    m = scores.shape[1]
    # One column more than asked: where it is strictly worse, the chosen set has no rival at the border.
    values, columns = (t.numpy() for t in torch.topk(torch.from_numpy(scores), min(k + 1, m), dim=1))
    if not (values[:, 0] < np.inf).all():  # NaN sorts first, too
        raise DataError("scores hold NaN or infinity; the model's parameters are damaged or have diverged")
    border = values[:, k - 1]
    tied = np.flatnonzero(values[:, k] == border) if m > k else np.empty(0, np.int64)
    columns = columns[:, :k].copy()
    if len(tied):
        columns[tied] = _lowest_of_tied(scores[tied], border[tied], k)
    columns.sort(axis=1)
    chosen = np.take_along_axis(scores, columns, axis=1)
    order = np.argsort(-chosen, axis=1, kind="stable")
    return np.take_along_axis(columns, order, axis=1), np.take_along_axis(chosen, order, axis=1)


def _lowest_of_tied(scores: Floats, border: Floats, k: int) -> Ints:
    """All columns above each row's border, filled up with the lowest-index columns on it."""
    above = scores > border[:, None]
    on = scores == border[:, None]
    free = k - np.count_nonzero(above, axis=1)
    take = above | (on & (np.cumsum(on, axis=1, dtype=np.int32) <= free[:, None]))
    return np.nonzero(take)[1].reshape(len(scores), k).astype(np.int64)
