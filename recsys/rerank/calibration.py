"""Calibration: a list shows categories or styles in the shares in which the user has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from recsys.errors import ConfigError
from recsys.rerank.known import Known
from recsys.rerank.lists import Doubles, Ints, Lists, choose

SMOOTHING = 0.01
"""Steck's alpha: so much of p is mixed into q, which keeps the divergence finite."""


@dataclass(frozen=True)
class Calibrate:
    """Greedy choice of ``trade · Σ value - (1 - trade) · KL(p, q)``, p the user's shares and q the list's.

    Users who have nothing (or nothing with a group) keep their list.

    Attributes:
        by: Catalogue column or feature block that groups items; see `Known.groups`.
        trade: 1 keeps the order of values, 0 calibrates alone.

    Source: Steck (2018), Calibrated Recommendations, equations 3 to 6.
    """

    kind: ClassVar[str] = "calibrate"

    by: str
    trade: float = 0.7

    def __post_init__(self) -> None:
        if not 0 <= self.trade <= 1:
            raise ConfigError(f"calibrate: trade must lie in [0, 1], got {self.trade}; 1 keeps the order")

    def __call__(self, lists: Lists, known: Known, k: int) -> Lists:
        """The first ``k`` chosen anew."""
        group, names = known.groups(self.by)
        target = known.shares(lists, group, len(names))
        code = np.where(lists.real, group[np.maximum(lists.item, 0)], -1)
        who = np.flatnonzero(target.sum(axis=1) > 0)
        chosen = np.full((len(lists), min(k, lists.item.shape[1])), -1, np.int64)
        chosen[who] = calibrated(lists.value[who], code[who], target[who], chosen.shape[1], self.trade)
        return lists.first(chosen)


def calibrated(value: Doubles, group: Ints, target: Doubles, k: int, trade: float) -> Ints:
    """Positions chosen by `Calibrate`.

    Args:
        value: (n, width), -inf where there is no candidate.
        group: (n, width) group of each candidate, -1 for none (it counts towards no share).
        target: (n, n_groups) p, rows sum to 1.
        k: How many to choose, at most width.
        trade: Weight of value.

    Returns:
        (n, k) positions in the order chosen, -1 where candidates ran out; of equal ones the first.

    Example:
        >>> value, group = np.array([[1.0, 0.9, 0.8, 0.1]]), np.array([[0, 0, 0, 1]])
        >>> calibrated(value, group, np.array([[0.5, 0.5]]), 2, 0.5).tolist()
        [[0, 3]]
    """
    n, _ = value.shape
    rows, chosen, left = np.arange(n), np.full((n, k), -1, np.int64), value > -np.inf
    worth = np.where(left, value, 0.0)
    counts = np.zeros((n, target.shape[1]))
    for step in range(k):
        change = _divergence_change(counts, target, step + 1)
        column = np.where(group >= 0, group, target.shape[1])
        gain = trade * worth - (1 - trade) * np.take_along_axis(change, column, axis=1) if trade < 1 else worth
        best = choose(gain, left, chosen, step)
        counted = rows[(chosen[:, step] >= 0) & (group[rows, best] >= 0)]
        counts[counted, group[counted, best[counted]]] += 1
    return chosen


def _divergence_change(counts: Doubles, target: Doubles, size: int) -> Doubles:
    """(n, n_groups + 1) KL(p, q) after one more item of each group (last: of none), without the part common to all."""
    now = (1 - SMOOTHING) * counts / size + SMOOTHING * target
    more = now + (1 - SMOOTHING) / size
    with np.errstate(divide="ignore", invalid="ignore"):
        kept = np.where(target > 0, target * np.log(now), 0.0)
        gained = np.where(target > 0, target * np.log(more), 0.0) - kept
    total = kept.sum(axis=1, keepdims=True)
    return np.concatenate([-(total + gained), -total], axis=1)
