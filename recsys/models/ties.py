"""Exact top-k whose ties are broken by a hash of the id, not by the place in the catalogue.

A catalogue is often sorted by age, category or price. Were equal scores ranked by index, a model that knows nothing
of a hundred cold items would always recommend the same oldest few. The hash is the same in every process, on every
machine and beside any other items, and it has nothing to do with the item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from hashlib import blake2b

import numpy as np
import scipy.sparse as sp

from recsys.retrieval.exact import top_k_factors
from recsys.retrieval.factors import Factors
from recsys.topk import Floats, Ints, Mask, ScoreBlock, check_k, top_k_blocked


def hash_order(ids: Iterable[str]) -> Ints:
    """Positions of ``ids`` in ascending order of the 64-bit BLAKE2b hash of their UTF-8 bytes.

    Example:
        >>> hash_order(["a", "b", "c"]).tolist(), hash_order(["c", "b", "a"]).tolist()
        ([2, 0, 1], [0, 2, 1])
    """
    digests = b"".join(blake2b(str(i).encode("utf-8", "surrogatepass"), digest_size=8).digest() for i in ids)
    return np.argsort(np.frombuffer(digests, ">u8"), kind="stable").astype(np.int64)


def top_k_fair(
    scores: ScoreBlock | Factors,
    rows: Ints,
    k: int,
    *,
    n_columns: int,
    order: Callable[[], Ints],
    seen: sp.csr_array | None = None,
    allowed: Mask | None = None,
) -> tuple[Ints, Floats]:
    """Exact top-k with equal scores ranked by ``order``.

    Without ties this costs one more column. A list with ties inside is sorted again; only rows whose last place is
    contested are scored a second time.

    Args:
        scores: `Factors`, or row indices (b,) → fresh (b, n_columns) float32 scores.
        rows: (n,) the rows to rank.
        k: List length.
        n_columns: Columns of a score block.
        order: The columns in the order equal ones are listed in; called only when there is a tie.
        seen: CSR whose stored entries are left out; indexed by the values of ``rows``.
        allowed: (n_columns,) columns that may appear.

    Returns:
        (n, k) int64 columns and (n, k) float32 scores, -1 and -inf past a short list.

    Example:
        >>> table = np.zeros((1, 4), np.float32)
        >>> top_k_fair(lambda r: table[r], np.array([0]), 2, n_columns=4, order=lambda: np.array([3, 1, 0, 2]))[0]
        array([[3, 1]])
    """
    check_k(k)
    found, best = _top_k(scores, rows, k + 1, n_columns, seen, allowed)
    tied = (best[:, 1:] == best[:, :-1]) & (best[:, 1:] > -np.inf)
    found, best = np.ascontiguousarray(found[:, :k]), np.ascontiguousarray(best[:, :k])
    if not tied.any():
        return found, best
    columns = order()
    place = np.empty_like(columns)
    place[columns] = np.arange(len(columns))
    contested = np.flatnonzero(tied[:, -1])
    if len(contested):
        part = rows[contested]
        index, best[contested] = _top_k(
            _laid_out(scores, part, columns),
            np.arange(len(part)),
            k,
            n_columns,
            None if seen is None else _relabelled(seen, part, place),
            None if allowed is None else allowed[columns],
        )
        found[contested] = np.where(index >= 0, columns[index], -1)
    _sort_ties(found, best, place, np.flatnonzero(tied[:, :-1].any(axis=1) & ~tied[:, -1]))
    return found, best


def _top_k(
    scores: ScoreBlock | Factors, rows: Ints, k: int, n_columns: int, seen: sp.csr_array | None, allowed: Mask | None
) -> tuple[Ints, Floats]:
    if isinstance(scores, Factors):
        return top_k_factors(scores, rows, k, seen=seen, allowed=allowed)
    return top_k_blocked(scores, rows, k, n_columns=n_columns, seen=seen, allowed=allowed)


def _laid_out(scores: ScoreBlock | Factors, rows: Ints, columns: Ints) -> ScoreBlock | Factors:
    """The scores of ``rows`` alone, with the columns in the order of ties: then a lower index wins one."""
    if isinstance(scores, Factors):
        return Factors(scores.queries[rows], scores.columns, scores.bias).of_columns(columns)
    return lambda part: np.ascontiguousarray(scores(rows[part])[:, columns])


def _relabelled(seen: sp.csr_array, rows: Ints, place: Ints) -> sp.csr_array:
    part = sp.csr_array(seen[rows])
    moved = sp.csr_array((part.data, place[part.indices], part.indptr), shape=part.shape)
    moved.sort_indices()
    return moved


def _sort_ties(found: Ints, best: Floats, place: Ints, rows: Ints) -> None:
    """Sort lists by (score descending, place), in place; padding stays last."""
    if not len(rows):
        return
    keys = np.where(found[rows] >= 0, place[found[rows]], len(place))
    order = np.lexsort((keys, -best[rows]))
    found[rows] = np.take_along_axis(found[rows], order, axis=1)
    best[rows] = np.take_along_axis(best[rows], order, axis=1)
