"""How lists relate to one another, to their users' past, and in themselves: by features, style or category.

``items`` is (n_users, K) item indices, -1 past the end of a short list. ``vectors`` is (n_items, d), dense or CSR: a
feature block's values, such as a style embedding or the category one-hot (where two items are at distance 0 or 1).
Distance is 1 - cosine, in [0, 2], and in [0, 1] for features >= 0; an item without features is at distance 1 from all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp

from evaluation.metrics.lists import Hits, Ints, Matrix, Values
from recsys.errors import DataError
from recsys.rerank.calibration import SMOOTHING

BLOCK_CELLS = 2**24
"""Users × dimensions that are held at once."""


def intra_list_distance(items: Ints, vectors: Matrix) -> Values:
    """Mean distance of the pairs of a list.

    Denominator: the list's pairs. Σ over pairs of cosines is (|Σ v|² - Σ |v|²) / 2 of unit vectors, so no pair is
    looked at. Ziegler et al., Improving recommendation lists through topic diversification, 2005 (there as
    likeness, summed).

    Returns:
        (n_users,) in [0, 2]; NaN for lists of fewer than two items.

    Example:
        >>> intra_list_distance(np.array([[0, 1, 2], [0, 2, -1]]), np.array([[1, 0], [0, 1], [2, 0]])).round(4)
        array([0.6667, 0.    ])
    """
    unit = _unit(vectors)
    own, found = _dots(unit, unit), np.full(len(items), np.nan)
    for part, listed in _blocks(items, items >= 0, unit):
        counts, total = _counts(listed), listed @ unit
        pairs = counts * (counts - 1)
        distance = 1 - (_dots(total, total) - listed @ own) / np.maximum(pairs, 1)
        found[part] = np.where(pairs > 0, np.clip(distance, 0, 2), np.nan)
    return found


def unexpectedness(items: Ints, history: sp.csr_array, vectors: Matrix) -> Values:
    """Mean distance of the listed items to what the user has.

    Denominator: listed items × items the user has. Castells, Hurley and Vargas, Novelty and diversity in recommender
    systems, 2015.

    Args:
        items: (n_users, K).
        history: (n_users, n_items), a weight above 0 is having; the rows of ``items``.
        vectors: (n_items, d).

    Returns:
        (n_users,) in [0, 2]; NaN for empty lists and for users who have nothing.

    Example:
        >>> unexpectedness(np.array([[1, 2]]), sp.csr_array([[1, 0, 0]]), np.array([[1, 0], [0, 1], [2, 0]]))
        array([0.5])
    """
    return _from_history(items, items >= 0, history, vectors)


def serendipity(items: Ints, hits: Hits, n_relevant: Ints, history: sp.csr_array, vectors: Matrix) -> Values:
    """Mean over the listed items of relevance (0 or 1) × distance to what the user has: useful and unexpected.

    Denominator: listed items × items the user has. Kotkov, Wang and Veijalainen, A survey of serendipity in recommender
    systems, 2016.

    Args:
        items: (n_users, K).
        hits: (n_users, K) whether the item is relevant, see `hit_matrix`.
        n_relevant: (n_users,) relevant items of each user.
        history: (n_users, n_items), a weight above 0 is having; the rows of ``items``.
        vectors: (n_items, d).

    Returns:
        (n_users,) in [0, 2]; NaN for empty lists, users who have nothing and users without relevant items.

    Example:
        >>> past, style = sp.csr_array([[1, 0, 0]]), np.array([[1, 0], [0, 1], [2, 0]])
        >>> serendipity(np.array([[1, 2]]), np.array([[True, True]]), np.array([2]), past, style)  # item 2 is known
        array([0.5])
    """
    found = _from_history(items, hits & (items >= 0), history, vectors)
    return np.where(n_relevant > 0, found, np.nan)


def personalisation(items: Ints, n_items: int) -> float:
    """1 - mean cosine of the pairs of users' lists, as sets: 0 where all lists are alike, 1 where none share an item.

    With lists of one length that is the mean Hamming distance 1 - |shared| / k of Zhou et al., Solving the apparent
    diversity-accuracy dilemma of recommender systems, 2010. Users with empty lists are left out; NaN with
    fewer than two users. Denominator: pairs of users; no pair is looked at.

    Example:
        >>> round(personalisation(np.array([[0, 1], [1, 2]]), 3), 9)
        0.5
    """
    return unlikeness(likeness(items, n_items), int((items >= 0).any(axis=1).sum()))


def likeness(items: Ints, n_items: int) -> Values:
    """(n_items,) sum of the lists' unit vectors; sums of blocks of users are what `unlikeness` takes."""
    filled = items >= 0
    counts = filled.sum(axis=1)
    norm = np.broadcast_to((1 / np.sqrt(np.maximum(counts, 1)))[:, None], items.shape)[filled]
    return np.bincount(items[filled], weights=norm, minlength=n_items).astype(np.float64)


def unlikeness(total: Values, n_lists: int) -> float:
    """`personalisation` of ``n_lists`` lists whose unit vectors sum to ``total``."""
    if n_lists < 2:
        return float("nan")
    return float(np.clip(1 - (total @ total - n_lists) / (n_lists * (n_lists - 1)), 0, 1))


def list_shares(items: Ints, membership: Matrix) -> Values:
    """(n_users, n_groups) what share of each list is of each category or style.

    Args:
        items: (n_users, K).
        membership: (n_items, n_groups) >= 0: a one-hot (`FeatureBlock.one_hot`) or degrees that may overlap.

    Returns:
        Rows that sum to 1; a zero row for a list without any group.

    Example:
        >>> list_shares(np.array([[0, 1, 1, -1]]), np.eye(2)).round(4).tolist()
        [[0.3333, 0.6667]]
    """
    return _shares(_membership(items, items >= 0, membership.shape[0], np.dtype(float)), membership)


def history_shares(history: sp.csr_array, membership: Matrix) -> Values:
    """(n_users, n_groups) what share of what each user has (by weight) is of each category or style.

    Arguments and result as of `list_shares`.

    Example:
        >>> history_shares(sp.csr_array([[3.0, 1.0], [0.0, 0.0]]), np.eye(2)).tolist()
        [[0.75, 0.25], [0.0, 0.0]]
    """
    return _shares(history.maximum(0), membership)


def calibration(target: Values, shown: Values, smoothing: float = SMOOTHING) -> Values:
    """Kullback-Leibler divergence KL(p ‖ q̃) in nats of a user's shares p from the list's, q̃ = (1 - α) q + α p.

    0: the list shows categories or styles in the shares in which the user has them; at most -log α. Steck, Calibrated
    recommendations, 2018, as `recsys.rerank.calibration` has it.

    Args:
        target: (n_users, n_groups) p, see `history_shares`.
        shown: (n_users, n_groups) q, see `list_shares`.
        smoothing: α in (0, 1).

    Returns:
        (n_users,) values; NaN where either row is zero.

    Example:
        >>> calibration(np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]])).round(4)  # ½ log(.5 / .995) + ½ log(.5 / .005)
        array([1.9585])
    """
    mixed = (1 - smoothing) * shown + smoothing * target
    terms = np.where(target > 0, target, 1) / np.where(target > 0, mixed, 1)
    found = (target * np.log(terms)).sum(axis=1)
    return np.where((target.sum(axis=1) > 0) & (shown.sum(axis=1) > 0), np.maximum(found, 0), np.nan)


def _from_history(items: Ints, counted: Hits, history: sp.csr_array, vectors: Matrix) -> Values:
    """(n_users,) distances to the history of the ``counted`` items, summed, over all listed."""
    if history.shape != (len(items), vectors.shape[0]):
        raise DataError(f"history must be {(len(items), vectors.shape[0])}, a row a list, got {history.shape}")
    unit, found = _unit(vectors), np.full(len(items), np.nan)
    for part, chosen in _blocks(items, counted, unit):
        past = history[part]
        had = sp.csr_array(((past.data > 0).astype(unit.dtype), past.indices, past.indptr), shape=past.shape)
        n_had, n_listed = _counts(had), (items[part] >= 0).sum(axis=1)
        cosine = _dots(chosen @ unit, had @ unit) / np.maximum(n_had, 1)
        distance = np.clip(_counts(chosen) - cosine, 0, None) / np.maximum(n_listed, 1)
        found[part] = np.where((n_had > 0) & (n_listed > 0), distance, np.nan)
    return found


def _unit(vectors: Matrix) -> Any:
    """Rows of length 1; zero rows stay."""
    dtype = vectors.dtype if np.issubdtype(vectors.dtype, np.floating) else np.dtype(float)
    values: Any = vectors.astype(dtype)
    norms = np.sqrt(_dots(values, values))
    scale = 1 / np.where(norms > 0, norms, 1)
    if isinstance(vectors, np.ndarray):
        return values * scale[:, None].astype(dtype)
    return (sp.diags_array(scale.astype(dtype)) @ values).tocsr()


def _blocks(items: Ints, counted: Hits, unit: Any) -> Iterator[tuple[slice, sp.csr_array]]:
    """Users in batches, with their (n, n_items) matrix of ones where an item is counted."""
    step = max(1, BLOCK_CELLS // max(unit.shape[1], items.shape[1], 1))
    for start in range(0, len(items), step):
        part = slice(start, start + step)
        yield part, _membership(items[part], counted[part], unit.shape[0], unit.dtype)


def _membership(items: Ints, counted: Hits, n_items: int, dtype: np.dtype[Any]) -> sp.csr_array:
    ends = np.concatenate([[0], np.cumsum(counted.sum(axis=1))])
    return sp.csr_array((np.ones(ends[-1], dtype), items[counted], ends), shape=(len(items), n_items))


def _dots(a: Any, b: Any) -> Values:
    """(n,) inner products row by row; dense or CSR."""
    return np.asarray((a * b).sum(axis=1), np.float64).ravel()


def _counts(matrix: sp.csr_array) -> Values:
    return np.asarray(matrix.sum(axis=1), np.float64)


def _shares(weights: sp.csr_array, membership: Matrix) -> Values:
    product: Any = weights @ membership
    shares = np.asarray(product if isinstance(membership, np.ndarray) else product.toarray(), np.float64)
    total = shares.sum(axis=1, keepdims=True)
    return shares / np.where(total > 0, total, 1)
