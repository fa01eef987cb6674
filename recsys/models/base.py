"""The seam of every recommender: `fit` answers a fitted type, and only the fitted type recommends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal, Protocol, Self, runtime_checkable

import numpy as np
import numpy.typing as npt

from recsys.data.dataset import Dataset
from recsys.data.features import FeatureTable
from recsys.data.ids import IdMap
from recsys.data.recommendations import Recommendations
from recsys.models.requests import OnUnknown

Scores = npt.NDArray[np.float32]


@runtime_checkable
class FittedRecommender(Protocol):
    """A model that has learned."""

    @property
    def users(self) -> IdMap:
        """Users in index order."""
        ...

    @property
    def items(self) -> IdMap:
        """Items in index order."""
        ...

    def scores(self, users: Iterable[str], items: Iterable[str] | None = None) -> Scores:
        """(n_users, n_items) scores, higher is better, comparable within a row."""
        ...

    def recommend(
        self,
        users: Iterable[str],
        *,
        k: int,
        exclude_seen: bool = True,
        allow: Iterable[str] | None = None,
        deny: Iterable[str] | None = None,
        on_unknown: OnUnknown = "raise",
    ) -> Recommendations:
        """The best ``k`` items of each user, among ``allow`` (default: all) without ``deny``."""
        ...

    def recommend_for(
        self,
        histories: Mapping[str, Sequence[str]],
        *,
        k: int,
        exclude_seen: bool = True,
        allow: Iterable[str] | None = None,
        deny: Iterable[str] | None = None,
        on_unknown: OnUnknown = "raise",
    ) -> Recommendations:
        """`recommend` for strangers, each given by nothing but the items they have."""
        ...

    def top_items(
        self,
        user_idx: npt.NDArray[np.int64],
        *,
        k: int,
        exclude_seen: bool = True,
        allowed: npt.NDArray[np.bool_] | None = None,
    ) -> tuple[npt.NDArray[np.int64], Scores]:
        """`recommend` on integers, for whole populations: (n, k) item indices and scores.

        Past a short list they are -1 and -inf. ``allowed`` is an (n_items,) mask. Equal scores are ranked by a
        hash of the item id (`recsys.models.ties`), so the order depends neither on the input's nor on the
        catalogue's.
        """
        ...

    def similar_items(self, items: Iterable[str], *, k: int, on_unknown: OnUnknown = "raise") -> Recommendations:
        """The ``k`` items most like each of ``items``, itself left out; ``user_id`` holds the query item."""
        ...

    def similar_users(self, users: Iterable[str], *, k: int, on_unknown: OnUnknown = "raise") -> Recommendations:
        """The ``k`` users most like each of ``users``; ``user_id`` holds the query, ``item_id`` who was found."""
        ...

    def partial_fit(self, dataset: Dataset) -> Self:
        """The same learned parameters beside a new whole dataset: new users, items and interactions."""
        ...

    def save(self, path: Path) -> None:
        """Write ``model.safetensors`` and ``model.json`` into the folder ``path``."""
        ...

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; runs no code of the file's."""
        ...


class Recommender(Protocol):
    """A model's configuration: a frozen dataclass.

    ``uses_features`` says whether it ignores ``dataset.item_features``, can do without them, or cannot.
    """

    uses_features: ClassVar[Literal["no", "optional", "required"]]

    def fit(self, dataset: Dataset) -> FittedRecommender:
        """Learn from ``dataset``; the same seed gives the same model."""
        ...


@runtime_checkable
class PresentationAware(Protocol):
    """A fitted model whose item features can be exchanged for those of another presentation."""

    def with_item_features(self, table: FeatureTable) -> FittedRecommender:
        """The same learned weights looking at other pictures: R = G(I', U)."""
        ...
