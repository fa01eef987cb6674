"""A test part from pairs, and a recommender whose scores are known."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data import IdMap, Interactions
from recsys.topk import top_k


def later(pairs: Iterable[tuple[int, int]], weight: float | list[float] = 1.0) -> Interactions:
    frame = pd.DataFrame([(f"u{u}", f"i{i}") for u, i in pairs], columns=["user_id", "item_id"])
    times = pd.date_range("2024-01-01", periods=len(frame), freq="s")  # so that a pair may come twice
    return Interactions.from_frame(frame.assign(weight=weight, timestamp=times))


class Fixed:
    """A recommender with given scores that counts how often it is asked."""

    def __init__(self, scores: npt.ArrayLike, seen: npt.ArrayLike = False, **ids: IdMap) -> None:
        self.matrix = np.asarray(scores, np.float32)
        self.seen = np.broadcast_to(np.asarray(seen, bool), self.matrix.shape)
        self.users = ids.get("users") or IdMap.of(f"u{u}" for u in range(self.matrix.shape[0]))
        self.items = ids.get("items") or IdMap.of(f"i{i}" for i in range(self.matrix.shape[1]))
        self.asked: list[int] = []

    def top_items(self, user_idx: Any, *, k: int, exclude_seen: bool = True, allowed: Any = None) -> Any:
        self.asked.append(len(user_idx))
        scores = self.matrix[user_idx].copy()
        if exclude_seen:
            scores[self.seen[user_idx]] = -np.inf
        if allowed is not None:
            scores[:, ~allowed] = -np.inf
        return top_k(scores, k)
