"""Invented worlds whose truth is known: what each policy earns, and logs of as many rounds as wanted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.ope.log import BanditLog
from evaluation.ope.policies import Scored, softmax
from evaluation.ope.slates import Ranked, SlateLog
from recsys.data.ids import IdMap


@dataclass(frozen=True, eq=False)
class World:
    """A finite number of contexts; rewards are clicks."""

    chance: np.ndarray  # (n_contexts, n_actions) of a click
    logged: np.ndarray  # (n_contexts, n_actions) logged policy
    target: np.ndarray  # (n_contexts, n_actions) policy to be judged
    features: np.ndarray  # (n_contexts, d)
    embedding: np.ndarray  # (n_actions, m)

    @property
    def truth(self) -> float:
        return float((self.chance * self.target).sum(axis=1).mean())

    def policy(self) -> Scored:
        with np.errstate(divide="ignore"):
            scores = np.log(self.target)
        return Scored(lambda context: scores[context], temperature=1.0, name="target")

    def log(self, n: int, rng: np.random.Generator) -> BanditLog:
        context = rng.integers(0, len(self.chance), n)
        steps = np.cumsum(self.logged, axis=1)
        action = (rng.random(n)[:, None] > steps[context, :-1]).sum(axis=1)
        return BanditLog.of(
            action,
            rng.random(n) < self.chance[context, action],
            self.logged[context, action],
            actions=self.chance.shape[1],
            features=self.features,
            context=context,
        )


def make_world(n_actions: int = 6, *, n_contexts: int = 40, sharpness: float = 1.0, seed: int = 0) -> World:
    """Clicks are linear in x and x ⊗ f, so that a ridge can learn them."""
    rng = np.random.default_rng(seed)
    x, f = rng.uniform(-1, 1, (n_contexts, 3)), rng.uniform(-1, 1, (n_actions, 2))
    score = x @ rng.uniform(-1, 1, (3, 2)) @ f.T
    chance = 0.4 + 0.12 * score + 0.1 * rng.uniform(-1, 1, n_actions)
    logged = softmax(sharpness * rng.uniform(-1, 1, (n_contexts, n_actions)), 1.0)
    return World(chance.clip(0.02, 0.95), logged, softmax(2 * score, 1.0), x, f)


def grouped_world(n_actions: int = 200, n_groups: int = 5, seed: int = 0) -> World:
    """Many actions; a click depends on the action's group alone, as MIPS assumes, and groups are far apart."""
    rng = np.random.default_rng(seed)
    group = np.arange(n_actions) % n_groups
    chance = np.tile(np.linspace(0.1, 0.5, n_groups)[group], (10, 1))
    logged = np.tile(rng.dirichlet(np.full(n_actions, 0.5)) * 0.5 + 0.5 / n_actions, (10, 1))
    target = rng.dirichlet(np.full(n_actions, 0.3), 10) * 0.9 + 0.1 / n_actions
    embedding = np.eye(n_groups)[group] * 10 + rng.normal(0, 0.1, (n_actions, n_groups))
    return World(chance, logged, target, np.zeros((10, 0)), embedding)


@dataclass(frozen=True, eq=False)
class CascadeWorld:
    """People read from the top and stop at the first click."""

    attraction: np.ndarray  # (n_actions,)
    logged: Ranked
    target: Ranked
    size: int = 3

    @classmethod
    def make(cls, seed: int = 0) -> CascadeWorld:
        rng = np.random.default_rng(seed)
        attraction = rng.uniform(0.05, 0.6, 6)
        a, b = rng.uniform(0, 1, 6), 3 * attraction
        one = np.ones(6)
        return cls(
            attraction,
            Ranked(lambda context: a * one + np.zeros((len(context), 1)), temperature=1.0, name="logged"),
            Ranked(lambda context: b * one + np.zeros((len(context), 1)), temperature=1.0, name="target"),
        )

    def pages(self, policy: Ranked, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """(n, size) actions and the probability of each given those above."""
        action, chance = np.zeros((n, 0), int), np.zeros((n, 0))
        for _ in range(self.size):
            pi = policy.following(np.zeros(n, int), action)
            drawn = (rng.random(n)[:, None] > np.cumsum(pi, axis=1)[:, :-1]).sum(axis=1)
            action = np.column_stack([action, drawn])
            chance = np.column_stack([chance, pi[np.arange(n), drawn]])
        return action, chance

    def clicks(self, action: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        liked = rng.random(action.shape) < self.attraction[action]
        return (liked & (np.cumsum(liked, axis=1) == 1)).astype(float)

    def log(self, n: int, rng: np.random.Generator) -> SlateLog:
        action, chance = self.pages(self.logged, n, rng)
        return SlateLog(
            IdMap.of([str(i) for i in range(6)]),
            action,
            self.clicks(action, rng),
            chance,
            np.zeros(n, int),
            pd.DataFrame(index=[0]),
            np.zeros((1, 0), np.float32),
        )

    @property
    def truth(self) -> float:
        """Every page's probability under the target × its chance of a click: 1 - Π (1 - attraction)."""
        pages = np.array(list(np.ndindex(6, 6, 6)))
        pages = pages[[len(set(p)) == 3 for p in pages.tolist()]]
        share = np.ones(len(pages))
        for k in range(3):
            pi = self.target.following(np.zeros(len(pages), int), pages[:, :k])
            share *= pi[np.arange(len(pages)), pages[:, k]]
        return float(share @ (1 - np.prod(1 - self.attraction[pages], axis=1)))
