"""What a reward would be, by ridge regression: fitted on some rounds, asked about others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from evaluation.ope.log import BanditLog, Floats, Ints
from evaluation.ope.policies import Probabilities
from recsys.errors import ConfigError, DataError

PENALTIES = (1.0, 10.0, 100.0, 1e3, 1e4, 1e5)
"""Of the ridge; the one with the least squared error on the held-out folds is taken."""
BLOCK = 2**13
"""Rounds looked at together."""


class FittedReward(Protocol):
    """q̂(x, a) of every fold: the model of a fold has not seen the fold's rounds."""

    def logged(self, context: Ints, position: Ints, action: Ints, fold: Ints) -> Floats:
        """(b,) prediction for each round by the model of its fold."""
        ...

    def expected(self, context: Ints, position: Ints, probabilities: Probabilities) -> Floats:
        """(b, n_folds) Σ_a π(a) q̂(x, a), by the model of each fold."""
        ...


class RewardModel(Protocol):
    """Predicts rewards."""

    def fit(self, log: BanditLog, fold: Ints, n_folds: int) -> FittedReward:
        """Learn each fold's model from the other folds; ``fold`` is (n,) in [0, n_folds)."""
        ...


def assign_folds(n: int, unit: Ints | None, n_folds: int, seed: int) -> Ints:
    """(n,) fold of each of n rounds; those of one unit are in one fold, folds are of equal size in units.

    Example:
        >>> assign_folds(4, np.array([1, 1, 0, 0]), 2, seed=0).tolist() in ([0, 0, 1, 1], [1, 1, 0, 0])
        True
    """
    n_units = n if unit is None else int(unit.max()) + 1
    if n_folds > n_units:
        raise DataError(f"{n_folds} folds need as many units, the log has {n_units}; take fewer folds")
    fold = np.random.default_rng(seed).permutation(n_units) % n_folds
    return np.asarray(fold if unit is None else fold[unit], np.int64)


@dataclass(frozen=True, eq=False)
class Given:
    """Predictions made elsewhere; out of fold, if they were learned from this log.

    Attributes:
        table: (n_contexts, n_actions), or (n_contexts, n_actions, n_positions) as in obp.

    Example:
        >>> given = Given(np.array([[0.1, 0.3]]))
        >>> given.expected(np.array([0]), np.array([0]), np.array([[0.5, 0.5]])).tolist()
        [[0.2]]
    """

    table: Floats

    def fit(self, log: BanditLog, fold: Ints, n_folds: int) -> FittedReward:
        """Nothing to learn; the shape is checked.

        Raises:
            DataError: The table does not fit the log, or is not finite.
        """
        wanted = (len(log.contexts), log.n_actions, log.n_positions)[: self.table.ndim]
        if self.table.ndim not in (2, 3) or self.table.shape != wanted:
            raise DataError(f"predictions must be (n_contexts, n_actions[, n_positions]), got {self.table.shape}")
        if not np.isfinite(self.table).all():
            raise DataError("predictions must be finite, got NaN or infinite")
        return self

    def logged(self, context: Ints, position: Ints, action: Ints, fold: Ints) -> Floats:
        """(b,) from the table."""
        at = (context, action) if self.table.ndim == 2 else (context, action, position)
        return np.asarray(self.table[at])

    def expected(self, context: Ints, position: Ints, probabilities: Probabilities) -> Floats:
        """(b, 1): all folds have one model."""
        rows = self.table[context] if self.table.ndim == 2 else self.table[context, :, position]
        return np.asarray(np.einsum("ba,ba->b", probabilities, rows)[:, None])


@dataclass(frozen=True, eq=False)
class Ridge:
    """Linear in action, place, context features and the products of context and action features.

    q̂(x, a) = place + action_a + γ·x + xᵀ Γ f_a. The action's part is a one-hot, so no action shares another's rate
    unless the penalty pulls both to the mean; its normal equations are diagonal and eliminated, so the cost is linear
    in the number of actions. Predictions of a probability may leave [0, 1], which doubly robust estimators bear.

    Attributes:
        action_features: (n_actions, m) such as style embeddings, reduced to ``rank`` principal components; None: no
            products.
        rank: Components that are kept, >= 1.
        penalties: Tried, each > 0; the place's part is not penalised.

    Example:
        >>> log = BanditLog.of([0, 1] * 500, [0, 1] * 500, [0.5] * 1000, actions=2)
        >>> fitted = Ridge().fit(log, np.arange(1000) // 2 % 2, 2)
        >>> fitted.expected(np.array([0]), np.array([0]), np.array([[0.0, 1.0]])).round(2).tolist()
        [[1.0, 1.0]]
    """

    action_features: npt.NDArray[np.floating] | None = None
    rank: int = 4
    penalties: tuple[float, ...] = PENALTIES

    def __post_init__(self) -> None:
        if self.rank < 1 or not self.penalties or min(self.penalties) <= 0:
            raise ConfigError(
                f"ridge: rank must be >= 1 and penalties > 0, got {self.rank} and {self.penalties}; omit them"
            )

    def fit(self, log: BanditLog, fold: Ints, n_folds: int) -> FittedReward:
        """One pass over the log gathers every fold's normal equations.

        Raises:
            DataError: Action features that do not fit the log.
            ConfigError: Fewer than two folds.
        """
        design = _Design(log, self._components(log))
        sums = NormalEquations(n_folds, log.n_actions, design.width)
        for f in range(n_folds):
            mine = np.flatnonzero(fold == f)
            for part in blocks(len(mine)):
                rows = mine[part]
                sums.add(f, design.rows(rows), log.action[rows], log.reward[rows])
        action, rest = sums.solve(self.penalties, free=log.n_positions)
        return design.fitted(action, rest)

    def _components(self, log: BanditLog) -> Floats:
        """(n_actions, ·) standardised principal components; no columns where nothing can be multiplied."""
        if self.action_features is None or not log.features.shape[1]:
            return np.zeros((log.n_actions, 0))
        given = np.asarray(self.action_features, np.float64)
        if given.ndim != 2 or len(given) != log.n_actions or not np.isfinite(given).all():
            raise DataError(f"action features must be finite and ({log.n_actions}, m), got {given.shape}")
        left, values, _ = np.linalg.svd(given - given.mean(axis=0), full_matrices=False)
        kept = min(self.rank, int((values > 1e-9 * max(values.max(initial=0), 1e-300)).sum()))
        return np.asarray(left[:, :kept] * np.sqrt(len(given)))


@dataclass(frozen=True, eq=False)
class _Design:
    """Columns beside the one-hot of the action: place (one column each), x, and x × each component of f."""

    log: BanditLog
    components: Floats

    @property
    def width(self) -> int:
        return int(self.log.n_positions + self.log.features.shape[1] * (1 + self.components.shape[1]))

    def rows(self, rows: Ints) -> Floats:
        """(b, width) of these rounds."""
        log = self.log
        x = log.features[log.context[rows]].astype(np.float64)
        f, found = self.components[log.action[rows]], np.empty((len(rows), self.width))
        found[:, : log.n_positions] = log.position[rows][:, None] == np.arange(log.n_positions)
        start, d = log.n_positions, x.shape[1]
        found[:, start : start + d] = x
        for j in range(f.shape[1]):
            start += d
            np.multiply(x, f[:, j : j + 1], out=found[:, start : start + d])
        return found

    def fitted(self, action: Floats, rest: Floats) -> _FittedRidge:
        """Coefficients of every fold, taken apart: place, x, and (component, x)."""
        places, d = self.log.n_positions, self.log.features.shape[1]
        products = rest[:, places + d :].reshape(len(rest), self.components.shape[1], d)
        return _FittedRidge(self, action, rest[:, :places], rest[:, places : places + d], products)


@dataclass(frozen=True, eq=False)
class _FittedRidge:
    design: _Design
    action: Floats  # (n_folds, n_actions)
    place: Floats  # (n_folds, n_positions)
    plain: Floats  # (n_folds, d)
    products: Floats  # (n_folds, m, d)

    def logged(self, context: Ints, position: Ints, action: Ints, fold: Ints) -> Floats:
        slope = self.plain[:, None, :] + np.einsum("am,fmd->fad", self.design.components, self.products)
        x = self.design.log.features[context]
        constant = self.place[fold, position] + self.action[fold, action]
        return np.asarray(constant + np.einsum("bd,bd->b", x, slope[fold, action]))

    def expected(self, context: Ints, position: Ints, probabilities: Probabilities) -> Floats:
        kind = probabilities.dtype  # a product of two types would copy the larger one
        found = self.place.T[position] + probabilities @ self.action.T.astype(kind)
        x = self.design.log.features[context]
        found += x @ self.plain.T
        f = probabilities @ self.design.components.astype(kind)
        for at, products in enumerate(self.products):
            found[:, at] += np.einsum("bm,bm->b", x @ products.T, f)
        return np.asarray(found)


class NormalEquations:
    """Sums of every fold for least squares on [one-hot action, rest]; the action's block stays a diagonal.

    Attributes:
        count: (n_folds, n_actions) rounds.
        cross: (n_folds, n_actions, width) Σ rest of each action.
        square: (n_folds, width, width) Σ rest restᵀ.
        target_action: (n_folds, n_actions) Σ reward of each action.
        target_rest: (n_folds, width) Σ reward × rest.
        target: (n_folds,) Σ reward².
    """

    def __init__(self, n_folds: int, n_actions: int, width: int) -> None:
        if n_folds < 2:
            raise ConfigError(f"a model is fitted on the other folds, so there must be 2 at least, got {n_folds}")
        self.count, self.target_action = np.zeros((n_folds, n_actions)), np.zeros((n_folds, n_actions))
        self.cross = np.zeros((n_folds, n_actions, width))
        self.square = np.zeros((n_folds, width, width))
        self.target_rest, self.target = np.zeros((n_folds, width)), np.zeros(n_folds)

    def add(self, fold: int, rest: Floats, action: Ints, reward: Floats) -> None:
        """Add rounds of one fold: (b, width), (b,), (b,)."""
        n_actions = self.count.shape[1]
        self.count[fold] += np.bincount(action, minlength=n_actions)
        self.target_action[fold] += np.bincount(action, reward, minlength=n_actions)
        columns = (np.ones(len(action)), action, np.arange(len(action) + 1))
        self.cross[fold] += np.asarray(sp.csc_array(columns, shape=(n_actions, len(action))) @ rest)
        self.square[fold] += rest.T @ rest
        self.target_rest[fold] += reward @ rest
        self.target[fold] += float(reward @ reward)

    def solve(self, penalties: Sequence[float], *, free: int) -> tuple[Floats, Floats]:
        """(n_folds, n_actions) and (n_folds, width): each fold's coefficients from the other folds.

        Args:
            penalties: The one with the least held-out squared error is taken, the largest where they tie.
            free: The first columns of the rest that are not penalised.
        """
        tried = [[self._without(f, penalty, free) for f in range(len(self.count))] for penalty in sorted(penalties)]
        errors = [sum(self._error(f, *found[f]) for f in range(len(self.count))) for found in tried]
        best = tried[len(errors) - 1 - int(np.argmin(errors[::-1]))]
        return np.stack([action for action, _ in best]), np.stack([rest for _, rest in best])

    def _without(self, fold: int, penalty: float, free: int) -> tuple[Floats, Floats]:
        """Solve with the action's diagonal block eliminated (Schur complement)."""
        count, cross, square, of_action, of_rest = (
            total.sum(axis=0) - total[fold]
            for total in (self.count, self.cross, self.square, self.target_action, self.target_rest)
        )
        shrunk = 1 / (count + penalty)
        ridge = np.where(np.arange(len(square)) < free, 1e-9 * max(float(count.sum()), 1.0), penalty)
        left = square + np.diag(ridge) - (cross * shrunk[:, None]).T @ cross
        rest = np.linalg.solve(left, of_rest - cross.T @ (shrunk * of_action))
        return shrunk * (of_action - cross @ rest), rest

    def _error(self, fold: int, action: Floats, rest: Floats) -> float:
        """Held-out squared error, from the sums alone."""
        linear = self.target_action[fold] @ action + self.target_rest[fold] @ rest
        square = self.count[fold] @ action**2 + rest @ self.square[fold] @ rest
        return float(self.target[fold] - 2 * linear + square + 2 * (action @ self.cross[fold] @ rest))


def blocks(n: int, size: int = BLOCK) -> Iterator[slice]:
    """Slices of at most ``size`` that cover n.

    Example:
        >>> [(part.start, part.stop) for part in blocks(5, 2)]
        [(0, 2), (2, 4), (4, 5)]
    """
    return (slice(start, min(start + size, n)) for start in range(0, n, size))
