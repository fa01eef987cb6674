"""The sample store's true click model: position-based examination times attraction."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recsys.errors import ConfigError

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClickModel:
    """How customers of the sample store click and buy.

    With log_odds = click + appeal + style * (taste · item style - 1 / n_styles) + liking of the category:
    P(click at rank r) = r ** -eta * sigmoid(log_odds);
    P(purchase | click) = sigmoid(buy + buy_slope * log_odds).
    (Position-based model: Richardson et al. 2007; Craswell et al. 2008.)

    Attributes:
        slate: Products shown in a session.
        eta: Strength of the position bias; 0 = none.
        click: Intercept of attraction.
        style: What a perfect match of taste and style adds.
        appeal: Deviation of item appeals.
        category: Deviation of category likings.
        buy: Intercept of buying what was clicked.
        buy_slope: How much attraction matters for buying.

    Example:
        >>> ClickModel(eta=1.0).examination(np.array([1, 2, 4])).tolist()
        [1.0, 0.5, 0.25]
    """

    slate: int = 10
    eta: float = 0.8
    click: float = -2.4
    style: float = 6.0
    appeal: float = 0.6
    category: float = 0.7
    buy: float = 0.2
    buy_slope: float = 0.6

    def __post_init__(self) -> None:
        if self.slate < 1:
            raise ConfigError(f"slate must be >= 1, got {self.slate}")
        if not self.eta >= 0:
            raise ConfigError(f"eta must be >= 0, got {self.eta}; 0 means no position bias")

    def examination(self, rank: npt.NDArray[np.int64]) -> Array:
        """Probability that the product at ``rank`` (from 1) is looked at, in (0, 1]."""
        return np.asarray(rank, np.float64) ** -self.eta

    def log_odds(self, appeal: Array, match: Array, liking: Array, *, n_styles: int) -> Array:
        """Attraction in log-odds; ``match`` is taste · style in [0, 1]."""
        return np.asarray(self.click + appeal + self.style * (match - 1 / n_styles) + liking)

    def clicks(self, log_odds: Array, rank: npt.NDArray[np.int64]) -> Array:
        """Probability of a click."""
        return self.examination(rank) * sigmoid(log_odds)

    def purchases(self, log_odds: Array) -> Array:
        """Probability that a click becomes a purchase."""
        return sigmoid(self.buy + self.buy_slope * log_odds)


def sigmoid(x: Array) -> Array:
    """The logistic function."""
    return np.asarray(1 / (1 + np.exp(-x)))
