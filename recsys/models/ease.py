"""Embarrassingly Shallow Autoencoders: the item-item weights that best predict each item from all others.

Source: Steck (2019), Embarrassingly Shallow Autoencoders for Sparse Data, eq. 8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from recsys.data.dataset import Dataset
from recsys.data.ids import IdMap
from recsys.errors import ConfigError, DataError
from recsys.explain.contributions import Contributions, Question, linear
from recsys.models.base import Scores
from recsys.models.fitted import FittedModel, Similarity, as_seen, evidence, fitted_base, learnable, with_weights
from recsys.models.matrices import history_cosine
from recsys.topk import Ints, Mask

Doubles = npt.NDArray[np.float64]
CANCELLED = 1e-4
"""λ P's diagonal as a difference from 1: below this too few of its digits are left (heavy weights, tiny penalties)."""
BLOCK = 1024
"""Rows of a square matrix that are copied at a time."""


@dataclass(frozen=True, eq=False)
class FittedEASE(FittedModel):
    """Item-item weights; a user's scores are what they have times these. Items nobody had score 0.

    Attributes:
        warm: (n_warm,) int64, the indices of the items that have weights.
        weights: (n_warm, n_warm) float32 B, zero diagonal; column j predicts item j from the others.
        weight: (seen.nnz,) float32, the interaction weights in the order of ``seen``.
    """

    model: ClassVar[str] = "ease"
    warm: Ints
    weights: Scores
    weight: npt.NDArray[np.float32]

    def partial_fit(self, dataset: Dataset) -> Self:
        """New histories before the weights learned; a new item has none until the model is fitted again."""
        place = dataset.items.positions(self.items.decode(self.warm))
        there = np.flatnonzero(place >= 0)
        return replace(
            self,
            **fitted_base(self.config, dataset),
            warm=place[there],
            weights=self.weights[np.ix_(there, there)],
            weight=evidence(dataset.matrix).data,
        )

    @classmethod
    def from_arrays(cls, base: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The inverse of `arrays`."""
        warm, weights = arrays["warm"], arrays["weights"]
        if weights.shape != (len(warm), len(warm)) or np.setdiff1d(warm, np.arange(len(base["items"]))).size:
            raise DataError(f"weights of shape {weights.shape} for {len(warm)} of {len(base['items'])} items")
        return super().from_arrays(base, arrays)

    def _with_users(self, users: IdMap, history: sp.csr_array) -> Self:
        return replace(self, users=users, seen=as_seen(history), weight=history.data)

    def _score_block(self, user_idx: Ints) -> Scores:
        history = with_weights(self.seen, self.weight)[user_idx]
        scores: Scores = np.zeros((len(user_idx), len(self.items)), np.float32)
        scores[:, self.warm] = history[:, self.warm] @ self.weights
        return scores

    def _item_similarity(self) -> tuple[Similarity, Mask]:
        """The partial correlation of two items given all others, in [-1, 1].

        With P the inverse of the regularised Gram matrix, it is -P_ij / √(P_ii P_jj); and B_ij = -P_ij / P_jj.
        """
        known: Mask = np.zeros(len(self.items), bool)
        known[self.warm] = True
        place = np.zeros(len(self.items), np.int64)
        place[self.warm] = np.arange(len(self.warm))

        def score(rows: Ints) -> Scores:
            out: Scores = np.zeros((len(rows), len(self.items)), np.float32)
            b, b_t = self.weights[place[rows]], self.weights[:, place[rows]].T
            out[:, self.warm] = np.sign(b) * np.sqrt(np.maximum(b * b_t, 0))
            return out

        return score, known

    def _user_similarity(self) -> tuple[Similarity, Mask]:
        return history_cosine(with_weights(self.seen, self.weight)), self._has_history

    def contributions(self, question: Question) -> Contributions:
        """What each past item gives: its weight times B."""
        history = with_weights(self.seen, self.weight)[[question.user]][:, self.warm].tocoo()
        rows, weight = self.weights[history.col], history.data
        column = np.flatnonzero(self.warm == question.item)
        given = rows[:, column].sum(axis=1) if len(column) else np.zeros(len(rows))
        usual = rows.sum(axis=1) / max(len(self.items), 1)
        return linear(self.items.decode(self.warm[history.col]), weight * given, weight * usual)


@dataclass(frozen=True)
class EASE:
    """Closed-form item-item regression.

    Attributes:
        l2: λ, the ridge penalty; the paper finds hundreds for sparse data.
        max_memory_gb: Refuse catalogues whose square does not fit; only warm items count.

    Example:
        >>> EASE(l2=0.0)
        Traceback (most recent call last):
        recsys.errors.ConfigError: l2 must be > 0, got 0.0; without it the Gram matrix has no inverse
    """

    uses_features: ClassVar[Literal["no", "optional", "required"]] = "no"
    fitted: ClassVar[type[FittedEASE]] = FittedEASE

    l2: float = 250.0
    max_memory_gb: float = 8.0

    def __post_init__(self) -> None:
        if not 0 < self.l2 < np.inf:
            raise ConfigError(f"l2 must be > 0, got {self.l2}; without it the Gram matrix has no inverse")
        if not self.max_memory_gb > 0:
            raise ConfigError(f"max_memory_gb must be > 0, got {self.max_memory_gb}")

    def fit(self, dataset: Dataset) -> FittedEASE:
        """Invert the Gram matrix of the items somebody has.

        Raises:
            ConfigError: That matrix would not fit into ``max_memory_gb``.
            DataError: No interaction has a positive weight.
        """
        history = learnable(dataset)
        warm = np.flatnonzero(np.diff(sp.csc_array(history).indptr) > 0).astype(np.int64)
        needed = _gigabytes(int((np.diff(history.indptr) > 0).sum()), len(warm))
        if needed > self.max_memory_gb:
            raise ConfigError(
                f"EASE has {len(warm)} x {len(warm)} weights between items, which needs {needed:.1f} GB, "
                f"max_memory_gb is {self.max_memory_gb:g}; raise it, drop rare items, or use item-knn"
            )
        # BLAS threads would change the last bits with their number.
        with threadpool_limits(limits=1, user_api="blas"):
            weights = ease_weights(sp.csr_array(history[np.diff(history.indptr) > 0][:, warm]), self.l2)
        return FittedEASE(**fitted_base(self, dataset), warm=warm, weights=weights, weight=history.data)


def ease_weights(history: sp.csr_array, l2: float) -> Scores:
    """(m, m) float32 B = argmin ‖X - X B‖² + λ ‖B‖² with zero diagonal: B_ij = -P_ij / P_jj, P = (XᵀX + λ I)⁻¹.

    With fewer users than items P is had from their kernel (Woodbury): λ P = I - Xᵀ (X Xᵀ + λ I)⁻¹ X.

    Args:
        history: (n, m) CSR X.
        l2: λ > 0.

    Raises:
        DataError: The matrix cannot be inverted in float64.

    Example:
        >>> ease_weights(sp.csr_array(np.array([[1.0, 1.0], [1.0, 1.0]])), 2.0).tolist()
        [[0.0, 0.5], [0.5, 0.0]]
    """
    n_users, n_items = history.shape
    weights: Scores = np.empty((n_items, n_items), np.float32)
    diagonal, inverse = _by_users(history, l2) if n_users < n_items else _by_items(history, l2)
    if diagonal.min(initial=1) < CANCELLED and n_users < n_items:
        diagonal, inverse = _by_items(history, l2)
    for start in range(0, n_items, BLOCK):
        rows = slice(start, start + BLOCK)
        weights[rows] = -inverse(rows) / diagonal
    np.fill_diagonal(weights, 0)
    return weights


def _gigabytes(n_users: int, n_items: int) -> float:
    """Float32 weights to keep, and in float64 either the items' square or the users' and what joins them."""
    working = n_users**2 + n_users * n_items if n_users < n_items else n_items**2
    return (4 * n_items**2 + 8 * working) / 1e9


def _by_items(history: sp.csr_array, l2: float) -> tuple[Doubles, Callable[[slice], Doubles]]:
    """P's diagonal and rows from the items' Gram matrix."""
    inverse = _inverse(_gram(history), l2)
    return inverse.diagonal().copy(), lambda rows: inverse[rows]


def _by_users(history: sp.csr_array, l2: float) -> tuple[Doubles, Callable[[slice], Doubles]]:
    """λ P's diagonal and rows from the users' kernel; the factor λ cancels in the weights."""
    x = sp.csr_array(history.astype(np.float64))
    columns = sp.csr_array(x.T)
    kernel = _inverse(_gram(columns), l2)
    joined: Doubles = np.asarray(columns @ kernel)
    diagonal: Doubles = 1 - np.asarray(columns.multiply(joined).sum(axis=1), np.float64).ravel()

    def inverse(rows: slice) -> Doubles:
        found: Doubles = -np.asarray(columns @ joined[rows].T).T
        here = np.arange(len(found))
        found[here, rows.start + here] += 1
        return found

    return diagonal, inverse


def _gram(history: sp.csr_array) -> npt.NDArray[np.float64]:
    x = history.astype(np.float64)
    columns = sp.csr_array(x.T)
    gram = np.empty((x.shape[1], x.shape[1]))
    for start in range(0, len(gram), BLOCK):
        gram[start : start + BLOCK] = (columns[start : start + BLOCK] @ x).toarray()
    return gram


def _inverse(gram: npt.NDArray[np.float64], l2: float) -> npt.NDArray[np.float64]:
    """The inverse of gram + l2 I, in gram's own memory."""
    # Imported here: scipy.linalg costs users of other models time.
    from scipy.linalg import lapack

    gram[np.diag_indices_from(gram)] += l2
    # LAPACK works on columns: the transposed view of a symmetric matrix is the same matrix, without a copy.
    factor, failed = lapack.dpotrf(gram.T, lower=1, overwrite_a=1, clean=0)
    if not failed:
        inverse, failed = lapack.dpotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise DataError(f"EASE cannot invert the items' Gram matrix (LAPACK {failed}); raise l2")
    full: npt.NDArray[np.float64] = inverse.T
    for start in range(0, len(full), BLOCK):
        rows, below = slice(start, start + BLOCK), slice(start + BLOCK, None)
        corner = np.triu(full[rows, rows])
        full[rows, rows] = corner + np.triu(corner, 1).T
        full[below, rows] = full[rows, below].T
    return full
