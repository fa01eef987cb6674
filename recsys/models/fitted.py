"""What every fitted model shares: filters, retrieval, similarity, strangers and artifacts, written once."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.data.dataset import Dataset
from recsys.data.ids import IdMap
from recsys.data.recommendations import Recommendations
from recsys.errors import ConfigError, DataError
from recsys.models import artifacts
from recsys.models.base import Scores
from recsys.models.requests import (
    OnUnknown,
    allowed_mask,
    as_ids,
    as_recommendations,
    check_allowed,
    check_index,
    history_matrix,
    known_index,
)
from recsys.models.ties import hash_order, top_k_fair
from recsys.retrieval.factors import Factors
from recsys.topk import BLOCK_BYTES, Ints, Mask, ScoreBlock, check_k

Arrays = dict[str, npt.NDArray[Any]]
Similarity = ScoreBlock | Factors


@dataclass(frozen=True, eq=False)
class FittedModel(ABC):
    """Template of a fitted recommender: a subclass says how to score a block of users.

    Subclasses are frozen dataclasses. Their further fields are arrays (stored as they are); a subclass with
    other fields overrides `arrays` and `from_arrays`. What a model can do beyond scoring, it says by overriding
    `factors`, `_item_vectors`, `_user_vectors`, `partial_fit` and `_with_users`.

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

    def factors(self) -> Factors | None:
        """The vectors whose inner products are the scores, which can be searched faster; None if there are none."""
        return None

    def _item_vectors(self) -> Scores:
        """(n_items, d) vectors whose cosine is item similarity; a zero vector is like nothing."""
        raise ConfigError(f"{self.model} knows no similar items; use a model with item vectors (als, content, hybrid)")

    def _user_vectors(self) -> Scores:
        """(n_users, d) vectors whose cosine is user similarity."""
        raise ConfigError(f"{self.model} knows no similar users; use a model with user vectors (als, content, hybrid)")

    def partial_fit(self, dataset: Dataset) -> Self:
        """What was learned, beside a new whole dataset; nothing is trained again.

        Ids are found by name: items and users may be new, gone or in another order, and histories may have grown.
        What is new is placed by what was learned of the rest.

        Raises:
            ConfigError: The model cannot.
            DataError: The dataset has not the feature blocks the model was fitted on.
        """
        raise ConfigError(f"{self.model} cannot take up a new dataset; fit it again")

    def _with_users(self, users: IdMap, history: sp.csr_array) -> Self:
        """What was learned before other users, of whom only the (n, n_items) weights of what they have are known."""
        raise ConfigError(f"{self.model} cannot serve users it was not fitted on; add them to the dataset and fit it")

    def scores(self, users: Iterable[str], items: Iterable[str] | None = None) -> Scores:
        """(n_users, n_items) scores, higher is better, comparable within a row.

        There is no ``on_unknown`` here: a row left out would shift all others.

        Raises:
            UnknownIdError: A user or item is unknown.
        """
        user_idx = self.users.encode(as_ids(users, "users"))
        item_idx = None if items is None else self.items.encode(as_ids(items, "items"))
        out = np.empty((len(user_idx), len(self.items) if item_idx is None else len(item_idx)), np.float32)
        step = max(1, BLOCK_BYTES // (4 * max(len(self.items), 1)))
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
        on_unknown: OnUnknown = "raise",
    ) -> Recommendations:
        """The best ``k`` items of each user; short lists are short.

        Args:
            users: User ids, answered in this order.
            k: List length, at least 1.
            exclude_seen: Leave out what the user already has.
            allow: Only these items (in stock, of a category, …); None allows all.
            deny: Never these items.
            on_unknown: ``raise`` refuses unknown users, ``warn`` and ``skip`` leave them out. Unknown items in
                ``allow`` and ``deny`` are always refused: a rule with a typing error is no rule.

        Raises:
            ConfigError: ``k`` is below 1.
            UnknownIdError: A user or item is unknown.
        """
        user_idx = known_index(self.users, users, "users", on_unknown)
        allowed = allowed_mask(self.items, allow, deny)
        check_k(k)
        found, best = self.top_items(user_idx, k=min(k, len(self.items)), exclude_seen=exclude_seen, allowed=allowed)
        return as_recommendations(self.users.ids[user_idx], self.items, found, best)

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
        """`recommend` for strangers, each given by nothing but what they have; the model stays as it is.

        Args:
            histories: Any name → item ids, each counted with weight 1 as often as it is listed. With an empty
                history a stranger is served like a known user without one.
            k: List length, at least 1.
            exclude_seen: Leave out what is in the history.
            allow: Only these items; None allows all.
            deny: Never these items.
            on_unknown: What to do with unknown items of a history; with ``warn`` and ``skip`` the rest of it counts.

        Raises:
            ConfigError: ``k`` is below 1, or the model needs more than a history.
            UnknownIdError: An item is unknown.
        """
        check_k(k)
        users, history = history_matrix(self.items, histories, on_unknown)
        strangers = self._with_users(users, history)
        return strangers.recommend(users.ids, k=k, exclude_seen=exclude_seen, allow=allow, deny=deny)

    def top_items(
        self, user_idx: Ints, *, k: int, exclude_seen: bool = True, allowed: Mask | None = None
    ) -> tuple[Ints, Scores]:
        """`recommend` on integers: (n, k) item indices and scores, -1 and -inf past a short list.

        Raises:
            ConfigError: ``k`` is below 1.
            DataError: ``allowed`` has another length than the catalogue, or scores are not finite.
            UnknownIdError: An index lies outside the users.
        """
        user_idx = check_index(user_idx, len(self.users))
        allowed = check_allowed(allowed, len(self.items))
        return top_k_fair(
            self.factors() or self._score_block,
            user_idx,
            k,
            n_columns=len(self.items),
            order=lambda: self._item_order,
            seen=self.seen if exclude_seen else None,
            allowed=allowed,
        )

    def similar_items(self, items: Iterable[str], *, k: int, on_unknown: OnUnknown = "raise") -> Recommendations:
        """The ``k`` items of highest cosine to each of ``items``, itself left out; ``user_id`` is the query.

        Items of which the model knows nothing (no interactions, no features) are like nothing and nothing is
        like them, so their lists are short.

        Raises:
            ConfigError: ``k`` is below 1, or the model has no notion of similarity.
            UnknownIdError: An item is unknown.
        """
        check_k(k)
        index = known_index(self.items, items, "items", on_unknown)
        return _neighbours(self.items, index, *self._item_similarity(), k, lambda: self._item_order)

    def similar_users(self, users: Iterable[str], *, k: int, on_unknown: OnUnknown = "raise") -> Recommendations:
        """The ``k`` users of highest cosine to each of ``users``; ``user_id`` is the query, ``item_id`` the found.

        Users of whom nothing is known are like nobody.

        Raises:
            ConfigError: ``k`` is below 1, or the model has no notion of similarity.
            UnknownIdError: A user is unknown.
        """
        check_k(k)
        index = known_index(self.users, users, "users", on_unknown)
        return _neighbours(self.users, index, *self._user_similarity(), k, lambda: hash_order(self.users))

    def _item_similarity(self) -> tuple[Similarity, Mask]:
        """How to score rows of items against all items, and (n_items,) which items anything is known of."""
        vectors = unit_rows(self._item_vectors())
        return _cosine(vectors), np.asarray(vectors.any(axis=1))

    def _user_similarity(self) -> tuple[Similarity, Mask]:
        """How to score rows of users against all users, and (n_users,) which users anything is known of."""
        vectors = unit_rows(self._user_vectors())
        return _cosine(vectors), np.asarray(vectors.any(axis=1)) & self._has_history

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

    @property
    def _has_history(self) -> Mask:
        return np.diff(self.seen.indptr) > 0

    @cached_property
    def _item_order(self) -> Ints:
        return hash_order(self.items)


def fitted_base(config: Any, dataset: Dataset) -> dict[str, Any]:
    """The fields every fitted model has, from what it was fitted on."""
    return {"config": config, "users": dataset.users, "items": dataset.items, "seen": as_seen(dataset.matrix)}


def evidence(matrix: sp.csr_array) -> sp.csr_array:
    """The entries of positive weight; weight 0 is no evidence of anything."""
    positive: sp.csr_array = matrix.astype(np.float32, copy=True)
    positive.eliminate_zeros()
    return positive


def learnable(dataset: Dataset) -> sp.csr_array:
    """The `evidence` of a dataset.

    Raises:
        DataError: There is none.
    """
    history = evidence(dataset.matrix)
    if history.nnz == 0:
        raise DataError("no interaction has a positive weight; there is nothing to learn from")
    return history


def as_seen(matrix: sp.csr_array) -> sp.csr_array:
    """`evidence` as ones."""
    seen = evidence(matrix)
    seen.data = np.ones_like(seen.data)
    return seen


def with_weights(seen: sp.csr_array, weight: npt.NDArray[np.float32]) -> sp.csr_array:
    """The history: ``seen`` with the interactions' weights."""
    return sp.csr_array((weight, seen.indices, seen.indptr), shape=seen.shape)


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


def _cosine(vectors: Scores) -> Similarity:
    return Factors(vectors, vectors)


def _neighbours(
    ids: IdMap, index: Ints, similarity: Similarity, known: Mask, k: int, order: Callable[[], Ints]
) -> Recommendations:
    """The most similar of ``ids`` to those at ``index``, never itself and nothing of which nothing is known."""
    itself = sp.eye_array(len(ids), format="csr", dtype=np.float32)
    found, best = top_k_fair(
        similarity,
        index,
        min(k, max(len(ids), 1)),
        n_columns=len(ids),
        order=order,
        seen=sp.csr_array(itself),
        allowed=known,
    )
    found[~known[index]] = -1
    return as_recommendations(ids.ids[index], ids, found, best)
