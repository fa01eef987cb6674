"""A hybrid recommender: users and items are sums of what is learned of their ids and of their features.

The hypothesis class is LightFM's (Kula 2015, Metadata Embeddings for User and Item Cold-start
Recommendations), features carrying biases as ids do:

    score(u, i) = <p_u, q_i> + b_u + b_i
    (q_i, b_i) = id of i + Σ over blocks x_i W        (p_u, b_u) = id of u + Σ over blocks y_u V

with two additions. A user is also what they have: p_u gains the weighted mean of x_j W over their history. And
in training an item's id is left out at random for a shared, learned *unknown item*, so that features learn
to do without it and cold items stand beside warm ones on the same scale. Interaction weights count as
log(1 + weight).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from recsys.data.dataset import Dataset
from recsys.data.features import FeatureTable
from recsys.errors import ConfigError, DataError, unknown_name
from recsys.models.bags import Bag
from recsys.models.base import Scores
from recsys.models.blocks import BlockTransform, check_block_options, fit_transforms
from recsys.models.calibration import cold_offset, expected_cold_share
from recsys.models.crew import one_thread
from recsys.models.fitted_hybrid import FittedHybrid, fitted_hybrid, history_of
from recsys.models.losses import LOSSES
from recsys.models.optimisers import OPTIMISERS
from recsys.models.options import (
    DEVICES,
    check_choice,
    check_counts,
    check_not_negative,
    check_positive,
    torch_device,
)
from recsys.models.tower import Source, Tower
from recsys.models.training import Trainer
from recsys.models.validation import Holdout, Patience
from recsys.topk import Ints


@dataclass(frozen=True, eq=False)
class Learned:
    """A training under way, over the ``warm`` items only, and the blocks' transforms."""

    trainer: Trainer
    warm: Ints
    user_transforms: tuple[BlockTransform, ...]
    item_transforms: tuple[BlockTransform, ...]


PRECISIONS: Mapping[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class HybridModel:
    """Learns user, item and feature vectors by ranking what was bought above what was not.

    Attributes:
        factors: Latent dimensions.
        loss: ``softmax``, ``warp``, ``bpr``, ``logistic`` or ``warp-kos``; see `recsys.models.losses`.
        epochs: Passes over the users.
        optimiser: ``adagrad`` or ``adam``.
        learning_rate: Of vectors and feature weights.
        bias_learning_rate: Of biases; items' start at the log of the number of buyers.
        l2: Penalty on a pair's id vectors.
        l2_features: Penalty on feature weights, over the whole of training data.
        id_dropout: Share of items shown without their id, a step; no effect without features.
        history: Whether a user is also the mean of what they have (needs item features).
        folds: Parts into which a history is split in training, each predicted from the others.
        user_id: Whether a user has an id vector beside history and features.
        blocks: Item feature blocks to use; None uses all, () none.
        user_blocks: User feature blocks to use; None uses all, () none.
        weights: Block name → length of its normalised rows; 1 where not named.
        raw: Blocks taken as they are (times their weight), not normalised.
        max_dims: Principal directions kept of an embedding.
        whitening: 0 keeps an embedding's spread, 1 makes all kept directions equally wide.
        batch_size: Users a step.
        negatives: Items drawn a step, shared by its users; all bought items if there are no more.
        precision: In which dense features are kept and multiplied while training: ``float32``, or ``bfloat16``, which
            halves their memory and is about twice as fast where the processor has instructions for it (AVX512-BF16,
            AMX, most GPUs). Vectors, losses and sums stay float32.
        kos_k: ``warp-kos``: which of the drawn positives is learned from, 1 the best.
        kos_n: ``warp-kos``: positives drawn.
        validation: Latest share of the interactions that a rehearsal is judged by; it finds the number of epochs. Then
            the model is fitted on everything, and the ages of the share's items say how many cold ones lists should
            hold. 0 goes without either.
        horizon_days: How long lists will be shown before the next fit: the longer, the more of what is bought is new.
            0: as long as the validation took.
        patience: The rehearsal ends when its NDCG@20 has not risen for so many epochs.
        device: ``auto`` is a GPU where there is one.
        seed: Of everything random. On the CPU the result does not depend on the number of threads.

    Example:
        >>> HybridModel(loss="wrap")
        Traceback (most recent call last):
        recsys.errors.ConfigError: loss must be one of softmax, warp, bpr, logistic, warp-kos, got 'wrap'
    """

    uses_features: ClassVar[Literal["no", "optional", "required"]] = "optional"
    fitted: ClassVar[type[FittedHybrid]] = FittedHybrid

    factors: int = 64
    loss: Literal["softmax", "warp", "bpr", "logistic", "warp-kos"] = "softmax"
    epochs: int = 15
    optimiser: Literal["adagrad", "adam"] = "adagrad"
    learning_rate: float = 0.05
    bias_learning_rate: float = 0.05
    l2: float = 1.0
    l2_features: float = 1.0
    id_dropout: float = 0.5
    history: bool = True
    folds: int = 4
    user_id: bool = True
    blocks: tuple[str, ...] | None = None
    user_blocks: tuple[str, ...] | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    raw: tuple[str, ...] = ()
    max_dims: int = 128
    whitening: float = 0.5
    batch_size: int = 256
    negatives: int = 8192
    precision: Literal["float32", "bfloat16"] = "float32"
    kos_k: int = 1
    kos_n: int = 3
    validation: float = 0.0
    horizon_days: float = 0.0
    patience: int = 3
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice(self, "loss", (*LOSSES, "warp-kos"))
        check_choice(self, "optimiser", OPTIMISERS)
        check_choice(self, "precision", PRECISIONS)
        check_choice(self, "device", DEVICES)
        check_counts(self, "factors", "epochs", "batch_size", "negatives", "kos_k", "patience")
        check_positive(self, "learning_rate", "bias_learning_rate")
        check_not_negative(self, "l2", "l2_features")
        if self.folds < 2:
            raise ConfigError(f"folds must be >= 2, got {self.folds}; history=False does without")
        if self.kos_n < self.kos_k:
            raise ConfigError(f"kos_n must be >= kos_k ({self.kos_k}), got {self.kos_n}")
        if not 0 <= self.id_dropout <= 1:
            raise ConfigError(f"id_dropout must be in [0, 1], got {self.id_dropout}")
        if not 0 <= self.validation < 1:
            raise ConfigError(f"validation must be in [0, 1), got {self.validation}; 0 goes without")
        if not 0 <= self.horizon_days < np.inf:
            raise ConfigError(f"horizon_days must be >= 0, got {self.horizon_days}; 0 takes the validation's")
        check_block_options(self.weights, self.max_dims, self.whitening)

    def fit(self, dataset: Dataset) -> FittedHybrid:
        """Learn; progress with the loss goes to standard error.

        Raises:
            ConfigError: A weight names no block that is used, or ``device`` is ``cuda`` and there is none.
            DataError: A named block is missing, no interaction has a positive weight, the loss diverged, or
                ``validation`` meets a missing timestamp or leaves too little.
        """
        epochs = self._rehearse(dataset) if self.validation else self.epochs
        learned = self.prepare(dataset)
        fitted = self.finish(dataset, learned, learned.trainer.run(epochs))
        if not self.validation or not learned.item_transforms:
            return fitted
        share = expected_cold_share(dataset, self.horizon_days, recent=self.validation)
        return self.finish(dataset, learned, fitted.losses, offset=cold_offset(fitted, dataset, share))

    def _rehearse(self, dataset: Dataset) -> int:
        """The number of epochs after which lists of the latest interactions were best."""
        holdout = Holdout.of(dataset, self.validation)
        learned = self.prepare(holdout.past)
        watch = Patience(lambda: holdout.ndcg(self.finish(holdout.past, learned, [])), self.patience)
        learned.trainer.run(self.epochs, watch)
        return watch.best_epoch

    def prepare(self, dataset: Dataset) -> Learned:
        """Everything up to the first step: what variants of this model may change before they train.

        Raises:
            ConfigError: As `fit`.
            DataError: As `fit`.
        """
        device, history = torch_device(self.device), history_of(dataset.matrix)
        self._check_raw(dataset)
        if history.nnz == 0:
            raise DataError("no interaction has a positive weight; there is nothing to learn from")
        with one_thread():
            item_transforms = self._transforms(dataset.item_features, self.blocks, self.weights)
            user_transforms = self._transforms(dataset.user_features, self.user_blocks, {})
            warm = np.flatnonzero(dataset.is_warm)
            users = Source(user_transforms, dataset.user_features)
            items = Source(item_transforms, dataset.item_features, warm)
            trainer = self._trainer(history[:, warm], users, items, device)
        return Learned(trainer, warm, user_transforms, item_transforms)

    def finish(
        self, dataset: Dataset, learned: Learned, losses: npt.ArrayLike, *, offset: float = 0.0, config: Any = None
    ) -> FittedHybrid:
        """The fitted model of a training, with ``offset`` added to cold items' biases, under another ``config``."""
        trainer = learned.trainer
        unknown = _numpy(trainer.unknown)[0]
        unknown[-1] += np.float32(offset)
        item_ids = np.tile(unknown, (len(dataset.items), 1))
        item_ids[learned.warm] = _numpy(trainer.item.ids)
        return fitted_hybrid(
            self if config is None else config,
            dataset,
            user_ids=_numpy(trainer.user.ids),
            item_ids=item_ids,
            unknown=unknown,
            user_transforms=learned.user_transforms,
            item_transforms=learned.item_transforms,
            user_weights=tuple(map(_numpy, trainer.user.block_weights(learned.user_transforms))),
            item_weights=tuple(map(_numpy, trainer.item.block_weights(learned.item_transforms))),
            losses=np.asarray(losses, dtype=np.float32),
        )

    def _check_raw(self, dataset: Dataset) -> None:
        known = (*dataset.item_features.names, *dataset.user_features.names)
        for name in self.raw:
            if name not in known:
                raise ConfigError(unknown_name("feature block in raw", name, known))

    def _transforms(
        self, table: FeatureTable, names: tuple[str, ...] | None, weights: Mapping[str, float]
    ) -> tuple[BlockTransform, ...]:
        return fit_transforms(table, names, weights, max_dims=self.max_dims, whitening=self.whitening, raw=self.raw)

    def _trainer(self, history: sp.csr_array, users: Source, items: Source, device: torch.device) -> Trainer:
        """Small random vectors; biases are the log of the number of buyers.

        That is the optimum of a softmax over all items where vectors say nothing: training starts at popularity.
        """
        rng = torch.Generator().manual_seed(self.seed)
        width, scale = self.factors + 1, 0.1 / self.factors**0.5
        user, item = (torch.randn(n, width, generator=rng) * scale for n in history.shape)
        user[:, -1] = 0
        if not self.user_id:
            user.zero_()
        item[:, -1] = torch.from_numpy(np.log(np.bincount(history.indices, minlength=history.shape[1])))
        unknown = torch.zeros(1, width)
        if items.transforms:
            unknown[:, -1] = item[:, -1].mean()
        return Trainer(
            options=self,
            history=Bag.of(history, device),
            user=Tower.of(user.to(device), users, rng, PRECISIONS[self.precision]),
            item=Tower.of(item.to(device), items, rng, PRECISIONS[self.precision]),
            unknown=unknown.to(device),
            rng=rng,
        )


def _numpy(tensor: torch.Tensor) -> Scores:
    return tensor.detach().cpu().numpy().copy()
