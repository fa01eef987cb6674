"""The position-based model: whether a place is looked at depends on its rank alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from evaluation.response.base import Bools, Floats, Luck, checked, share, uniforms
from recsys.errors import ConfigError, DataError


def examination(slate: int, eta: float) -> npt.NDArray[np.float64]:
    """(slate,) probability that a rank is looked at: 1 / rank^eta.

    Craswell et al., An experimental comparison of click position-bias models, 2008 (the position-based
    model); Joachims, Swaminathan and Schnabel, Unbiased learning-to-rank with biased feedback, 2017 (this
    form of the bias).

    Example:
        >>> examination(3, 1.0).round(3).tolist()
        [1.0, 0.5, 0.333]
    """
    return 1 / np.arange(1, slate + 1, dtype=np.float64) ** eta


@dataclass(frozen=True)
class PositionBased:
    """P(click) = examination of the rank × sigmoid(log-odds), independently for every place.

    Richardson, Dominowska and Ragno, Predicting clicks, 2007; Craswell et al., 2008.

    Attributes:
        eta: Rank r is looked at with probability 1 / r^eta, >= 0.
        examined: The probabilities themselves, first rank first, each in [0, 1], in place of ``eta``: from a
            calibration. Pages may have fewer places, not more.

    Example:
        >>> PositionBased(eta=1.0).probability(np.array([[0.0, 0.0, -np.inf]])).tolist()
        [[0.5, 0.25, 0.0]]
    """

    name: ClassVar[str] = "position-based"
    eta: float = 1.0
    examined: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.eta < np.inf:
            raise ConfigError(f"position bias must be a number >= 0, got {self.eta}; 0 means no bias")
        for value in self.examined:
            share("examination", value)

    def examination(self, slate: int) -> npt.NDArray[np.float64]:
        """(slate,) probability that each rank is looked at.

        Raises:
            DataError: More ranks than were given.
        """
        if not self.examined:
            return examination(slate, self.eta)
        if slate > len(self.examined):
            raise DataError(
                f"examination is known for {len(self.examined)} ranks, the page has {slate}; "
                "shorten the page or calibrate to a log of longer ones"
            )
        return np.asarray(self.examined[:slate], np.float64)

    def probability(self, log_odds: Floats) -> Floats:
        """(n, K): examination × sigmoid."""
        odds = checked(log_odds)
        return np.asarray(self.examination(odds.shape[1]).astype(odds.dtype) * expit(odds))

    def any_click(self, log_odds: Floats) -> Floats:
        """(n,): 1 - Π (1 - p)."""
        return np.asarray(1 - np.prod(1 - self.probability(log_odds), axis=1))

    def given_above(self, log_odds: Floats, clicks: Bools) -> Floats:
        """(n, K): places are independent, so what happened above says nothing."""
        return self.probability(log_odds)

    def clicks(self, log_odds: Floats, luck: Luck) -> Bools:
        """(n, K) clicks; each place has a number of its own."""
        found = self.thresholds(log_odds)
        return self.read(found, uniforms(luck, found.shape))

    def thresholds(self, log_odds: Floats) -> Floats:
        """(n, K): the probabilities."""
        return self.probability(log_odds)

    def read(self, thresholds: Floats, luck: Floats) -> Bools:
        """(n, K): luck below the probability."""
        return np.asarray(luck < thresholds)
