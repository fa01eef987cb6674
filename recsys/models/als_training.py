"""The alternation of FeatureALS: users, what features say of users, items, what features say of items, and again.

No step raises the objective of `recsys.models.feature_als`: each is the minimum over its block, or conjugate
gradients on the way there from where the block was.
"""

from __future__ import annotations

import torch
from torch import Tensor

from recsys.models.als_regression import Design, Ridge
from recsys.models.als_solver import Interactions, Problem, gram, solve
from recsys.models.crew import Crew


class Side:
    """Users or items while they are learned.

    Args:
        interactions: Of the rows.
        penalty: (n,) l of each row.
        factors: (n, k) to start from.
        design: Features of the rows; None without.
        ridge: Penalty of the feature weights.
        unobserved: The weight a of a pair without an interaction.
        crew: Who works.
    """

    def __init__(
        self,
        interactions: Interactions,
        penalty: Tensor,
        factors: Tensor,
        design: Design | None,
        *,
        ridge: float,
        unobserved: float,
        crew: Crew,
    ) -> None:
        self.interactions, self.penalty, self.factors = interactions, penalty, factors
        self.unobserved, self.crew = unobserved, crew
        self.ridge = None if design is None else Ridge(design, penalty, ridge, crew)
        self.weights = factors.new_zeros(0 if design is None else design.width, factors.shape[1])
        self.prior = torch.zeros_like(factors)
        self.gram = gram(factors, crew)
        self.squares = 0.0

    def follow(self, other: Side, steps: int | None) -> None:
        """Solve the factors for those of the other side, see `solve`."""
        problem = Problem(other.factors, other.gram, self.penalty, self.prior, self.unobserved)
        self.factors, self.squares = solve(self.interactions, problem, self.crew, last=self.factors, steps=steps)
        self.gram = gram(self.factors, self.crew)

    def regress(self) -> None:
        """Solve the feature weights for the factors."""
        if self.ridge is not None:
            self.weights = self.ridge.solve(self.factors, self.weights)
            self.prior = self.ridge.design.times(self.weights, self.crew)

    def penalties(self) -> float:
        """Σ l ‖factors - prior‖² + ridge ‖weights‖²."""
        distance = (self.factors - self.prior).square_().sum(dim=1).double()
        total = distance @ self.penalty.double()
        if self.ridge is not None:
            total = total + (self.weights.square() * self.ridge.ridge).sum(dtype=torch.float64)
        return float(total)


def objective(user: Side, item: Side) -> float:
    """The loss, right after the users followed the items."""
    everywhere = user.unobserved * float((user.gram * item.gram).sum())
    return user.squares + everywhere + user.penalties() + item.penalties()
