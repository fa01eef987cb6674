"""A log as estimators see it: each round's weight under the policy, and what a model expects; memory is bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.ope.log import BanditLog, Floats, Ints
from evaluation.ope.policies import TOLERANCE, Policy, Probabilities, Table, row_sums
from evaluation.ope.reward_model import FittedReward, blocks
from recsys.errors import DataError

BLOCK_CELLS = 2**18
"""Contexts × actions whose probabilities are held at once: 1 or 2 MB, which stay near the processor."""


@dataclass(frozen=True, eq=False)
class Rounds:
    """The columns that every estimator is a formula of.

    Attributes:
        reward: (n,).
        weight: (n,) π(a | x) / propensity, the importance weight.
        chosen: (n,) π(a | x) of the logged action.
        predicted: (n,) q̂(x, a) by a model that has not seen the round; None without a model.
        value: (n,) Σ_a π(a | x) q̂(x, a) by the same model; None without a model.
        marginal: (n,) π(group | x) / π0(group | x) of the logged action's group; None without groups.
        unsupported: Share of the policy's choices that the log never shows in their place, averaged over rounds.
    """

    reward: Floats
    weight: Floats
    chosen: Floats
    predicted: Floats | None = None
    value: Floats | None = None
    marginal: Floats | None = None
    unsupported: float = 0.0


@dataclass(frozen=True, eq=False)
class Groups:
    """Actions that are alike, and how likely the logged policy chose each group, for weights of groups.

    Attributes:
        of_action: (n_actions,) group of each action, from 0.
        logged: The policy that wrote the log, as one that chooses among groups.
    """

    of_action: Ints
    logged: Policy

    @classmethod
    def of(cls, of_action: Ints, logged: Policy) -> Groups:
        """From a policy that chooses among actions; a table is summed once."""
        if isinstance(logged, Table):
            return cls(of_action, Table(logged.values @ one_hot(of_action), logged.name))
        return cls(of_action, _Grouped(of_action, logged))

    def weights(self, pi: Probabilities, logged: Probabilities, cell: Ints, action: Ints) -> Floats:
        """(b,) ratio of the probabilities of the logged action's group: Saito and Joachims, 2022."""
        group = self.of_action[action]
        below = logged[cell, group]
        if (below <= 0).any():
            raise DataError("the logged policy gives probability 0 to an action that it chose; give the right policy")
        return np.asarray((pi @ one_hot(self.of_action).astype(pi.dtype))[cell, group] / below, np.float64)


@dataclass(frozen=True, eq=False)
class _Grouped:
    of_action: Ints
    actions: Policy

    @property
    def name(self) -> str:
        return self.actions.name

    def probabilities(self, context: Ints, position: Ints) -> Probabilities:
        pi = _asked(self.actions, len(self.of_action), context, position)
        return np.asarray(pi @ one_hot(self.of_action).astype(pi.dtype))


def one_hot(group: Ints) -> Floats:
    """(n_actions, n_groups).

    Example:
        >>> one_hot(np.array([1, 0])).tolist()
        [[0.0, 1.0], [1.0, 0.0]]
    """
    return np.asarray(group[:, None] == np.arange(group.max() + 1), np.float64)


def make_rounds(
    log: BanditLog,
    policy: Policy,
    *,
    fitted: FittedReward | None = None,
    fold: Ints | None = None,
    groups: Groups | None = None,
    block_cells: int = BLOCK_CELLS,
) -> Rounds:
    """Ask the policy and the model about every round.

    Where contexts repeat, each (context, place) is asked about once.

    Args:
        log: n rounds.
        policy: Of the log's contexts and actions.
        fitted: A model of rewards.
        fold: (n,) fold of each round; needed with ``fitted``.
        groups: For marginal weights.
        block_cells: Bounds memory: cells × actions held at once.

    Raises:
        DataError: The policy's answer has the wrong shape, or is no probability.
    """
    n = len(log)
    fold = np.zeros(n, np.int64) if fold is None else fold
    chosen, unsupported, shown = np.empty(n), 0.0, log.shown()
    predicted = None if fitted is None else _predictions(log, fitted, fold)
    value = None if fitted is None else np.empty(n)
    marginal = None if groups is None else np.empty(n)
    for rows, cell, context, position in _cells(log, max(1, block_cells // log.n_actions)):
        pi = _asked(policy, log.n_actions, context, position)
        action = log.action[rows]
        chosen[rows] = pi[cell, action]
        if not shown.all():
            unsupported += float(np.bincount(cell, minlength=len(pi)) @ _unseen(pi, position, shown))
        if fitted is not None and value is not None:
            expected = fitted.expected(context, position, pi)
            value[rows] = expected[cell, fold[rows] % expected.shape[1]]
        if groups is not None and marginal is not None:
            size = int(groups.of_action.max()) + 1
            marginal[rows] = groups.weights(pi, _asked(groups.logged, size, context, position), cell, action)
    return Rounds(log.reward, chosen / log.propensity, chosen, predicted, value, marginal, unsupported / n)


def _predictions(log: BanditLog, fitted: FittedReward, fold: Ints) -> Floats:
    found = np.empty(len(log))
    for part in blocks(len(log)):
        found[part] = fitted.logged(log.context[part], log.position[part], log.action[part], fold[part])
    return found


def _cells(log: BanditLog, size: int) -> Iterator[tuple[Ints | slice, Ints, Ints, Ints]]:
    """(rows, each row's cell, the cells' contexts, the cells' places), at most ``size`` cells at once.

    Where there are fewer (context, place) than rounds, they are the cells, and rounds are sorted by them unless all
    cells fit; else each round is a cell.
    """
    n_cells = len(log.contexts) * log.n_positions
    if n_cells >= len(log):
        for part in blocks(len(log), size):
            yield part, np.arange(part.stop - part.start), log.context[part], log.position[part]
        return
    key = log.context * log.n_positions + log.position
    if n_cells <= size:
        every = np.arange(n_cells)
        yield slice(None), key, every // log.n_positions, every % log.n_positions
        return
    order = np.argsort(key, kind="stable")
    ends = np.concatenate([[0], np.cumsum(np.bincount(key, minlength=n_cells))])
    for part in blocks(n_cells, size):
        rows = order[ends[part.start] : ends[part.stop]]
        here = np.arange(part.start, part.stop)
        if len(rows):
            yield rows, key[rows] - part.start, here // log.n_positions, here % log.n_positions


def _asked(policy: Policy, size: int, context: Ints, position: Ints) -> Probabilities:
    pi = policy.probabilities(context, position)
    if pi.shape != (len(context), size):
        raise DataError(f"policy {policy.name!r} must answer ({len(context)}, {size}), got {pi.shape}")
    total = row_sums(pi)
    if not (np.abs(total - 1) <= 10 * TOLERANCE).all() or pi.min() < 0:  # float32 softmax errs by 1e-6
        off = float(total[np.argmax(np.abs(total - 1))])
        raise DataError(f"policy {policy.name!r} must answer probabilities, got a sum of {off:.6g} and {pi.min():.3g}")
    return pi


def _unseen(pi: Probabilities, position: Ints, shown: npt.NDArray[np.bool_]) -> Floats:
    """(c,) probability of actions that the log never shows in the cell's place."""
    found = np.zeros(len(pi))
    for place in np.flatnonzero(~shown.all(axis=1)):
        mine = position == place
        found[mine] = pi[mine][:, ~shown[place]].sum(axis=1)
    return found
