"""The baseline every model must beat: what sells, optionally what sells now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from recsys.data.dataset import Dataset
from recsys.errors import ConfigError, DataError
from recsys.models.base import Scores
from recsys.models.fitted import FittedModel, fitted_base
from recsys.topk import Ints


@dataclass(frozen=True, eq=False)
class FittedPopularity(FittedModel):
    """One score an item, the same for every user.

    Attributes:
        item_score: (n_items,) float32, the (decayed) sum of interaction weights.
    """

    model: ClassVar[str] = "popularity"
    item_score: Scores

    def _score_block(self, user_idx: Ints) -> Scores:
        return np.tile(self.item_score, (len(user_idx), 1))


@dataclass(frozen=True)
class Popularity:
    """Ranks items by the sum of their interactions' weights.

    Attributes:
        half_life_days: An interaction's weight halves every so many days before the last one; None: never.

    Example:
        >>> Popularity(half_life_days=30.0)
        Popularity(half_life_days=30.0)
    """

    uses_features: ClassVar[Literal["no", "optional", "required"]] = "no"
    fitted: ClassVar[type[FittedPopularity]] = FittedPopularity

    half_life_days: float | None = None

    def __post_init__(self) -> None:
        if self.half_life_days is not None and not 0 < self.half_life_days < np.inf:
            raise ConfigError(f"half_life_days must be > 0, got {self.half_life_days}; omit it for no decay")

    def fit(self, dataset: Dataset) -> FittedPopularity:
        """Count.

        Raises:
            DataError: Decay is asked for and an interaction has no timestamp.
        """
        weight = dataset.weight.astype(np.float64)
        if self.half_life_days is not None:
            weight = weight * np.exp2(-_age_days(dataset) / self.half_life_days)
        score = np.bincount(dataset.item_idx, weights=weight, minlength=len(dataset.items)).astype(np.float32)
        return FittedPopularity(**fitted_base(self, dataset), item_score=score)


def _age_days(dataset: Dataset) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Days before the last interaction, (n,)."""
    unknown = int(np.isnat(dataset.timestamp).sum())
    if unknown:
        raise DataError(
            f"half_life_days needs timestamps, {unknown} interactions have none; mend them or omit the decay"
        )
    return np.asarray((dataset.timestamp.max() - dataset.timestamp) / np.timedelta64(1, "D"), dtype=np.float64)
