"""Implicit-feedback matrix factorisation by alternating least squares, solved by the `implicit` package.

Source: Hu, Koren, Volinsky (2008), Collaborative Filtering for Implicit Feedback Datasets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import scipy.sparse as sp

from recsys.data.dataset import Dataset
from recsys.errors import ConfigError, DataError
from recsys.models.base import Scores
from recsys.models.fitted import FittedModel, fitted_base, with_average_user
from recsys.topk import Ints


@dataclass(frozen=True, eq=False)
class FittedALS(FittedModel):
    """User and item factors; an item nobody bought has a zero vector and scores 0 with everybody.

    Attributes:
        user_factors: (n_users, factors) float32; a user without history is the average user.
        item_factors: (n_items, factors) float32.
    """

    model: ClassVar[str] = "als"
    user_factors: Scores
    item_factors: Scores

    def _score_block(self, user_idx: Ints) -> Scores:
        return self.user_factors[user_idx] @ self.item_factors.T

    def _item_vectors(self) -> Scores:
        return self.item_factors


@dataclass(frozen=True)
class ALS:
    """Weighted matrix factorisation with confidence ``alpha · weight``.

    Attributes:
        factors: Latent dimensions.
        regularization: L2 penalty on the factors.
        alpha: Confidence per unit of interaction weight.
        iterations: Alternations.
        seed: Of the starting factors. The result does not depend on the number of threads.
    """

    uses_features: ClassVar[Literal["no", "optional", "required"]] = "no"
    fitted: ClassVar[type[FittedALS]] = FittedALS

    factors: int = 64
    regularization: float = 0.01
    alpha: float = 1.0
    iterations: int = 15
    seed: int = 0

    def __post_init__(self) -> None:
        if self.factors < 1 or self.iterations < 1:
            raise ConfigError(f"factors and iterations must be >= 1, got {self.factors} and {self.iterations}")
        if not (0 <= self.regularization < np.inf and 0 < self.alpha < np.inf):
            raise ConfigError(
                f"regularization must be >= 0 and alpha > 0, "
                f"got {self.regularization} and {self.alpha}; defaults are .01 and 1"
            )

    def fit(self, dataset: Dataset) -> FittedALS:
        """Alternate; ids only, features are not looked at.

        Raises:
            DataError: The factors are not finite (raise ``regularization``).
        """
        # Imported here: both look for a BLAS when imported, which costs users of other models time.
        from implicit.cpu.als import AlternatingLeastSquares
        from threadpoolctl import threadpool_limits

        base = fitted_base(self, dataset)
        # BLAS threads would contend with the solver's own, and change the last bits with their number.
        with threadpool_limits(limits=1, user_api="blas"):
            solver = AlternatingLeastSquares(
                factors=self.factors,
                regularization=self.regularization,
                alpha=self.alpha,
                iterations=self.iterations,
                random_state=self.seed,
                dtype=np.float32,
            )
            solver.fit(sp.csr_matrix(dataset.matrix, dtype=np.float32), show_progress=False)
        users, items = np.asarray(solver.user_factors), np.asarray(solver.item_factors)
        if not (np.isfinite(users).all() and np.isfinite(items).all()):
            raise DataError("ALS diverged to non-finite factors; raise regularization or lower alpha")
        return FittedALS(**base, user_factors=with_average_user(users, base["seen"]), item_factors=items)
