"""From lists and what is relevant to a table: one pass serves every metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from evaluation.metrics.lists import Ints, Values, check_k, check_lists, check_pairs, hit_matrix
from evaluation.metrics.measures import METRICS, RANKING, MetricAt
from recsys.errors import ConfigError, DataError, unknown_name

BLOCK_USERS = 2**15
"""Users whose hits are held at once."""


@dataclass(frozen=True, eq=False)
class ListScores:
    """Values of every user's list.

    Attributes:
        metrics: What each column holds.
        values: (n_users, n_metrics), NaN in the rows of users without relevant items.
        n_without: Users without relevant items: counted here, not averaged.
        n_empty: Users with relevant items whose list is empty: averaged, as 0.
    """

    metrics: tuple[MetricAt, ...]
    values: Values
    n_without: int
    n_empty: int

    @property
    def n_averaged(self) -> int:
        """Users with relevant items."""
        return len(self.values) - self.n_without

    def column(self, name: str) -> Values:
        """(n_users,) values of one metric, called as in ``means``.

        Raises:
            ConfigError: It was not computed.
        """
        names = [m.name for m in self.metrics]
        if name not in names:
            raise ConfigError(unknown_name("metric", name, names))
        return self.values[:, names.index(name)]

    def means(self) -> dict[str, float]:
        """Name → mean over the users who have relevant items."""
        return {m.name: float(v) for m, v in zip(self.metrics, np.nanmean(self.values, axis=0), strict=True)}

    def to_frame(self) -> pd.DataFrame:
        """One row a metric: its name and k, the mean, the denominator, and the users averaged, without, and empty."""
        rows = [
            (m.metric.name, m.k, value, m.metric.denominator, self.n_averaged, self.n_without, self.n_empty)
            for m, value in zip(self.metrics, self.means().values(), strict=True)
        ]
        return pd.DataFrame(rows, columns=["metric", "k", "value", "denominator", "n_users", "n_without", "n_empty"])


def score_lists(
    items: Ints,
    user: Ints,
    item: Ints,
    *,
    n_items: int,
    metrics: Sequence[str | MetricAt] = tuple(METRICS),
    ks: Sequence[int] = (10,),
) -> ListScores:
    """Judge lists by what is relevant.

    Ties are for whoever makes the lists to break; the models here rank equal scores by a hash of the id, so that no
    order of rows or of the catalogue decides.

    Args:
        items: (n_users, K) item indices, best first, -1 past the end of a short list.
        user: (m,) row of each relevant pair, in any order; a pair counts once, however often it is there.
        item: (m,) its item index.
        n_items: Items in the catalogue.
        metrics: Names out of `RANKING`, each at every one of ``ks``; or metrics with a k of their own.
        ks: List lengths.

    Raises:
        ConfigError: An unknown metric, a k below 1 or above ``n_items``, or lists shorter than a metric reads.
        DataError: No relevant pair, indices that are not there, or lists that no recommender may give.

    Example:
        >>> lists = np.array([[0, 2], [1, -1], [3, 1]])
        >>> scores = score_lists(lists, np.array([0, 0, 1]), np.array([2, 3, 0]), n_items=4, ks=(2,))
        >>> scores.means()["recall@2"], scores.n_averaged, scores.n_without  # user 0 finds 1 of 2, user 1 nothing
        (0.25, 2, 1)
    """
    check_k(ks)
    check_pairs(user, item, len(items), n_items)
    if not len(user):
        raise DataError("nothing to score: there is no relevant pair; is the test side empty?")
    columns = _columns(metrics, ks)
    user, item = _distinct(user, item, n_items)
    n_relevant = np.bincount(user, minlength=len(items))
    _check_depth(columns, items.shape[1], n_items, int(n_relevant.max()))
    values, n_empty = np.empty((len(items), len(columns))), 0
    ends = np.searchsorted(user, np.arange(0, len(items) + BLOCK_USERS, BLOCK_USERS))
    for number, start in enumerate(range(0, len(items), BLOCK_USERS)):
        part, own = slice(start, start + BLOCK_USERS), slice(ends[number], ends[number + 1])
        check_lists(items[part], n_items)
        hits = hit_matrix(items[part], user[own] - start, item[own], n_items)
        for j, metric in enumerate(columns):
            values[part, j] = metric(hits, n_relevant[part])
        n_empty += int(((n_relevant[part] > 0) & (items[part] < 0).all(axis=1)).sum())
    return ListScores(columns, values, int((n_relevant == 0).sum()), n_empty)


def _columns(metrics: Sequence[str | MetricAt], ks: Sequence[int]) -> tuple[MetricAt, ...]:
    unknown = next((m for m in metrics if isinstance(m, str) and m not in RANKING), None)
    if unknown is not None or not len(metrics):
        raise ConfigError(unknown_name("metric", unknown, RANKING) if unknown else "no metrics were given; name one")
    every = [RANKING[m].at(k) for k in ks for m in metrics if isinstance(m, str)]
    return tuple(dict.fromkeys([*every, *(m for m in metrics if isinstance(m, MetricAt))]))


def _check_depth(columns: Sequence[MetricAt], width: int, n_items: int, most: int) -> None:
    for column in columns:
        if column.k > n_items:
            raise ConfigError(f"{column.name}: k must be <= {n_items}, the items in the catalogue, got {column.k}")
        needed = min(column.metric.depth(column.k, most), n_items)
        if width < needed:
            cure = f"recommend with k={needed}, or fill up with -1 what no model could list"
            raise ConfigError(f"{column.name} reads {needed} ranks, the lists have {width}; {cure}")


def _distinct(user: Ints, item: Ints, n_items: int) -> tuple[Ints, Ints]:
    """The pairs by user, each once."""
    keys = np.sort(user * np.int64(n_items) + item)  # np.unique hashes first, which takes ten times as long
    keys = keys[np.concatenate([[True], keys[1:] > keys[:-1]])]
    return keys // n_items, keys % n_items
