"""Matrix factorisation for pairwise ranking, trained by the `implicit` package.

Source: Rendle, Freudenthaler, Gantner, Schmidt-Thieme (2009), BPR: Bayesian Personalized Ranking from Implicit
Feedback.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import scipy.sparse as sp

from recsys.data.dataset import Dataset
from recsys.data.ids import IdMap
from recsys.errors import ConfigError
from recsys.explain.contributions import AVERAGE, ITSELF, Contributions, Question, Terms, bilinear
from recsys.models.als import fit_finite, on_gpu
from recsys.models.base import Scores
from recsys.models.fitted import FittedModel, as_seen, fitted_base, learnable, with_average_user
from recsys.models.folding import place, place_items, take_rows
from recsys.models.options import DEVICES, check_choice
from recsys.retrieval.factors import Factors
from recsys.topk import Ints


@dataclass(frozen=True, eq=False)
class FittedBPR(FittedModel):
    """User and item vectors and item biases; an item nobody bought scores 0 with everybody.

    Attributes:
        user_vectors: (n_users, factors) float32; a user without history is the average user.
        item_vectors: (n_items, factors) float32.
        item_bias: (n_items,) float32.
    """

    model: ClassVar[str] = "bpr"
    user_vectors: Scores
    item_vectors: Scores
    item_bias: Scores

    def partial_fit(self, dataset: Dataset) -> Self:
        """Known users and items keep their vectors, whatever they did since; new ones get them by `fold_in`.

        New users first, from the known items they have; then items that had no vector, from the users who have them.
        """
        seen = as_seen(dataset.matrix)
        items = take_rows(np.column_stack([self.item_vectors, self.item_bias]), self.items.positions(dataset.items.ids))
        before = self.users.positions(dataset.users.ids)
        users = take_rows(self.user_vectors, before)
        users[before < 0] = self._placed(sp.csr_array(seen[before < 0]), items[:, :-1])
        place_items(items, seen, users)
        return replace(
            self,
            **fitted_base(self.config, dataset),
            user_vectors=users,
            item_vectors=np.ascontiguousarray(items[:, :-1]),
            item_bias=np.ascontiguousarray(items[:, -1]),
        )

    def _placed(self, history: sp.csr_array, item_vectors: Scores) -> Scores:
        return place(self.seen, self.item_vectors, self.user_vectors, history, item_vectors)

    def _with_users(self, users: IdMap, history: sp.csr_array) -> Self:
        vectors = self._placed(history, self.item_vectors)
        return replace(self, users=users, seen=as_seen(history), user_vectors=vectors)

    def _score_block(self, user_idx: Ints) -> Scores:
        scores = self.user_vectors[user_idx] @ self.item_vectors.T
        scores += self.item_bias
        return scores

    def factors(self) -> Factors:
        """Vectors and the items' biases."""
        return Factors(self.user_vectors, self.item_vectors, self.item_bias)

    def _item_vectors(self) -> Scores:
        return self.item_vectors

    def _user_vectors(self) -> Scores:
        return self.user_vectors

    def contributions(self, question: Question) -> Contributions:
        """The item's bias, and the user's vector, of which nothing tells the origin."""
        known = self.seen.indptr[question.user] < self.seen.indptr[question.user + 1]
        user = Terms.of((ITSELF if known else AVERAGE,), self.user_vectors[[question.user]])
        item = Terms.of((ITSELF,), self.item_vectors[[question.item]], self.item_bias[question.item])
        return bilinear(user, item, [*self.item_vectors.mean(axis=0), self.item_bias.mean()])


@dataclass(frozen=True)
class BPR:
    """Learns to rank what a user has above a random item they have not; weights are not looked at.

    Attributes:
        factors: Latent dimensions.
        learning_rate: Of stochastic gradient descent.
        regularization: L2 penalty on vectors and biases.
        epochs: Passes over the interactions.
        seed: Of start, order and samples. One thread trains, so on a CPU the result is always the same.
        device: As of `recsys.models.als.ALS`.
    """

    uses_features: ClassVar[Literal["no", "optional", "required"]] = "no"
    fitted: ClassVar[type[FittedBPR]] = FittedBPR

    factors: int = 64
    learning_rate: float = 0.01
    regularization: float = 0.01
    epochs: int = 100
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        check_choice(self, "device", DEVICES)
        if self.factors < 1 or self.epochs < 1:
            raise ConfigError(f"factors and epochs must be >= 1, got {self.factors} and {self.epochs}")
        if not (0 < self.learning_rate < np.inf and 0 <= self.regularization < np.inf):
            raise ConfigError(
                f"learning_rate must be > 0 and regularization >= 0, "
                f"got {self.learning_rate} and {self.regularization}; defaults are .01 and .01"
            )

    def fit(self, dataset: Dataset) -> FittedBPR:
        """Descend; ids only, features are not looked at.

        Raises:
            DataError: No interaction has a positive weight, or the vectors are not finite (lower ``learning_rate``).
        """
        history, base = learnable(dataset), fitted_base(self, dataset)
        users, items = fit_finite(self._solver(), history, "lower learning_rate or raise regularization")
        # The package keeps the bias as one more factor, for which every user has 1.
        return FittedBPR(
            **base,
            user_vectors=with_average_user(np.ascontiguousarray(users[:, :-1]), base["seen"]),
            item_vectors=np.ascontiguousarray(items[:, :-1]),
            item_bias=np.ascontiguousarray(items[:, -1]),
        )

    def _solver(self) -> Any:
        options: dict[str, Any] = {"factors": self.factors, "learning_rate": self.learning_rate}
        options |= {"regularization": self.regularization, "iterations": self.epochs, "random_state": self.seed}
        if on_gpu(self.device, "HAS_CUDA"):
            from implicit.gpu.bpr import BayesianPersonalizedRanking
        else:
            from implicit.cpu.bpr import BayesianPersonalizedRanking

            options["num_threads"] = 1
        return BayesianPersonalizedRanking(**options)
