"""Ranked candidates as rectangles, so that a re-ranking loops over positions and not over users."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data.ids import IdMap
from recsys.data.recommendations import Recommendations
from recsys.errors import DataError

Ints = npt.NDArray[np.int64]
Doubles = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Lists:
    """Candidates of users in their present order, padded on the right.

    Attributes:
        user_id: (n,) whose lists these are.
        item: (n, width) item index, -1 past a short list.
        row: (n, width) row of the recommendations they came from, -1 past a short list.
        relevance: (n, width) the model's score scaled to [0, 1] within a user's candidates: 1 is the best, 0 the last.
        value: (n, width) what steps maximise: relevance and boosts; -inf past a short list.

    Example:
        >>> recs = Recommendations.of(["u", "u", "v"], ["a", "b", "b"], [4.0, 2.0, 7.0], [1, 2, 1])
        >>> lists = Lists.of(recs, IdMap.of(["a", "b"]))
        >>> lists.item.tolist(), lists.relevance.tolist()
        ([[0, 1], [1, -1]], [[1.0, 0.0], [1.0, 0.0]])
    """

    user_id: npt.NDArray[Any]
    item: Ints
    row: Ints
    relevance: Doubles
    value: Doubles

    @classmethod
    def of(cls, recs: Recommendations, items: IdMap) -> Lists:
        """From recommendations, users in order of appearance.

        Raises:
            DataError: A user's ranks are not 1, 2, 3, …: the same user was asked twice, or rows are missing.
            UnknownIdError: An item is unknown.
        """
        user, user_id = pd.factorize(recs.user_id)
        order = np.lexsort((recs.rank, user))
        counts = np.bincount(user, minlength=len(user_id))
        place = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
        wrong = np.flatnonzero(recs.rank[order] != place + 1)
        if len(wrong):
            who = recs.user_id[order[wrong[0]]]
            raise DataError(f"ranks of user {who!r} are not 1, 2, 3, …; give every user once, with a whole list")
        row = np.full((len(user_id), int(counts.max(initial=0))), -1, np.int64)
        row[user[order], place] = order
        item = np.where(row >= 0, items.encode(recs.item_id)[row], -1) if len(recs) else row.copy()
        relevance = _scaled(np.where(row >= 0, recs.score[row], np.nan) if len(recs) else row.astype(np.float64))
        return cls(np.asarray(user_id, object), item, row, relevance, np.where(row >= 0, relevance, -np.inf))

    def __len__(self) -> int:
        return len(self.user_id)

    @property
    def real(self) -> Mask:
        """(n, width) where there is an item."""
        return np.asarray(self.item >= 0)

    def take(self, position: Ints) -> Lists:
        """The candidates at these (n, m) positions; -1 leaves a gap, and gaps must be last."""
        gap, safe = position < 0, np.maximum(position, 0)
        columns: dict[str, Any] = {}
        for name, empty in (("item", -1), ("row", -1), ("relevance", 0.0), ("value", -np.inf)):
            columns[name] = np.take_along_axis(getattr(self, name), safe, axis=1)
            columns[name][gap] = empty
        return replace(self, **columns)

    def first(self, chosen: Ints) -> Lists:
        """The candidates at the (n, m) ``chosen`` positions (-1 for none) first, the others after them as they were."""
        n, width = self.item.shape
        place = np.tile(np.arange(width) + chosen.shape[1], (n, 1))
        user, rank = np.nonzero(chosen >= 0)
        place[user, chosen[user, rank]] = rank
        return self.take(np.argsort(place, axis=1, kind="stable"))

    def keep(self, mask: Mask) -> Lists:
        """Only the candidates where (n, width) ``mask`` holds."""
        mask = mask & self.real
        order = np.argsort(~mask, axis=1, kind="stable")
        return self.take(np.where(np.take_along_axis(mask, order, axis=1), order, -1))

    def by_value(self, value: Doubles) -> Lists:
        """The same candidates with other values, best first; of equal ones the order stays."""
        value = np.where(self.real, value, -np.inf)
        return replace(self, value=value).take(np.argsort(-value, axis=1, kind="stable"))

    def top(self, k: int) -> Lists:
        """The first ``k`` positions."""
        return self.take(np.tile(np.arange(min(k, self.item.shape[1])), (len(self), 1)))

    def recommendations(self, recs: Recommendations) -> Recommendations:
        """As rows, with the scores and presentations of ``recs`` and new ranks."""
        user, rank = np.nonzero(self.real)
        row = self.row[user, rank]
        return Recommendations(
            recs.user_id[row], recs.item_id[row], recs.score[row], rank.astype(np.int64) + 1, recs.presentation[row]
        )


def choose(gain: Doubles, left: Mask, chosen: Ints, step: int) -> Ints:
    """(n,) the position of highest ``gain`` among those ``left``, noted in ``chosen`` and crossed out in ``left``.

    Where none is left, ``chosen`` keeps its -1 and the answer means nothing.
    """
    rows = np.arange(len(gain))
    best = np.where(left, gain, -np.inf).argmax(axis=1) if gain.shape[1] else np.zeros(len(gain), np.int64)
    some = left[rows, best]
    chosen[some, step] = best[some]
    left[rows, best] = False
    return np.asarray(best, np.int64)


def _scaled(score: Doubles) -> Doubles:
    """Rows scaled to [0, 1], NaN becomes 0; where all scores are equal, 1."""
    missing = np.isnan(score)
    low = np.where(missing, np.inf, score).min(axis=1, keepdims=True, initial=np.inf)
    high = np.where(missing, -np.inf, score).max(axis=1, keepdims=True, initial=-np.inf)
    span = np.where(high > low, high - low, 1.0)
    return np.where(missing, 0.0, np.where(high > low, (score - low) / span, 1.0))
