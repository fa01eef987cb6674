"""How much of the exact lists an approximate search finds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recsys.errors import DataError
from recsys.topk import Ints


@dataclass(frozen=True)
class Recall:
    """How much of the exact lists an index finds, on a sample of users.

    Attributes:
        k: List length.
        n_users: Users in the sample.
        mean: Mean recall@k: share of a user's exact list that was found.
        low: Lower end of the 95 % interval of the mean (normal).
        high: Its upper end.
        worst: Lowest recall of a user.
        speedup: Seconds of exact search divided by seconds of this one, same users, same process.
        exact_share: Share of users answered by exact search because their list came short.
    """

    k: int
    n_users: int
    mean: float
    low: float
    high: float
    worst: float
    speedup: float
    exact_share: float

    def to_text(self) -> str:
        """One line for people."""
        return (
            f"recall@{self.k} {self.mean:.3f} (95 % {self.low:.3f} to {self.high:.3f}, worst user {self.worst:.2f}) "
            f"on {self.n_users} users; {self.speedup:.2f} times the speed of exact search; "
            f"{self.exact_share:.1%} of lists fell back to it"
        )


def compare(found: Ints, exact: Ints, k: int, speedup: float, exact_share: float) -> Recall:
    """`Recall` of (n, k) ``found`` against ``exact``, -1 past a short list; users without an exact list do not count.

    Raises:
        DataError: Nobody has an exact list.

    Example:
        >>> recall = compare(np.array([[1, 2], [3, 5]]), np.array([[2, 1], [3, 4]]), 2, 8.0, 0.0)
        >>> recall.mean, recall.worst
        (0.75, 0.5)
    """
    real = exact >= 0
    hit = (exact[:, :, None] == found[:, None, :]).any(axis=2) & real
    counts = real.sum(axis=1)
    each = hit.sum(axis=1)[counts > 0] / counts[counts > 0]
    if not len(each):
        raise DataError("no user of the sample has an exact list; every item is seen")
    half = 1.96 * each.std(ddof=1) / np.sqrt(len(each)) if len(each) > 1 else 0.0
    mean = float(each.mean())
    low, high = max(0.0, mean - float(half)), min(1.0, mean + float(half))
    return Recall(k, len(each), mean, low, high, float(each.min()), speedup, exact_share)
