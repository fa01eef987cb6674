"""In which look to show a product, and with what chance: the best, mostly the best, or by Thompson sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from recsys.errors import ConfigError, unknown_name
from shop.tally import Tally

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Name = Literal["best", "epsilon-greedy", "thompson"]
NAMES: tuple[Name, ...] = ("best", "epsilon-greedy", "thompson")
PRIOR = (1.0, 9.0)
"""Beta distribution of a look's click rate before any event: one click in ten impressions is known."""
DRAWS = 4000
"""Of Thompson's posterior; each look also wins one more, so that none has chance 0."""

GROWTH = 1.02
"""By how much a segment's events must have grown before its chances are computed again."""


@dataclass(frozen=True)
class PolicyConfig:
    """How looks are chosen.

    Attributes:
        name: ``best``: what the model or the customer's taste says, with chance 1. ``epsilon-greedy``: the look of
            highest click rate in the customer's segment, with chance epsilon any. ``thompson``: by the chance that a
            look's click rate is the highest.
        epsilon: In [0, 1].
        seed: Of the draws.
    """

    name: Name = "best"
    epsilon: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise ConfigError(unknown_name("policy", self.name, NAMES))
        if not 0 <= self.epsilon <= 1:
            raise ConfigError(f"epsilon must be in [0, 1], got {self.epsilon}; it is a chance")


@dataclass
class Choice:
    """Chances of looks for a segment, remembered until events change what is known of it.

    Attributes:
        config: How.
        looks: Original first.
    """

    config: PolicyConfig
    looks: tuple[str, ...]
    _known: dict[str, tuple[tuple[int, ...], Floats]] = field(default_factory=dict)
    _chances: dict[tuple[str, bytes], Floats] = field(default_factory=dict)

    def chances(self, tally: Tally, segment: str, allowed: Bools) -> Floats:
        """(n_looks,) chance of each look among the ``allowed``; 0 for the others, and they sum to 1.

        Example:
            >>> from shop.plan import shop_plan
            >>> choice = Choice(PolicyConfig("epsilon-greedy", epsilon=0.2), ("original", "retro"))
            >>> tally = Tally("", shop_plan(0.5), shown={("new", "retro"): 10}, clicked={("new", "retro"): 5})
            >>> choice.chances(tally, "new", np.array([True, True])).tolist()
            [0.1, 0.9]
        """
        counts = self._counts(tally, segment)
        known = self._known.get(segment)
        if known is None or sum(counts) > GROWTH * sum(known[0]):
            self._learn(segment, counts)
        key = (segment, allowed.tobytes())
        if key not in self._chances:
            self._chances[key] = _HOW[self.config.name](self._known[segment][1], allowed, self.config.epsilon)
        return self._chances[key]

    def _counts(self, tally: Tally, segment: str) -> tuple[int, ...]:
        shown = [tally.shown.get((segment, look), 0) for look in self.looks]
        clicked = [tally.clicked.get((segment, look), 0) for look in self.looks]
        return (*shown, *(min(c, s) for c, s in zip(clicked, shown, strict=True)))

    def _learn(self, segment: str, counts: Sequence[int]) -> None:
        """(draws, n_looks) click rates of the posterior, or its (1, n_looks) mean."""
        n = len(self.looks)
        shown, clicked = np.array(counts[:n]), np.array(counts[n:])
        a, b = PRIOR[0] + clicked, PRIOR[1] + shown - clicked
        if self.config.name == "thompson":
            rng = np.random.default_rng([self.config.seed, *segment.encode(), *counts])
            rates = rng.beta(a, b, size=(DRAWS, n))
        else:
            rates = (a / (a + b))[None]
        self._known[segment] = (tuple(counts), rates)
        self._chances = {key: value for key, value in self._chances.items() if key[0] != segment}


def _greedy(rates: Floats, allowed: Bools, epsilon: float) -> Floats:
    share = allowed / allowed.sum() * epsilon
    share[np.where(allowed, rates[0], -1.0).argmax()] += 1 - epsilon
    return np.asarray(share, np.float64)


def _thompson(rates: Floats, allowed: Bools, epsilon: float) -> Floats:
    wins = np.bincount(np.where(allowed, rates, -1.0).argmax(axis=1), minlength=rates.shape[1])
    return np.asarray((wins + allowed) / (len(rates) + allowed.sum()), np.float64)


_HOW: dict[str, Callable[[Floats, Bools, float], Floats]] = {"epsilon-greedy": _greedy, "thompson": _thompson}
