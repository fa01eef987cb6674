"""What a model learns of itself from held-out interactions: how good its lists are, and when to stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from recsys.data.dataset import Dataset
from recsys.errors import ConfigError, DataError, unknown_name
from recsys.topk import Ints, Mask

K = 20
"""Length of the lists that are judged."""
MAX_USERS = 4096
"""Users judged at most, evenly spaced: the mean over them is precise enough to compare epochs."""

Floats = npt.NDArray[np.float32]
Judge = Literal["all", "halves"]
JUDGES: tuple[Judge, ...] = ("all", "halves")


class Lister(Protocol):
    """What is judged: the part of a fitted recommender that makes lists."""

    def top_items(
        self, user_idx: Ints, *, k: int, exclude_seen: bool = True, allowed: Mask | None = None
    ) -> tuple[Ints, Floats]:
        """(n, k) item indices and scores, best first, -1 and -inf past a short list."""
        ...


@dataclass(frozen=True, eq=False)
class Holdout:
    """The past to learn from, and what came after it to judge by.

    Attributes:
        past: The dataset without its latest interactions; users and items keep their indices.
        users: (n,) users with later interactions and a past, ascending.
        owner: (p,) the position in ``users`` of each later choice.
        item: (p,) what was chosen, new to its user; each pair once.
    """

    past: Dataset
    users: Ints
    owner: Ints
    item: Ints

    @classmethod
    def of(cls, dataset: Dataset, share: float) -> Holdout:
        """Hold out the latest ``share`` of the interactions.

        Raises:
            ConfigError: ``share`` is out of range.
            DataError: A timestamp is missing, or nothing is left on one side.
        """
        if not 0 < share < 1:
            raise ConfigError(f"a share to hold out must be in (0, 1), got {share}; .2 is usual")
        if np.isnat(dataset.timestamp).any():
            raise DataError("validation holds out the latest interactions, some have no timestamp; use validation = 0")
        n = len(dataset.timestamp)
        cut = np.sort(dataset.timestamp)[min(int(n * (1 - share)), n - 1)]
        early, useful = dataset.timestamp < cut, dataset.weight > 0
        past = _rows(dataset, early)
        known = np.diff(past.matrix.indptr) > 0
        late = ~early & useful & known[dataset.user_idx]
        user, item = _new_pairs(past, dataset.user_idx[late], dataset.item_idx[late])
        if not len(user) or not (past.weight > 0).any():
            raise DataError(f"validation = {share} leaves nothing to learn from or to judge by; use 0 or another share")
        users = np.unique(user)
        users = users[np.unique(np.linspace(0, len(users) - 1, min(len(users), MAX_USERS)).astype(np.int64))]
        judged = np.isin(user, users)
        return cls(past, users, np.searchsorted(users, user[judged]), item[judged])

    @property
    def cold_share(self) -> float:
        """How many of the later choices were of items that nobody had chosen before."""
        return float(1 - self.past.is_warm[self.item].mean())

    def ndcg(self, fitted: Lister, judge: Judge = "all") -> float:
        """Mean NDCG@20 of the judged users' lists; the ideal has every later choice first.

        Args:
            fitted: The model.
            judge: ``all``: lists over all items. ``halves``: the mean of two such values, of lists of the items that
                had been chosen before, and of lists of those that had not, each judged by choices of its own kind; a
                half that nothing was chosen from does not count. How warm and cold items stand against each other,
                which an offset sets, then decides nothing.
        """
        if judge not in JUDGES:
            raise ConfigError(unknown_name("judge", judge, JUDGES))
        if judge == "all":
            return self._ndcg(fitted, None)
        warm = self.past.is_warm
        halves = [mask for mask in (warm, ~warm) if mask[self.item].any()]
        return float(np.mean([self._ndcg(fitted, mask) for mask in halves]))

    def _ndcg(self, fitted: Lister, allowed: Mask | None) -> float:
        wanted = np.full(len(self.item), True) if allowed is None else allowed[self.item]
        judged, owner = np.unique(self.owner[wanted], return_inverse=True)
        lists, _ = fitted.top_items(self.users[judged], k=K, allowed=allowed)
        keys = np.sort(owner * len(self.past.items) + self.item[wanted])
        asked = np.arange(len(lists))[:, None] * len(self.past.items) + lists
        at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
        chosen = (keys[at] == asked) & (lists >= 0)
        discount = 1 / np.log2(np.arange(2, K + 2))
        ideal = np.concatenate([[0], np.cumsum(discount)])[np.minimum(np.bincount(owner), K)]
        return float(((chosen * discount).sum(axis=1) / ideal).mean())


@dataclass
class Patience:
    """Stops training when a score has not risen for some epochs.

    Attributes:
        score: The current model's, higher is better.
        patience: Epochs without a new best after which to stop.
        scores: So far, one an epoch.

    Example:
        >>> falling = iter([0.2, 0.3, 0.3, 0.1, 0.4])
        >>> watch = Patience(lambda: next(falling), patience=2)
        >>> [watch() for _ in range(4)], watch.best_epoch
        ([False, False, False, True], 2)
    """

    score: Callable[[], float]
    patience: int
    scores: list[float] = field(default_factory=list)

    def __call__(self) -> bool:
        """Judge an epoch; whether to stop."""
        self.scores.append(self.score())
        return len(self.scores) - self.best_epoch >= self.patience

    @property
    def best_epoch(self) -> int:
        """Counted from 1."""
        return int(np.argmax(self.scores)) + 1


def _rows(dataset: Dataset, mask: Mask) -> Dataset:
    return replace(
        dataset,
        user_idx=dataset.user_idx[mask],
        item_idx=dataset.item_idx[mask],
        weight=dataset.weight[mask],
        timestamp=dataset.timestamp[mask],
    )


def _new_pairs(past: Dataset, user: Ints, item: Ints) -> tuple[Ints, Ints]:
    """Distinct pairs that the past does not hold."""
    n_items, coo = len(past.items), past.matrix.tocoo()
    keys = np.setdiff1d(user * n_items + item, coo.coords[0].astype(np.int64) * n_items + coo.coords[1])
    return keys // n_items, keys % n_items
