"""The baseline every model must beat: what sells, optionally what sells now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

import numpy as np
import scipy.sparse as sp

from recsys.data.dataset import Dataset
from recsys.data.ids import IdMap
from recsys.data.weighting import check_half_life, recency
from recsys.explain.contributions import EVERYONE, ITSELF, Contributions, Question
from recsys.models.base import Scores
from recsys.models.fitted import FittedModel, as_seen, fitted_base
from recsys.retrieval.factors import Factors
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

    def factors(self) -> Factors:
        """The score, times 1."""
        return Factors(np.ones((len(self.users), 1), np.float32), self.item_score[:, None])

    def partial_fit(self, dataset: Dataset) -> Self:
        """Count again.

        Raises:
            DataError: Decay is asked for and an interaction has no timestamp.
        """
        return replace(self, **fitted_base(self.config, dataset), item_score=self.config.fit(dataset).item_score)

    def _with_users(self, users: IdMap, history: sp.csr_array) -> Self:
        return replace(self, users=users, seen=as_seen(history))

    def contributions(self, question: Question) -> Contributions:
        """The score is the item's bias and nothing else."""
        value, usual = self.item_score[[question.item]].astype(np.float64), self.item_score.mean(dtype=np.float64)
        return Contributions((EVERYONE,), (ITSELF,), value[:, None], np.array([usual]))


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
        check_half_life(self.half_life_days)

    def fit(self, dataset: Dataset) -> FittedPopularity:
        """Count.

        Raises:
            DataError: Decay is asked for and an interaction has no timestamp.
        """
        weight = dataset.weight.astype(np.float64)
        if self.half_life_days is not None:
            weight = weight * recency(dataset.timestamp, self.half_life_days)
        score = np.bincount(dataset.item_idx, weights=weight, minlength=len(dataset.items)).astype(np.float32)
        return FittedPopularity(**fitted_base(self, dataset), item_score=score)
