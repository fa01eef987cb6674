"""How people click: examination by position, attraction by log-odds, and what a look adds."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]


def examination(slate: int, eta: float) -> npt.NDArray[np.float64]:
    """(slate,) probability that a rank is looked at: 1 / rank^eta.

    Craswell et al., An experimental comparison of click position-bias models, 2008 (the position-based model).

    Example:
        >>> examination(3, 1.0).round(3).tolist()
        [1.0, 0.5, 0.333]
    """
    return 1 / np.arange(1, slate + 1, dtype=np.float64) ** eta


def sigmoid(log_odds: Floats) -> Floats:
    """Log-odds to probability."""
    return 1 / (1 + np.exp(-log_odds))


def click_probability(log_odds: Floats, eta: float) -> Floats:
    """(n, K) probability of a click at each rank: examination × sigmoid(log-odds); empty ranks carry -inf.

    Example:
        >>> click_probability(np.array([[0.0, 0.0]]), 1.0).tolist()
        [[0.5, 0.25]]
    """
    return np.asarray(examination(log_odds.shape[1], eta) * sigmoid(log_odds))


class StyleEffect(Protocol):
    """The part of a configuration that says what a look does."""

    @property
    def style_effect(self) -> float:
        """Mean shift of a click's log-odds over users."""
        ...

    @property
    def recognisability_penalty(self) -> float:
        """Log-odds lost per unit of recognisability loss."""
        ...


def style_log_odds(taste: Floats, loss: Floats, config: StyleEffect) -> Floats:
    """What a look adds to the log-odds of a click.

    effect × taste / mean(taste) - penalty × loss: with the mean taken over all entries, ``style_effect`` is the average
    shift before the penalty; users of negative taste are put off.

    Args:
        taste: (n, K) how much each user likes the look shown, mean not zero.
        loss: (n, K) recognisability loss of each presentation, in [0, 2].
        config: Effect and penalty.
    """
    mean = float(np.mean(taste))
    return np.asarray(config.style_effect * taste / (mean if abs(mean) > 1e-9 else 1.0) - config.recognisability_penalty * loss)
