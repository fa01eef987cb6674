"""Bandits: they learn which look to show while they show it, and log how likely each choice was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pandas as pd

from recsys.errors import ConfigError, DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class Bandit(Protocol):
    """What a simulation asks of a bandit."""

    def propensities(self, features: Floats, rng: np.random.Generator) -> Floats:
        """(b, K) probability of each action for each of b contexts, (b, d)."""
        ...

    def learn(self, features: Floats, action: Ints, reward: Floats) -> None:
        """From (b, d) contexts, what was shown in them, and what came of it."""
        ...


class Thompson:
    """Thompson sampling with Beta distributions, the same for all contexts.

    Thompson, On the likelihood that one unknown probability exceeds another, 1933; Chapelle and Li, An empirical
    evaluation of Thompson sampling, 2011. The chance that an action is the best is worked out from draws of the
    posterior, mixed with a floor, and *then* the action is drawn from it: the propensity in the log is exactly the
    probability that it was drawn with.

    Args:
        n_actions: K, >= 2.
        floor: Least probability of each action, in (0, 1 / K): without one, no log can be reused.
        prior: Beta's parameters.
        draws: Of the posterior at each step.

    Raises:
        ConfigError: A value out of range.

    Example:
        >>> bandit, x = Thompson(2, floor=0.05), np.zeros((1, 0))
        >>> bandit.learn(np.zeros((200, 0)), np.arange(200) % 2, np.arange(200) % 2 * 1.0)
        >>> bandit.propensities(x, np.random.default_rng(0)).round(2).tolist()
        [[0.05, 0.95]]
    """

    def __init__(
        self, n_actions: int, *, floor: float = 0.02, prior: tuple[float, float] = (1.0, 1.0), draws: int = 1000
    ) -> None:
        _check(n_actions, floor, draws)
        if min(prior) <= 0:
            raise ConfigError(f"prior must be above 0, got {prior}; (1, 1) is uniform")
        self.floor, self.draws = floor, draws
        self.alpha, self.beta = np.full(n_actions, float(prior[0])), np.full(n_actions, float(prior[1]))

    def propensities(self, features: Floats, rng: np.random.Generator) -> Floats:
        """(b, K), all rows alike."""
        drawn = rng.beta(self.alpha, self.beta, (self.draws, len(self.alpha)))
        share = np.bincount(drawn.argmax(axis=1), minlength=len(self.alpha)) / self.draws
        return np.broadcast_to(_floored(share[None], self.floor), (len(features), len(self.alpha)))

    def learn(self, features: Floats, action: Ints, reward: Floats) -> None:
        """Rewards must be 0 or 1.

        Raises:
            DataError: They are not.
        """
        if not np.isin(reward, (0, 1)).all():
            raise DataError("Beta distributions learn from rewards of 0 and 1; take LinearThompson for others")
        won = np.bincount(action, reward, minlength=len(self.alpha))
        self.alpha += won
        self.beta += np.bincount(action, minlength=len(self.beta)) - won


class LinearThompson:
    """Thompson sampling with a linear model of the reward for each action, given the context.

    The posterior of ridge regression is that of LinUCB (Li, Chu, Langford and Schapire, A contextual-bandit approach to
    personalized news article recommendation, 2010); drawing from it in place of its upper bound gives choices by
    chance, whose probabilities can be logged: Agrawal and Goyal, Thompson sampling for contextual bandits with linear
    payoffs, 2013. Propensities as of `Thompson`.

    Args:
        n_actions: K, >= 2.
        n_features: d, a constant among them if wanted.
        floor: Least probability of each action, in (0, 1 / K).
        ridge: Prior precision over the noise's, > 0.
        spread: Standard deviation of the noise; larger explores more.
        draws: Of the posterior at each step.

    Raises:
        ConfigError: A value out of range.
    """

    def __init__(
        self,
        n_actions: int,
        n_features: int,
        *,
        floor: float = 0.02,
        ridge: float = 1.0,
        spread: float = 0.5,
        draws: int = 200,
    ) -> None:
        _check(n_actions, floor, draws)
        if not ridge > 0 or not spread > 0 or n_features < 1:
            raise ConfigError(
                f"ridge and spread must be above 0 and features >= 1, got {ridge}, {spread}, {n_features}"
            )
        self.floor, self.spread, self.draws = floor, spread, draws
        self.precision = np.tile(ridge * np.eye(n_features), (n_actions, 1, 1))
        self.target = np.zeros((n_actions, n_features))

    def propensities(self, features: Floats, rng: np.random.Generator) -> Floats:
        """(b, K)."""
        n_actions, d = self.target.shape
        mean = np.linalg.solve(self.precision, self.target[:, :, None])[:, :, 0]
        # Draws with covariance spread² P⁻¹: L⁻ᵀ z, where P = L Lᵀ.
        root = np.linalg.cholesky(self.precision).transpose(0, 2, 1)
        noise = np.linalg.solve(root, rng.standard_normal((n_actions, d, self.draws)))
        theta = mean[:, :, None] + self.spread * noise
        counts = np.zeros((len(features), n_actions))
        rows = np.arange(len(features))
        for draw in range(self.draws):
            counts[rows, (features @ theta[:, :, draw].T).argmax(axis=1)] += 1
        return _floored(counts / self.draws, self.floor)

    def learn(self, features: Floats, action: Ints, reward: Floats) -> None:
        """Any rewards."""
        for a in range(len(self.target)):
            x = features[action == a]
            self.precision[a] += x.T @ x
            self.target[a] += reward[action == a] @ x


@dataclass(frozen=True, eq=False)
class BanditRun:
    """What a bandit did.

    Attributes:
        log: One row a round: user_id, step, presentation, click, propensity; ``stylerec ope`` reads it.
        chance: (rounds, K) true probability of a click on each action; no log holds it.
        action: (rounds,) what was shown.
    """

    log: pd.DataFrame
    chance: Floats
    action: Ints

    @property
    def uniform_value(self) -> float:
        """Expected click rate of showing every action alike, in the contexts that came."""
        return float(self.chance.mean())

    @property
    def regret(self) -> float:
        """Clicks that the best action in each context would have won beyond what was shown, in expectation."""
        return float((self.chance.max(axis=1) - self.chance[np.arange(len(self.action)), self.action]).sum())


def run_bandit(
    bandit: Bandit,
    chance: npt.ArrayLike,
    *,
    features: npt.ArrayLike | None = None,
    labels: Sequence[str] = (),
    rounds: int = 10_000,
    batch: int = 200,
    seed: int = 0,
) -> BanditRun:
    """Let a bandit choose a look for each visitor, and learn from the clicks after every batch.

    Args:
        bandit: Changed by what it learns.
        chance: (n_users, K) assumed probability of a click on each look.
        features: (n_users, d) what it may look at; none when omitted.
        labels: Names of the looks.
        rounds: Visits, each of a user drawn with replacement.
        batch: Visits between two lessons.
        seed: Of visitors, choices and clicks.

    Raises:
        ConfigError: ``rounds`` or ``batch`` below 1.
        DataError: Shapes that do not fit, or probabilities outside [0, 1].

    Example:
        >>> run = run_bandit(Thompson(3), [[0.05, 0.05, 0.15]], labels=["original", "retro", "minimal"], rounds=4000)
        >>> run.log["presentation"].tail(1000).mode().item()
        'minimal'
    """
    table = np.atleast_2d(np.asarray(chance, np.float64))
    n, n_actions = table.shape
    x = np.zeros((n, 0)) if features is None else np.asarray(features, np.float64)
    names = np.asarray(list(labels) or [str(a) for a in range(n_actions)], object)
    if min(rounds, batch) < 1:
        raise ConfigError(f"rounds and batch must be >= 1, got {rounds} and {batch}")
    if len(x) != n or len(names) != n_actions or not ((table >= 0) & (table <= 1)).all():
        raise DataError(f"chance (n_users, K) in [0, 1] needs features of {n} users and {n_actions} labels")
    rng = np.random.default_rng(seed)
    user = rng.integers(0, n, rounds)
    action, click, propensity = np.empty(rounds, np.int64), np.empty(rounds), np.empty(rounds)
    for start in range(0, rounds, batch):
        part = slice(start, min(start + batch, rounds))
        pi = bandit.propensities(x[user[part]], rng)
        rows = np.arange(len(pi))
        action[part] = np.minimum((rng.random((len(pi), 1)) >= pi.cumsum(axis=1)).sum(axis=1), n_actions - 1)
        propensity[part] = pi[rows, action[part]]
        click[part] = rng.random(len(pi)) < table[user[part], action[part]]
        bandit.learn(x[user[part]], action[part], click[part])
    log = pd.DataFrame(
        {
            "user_id": user,
            "step": np.arange(rounds) // batch,
            "presentation": names[action],
            "click": click.astype(np.int64),
            "propensity": propensity,
        }
    )
    return BanditRun(log, table[user], action)


def _floored(share: Floats, floor: float) -> Floats:
    return np.asarray(floor + (1 - share.shape[1] * floor) * share)


def _check(n_actions: int, floor: float, draws: int) -> None:
    if n_actions < 2 or not 0 < floor < 1 / n_actions or draws < 1:
        raise ConfigError(
            f"a bandit needs 2 actions, a floor in (0, 1 / {n_actions}) and draws, got {n_actions}, {floor}, {draws}; "
            "a floor of 0.02 is usual"
        )
