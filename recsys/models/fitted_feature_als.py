"""What `recsys.models.feature_als` has learned, and how users and items are placed by it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from recsys.data.dataset import Dataset
from recsys.data.features import FeatureTable
from recsys.data.ids import IdMap
from recsys.errors import DataError
from recsys.explain.contributions import ITSELF, Contributions, Question, Terms, bilinear
from recsys.explain.terms import average_user, least_squares, past_terms
from recsys.models.als_regression import Regression
from recsys.models.als_solver import Interactions, Problem, gram, solve
from recsys.models.base import Scores
from recsys.models.crew import Crew, crew
from recsys.models.fitted import Arrays, FittedModel, as_seen, evidence, fitted_base
from recsys.models.folding import mean_of, take_rows
from recsys.models.options import torch_device
from recsys.topk import Ints, Mask

PLAIN = ("user_factors", "item_factors", "item_residuals", "learned", "unit", "losses")
CONFIDENCE: dict[str, Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]] = {"linear": np.positive, "log": np.log1p}
F = TypeVar("F", bound="FittedFeatureALS")


@dataclass(frozen=True, eq=False)
class FittedFeatureALS(FittedModel):
    """User and item factors and the regressions that they lean on.

    Attributes:
        user_factors: (n_users, factors) p_u; without history what features say, else the average user's.
        item_factors: (n_items, factors) q_i.
        item_residuals: (n_items, factors) q_i beyond what its features said when it was learned; 0 if it was not.
        learned: (n_items,) bool, items that had interactions when they were learned.
        unit: (1,) mean confidence of an interaction before it was made 1.
        losses: (iterations + 1,) the objective after users were solved.
        user_regression: B.
        item_regression: C.
    """

    model: ClassVar[str] = "feature-als"
    user_factors: Scores
    item_factors: Scores
    item_residuals: Scores
    learned: Mask
    unit: npt.NDArray[np.float64]
    losses: npt.NDArray[np.float64]
    user_regression: Regression
    item_regression: Regression

    def with_item_features(self, table: FeatureTable) -> FittedFeatureALS:
        """The same users and regression looking at other pictures: items move as far as the regression says.

        Raises:
            DataError: A block is missing or has other columns.
            UnknownIdError: The table lacks an item.
        """
        return replace(self, item_factors=self.item_residuals + self.item_regression.of(table.align(self.items)))

    def partial_fit(self, dataset: Dataset) -> Self:
        """The same regressions and learned items beside other users, items and interactions.

        All users are solved anew from the dataset; then items that were not learned before and now have
        interactions, for those users; then users again. Learned items stay where they are, so that what was
        computed of them stays valid. With the dataset fitted on nothing changes.

        Raises:
            DataError: A block is missing or has other columns.
        """
        history = self._history(dataset.matrix)
        bought = np.bincount(history.indices, minlength=history.shape[1]) > 0
        old = self.items.positions(dataset.items.ids)
        learned: Mask = (old >= 0) & self.learned[old]
        residuals = take_rows(self.item_residuals, old)
        items = residuals + self.item_regression.of(dataset.item_features)
        new, says = bought & ~learned, self.user_regression.of(dataset.user_features)
        with crew() as workers:
            people = self._solved_users(history, items, learned | bought, says, workers)
            if new.any():
                active = np.diff(history.indptr) > 0
                buyers = sp.csr_array(history[active][:, new].T)
                factors = solved(self.config, buyers, people[active], items[new], workers)
                residuals[new], items[new] = factors - items[new], factors
                people = self._solved_users(history, items, learned | bought, says, workers)
        made: dict[str, Any] = {
            "user_factors": people,
            "item_factors": items,
            "item_residuals": residuals,
            "learned": learned | bought,
        }
        return checked(replace(self, **fitted_base(self.config, dataset), **made))

    def _with_users(self, users: IdMap, history: sp.csr_array) -> Self:
        says = np.tile(self.user_regression.intercept, (len(users), 1))  # of strangers no features are known
        average = mean_of(self.user_factors, self._has_history)
        with crew() as workers:
            people = self._solved_users(self._history(history), self.item_factors, self.learned, says, workers, average)
        return replace(self, users=users, seen=as_seen(history), user_factors=people)

    def _history(self, weights: sp.csr_array) -> sp.csr_array:
        history = confidences(self.config, weights)
        history.data /= np.float32(self.unit[0])
        return history

    def _solved_users(
        self,
        history: sp.csr_array,
        items: Scores,
        counting: Mask,
        says: Scores,
        workers: Crew,
        average: Scores | None = None,
    ) -> Scores:
        """(n_users, factors) users solved against the items that count; see `_everyone` for those without any."""
        known = sp.csr_array(history[:, counting])
        people = solved(self.config, known, items[counting], says, workers)
        return everyone(people, self.user_regression, np.diff(known.indptr) > 0, average)

    def _score_block(self, user_idx: Ints) -> Scores:
        return self.user_factors[user_idx] @ self.item_factors.T

    def _item_vectors(self) -> Scores:
        return self.item_factors

    def _user_vectors(self) -> Scores:
        return self.user_factors

    def arrays(self) -> Arrays:
        """Factors and both regressions."""
        own: Arrays = {name: getattr(self, name) for name in PLAIN}
        return own | self.user_regression.arrays("user") | self.item_regression.arrays("item")

    @classmethod
    def from_arrays(cls, base: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """The inverse of `arrays`."""
        fields: dict[str, Any] = {**base, **{name: arrays[name] for name in PLAIN}}
        user, item = (Regression.from_arrays(side, arrays) for side in ("user", "item"))
        return cls(**fields, user_regression=user, item_regression=item)

    def contributions(self, question: Question) -> Contributions:
        """A user is solved exactly, so each past item and what features say of the user add a known part to them."""
        says = self.item_regression.terms(question.shown_features(self.model), question.item)
        items = Terms.of((ITSELF,), self.item_residuals[[question.item]]) + says
        return bilinear(self._user_terms(question), items, [*self.item_factors.mean(axis=0), 0])

    def _user_terms(self, question: Question) -> Terms:
        data, person = question.dataset(self.model), self.user_factors[question.user]
        history = self._history(data.matrix[[question.user]])
        counts = self.learned[history.indices]
        past, weight = history.indices[counts], history.data[counts].astype(np.float64)
        says = self.user_regression.terms(data.user_features, question.user)
        if not len(past):
            return says.and_rest([*person, 0]) if self.user_regression.transforms else average_user(person)
        learned, own = self.item_factors[self.learned].astype(np.float64), self.item_factors[past]
        pull = float(self.config.penalty(torch.tensor([weight.sum()]), len(learned))[0])
        gram = self.config.unobserved_weight * learned.T @ learned + pull * np.eye(learned.shape[1])
        right = np.vstack([pull * says.vectors[:, :-1], own * weight[:, None]])
        parts = least_squares(gram, own, weight, right)
        said = Terms.of(says.terms, parts[: len(says.terms)])
        return (said + past_terms(data.items.ids[past], parts[len(says.terms) :])).and_rest([*person, 0])


def solved(c: Any, matrix: sp.csr_array, other: Scores, prior: Scores, workers: Crew) -> Scores:
    """(n, factors) exact solutions for rows of (n, n_others) confidences, the other side given."""
    device = torch_device(c.device)
    rows = Interactions.of(matrix, factors=c.factors, device=device)
    others = torch.from_numpy(other).to(device)
    penalty, pull = c.penalty(rows.mass, matrix.shape[1]), torch.from_numpy(prior).to(device)
    problem = Problem(others, gram(others, workers), penalty, pull, c.unobserved_weight)
    x, _ = solve(rows, problem, workers)
    return x.cpu().numpy()


def confidences(config: Any, weights: sp.csr_array) -> sp.csr_array:
    """(n_users, n_items) float32 CSR of positive confidences, before their mean is made 1."""
    matrix = evidence(weights)
    matrix.data = CONFIDENCE[config.confidence](matrix.data).astype(np.float32)
    return matrix


def everyone(people: Scores, regression: Regression, active: Mask, average: Scores | None = None) -> Scores:
    """Users, those without history being what features say or, where there are none, average (None: of ``people``)."""
    if regression.transforms or active.all():
        return people
    average = mean_of(people, active) if average is None else average
    return np.where(active[:, None], people, average)


def checked(fitted: F) -> F:
    """The model, if its factors are finite.

    Raises:
        DataError: They are not.
    """
    if not (np.isfinite(fitted.user_factors).all() and np.isfinite(fitted.item_factors).all()):
        raise DataError(
            f"the factors are not finite; raise regularization ({fitted.config.regularization}) "
            "or look for extreme weights in the interactions"
        )
    return fitted
