"""Which items may be listed: an explicit, dated input, and whether it gives the answer away.

A pool made of what was bought, before or later, tells a model which of the items that nobody has bought yet will be:
all of them. Lists of nothing but those may then beat honest ones: what they know is how the pool was made.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.splits import Split
from recsys.data.cells import parse_times
from recsys.data.ids import IdMap
from recsys.errors import DataError

Mask = npt.NDArray[np.bool_]

LEAK = 0.95
"""From this share of unseen candidates that were chosen later on, the pool is said to give the answer away."""
FEW = 10
"""Of fewer unseen candidates nothing is said."""


@dataclass(frozen=True, eq=False)
class Candidates:
    """The items that may be listed.

    Attributes:
        allowed: (n_items,) whether an item is one.
        source: Where the pool comes from, for people.
        as_of: Day at which an item had to be available; None where nobody says.
        n_undated: Items without a date, which are candidates.

    Example:
        >>> items = IdMap.of(["a", "b", "c"])
        >>> dates = ["2024-01-01", "2024-03-01", None]
        >>> pool = Candidates.available(items, dates, as_of="2024-02-01", source="launched")
        >>> pool.allowed.tolist(), pool.n_undated
        ([True, False, True], 1)
    """

    allowed: Mask
    source: str
    as_of: str | None = None
    n_undated: int = 0

    def __post_init__(self) -> None:
        if not self.allowed.any():
            raise DataError(f"no item is a candidate: {self.source}, as of {self.as_of}; take a later day")

    @classmethod
    def whole(cls, items: IdMap) -> Candidates:
        """The catalogue as it is."""
        return cls(np.ones(len(items), dtype=bool), "the whole catalogue")

    @classmethod
    def of_ids(cls, items: IdMap, ids: Iterable[str], *, source: str, as_of: str | None = None) -> Candidates:
        """Those of a list.

        Raises:
            UnknownIdError: An id is not in ``items``.
        """
        allowed = np.zeros(len(items), dtype=bool)
        allowed[items.encode(ids)] = True
        return cls(allowed, source, as_of)

    @classmethod
    def available(cls, items: IdMap, dates: Iterable[Any], *, as_of: str, source: str) -> Candidates:
        """Those that were there on a day; items without a date always were.

        Args:
            items: In index order.
            dates: (n_items,) day from which each is available.
            as_of: The day, ISO 8601.
            source: What the dates are.

        Raises:
            DataError: Another number of dates, or none can be read.
        """
        column = pd.Series(list(dates), dtype=object)
        times = parse_times(column)
        undated = np.isnat(times)
        if len(times) != len(items) or undated.all():
            raise DataError(
                f"{source} must hold a date for each of {len(items)} items, got {int((~undated).sum())} readable ones"
            )
        return cls(undated | (times <= np.datetime64(as_of, "ns")), source, as_of, int(undated.sum()))

    def check(self, parts: Split, items: IdMap) -> dict[str, Any]:
        """What the pool knows of the future, as plain values.

        ``unseen`` counts candidates without interactions before the split; the two shares say how many of those and of
        the others were chosen later. ``gives_the_answer_away`` is None where too few are unseen to say; ``after_train``
        says whether the pool is of a day when train was over, None where either has no day.
        """
        seen, later = _among(items, parts.known.frame["item_id"]), _among(items, parts.later_items)
        unseen_pool, seen_pool = self.allowed & ~seen, self.allowed & seen
        unseen_share, seen_share = (_share(later, pool) for pool in (unseen_pool, seen_pool))
        unseen, train_last = int(unseen_pool.sum()), parts.about.get("train_last")
        return {
            "source": self.source,
            "as_of": self.as_of,
            "after_train": None if self.as_of is None or train_last is None else self.as_of > train_last,
            "candidates": int(self.allowed.sum()),
            "undated": self.n_undated,
            "unseen": unseen,
            "unseen_chosen_later": unseen_share,
            "seen_chosen_later": seen_share,
            "gives_the_answer_away": None if unseen < FEW or unseen_share is None else unseen_share >= LEAK,
        }


def candidate_notes(found: dict[str, Any]) -> list[str]:
    """What `Candidates.check` found, in words."""
    pool = f"Candidates: {found['source']}" + (f", as of {found['as_of']}" if found["as_of"] else ", of no stated day")
    pool += f"; {found['candidates']} items, {found['unseen']} of them unseen before the split."
    if found.get("after_train"):
        pool += " That day is after the end of train: earlier test lists may hold what was not there yet."
    if not found["unseen"]:
        return [pool]
    share = f"{found['unseen_chosen_later']:.0%} of the unseen candidates were chosen later"
    if found["seen_chosen_later"] is not None:
        share += f", {found['seen_chosen_later']:.0%} of the others"
    if not found["gives_the_answer_away"]:
        return [pool, f"{share}; the nearer the first is to all of them, the more being unseen gives the answer away."]
    leak = (
        f"{share}: the pool gives the answer away, as it looks drawn from what was chosen. Being unseen is then a sure "
        "sign; do not read numbers over all items, and judge warm and cold items apart."
    )
    return [pool, leak]


def _among(items: IdMap, ids: Iterable[str]) -> Mask:
    found = np.zeros(len(items), dtype=bool)
    found[items.encode(np.unique(np.asarray(ids, dtype=object)), on_unknown="skip")] = True
    return found


def _share(later: Mask, pool: Mask) -> float | None:
    return float(later[pool].mean()) if pool.any() else None
