"""One pass over a pool of candidates: each model's lists once, and every value that is read off them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from evaluation.bootstrap import bootstrap_means
from evaluation.metrics import MetricAt, check_lists, hit_matrix
from evaluation.offline.aspects import ListAspects
from evaluation.offline.beyond import Beyond, Observer
from evaluation.offline.further import AllRanks
from evaluation.offline.groups import Groups
from evaluation.offline.shares import Tally
from evaluation.offline.values import ModelKey, SegmentResult, UserValues
from recsys.data.ids import IdMap
from recsys.errors import DataError
from recsys.progress import Advance

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float32]
Hits = npt.NDArray[np.bool_]
Values = Mapping[ModelKey, UserValues]

BLOCK_USERS = 8192
"""Users whose lists are held at once."""
BLOCK_CELLS = 2**23
"""Users × candidates that are ranked at once where every rank is needed."""


class Ranker(Protocol):
    """What is evaluated: every fitted recommender, and `TableRanker` for lists made elsewhere."""

    @property
    def users(self) -> IdMap:
        """Users in index order."""
        ...

    @property
    def items(self) -> IdMap:
        """Items in index order."""
        ...

    def top_items(
        self, user_idx: Ints, *, k: int, exclude_seen: bool = True, allowed: Mask | None = None
    ) -> tuple[Ints, Scores]:
        """(n, k) item indices and scores, best first, -1 and -inf past a short list."""
        ...


@dataclass(frozen=True, eq=False)
class Plan:
    """What is measured, and how.

    Attributes:
        columns: Metrics with their list lengths.
        warm: (n_items,) items with train interactions; None where nobody knows.
        exclude_seen: Leave what a user had out of the lists.
        resamples: Of the bootstrap.
        seed: Of it.
        aspects: What lists are held against beyond hits; None: nothing.
        auc: Whether every candidate is ranked for the area under the ROC curve.
        sampled: Irrelevant items among which relevant ones are ranked, too; 0: no such biased values.
    """

    columns: tuple[MetricAt, ...]
    warm: Mask | None
    exclude_seen: bool
    resamples: int
    seed: int
    aspects: ListAspects | None = None
    auc: bool = False
    sampled: int = 0

    @property
    def ks(self) -> tuple[int, ...]:
        """List lengths."""
        return tuple(sorted({column.k for column in self.columns}))

    @property
    def longest(self) -> list[int]:
        """Positions of the columns of the largest k, by which groups are judged."""
        return [j for j, column in enumerate(self.columns) if column.k == self.ks[-1]]

    def names(self, positions: Sequence[int] | None = None) -> tuple[tuple[str, int], ...]:
        """(metric, k) of the columns."""
        chosen = range(len(self.columns)) if positions is None else positions
        return tuple((self.columns[j].metric.name, self.columns[j].k) for j in chosen)


@dataclass(frozen=True, eq=False)
class Relevant:
    """What is relevant to whom, by user.

    Attributes:
        users: (n,) who has something relevant, ascending.
        ends: (n + 1,) the items of user i are ``item[ends[i]:ends[i + 1]]``.
        item: (m,) item indices.
    """

    users: Ints
    ends: Ints
    item: Ints

    @classmethod
    def of(cls, user: Ints, item: Ints) -> Relevant:
        """From pairs sorted by user."""
        users, counts = np.unique(user, return_counts=True)
        return cls(users, np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), item)

    @property
    def counts(self) -> Ints:
        """(n,) relevant items of each user."""
        return np.diff(self.ends)

    def among(self, items: Mask) -> Relevant:
        """Only these items, and the users who have any of them."""
        kept = items[self.item]
        return Relevant.of(np.repeat(self.users, self.counts)[kept], self.item[kept])

    def hits(self, lists: Ints, part: slice, n_items: int) -> Hits:
        """Which items of the lists of the users ``part`` are relevant to them."""
        row = np.repeat(np.arange(len(lists)), self.counts[part])
        return hit_matrix(lists, row, self.items_of(part), n_items)

    def items_of(self, part: slice) -> Ints:
        """The relevant items of the users ``part``, one user's after the other's."""
        return self.item[self.ends[part.start] : self.ends[part.stop]]


@dataclass(frozen=True, eq=False)
class OneGroup:
    """The users to whom items of one group are relevant, and what lists find of those.

    Attributes:
        name: Such as ``price: 5 to 10``.
        items: (n_items,) the group.
        relevant: Of the group alone.
        values: Model → (n, columns) float32, filled block by block.
    """

    name: str
    items: Mask
    relevant: Relevant
    values: Mapping[ModelKey, UserValues]

    def add(self, key: ModelKey, users: Ints, lists: Ints, hits: Hits, columns: Sequence[MetricAt]) -> None:
        """A block of lists over all candidates, of ``users``."""
        mine = slice(*np.searchsorted(self.relevant.users, [users[0], users[-1] + 1]))
        row = np.searchsorted(users, self.relevant.users[mine])
        inside = hits[row] & self.items[lists[row]]
        for j, column in enumerate(columns):
            self.values[key][mine, j] = column(inside, self.relevant.counts[mine])


def one_pass(
    models: Mapping[ModelKey, Ranker],
    relevant: Relevant,
    test_users: Ints,
    allowed: Mask,
    groups: Sequence[Groups],
    plan: Plan,
    advance: Advance,
) -> tuple[SegmentResult, dict[str, SegmentResult]]:
    """The values of one pool of candidates, and of the groups of its users and items.

    Raises:
        DataError: A model's lists cannot be judged.
    """
    values = _empty(models, len(relevant.users), len(plan.columns))
    tallies = {key: Tally(allowed, plan.warm, plan.ks) for key in models}
    parts = [part for group in groups if group.of == "items" for part in _by_items(group, relevant, models, plan)]
    found_beyond: dict[ModelKey, Beyond] = {}
    longest = [plan.columns[j] for j in plan.longest]
    for key, model in models.items():
        observer = None if plan.aspects is None else Observer.of(plan.aspects, allowed, key.features, plan.ks)
        for start in range(0, len(relevant.users), BLOCK_USERS):
            part = slice(start, min(start + BLOCK_USERS, len(relevant.users)))
            users, counts = relevant.users[part], relevant.counts[part]
            lists, scores = _lists(key, model, users, allowed, plan, _depth(plan, int(counts.max())))
            hits = relevant.hits(lists, part, len(allowed))
            for j, column in enumerate(plan.columns):
                values[key][part, j] = column(hits, counts)
            tallies[key].add(lists, scores)
            for one in parts:
                one.add(key, users, lists, hits, longest)
            if observer is not None:
                observer.add(users, lists, hits, counts, relevant.items_of(part))
            advance(len(users), note=str(key))
        if observer is not None and len(relevant.users):
            observer.ranks = _all_ranks(key, model, relevant, allowed, plan)
            found_beyond[key] = observer.summary(resamples=plan.resamples, seed=plan.seed)
    mixed = plan.warm is not None and bool(plan.warm[allowed].any() and not plan.warm[allowed].all())
    whole = replace(
        _result(relevant, values, plan, plan.names(), allowed, test_users),
        shares={key: tally.shares(mixed=mixed) for key, tally in tallies.items()},
        n_empty={key: tally.n_empty for key, tally in tallies.items()},
        beyond=found_beyond,
    )
    names = plan.names(plan.longest)
    found: dict[str, SegmentResult] = {}
    for group in groups:
        if group.of == "users":
            found |= _by_users(group, relevant, values, plan, allowed, test_users)
    for one in parts:
        found[one.name] = _result(one.relevant, one.values, plan, names, allowed & one.items, test_users)
    return whole, found


def _by_items(group: Groups, relevant: Relevant, models: Mapping[ModelKey, Ranker], plan: Plan) -> list[OneGroup]:
    parts = []
    for code, label in enumerate(group.labels):
        items = group.codes == code
        own = relevant.among(items)
        if len(own.users):
            parts.append(
                OneGroup(f"{group.name}: {label}", items, own, _empty(models, len(own.users), len(plan.longest)))
            )
    return parts


def _by_users(
    group: Groups, relevant: Relevant, values: Values, plan: Plan, allowed: Mask, test_users: Ints
) -> dict[str, SegmentResult]:
    found = {}
    for code, label in enumerate(group.labels):
        rows = np.flatnonzero(group.codes[relevant.users] == code)
        if len(rows):
            owner = np.repeat(np.arange(len(relevant.users)), relevant.counts)
            kept = np.isin(owner, rows)
            own = Relevant.of(relevant.users[owner[kept]], relevant.item[kept])
            mine = {key: array[rows][:, plan.longest] for key, array in values.items()}
            members = test_users[group.codes[test_users] == code]
            found[f"{group.name}: {label}"] = _result(own, mine, plan, plan.names(plan.longest), allowed, members)
    return found


def _empty(models: Mapping[ModelKey, Ranker], n_users: int, n_columns: int) -> dict[ModelKey, UserValues]:
    return {key: np.empty((n_users, n_columns), np.float32) for key in models}


def _result(
    relevant: Relevant,
    values: Values,
    plan: Plan,
    columns: tuple[tuple[str, int], ...],
    allowed: Mask,
    test_users: Ints,
) -> SegmentResult:
    return SegmentResult(
        users=relevant.users,
        columns=columns,
        values=values,
        resampled=_resample(values, plan),
        shares={},
        n_empty={},
        n_candidates=int(allowed.sum()),
        n_relevant_items=len(np.unique(relevant.item)),
        n_without=len(test_users) - len(relevant.users),
    )


def _all_ranks(key: ModelKey, model: Ranker, relevant: Relevant, allowed: Mask, plan: Plan) -> AllRanks:
    """What takes the rank of every candidate; nothing where it is not asked for."""
    found = AllRanks(plan.ks, plan.auc, plan.sampled, np.random.default_rng([plan.seed, 1]))
    if plan.aspects is None or not (plan.auc or plan.sampled):
        return found
    depth = int(allowed.sum())
    step = max(1, BLOCK_CELLS // max(depth, 1))
    for start in range(0, len(relevant.users), step):
        part = slice(start, min(start + step, len(relevant.users)))
        users = relevant.users[part]
        lists, _ = _lists(key, model, users, allowed, plan, depth)
        had = plan.aspects.history[users]
        n_had = np.bincount(
            np.repeat(np.arange(len(users)), np.diff(had.indptr))[(had.data > 0) & allowed[had.indices]],
            minlength=len(users),
        )
        n_candidates = depth - n_had if plan.exclude_seen else np.full(len(users), depth)
        hits = relevant.hits(lists, part, len(allowed))
        found.add(hits, relevant.counts[part], n_candidates, (lists >= 0).sum(axis=1), depth)
    return found


def _depth(plan: Plan, most: int) -> int:
    return max(column.metric.depth(column.k, most) for column in plan.columns)


def _lists(key: ModelKey, model: Ranker, users: Ints, allowed: Mask, plan: Plan, k: int) -> tuple[Ints, Scores]:
    """The model's lists, or an error that names the model."""
    mask = None if allowed.all() else allowed
    lists, scores = model.top_items(users, k=k, exclude_seen=plan.exclude_seen, allowed=mask)
    if lists.shape != (len(users), k) or scores.shape != lists.shape:
        raise DataError(f"model {key} gives lists of shape {lists.shape}, expected {(len(users), k)}")
    try:
        check_lists(lists, len(allowed))
    except DataError as error:
        raise DataError(f"model {key}: {error}") from error
    if np.isnan(scores[lists >= 0]).any():
        raise DataError(f"model {key} gives NaN scores; it has diverged or its features are damaged")
    if not allowed[lists[lists >= 0]].all():
        raise DataError(f"model {key} lists items outside the candidates; top_items must honour allowed")
    return lists, scores


def _resample(values: Values, plan: Plan) -> dict[ModelKey, npt.NDArray[np.float64]]:
    """Means of one and the same resamples for all models."""
    stacked = np.concatenate(list(values.values()), axis=1)
    if not len(stacked):
        return {}
    means = bootstrap_means(stacked, resamples=plan.resamples, seed=plan.seed)
    return dict(zip(values, np.split(means, len(values), axis=1), strict=True))
