"""What models are fitted on: ids as integers, interactions as a log and a CSR matrix, features beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from recsys.data.catalog import Catalog
from recsys.data.features import FeatureTable
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.data.weighting import MOST, as_float32, event_factors, recency
from recsys.errors import DataError


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Interactions between known users and the whole catalogue, with feature tables over either.

    Items without interactions (cold) have an index and feature rows like any other.

    Attributes:
        users: Users in index order.
        items: Items in index order: the catalogue's.
        user_idx: (n,) int64, who; one entry an interaction.
        item_idx: (n,) int64, what.
        weight: (n,) float32 >= 0, how strongly.
        timestamp: (n,) datetime64[ns], when (NaT where unknown).
        item_features: Aligned with ``items``.
        user_features: Aligned with ``users``.

    Raises:
        DataError: Columns differ in length, an index or weight is out of range, or features follow other ids.
    """

    users: IdMap
    items: IdMap
    user_idx: npt.NDArray[np.int64]
    item_idx: npt.NDArray[np.int64]
    weight: npt.NDArray[np.float32]
    timestamp: npt.NDArray[Any]
    item_features: FeatureTable
    user_features: FeatureTable

    def __post_init__(self) -> None:
        lengths = {name: len(getattr(self, name)) for name in ("user_idx", "item_idx", "weight", "timestamp")}
        if len(set(lengths.values())) > 1:
            raise DataError(f"the columns of a dataset must be equally long, got {lengths}")
        for side in ("user", "item"):
            ids, index = getattr(self, f"{side}s"), getattr(self, f"{side}_idx")
            _check_index(f"{side}_idx", index, len(ids))
            if getattr(self, f"{side}_features").ids != ids:
                cure = f"give {side}_features.align({side}s)"
                raise DataError(f"{side}_features must follow the {side}s in their order, and they do not; {cure}")
        if len(self.weight) and not 0 <= self.weight.min() <= self.weight.max() <= MOST:
            got = f"{self.weight.min():g} to {self.weight.max():g}"
            raise DataError(f"interaction weights must lie in [0, {MOST:g}], got {got}; drop or scale them")

    @classmethod
    def of(
        cls,
        interactions: Interactions,
        catalog: Catalog,
        *,
        item_features: FeatureTable | None = None,
        user_features: FeatureTable | None = None,
        event_weights: Mapping[str, float] | None = None,
        half_life_days: float | None = None,
    ) -> Dataset:
        """Join interactions, catalogue and features.

        Args:
            interactions: Who did what.
            catalog: The items; those without interactions belong to the dataset as well.
            item_features: One row an item, in any order.
            user_features: One row a user, in any order; users of whom there is nothing else belong to the dataset, too.
            event_weights: Event → by what an interaction's weight is multiplied, such as view 1, cart 3 and
                purchase 5; every event of the log must be named. None counts all alike.
            half_life_days: A weight halves every so many days before the last interaction; None: never.

        Raises:
            ConfigError: An event's weight is negative or the half-life not positive.
            DataError: No interactions are left, an event is not named, or decay meets a missing timestamp.
            UnknownIdError: An interaction's item is not in the catalogue, or a feature table misses an id.
        """
        frame = interactions.frame
        if frame.empty:
            raise DataError("no interactions are left to learn from; see what was rejected and why")
        items = IdMap.of(catalog.ids)
        users = IdMap.of(sorted({*frame["user_id"].unique(), *(() if user_features is None else user_features.ids)}))
        return cls(
            users=users,
            items=items,
            user_idx=users.encode(frame["user_id"].to_numpy(dtype=object)),
            item_idx=items.encode(frame["item_id"].to_numpy(dtype=object)),
            weight=_weight(frame, event_weights, half_life_days),
            timestamp=frame["timestamp"].to_numpy(dtype="datetime64[ns]"),
            item_features=FeatureTable(items) if item_features is None else item_features.align(items),
            user_features=FeatureTable(users) if user_features is None else user_features.align(users),
        )

    def with_item_features(self, table: FeatureTable) -> Dataset:
        """The same interactions beside other item features."""
        return replace(self, item_features=table.align(self.items))

    def __repr__(self) -> str:
        """Sizes, not contents."""
        sizes = f"{len(self.users)} users, {len(self.items)} items, {len(self.user_idx)} interactions"
        return f"Dataset({sizes}, item features {list(self.item_features.names)})"

    @cached_property
    def matrix(self) -> sp.csr_array:
        """(n_users, n_items) float32 CSR; weights of repeated interactions are summed, indices sorted."""
        shape = (len(self.users), len(self.items))
        csr = sp.csr_array((self.weight, (self.user_idx, self.item_idx)), shape=shape)
        csr.sum_duplicates()
        csr.sort_indices()
        return csr

    @cached_property
    def is_warm(self) -> npt.NDArray[np.bool_]:
        """(n_items,) whether the item has an interaction of positive weight."""
        warm = np.zeros(len(self.items), dtype=bool)
        warm[self.item_idx[self.weight > 0]] = True
        return warm


def _check_index(name: str, index: npt.NDArray[np.int64], n: int) -> None:
    if not np.issubdtype(index.dtype, np.integer):
        raise DataError(f"{name} must hold integers, got {index.dtype}; ids.encode(…) gives them")
    if len(index) and not (index.min() >= 0 and index.max() < n):
        raise DataError(f"{name} must lie in [0, {n}), got {index.min()} to {index.max()}; ids.encode(…) gives them")


def _weight(
    frame: pd.DataFrame, event_weights: Mapping[str, float] | None, half_life_days: float | None
) -> npt.NDArray[np.float32]:
    weight = frame["weight"].to_numpy(dtype=np.float64)
    if event_weights is not None:
        weight = weight * event_factors(frame["event"], event_weights)
    if half_life_days is not None:
        weight = weight * recency(frame["timestamp"].to_numpy(dtype="datetime64[ns]"), half_life_days)
    return as_float32(weight)
