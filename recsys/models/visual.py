"""Two classics of visual recommendation as special cases of the hybrid: what is fixed to 0 makes the difference.

VBPR (He, McAuley 2016, eq. 4) gives pictures factors of their own: ids fill some factors, features the others.
DeepStyle (Liu, Wu, Wang 2017, eq. 6) takes the category out of the picture: what is left of an embedding is its style.
Both are trained by BPR, against all items rather than one at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar, Literal

import torch

from recsys.data.dataset import Dataset
from recsys.errors import ConfigError
from recsys.models.blocks import check_block_options
from recsys.models.fitted_hybrid import FittedHybrid
from recsys.models.hybrid import HybridModel


@dataclass(frozen=True, eq=False)
class FittedVBPR(FittedHybrid):
    """The first ``factors`` of every vector are ids', the others the pictures'."""

    model: ClassVar[str] = "vbpr"


@dataclass(frozen=True, eq=False)
class FittedDeepStyle(FittedHybrid):
    """An item is its id, its picture, and the vector of its category."""

    model: ClassVar[str] = "deepstyle"


@dataclass(frozen=True)
class VisualModel:
    """What both share: the hybrid's options that apply; see `recsys.models.hybrid.HybridModel` for the options.

    Attributes:
        factors: Latent dimensions of ids.
        epochs: Passes over the users.
        learning_rate: AdaGrad's, of everything.
        l2: Penalty on a pair's id vectors.
        l2_features: Penalty on feature weights.
        blocks: Item feature blocks to use; None uses all.
        weights: Block name → length of its normalised rows; 1 where not named.
        max_dims: Principal directions kept of an embedding.
        whitening: 0 keeps an embedding's spread, 1 makes all kept directions equally wide.
        batch_size: Users a step.
        negatives: Items drawn a step; all bought items if there are no more.
        device: ``auto`` is a GPU where there is one.
        seed: Of everything random.
    """

    uses_features: ClassVar[Literal["no", "optional", "required"]] = "required"
    history: ClassVar[bool] = False

    factors: int = 32
    epochs: int = 20
    learning_rate: float = 0.05
    l2: float = 0.1
    l2_features: float = 1.0
    blocks: tuple[str, ...] | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    max_dims: int = 128
    whitening: float = 0.5
    batch_size: int = 256
    negatives: int = 1024
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_block_options(self.weights, self.max_dims, self.whitening)
        self._hybrid()

    def _hybrid(self, **more: Any) -> HybridModel:
        """The hybrid of the same options, which checks them."""
        shared = {f.name for f in fields(HybridModel)} & {f.name for f in fields(self)}
        options: dict[str, Any] = {name: getattr(self, name) for name in shared}
        options |= {"loss": "bpr", "history": False, "id_dropout": 0.0, "bias_learning_rate": self.learning_rate}
        return HybridModel(**options | more)

    def _check(self, dataset: Dataset, name: str) -> None:
        if not dataset.item_features.blocks:
            raise ConfigError(f"{name} needs item features, the dataset has none; pass item_features to Dataset.of")


@dataclass(frozen=True)
class VBPR(VisualModel):
    """Matrix factorisation by BPR with factors of its own for pictures; further options as `VisualModel`.

    Attributes:
        visual_factors: Latent dimensions of pictures, beside those of ids.

    Example:
        >>> VBPR(factors=16, visual_factors=8).visual_factors
        8
    """

    fitted: ClassVar[type[FittedVBPR]] = FittedVBPR

    visual_factors: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.visual_factors < 1:
            raise ConfigError(f"visual_factors must be >= 1, got {self.visual_factors}")

    def fit(self, dataset: Dataset) -> FittedHybrid:
        """Learn.

        Raises:
            ConfigError: There are no item features.
            DataError: As `HybridModel.fit`.
        """
        self._check(dataset, "vbpr")
        hybrid = self._hybrid(factors=self.factors + self.visual_factors)
        learned = hybrid.prepare(dataset)
        width = hybrid.factors + 1
        ids, pictures = torch.ones(1, width), torch.ones(1, width)
        ids[:, self.factors : -1] = 0
        pictures[:, : self.factors] = 0
        item = learned.trainer.item.masked(ids, pictures)
        learned = replace(learned, trainer=replace(learned.trainer, item=item))
        return hybrid.finish(dataset, learned, learned.trainer.run(self.epochs), config=self)


@dataclass(frozen=True)
class DeepStyle(VisualModel):
    """Matrix factorisation by BPR in which a category's vector is taken out of the pictures of its items.

    Further options as `VisualModel`.

    Attributes:
        category: The sparse block that says of which category an item is.

    Example:
        >>> DeepStyle(category="kind").category
        'kind'
    """

    fitted: ClassVar[type[FittedDeepStyle]] = FittedDeepStyle

    category: str = "category"

    def fit(self, dataset: Dataset) -> FittedHybrid:
        """Learn.

        Raises:
            ConfigError: There are no item features, or the category block is not sparse.
            DataError: There is no category block; or as `HybridModel.fit`.
        """
        self._check(dataset, "deepstyle")
        if not dataset.item_features[self.category].is_sparse:
            raise ConfigError(f"block {self.category!r} must be one-hot (sparse) to be a category, it is dense")
        blocks = None if self.blocks is None else tuple(dict.fromkeys((*self.blocks, self.category)))
        hybrid = self._hybrid(raw=(self.category,), blocks=blocks)
        learned = hybrid.prepare(dataset)
        return hybrid.finish(dataset, learned, learned.trainer.run(self.epochs), config=self)
