"""What every fitted model shares: filters, retrieval, similar items and artifacts, written once."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.data.dataset import Dataset
from recsys.data.ids import IdMap
from recsys.data.recommendations import Recommendations
from recsys.errors import ConfigError, DataError, UnknownIdError
from recsys.models import artifacts
from recsys.models.base import Scores
from recsys.topk import BLOCK_BYTES, Ints, Mask, ScoreBlock, check_k, top_k_blocked

Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True, eq=False)
class FittedModel(ABC):
    """Template of a fitted recommender: a subclass says how to score a block of users.

    Subclasses are frozen dataclasses. Their further fields are arrays (stored as they are); a subclass with
    other fields overrides `arrays` and `from_arrays`.

    Attributes:
        config: The `Recommender` that was fitted.
        users: Users in index order.
        items: Items in index order.
        seen: (n_users, n_items) CSR; a stored entry is an interaction of positive weight.
    """

    model: ClassVar[str]

    config: Any
    users: IdMap
    items: IdMap
    seen: sp.csr_array

    @abstractmethod
    def _score_block(self, user_idx: Ints) -> Scores:
        """Fresh (n, n_items) float32 scores of these users; the caller may overwrite them."""

    def _item_vectors(self) -> Scores:
        """(n_items, d) vectors whose cosine is item similarity; a zero vector is like nothing."""
        raise ConfigError(f"{self.model} knows no similar items; use a model with item vectors (als, content, hybrid)")

    def scores(self, users: Iterable[str], items: Iterable[str] | None = None) -> Scores:
        """(n_users, n_items) scores, higher is better, comparable within a row.

        Raises:
            UnknownIdError: A user or item is unknown.
        """
        user_idx = self.users.encode(_ids(users, "users"))
        item_idx = None if items is None else self.items.encode(_ids(items, "items"))
        out = np.empty((len(user_idx), len(self.items) if item_idx is None else len(item_idx)), np.float32)
        step = self._block_rows()
        for start in range(0, len(user_idx), step):
            block = self._score_block(user_idx[start : start + step])
            out[start : start + step] = block if item_idx is None else block[:, item_idx]
        return out

    def recommend(
        self,
        users: Iterable[str],
        *,
        k: int,
        exclude_seen: bool = True,
        allow: Iterable[str] | None = None,
        deny: Iterable[str] | None = None,
    ) -> Recommendations:
        """The best ``k`` items of each user; short lists are short.

        Args:
            users: User ids, answered in this order.
            k: List length, at least 1.
            exclude_seen: Leave out what the user already has.
            allow: Only these items (in stock, of a category, …); None allows all.
            deny: Never these items.

        Raises:
            ConfigError: ``k`` is below 1.
            UnknownIdError: A user or item is unknown.
        """
        user_idx = self.users.encode(_ids(users, "users"))
        allowed = self._allowed(allow, deny)
        found, best = self.top_items(user_idx, k=k, exclude_seen=exclude_seen, allowed=allowed)
        return _as_recommendations(self.users.ids[user_idx], self.items, found, best)

    def top_items(
        self, user_idx: Ints, *, k: int, exclude_seen: bool = True, allowed: Mask | None = None
    ) -> tuple[Ints, Scores]:
        """`recommend` on integers: (n, k) item indices and scores, -1 and -inf past a short list.

        Raises:
            ConfigError: ``k`` is below 1.
            DataError: ``allowed`` has another length than the catalogue, or scores are not finite.
            UnknownIdError: An index lies outside the users.
        """
        user_idx = _check_index(user_idx, len(self.users))
        if allowed is not None and np.shape(allowed) != (len(self.items),):
            raise DataError(f"allowed must have shape ({len(self.items)},), got {np.shape(allowed)}; one flag an item")
        return top_k_blocked(
            self._score_block,
            user_idx,
            k,
            n_columns=len(self.items),
            seen=self.seen if exclude_seen else None,
            allowed=None if allowed is None else np.asarray(allowed, dtype=bool),
        )

    def similar_items(self, items: Iterable[str], *, k: int) -> Recommendations:
        """The ``k`` items of highest cosine to each of ``items``, itself left out; ``user_id`` is the query.

        Items of which the model knows nothing (no interactions, no features) are like nothing and nothing is
        like them, so their lists are short.

        Raises:
            ConfigError: ``k`` is below 1, or the model has no notion of similarity.
            UnknownIdError: An item is unknown.
        """
        check_k(k)
        item_idx = self.items.encode(_ids(items, "items"))
        similarity, known = self._item_similarity()
        itself = sp.eye_array(len(self.items), format="csr", dtype=np.float32)
        found, best = top_k_blocked(similarity, item_idx, k, n_columns=len(self.items), seen=itself, allowed=known)
        found[~known[item_idx]] = -1
        return _as_recommendations(self.items.ids[item_idx], self.items, found, best)

    def _item_similarity(self) -> tuple[ScoreBlock, Mask]:
        """How to score rows of items against all items, and (n_items,) which items anything is known of."""
        vectors = unit_rows(self._item_vectors())
        known: Mask = np.asarray(vectors.any(axis=1))
        return lambda rows: np.asarray(vectors[rows] @ vectors.T, np.float32), known

    def arrays(self) -> Arrays:
        """Learned parameters by name: what an artifact holds beside ids and configuration."""
        own = [
            f.name for f in dataclasses.fields(self) if f.name not in {g.name for g in dataclasses.fields(FittedModel)}
        ]
        return {name: getattr(self, name) for name in own}

    @classmethod
    def from_arrays(cls, base: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The inverse of `arrays`; ``base`` holds config, users, items and seen."""
        fields: dict[str, Any] = {**base, **arrays}
        return cls(**fields)

    def save(self, path: Path) -> None:
        """Write ``model.safetensors`` and ``model.json`` into the folder ``path``, atomically."""
        artifacts.save_model(self, path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; runs no code of the file's.

        Raises:
            ArtifactError: Missing, truncated, tampered with, newer, or of another model.
        """
        return artifacts.load_as(cls, path)

    def _block_rows(self) -> int:
        return max(1, BLOCK_BYTES // (4 * max(len(self.items), 1)))

    def _allowed(self, allow: Iterable[str] | None, deny: Iterable[str] | None) -> Mask | None:
        if allow is None and deny is None:
            return None
        mask = np.full(len(self.items), allow is None)
        if allow is not None:
            mask[self.items.encode(_ids(allow, "allow"))] = True
        if deny is not None:
            mask[self.items.encode(_ids(deny, "deny"))] = False
        return mask


def fitted_base(config: Any, dataset: Dataset) -> dict[str, Any]:
    """The fields every fitted model has, from what it was fitted on."""
    seen = dataset.matrix.copy()
    seen.eliminate_zeros()
    seen.data = np.ones_like(seen.data)
    return {"config": config, "users": dataset.users, "items": dataset.items, "seen": seen}


def with_average_user(vectors: Scores, history: sp.csr_array) -> Scores:
    """(n_users, d) vectors in which users without history get the mean of those with one.

    Every score is linear in the user's vector, so such a user is served what the average user likes.
    """
    active = np.diff(history.indptr) > 0
    if active.all() or not active.any():
        return vectors
    return np.where(active[:, None], vectors, vectors[active].mean(axis=0)).astype(np.float32)


def unit_rows(values: Scores) -> Scores:
    """Rows divided by their Euclidean norm; zero rows stay zero."""
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    return np.asarray(values / np.where(norms > 0, norms, 1), dtype=np.float32)


def _as_recommendations(queries: npt.NDArray[Any], items: IdMap, found: Ints, best: Scores) -> Recommendations:
    row, rank = np.nonzero(found >= 0)
    return Recommendations.of(queries[row], items.decode(found[row, rank]), best[row, rank], rank + 1)


def _ids(ids: Iterable[str], name: str) -> npt.NDArray[Any]:
    if isinstance(ids, str):
        raise DataError(f"{name} must be a list of ids, got the single string {ids!r}; write [{ids!r}]")
    return ids if isinstance(ids, np.ndarray) else np.array(list(ids), dtype=object)


def _check_index(user_idx: npt.ArrayLike, n_users: int) -> Ints:
    index = np.asarray(user_idx, dtype=np.int64)
    if len(index) and not (index.min() >= 0 and index.max() < n_users):
        raise UnknownIdError(f"user indices must lie in [0, {n_users}), got {index.min()} to {index.max()}")
    return index
