"""What the lists of one model in one pool are like beyond hits, gathered block by block and summed up once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from evaluation.metrics.columns import Column
from evaluation.metrics.description import Description
from evaluation.offline.aspects import ListAspects
from evaluation.offline.further import AllRanks, Debiased
from evaluation.offline.ratios import Ratios

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Hits = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Beyond:
    """What came of it.

    Attributes:
        described: Measures of `evaluation.metrics.BEYOND` that are means over users or ratios of such means.
        totals: Measures of all lists together.
        n_lists: k → lists that hold anything, which the totals are of.
        due: ``group: label`` → share of the candidates, beside the share of exposure.
        further: Debiased, of all ranks, or sampled; see `evaluation.metrics.FURTHER`.
    """

    described: Ratios
    totals: Mapping[Column, float]
    n_lists: Mapping[int, int]
    due: Mapping[str, float]
    further: tuple[Ratios, ...]


@dataclass(eq=False)
class Observer:
    """Sees every block of lists of one model in one pool."""

    description: Description
    debiased: Debiased
    ranks: AllRanks = field(default_factory=lambda: AllRanks((), False, 0, np.random.default_rng(0)))

    @classmethod
    def of(cls, aspects: ListAspects, allowed: Mask, features: str, ks: tuple[int, ...]) -> Observer:
        """For the lists of ``allowed`` items by a model that saw ``features``."""
        about = aspects.within(allowed, features)
        return cls(Description(about, ks), Debiased(aspects.chances, allowed, ks))

    def add(self, users: Ints, lists: Ints, hits: Hits, counts: Ints, item: Ints) -> None:
        """A block: ``item`` are the relevant items of the users one after the other, ``counts`` of each."""
        self.description.add(users, lists, hits, counts)
        self.debiased.add(lists, np.repeat(np.arange(len(lists)), counts), item)

    def summary(self, *, resamples: int, seed: int) -> Beyond:
        """All blocks together."""
        about = self.description.about
        due = {
            f"{name}: {label}": float(share)
            for name, labels in about.labels.items()
            for label, share in zip(labels, about.due(name), strict=True)
        }
        return Beyond(
            Ratios.of(self.description.users, resamples=resamples, seed=seed),
            self.description.totals(),
            {k: self.description.n_lists(k) for k in self.description.ks},
            due,
            (
                Ratios.of(self.debiased.users, resamples=resamples, seed=seed, mixtures=self.debiased.mixtures()),
                Ratios.of(self.ranks.users, resamples=resamples, seed=seed),
            ),
        )
