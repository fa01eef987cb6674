"""Multinomial logit: the products of a page compete for one click, and leaving is always an option."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from evaluation.response.base import Bools, Floats, Luck, checked, uniforms

Ints = npt.NDArray[np.int64]
MOST = 700.0
"""Log-odds above this count as this: exp stays finite."""


@dataclass(frozen=True)
class Choice:
    """A visit chooses one product of the page or none: P(r) = e^{v_r} / (1 + Σ_j e^{v_j}).

    The outside option, no click, has utility 0; ``log_odds`` are the products' utilities v, so a page with a single
    product is clicked with sigmoid(v). Ranks play no role: put them into the log-odds if they do. McFadden,
    Conditional logit analysis of qualitative choice behavior, 1974.

    Example:
        >>> Choice().probability(np.array([[0.0, 0.0, -np.inf]])).round(3).tolist()
        [[0.333, 0.333, 0.0]]
    """

    name: ClassVar[str] = "mnl"

    def probability(self, log_odds: Floats) -> Floats:
        """(n, K): shares of the products; what is missing to 1 chooses none."""
        odds = np.minimum(checked(log_odds), MOST)
        top = np.maximum(odds.max(axis=1, keepdims=True, initial=0.0), 0.0)
        weight = np.exp(odds - top)
        return np.asarray(weight / (np.exp(-top) + weight.sum(axis=1, keepdims=True)))

    def any_click(self, log_odds: Floats) -> Floats:
        """(n,): the sum, because nobody clicks twice."""
        return np.asarray(np.minimum(self.probability(log_odds).sum(axis=1), 1.0))

    def given_above(self, log_odds: Floats, clicks: Bools) -> Floats:
        """(n, K): the share of what is left, and nothing after the one click."""
        share = self.probability(log_odds)
        left = 1 - (np.cumsum(share, axis=1) - share)
        before: Ints = np.cumsum(clicks, axis=1) - clicks
        return np.asarray(np.where(before > 0, 0.0, np.minimum(share / np.maximum(left, 1e-300), 1.0)))

    def clicks(self, log_odds: Floats, luck: Luck) -> Bools:
        """(n, K) clicks, at most one in a row; the first number of a row decides."""
        found = self.thresholds(log_odds)
        return self.read(found, uniforms(luck, found.shape))

    def thresholds(self, log_odds: Floats) -> Floats:
        """(n, K): cumulative shares, so that a page that became better is left by nobody who clicked before."""
        return np.asarray(np.cumsum(self.probability(log_odds), axis=1))

    def read(self, thresholds: Floats, luck: Floats) -> Bools:
        """(n, K): the place in whose share the first number lies."""
        below = luck[:, :1] < thresholds
        below[:, 1:] &= ~below[:, :-1].copy()
        return np.asarray(below)
