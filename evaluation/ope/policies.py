"""Policies that a log is asked about: what each would choose, as probabilities."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from evaluation.ope.log import BanditLog, Ints
from evaluation.ope.reading import encode_contexts
from recsys.data.cells import TextColumn, parse_numbers
from recsys.errors import ConfigError, DataError, UnknownIdError
from recsys.models.base import FittedRecommender

Probabilities = npt.NDArray[np.floating]
Scorer = Callable[[Ints], npt.NDArray[np.floating]]
TOLERANCE = 1e-6
"""How far from 1 the probabilities of a choice may sum."""


class Policy(Protocol):
    """Chooses an action for a place, knowing the context."""

    @property
    def name(self) -> str:
        """For people."""
        ...

    def probabilities(self, context: Ints, position: Ints) -> Probabilities:
        """(b, n_actions): π(a | context, position), rows sum to 1.

        Args:
            context: (b,) rows of the log's ``contexts``.
            position: (b,) places, from 0.
        """
        ...


@dataclass(frozen=True)
class Uniform:
    """Every action alike.

    Example:
        >>> Uniform(4).probabilities(np.array([0]), np.array([0])).tolist()
        [[0.25, 0.25, 0.25, 0.25]]
    """

    n_actions: int
    name: str = "uniform"

    def probabilities(self, context: Ints, position: Ints) -> Probabilities:
        """(b, n_actions), all equal."""
        return np.full((len(context), self.n_actions), 1 / self.n_actions)


@dataclass(frozen=True, eq=False)
class Table:
    """Fixed probabilities: of each place, or of each context and place.

    Attributes:
        values: (n_positions, n_actions), or CSR (n_contexts, n_actions) for all places alike.
        name: For people.

    Example:
        >>> Table(np.array([[0.9, 0.1], [0.2, 0.8]])).probabilities(np.array([0, 0]), np.array([1, 0])).tolist()
        [[0.2, 0.8], [0.9, 0.1]]
    """

    values: Probabilities | sp.csr_array
    name: str = "table"

    def __post_init__(self) -> None:
        total = np.asarray(self.values.sum(axis=1))
        low = self.values.min() if min(self.values.shape) else 0
        if not low >= 0 or not np.abs(total - 1).max(initial=0) <= TOLERANCE:  # NaN is refused, too
            raise DataError(
                f"policy {self.name!r}: probabilities must be >= 0 and sum to 1, got sums from {total.min():.6g} to "
                f"{total.max():.6g} and a smallest of {low:.3g}; normalise them"
            )

    def probabilities(self, context: Ints, position: Ints) -> Probabilities:
        """(b, n_actions) rows of the table."""
        if isinstance(self.values, np.ndarray):
            return np.asarray(self.values[position])
        return np.asarray(self.values[context].toarray())


@dataclass(frozen=True, eq=False)
class Scored:
    """Chooses by the scores of a context: softmax of them, or the best with a chance ε of any.

    The softmax is drawn for each place alone. Greedy gives place k (from 0) the action with the (k+1)-th best
    score; equal scores are ranked by index. For pages drawn without repeats see `evaluation.ope.slates`.

    Attributes:
        scorer: (b,) rows of contexts → (b, n_actions) scores, higher is better; -inf is never chosen.
        temperature: Of the softmax, > 0: small is greedy, large is uniform; None for greedy.
        epsilon: Chance in [0, 1] that greedy draws from all actions alike.
        name: For people.

    Example:
        >>> policy = Scored(lambda context: np.array([[1.0, 3.0]])[np.zeros_like(context)], epsilon=0.1)
        >>> policy.probabilities(np.array([0]), np.array([0])).round(2).tolist()
        [[0.05, 0.95]]
    """

    scorer: Scorer
    temperature: float | None = None
    epsilon: float = 0.0
    name: str = "scored"

    def __post_init__(self) -> None:
        check_choice(self.temperature, self.epsilon)

    def probabilities(self, context: Ints, position: Ints) -> Probabilities:
        """(b, n_actions)."""
        scores = np.asarray(self.scorer(context))
        if self.temperature is not None:
            return softmax(scores, self.temperature)
        return greedy(scores, position, self.epsilon)


def check_choice(temperature: float | None, epsilon: float) -> None:
    """Refuse impossible settings of a choice by scores.

    Raises:
        ConfigError: Out of range, or both are set.
    """
    if temperature is not None and not 0 < temperature < np.inf:
        raise ConfigError(f"temperature must be a number > 0, got {temperature}; leave it out for the best action")
    if not 0 <= epsilon <= 1:
        raise ConfigError(f"epsilon must be in [0, 1], got {epsilon}")
    if temperature is not None and epsilon > 0:
        raise ConfigError("temperature and epsilon are two ways to explore; give one of them")


def softmax(scores: npt.NDArray[np.floating], temperature: float) -> Probabilities:
    """(b, n_actions) exp(score / temperature), normalised; 0 for -inf.

    Example:
        >>> softmax(np.array([[0.0, 0.0, -np.inf]]), 1.0).tolist()
        [[0.5, 0.5, 0.0]]
    """
    found = scores - scores.max(axis=1, keepdims=True)
    found /= temperature
    np.exp(found, out=found)
    found /= row_sums(found)[:, None]
    return np.asarray(found)


def row_sums(table: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """(b,) sums of rows as a product: for short rows several times as fast as a reduction.

    Example:
        >>> row_sums(np.array([[1.0, 2.0]])).tolist()
        [3.0]
    """
    return np.asarray(table @ np.ones(table.shape[1], table.dtype))


def greedy(scores: npt.NDArray[np.floating], position: Ints, epsilon: float) -> Probabilities:
    """(b, n_actions): 1 - ε on the action of rank ``position``, ε shared by all that may be chosen.

    Example:
        >>> greedy(np.array([[1.0, 3.0, -np.inf]]), np.array([1]), 0.2).tolist()
        [[0.9, 0.1, 0.0]]
    """
    possible = np.isfinite(scores)
    if (possible.sum(axis=1) <= position).any():
        raise DataError("a policy has fewer actions with a finite score than places; score more actions")
    share = possible * (epsilon / possible.sum(axis=1, keepdims=True))
    if position.max(initial=0) == 0:
        chosen = scores.argmax(axis=1)
    else:
        chosen = np.argsort(-scores, axis=1, kind="stable")[np.arange(len(scores)), position]
    share[np.arange(len(scores)), chosen] += 1 - epsilon
    return np.asarray(share)


def thompson(
    alpha: npt.ArrayLike,
    beta: npt.ArrayLike,
    *,
    rng: np.random.Generator | np.random.RandomState,
    n_positions: int = 1,
    draws: int = 100_000,
    name: str = "thompson",
) -> Table:
    """Bernoulli Thompson sampling that does not learn: how often each action wins each place, by Monte Carlo.

    Thompson, On the likelihood that one unknown probability exceeds another, 1933; Saito et al., Open Bandit
    Dataset and Pipeline, 2021 (the policy of the shop). A page shows the best draws in order. The error of a
    probability p is √(p (1 - p) / draws).

    Args:
        alpha: (n_actions,) > 0, of each action's Beta distribution.
        beta: (n_actions,) > 0.
        rng: Of the draws; a `RandomState` draws as obp does.
        n_positions: Places on the page.
        draws: How many, >= 1.
        name: For people.

    Raises:
        DataError: Shapes differ, or a parameter is not above 0.
        ConfigError: No draws, or more places than actions.

    Example:
        >>> policy = thompson([90, 10], [10, 90], rng=np.random.default_rng(0), draws=1000)
        >>> policy.values.tolist()
        [[1.0, 0.0]]
    """
    a, b = np.asarray(alpha, np.float64), np.asarray(beta, np.float64)
    if a.shape != b.shape or a.ndim != 1 or not ((a > 0) & (b > 0)).all():
        raise DataError(f"alpha and beta must be (n_actions,) and > 0, got shapes {a.shape} and {b.shape}")
    if draws < 1 or not 1 <= n_positions <= len(a):
        raise ConfigError(f"draws must be >= 1 and places in [1, {len(a)}], got {draws} and {n_positions}")
    wins = np.zeros((n_positions, len(a)))
    block = max(1, 2**22 // len(a))
    for start in range(0, draws, block):
        drawn = rng.beta(a, b, size=(min(block, draws - start), len(a)))
        best = np.argsort(-drawn, axis=1)[:, :n_positions]
        wins += np.stack([np.bincount(best[:, k], minlength=len(a)) for k in range(n_positions)])
    return Table(wins / draws, name)


def recommender_scores(model: FittedRecommender, log: BanditLog, *, column: str = "user_id") -> Scorer:
    """Scores of the log's actions by a fitted recommender, for `Scored`; actions are items.

    Args:
        model: Knows every user and every action of the log.
        log: Its contexts name the users.
        column: The key that holds them.

    Raises:
        DataError: The log has no such key.
        UnknownIdError: The model does not know a user or an action.
    """
    if column not in log.contexts.columns:
        raise DataError(f"a recommender chooses for users, but {column!r} is no context of the log; name it as context")
    users = log.contexts[column].to_numpy()
    for kind, known, wanted in (("user", model.users, users), ("action", model.items, log.actions.ids)):
        unknown = known.positions(wanted) < 0
        if unknown.any():
            first = f"first {wanted[int(np.argmax(unknown))]!r}"
            raise UnknownIdError(
                f"the model does not know {int(unknown.sum())} of the log's {len(wanted)} {kind}s, {first}; "
                "leave their rows out, or fit it on a catalogue and interactions that have them"
            )
    items = [str(i) for i in log.actions.ids]
    return lambda context: model.scores([str(u) for u in users[context]], items)


def chosen_by(
    frame: pd.DataFrame,
    log: BanditLog,
    *,
    action: str,
    keys: Sequence[str] = (),
    probability: str = "",
    otherwise: str = "",
    name: str = "table",
) -> Table:
    """A policy written as a table: which action for which context, such as which presentation for which user.

    Args:
        frame: One row a context, or with ``probability`` one row a context and action.
        log: Its contexts have the ``keys``.
        action: Column of the chosen action.
        keys: Columns of the context; none: one choice for everybody.
        probability: Column of π(action | context); "": the action is chosen for certain.
        otherwise: Action for contexts that the table does not have; "": there must be none.
        name: For people.

    Raises:
        DataError: A context is missing or twice, or probabilities do not sum to 1.
        UnknownIdError: An action that the log does not know.

    Example:
        >>> from evaluation.ope.reading import LogColumns, read_log
        >>> shown = {"user_id": ["u", "v"], "presentation": ["original", "retro"], "click": 1, "propensity": 0.5}
        >>> log = read_log(pd.DataFrame(shown), LogColumns(action="presentation", context=("user_id",)))
        >>> plan = pd.DataFrame({"user_id": ["u"], "presentation": ["retro"]})
        >>> policy = chosen_by(plan, log, action="presentation", keys=["user_id"], otherwise="original")
        >>> policy.probabilities(np.array([0, 1]), np.array([0, 0])).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    missing = [c for c in (action, *keys, *([probability] if probability else [])) if c not in frame.columns]
    if missing:
        raise DataError(f"the policy's table misses {', '.join(missing)}; it has {', '.join(map(str, frame.columns))}")
    written = pd.DataFrame({c: TextColumn.of(frame[c]).array() for c in keys}, index=range(len(frame)))
    contexts = written.drop_duplicates() if keys else written.iloc[:1]
    group = written.groupby(list(keys), sort=False).ngroup() if keys else np.zeros(len(frame), np.int64)
    if not probability and len(frame) > len(contexts):
        raise DataError(
            f"the policy's table has {len(frame)} rows for {len(contexts)} contexts; leave one choice for each, "
            "or give their probabilities"
        )
    share = parse_numbers(frame[probability]) if probability else np.ones(len(frame))
    where = (np.asarray(group), log.actions.encode(TextColumn.of(frame[action]).array()))
    chosen = sp.csr_array((share, where), shape=(len(contexts), log.n_actions))
    at = encode_contexts(log, keys, contexts)
    if (at < 0).any():
        if not otherwise:
            first = log.contexts.iloc[int(np.argmin(at))].to_dict()
            raise DataError(
                f"the policy says nothing of {int((at < 0).sum())} of the log's {len(at)} contexts, first {first}; "
                "add them or say what to choose otherwise"
            )
        rest = np.zeros((1, log.n_actions))
        rest[0, log.actions.encode([otherwise])] = 1
        chosen = sp.vstack([chosen, sp.csr_array(rest)], format="csr")
    return Table(chosen[at], name)  # -1 is the last row: what to choose otherwise


def logged_policy(log: BanditLog) -> Table:
    """The policy that wrote the log, where it looked at nothing but the place.

    It is read off the propensities: those of one action in one place must be equal. What they leave of 1 belongs to
    actions that the log does not show there, in equal shares.

    Raises:
        DataError: Propensities of one action in one place differ, or sum to more than 1.
    """
    cell = log.position * log.n_actions + log.action
    size = log.n_positions * log.n_actions
    count = np.bincount(cell, minlength=size)
    mean = np.bincount(cell, log.propensity, minlength=size) / np.maximum(count, 1)
    if (np.abs(log.propensity - mean[cell]) > TOLERANCE * mean[cell]).any():
        raise DataError("the logged policy looked at more than the place: propensities of one action differ; give it")
    table = mean.reshape(log.n_positions, log.n_actions)
    left = 1 - table.sum(axis=1)
    absent = (table == 0).sum(axis=1)
    if (left < -1e-3).any() or ((absent == 0) & (np.abs(left) > 1e-3)).any():
        raise DataError(f"logged propensities sum to {table.sum(axis=1).max():.4g} in a place, expected 1; check them")
    table += np.where(table == 0, (np.maximum(left, 0) / np.maximum(absent, 1))[:, None], 0)
    return Table(table / table.sum(axis=1, keepdims=True), "logged")
