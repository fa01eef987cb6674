"""Exact top-k of inner products, on all cores, at little more than the cost of the matrix product.

Scores are made in panels of columns × rows (transposed, so that maxima over groups of neighbouring columns are whole
vectors) while they are in cache. The k-th highest maximum of bundles of groups is a lower bound of a row's k-th best
score; only groups that reach it are looked at, some k of thousands.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from recsys.errors import DataError
from recsys.retrieval.factors import Factors
from recsys.topk import BLOCK_BYTES, Floats, Ints, Mask, check_k, stored, top_k, top_k_blocked

ROWS = 496
"""Rows a block, enough for a fast matrix product; a power of two would make strides that share cache lines."""
FEW_ROWS = 32
"""Below this many rows whole score rows are cheaper than panels."""
MAX_WORKERS = 8
"""More threads would get panels too small to be fast."""
TILE_COLUMNS = 1024
"""Columns made at a time, so that their maxima are taken while they are in cache."""


@dataclass(frozen=True)
class _Plan:
    """How columns are cut: ``group`` to a maximum, ``bundle`` groups to a bound, ``tile`` columns at a time."""

    group: int
    bundle: int
    tile: int
    panel: int

    @classmethod
    def of(cls, n_columns: int, k: int, panel_bytes: int) -> _Plan:
        group = min(64, max(8, math.isqrt(n_columns // (8 * k))))
        bundle = min(16, max(1, n_columns // (16 * k * group)))
        unit = group * bundle
        panel = min(-(-n_columns // unit), max(1, panel_bytes // (4 * ROWS * unit))) * unit
        return cls(group, bundle, max(1, TILE_COLUMNS // unit) * unit, panel)


@dataclass(frozen=True, eq=False)
class _Found:
    """Columns that may be among a row's best, in no order."""

    row: Ints
    column: Ints
    score: Floats


def top_k_factors(
    factors: Factors,
    rows: Ints,
    k: int,
    *,
    seen: sp.csr_array | None = None,
    allowed: Mask | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> tuple[Ints, Floats]:
    """`recsys.topk.top_k_blocked` for scores that are inner products: the same lists, several times faster.

    Blocks of rows are worked on in one thread a core, with BLAS on one thread each. Columns that are not allowed are
    not scored at all. Sums are rounded as the matrix product rounds them, so scores may differ in the last bit from
    those of another block size; equal scores are ranked by column.

    Args:
        factors: Vectors of rows and columns.
        rows: (n,) the rows to rank, repeats allowed.
        k: List length.
        seen: CSR whose stored entries (row, column) are left out; indexed by the values of ``rows``.
        allowed: (n_columns,) columns that may appear.
        block_bytes: Size of all scores in work at one time.

    Returns:
        (n, k) int64 columns and (n, k) float32 scores, -1 and -inf past a short list.

    Raises:
        ConfigError: ``k`` is below 1.
        DataError: A score is NaN or infinite.

    Example:
        >>> factors = Factors(np.eye(2, dtype=np.float32), np.array([[1, 2], [3, 4], [0, 9]], dtype=np.float32))
        >>> top_k_factors(factors, np.array([0, 1]), 2, allowed=np.array([True, True, False]))[0].tolist()
        [[1, 0], [1, 0]]
    """
    check_k(k)
    kept = None if allowed is None or allowed.all() else np.flatnonzero(allowed)
    if kept is not None:
        factors = factors.of_columns(kept)
    search = _Search(factors, k, seen, kept)
    workers = min(_cores(), MAX_WORKERS)
    if len(rows) < FEW_ROWS or len(factors.columns) < 64 * k:
        index, best = search.whole_rows(rows, block_bytes)
    else:
        index, best = _in_panels(search, rows, workers, block_bytes)
    return index if kept is None or not len(kept) else np.where(index >= 0, kept[index], -1), best


def _in_panels(search: _Search, rows: Ints, workers: int, block_bytes: int) -> tuple[Ints, Floats]:
    index, best = np.empty((len(rows), search.k), np.int64), np.empty((len(rows), search.k), np.float32)
    plan = _Plan.of(len(search.factors.columns), search.k, block_bytes // workers)
    starts = range(0, len(rows), ROWS)
    todo = iter(starts)

    def work(_: int) -> None:
        memory = np.empty(plan.panel * min(ROWS, len(rows)), np.float32)
        for start in todo:
            part = slice(start, start + ROWS)
            index[part], best[part] = search.block(rows[part], plan, memory)

    _on_threads(work, min(workers, len(starts)))
    return index, best


def _on_threads(work: Callable[[int], None], workers: int) -> None:
    if workers == 1:
        return work(0)
    with threadpool_limits(limits=1, user_api="blas"), ThreadPoolExecutor(workers) as pool:
        list(pool.map(work, range(workers)))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, eq=False)
class _Search:
    """One search: what is scored, how much is wanted and what is left out.

    Attributes:
        factors: Among kept columns only.
        k: List length.
        seen: Over all columns.
        kept: (n_kept,) the columns of ``factors`` among those of ``seen``; None for all.
    """

    factors: Factors
    k: int
    seen: sp.csr_array | None
    kept: Ints | None

    def whole_rows(self, rows: Ints, block_bytes: int) -> tuple[Ints, Floats]:
        """Few rows or few columns."""
        seen = self.seen if self.seen is None or self.kept is None else self.seen[rows][:, self.kept]
        factors = self.factors
        if seen is not self.seen:  # its rows are now the asked ones, in their order
            factors, rows = Factors(factors.queries[rows], factors.columns, factors.bias), np.arange(len(rows))
        return top_k_blocked(
            factors.block, rows, self.k, n_columns=len(factors.columns), seen=seen, block_bytes=block_bytes
        )

    def block(self, rows: Ints, plan: _Plan, memory: Floats) -> tuple[Ints, Floats]:
        """Up to `ROWS` rows, panel by panel."""
        n, queries = len(self.factors.columns), self.factors.queries[rows].T
        hidden = self._hidden(rows)
        bundles = np.empty((-(-n // (plan.group * plan.bundle)), len(rows)), np.float32)
        found, done = [], 0
        for start in range(0, n, plan.panel):
            scores, tops = self._panel(slice(start, min(start + plan.panel, n)), queries, hidden, plan, memory)
            more = tops.reshape(-1, plan.bundle, len(rows)).max(axis=1)
            if not more.max() < np.inf:  # NaN compares as false, too
                raise DataError("scores hold NaN or infinity; the model's parameters are damaged or have diverged")
            bundles[done : done + len(more)] = more
            done += len(more)
            found += _reaching(scores, tops, _kth(bundles[:done], self.k), start, self.k)
        return _ranked(found, len(rows), self.k)

    def _hidden(self, rows: Ints) -> Ints:
        """Ascending column · n_rows + row of what is seen: the place of its score in a panel that starts at 0."""
        if self.seen is None:
            return np.empty(0, np.int64)
        owner, column = stored(self.seen, rows)
        if self.kept is not None:
            place = np.searchsorted(self.kept, column)
            ours = (place < len(self.kept)) & (self.kept[np.minimum(place, len(self.kept) - 1)] == column)
            owner, column = owner[ours], place[ours]
        return np.sort(column * len(rows) + owner)

    def _panel(self, part: slice, queries: Floats, hidden: Ints, plan: _Plan, memory: Floats) -> tuple[Floats, Floats]:
        """(columns, rows) scores, -inf where hidden or past the last column, and (groups, rows) their maxima."""
        n_rows, width, unit = queries.shape[1], part.stop - part.start, plan.group * plan.bundle
        padded = -(-width // unit) * unit
        flat = memory[: padded * n_rows]
        scores = flat.reshape(padded, n_rows)
        tops = np.empty((padded // plan.group, n_rows), np.float32)
        cuts = np.minimum(np.arange(0, padded + plan.tile, plan.tile), width)
        edges = np.searchsorted(hidden, (part.start + cuts) * n_rows)
        for number, a in enumerate(range(0, padded, plan.tile)):
            b, end = min(a + plan.tile, width), min(a + plan.tile, padded)
            columns = slice(part.start + a, part.start + b)
            np.matmul(self.factors.columns[columns], queries, out=scores[a:b])
            if self.factors.bias is not None:
                scores[a:b] += self.factors.bias[columns, None]
            scores[b:end] = -np.inf
            flat[hidden[edges[number] : edges[number + 1]] - part.start * n_rows] = -np.inf
            groups = scores[a:end].reshape(-1, plan.group, n_rows)
            np.maximum.reduce(groups, axis=1, out=tops[a // plan.group : end // plan.group])
        return scores, tops


def _kth(maxima: Floats, k: int) -> Floats:
    """(n_rows,) the k-th highest of each column of (m, n_rows); -inf where there are fewer."""
    m, n_rows = maxima.shape
    if m < k:
        return np.full(n_rows, -np.inf, np.float32)
    return np.partition(np.ascontiguousarray(maxima.T), m - k, axis=1)[:, m - k]


def _reaching(scores: Floats, tops: Floats, bound: Floats, start: int, k: int) -> list[_Found]:
    """What is not below its row's bound; of rows with very much of it (ties) only the best ``k``."""
    n_rows, size = scores.shape[1], len(scores) // len(tops)
    group, row = np.divmod(np.flatnonzero(tops >= bound), n_rows)
    crowded = np.bincount(row, minlength=n_rows) > 4 * k + 8
    if crowded.any():
        group, row = group[~crowded[row]], row[~crowded[row]]
    values = scores.reshape(-1).take((group * size * n_rows + row)[:, None] + np.arange(size) * n_rows)
    kept = np.flatnonzero((values >= bound[row, None]) & (values > -np.inf))
    hit, offset = np.divmod(kept, size)
    found = [_Found(row[hit], start + group[hit] * size + offset, values.reshape(-1)[kept])]
    return found + [
        _best_of(scores, r, start, k) for r in np.array_split(np.flatnonzero(crowded), ROWS // 32) if len(r)
    ]


def _best_of(scores: Floats, rows: Ints, start: int, k: int) -> _Found:
    index, best = top_k(scores[:, rows].T, k)
    owner, rank = np.nonzero(index >= 0)
    return _Found(rows[owner], start + index[owner, rank], best[owner, rank])


def _ranked(found: list[_Found], n_rows: int, k: int) -> tuple[Ints, Floats]:
    """The k best of every row: candidates are laid out in rows, in the order of their columns, and sorted."""
    row, column, score = (np.concatenate([getattr(f, name) for f in found]) for name in ("row", "column", "score"))
    order = np.lexsort((column, row))
    row, column, score = row[order], column[order], score[order]
    counts = np.bincount(row, minlength=n_rows)
    width = max(int(counts.max()), k)
    place = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    scores, columns = np.full((n_rows, width), -np.inf, np.float32), np.full((n_rows, width), -1, np.int64)
    scores[row, place], columns[row, place] = score, column
    index, best = top_k(scores, k)
    return np.where(index >= 0, np.take_along_axis(columns, np.maximum(index, 0), axis=1), -1), best
