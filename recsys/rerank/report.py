"""What a re-ranking step changed, and what that cost in score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.data.ids import IdMap
from recsys.rerank.lists import Ints, Lists

COLUMNS = ("step", "lists", "changed", "items_in", "items_out", "moved", "relevance_before", "relevance_after", "cost")


@dataclass(frozen=True, eq=False)
class StepReport:
    """One step: the first ``k`` positions before and after.

    Attributes:
        step: What was done, in words.
        before: Lists before, at most k wide.
        after: Lists after, at most k wide.
        items: Items in index order.
    """

    step: str
    before: Lists
    after: Lists
    items: IdMap

    @cached_property
    def _moves(self) -> tuple[Ints, Ints]:
        """(n, k) of each item after: its place before or -1; and of each before: its place after or -1."""
        return _places(self.before.row, self.after.row), _places(self.after.row, self.before.row)

    @property
    def changed(self) -> float:
        """Share of lists that differ."""
        came, went = self._moves
        place = np.arange(came.shape[1])
        differs = ((self.after.row >= 0) & (came != place)).any(axis=1)
        gone = ((self.before.row >= 0) & (went < 0)).any(axis=1)
        return float((differs | gone).mean()) if len(came) else 0.0

    @property
    def items_in(self) -> int:
        """Items that came into a list."""
        return int(np.count_nonzero((self.after.row >= 0) & (self._moves[0] < 0)))

    @property
    def items_out(self) -> int:
        """Items that left one."""
        return int(np.count_nonzero((self.before.row >= 0) & (self._moves[1] < 0)))

    @property
    def moved(self) -> float:
        """Mean positions by which the items that stayed moved; 0 when none stayed."""
        came = self._moves[0]
        distance = np.abs(came - np.arange(came.shape[1]))[came >= 0]
        return float(distance.mean()) if len(distance) else 0.0

    @property
    def relevance(self) -> tuple[float, float]:
        """Mean over lists of the summed relevance (the model's, 0 to 1) of their items, before and after."""
        if not len(self.before):
            return 0.0, 0.0
        return float(self.before.relevance.sum(axis=1).mean()), float(self.after.relevance.sum(axis=1).mean())

    @property
    def cost(self) -> float:
        """Share of the relevance that was given up; negative when a step won some back, 0 when there was none."""
        before, after = self.relevance
        return 1 - after / before if before > 0 else 0.0

    def to_frame(self) -> pd.DataFrame:
        """One row a change: user_id, item_id, position before and after (missing when not in the list)."""
        came, went = self._moves
        place = np.arange(came.shape[1])
        user, rank = np.nonzero((self.after.row >= 0) & (came != place))
        was, now = came[user, rank], rank
        gone_user, gone_rank = np.nonzero((self.before.row >= 0) & (went < 0))
        item = np.concatenate([self.after.item[user, rank], self.before.item[gone_user, gone_rank]])
        return pd.DataFrame(
            {
                "step": self.step,
                "user_id": self.after.user_id[np.concatenate([user, gone_user])],
                "item_id": self.items.decode(item),
                "before": _ranks(np.concatenate([was, gone_rank])),
                "after": _ranks(np.concatenate([now, np.full(len(gone_user), -1)])),
            }
        )

    def to_row(self) -> dict[str, Any]:
        """The figures, named as `COLUMNS`."""
        before, after = self.relevance
        figures = (self.step, len(self.before), self.changed, self.items_in, self.items_out, self.moved)
        return dict(zip(COLUMNS, (*figures, before, after, self.cost), strict=True))

    def to_text(self) -> str:
        """One line for people."""
        cost = round(self.cost, 4) + 0.0  # no -0.0 %
        return (
            f"{self.step}: {self.changed:.0%} of {len(self.before)} lists changed, {self.items_in} items in, "
            f"{self.items_out} out, the others moved {self.moved:.1f} positions; cost {cost:.1%} of relevance"
        )


def summary(reports: Sequence[StepReport]) -> pd.DataFrame:
    """One row a step."""
    return pd.DataFrame([r.to_row() for r in reports], columns=list(COLUMNS))


def _places(of: Ints, wanted: Ints) -> Ints:
    """(n, k) place in row i of ``of`` of each ``wanted`` entry, -1 where it is not there."""
    place = np.full(int(max(of.max(initial=-1), wanted.max(initial=-1))) + 2, -1, np.int64)
    user, rank = np.nonzero(of >= 0)
    place[of[user, rank]] = rank
    return place[wanted]  # -1 reads the last entry, which is -1


def _ranks(position: npt.NDArray[Any]) -> Any:
    """1-based, missing where negative."""
    return pd.Series(position + 1).where(position >= 0).astype("Int64").array
