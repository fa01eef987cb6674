"""Fitting response models to impressions: likelihood and EM for who looked where, a normal prior for what attracts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit, logit

from evaluation.response import Cascade, Choice, DynamicBayesian, PositionBased, ResponseModel
from evaluation.response.impressions import Impressions
from recsys.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
ROUNDS, TOLERANCE = 2000, 1e-5
LEAST_SPREAD = 1e-3
"""Of items' log-odds: a prior that is a point would never move again."""


@dataclass(frozen=True, eq=False)
class Attraction:
    """Log-odds of a click on each item that is looked at: normal around a mean, so that few impressions say little.

    Attributes:
        value: (n_items,) the most likely given the log.
        mean: Of the population of items.
        spread: Its standard deviation, >= 0.
    """

    value: Floats
    mean: float
    spread: float

    @classmethod
    def start(cls, log: Impressions) -> Attraction:
        """All alike, as the log's click rate has it."""
        rate = float((log.click.sum() + 0.5) / (len(log) + 1))
        return cls(np.full(log.n_items, logit(rate)), float(logit(rate)), 0.5)

    def stepped(self, slope: Floats, information: Floats) -> Attraction:
        """One step of empirical Bayes: Newton for each item, then the population's mean and spread (Laplace).

        Args:
            slope: (n_items,) derivative of the log-likelihood.
            information: (n_items,) minus its second derivative, >= 0.
        """
        precision = information + self.spread**-2
        step = (slope - (self.value - self.mean) / self.spread**2) / precision
        value = self.value + np.clip(step, -2, 2)
        mean = float(value.mean())
        spread = float(np.sqrt(np.mean((value - mean) ** 2 + 1 / precision)))
        return Attraction(value, mean, max(spread, LEAST_SPREAD))


@dataclass(frozen=True, eq=False)
class Fit:
    """A response model with what it needs, as a log has it.

    Attributes:
        model: The model and its parameters.
        attraction: Of items.
        rounds: Of EM (or of the optimiser) until nothing moved.
        settled: Whether it stopped for that reason.
    """

    model: ResponseModel
    attraction: Attraction
    rounds: int
    settled: bool

    def log_odds(self, items: Ints) -> Floats:
        """(n, K) of pages of items, -1 empty; an item that the log never showed has the population's mean."""
        value = np.append(self.attraction.value, -np.inf)
        return np.asarray(value[items])


def fit_position_based(log: Impressions) -> Fit:
    """Likelihood of examination by rank and attraction by item, in turns until neither moves.

    EM (Chuklin, Markov and de Rijke, Click models for web search, 2015, section 4.2) climbs the same likelihood, in
    thousands of rounds where few places are clicked. Attraction has a prior, because most items have few
    clicks. Examination is known up to a factor: the rank that draws most clicks for its items has 1. Items must have
    stood at several ranks.

    Raises:
        DataError: The log has no click, or items never change their rank.
    """
    size = (log.n_items, log.n_ranks)
    cell = log.item * log.n_ranks + log.rank
    shown = np.bincount(cell, minlength=size[0] * size[1]).reshape(size).astype(np.float64)
    clicks = np.bincount(cell, log.click, minlength=size[0] * size[1]).reshape(size)
    _worth_fitting(log)
    if not _connected(shown > 0):
        raise DataError(
            "items never change their rank in this log, so what draws the click, the item or its rank, cannot be told; "
            "use a log in which the order was varied"
        )
    usual = shown * (clicks.sum(axis=1) / shown.sum(axis=1).clip(1))[:, None]
    theta = clicks.sum(axis=0) / usual.sum(axis=0).clip(1e-12)
    reference = int(theta.argmax())
    theta = theta / theta[reference]
    found, rounds, moved = Attraction.start(log), 0, np.inf
    while rounds < ROUNDS and moved > TOLERANCE:
        a = expit(found.value)[:, None]
        p, slope = np.clip(theta * a, 1e-300, 1 - 1e-12), theta * a * (1 - a)
        gradient = (clicks / p - (shown - clicks) / (1 - p)) * slope
        new = found.stepped(gradient.sum(axis=1), (shown * slope**2 / (p * (1 - p))).sum(axis=1))
        after = _examination(theta, expit(new.value)[:, None], shown, np.asarray(clicks, np.float64))
        after[reference] = 1.0
        moved = max(np.abs(after - theta).max(), abs(new.mean - found.mean), abs(new.spread - found.spread))
        theta, found, rounds = after, new, rounds + 1
    return Fit(PositionBased(examined=tuple(map(float, theta))), found, rounds, bool(moved <= TOLERANCE))


def _examination(theta: Floats, a: Floats, shown: Floats, clicks: Floats) -> Floats:
    """(n_ranks,) a Fisher-scoring step towards each rank's most likely examination, kept in [0, 1]."""
    p = np.clip(theta * a, 1e-300, 1 - 1e-12)
    slope = ((clicks / p - (shown - clicks) / (1 - p)) * a).sum(axis=0)
    information = (shown * a**2 / (p * (1 - p))).sum(axis=0)
    return np.asarray(np.clip(theta + slope / np.maximum(information, 1e-300), 1e-9, 1.0))


def fit_dbn(log: Impressions) -> Fit:
    """EM for satisfaction and continuation, and attraction by item: where reading stopped is what is not seen.

    Chapelle and Zhang, A dynamic Bayesian network click model for web search ranking, 2009, section 4; one satisfaction
    for all items.

    Raises:
        DataError: The log has no click or no pages.
    """
    items, clicks = _pages_of(log)
    return _fit_chain(log, items, clicks, stops=False)


def fit_cascade(log: Impressions) -> Fit:
    """EM for continuation, and attraction by item, from each page down to its first click.

    Raises:
        DataError: The log has no click or no pages.
    """
    items, clicks = _first_click(*_pages_of(log))
    return _fit_chain(log, items, clicks, stops=True)


def fit_choice(log: Impressions) -> Fit:
    """Multinomial logit by maximum likelihood with the prior; of several clicks on a page the first is the choice.

    Raises:
        DataError: The log has no click or no pages.
    """
    items, clicks = _pages_of(log)
    chosen = clicks & (np.cumsum(clicks, axis=1) == 1)
    at = np.where(items >= 0, items, log.n_items)
    wins = np.bincount(at[chosen], minlength=log.n_items + 1)[:-1].astype(np.float64)
    found, rounds, moved = Attraction.start(log), 0, np.inf
    choice = Choice()

    def loss(value: Floats, prior: Attraction) -> tuple[float, Floats]:
        odds = np.append(value, -np.inf)[at]
        share = choice.probability(odds)
        none = np.log1p(-np.minimum(share.sum(axis=1), 1 - 1e-12))
        z = (value - prior.mean) / prior.spread
        likelihood = float(wins @ value + none.sum())  # log share = v + log of the share of none
        gradient = wins - np.bincount(at.ravel(), share.ravel(), minlength=len(value) + 1)[:-1] - z / prior.spread
        return 0.5 * float(z @ z) - likelihood, -gradient

    while rounds < ROUNDS and moved > TOLERANCE:
        best = minimize(loss, found.value, (found,), jac=True, method="L-BFGS-B", options={"maxiter": 200})
        share = choice.probability(np.append(best.x, -np.inf)[at])
        sure = np.bincount(at.ravel(), (share * (1 - share)).ravel(), minlength=log.n_items + 1)[:-1]
        mean = float(best.x.mean())
        spread = float(np.sqrt(np.mean((best.x - mean) ** 2 + 1 / (sure + found.spread**-2))))
        new = Attraction(best.x, mean, max(spread, LEAST_SPREAD))
        moved = max(abs(new.mean - found.mean), abs(new.spread - found.spread))
        found, rounds = new, rounds + 1
    return Fit(choice, found, rounds, bool(moved <= TOLERANCE))


FITS = {"position-based": fit_position_based, "cascade": fit_cascade, "dbn": fit_dbn, "mnl": fit_choice}
"""How each response model is fitted; all but the first need pages."""


def _worth_fitting(log: Impressions) -> None:
    if not log.click.any():
        raise DataError(f"the log has {len(log)} impressions and no click; there is nothing to fit")


def _pages_of(log: Impressions) -> tuple[Ints, npt.NDArray[np.bool_]]:
    _worth_fitting(log)
    if not log.paged:
        raise DataError(
            "the log does not say which impressions stood on one page; name the column of the page, "
            "or fit the position-based model, which needs none"
        )
    return log.pages()


def _first_click(items: Ints, clicks: npt.NDArray[np.bool_]) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """Pages that end with their first click."""
    before: Ints = np.cumsum(clicks, axis=1) - clicks
    return np.where(before > 0, -1, items), clicks & (before == 0)


def _connected(shown: npt.NDArray[np.bool_]) -> bool:
    """Whether every rank shares items with another, directly or through ranks between."""
    used = shown.any(axis=0)
    together = (shown.T.astype(np.int64) @ shown.astype(np.int64)) > 0
    reach = together[np.flatnonzero(used)[0]] & used
    for _ in range(int(used.sum())):
        reach = together[reach].any(axis=0)
    return bool(reach[used].all())


def _fit_chain(log: Impressions, items: Ints, clicks: npt.NDArray[np.bool_], *, stops: bool) -> Fit:
    """EM of both chain models; ``stops``: every click ends the visit."""
    at, there = np.where(items >= 0, items, log.n_items), items >= 0
    counts = np.bincount(at[clicks], minlength=log.n_items + 1)[:-1].astype(np.float64)
    found, go, after_click = Attraction.start(log), 0.9, 0.0 if stops else 0.5
    rounds, moved = 0, np.inf
    last = np.where(clicks.any(axis=1), clicks.shape[1] - 1 - clicks[:, ::-1].argmax(axis=1), -1)
    while rounds < ROUNDS and moved > TOLERANCE:
        a = np.where(there, expit(np.append(found.value, 0.0))[at], 0.0)
        looked, events = _reading(a, there, clicks, last, go, after_click)
        seen = np.bincount(at[there], looked[there], minlength=log.n_items + 1)[:-1]
        chance = expit(found.value)
        new = found.stepped(counts - seen * chance, seen * chance * (1 - chance))
        new_go, new_after = _going(events, stops)
        changes = (new_go - go, new_after - after_click, new.mean - found.mean, new.spread - found.spread)
        moved = float(np.abs(changes).max())
        found, go, after_click, rounds = new, new_go, new_after, rounds + 1
    settled = bool(moved <= TOLERANCE)
    if stops:
        return Fit(Cascade(continuation=go), found, rounds, settled)
    satisfaction = float(np.clip(1 - after_click / max(go, 1e-12), 0, 1))
    return Fit(DynamicBayesian(satisfaction=satisfaction, continuation=go), found, rounds, settled)


def _going(events: Floats, stops: bool) -> tuple[float, float]:
    """Chances to read on after no click and after a click; the latter is never the larger."""
    (went, could), (went_click, could_click) = events
    go = float(went / max(could, 1e-12)) if could else 1.0
    if stops:
        return go, 0.0
    after = float(went_click / max(could_click, 1e-12)) if could_click else 0.0
    if after > go:
        go = after = float((went + went_click) / (could + could_click))
    return go, after


def _reading(a: Floats, there: Any, clicks: Any, last: Ints, go: float, after_click: float) -> tuple[Floats, Floats]:
    """(n, K) probability that each place was looked at given the clicks, and expected (went on, could) counts.

    Backwards, quiet[r] = P(no click from r on | r is looked at); then forwards from the last click. The counts are of
    places after which the page goes on: [after no click, after a click].
    """
    n, places = a.shape
    quiet = np.ones((n, places + 1))
    for r in range(places - 1, -1, -1):
        rest = np.where(there[:, r], 1 - go + go * quiet[:, r + 1], quiet[:, r + 1])
        quiet[:, r] = (1 - a[:, r]) * rest
    more = np.flip(np.cumsum(np.flip(there, axis=1), axis=1), axis=1) - there > 0
    looked, events = np.zeros((n, places)), np.zeros((2, 2))
    here = np.ones(n)
    for r in range(places):
        looked[:, r] = here
        chance = np.where(clicks[:, r], after_click, go)
        onward = chance * quiet[:, r + 1]
        onward = np.where(r < last, 1.0, onward / np.maximum(1 - chance + onward, 1e-300))
        onward = np.where(there[:, r], onward, 1.0)
        for kind, rows in enumerate((~clicks[:, r], clicks[:, r])):
            counted = rows & there[:, r] & more[:, r]
            events[kind] += (here * onward)[counted].sum(), here[counted].sum()
        here = here * onward
    return looked, events
