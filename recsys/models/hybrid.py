"""A hybrid recommender: users and items are sums of what is learned of their ids and of their features.

The hypothesis class is LightFM's (Kula 2015, Metadata Embeddings for User and Item Cold-start
Recommendations):

    score(u, i) = <p_u, q_i> + b_i      q_i = e_i + Σ over blocks x_i W

with two additions. A user is also what they have: p_u = e_u + mean over the history of Σ x_j W. And in
training an item's id vector is left out at random, so that features learn to do without it, as they must for
a cold item. Interaction weights enter the loss as log(1 + weight).
A user's bias would change no order and is not learned.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import torch

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
from recsys.models.fitted import Arrays, FittedModel, fitted_base, with_average_user
from recsys.models.training import Features, Parameters, Trainer, history_sums, initial, one_thread
from recsys.topk import Ints


@dataclass(frozen=True, eq=False)
class FittedHybrid(FittedModel):
    """User vectors, item vectors and item biases, and what the item vectors are made of.

    Attributes:
        user_vectors: (n_users, factors) p_u; a user without history is the average user.
        id_vectors: (n_items, factors) e_i; zero for a cold item.
        item_bias: (n_items,) b_i; for a cold item 0, as for an item bought once.
        item_vectors: (n_items, factors) q_i.
        transforms: The blocks' normalisation.
        weights: One (d, factors) W a block.
        losses: (epochs,) mean training loss a pair.
    """

    model: ClassVar[str] = "hybrid"
    user_vectors: Scores
    id_vectors: Scores
    item_bias: Scores
    item_vectors: Scores
    transforms: tuple[BlockTransform, ...]
    weights: tuple[Scores, ...]
    losses: Scores

    def with_item_features(self, table: FeatureTable) -> FittedHybrid:
        """The same users and weights looking at other pictures: item vectors are computed anew.

        Raises:
            DataError: A block is missing or has other columns.
            UnknownIdError: The table lacks an item.
        """
        blocks = _normalised(self.transforms, table.align(self.items))
        return replace(self, item_vectors=_item_vectors(self.id_vectors, blocks, self.weights))

    def _score_block(self, user_idx: Ints) -> Scores:
        scores = self.user_vectors[user_idx] @ self.item_vectors.T
        scores += self.item_bias
        return scores

    def _item_vectors(self) -> Scores:
        return self.item_vectors

    def arrays(self) -> Arrays:
        """Vectors, biases, block weights and transforms."""
        names = ("user_vectors", "id_vectors", "item_bias", "item_vectors", "losses")
        packed = {name: getattr(self, name) for name in names} | pack_transforms(self.transforms)
        return packed | {f"weight{i}": w for i, w in enumerate(self.weights)}

    @classmethod
    def from_arrays(cls, base: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The inverse of `arrays`."""
        names = ("user_vectors", "id_vectors", "item_bias", "item_vectors", "losses")
        transforms = unpack_transforms(arrays)
        weights = tuple(arrays[f"weight{i}"] for i in range(len(transforms)))
        fields: dict[str, Any] = {**base, **{n: arrays[n] for n in names}}
        return cls(**fields, transforms=transforms, weights=weights)


@dataclass(frozen=True)
class HybridModel:
    """Learns user, item and feature vectors by ranking what was bought above what was not.

    Attributes:
        factors: Latent dimensions.
        loss: ``warp``, ``bpr`` or ``softmax``; see `recsys.models.losses`.
        epochs: Passes over the distinct (user, item) pairs.
        learning_rate: AdaGrad's, of vectors and feature weights.
        bias_learning_rate: AdaGrad's, of item biases, which start at the log of the number of buyers.
        l2: Penalty on a pair's id vectors.
        l2_features: Penalty on feature weights; less of it helps cold items and costs warm ones.
        id_dropout: Share of items shown without their id vector, a batch; no effect without features.
        history: Whether a user is also the mean of what they have (needs features).
        blocks: Item feature blocks to use; None uses all, () none.
        weights: Block name → length of its normalised rows; 1 where not named.
        max_dims: Principal directions kept of an embedding.
        whitening: 0 keeps an embedding's spread, 1 makes all kept directions equally wide.
        batch_size: Pairs a step.
        negatives: Random items a step, shared by its pairs.
        early_stop: End when an epoch lowers the loss by less than this share; None runs all epochs.
        seed: Of everything random. The result does not depend on the number of threads.

    Example:
        >>> HybridModel(loss="wrap")
        Traceback (most recent call last):
        recsys.errors.ConfigError: loss must be one of warp, bpr, softmax, got 'wrap'
    """

    uses_features: ClassVar[Literal["no", "optional", "required"]] = "optional"
    fitted: ClassVar[type[FittedHybrid]] = FittedHybrid

    factors: int = 64
    loss: Literal["warp", "bpr", "softmax"] = "warp"
    epochs: int = 15
    learning_rate: float = 0.05
    bias_learning_rate: float = 0.05
    l2: float = 1.0
    l2_features: float = 1.0
    id_dropout: float = 0.5
    history: bool = True
    blocks: tuple[str, ...] | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    max_dims: int = 128
    whitening: float = 0.5
    batch_size: int = 512
    negatives: int = 256
    early_stop: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.loss not in ("warp", "bpr", "softmax"):
            raise ConfigError(f"loss must be one of warp, bpr, softmax, got {self.loss!r}")
        for name in ("factors", "epochs", "batch_size", "negatives"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")
        for name in ("learning_rate", "bias_learning_rate"):
            if not 0 < getattr(self, name) < np.inf:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        for name in ("l2", "l2_features"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ConfigError(f"{name} must be >= 0, got {getattr(self, name)}")
        if not 0 <= self.id_dropout <= 1:
            raise ConfigError(f"id_dropout must be in [0, 1], got {self.id_dropout}")
        if self.early_stop is not None and not 0 <= self.early_stop < 1:
            raise ConfigError(f"early_stop must be in [0, 1), got {self.early_stop}; omit it to run all epochs")
        check_block_options(self.weights, self.max_dims, self.whitening)

    def fit(self, dataset: Dataset) -> FittedHybrid:
        """Learn; progress with the loss goes to standard error.

        Raises:
            ConfigError: A weight names no block that is used.
            DataError: A named block is missing, no interaction has a positive weight, or the loss diverged.
        """
        base = fitted_base(self, dataset)
        history = dataset.matrix.copy()
        history.eliminate_zeros()
        if history.nnz == 0:
            raise DataError("no interaction has a positive weight; there is nothing to learn from")
        with one_thread():
            transforms = fit_transforms(
                dataset.item_features,
                self.blocks,
                self.weights,
                max_dims=self.max_dims,
                whitening=self.whitening,
            )
            blocks = _normalised(transforms, dataset.item_features)
            sums = history_sums(history, blocks) if self.history else ()
            rng = torch.Generator().manual_seed(self.seed)
            start = initial(self, history, [b.shape[1] for b in blocks], rng)
            trainer = Trainer(self, history, Features.of(blocks), Features.of(sums), start, rng)
            losses = np.asarray(trainer.run(), dtype=np.float32)
            learned = _finished(trainer.parameters, dataset, blocks, sums)
        return FittedHybrid(**base, **learned, transforms=transforms, losses=losses)


def _finished(p: Parameters, dataset: Dataset, blocks: Sequence[Matrix], sums: Sequence[Matrix]) -> dict[str, Any]:
    """Training's parameters as vectors: cold ids forgotten, history pooled, users without one averaged."""
    history = dataset.matrix.copy()
    history.eliminate_zeros()
    warm = dataset.is_warm[:, None]
    weights = tuple(w.numpy() for w in p.weights)
    id_vectors = np.where(warm, p.item.numpy(), np.float32(0))
    users = p.user.numpy()
    if sums:
        counts = np.maximum(np.diff(history.indptr), 1).astype(np.float32)
        users = users + _products(sums, weights) / counts[:, None]
    return {
        "user_vectors": with_average_user(users, history),
        "id_vectors": id_vectors,
        "item_bias": p.bias.numpy(),
        "item_vectors": _item_vectors(id_vectors, blocks, weights),
        "weights": weights,
    }


def _normalised(transforms: Sequence[BlockTransform], table: FeatureTable) -> tuple[Matrix, ...]:
    return tuple(t.apply(table[t.name]) for t in transforms)


def _item_vectors(id_vectors: Scores, blocks: Sequence[Matrix], weights: Sequence[Scores]) -> Scores:
    return id_vectors + _products(blocks, weights) if blocks else id_vectors


def _products(blocks: Sequence[Matrix], weights: Sequence[Scores]) -> Scores:
    total: Scores = np.sum([b @ w for b, w in zip(blocks, weights, strict=True)], axis=0, dtype=np.float32)
    return total
