"""How scores of different models become comparable, and which weights held-out interactions favour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import numpy.typing as npt

from recsys.models.validation import Holdout, K
from recsys.topk import Floats, Ints, Mask, ScoreBlock, stored, top_k

Blend = Callable[[Floats], Floats]

DEPTH = 200
"""Of each member's best items, how many are considered when weights are tuned."""
RRF = 60
"""Cormack, Clarke, Büttcher (2009): how little the very first ranks stand out."""
BLOCK = 256
"""Users scored at a time."""


def standardised(scores: Floats) -> Floats:
    """Rows of mean 0 and standard deviation 1; a row of equal scores says nothing and becomes 0.

    Example:
        >>> standardised(np.array([[1.0, 3.0], [2.0, 2.0]], dtype=np.float32)).tolist()
        [[-1.0, 1.0], [0.0, 0.0]]
    """
    mean, deviation = spread(scores)
    return np.asarray(np.where(deviation > 0, (scores - mean) / np.where(deviation > 0, deviation, 1), 0), np.float32)


def spread(scores: Floats) -> tuple[Floats, Floats]:
    """(n, 1) mean and standard deviation of every row; a deviation that is rounding alone is 0."""
    mean = scores.mean(axis=1, keepdims=True)
    deviation = (scores - mean).std(axis=1, keepdims=True)
    noise = 1e-5 * np.abs(scores).max(axis=1, keepdims=True, initial=1e-30)
    return mean, np.where(deviation > noise, deviation, np.float32(0))


def reciprocal_ranks(scores: Floats) -> Floats:
    """1 / (60 + rank), the best of rank 1; equal scores share their mean rank, so order adds nothing.

    Source: Cormack, Clarke, Büttcher (2009), Reciprocal rank fusion.

    Example:
        >>> (1 / reciprocal_ranks(np.array([[5.0, 7.0, 5.0]], dtype=np.float32)) - 60).round(3).tolist()
        [[2.5, 1.0, 2.5]]
    """
    from scipy.stats import rankdata

    return np.asarray(1 / (RRF + rankdata(-scores, axis=1)), np.float32)


BLENDS: dict[str, Blend] = {"weighted": standardised, "reciprocal-rank": reciprocal_ranks}


def simplex(n: int) -> npt.NDArray[np.float32]:
    """(p, n) weights that sum to 1, on a grid that is coarser the more there are; single members are on it.

    Example:
        >>> simplex(2)[[0, 1, -1]].tolist()
        [[0.0, 1.0], [0.05000000074505806, 0.949999988079071], [1.0, 0.0]]
    """
    steps = {1: 1, 2: 20, 3: 10, 4: 6}.get(n, 4)
    bars = np.array(list(combinations(range(steps + n - 1), n - 1)), dtype=np.int64)
    edges = np.hstack([np.full((len(bars), 1), -1), bars, np.full((len(bars), 1), steps + n - 1)])
    return ((np.diff(edges, axis=1) - 1) / steps).astype(np.float32)


def tuned_weights(scores: Sequence[ScoreBlock], holdout: Holdout, blend: Blend) -> Floats:
    """(2, n_members) the weights of the best mean NDCG@20, of cold items (row 0) and of warm items (row 1).

    Where a half was not chosen from, its members count alike.
    """
    found = np.full((2, len(scores)), 1 / len(scores), np.float32)
    for half, known in enumerate((False, True)):
        columns = np.flatnonzero(holdout.past.is_warm == known)
        if np.isin(holdout.item, columns).any() and len(scores) > 1:
            found[half] = _best(scores, holdout, blend, columns)
    return found


def _best(scores: Sequence[ScoreBlock], holdout: Holdout, blend: Blend, columns: Ints) -> Floats:
    grid = simplex(len(scores))
    chosen = np.isin(holdout.item, columns)
    owner, item = holdout.owner[chosen], np.searchsorted(columns, holdout.item[chosen])
    total = np.zeros(len(grid))
    judged = np.unique(owner)
    for start in range(0, len(judged), BLOCK):
        part = judged[start : start + BLOCK]
        mine = (owner >= part[0]) & (owner <= part[-1])
        total += _gains(scores, holdout, blend, columns, part, (np.searchsorted(part, owner[mine]), item[mine]), grid)
    return np.asarray(grid[int(total.argmax())])


def _gains(
    scores: Sequence[ScoreBlock],
    holdout: Holdout,
    blend: Blend,
    columns: Ints,
    part: Ints,
    wanted: tuple[Ints, Ints],
    grid: Floats,
) -> npt.NDArray[np.float64]:
    """(len(grid),) NDCG@20 under each weighting, summed over the users of ``part``."""
    users = holdout.users[part]
    blended = [blend(score(users)[:, columns]) for score in scores]
    seen = np.zeros((len(users), len(holdout.past.items)), bool)
    seen[stored(holdout.past.matrix, users)] = True
    relevant: Mask = np.zeros((len(users), len(columns)), bool)
    relevant[wanted] = True
    pool = np.zeros_like(relevant)
    for values in blended:
        found, _ = top_k(np.where(seen[:, columns], -np.inf, values).astype(np.float32), DEPTH)
        rows, ranks = np.nonzero(found >= 0)
        pool[rows, found[rows, ranks]] = True
    discount = 1 / np.log2(np.arange(2, K + 2))
    ideal = np.concatenate([[0], np.cumsum(discount)])[np.minimum(relevant.sum(axis=1), K)]
    gains = np.zeros(len(grid))
    for row in range(len(users)):
        candidates = np.flatnonzero(pool[row])
        values = np.stack([v[row, candidates] for v in blended])
        best = np.argsort(-(grid @ values), axis=1, kind="stable")[:, :K]
        hits = relevant[row, candidates][best]
        gains += (hits * discount[: hits.shape[1]]).sum(axis=1) / ideal[row]
    return gains
