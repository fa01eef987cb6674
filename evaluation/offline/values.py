"""The values of a comparison: of every model, user and metric, within one pool of candidates or one group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from evaluation.offline.beyond import Beyond

Ints = npt.NDArray[np.int64]
UserValues = npt.NDArray[np.float32]
Shares = Mapping[tuple[str, int], float]


@dataclass(frozen=True, order=True)
class ModelKey:
    """A model and the features it was fitted with.

    Example:
        >>> ModelKey.of("hybrid / original")
        ModelKey(model='hybrid', features='original')
        >>> str(ModelKey.of("als"))
        'als / none'
    """

    model: str
    features: str = "none"

    @classmethod
    def of(cls, key: ModelKey | str) -> ModelKey:
        """From its text, or as it is."""
        if isinstance(key, ModelKey):
            return key
        model, slash, features = key.partition(" / ")
        return cls(model, features) if slash else cls(model)

    def __str__(self) -> str:
        return f"{self.model} / {self.features}"


@dataclass(frozen=True, eq=False)
class SegmentResult:
    """Values of one segment of the items.

    Attributes:
        users: (n_users,) indices of the users that are averaged.
        columns: (metric, k) of each column of ``values``.
        values: Model → (n_users, n_columns) float32.
        resampled: Model → (resamples, n_columns) bootstrap means; all models share the resamples.
        shares: Model → (share, k) → what its lists look like together; see `evaluation.metrics.SHARES`.
        n_empty: Model → averaged users for whom it lists nothing; they count as users without a hit.
        n_candidates: Items that could be listed.
        n_relevant_items: Distinct items that are relevant to anyone.
        n_without: Users of the test without a relevant item here.
        beyond: Model → what its lists are like beyond hits; empty where nobody asked.
    """

    users: Ints
    columns: tuple[tuple[str, int], ...]
    values: Mapping[ModelKey, UserValues]
    resampled: Mapping[ModelKey, npt.NDArray[np.float64]]
    shares: Mapping[ModelKey, Shares]
    n_empty: Mapping[ModelKey, int]
    n_candidates: int
    n_relevant_items: int
    n_without: int
    beyond: Mapping[ModelKey, Beyond] = field(default_factory=dict)

    @property
    def n_users(self) -> int:
        """Users that are averaged."""
        return len(self.users)
