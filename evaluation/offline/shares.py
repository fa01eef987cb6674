"""What the lists of all users look like together, counted block by block."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from evaluation.metrics import coverage

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float32]


@dataclass(eq=False)
class Tally:
    """Counts over all lists of one model.

    Attributes:
        allowed: (n_items,) the candidates.
        warm: (n_items,) items with train interactions; None where nobody knows.
        ks: List lengths.
    """

    allowed: Mask
    warm: Mask | None
    ks: tuple[int, ...]
    n_empty: int = 0
    shown: dict[int, Mask] = field(default_factory=dict)
    counts: Counter[tuple[str, int]] = field(default_factory=Counter)

    def add(self, lists: Ints, scores: Scores) -> None:
        """Count a block of lists."""
        self.n_empty += int((lists < 0).all(axis=1).sum())
        for k in self.ks:
            filled = lists[:, :k] >= 0
            listed = lists[:, :k][filled]
            self.shown.setdefault(k, np.zeros(len(self.allowed), dtype=bool))[listed] = True
            self.counts["users", k] += len(lists)
            self.counts["listed", k] += len(listed)
            self.counts["undecided", k] += int(_undecided(scores[:, :k], filled).sum())
            if self.warm is not None:
                self.counts["cold", k] += int((~self.warm[listed]).sum())

    def shares(self, *, mixed: bool) -> dict[tuple[str, int], float]:
        """(share, k) → value; ``cold_share`` only where warm and cold items are ``mixed``."""
        found = {}
        for k, shown in self.shown.items():
            users, listed = self.counts["users", k], self.counts["listed", k]
            found["coverage", k] = coverage(np.flatnonzero(shown), int(self.allowed.sum()))
            found["filled", k] = listed / (users * k)
            found["undecided", k] = self.counts["undecided", k] / users
            if self.warm is not None and mixed:
                found["cold_share", k] = self.counts["cold", k] / max(listed, 1)
        return found


def _undecided(scores: Scores, filled: Mask) -> Mask:
    """Lists of two items or more whose scores are all equal."""
    highest = np.where(filled, scores, -np.inf).max(axis=1)
    lowest = np.where(filled, scores, np.inf).min(axis=1)
    return np.asarray((filled.sum(axis=1) >= 2) & (highest == lowest))
