"""Accuracy that needs more than hits, for one model: propensities, the ranks of all candidates, or a sample of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from evaluation.metrics import auc, credits, ips, list_ranks, sampled_ranks, snips, strata_edges
from evaluation.metrics.columns import Column, UserColumns
from evaluation.metrics.debiased import BiasedMetricWarning

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Hits = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]

STRATA = 5
BIASED = "sampled (BIASED)"
STANDARDISED = "recall, standardised"


@dataclass(eq=False)
class Debiased:
    """Credit of relevant pairs allowing for their chance to be in the log, user by user.

    Only pairs whose propensity is known are counted, so nothing is said of cold items. Strata hold about equally many
    candidates each.

    Attributes:
        propensity: (n_items,), NaN where unknown.
        allowed: (n_items,) the candidates.
        ks: List lengths.
        users: What came of it.
    """

    propensity: Values
    allowed: Mask
    ks: tuple[int, ...]
    users: UserColumns = field(default_factory=UserColumns)
    edges: Values = field(init=False)
    n_candidates: Ints = field(init=False)

    def __post_init__(self) -> None:
        known = self.propensity[self.allowed & ~np.isnan(self.propensity)]
        self.edges = strata_edges(known, STRATA) if len(known) else np.empty(0)
        inside = np.searchsorted(self.edges, known) - 1
        self.n_candidates = np.bincount(inside, minlength=max(len(self.edges) - 1, 0)).astype(np.int64)

    def add(self, lists: Ints, row: Ints, item: Ints) -> None:
        """A block of lists with the relevant pairs of its users."""
        if not len(self.edges):
            return
        known = ~np.isnan(self.propensity[item])
        row, item, n = row[known], item[known], len(lists)
        chance, ranks = self.propensity[item], list_ranks(lists, row, item, len(self.allowed))
        has, size = np.bincount(row, minlength=n) > 0, np.full(n, self.n_candidates.sum())
        for k in self.ks:
            for of, credit in (("recall", credits(ranks, k)), ("dcg", credits(ranks, k, discounted=True))):
                self.users.add(("ips", of, k), np.where(has, ips(credit, chance, row, size), np.nan))
                self.users.add(("snips", of, k), snips(credit, chance, row, n))
            self._stratified(credits(ranks, k), chance, row, n, k)

    def _stratified(self, credit: Values, chance: Values, row: Ints, n: int, k: int) -> None:
        width = len(self.n_candidates)
        cell = row * width + np.searchsorted(self.edges, chance) - 1
        total, pairs = (
            np.asarray(np.bincount(cell, weights=weight, minlength=n * width).reshape(n, width), np.float64)
            for weight in (credit, None)
        )
        for s, name in enumerate(self._strata()):
            self.users.add(("stratified", name, k), total[:, s], pairs[:, s])

    def _strata(self) -> list[str]:
        return [
            f"recall, stratum {s} (propensity {a:.3g} to {b:.3g})" for s, (a, b) in enumerate(pairwise(self.edges), 1)
        ]

    def mixtures(self) -> Mapping[Column, Mapping[Column, float]]:
        """The strata as they weigh among the candidates."""
        if not self.users.columns:
            return {}
        share = self.n_candidates / self.n_candidates.sum()
        weighed = dict(zip(self._strata(), share.tolist(), strict=True))
        return {
            ("stratified", STANDARDISED, k): {("stratified", name, k): w for name, w in weighed.items() if w}
            for k in self.ks
        }


@dataclass(eq=False)
class AllRanks:
    """What needs the rank of every candidate: AUC, and metrics among a sample.

    A relevant item that a model does not list counts, for AUC, as tied with everything unlisted; for a sample it is
    below everything.

    Attributes:
        ks: List lengths.
        auc: Whether it is asked for.
        n_drawn: Irrelevant items drawn for each relevant one; 0: no sample.
        rng: Draws.
        users: What came of it.
    """

    ks: tuple[int, ...]
    auc: bool
    n_drawn: int
    rng: np.random.Generator
    users: UserColumns = field(default_factory=UserColumns)

    def add(self, hits: Hits, n_relevant: Ints, n_candidates: Ints, n_listed: Ints, depth: int) -> None:
        """A block of lists of everything.

        Args:
            hits: (n, depth) which are relevant.
            n_relevant: (n,) relevant items of each user.
            n_candidates: (n,) what could be listed for each.
            n_listed: (n,) what is.
            depth: Items of the pool; the ``k`` of AUC.
        """
        if self.auc:
            self.users.add(("auc", "", depth), auc(hits, n_relevant, n_candidates, n_listed=n_listed))
        if self.n_drawn:
            self._sampled(hits, n_relevant, n_candidates)

    def _sampled(self, hits: Hits, n_relevant: Ints, n_candidates: Ints) -> None:
        n = len(hits)
        able = n_candidates - n_relevant >= self.n_drawn  # who has enough irrelevant candidates to draw from
        row, place = np.nonzero(hits & able[:, None])
        above = place + 1 - np.cumsum(hits, axis=1)[row, place]
        missed = np.where(able, n_relevant - hits.sum(axis=1), 0)
        row = np.concatenate([row, np.repeat(np.arange(n), missed)])
        others = (n_candidates - n_relevant)[row]
        ranks = np.concatenate([above, others[len(above) :]]) + 1
        with warnings.catch_warnings():  # `evaluate` has warned, once
            warnings.simplefilter("ignore", BiasedMetricWarning)
            drawn = sampled_ranks(ranks, others + 1, self.n_drawn, self.rng)
        for k in self.ks:
            for name, credit in (("recall", credits(drawn, k)), ("dcg", credits(drawn, k, discounted=True))):
                total = np.bincount(row, weights=credit, minlength=n)
                value = np.where(able, total / np.maximum(n_relevant, 1), np.nan)
                self.users.add((BIASED, f"{name}, {self.n_drawn} drawn", k), value)
