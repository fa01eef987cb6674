"""What lists are like beyond accuracy: every measure of `BEYOND`, counted block by block or as a table at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import scipy.sparse as sp

from evaluation.metrics import catalogue, diversity
from evaluation.metrics.columns import Column, UserColumns
from evaluation.metrics.lists import Hits, Ints, Matrix, Values, check_k, check_lists, hit_matrix
from evaluation.metrics.measures import BEYOND, SHARES
from recsys.errors import ConfigError, DataError

Mask = npt.NDArray[np.bool_]

BLOCK_CELLS = 2**22
"""Users × groups whose shares are held at once."""
COLUMNS = ("measure", "of", "k", "value", "denominator", "n_users", "n_without")


@dataclass(frozen=True, eq=False)
class Aspects:
    """What lists are held against.

    Attributes:
        history: (n_users, n_items) what users have, a weight above 0: `Dataset.matrix` of train.
        spaces: Name → (n_items, d) vectors in which distances are taken: a style embedding, the category one-hot.
        groups: Name → (n_items, n_groups) memberships >= 0 for calibration and disparity: one-hot style, seller, price
            band. The due of a group is its share of the candidates.
        labels: Name of a group → names of its columns; of a group named here, each share of exposure is told, too.
        looks: (n_items,) look in which each item is shown; None: no mix is told.
        candidates: (n_items,) what may be listed; None: everything.
    """

    history: sp.csr_array
    spaces: Mapping[str, Matrix] = field(default_factory=dict)
    groups: Mapping[str, Matrix] = field(default_factory=dict)
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    looks: npt.NDArray[Any] | None = None
    candidates: Mask | None = None

    def __post_init__(self) -> None:
        n_items = self.history.shape[1]
        for name, matrix in (*self.spaces.items(), *self.groups.items()):
            if matrix.shape[0] != n_items:
                raise DataError(f"{name} has {matrix.shape[0]} rows, history has {n_items} items; give one row an item")
        for name, labels in self.labels.items():
            width = self.groups[name].shape[1] if name in self.groups else 0
            if len(labels) != width:
                raise DataError(f"labels of {name!r} must be {width}, one a column of the group, got {len(labels)}")
        for what, column in (("looks", self.looks), ("candidates", self.candidates)):
            if column is not None and len(column) != n_items:
                raise DataError(f"{what} must have one entry for each of {n_items} items, got {len(column)}")

    @property
    def n_items(self) -> int:
        """Items of the catalogue."""
        return int(self.history.shape[1])

    @cached_property
    def popularity(self) -> Ints:
        """(n_items,) users who have each item, among all users of the history."""
        return catalogue.popularity(self.history)

    @cached_property
    def allowed(self) -> Mask:
        """(n_items,) what may be listed."""
        return np.ones(self.n_items, bool) if self.candidates is None else np.asarray(self.candidates, bool)

    def due(self, name: str) -> Values:
        """(n_groups,) shares of the candidates."""
        return catalogue.group_shares(self.allowed.astype(float), self.groups[name])


def describe_lists(
    items: Ints,
    history: sp.csr_array,
    *,
    spaces: Mapping[str, Matrix] | None = None,
    groups: Mapping[str, Matrix] | None = None,
    ks: Sequence[int] = (10,),
    relevant: tuple[Ints, Ints] | None = None,
    labels: Mapping[str, Sequence[str]] | None = None,
    looks: npt.NDArray[Any] | None = None,
) -> pd.DataFrame:
    """Reach, concentration, popularity, diversity, calibration, exposure and disparity of lists.

    Args:
        items: (n_users, K) item indices, best first, -1 past the end of a short list.
        history: (n_users, n_items) what the same users have; this and the following as in `Aspects`.
        spaces: Name → vectors for distances.
        groups: Name → memberships for calibration and disparity.
        ks: List lengths.
        relevant: (user, item) rows and item indices of what came later, each pair once; needed for serendipity.
        labels: Name of a group → names of its columns, whose shares of exposure are told.
        looks: (n_items,) look in which each item is shown, for the mix of presentations.

    Returns:
        One row a measure, space or group (``of``) and k: value, denominator, how many users it is a mean of, and how
        many have no value. Measures of all lists together count the lists that are not empty.

    Raises:
        ConfigError: A k below 1 or above the length of the lists.
        DataError: Shapes that do not belong together, or lists that no recommender may give.

    Example:
        >>> lists, past = np.array([[1, 2], [0, 2]]), sp.csr_array([[1, 0, 0], [0, 1, 0]])
        >>> frame = describe_lists(lists, past, spaces={"style": np.eye(3)}, ks=(2,))
        >>> frame[["measure", "of", "value"]].query("measure in ['coverage', 'intra_list_distance']").values.tolist()
        [['coverage', '', 1.0], ['intra_list_distance', 'style', 1.0]]
    """
    about = Aspects(history, spaces or {}, groups or {}, labels or {}, looks)
    check_k(ks)
    if max(ks) > items.shape[1]:
        raise ConfigError(f"k must be <= {items.shape[1]}, the ranks of the lists, got {max(ks)}")
    if history.shape[0] != len(items):
        raise DataError(f"history must have {len(items)} rows, one a list, got {history.shape[0]}")
    check_lists(items, about.n_items)
    found = Description(about, tuple(ks))
    hits = None if relevant is None else hit_matrix(items, *relevant, about.n_items)
    n_relevant = None if relevant is None else np.bincount(relevant[0], minlength=len(items))
    found.add(np.arange(len(items)), items, hits, n_relevant)
    return found.to_frame()


@dataclass(eq=False)
class Description:
    """The lists of one model, counted block by block.

    Attributes:
        about: What they are held against.
        ks: List lengths.
        users: Measures that are means over users, or ratios of such means.
    """

    about: Aspects
    ks: tuple[int, ...]
    users: UserColumns = field(default_factory=UserColumns)
    _exposed: dict[int, Values] = field(default_factory=dict)
    _likeness: dict[int, Values] = field(default_factory=dict)
    _lists: dict[int, int] = field(default_factory=dict)
    n_users: int = 0

    def add(self, user: Ints, items: Ints, hits: Hits | None = None, n_relevant: Ints | None = None) -> None:
        """A block of lists.

        Args:
            user: (n,) rows of the history.
            items: (n, K) item indices, -1 past the end of a short list.
            hits: (n, K) which are relevant; None: no serendipity.
            n_relevant: (n,) relevant items of each user.
        """
        past = self.about.history[user]
        had = catalogue.history_popularity(past, self.about.popularity)
        self.n_users += len(user)
        for k in self.ks:
            top = items[:, :k]
            found = None if hits is None else hits[:, :k]
            for name, of, value, base in self._of_users(top, past, had, found, n_relevant):
                self.users.add((name, of, k), value, base)
            exposed, likeness, n_lists = self._exposed.get(k, 0.0), self._likeness.get(k, 0.0), self._lists.get(k, 0)
            self._exposed[k] = exposed + catalogue.exposure(top, self.about.n_items)
            self._likeness[k] = likeness + diversity.likeness(top, self.about.n_items)
            self._lists[k] = n_lists + int((top >= 0).any(axis=1).sum())

    def totals(self) -> dict[Column, float]:
        """Measures of all lists together; no mean over users, so without an interval."""
        return {(name, of, k): value for k in self.ks for name, of, value in self._totals(k)}

    def n_lists(self, k: int) -> int:
        """Users whose list of ``k`` holds anything."""
        return self._lists.get(k, 0)

    def to_frame(self) -> pd.DataFrame:
        """As `describe_lists` returns it."""
        estimates, counts = self.users.estimates(), self.users.counts()
        rows: list[tuple[Any, ...]] = [
            (*column, float(value) + shift(column), int(n), self.n_users - int(n))
            for column, value, n in zip(self.users.columns, estimates, counts, strict=True)
        ]
        n_lists = {k: (self.n_lists(k), self.n_users - self.n_lists(k)) for k in self.ks}
        rows += [(*column, value, *n_lists[column[2]]) for column, value in self.totals().items()]
        rows.sort(key=in_order)
        frame = pd.DataFrame(rows, columns=["measure", "of", "k", "value", "n_users", "n_without"])
        frame["denominator"] = [(SHARES | BEYOND)[name].denominator for name in frame["measure"]]
        return frame[list(COLUMNS)]

    def _of_users(
        self, top: Ints, past: sp.csr_array, had: Values, hits: Hits | None, n_relevant: Ints | None
    ) -> Iterator[tuple[str, str, Values, Values | None]]:
        """Measure, of what, value and base of every user."""
        listed = catalogue.average_popularity(top, self.about.popularity)
        yield "novelty", "", catalogue.novelty(top, self.about.popularity, self.about.history.shape[0]), None
        yield "arp", "", listed, None
        yield "popularity_lift", "", listed, had
        for name, vectors in self.about.spaces.items():
            yield "intra_list_distance", name, diversity.intra_list_distance(top, vectors), None
            yield "unexpectedness", name, diversity.unexpectedness(top, past, vectors), None
            if hits is not None and n_relevant is not None:
                yield "serendipity", name, diversity.serendipity(top, hits, n_relevant, past, vectors), None
        for name, membership in self.about.groups.items():
            yield "calibration", name, _calibration(top, past, membership), None

    def _totals(self, k: int) -> Iterator[tuple[str, str, float]]:
        exposed, allowed = self._exposed[k], self.about.allowed
        yield "coverage", "", float((exposed > 0).sum() / max(int(allowed.sum()), 1))
        yield "gini", "", catalogue.gini(exposed[allowed])
        yield "entropy", "", catalogue.entropy(exposed)
        yield "personalisation", "", diversity.unlikeness(self._likeness[k], self.n_lists(k))
        for name, membership in self.about.groups.items():
            shares = catalogue.group_shares(exposed, membership)
            yield "disparity", name, catalogue.disparity(shares, self.about.due(name))
            for label, share in zip(self.about.labels.get(name, ()), shares, strict=False):
                yield "exposure_share", f"{name}: {label}", float(share)
        if self.about.looks is not None:
            for look, share in catalogue.presentation_mix(self.about.looks, exposed).items():
                yield "presentation_mix", look, share


def shift(column: Column) -> float:
    """What is added to a ratio of sums: a lift is the ratio minus 1."""
    return -1.0 if column[0] == "popularity_lift" else 0.0


def in_order(row: Sequence[Any]) -> tuple[int, int, str]:
    """Sorts rows that begin with measure, of and k: by k, then as `BEYOND` lists the measures."""
    return int(row[2]), ["coverage", *BEYOND].index(row[0]), str(row[1])


def _calibration(top: Ints, past: sp.csr_array, membership: Matrix) -> Values:
    found, step = np.empty(len(top)), max(1, BLOCK_CELLS // membership.shape[1])
    for start in range(0, len(top), step):  # shares are dense, and there may be many sellers
        part = slice(start, start + step)
        target = diversity.history_shares(past[part], membership)
        found[part] = diversity.calibration(target, diversity.list_shares(top[part], membership))
    return found
