"""Diversity: lists whose items are good and unlike each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from recsys.errors import ConfigError
from recsys.rerank.known import Known
from recsys.rerank.lists import Doubles, Ints, Lists, choose

Floats = npt.NDArray[np.float32]
BATCH_BYTES = 2**26
"""Vectors of candidates in work at one time."""
FLAT = 1e-6
"""A squared volume below this is none: the item lies in the span of those chosen."""

Greedy = Callable[[Doubles, Floats, int, float], Ints]


@dataclass(frozen=True)
class MMR:
    """Maximal marginal relevance: each next item is the best of ``trade · value - (1 - trade) · nearest chosen``.

    Attributes:
        blocks: Feature blocks in which likeness is the mean cosine.
        trade: 1 keeps the order of values, 0 looks at diversity alone.

    Source: Carbonell and Goldstein (1998), The Use of MMR, Diversity-Based Reranking.
    """

    kind: ClassVar[str] = "mmr"

    blocks: tuple[str, ...]
    trade: float = 0.7

    def __post_init__(self) -> None:
        _check(self.kind, self.blocks, self.trade)

    def __call__(self, lists: Lists, known: Known, k: int) -> Lists:
        """The first ``k`` chosen anew."""
        return _in_batches(mmr, lists, known, self.blocks, k, self.trade)


@dataclass(frozen=True)
class DPP:
    """The list of (greedily) largest determinant: items of high value that span a large volume together.

    Greedy maximisation of ``trade · Σ value + (1 - trade) · log det S``, S the likeness (1 + cosine) / 2 of the chosen.

    Attributes:
        blocks: Feature blocks in which likeness is the mean cosine.
        trade: 1 keeps the order of values, 0 looks at diversity alone.

    Source: Chen, Zhang, Zhou (2018), Fast Greedy MAP Inference for Determinantal Point Process, algorithm 1 and eq. 9.
    """

    kind: ClassVar[str] = "dpp"

    blocks: tuple[str, ...]
    trade: float = 0.7

    def __post_init__(self) -> None:
        _check(self.kind, self.blocks, self.trade)

    def __call__(self, lists: Lists, known: Known, k: int) -> Lists:
        """The first ``k`` chosen anew."""
        return _in_batches(dpp, lists, known, self.blocks, k, self.trade)


def mmr(value: Doubles, vectors: Floats, k: int, trade: float) -> Ints:
    """Positions chosen by `MMR`.

    Args:
        value: (n, width), -inf where there is no candidate.
        vectors: (n, width, d), inner product = likeness.
        k: How many to choose, at most width.
        trade: Weight of value.

    Returns:
        (n, k) positions in the order chosen, -1 where candidates ran out; of equal ones the first.

    Example:
        >>> value, vectors = np.array([[1.0, 0.9, 0.8]]), np.array([[[1, 0], [1, 0], [0, 1]]], dtype=np.float32)
        >>> mmr(value, vectors, 2, 0.5).tolist()
        [[0, 2]]
    """
    rows, chosen = np.arange(len(value)), np.full((len(value), k), -1, np.int64)
    left, nearest = value > -np.inf, np.full(value.shape, -np.inf)
    worth = np.where(left, value, 0.0)
    for step in range(k):
        gain = worth if step == 0 or trade == 1 else trade * worth - (1 - trade) * nearest
        best = choose(gain, left, chosen, step)
        likeness = np.matmul(vectors, vectors[rows, best][:, :, None])[:, :, 0]
        nearest = np.maximum(nearest, likeness)
    return chosen


def dpp(value: Doubles, vectors: Floats, k: int, trade: float) -> Ints:
    """Positions chosen by `DPP`; arguments and result as of `mmr`.

    The kernel is L = diag(q) S diag(q) with log q = trade · value / (2 (1 - trade)). Scaling commutes with the Cholesky
    factor, so only S is factored and log q² is added, which cannot overflow.

    Example:
        >>> value, vectors = np.array([[1.0, 0.9, 0.8]]), np.array([[[1, 0], [1, 0], [0, 1]]], dtype=np.float32)
        >>> dpp(value, vectors, 2, 0.5).tolist()
        [[0, 2]]
    """
    n, width = value.shape
    rows, chosen, left = np.arange(n), np.full((n, k), -1, np.int64), value > -np.inf
    worth = np.where(left, value, 0.0)
    factor = np.zeros((k, n, width))
    # d_i² of algorithm 1. Unit vectors are so only up to rounding, which must not decide who is first.
    volume = (1 + np.einsum("nwd,nwd->nw", vectors, vectors, dtype=np.float64).round(5)) / 2
    for step in range(k):
        gain = trade * worth + (1 - trade) * np.log(np.maximum(volume, FLAT)) if trade < 1 else worth
        best = choose(gain, left, chosen, step)
        likeness = (1 + np.matmul(vectors, vectors[rows, best][:, :, None])[:, :, 0].astype(np.float64)) / 2
        own = factor[:step, rows, best]  # (step, n): c_j
        root = np.sqrt(np.maximum(volume[rows, best], FLAT))
        factor[step] = (likeness - np.einsum("sn,snw->nw", own, factor[:step])) / root[:, None]
        volume = volume - factor[step] ** 2
    return chosen


def _in_batches(greedy: Greedy, lists: Lists, known: Known, blocks: tuple[str, ...], k: int, trade: float) -> Lists:
    k = min(k, lists.item.shape[1])
    n_dims = sum(known.block(name).shape[1] for name in blocks)
    # Beside its vector, a candidate has up to k doubles of Cholesky factor.
    step = max(1, BATCH_BYTES // max(1, lists.item.shape[1] * 4 * (2 * n_dims + 2 * k)))
    chosen = np.full((len(lists), k), -1, np.int64)
    for start in range(0, len(lists), step):
        part = slice(start, start + step)
        chosen[part] = greedy(lists.value[part], known.vectors(blocks, lists.item[part]), k, trade)
    return lists.first(chosen)


def _check(kind: str, blocks: tuple[str, ...], trade: float) -> None:
    if not blocks:
        raise ConfigError(f"{kind}: blocks must name at least one feature block, got none")
    if not 0 <= trade <= 1:
        raise ConfigError(f"{kind}: trade must lie in [0, 1], got {trade}; 1 keeps the order, 0 is diversity alone")
