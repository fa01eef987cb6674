"""Models of a shopper who reads from the top and stops somewhere: the cascade and the dynamic Bayesian network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit

from evaluation.response.base import Bools, Floats, Luck, checked, share, uniforms


@dataclass(frozen=True)
class DynamicBayesian:
    """A shopper reads from the top; a click satisfies and ends the visit, or reading goes on.

    A product that is looked at is clicked with a = sigmoid(log-odds). After a click the shopper is satisfied
    with probability s and leaves. Who is not satisfied, and who did not click, looks at the next place with
    probability g. So the chance to be looked at is E_1 = 1, E_{r+1} = E_r g (1 - s a_r), and P(click) = E_r a_r.
    Chapelle and Zhang, A dynamic Bayesian network click model for web search ranking, 2009, equations 1 to 4.

    Attributes:
        satisfaction: s in [0, 1].
        continuation: g in [0, 1]; 1 is the simplified model (SDBN), in which nobody tires.

    Example:
        >>> DynamicBayesian(satisfaction=0.5, continuation=1.0).probability(np.zeros((1, 3))).tolist()
        [[0.5, 0.375, 0.28125]]
    """

    name: ClassVar[str] = "dbn"
    satisfaction: float = 0.5
    continuation: float = 0.9

    def __post_init__(self) -> None:
        share("satisfaction", self.satisfaction)
        share("continuation", self.continuation)

    def probability(self, log_odds: Floats) -> Floats:
        """(n, K): E_r a_r."""
        return _marginal(self.thresholds(log_odds), self.satisfaction, self.continuation)

    def any_click(self, log_odds: Floats) -> Floats:
        """(n,): the first click is that of a cascade, whatever satisfies."""
        return np.asarray(np.minimum(_marginal(self.thresholds(log_odds), 1.0, self.continuation).sum(axis=1), 1.0))

    def given_above(self, log_odds: Floats, clicks: Bools) -> Floats:
        """(n, K): the chance that reading got that far, given the clicks above, times a."""
        return _conditional(self.thresholds(log_odds), clicks, self.satisfaction, self.continuation)

    def clicks(self, log_odds: Floats, luck: Luck) -> Bools:
        """(n, K) clicks; one number a place says whether it is clicked and whether reading goes on."""
        found = self.thresholds(log_odds)
        return self.read(found, uniforms(luck, found.shape))

    def thresholds(self, log_odds: Floats) -> Floats:
        """(n, K): attraction a."""
        return np.asarray(expit(checked(log_odds)))

    def read(self, thresholds: Floats, luck: Floats) -> Bools:
        """(n, K) clicks, rank after rank."""
        return _walk(thresholds, luck, self.satisfaction, self.continuation)


@dataclass(frozen=True)
class Cascade:
    """A shopper reads from the top and leaves with the first click: at most one a visit.

    Craswell et al., An experimental comparison of click position-bias models, 2008; there nobody tires
    (``continuation`` 1).

    Attributes:
        continuation: Probability of looking at the next place after no click, in [0, 1].

    Example:
        >>> Cascade().probability(np.zeros((1, 3))).tolist()
        [[0.5, 0.25, 0.125]]
    """

    name: ClassVar[str] = "cascade"
    continuation: float = 1.0

    def __post_init__(self) -> None:
        share("continuation", self.continuation)

    def probability(self, log_odds: Floats) -> Floats:
        """(n, K): a_r Π_{j < r} g (1 - a_j)."""
        return _marginal(self.thresholds(log_odds), 1.0, self.continuation)

    def any_click(self, log_odds: Floats) -> Floats:
        """(n,): the sum, because nobody clicks twice."""
        return np.asarray(np.minimum(self.probability(log_odds).sum(axis=1), 1.0))

    def given_above(self, log_odds: Floats, clicks: Bools) -> Floats:
        """(n, K): the chance that reading got that far, given the clicks above, times a."""
        return _conditional(self.thresholds(log_odds), clicks, 1.0, self.continuation)

    def clicks(self, log_odds: Floats, luck: Luck) -> Bools:
        """(n, K) clicks, at most one in a row."""
        found = self.thresholds(log_odds)
        return self.read(found, uniforms(luck, found.shape))

    def thresholds(self, log_odds: Floats) -> Floats:
        """(n, K): attraction a."""
        return np.asarray(expit(checked(log_odds)))

    def read(self, thresholds: Floats, luck: Floats) -> Bools:
        """(n, K) clicks: the first attraction that beats its luck, if reading goes that far."""
        return _walk(thresholds, luck, 1.0, self.continuation)


def _marginal(attraction: Floats, satisfaction: float, continuation: float) -> Floats:
    """E_r a_r of Chapelle and Zhang; a place that is empty (attraction 0) is passed at no cost."""
    going = np.where(attraction > 0, continuation * (1 - satisfaction * attraction), 1.0)
    examined = np.ones(attraction.shape)
    np.cumprod(going[:, :-1], axis=1, out=examined[:, 1:])
    return np.asarray(examined * attraction)


def _conditional(attraction: Floats, clicks: Bools, satisfaction: float, continuation: float) -> Floats:
    """Belief that a place is looked at, carried down the page by Bayes' rule, times a."""
    found = np.empty(attraction.shape)
    here = np.ones(len(attraction))
    for rank in range(attraction.shape[1]):
        a, clicked = attraction[:, rank], clicks[:, rank]
        found[:, rank] = here * a
        unclicked = continuation * here * (1 - a) / np.maximum(1 - here * a, 1e-300)
        onward = np.where(clicked, continuation * (1 - satisfaction), unclicked)
        here = np.where(a > 0, onward, here)
    return found


def _walk(attraction: Floats, luck: Floats, satisfaction: float, continuation: float) -> Bools:
    """Clicks of shoppers who are at a place: below a they click, and the lowest of those numbers read on.

    Of a ≤ luck, the lowest share g reads on. Better products are clicked by the same shoppers and more.
    """
    found = np.zeros(attraction.shape, bool)
    here = np.ones(len(attraction), bool)
    after_click = continuation * (1 - satisfaction)
    for rank in range(attraction.shape[1]):
        a, u = attraction[:, rank], luck[:, rank]
        clicked = u < a
        found[:, rank] = here & clicked
        if continuation < 1:
            go_on = np.where(clicked, u < after_click * a, u < a + continuation * (1 - a))
            here &= go_on | (a == 0)
        elif satisfaction < 1:
            here &= ~clicked | (u < after_click * a)
        else:
            here &= ~clicked
    return found
