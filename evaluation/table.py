"""Lists of any other library, judged on equal terms: the same users, candidates and seen items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.metrics import found_in
from recsys.data.dataset import Dataset
from recsys.data.ids import IdMap
from recsys.errors import DataError
from recsys.models.ties import hash_order

Ints = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TableRanker:
    """Ranked items per user, from a table of recommendations; goes where `evaluate` takes a model.

    What a user had in train is taken out as it is from everybody's lists, and so are items outside a segment. A
    table that stops after a few items then gives short lists, which count as filled with misses: export long lists
    (``filled`` in the results says how short they are). Users without rows have empty lists.

    Attributes:
        users: Users in index order.
        items: Items in index order.
        ends: (n_users + 1,) rows of user u are ``ends[u]:ends[u + 1]``.
        listed: (n,) item indices, best first within a user.
        score: (n,) float32, higher is better; minus the rank where the table has no score.
        seen: (m,) sorted keys user × n_items + item of what users had in train.
        about: ``rows`` of the table, ``rows_of_unknown_ids`` that were left out, ``users_with_rows``, and ``users``.

    Example:
        >>> from recsys.data import Catalog, Interactions
        >>> catalog = Catalog.from_frame(pd.DataFrame({"item_id": ["a", "b", "c"]}))
        >>> data = Dataset.of(Interactions.from_frame(pd.DataFrame({"user_id": ["u"], "item_id": ["a"]})), catalog)
        >>> table = pd.DataFrame({"user_id": "u", "item_id": ["a", "c", "b"], "rank": [1, 2, 3]})
        >>> ranker = TableRanker.from_frame(table, data)
        >>> data.items.decode(ranker.top_items(np.array([0]), k=2)[0][0]).tolist()  # "a" was bought before
        ['c', 'b']
    """

    users: IdMap
    items: IdMap
    ends: Ints
    listed: Ints
    score: Scores
    seen: Ints
    about: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        train: Dataset,
        *,
        columns: Mapping[str, str] | None = None,
        on_unknown: Literal["raise", "skip"] = "raise",
    ) -> TableRanker:
        """From columns user_id, item_id and rank (1 is best) or score; rank decides where both are there.

        Args:
            frame: One row a recommendation, in any order; ids are compared as text. Equal scores are ranked by a hash
                of the item id, as in every model.
            train: What the other models were fitted on.
            columns: Our column name → theirs, such as ``{"user_id": "user", "score": "prediction"}``.
            on_unknown: ``skip`` leaves out rows of users and items that ``train`` does not know, and counts them.

        Raises:
            DataError: A column is missing, a value is not finite, an item is twice in a list, two items of a list
                have one rank, or no row is of known ids.
            UnknownIdError: A user or item that ``train`` does not know, where that is refused.
        """
        frame = _renamed(frame, columns)
        value, n_rows = _value(frame), len(frame)
        if on_unknown == "skip":
            known = (_positions(train.users, frame, "user_id") >= 0) & (_positions(train.items, frame, "item_id") >= 0)
            if not known.any():
                raise DataError(f"none of {n_rows} recommendations is of a known user and item; are ids as in train?")
            frame, value = frame[known], value[known]
        user = train.users.encode(_text(frame, "user_id"))
        item = train.items.encode(_text(frame, "item_id"))
        order = np.lexsort((np.argsort(hash_order(train.items))[item], -value, user))
        user, item, value = user[order], item[order], value[order]
        _refuse_repeats(user * np.int64(len(train.items)) + item, frame, order)
        if "rank" in frame:
            _refuse_ties(user, value, frame, order)
        counts = np.bincount(user, minlength=len(train.users))
        ends = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        matrix = train.matrix.tocoo()
        had = matrix.data > 0
        keys = matrix.row[had].astype(np.int64) * len(train.items) + matrix.col[had]
        about = {"rows": n_rows, "rows_of_unknown_ids": n_rows - len(user)}
        about |= {"users_with_rows": int((counts > 0).sum()), "users": len(train.users)}
        return cls(train.users, train.items, ends, item, value.astype(np.float32), np.sort(keys), about)

    def top_items(
        self, user_idx: Ints, *, k: int, exclude_seen: bool = True, allowed: Mask | None = None
    ) -> tuple[Ints, Scores]:
        """(n, k) item indices and scores, best first, -1 and -inf past a short list."""
        counts = np.diff(self.ends)[user_idx]
        row = np.repeat(np.arange(len(user_idx)), counts)
        within = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
        place = np.repeat(self.ends[user_idx], counts) + within
        item = self.listed[place]
        keep = np.ones(len(item), dtype=bool) if allowed is None else allowed[item]
        if exclude_seen:
            keep = keep & ~found_in(self.seen, np.repeat(user_idx, counts) * np.int64(len(self.items)) + item)
        row, item, place = row[keep], item[keep], place[keep]
        first = np.searchsorted(row, np.arange(len(user_idx)))
        rank = np.arange(len(row)) - first[row]
        row, item, place, rank = row[rank < k], item[rank < k], place[rank < k], rank[rank < k]
        lists, scores = np.full((len(user_idx), k), -1, np.int64), np.full((len(user_idx), k), -np.inf, np.float32)
        lists[row, rank], scores[row, rank] = item, self.score[place]
        return lists, scores


def _renamed(frame: pd.DataFrame, columns: Mapping[str, str] | None) -> pd.DataFrame:
    missing = [theirs for theirs in (columns or {}).values() if theirs not in frame]
    if missing:
        raise DataError(
            f"recommendations have no column {missing[0]!r}; there are {', '.join(map(str, frame.columns))}"
        )
    return frame.rename(columns={theirs: ours for ours, theirs in (columns or {}).items()})


def _text(frame: pd.DataFrame, column: str) -> npt.NDArray[np.object_]:
    return frame[column].astype(str).to_numpy(dtype=object)


def _positions(ids: IdMap, frame: pd.DataFrame, column: str) -> Ints:
    return ids.positions(_text(frame, column))


def _value(frame: pd.DataFrame) -> npt.NDArray[np.float64]:
    """Higher is better, whichever column says it."""
    missing = [name for name in ("user_id", "item_id") if name not in frame]
    if missing or not {"rank", "score"} & set(frame.columns):
        raise DataError(
            f"recommendations need columns user_id, item_id and rank or score, got {', '.join(map(str, frame.columns))}"
        )
    name = "rank" if "rank" in frame else "score"
    value = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=np.float64)
    bad = ~np.isfinite(value)
    if bad.any():
        row = int(np.argmax(bad))
        raise DataError(f"{name} must be a finite number, got {str(frame[name].iloc[row])!r} in row {row}")
    return -value if name == "rank" else value


def _refuse_repeats(keys: Ints, frame: pd.DataFrame, order: Ints) -> None:
    by_key = np.argsort(keys, kind="stable")
    twice = by_key[1:][np.diff(keys[by_key]) == 0]
    if len(twice):
        row = frame.iloc[int(order[twice[0]])]
        raise DataError(f"user {row['user_id']!r} is recommended {row['item_id']!r} more than once; keep the best row")


def _refuse_ties(user: Ints, value: npt.NDArray[np.float64], frame: pd.DataFrame, order: Ints) -> None:
    same = (np.diff(user) == 0) & (np.diff(value) == 0)
    if same.any():
        row = frame.iloc[int(order[1:][same][0])]
        raise DataError(f"user {row['user_id']!r} has two items of rank {row['rank']}; ranks must be distinct")
