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
from recsys.errors import ConfigError, DataError
from recsys.models.base import Scores
from recsys.models.blocks import (
    BlockTransform,
    check_block_options,
    fit_transforms,
    pack_transforms,
    unpack_transforms,
)
from recsys.models.fitted import Arrays, FittedModel, fitted_base, unit_rows
from recsys.topk import Ints, Mask, ScoreBlock


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

    def _score_block(self, user_idx: Ints) -> Scores:
        return self._mean_cosine([b[user_idx] for b in self.user_blocks])

    def _item_similarity(self) -> tuple[ScoreBlock, Mask]:
        known: Mask = np.any([_norms(b) > 0 for b in self.item_blocks], axis=0)
        return lambda rows: self._mean_cosine([b[rows] for b in self.item_blocks]), known

    def _mean_cosine(self, queries: Sequence[Matrix]) -> Scores:
        total = np.float32(sum(t.weight for t in self.transforms))
        out = np.zeros((queries[0].shape[0], len(self.items)), np.float32)
        for transform, query, items in zip(self.transforms, queries, self.item_blocks, strict=True):
            cosine = query @ items.T
            out += np.float32(transform.weight) / total * (cosine.toarray() if sp.issparse(cosine) else cosine)
        return out

    def arrays(self) -> Arrays:
        """Transforms and both sides' blocks."""
        packed = pack_transforms(self.transforms)
        for i, (user, item) in enumerate(zip(self.user_blocks, self.item_blocks, strict=True)):
            packed |= _pack_matrix(f"user{i}", user) | _pack_matrix(f"item{i}", item)
        return packed

    @classmethod
    def from_arrays(cls, base: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The inverse of `arrays`."""
        transforms = unpack_transforms(arrays)
        users = tuple(_unpack_matrix(f"user{i}", arrays, t.n_out) for i, t in enumerate(transforms))
        items = tuple(_unpack_matrix(f"item{i}", arrays, t.n_out) for i, t in enumerate(transforms))
        return cls(**base, transforms=transforms, user_blocks=users, item_blocks=items)


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
            items = _unit_blocks(transforms, dataset.item_features)
            users = tuple(_profiles(dataset.matrix, block) for block in items)
        return FittedContent(**fitted_base(self, dataset), transforms=transforms, user_blocks=users, item_blocks=items)


def _unit_blocks(transforms: Sequence[BlockTransform], table: FeatureTable) -> tuple[Matrix, ...]:
    return tuple(_unit(t.apply(table[t.name])) for t in transforms)


def _profiles(history: sp.csr_array, items: Matrix) -> Matrix:
    """Direction of each user's weighted sum of items; without history, the average user's direction."""
    profile = _unit(history @ items)
    active = np.asarray(history.sum(axis=1)).ravel() > 0
    if active.all() or not active.any():
        return profile
    mean = np.asarray(profile[active].mean(axis=0), dtype=np.float32)[None, :]
    which = np.where(active, np.arange(len(active)), len(active))
    if isinstance(profile, np.ndarray):
        return np.vstack([profile, unit_rows(mean)])[which]
    return sp.csr_array(sp.vstack([profile, sp.csr_array(unit_rows(mean))], format="csr")[which])


def _norms(values: Matrix) -> npt.NDArray[np.float32]:
    if isinstance(values, np.ndarray):
        return np.asarray(np.linalg.norm(values, axis=1))
    return np.sqrt(np.asarray(values.multiply(values).sum(axis=1)).ravel())


def _unit(values: Matrix) -> Matrix:
    if isinstance(values, np.ndarray):
        return unit_rows(values)
    norms = _norms(values)
    scale = np.repeat(np.where(norms > 0, norms, 1), np.diff(values.indptr)).astype(np.float32)
    return sp.csr_array((values.data / scale, values.indices, values.indptr), shape=values.shape)


def _pack_matrix(name: str, values: Matrix) -> Arrays:
    if isinstance(values, np.ndarray):
        return {name: values}
    return {f"{name}.data": values.data, f"{name}.indices": values.indices, f"{name}.indptr": values.indptr}


def _unpack_matrix(name: str, arrays: Mapping[str, npt.NDArray[Any]], n_columns: int) -> Matrix:
    if name in arrays:
        return arrays[name]
    parts = tuple(arrays[f"{name}.{part}"] for part in ("data", "indices", "indptr"))
    if len(parts[2]) < 1:
        raise DataError(f"{name} has no row pointers")
    return sp.csr_array(parts, shape=(len(parts[2]) - 1, n_columns))
