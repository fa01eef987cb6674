"""What lists are held against beyond what is relevant: histories, spaces, groups, looks and propensities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from evaluation.metrics import popularity, power_law_propensity
from evaluation.metrics.description import Aspects
from evaluation.metrics.lists import Matrix
from evaluation.offline.groups import Groups
from recsys.errors import DataError

Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ListAspects:
    """What `evaluate` needs to describe lists and to allow for what the log could not show.

    Attributes:
        history: (n_users, n_items) what users had when lists were made; a weight above 0 is having.
        spaces: Name → (n_items, d) vectors in which distances are taken; the same for all models.
        groups: Of items: calibration, disparity and shares of exposure.
        looks: Features → (n_items,) look in which each item is shown to whoever sees lists of such a model; a model
            whose features are not named shows the originals.
        propensity: (n_items,) chance in (0, 1] that an item's being relevant got into the log, NaN where unknown; None:
            `power_law_propensity` of the history.

    Example:
        >>> had = sp.csr_array(np.array([[1.0, 0.0], [1.0, 1.0]]))
        >>> ListAspects(had).chances.round(3).tolist()
        [1.0, 0.42]
    """

    history: sp.csr_array
    spaces: Mapping[str, Matrix] = field(default_factory=dict)
    groups: tuple[Groups, ...] = ()
    looks: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    propensity: Values | None = None

    def __post_init__(self) -> None:
        n_items = self.history.shape[1]
        for group in self.groups:
            if group.of != "items" or group.codes.shape != (n_items,):
                raise DataError(f"aspects need groups of the {n_items} items; {group.name!r} is none")
        if self.propensity is not None and np.shape(self.propensity) != (n_items,):
            raise DataError(f"propensity must have shape ({n_items},), got {np.shape(self.propensity)}")

    @cached_property
    def chances(self) -> Values:
        """(n_items,) propensity, NaN where nothing is known."""
        if self.propensity is not None:
            return np.asarray(self.propensity, np.float64)
        counts = popularity(self.history)
        return power_law_propensity(counts) if counts.any() else np.full(len(counts), np.nan)

    def within(self, allowed: Mask, features: str) -> Aspects:
        """For lists of the ``allowed`` items by a model that saw ``features``."""
        looks = None
        if self.looks:
            looks = self.looks.get(features, np.full(self.history.shape[1], "original", dtype=object))
        named = {group.name: group for group in self.groups if group.labels}
        return Aspects(
            self.history,
            self.spaces,
            {name: one_hot(group) for name, group in named.items()},
            {name: group.labels for name, group in named.items()},
            looks,
            allowed,
        )


def one_hot(group: Groups) -> sp.csr_array:
    """(n, n_groups) CSR memberships; who is in no group has an empty row.

    Example:
        >>> one_hot(Groups.of_values("category", "items", ["hat", "coat", None])).toarray().tolist()
        [[0.0, 1.0], [1.0, 0.0], [0.0, 0.0]]
    """
    inside = np.flatnonzero(group.codes >= 0)
    shape = (len(group.codes), len(group.labels))
    return sp.csr_array((np.ones(len(inside), np.float32), (inside, group.codes[inside])), shape=shape)
