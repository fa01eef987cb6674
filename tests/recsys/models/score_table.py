"""A recommender that is its scores."""

import numpy as np

from recsys.topk import top_k


class Table:
    """Lists from a score matrix over all users."""

    def __init__(self, past, scores):
        self.scores = np.where(past.matrix.toarray() > 0, -np.inf, scores).astype(np.float32)

    def top_items(self, user_idx, *, k, exclude_seen=True, allowed=None):
        scores = self.scores[user_idx].copy()
        if allowed is not None:
            scores[:, ~allowed] = -np.inf
        return top_k(scores, k)
