"""What a hybrid model has learned, and the vectors it makes of it; the model itself is in `recsys.models.hybrid`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.data.dataset import Dataset
from recsys.data.features import FeatureTable
from recsys.data.ids import IdMap
from recsys.errors import ConfigError
from recsys.explain.contributions import ITSELF, Contributions, Question, Terms, bilinear
from recsys.explain.terms import average_user, feature_terms, past_terms
from recsys.models.base import Scores
from recsys.models.blocks import BlockTransform, pack_transforms, unpack_transforms
from recsys.models.fitted import Arrays, FittedModel, as_seen, evidence, fitted_base, with_average_user
from recsys.models.fold_in import fold_in
from recsys.retrieval.factors import Factors
from recsys.topk import Ints

SIDES = ("user", "item")
PLAIN = ("user_ids", "item_ids", "unknown", "users_made", "items_made", "losses")


@dataclass(frozen=True, eq=False)
class FittedHybrid(FittedModel):
    """What was learned, and the user and item vectors it makes.

    The last column of every vector and weight is the bias.

    Attributes:
        user_ids: (n_users, factors + 1) id vectors.
        item_ids: (n_items, factors + 1) id vectors; a cold item's is the unknown item's.
        unknown: (factors + 1,) the unknown item's.
        user_transforms: Normalisation of the users' feature blocks.
        item_transforms: Normalisation of the items'.
        user_weights: One (d, factors + 1) V a block.
        item_weights: One (d, factors + 1) W a block.
        users_made: (n_users, factors + 1) p_u and b_u.
        items_made: (n_items, factors + 1) q_i and b_i.
        losses: (epochs,) mean training loss a pair.
    """

    model: ClassVar[str] = "hybrid"
    user_ids: Scores
    item_ids: Scores
    unknown: Scores
    user_transforms: tuple[BlockTransform, ...]
    item_transforms: tuple[BlockTransform, ...]
    user_weights: tuple[Scores, ...]
    item_weights: tuple[Scores, ...]
    users_made: Scores
    items_made: Scores
    losses: Scores

    @property
    def user_vectors(self) -> Scores:
        """(n_users, factors) p_u."""
        return self.users_made[:, :-1]

    @property
    def item_vectors(self) -> Scores:
        """(n_items, factors) q_i."""
        return self.items_made[:, :-1]

    @property
    def item_bias(self) -> Scores:
        """(n_items,) b_i."""
        return self.items_made[:, -1]

    def with_item_features(self, table: FeatureTable) -> FittedHybrid:
        """The same users and weights looking at other pictures: item vectors are computed anew.

        Raises:
            DataError: A block is missing or has other columns.
            UnknownIdError: The table lacks an item.
        """
        content = _content(self.item_transforms, self.item_weights, table.align(self.items))
        return replace(self, items_made=self.item_ids + content)

    def _score_block(self, user_idx: Ints) -> Scores:
        people = self.users_made[user_idx]
        scores = people[:, :-1] @ self.item_vectors.T
        scores += self.item_bias
        scores += people[:, -1:]
        return scores

    def factors(self) -> Factors:
        """User and item vectors; a user's bias, where there is one, is one more factor."""
        people, things = self.user_vectors, self.item_vectors
        if self.users_made[:, -1].any():
            people = self.users_made
            things = np.hstack([things, np.ones((len(things), 1), np.float32)])
        return Factors(people, things, self.item_bias)

    def _item_vectors(self) -> Scores:
        return self.item_vectors

    def _user_vectors(self) -> Scores:
        return self.user_vectors

    def partial_fit(self, dataset: Dataset) -> FittedHybrid:
        """The same weights beside other users, items and histories; nothing is retrained.

        A known id keeps its vector; a new item is its features and the unknown item; a new user is the average user
        plus their features and history, or, where the model pools no history, what `fold_in` makes of it.

        Raises:
            DataError: A block is missing or has other columns.
        """
        items = _carried(self.items.ids, self.item_ids, dataset.items.ids, self.unknown)
        things = items + _content(self.item_transforms, self.item_weights, dataset.item_features)
        users = _carried(self.users.ids, self.user_ids, dataset.users.ids, self.user_ids.mean(axis=0))
        history, new = history_of(dataset.matrix), ~np.isin(dataset.users.ids, self.users.ids)
        if new.any() and not self._pools:
            users[new] = fold_in(history[new], things, self.user_ids.mean(axis=0), self.config.l2)
        base = fitted_base(self.config, dataset)
        grown = replace(self, **base, user_ids=users, item_ids=items, items_made=things.astype(np.float32))
        return replace(grown, users_made=grown._people(history, dataset.user_features))

    def _with_users(self, users: IdMap, history: sp.csr_array) -> FittedHybrid:
        if self.user_transforms:
            raise ConfigError(
                "this hybrid knows users by features, too; call partial_fit with a dataset that holds them"
            )
        weights, average = history_of(history), self.user_ids.mean(axis=0)
        ids = np.tile(average, (len(users), 1))
        if not self._pools:
            ids = fold_in(weights, self.items_made, average, self.config.l2)
        strangers = replace(self, users=users, seen=as_seen(history), user_ids=ids)
        made = strangers._people(weights, FeatureTable(users))
        active = np.diff(weights.indptr) > 0
        known = np.diff(self.seen.indptr) > 0
        return replace(strangers, users_made=np.where(active[:, None], made, self.users_made[known].mean(axis=0)))

    @property
    def _pools(self) -> bool:
        """Whether a user is also the mean of what they have."""
        return bool(self.config.history and self.item_transforms)

    def _people(self, history: sp.csr_array, table: FeatureTable) -> Scores:
        """(n_users, factors + 1) user vectors; a user of whom nothing is known is the average user."""
        people = self.user_ids + _content(self.user_transforms, self.user_weights, table)
        if self._pools:
            mass = np.asarray(history.sum(axis=1)).ravel()
            content = (self.items_made - self.item_ids)[:, :-1]
            people[:, :-1] += (history @ content) / np.maximum(mass, 1e-12)[:, None]
        return people.astype(np.float32) if self.user_transforms else with_average_user(people, history)

    def contributions(self, question: Question) -> Contributions:
        """Ids, features by block and named column, and past items, each with what it has learned."""
        table = question.shown_features(self.model)
        items = Terms((ITSELF,), self.item_ids[[question.item]].astype(np.float64))
        if self.item_transforms:
            items += feature_terms(self.item_transforms, self.item_weights, table, question.item)
        return bilinear(self._user_terms(question), items, self.items_made.mean(axis=0, dtype=np.float64))

    def _user_terms(self, question: Question) -> Terms:
        data = question.dataset(self.model)
        history = evidence(data.matrix[[question.user]])
        if not (self.user_transforms or history.nnz):
            person = self.users_made[question.user]
            return average_user(person[:-1], person[-1])
        users = Terms((ITSELF,), self.user_ids[[question.user]].astype(np.float64))
        if self.user_transforms:
            users += feature_terms(self.user_transforms, self.user_weights, data.user_features, question.user)
        if self._pools and history.nnz:
            past, weight = history.indices, np.log1p(history.data)
            had = FeatureTable(IdMap(data.items.ids[past]), tuple(b.rows(past) for b in data.item_features.blocks))
            content = _content(self.item_transforms, self.item_weights, had)[:, :-1]
            users += past_terms(had.ids.ids, content * (weight / weight.sum())[:, None])
        return users

    def arrays(self) -> Arrays:
        """Vectors, block weights and transforms of both sides."""
        packed: Arrays = {name: getattr(self, name) for name in PLAIN}
        for side in SIDES:
            transforms, weights = getattr(self, f"{side}_transforms"), getattr(self, f"{side}_weights")
            packed |= {f"{side}.{n}": a for n, a in pack_transforms(transforms).items()}
            packed |= {f"{side}.weight{i}": w for i, w in enumerate(weights)}
        return packed

    @classmethod
    def from_arrays(cls, base: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The inverse of `arrays`."""
        fields: dict[str, Any] = {**base}
        fields |= {name: arrays[name] for name in PLAIN}
        for side in SIDES:
            own = {n.removeprefix(f"{side}."): a for n, a in arrays.items() if n.startswith(f"{side}.")}
            transforms = unpack_transforms(own)
            fields[f"{side}_transforms"] = transforms
            fields[f"{side}_weights"] = tuple(own[f"weight{i}"] for i in range(len(transforms)))
        return cls(**fields)


def fitted_hybrid(config: Any, dataset: Dataset, **learned: Any) -> FittedHybrid:
    """A fitted model from its parameters: the fields of `FittedHybrid` but the vectors, which follow from them."""
    content = _content(learned["item_transforms"], learned["item_weights"], dataset.item_features)
    things = np.asarray(learned["item_ids"] + content, np.float32)
    bare: FittedHybrid = config.fitted(
        **fitted_base(config, dataset), **learned, users_made=things[:0], items_made=things
    )
    return replace(bare, users_made=bare._people(history_of(dataset.matrix), dataset.user_features))


def history_of(matrix: sp.csr_array) -> sp.csr_array:
    """log(1 + weight) of what users have, its mean 1."""
    history = evidence(matrix)
    history.data = np.log1p(history.data)
    if history.nnz:
        history.data /= history.data.mean()
    return history


def _content(transforms: Sequence[BlockTransform], weights: Sequence[Scores], table: FeatureTable) -> Any:
    """(n, factors + 1) what features say; 0 without blocks."""
    total: Any = np.float32(0)
    for transform, weight in zip(transforms, weights, strict=True):
        total = total + transform.product(table[transform.name], weight)
    return total


def _carried(old: npt.NDArray[Any], vectors: Scores, new: npt.NDArray[Any], default: Scores) -> Scores:
    """(len(new), d) the vectors of known ids, ``default`` for new ones."""
    at = {name: i for i, name in enumerate(old)}
    index = np.array([at.get(name, -1) for name in new], dtype=np.int64)
    return np.where(index[:, None] >= 0, vectors[index], default).astype(np.float32)
