"""The vectors that make users and items, one by one: features by block or by named column, past items by weight."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from recsys.data.features import FeatureBlock, FeatureTable
from recsys.explain.contributions import AVERAGE, Contributions, Floats, Term, Terms
from recsys.models.blocks import BlockTransform
from recsys.models.matrices import dense

Array = npt.NDArray[Any]


def feature_terms(
    transforms: Sequence[BlockTransform], weights: Sequence[Array], table: FeatureTable, row: int
) -> Terms:
    """What the features of one row of ``table`` add up to, x W, taken apart.

    A block with column names is one term for each column that is not 0; an embedding, whose dimensions mean nothing
    alone, and a block without names are one term.

    Args:
        transforms: The blocks' normalisation, at least one.
        weights: One (d, factors + 1) W a block.
        table: Has the blocks.
        row: Which row.
    """
    parts = [
        column_terms(t, table[t.name].rows([row]), np.asarray(w, np.float64))
        for t, w in zip(transforms, weights, strict=True)
    ]
    return Terms(tuple(t for p in parts for t in p.terms), np.vstack([p.vectors for p in parts]))


def column_terms(transform: BlockTransform, block: FeatureBlock, weights: Floats) -> Terms:
    """The same of one block of one row."""
    x = dense_row(transform, block)
    if transform.kind == "embedding" or transform.columns is None:
        return Terms((Term("feature", transform.name),), (x @ weights)[None])
    there = np.flatnonzero(x)
    terms = tuple(Term("feature", feature_name(transform, int(c))) for c in there)
    return Terms(terms, x[there, None] * weights[there])


def dense_row(transform: BlockTransform, block: FeatureBlock) -> Floats:
    """(d,) one normalised row."""
    row: Floats = dense(transform.apply(block)).astype(np.float64)[0]
    return row


def feature_name(transform: BlockTransform, column: int) -> str:
    """``category=bag`` of a sparse block, ``stock.price`` of a dense one, ``price`` where both have one name."""
    name = (transform.columns or ())[column]
    return name if name == transform.name else f"{transform.name}{'=' if transform.is_sparse else '.'}{name}"


def past_terms(names: Iterable[Any], vectors: Array, bias: npt.ArrayLike = 0.0) -> Terms:
    """One term for each past item."""
    return Terms.of((Term("past item", str(name)) for name in names), vectors, bias)


def average_user(whole: Array, bias: float = 0.0) -> Terms:
    """The vector of a user of whom nothing is known, (factors,), as one term."""
    return Terms.of((AVERAGE,), np.asarray(whole)[None], bias)


def least_squares(gram: Floats, items: Array, weight: Array, right: Array) -> Floats:
    """The vectors whose sum is the least-squares vector of a user, one for each part of the right side.

    The user's vector solves (G + Σ w_j q_j q_jᵀ) p = Σ r, which is linear in r: each r adds (G + …)⁻¹ r to it.

    Source: Hu, Koren, Volinsky (2008), Collaborative Filtering for Implicit Feedback Datasets, section 5.

    Args:
        gram: (factors, factors) G, what all items and the penalty add.
        items: (n, factors) q of what the user has.
        weight: (n,) w of that.
        right: (m, factors) the parts r.

    Returns:
        (m, factors).

    Example:
        >>> one = np.ones((1, 1))
        >>> least_squares(one, one, one[0], one).tolist()  # p = 1 / (1 + 1)
        [[0.5]]
    """
    q = np.asarray(items, np.float64)
    matrix = gram + (q * np.asarray(weight, np.float64)[:, None]).T @ q
    return np.asarray(np.linalg.solve(matrix, np.asarray(right, np.float64).T).T)


def cosine_terms(transform: BlockTransform, users: Array, item: Array, mean: Array, weight: float) -> Contributions:
    """One block's part of a weighted mean cosine: a row a user's term, a column the block or each named column.

    Args:
        transform: The block's.
        users: (n, d) the parts of the user's unit vector.
        item: (d,) the item's unit vector.
        mean: (d,) of all items' unit vectors.
        weight: The block's share in the mean.
    """
    p, q = np.asarray(users, np.float64), np.asarray(item, np.float64) * weight
    usual = p @ np.asarray(mean, np.float64) * weight
    rows = (AVERAGE,) * len(p)
    if transform.kind == "embedding" or transform.columns is None:
        return Contributions(rows, (Term("feature", transform.name),), (p @ q)[:, None], usual)
    there = np.flatnonzero(q)
    names = tuple(Term("feature", feature_name(transform, int(c))) for c in there)
    return Contributions(rows, names, p[:, there] * q[there], usual)


def stacked(users: tuple[Term, ...], parts: Sequence[Contributions]) -> Contributions:
    """Tables of the same rows side by side, the rows being ``users``."""
    items = tuple(t for p in parts for t in p.items)
    return Contributions(users, items, np.hstack([p.values for p in parts]), np.sum([p.usual for p in parts], axis=0))
