"""What changes from visit to visit: own and drifting tastes, novelty that wears off, products seen too often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from evaluation.response.luck import own_luck
from recsys.errors import ConfigError

Ints = npt.NDArray[np.integer[Any]]
Floats = npt.NDArray[np.float64]
TASTE, DRIFT = 1, 2
"""Streams of a customer's own luck."""
MOST = 1000
"""Log-odds beyond this are certainty many times over."""


@dataclass(frozen=True)
class VisitsConfig:
    """How customers differ from the study's users, and change; 0 everywhere: they do not.

    Each of the two periods, before and during the test, starts afresh.

    Attributes:
        taste_spread: Standard deviation of customers' own taste around that of the study's user they were drawn as,
            in units of taste, >= 0. One unit is one ``style_effect`` of log-odds.
        taste_drift: Standard deviation of the change of taste from one session to the next (random walk), >= 0.
        novelty: Log-odds that a look adds at a customer's first session with it, on top of its lasting effect.
        novelty_half_life: Sessions in which novelty halves, > 0.
        satiation: Log-odds that a page loses for each unit of satiation, >= 0, in either arm.
        satiation_memory: g in [0, 1): satiation S_1 = 0, S_{i+1} = g (S_i + 1), so at most g / (1 - g). Leqi,
            Kılınç-Karzan, Lipton and Montgomery, Rebounding bandits for modeling satiation effects, 2021.
    """

    taste_spread: float = 0.0
    taste_drift: float = 0.0
    novelty: float = 0.0
    novelty_half_life: float = 5.0
    satiation: float = 0.0
    satiation_memory: float = 0.5

    def __post_init__(self) -> None:
        for name in ("taste_spread", "taste_drift", "satiation"):
            value = getattr(self, name)
            if not 0 <= value <= MOST:
                raise ConfigError(f"ab.visits.{name} must be in [0, {MOST}], got {value}; 0 switches it off")
        if not abs(self.novelty) <= MOST:
            raise ConfigError(f"ab.visits.novelty must be in [-{MOST}, {MOST}], got {self.novelty}; 0 switches it off")
        if not 0 < self.novelty_half_life < np.inf:
            raise ConfigError(f"ab.visits.novelty_half_life must be above 0, got {self.novelty_half_life}; 5 is usual")
        if not 0 <= self.satiation_memory < 1:
            raise ConfigError(f"ab.visits.satiation_memory must be in [0, 1), got {self.satiation_memory}")

    @property
    def is_off(self) -> bool:
        """Whether every visit of a user is like every other."""
        return not (self.taste_spread or self.taste_drift or self.novelty or self.satiation)

    def look_shift(self, style_effect: float, customer: Ints, session: Ints, seed: int) -> Floats:
        """(n,) what a look adds to the log-odds in each session, beside its average lasting effect.

        Args:
            style_effect: Log-odds of one unit of taste.
            customer: (n,) in order, each customer's sessions together.
            session: (n,) number of the session, from 0.
            seed: Of the simulation; a customer's taste depends on it and on the customer alone.

        Example:
            >>> visits = VisitsConfig(novelty=0.4, novelty_half_life=1)
            >>> visits.look_shift(0.1, np.zeros(3, int), np.arange(3), 0).tolist()
            [0.4, 0.2, 0.1]
        """
        taste = np.zeros(len(session))
        if self.taste_spread:
            taste += self.taste_spread * ndtri(own_luck(seed, TASTE, customer))
        if self.taste_drift:
            step = np.where(session > 0, ndtri(own_luck(seed, DRIFT, customer, session)), 0.0)
            taste += self.taste_drift * _since_first(step, session)
        return np.asarray(style_effect * taste + self.novelty * 2.0 ** (-session / self.novelty_half_life))

    def page_shift(self, session: Ints) -> Floats:
        """(n,) what satiation takes from every product's log-odds in each session, <= 0.

        Example:
            >>> VisitsConfig(satiation=1.0, satiation_memory=0.5).page_shift(np.arange(4)).tolist()
            [-0.0, -0.5, -0.75, -0.875]
        """
        g = self.satiation_memory
        return np.asarray(-self.satiation * g * (1 - g**session) / (1 - g))


def _since_first(steps: Floats, session: Ints) -> Floats:
    """(n,) running sums that start anew with each customer."""
    if not len(steps):
        return steps
    total = np.cumsum(steps)
    first = np.flatnonzero(session == 0)
    before = total[first] - steps[first]
    return np.asarray(total - np.repeat(before, np.diff(np.append(first, len(steps)))))
