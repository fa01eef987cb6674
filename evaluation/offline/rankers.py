"""What comparisons need beside the models of interest: biases alone, and lists without what users really had."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from evaluation.metrics import found_in
from evaluation.offline.groups import Groups
from evaluation.offline.one_pass import Ranker
from recsys.data.dataset import Dataset
from recsys.data.ids import IdMap
from recsys.errors import ConfigError, DataError
from recsys.models.ties import hash_order, top_k_fair
from recsys.retrieval.factors import Factors

Ints = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ItemScores:
    """One score an item, the same for everybody.

    Attributes:
        users: Users in index order.
        items: Items in index order.
        score: (n_items,) float32, higher is better.
        seen: (n_users, n_items) CSR; a stored entry is what a user had.
    """

    users: IdMap
    items: IdMap
    score: Scores
    seen: sp.csr_array

    @classmethod
    def bias_only(cls, train: Dataset, groups: Groups | None = None, *, shape: float = 1.0) -> ItemScores:
        """Items by their bias alone: how many users had them, drawn towards the mean m of the item's group.

            b_i = m (n_i + shape) / (m + shape)

        the posterior mean of a Poisson rate under a gamma prior of mean m (Gelman et al., Bayesian data analysis,
        section 2.6). An item that nobody had stands a little below the mean of its group, so cold items have an order;
        without groups they are all alike, and warm ones are in the order of popularity.

        Args:
            train: What is learned from.
            groups: Of items, such as their category; an item in none has the mean of all.
            shape: Of the prior, > 0: the larger, the more a group says of its items; 1 is an exponential prior.

        Raises:
            ConfigError: ``shape`` is not positive.
            DataError: ``groups`` are not of these items.

        Example:
            >>> import pandas as pd
            >>> from recsys.data import Catalog, Interactions
            >>> catalog = Catalog.from_frame(pd.DataFrame({"item_id": ["a", "b", "c"], "category": ["x", "x", "y"]}))
            >>> log = pd.DataFrame({"user_id": ["u", "v"], "item_id": ["a", "a"]})
            >>> train = Dataset.of(Interactions.from_frame(log), catalog)
            >>> kinds = Groups.of_values("category", "items", catalog.frame["category"])
            >>> ItemScores.bias_only(train, kinds).score.tolist()  # b is cold, in a group that sells
            [1.5, 0.5, 0.0]
        """
        if not 0 < shape < np.inf:
            raise ConfigError(f"shape must be > 0, got {shape}")
        seen = _had(train)
        count = np.bincount(seen.indices, minlength=len(train.items)).astype(np.float64)
        codes = np.zeros(len(count), np.int64) if groups is None else groups.codes + 1
        if codes.shape != count.shape or (groups is not None and groups.of != "items"):
            raise DataError(f"bias-only needs groups of the {len(count)} items")
        sizes = np.bincount(codes)
        mean = (np.bincount(codes, weights=count) / np.maximum(sizes, 1))[codes]
        mean[codes == 0] = count.mean()
        score = mean * (count + shape) / (mean + shape)
        return cls(train.users, train.items, score.astype(np.float32), seen)

    def top_items(
        self, user_idx: Ints, *, k: int, exclude_seen: bool = True, allowed: Mask | None = None
    ) -> tuple[Ints, Scores]:
        """(n, k) item indices and scores, best first, -1 and -inf past a short list."""
        return top_k_fair(
            Factors(np.ones((len(self.users), 1), np.float32), self.score[:, None]),
            user_idx,
            k,
            n_columns=len(self.items),
            order=lambda: hash_order(self.items),
            seen=self.seen if exclude_seen else None,
            allowed=allowed,
        )


@dataclass(frozen=True, eq=False)
class Excluding:
    """A model whose lists leave out more than it has seen itself: what users had and it was not told.

    Attributes:
        model: Any.
        seen: (m,) sorted keys user × n_items + item.
        most: Items of one user among them, at most.
    """

    model: Ranker
    seen: Ints
    most: int

    @classmethod
    def of(cls, model: Ranker, had: Dataset) -> Excluding:
        """Leaves out what users have in ``had``, which has the same ids.

        Raises:
            DataError: It has other ids.
        """
        if model.users != had.users or model.items != had.items:
            raise DataError("what is left out must have the users and items of the model")
        seen = _had(had).tocoo()
        keys = np.sort(seen.row.astype(np.int64) * len(had.items) + seen.col)
        return cls(model, keys, int(np.bincount(seen.row, minlength=1).max()))

    @property
    def users(self) -> IdMap:
        """Users in index order."""
        return self.model.users

    @property
    def items(self) -> IdMap:
        """Items in index order."""
        return self.model.items

    def top_items(
        self, user_idx: Ints, *, k: int, exclude_seen: bool = True, allowed: Mask | None = None
    ) -> tuple[Ints, Scores]:
        """The model's lists without what is left out; it is asked for as many items more."""
        if not exclude_seen:
            return self.model.top_items(user_idx, k=k, exclude_seen=False, allowed=allowed)
        wide = min(k + self.most, len(self.items))
        lists, scores = self.model.top_items(user_idx, k=max(wide, k), allowed=allowed)
        drop = found_in(self.seen, user_idx[:, None] * np.int64(len(self.items)) + lists) | (lists < 0)
        order = np.argsort(drop, axis=1, kind="stable")[:, :k]
        dropped = np.take_along_axis(drop, order, axis=1)
        items, values = np.take_along_axis(lists, order, axis=1), np.take_along_axis(scores, order, axis=1)
        return np.where(dropped, -1, items), np.where(dropped, np.float32(-np.inf), values)


def _had(train: Dataset) -> sp.csr_array:
    """(n_users, n_items) CSR of what users had, without stored zeros."""
    seen = train.matrix.copy()
    seen.eliminate_zeros()
    return seen
