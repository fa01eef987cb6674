"""Implicit-feedback matrix factorisation whose user and item factors are pulled to what their features say.

With p_u, q_i the factors, y_u, x_i the features (an intercept included), w_ui > 0 the weight of an interaction, S all
interactions, a the weight of a pair without one, the objective is

    Σ over S of w_ui (1 - p_u·q_i)²  +  a Σ over all pairs of (p_u·q_i)²
      + Σ_u l_u ‖p_u - Bᵀy_u‖²  +  Σ_i l_i ‖q_i - Cᵀx_i‖²  +  f (l̄_user ‖B‖² + l̄_item ‖C‖²)

    l_u = l (Σ_i w_ui + a n_items)^ν        l_i = l (Σ_u w_ui + a n_users)^ν

over users and items with interactions, the mean of whose weights is made 1; l̄ are means over rows, and intercepts are
not penalised. The first line is, but for a constant, Σ c_ui (r_ui - p_u·q_i)² over all pairs with confidence c = a + w
and preference r = w / (a + w). A side without features is pulled to 0, and without any the model is Rendle's iALS.
Users, B, items and C are solved in turn, users once more at the end, exactly. What has no interactions gets the factors
its features say: C says where a cold item stands among warm ones.

Sources: Hu, Koren, Volinsky (2008), Collaborative Filtering for Implicit Feedback Datasets; Rendle, Krichene, Zhang,
Koren (2021), Revisiting the Performance of iALS on Item Recommendation Benchmarks (first line, ν).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np
import scipy.sparse as sp
import torch

from recsys.data.dataset import Dataset
from recsys.data.features import FeatureTable, Matrix
from recsys.errors import ConfigError, DataError
from recsys.models.als_regression import Design, Regression
from recsys.models.als_solver import Interactions
from recsys.models.als_training import Side, objective
from recsys.models.blocks import BlockTransform, check_block_options, fit_transforms
from recsys.models.crew import Crew, crew
from recsys.models.fitted import fitted_base
from recsys.models.fitted_feature_als import CONFIDENCE, FittedFeatureALS, checked, confidences, everyone
from recsys.models.options import DEVICES, check_choice, check_counts, check_not_negative, check_positive, torch_device
from recsys.progress import progress
from recsys.topk import Mask


@dataclass(frozen=True)
class FeatureALS:
    """Weighted matrix factorisation in which features say where a row stands until interactions say better.

    Attributes:
        factors: Latent dimensions.
        iterations: Alternations.
        regularization: l, the pull of factors to what their features say (or to 0), > 0.
        unobserved_weight: a, the weight of a pair without an interaction; the mean interaction's is 1.
        frequency_scaling: ν: 0 pulls all rows alike, 1 in proportion to their part in the loss.
        feature_l2: f, the penalty on feature weights, worth so many average rows, > 0.
        intercept: Whether rows are pulled to a common mean beside what their features say. Without it, what is like
            nothing known is pulled to 0.
        confidence: How a pair's summed weight counts, before the mean is made 1: ``linear``, or ``log``(1 + weight).
        cg_steps: Conjugate gradient steps an iteration for rows with more than 16 interactions, from where they were;
            0 solves them directly too. The last solution of the users is direct in any case.
        blocks: Item feature blocks to use; None uses all, () none.
        user_blocks: User feature blocks to use; None uses all, () none.
        weights: Item block name → length of its normalised rows; 1 where not named.
        raw: Item blocks taken as they are (times their weight), not normalised.
        max_dims: Principal directions kept of an embedding.
        whitening: 0 keeps an embedding's spread, 1 makes all kept directions equally wide.
        early_stop: End when an iteration lowers the objective by less than this share; None runs all.
        device: ``auto`` is a GPU where there is one.
        seed: Of the starting factors. On the CPU the result does not depend on the number of threads.

    Example:
        >>> FeatureALS(confidence="sqrt")
        Traceback (most recent call last):
        recsys.errors.ConfigError: confidence must be one of linear, log, got 'sqrt'
    """

    uses_features: ClassVar[Literal["no", "optional", "required"]] = "optional"
    fitted: ClassVar[type[FittedFeatureALS]] = FittedFeatureALS

    factors: int = 64
    iterations: int = 16
    regularization: float = 0.01
    unobserved_weight: float = 0.1
    frequency_scaling: float = 1.0
    feature_l2: float = 10.0
    intercept: bool = True
    confidence: Literal["linear", "log"] = "log"
    cg_steps: int = 3
    blocks: tuple[str, ...] | None = None
    user_blocks: tuple[str, ...] | None = None
    weights: Mapping[str, float] = field(default_factory=dict)
    raw: tuple[str, ...] = ()
    max_dims: int = 128
    whitening: float = 0.5
    early_stop: float | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice(self, "confidence", CONFIDENCE)
        check_choice(self, "device", DEVICES)
        check_counts(self, "factors", "iterations")
        check_positive(self, "regularization", "feature_l2")
        check_not_negative(self, "unobserved_weight", "frequency_scaling")
        if self.cg_steps < 0:
            raise ConfigError(f"cg_steps must be >= 0, got {self.cg_steps}; 0 solves directly")
        if self.early_stop is not None and not 0 <= self.early_stop < 1:
            raise ConfigError(f"early_stop must be in [0, 1), got {self.early_stop}; omit it to run all iterations")
        check_block_options(self.weights, self.max_dims, self.whitening)

    def fit(self, dataset: Dataset) -> FittedFeatureALS:
        """Alternate; progress with the objective goes to standard error.

        Raises:
            ConfigError: A weight names no block that is used, or ``device`` is ``cuda`` and there is none.
            DataError: A named block is missing, or no interaction has a positive weight.
        """
        with crew() as workers:
            return _Fit(self, dataset, torch_device(self.device), workers).run()

    def penalty(self, mass: torch.Tensor, n_others: int) -> torch.Tensor:
        """(n,) l of rows whose interactions with ``n_others`` weigh so much."""
        part = mass + self.unobserved_weight * n_others
        return (self.regularization * part**self.frequency_scaling).float()


class _Fit:
    """One fit."""

    def __init__(self, config: FeatureALS, dataset: Dataset, device: torch.device, workers: Crew) -> None:
        self.config, self.dataset, self.device, self.workers = config, dataset, device, workers
        history = confidences(config, dataset.matrix)
        if not history.nnz:
            raise DataError("no interaction has a positive weight; there is nothing to learn from")
        self.unit = history.data.mean(dtype=np.float64)
        history.data /= np.float32(self.unit)
        self.active: Mask = np.diff(history.indptr) > 0
        self.users = np.flatnonzero(self.active)
        self.items = np.flatnonzero(np.bincount(history.indices, minlength=history.shape[1]))
        self.history = history[self.users][:, self.items]

    def run(self) -> FittedFeatureALS:
        c, data = self.config, self.dataset
        user_transforms = self._transforms(data.user_features, c.user_blocks, {}, ())
        item_transforms = self._transforms(data.item_features, c.blocks, c.weights, c.raw)
        user_blocks = [t.apply(data.user_features[t.name], self.users) for t in user_transforms]
        item_blocks = [t.apply(data.item_features[t.name], self.items) for t in item_transforms]
        user, item = self._side(self.history, user_blocks), self._side(sp.csr_array(self.history.T), item_blocks)
        losses = self._alternate(user, item)
        user_regression = _regression(user, user_transforms, user_blocks)
        item_regression = _regression(item, item_transforms, item_blocks)
        says = item_regression.of(data.item_features)
        residuals = np.zeros_like(says)
        residuals[self.items] = item.factors.cpu().numpy() - says[self.items]
        learned = np.zeros(len(data.items), dtype=bool)
        learned[self.items] = True
        people = user_regression.of(data.user_features)
        people[self.users] = user.factors.cpu().numpy()
        return checked(
            FittedFeatureALS(
                **fitted_base(c, data),
                user_factors=everyone(people, user_regression, self.active),
                item_factors=says + residuals,
                item_residuals=residuals,
                learned=learned,
                unit=np.array([self.unit]),
                losses=np.asarray(losses),
                user_regression=user_regression,
                item_regression=item_regression,
            )
        )

    def _transforms(
        self, table: FeatureTable, names: tuple[str, ...] | None, weights: Mapping[str, float], raw: tuple[str, ...]
    ) -> tuple[BlockTransform, ...]:
        c = self.config
        return fit_transforms(table, names, weights, max_dims=c.max_dims, whitening=c.whitening, raw=raw)

    def _side(self, matrix: sp.csr_array, blocks: list[Matrix]) -> Side:
        c, (n, n_others) = self.config, matrix.shape
        interactions = Interactions.of(matrix, factors=c.factors, device=self.device)
        penalty = c.penalty(interactions.mass, n_others)
        rng = torch.Generator().manual_seed(c.seed)
        start = torch.randn(n, c.factors, generator=rng) * (0.1 / c.factors**0.5)
        design = Design.of(blocks, n, self.device, intercept=c.intercept) if blocks else None
        ridge = c.feature_l2 * float(penalty.double().mean())
        more = {"ridge": ridge, "unobserved": c.unobserved_weight}
        return Side(interactions, penalty, start.to(self.device), design, **more, crew=self.workers)

    def _alternate(self, user: Side, item: Side) -> list[float]:
        c, losses = self.config, list[float]()
        with progress("fit feature-als", c.iterations) as advance:
            for _ in range(c.iterations):
                user.follow(item, c.cg_steps or None)
                losses.append(objective(user, item))
                user.regress()
                item.follow(user, c.cg_steps or None)
                item.regress()
                advance(note=f"loss {losses[-1]:.4f}")
                if c.early_stop is not None and len(losses) > 1 and losses[-1] > losses[-2] * (1 - c.early_stop):
                    break
            user.follow(item, None)
        return [*losses, objective(user, item)]


def _regression(side: Side, transforms: tuple[BlockTransform, ...], blocks: list[Matrix]) -> Regression:
    if side.ridge is None:
        return Regression((), (), np.zeros(side.factors.shape[1], np.float32))
    intercept, weights = side.ridge.design.split(side.weights, blocks)
    return Regression(transforms, weights, intercept)
