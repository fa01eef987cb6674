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

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self, TypeVar

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch

from recsys.data.dataset import Dataset
from recsys.data.features import FeatureTable, Matrix
from recsys.data.ids import IdMap
from recsys.errors import ConfigError, DataError
from recsys.explain.contributions import ITSELF, Contributions, Question, Terms, bilinear
from recsys.explain.terms import average_user, least_squares, past_terms
from recsys.models.als_regression import Design, Regression
from recsys.models.als_solver import Interactions, Problem, gram, solve
from recsys.models.als_training import Side, objective
from recsys.models.base import Scores
from recsys.models.blocks import BlockTransform, check_block_options, fit_transforms
from recsys.models.crew import Crew, crew
from recsys.models.fitted import Arrays, FittedModel, as_seen, evidence, fitted_base
from recsys.models.folding import mean_of, take_rows
from recsys.progress import progress
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
                solved = _solved(self.config, buyers, people[active], items[new], workers)
                residuals[new], items[new] = solved - items[new], solved
                people = self._solved_users(history, items, learned | bought, says, workers)
        made: dict[str, Any] = {
            "user_factors": people,
            "item_factors": items,
            "item_residuals": residuals,
            "learned": learned | bought,
        }
        return _checked(replace(self, **fitted_base(self.config, dataset), **made))

    def _with_users(self, users: IdMap, history: sp.csr_array) -> Self:
        says = np.tile(self.user_regression.intercept, (len(users), 1))  # of strangers no features are known
        average = mean_of(self.user_factors, self._has_history)
        with crew() as workers:
            people = self._solved_users(self._history(history), self.item_factors, self.learned, says, workers, average)
        return replace(self, users=users, seen=as_seen(history), user_factors=people)

    def _history(self, weights: sp.csr_array) -> sp.csr_array:
        history = _confidences(self.config, weights)
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
        people = _solved(self.config, known, items[counting], says, workers)
        return _everyone(people, self.user_regression, np.diff(known.indptr) > 0, average)

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
        for name, known in (("confidence", CONFIDENCE), ("device", ("auto", "cpu", "cuda"))):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}")
        for name in ("factors", "iterations"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be >= 1, got {getattr(self, name)}")
        if self.cg_steps < 0:
            raise ConfigError(f"cg_steps must be >= 0, got {self.cg_steps}; 0 solves directly")
        for name in ("regularization", "feature_l2"):
            if not 0 < getattr(self, name) < np.inf:
                raise ConfigError(f"{name} must be > 0, got {getattr(self, name)}")
        for name in ("unobserved_weight", "frequency_scaling"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ConfigError(f"{name} must be >= 0, got {getattr(self, name)}")
        if self.early_stop is not None and not 0 <= self.early_stop < 1:
            raise ConfigError(f"early_stop must be in [0, 1), got {self.early_stop}; omit it to run all iterations")
        check_block_options(self.weights, self.max_dims, self.whitening)

    def fit(self, dataset: Dataset) -> FittedFeatureALS:
        """Alternate; progress with the objective goes to standard error.

        Raises:
            ConfigError: A weight names no block that is used, or ``device`` is ``cuda`` and there is none.
            DataError: A named block is missing, no interaction has a positive weight, or one is not finite.
        """
        with crew() as workers:
            return _Fit(self, dataset, _device(self.device), workers).run()

    def penalty(self, mass: torch.Tensor, n_others: int) -> torch.Tensor:
        """(n,) l of rows whose interactions with ``n_others`` weigh so much."""
        part = mass + self.unobserved_weight * n_others
        return (self.regularization * part**self.frequency_scaling).float()


class _Fit:
    """One fit."""

    def __init__(self, config: FeatureALS, dataset: Dataset, device: torch.device, workers: Crew) -> None:
        self.config, self.dataset, self.device, self.workers = config, dataset, device, workers
        history = _confidences(config, dataset.matrix)
        if not history.nnz:
            raise DataError("no interaction has a positive weight; there is nothing to learn from")
        self.unit = history.data.mean(dtype=np.float64)
        if not np.isfinite(self.unit):
            raise DataError("interaction weights must be finite, some are not or their sum is not; mend them")
        history.data /= np.float32(self.unit)
        self.active: Mask = np.diff(history.indptr) > 0
        self.users = np.flatnonzero(self.active)
        self.items = np.flatnonzero(np.bincount(history.indices, minlength=history.shape[1]))
        self.history = history[self.users][:, self.items]

    def run(self) -> FittedFeatureALS:
        c, data = self.config, self.dataset
        user_transforms = self._transforms(data.user_features, c.user_blocks, {}, ())
        item_transforms = self._transforms(data.item_features, c.blocks, c.weights, c.raw)
        user_blocks = [t.apply(data.user_features[t.name])[self.users] for t in user_transforms]
        item_blocks = [t.apply(data.item_features[t.name])[self.items] for t in item_transforms]
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
        return _checked(
            FittedFeatureALS(
                **fitted_base(c, data),
                user_factors=_everyone(people, user_regression, self.active),
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
        design = Design.of(blocks, n, self.device) if blocks else None
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


def _solved(c: FeatureALS, matrix: sp.csr_array, other: Scores, prior: Scores, workers: Crew) -> Scores:
    """(n, factors) exact solutions for rows of (n, n_others) confidences, the other side given."""
    device = _device(c.device)
    rows = Interactions.of(matrix, factors=c.factors, device=device)
    others = torch.from_numpy(other).to(device)
    penalty, pull = c.penalty(rows.mass, matrix.shape[1]), torch.from_numpy(prior).to(device)
    problem = Problem(others, gram(others, workers), penalty, pull, c.unobserved_weight)
    x, _ = solve(rows, problem, workers)
    return x.cpu().numpy()


def _confidences(config: FeatureALS, weights: sp.csr_array) -> sp.csr_array:
    """(n_users, n_items) float32 CSR of positive confidences, before their mean is made 1."""
    matrix = evidence(weights)
    matrix.data = CONFIDENCE[config.confidence](matrix.data).astype(np.float32)
    return matrix


def _regression(side: Side, transforms: tuple[BlockTransform, ...], blocks: list[Matrix]) -> Regression:
    if side.ridge is None:
        return Regression((), (), np.zeros(side.factors.shape[1], np.float32))
    intercept, weights = side.ridge.design.split(side.weights, blocks)
    return Regression(transforms, weights, intercept)


def _everyone(people: Scores, regression: Regression, active: Mask, average: Scores | None = None) -> Scores:
    """Users, those without history being what features say or, where there are none, average (None: of ``people``)."""
    if regression.transforms or active.all():
        return people
    average = mean_of(people, active) if average is None else average
    return np.where(active[:, None], people, average)


def _checked(fitted: F) -> F:
    if not (np.isfinite(fitted.user_factors).all() and np.isfinite(fitted.item_factors).all()):
        raise DataError(
            f"the factors are not finite; raise regularization ({fitted.config.regularization}) "
            "or look for extreme weights in the interactions"
        )
    return fitted


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("device is cuda, but torch sees no GPU; use device = 'auto' or 'cpu'")
    return torch.device("cuda" if name == "auto" and torch.cuda.is_available() else "cpu" if name == "auto" else name)
