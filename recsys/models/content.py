"""Recommend what looks like what a user has: nothing is learned but normalisation, no other users needed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from recsys.data.dataset import Dataset
from recsys.data.features import FeatureTable, Matrix
from recsys.data.ids import IdMap
from recsys.errors import ConfigError
from recsys.explain.contributions import AVERAGE, Contributions, Question, Term
from recsys.explain.terms import cosine_terms, stacked
from recsys.models.base import Scores
from recsys.models.blocks import (
    BlockTransform,
    check_block_options,
    fit_transforms,
    pack_transforms,
    unpack_transforms,
)
from recsys.models.fitted import Arrays, FittedModel, Similarity, as_seen, evidence, fitted_base, unit_rows
from recsys.models.matrices import dense, norms, pack_matrix, unit, unpack_matrix
from recsys.topk import Ints, Mask


@dataclass(frozen=True, eq=False)
class FittedContent(FittedModel):
    """Users and items as directions in each block; a score is the weighted mean cosine, in [-1, 1].

    Attributes:
        transforms: The blocks' normalisation.
        user_blocks: One (n_users, d) matrix of unit rows a block: the direction of what the user has.
        item_blocks: One (n_items, d) matrix of unit rows a block.
    """

    model: ClassVar[str] = "content"
    transforms: tuple[BlockTransform, ...]
    user_blocks: tuple[Matrix, ...]
    item_blocks: tuple[Matrix, ...]

    def with_item_features(self, table: FeatureTable) -> FittedContent:
        """The same users looking at other pictures: what they have stays as bought, what is shown changes.

        Raises:
            DataError: A block is missing or has other columns.
            UnknownIdError: The table lacks an item.
        """
        aligned = table.align(self.items)
        return replace(self, item_blocks=_unit_blocks(self.transforms, aligned))

    def partial_fit(self, dataset: Dataset) -> Self:
        """The dataset's items under the same normalisation, and every user pointed where their purchases lie.

        Raises:
            DataError: A block is missing or has other columns.
        """
        with threadpool_limits(limits=1):
            blocks = _placed(self.transforms, dataset)
        return replace(self, **fitted_base(self.config, dataset), **blocks)

    def _with_users(self, users: IdMap, history: sp.csr_array) -> Self:
        """Profiles of other users; what they have is looked at in the pictures shown now."""
        profiles = tuple(
            _profiles(history, items, _average(known, self._has_history))
            for items, known in zip(self.item_blocks, self.user_blocks, strict=True)
        )
        return replace(self, users=users, seen=as_seen(history), user_blocks=profiles)

    def _score_block(self, user_idx: Ints) -> Scores:
        return self._mean_cosine([b[user_idx] for b in self.user_blocks], self.item_blocks)

    def _item_similarity(self) -> tuple[Similarity, Mask]:
        return self._similarity(self.item_blocks)

    def _user_similarity(self) -> tuple[Similarity, Mask]:
        similarity, known = self._similarity(self.user_blocks)
        return similarity, known & self._has_history

    def _similarity(self, blocks: Sequence[Matrix]) -> tuple[Similarity, Mask]:
        known: Mask = np.any([norms(b) > 0 for b in blocks], axis=0)
        return lambda rows: self._mean_cosine([b[rows] for b in blocks], blocks), known

    def _mean_cosine(self, queries: Sequence[Matrix], targets: Sequence[Matrix]) -> Scores:
        total = np.float32(sum(t.weight for t in self.transforms))
        out = np.zeros((queries[0].shape[0], targets[0].shape[0]), np.float32)
        for transform, query, target in zip(self.transforms, queries, targets, strict=True):
            out += np.float32(transform.weight) / total * dense(query @ target.T)
        return out

    def arrays(self) -> Arrays:
        """Transforms and both sides' blocks."""
        packed = pack_transforms(self.transforms)
        for i, (user, item) in enumerate(zip(self.user_blocks, self.item_blocks, strict=True)):
            packed |= pack_matrix(f"user{i}", user) | pack_matrix(f"item{i}", item)
        return packed

    @classmethod
    def from_arrays(cls, base: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The inverse of `arrays`."""
        transforms = unpack_transforms(arrays)
        users = tuple(unpack_matrix(f"user{i}", arrays, t.n_out) for i, t in enumerate(transforms))
        items = tuple(unpack_matrix(f"item{i}", arrays, t.n_out) for i, t in enumerate(transforms))
        return cls(**base, transforms=transforms, user_blocks=users, item_blocks=items)

    def contributions(self, question: Question) -> Contributions:
        """The cosine of each block, and of each named column within it, to each past item."""
        data = question.dataset(self.model)
        history = evidence(data.matrix[[question.user]])
        past, weight = history.indices, history.data
        total = sum(t.weight for t in self.transforms)
        parts = []
        for transform, people, items in zip(self.transforms, self.user_blocks, self.item_blocks, strict=True):
            whole = dense(people[[question.user]])
            if history.nnz:
                had = dense(unit(transform.apply(data.item_features[transform.name].rows(past)))) * weight[:, None]
                whole = had / max(float(np.linalg.norm(had.sum(axis=0))), 1e-30)
            mean = np.asarray(items.mean(axis=0)).ravel()
            parts.append(
                cosine_terms(transform, whole, dense(items[[question.item]])[0], mean, transform.weight / total)
            )
        users = tuple(Term("past item", str(i)) for i in data.items.ids[past]) or (AVERAGE,)
        return stacked(users, parts)


@dataclass(frozen=True)
class Content:
    """Ranks items by the weighted mean, over feature blocks, of the cosine to the user's history.

    Attributes:
        blocks: Names of the item feature blocks to use; () uses all.
        weights: Block name → weight in the mean; 1 where not named.
        max_dims: Principal directions kept of an embedding.
        whitening: 0 keeps an embedding's spread, 1 makes all kept directions equally wide.
    """

    uses_features: ClassVar[Literal["no", "optional", "required"]] = "required"
    fitted: ClassVar[type[FittedContent]] = FittedContent

    blocks: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    max_dims: int = 128
    whitening: float = 0.5

    def __post_init__(self) -> None:
        check_block_options(self.weights, self.max_dims, self.whitening)

    def fit(self, dataset: Dataset) -> FittedContent:
        """Learn each block's normalisation and point users where their purchases lie.

        Raises:
            ConfigError: There is no feature block to use.
            DataError: A named block is not in the dataset.
        """
        if not dataset.item_features.blocks:
            raise ConfigError("content needs item features, the dataset has none; pass item_features to Dataset.of")
        names = self.blocks or None
        # One BLAS thread: the last bits of a sum depend on their number.
        with threadpool_limits(limits=1):
            transforms = fit_transforms(
                dataset.item_features, names, self.weights, max_dims=self.max_dims, whitening=self.whitening
            )
            blocks = _placed(transforms, dataset)
        return FittedContent(**fitted_base(self, dataset), transforms=transforms, **blocks)


def _placed(transforms: Sequence[BlockTransform], dataset: Dataset) -> dict[str, Any]:
    items = _unit_blocks(transforms, dataset.item_features)
    return {"item_blocks": items, "user_blocks": tuple(_profiles(dataset.matrix, block) for block in items)}


def _unit_blocks(transforms: Sequence[BlockTransform], table: FeatureTable) -> tuple[Matrix, ...]:
    return tuple(unit(t.apply(table[t.name])) for t in transforms)


def _profiles(history: sp.csr_array, items: Matrix, average: Scores | None = None) -> Matrix:
    """Direction of each user's weighted sum of items.

    A user without history gets ``average``, (1, d); None: the average direction of those with one.
    """
    profile = unit(history @ items)
    active = np.asarray(history.sum(axis=1)).ravel() > 0
    if active.all():
        return profile
    mean = _average(profile, active) if average is None else average
    which = np.where(active, np.arange(len(active)), len(active))
    if isinstance(profile, np.ndarray):
        return np.vstack([profile, mean])[which]
    return sp.csr_array(sp.vstack([profile, sp.csr_array(mean)], format="csr")[which])


def _average(profile: Matrix, active: Mask) -> Scores:
    """(1, d) the direction of the active users' mean; zero if nobody is active."""
    if not active.any():
        return np.zeros((1, profile.shape[1]), np.float32)
    return unit_rows(np.asarray(profile[active].mean(axis=0), dtype=np.float32)[None, :])
