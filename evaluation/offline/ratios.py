"""Means over users and ratios of such means, with intervals from resamples that all models share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.bootstrap import bca_interval, bootstrap_means
from evaluation.metrics.columns import Column, UserColumns, ratio
from evaluation.metrics.description import shift

Values = npt.NDArray[np.float64]
Mixtures = Mapping[Column, Mapping[Column, float]]
"""A column that is a weighted sum of others."""

ROUNDING = 1e-9
"""Users whose values differ by no more than this share of the mean are alike."""


@dataclass(frozen=True, eq=False)
class Ratios:
    """Σ value / Σ base of every column.

    Attributes:
        columns: Measure, of what, k.
        value: (m,); NaN where no user has a base.
        low: (m,) lower end of the 95 % interval; NaN where fewer than two users have a value, or all have the same:
            then there is no spread to resample.
        high: (m,) its upper end.
        n_users: (m,) users who have a value.
        resampled: (resamples, m).
    """

    columns: tuple[Column, ...]
    value: Values
    low: Values
    high: Values
    n_users: npt.NDArray[np.int64]
    resampled: Values

    @classmethod
    def of(cls, users: UserColumns, *, resamples: int, seed: int, mixtures: Mixtures | None = None) -> Ratios:
        """Estimates and intervals, bias-corrected and accelerated.

        A ratio's influence of one user is (value - ratio × base) / mean base, whose skewness gives the acceleration
        (Efron, Better bootstrap confidence intervals, 1987, section 6).

        Args:
            users: Values and bases.
            resamples: Of users; the same seed and number of users give the same resamples for every model.
            seed: Of them.
            mixtures: Further columns, weighted sums of those of ``users``.

        Example:
            >>> users = UserColumns()
            >>> users.add(("arp", "", 2), np.arange(100.0))
            >>> found = Ratios.of(users, resamples=500, seed=0)
            >>> found.value.tolist(), bool(found.low[0] < 49.5 < found.high[0])
            ([49.5], True)
        """
        value, base = users.values(), users.bases()
        m = len(users.columns)
        if not m or not len(value):
            empty = np.empty(0)
            return cls((), empty, empty, empty, np.empty(0, np.int64), np.empty((resamples, 0)))
        estimate = users.estimates()
        # The ones keep every row alive, so that all models of a pool are given the very same resamples.
        stacked = np.concatenate([value, base, np.ones((len(value), 1))], axis=1)
        means = bootstrap_means(stacked, resamples=resamples, seed=seed)
        drawn = ratio(means[:, :m], means[:, m : 2 * m])
        drawn = np.where(np.isnan(drawn), estimate, drawn)  # a resample without a user who has a value says nothing
        size = base.mean(axis=0)
        influence = (value - np.nan_to_num(estimate) * base) / np.where(size != 0, size, 1)
        mixed = _mixed(users.columns, mixtures or {})
        estimate, drawn, influence = (
            np.concatenate([part, part @ mixed], axis=-1) for part in (estimate, drawn, influence)
        )
        columns, n_users = (*users.columns, *(mixtures or {})), _counts(users, mixed)
        low, high = _ends(estimate, drawn, influence)
        clear, moved = n_users > 1, np.array([shift(column) for column in columns])
        low, high = (np.where(clear, end, np.nan) + moved for end in (low, high))
        return cls(columns, estimate + moved, low, high, n_users, drawn + moved)


def _ends(estimate: Values, drawn: Values, influence: Values) -> tuple[Values, Values]:
    """Lower and upper ends; NaN where there is no estimate or all users are alike."""
    known = np.where(np.isnan(estimate), 0.0, estimate)
    low, high = bca_interval(known + influence, np.where(np.isnan(drawn), 0.0, drawn))
    clear = (np.ptp(influence, axis=0) > ROUNDING * np.maximum(1, np.abs(known))) & ~np.isnan(estimate)
    return np.where(clear, low, np.nan), np.where(clear, high, np.nan)


def _mixed(columns: tuple[Column, ...], mixtures: Mixtures) -> Values:
    """(m, n_mixtures) weights."""
    place = {column: j for j, column in enumerate(columns)}
    weights = np.zeros((len(columns), len(mixtures)))
    for j, parts in enumerate(mixtures.values()):
        for column, weight in parts.items():
            weights[place[column], j] = weight
    return weights


def _counts(users: UserColumns, mixed: Values) -> npt.NDArray[np.int64]:
    """Users with a value; of a mixture those who have one in any of its columns."""
    known = users.bases() != 0
    return np.concatenate([known.sum(axis=0), ((known @ (mixed != 0)) > 0).sum(axis=0)]).astype(np.int64)
