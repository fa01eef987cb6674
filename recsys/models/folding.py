"""How learned vectors move beside a new dataset, and how those who are new get one without training."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.data.ids import IdMap
from recsys.models.base import Scores
from recsys.topk import Ints, Mask

RIDGE = 0.01
"""Penalty of `fold_in`, as a share of the mean variance of what is regressed on."""


def take_rows(values: Scores, index: Ints) -> Scores:
    """Fresh rows of ``values`` at ``index``, zero where it is -1.

    Example:
        >>> take_rows(np.array([[1.0], [2.0]], dtype=np.float32), np.array([1, -1])).tolist()
        [[2.0], [0.0]]
    """
    taken: Scores = np.zeros((len(index), values.shape[1]), values.dtype)
    taken[index >= 0] = values[index[index >= 0]]
    return taken


def carried(history: sp.csr_array, users: tuple[IdMap, IdMap], items: tuple[IdMap, IdMap]) -> sp.csr_array:
    """An old history in the rows and columns of new id maps; who or what is gone is left out.

    Args:
        history: (n old users, n old items).
        users: The old and the new ones.
        items: The old and the new ones.
    """
    entries = history.tocoo()
    row = users[1].positions(users[0].ids)[entries.coords[0]]
    column = items[1].positions(items[0].ids)[entries.coords[1]]
    there = (row >= 0) & (column >= 0)
    moved = sp.csr_array((entries.data[there], (row[there], column[there])), shape=(len(users[1]), len(items[1])))
    moved.sort_indices()
    return moved


def changed_rows(old: sp.csr_array, new: sp.csr_array) -> Mask:
    """Which rows differ by more than the rounding of float32 sums."""
    excess = sp.csr_array(abs(old - new) - 1e-6 * (abs(old) + abs(new)))
    excess.data = (excess.data > 0).astype(np.float32)
    return np.asarray(excess.sum(axis=1)).ravel() > 0


def pooled(history: sp.csr_array, vectors: Scores) -> tuple[Scores, Mask]:
    """(n, d) mean vector of what each row has, and whether it has anything with a vector (one that is not zero)."""
    there = np.asarray(vectors.any(axis=1), np.float32)
    ones = sp.csr_array((np.ones_like(history.data), history.indices, history.indptr), shape=history.shape)
    counts = np.asarray(ones @ there)
    return np.asarray((ones @ vectors) / np.maximum(counts, 1)[:, None], np.float32), counts > 0


def fold_in(known: Scores, vectors: Scores, new: Scores) -> Scores:
    """Vectors for new rows: the ridge regression, with intercept, of known rows' vectors on what those have.

    A model trained by gradients has no closed form for a user it has not met. But how the vectors of the users it
    has met follow from the mean vector of what they have is a linear question, and its answer serves the others.

    Args:
        known: (n, d) what the known rows have on average, see `pooled`.
        vectors: (n, c) their learned vectors.
        new: (m, d) what the new rows have on average.

    Returns:
        (m, c) float32; without known rows, zeros.
    """
    if not len(known):
        return np.zeros((len(new), vectors.shape[1]), np.float32)
    x, y = known.astype(np.float64), vectors.astype(np.float64)
    x_mean, y_mean = x.mean(axis=0), y.mean(axis=0)
    gram = (x - x_mean).T @ (x - x_mean)
    penalty = max(RIDGE * float(np.trace(gram)) / len(gram), float(np.finfo(np.float32).tiny))
    weights = np.linalg.solve(gram + penalty * np.eye(len(gram)), (x - x_mean).T @ (y - y_mean))
    return np.asarray(y_mean + (new - x_mean) @ weights, np.float32)


def place(known_history: sp.csr_array, known_of: Scores, vectors: Scores, history: sp.csr_array, of: Scores) -> Scores:
    """`fold_in` from histories: vectors for new rows by what they have, the average vector for those with nothing.

    Args:
        known_history: (n, p) what the known rows have.
        known_of: (p, d) the vectors of that; a zero vector is skipped.
        vectors: (n, c) the known rows' learned vectors.
        history: (m, q) what the new rows have.
        of: (q, d) the vectors of that.

    Returns:
        (m, c) float32.
    """
    had, known = pooled(known_history, known_of)
    have, rests = pooled(history, of)
    have = np.where(rests[:, None], have, mean_of(had, known))
    return fold_in(had[known], vectors[known], have)


def place_items(items: Scores, seen: sp.csr_array, users: Scores) -> None:
    """`place` items that have no vector yet by who has them, in place; without buyers they keep none.

    Args:
        items: (n_items, c) vectors, zero where there is none.
        seen: (n_users, n_items) who has what.
        users: (n_users, d) vectors; those of users without history are not evidence.
    """
    buyers = sp.csr_array(seen.T)
    evidence = np.where((np.diff(seen.indptr) > 0)[:, None], users, np.float32(0))
    trained: Mask = np.asarray(items.any(axis=1))
    lacking = ~trained & (np.diff(buyers.indptr) > 0)
    items[lacking] = place(buyers[trained], evidence, items[trained], buyers[lacking], evidence)


def mean_of(vectors: Scores, rows: Mask) -> npt.NDArray[np.float32]:
    """(d,) the mean of these rows; zero if there are none."""
    return np.asarray(vectors[rows].mean(axis=0) if rows.any() else np.zeros(vectors.shape[1]), np.float32)
