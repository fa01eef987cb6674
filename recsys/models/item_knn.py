"""Recommend what is similar to what a user has, where similar means bought by the same users.

Sources: Sarwar et al. (2001), Item-Based Collaborative Filtering Recommendation Algorithms; the BM25 weighting is that
of the `implicit` package (Robertson's BM25 with items as documents and users as terms).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.data.dataset import Dataset
from recsys.data.ids import IdMap
from recsys.errors import ConfigError, DataError, unknown_name
from recsys.explain.contributions import Contributions, Question, linear
from recsys.models.base import Scores
from recsys.models.fitted import (
    Arrays,
    FittedModel,
    Similarity,
    as_seen,
    evidence,
    fitted_base,
    learnable,
    with_weights,
)
from recsys.models.folding import carried
from recsys.models.matrices import dense, history_cosine, pack_matrix, unit, unpack_matrix
from recsys.models.ties import hash_order
from recsys.topk import Ints, Mask

Weighting = Literal["cosine", "count", "bm25"]
K1, B = 1.2, 0.75
"""BM25's usual constants: how soon repeats saturate, how much an item's popularity is discounted."""
PRODUCTS = 2**23
"""Multiplications of a block of similarities: some 100 MB."""


@dataclass(frozen=True, eq=False)
class FittedItemKNN(FittedModel):
    """Every item's nearest neighbours; a score is the sum of similarities to what the user has, by weight.

    Attributes:
        neighbours: (n_items, n_items) CSR, row i the similarities of item i's neighbours; empty for a cold item.
        weight: (seen.nnz,) float32, the interaction weights in the order of ``seen``.
    """

    model: ClassVar[str] = "item-knn"
    neighbours: sp.csr_array
    weight: npt.NDArray[np.float32]

    def partial_fit(self, dataset: Dataset) -> Self:
        """New histories before the neighbours learned; a new item has none until the model is fitted again."""
        items = (self.items, dataset.items)
        neighbours = carried(self.neighbours, items, items)
        return replace(
            self,
            **fitted_base(self.config, dataset),
            neighbours=neighbours,
            weight=evidence(dataset.matrix).data,
        )

    def _with_users(self, users: IdMap, history: sp.csr_array) -> Self:
        return replace(self, users=users, seen=as_seen(history), weight=history.data)

    def _score_block(self, user_idx: Ints) -> Scores:
        return dense(with_weights(self.seen, self.weight)[user_idx] @ self.neighbours)

    def _item_similarity(self) -> tuple[Similarity, Mask]:
        """The neighbours kept, with their similarity (a cosine, or in the units of the weighting)."""
        known: Mask = np.diff(self.neighbours.indptr) > 0
        return lambda rows: _or_absent(dense(self.neighbours[rows])), known

    def _user_similarity(self) -> tuple[Similarity, Mask]:
        return history_cosine(with_weights(self.seen, self.weight)), self._has_history

    def arrays(self) -> Arrays:
        """Neighbours and weights."""
        return pack_matrix("neighbours", self.neighbours) | {"weight": self.weight}

    @classmethod
    def from_arrays(cls, base: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The inverse of `arrays`."""
        neighbours = sp.csr_array(unpack_matrix("neighbours", arrays, len(base["items"])))
        if neighbours.shape[0] != len(base["items"]):
            raise DataError(f"neighbours of {neighbours.shape[0]} items, expected {len(base['items'])}")
        return cls(**base, neighbours=neighbours, weight=arrays["weight"])

    def contributions(self, question: Question) -> Contributions:
        """What each past item gives: its weight times its similarity, 0 unless they are neighbours."""
        history = with_weights(self.seen, self.weight)[[question.user]]
        rows = self.neighbours[history.indices]
        given = dense(rows[:, [question.item]])[:, 0]
        usual = np.asarray(rows.sum(axis=1)).ravel() / max(len(self.items), 1)
        return linear(self.items.decode(history.indices), history.data * given, history.data * usual)


@dataclass(frozen=True)
class ItemKNN:
    """Keeps each item's ``k`` nearest neighbours.

    Attributes:
        k: Neighbours kept an item; only those bought together with it at all.
        weighting: ``cosine`` of the items' interaction weights over users; ``count``, their inner product (with
            weights of 1, how many users have both); ``bm25``, the inner product after BM25 weighting, in which
            neither a heavy buyer nor a best-seller dominates.

    Example:
        >>> ItemKNN(weighting="cosin")
        Traceback (most recent call last):
        recsys.errors.ConfigError: unknown weighting 'cosin'; did you mean 'cosine'? Known: cosine, count, bm25
    """

    uses_features: ClassVar[Literal["no", "optional", "required"]] = "no"
    fitted: ClassVar[type[FittedItemKNN]] = FittedItemKNN

    k: int = 100
    weighting: Weighting = "cosine"

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"k must be >= 1, got {self.k}; it is the number of neighbours")
        if self.weighting not in WEIGHTINGS:
            raise ConfigError(unknown_name("weighting", self.weighting, WEIGHTINGS))

    def fit(self, dataset: Dataset) -> FittedItemKNN:
        """Compare all pairs of items somebody has; equal neighbours at the border are kept by a hash of the id.

        Raises:
            DataError: No interaction has a positive weight.
        """
        history = learnable(dataset)
        warm = np.flatnonzero(np.diff(sp.csc_array(history).indptr) > 0)
        warm = warm[hash_order(dataset.items.decode(warm))]
        vectors = WEIGHTINGS[self.weighting](sp.csr_array(sp.csr_array(history[:, warm]).T))
        row, column, similarity = nearest(vectors, self.k)
        shape = (len(dataset.items), len(dataset.items))
        neighbours = sp.csr_array((similarity, (warm[row], warm[column])), shape=shape)
        neighbours.sort_indices()
        return FittedItemKNN(**fitted_base(self, dataset), neighbours=neighbours, weight=history.data)


def nearest(vectors: sp.csr_array, k: int, *, products: int = PRODUCTS) -> tuple[Ints, Ints, Scores]:
    """The ``k`` rows of highest positive inner product with every row, itself left out.

    Args:
        vectors: (n, d) CSR.
        k: At most so many; equal ones by lowest index.
        products: About so many multiplications at a time bound the memory.

    Returns:
        Row, neighbour and inner product, (m,) each, in no order.

    Example:
        >>> vectors = sp.csr_array(np.array([[1, 0, 1], [1, 0, 0], [0, 2, 1]], np.float32))
        >>> row, neighbour, product = nearest(vectors, 1)
        >>> sorted(zip(row.tolist(), neighbour.tolist(), product.tolist()))
        [(0, 1, 1.0), (1, 0, 1.0), (2, 0, 1.0)]
    """
    columns = sp.csr_array(vectors.T)
    work = np.concatenate([[0], np.cumsum(np.diff(columns.indptr)[vectors.indices])])[vectors.indptr]
    cuts = [0, *(np.flatnonzero(np.diff(work[1:] // products)) + 1), vectors.shape[0]]
    parts = [_nearest_of(vectors, columns, np.arange(*cut), k) for cut in pairwise(cuts)]
    row, column, similarity = (np.concatenate(part) for part in zip(*parts, strict=True))
    return row, column, similarity


def _nearest_of(vectors: sp.csr_array, columns: sp.csr_array, rows: Ints, k: int) -> tuple[Ints, Ints, Scores]:
    products = sp.csr_array(vectors[rows] @ columns)
    products.sort_indices()
    row = np.repeat(np.arange(len(rows)), np.diff(products.indptr))
    keep = (products.indices != rows[row]) & (products.data > 0)
    row, column, value = row[keep], products.indices[keep].astype(np.int64), products.data[keep]
    counts = np.bincount(row, minlength=len(rows))
    crowded = np.flatnonzero(counts[row] > k)
    # Positive floats are ordered as their bits are, so one sort of integers goes by row, then by falling similarity.
    falling = np.iinfo(np.uint32).max - value[crowded].view(np.uint32).astype(np.int64)
    order = crowded[np.argsort((row[crowded] << 32) | falling, kind="stable")]
    lengths = np.where(counts > k, counts, 0)
    rank = np.arange(len(order)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    kept = np.concatenate([np.flatnonzero(counts[row] <= k), order[rank < k]])
    return rows[row[kept]], column[kept], value[kept]


def _bm25(items: sp.csr_array) -> sp.csr_array:
    """Weight w of item i and user u → w (K1 + 1) / (w + K1 (1 - B + B |i| / mean |i|)) · log(n_items / (1 + |u|)).

    |i| is the sum of an item's weights, |u| the number of items a user has.
    """
    n_of_user = np.bincount(items.indices, minlength=items.shape[1])
    idf = np.log(max(items.shape[0], 1)) - np.log1p(n_of_user)
    total = np.asarray(items.sum(axis=1), dtype=np.float64).ravel()
    length = np.repeat(1 - B + B * total / max(total.mean(), 1e-30), np.diff(items.indptr))
    data = items.data * (K1 + 1) / (K1 * length + items.data) * idf[items.indices]
    return sp.csr_array((data.astype(np.float32), items.indices, items.indptr), shape=items.shape)


def _unit(items: sp.csr_array) -> sp.csr_array:
    return sp.csr_array(unit(items))


WEIGHTINGS: Mapping[str, Callable[[sp.csr_array], sp.csr_array]] = {
    "cosine": _unit,
    "count": lambda items: items,
    "bm25": _bm25,
}


def _or_absent(similarity: Scores) -> Scores:
    """No neighbour is not similarity 0."""
    return np.where(similarity > 0, similarity, np.float32(-np.inf))
