"""Vectors for users that training never met, from nothing but what they have."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
import torch

from recsys.models.bags import Bag
from recsys.models.base import Scores
from recsys.models.batches import Shard
from recsys.models.crew import one_thread, spans
from recsys.models.losses import softmax
from recsys.models.optimisers import AdaGrad

CELLS = 2**22
STEPS, RATE = 60, 0.3


def fold_in(history: sp.csr_array, items: Scores, start: Scores, l2: float) -> Scores:
    """User vectors under which the user's items are the likeliest of all, the items' vectors held fixed.

    Minimises the softmax loss of `recsys.models.losses` plus l2 / 2 times the squared distance to ``start``
    for each pair: a convex problem in as many unknowns as there are factors.

    Args:
        history: (n, n_items) positive weights.
        items: (n_items, factors + 1) item vectors, the last column their bias.
        start: (factors + 1,) the average user, where everybody begins; users without items stay there.
        l2: Pull towards ``start``.

    Returns:
        (n, factors + 1) vectors; the bias is ``start``'s.

    Example:
        >>> items = np.array([[1.0, 0.0], [-1.0, 0.0]], dtype=np.float32)
        >>> found = fold_in(sp.csr_array(np.array([[1.0, 0.0]])), items, np.zeros(2, np.float32), 0.1)
        >>> bool(found[0, 0] > 0)
        True
    """
    out = np.tile(np.asarray(start, np.float32), (history.shape[0], 1))
    active = np.flatnonzero(np.diff(history.indptr))
    vectors = torch.from_numpy(np.ascontiguousarray(items, dtype=np.float32))
    with one_thread():
        for part in spans(len(active), max(1, CELLS // max(len(items), 1))):
            rows = active[part]
            out[rows] = _solve(Bag.of(history[rows]), vectors, torch.from_numpy(out[rows]), l2).numpy()
    return out


def _solve(mine: Bag, items: torch.Tensor, person: torch.Tensor, l2: float) -> torch.Tensor:
    start, optimiser = person.clone(), AdaGrad()
    pull = l2 * mine.starts.diff()[:, None]
    for _ in range(STEPS):
        shard = Shard(person, mine.row, mine.column, mine.value, mine, 1.0, softmax, user_bias=False)
        gradient = shard.score(items, items, every=True).person
        gradient[:, :-1] += pull * (person - start)[:, :-1]
        optimiser.step(person, None, gradient, RATE, 0.0)
    return person
