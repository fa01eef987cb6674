"""What a hybrid model has learned, and the vectors it makes of it; the model itself is in `recsys.models.hybrid`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from recsys.data.dataset import Dataset
from recsys.data.features import FeatureTable, Matrix
from recsys.models.base import Scores
from recsys.models.blocks import BlockTransform, pack_transforms, unpack_transforms
from recsys.models.fitted import Arrays, FittedModel, fitted_base
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

    def _item_vectors(self) -> Scores:
        return self.item_vectors

    def _user_vectors(self) -> Scores:
        return self.user_vectors

    def partial_fit(self, dataset: Dataset) -> FittedHybrid:
        """The same weights beside other users, items and histories; nothing is retrained.

        A known id keeps its vector; a new item is its features and the unknown item; a new user is their history
        and features around the average user.

        Raises:
            DataError: A block is missing or has other columns.
        """
        users = _carried(self.users.ids, self.user_ids, dataset.users.ids, self.user_ids.mean(axis=0))
        items = _carried(self.items.ids, self.item_ids, dataset.items.ids, self.unknown)
        people, things = _made(self, dataset, users, items)
        base = fitted_base(self.config, dataset)
        return replace(self, **base, user_ids=users, item_ids=items, users_made=people, items_made=things)

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
    empty = np.empty((0, 0), np.float32)
    bare = FittedHybrid(**fitted_base(config, dataset), **learned, users_made=empty, items_made=empty)
    users, items = _made(bare, dataset, bare.user_ids, bare.item_ids)
    return replace(bare, users_made=users, items_made=items)


def _made(fitted: FittedHybrid, dataset: Dataset, user_ids: Scores, item_ids: Scores) -> tuple[Scores, Scores]:
    """User and item vectors of a dataset; a user of whom nothing is known is the average user."""
    history = history_of(dataset)
    content = _content(fitted.item_transforms, fitted.item_weights, dataset.item_features)
    users = user_ids + _content(fitted.user_transforms, fitted.user_weights, dataset.user_features)
    if fitted.config.history and fitted.item_transforms:
        mass = np.asarray(history.sum(axis=1)).ravel()
        pooled = (history @ content[:, :-1]) / np.maximum(mass, 1e-12)[:, None]
        users[:, :-1] += pooled
    active = np.diff(history.indptr) > 0
    if not fitted.user_transforms and active.any() and not active.all():
        users = np.where(active[:, None], users, users[active].mean(axis=0))
    return users.astype(np.float32), np.asarray(item_ids + content, np.float32)


def history_of(dataset: Dataset) -> sp.csr_array:
    """log(1 + weight) of what users have, its mean 1."""
    history = dataset.matrix.copy()
    history.eliminate_zeros()
    history.data = np.log1p(history.data)
    if history.nnz:
        history.data /= history.data.mean()
    return history


def _content(transforms: Sequence[BlockTransform], weights: Sequence[Scores], table: FeatureTable) -> Any:
    """(n, factors + 1) what features say; 0 without blocks."""
    blocks = normalised(transforms, table)
    return (
        sum((b @ w for b, w in zip(blocks, weights, strict=True)), np.zeros((), np.float32))
        if blocks
        else np.float32(0)
    )


def normalised(transforms: Sequence[BlockTransform], table: FeatureTable) -> tuple[Matrix, ...]:
    """The blocks as the model sees them."""
    return tuple(t.apply(table[t.name]) for t in transforms)


def _carried(old: npt.NDArray[Any], vectors: Scores, new: npt.NDArray[Any], default: Scores) -> Scores:
    """(len(new), d) the vectors of known ids, ``default`` for new ones."""
    at = {name: i for i, name in enumerate(old)}
    index = np.array([at.get(name, -1) for name in new], dtype=np.int64)
    return np.where(index[:, None] >= 0, vectors[index], default).astype(np.float32)
