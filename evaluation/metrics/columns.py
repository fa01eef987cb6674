"""Values of users that are collected block by block, each column a mean or a ratio of sums over those who have one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.metrics.lists import Values

Column = tuple[str, str, int]
"""Measure, of what (a space, a group, a stratum; "" of nothing else), and k."""


@dataclass(eq=False)
class UserColumns:
    """One value and one base a user and column: the column stands for Σ value / Σ base.

    Of a plain mean the base is 1 for users who have a value and 0 for the others; of a ratio of means, such as the
    popularity lift, it is the user's denominator.

    Example:
        >>> found = UserColumns()
        >>> found.add(("novelty", "", 10), np.array([1.0, np.nan, 3.0]))
        >>> found.estimates().tolist(), found.counts().tolist()
        ([2.0], [2])
    """

    _value: dict[Column, list[Values]] = field(default_factory=dict)
    _base: dict[Column, list[npt.NDArray[np.float64] | npt.NDArray[np.bool_]]] = field(default_factory=dict)

    @property
    def columns(self) -> tuple[Column, ...]:
        """In the order in which they came first."""
        return tuple(self._value)

    def add(self, column: Column, value: Values, base: Values | None = None) -> None:
        """A block of users; NaN, in either, is a user without a value."""
        known = ~np.isnan(value) if base is None else ~(np.isnan(value) | np.isnan(base))
        self._value.setdefault(column, []).append(np.where(known, value, 0.0))
        self._base.setdefault(column, []).append(known if base is None else np.where(known, base, 0.0))

    def values(self) -> Values:
        """(n_users, n_columns) values, 0 where there is none."""
        return _stacked(self._value)

    def bases(self) -> Values:
        """(n_users, n_columns) bases, 0 where there is no value."""
        return _stacked(self._base)

    def estimates(self) -> Values:
        """(n_columns,) Σ value / Σ base; NaN where no user has a base."""
        return ratio(self.values().sum(axis=0), self.bases().sum(axis=0))

    def counts(self) -> npt.NDArray[np.int64]:
        """(n_columns,) users whose base is not 0."""
        return np.asarray((self.bases() != 0).sum(axis=0), np.int64)


def ratio(top: Values, bottom: Values) -> Values:
    """Elementwise quotient, NaN where ``bottom`` is 0."""
    return np.where(bottom != 0, top / np.where(bottom != 0, bottom, 1), np.nan)


def _stacked(blocks: Mapping[Column, Sequence[Any]]) -> Values:
    if not blocks:
        return np.empty((0, 0))
    return np.stack([np.concatenate(parts) for parts in blocks.values()], axis=1).astype(np.float64)
