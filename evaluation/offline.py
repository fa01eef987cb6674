"""Models against each other on what came later: one pass of lists serves every metric."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from evaluation.bootstrap import bootstrap_means
from evaluation.metrics import METRICS, check_k, check_lists, coverage, hit_matrix
from evaluation.offline_result import ModelKey, OfflineResult, SegmentResult, UserValues
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.errors import ConfigError, DataError, UnknownIdError, unknown_name
from recsys.progress import Advance, progress

__all__ = ["SEGMENTS", "ModelKey", "OfflineResult", "Ranker", "SegmentResult", "evaluate"]

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Scores = npt.NDArray[np.float32]

SEGMENTS = ("all", "warm", "cold")
BLOCK_USERS = 8192
"""Users whose lists are held at once."""


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


def evaluate(
    models: Mapping[ModelKey, Ranker] | Mapping[str, Ranker],
    test: Interactions,
    *,
    warm: Mask | None = None,
    ks: Sequence[int] = (10, 20),
    segments: Sequence[str] = SEGMENTS,
    exclude_seen: bool = True,
    resamples: int = 2000,
    seed: int = 0,
) -> OfflineResult:
    """Rank for every test user and compare with what they chose later.

    Args:
        models: Fitted on train, over the same users and items.
        test: What came later; see `evaluation.splits.split`. A (user, item) pair counts once, however often it is
            there; rows of weight 0 are no evidence and make nothing relevant.
        warm: (n_items,) whether an item has train interactions; needed for ``warm`` and ``cold``.
        ks: List lengths.
        segments: Of ``all``, ``warm``, ``cold``; candidates and relevant items are both limited.
        exclude_seen: Leave what a user had in train out of the lists; as the split left it out of test.
        resamples: Bootstrap resamples of users, and exchanges of the randomisation test.
        seed: Of both.

    Raises:
        ConfigError: A ``k`` below 1, an unknown segment, or ``warm`` is missing.
        DataError: No models, an empty test, models over different ids, NaN scores, repeated recommendations or
            ones that are no candidates, or no relevant item in any segment.
        UnknownIdError: The test names a user or item that the models do not know.
    """
    check_k(ks)
    named = {ModelKey.of(key): model for key, model in models.items()}
    if not named or test.frame.empty:
        missing = "the test side is empty" if named else "no models were given"
        raise DataError(f"nothing to evaluate: {missing}")
    if len(named) < len(models):
        raise ConfigError(f"model names must be distinct, got {', '.join(map(str, models))}")
    _check_ids(named)
    n_items = len(next(iter(named.values())).items)
    candidates = _candidates(segments, warm, n_items)
    plan = _Plan(tuple(sorted(set(ks))), warm, exclude_seen, resamples, seed)
    user, item, n_test_users = _relevant_pairs(test, next(iter(named.values())))
    chosen = {name: allowed[item] for name, allowed in candidates.items()}
    if not any(rows.any() for rows in chosen.values()):
        raise DataError(f"no test row is relevant among the {', '.join(segments)} items; check the split")
    found = {}
    total = len(named) * sum(len(np.unique(user[rows])) for rows in chosen.values())
    with progress("evaluate", total=total) as step:
        for name, rows in chosen.items():
            found[name] = _segment(named, user[rows], item[rows], candidates[name], n_test_users, plan, step)
    return OfflineResult(found, plan.ks, resamples, seed)


@dataclass(frozen=True, eq=False)
class _Plan:
    ks: tuple[int, ...]
    warm: Mask | None
    exclude_seen: bool
    resamples: int
    seed: int

    @property
    def columns(self) -> tuple[tuple[str, int], ...]:
        return tuple((metric, k) for k in self.ks for metric in METRICS)


def _check_ids(models: Mapping[ModelKey, Ranker]) -> None:
    reference = next(iter(models.values()))
    for key, model in models.items():
        if model.items != reference.items or model.users != reference.users:
            raise DataError(f"model {key} was fitted on other users or items than the rest; fit all on one dataset")


def _candidates(segments: Sequence[str], warm: Mask | None, n_items: int) -> dict[str, Mask]:
    for name in segments:
        if name not in SEGMENTS:
            raise ConfigError(unknown_name("segment", name, SEGMENTS))
        if name != "all" and warm is None:
            raise ConfigError(f"segment {name!r} needs to know which items are warm; pass warm=dataset.is_warm")
    if warm is not None and np.shape(warm) != (n_items,):
        raise DataError(f"warm must have shape ({n_items},), got {np.shape(warm)}; one flag an item")
    every = np.ones(n_items, dtype=bool)
    known = every if warm is None else np.asarray(warm, dtype=bool)
    masks = {"all": every, "warm": known, "cold": ~known}
    return {name: masks[name] for name in dict.fromkeys(segments)}


def _relevant_pairs(test: Interactions, reference: Ranker) -> tuple[Ints, Ints, int]:
    """Distinct (user, item) of positive weight, by user; and how many users the test has."""
    frame, n_items = test.frame, np.int64(len(reference.items))
    try:
        user = reference.users.encode(frame["user_id"].to_numpy(dtype=object))
        item = reference.items.encode(frame["item_id"].to_numpy(dtype=object))
    except UnknownIdError as error:
        raise UnknownIdError(f"the test holds ids the models do not know: {error}") from error
    pairs = np.unique((user * n_items + item)[frame["weight"].to_numpy() > 0])
    return pairs // n_items, pairs % n_items, len(np.unique(user))


def _segment(
    models: Mapping[ModelKey, Ranker],
    user: Ints,
    item: Ints,
    allowed: Mask,
    n_test_users: int,
    plan: _Plan,
    advance: Advance,
) -> SegmentResult:
    users, n_relevant = np.unique(user, return_counts=True)
    ends = np.concatenate([[0], np.cumsum(n_relevant)])
    values, shares = {}, {}
    for key, model in models.items():
        values[key] = np.empty((len(users), len(plan.columns)), np.float32)
        tally = _Tally(allowed, plan)
        for start in range(0, len(users), BLOCK_USERS):
            part = slice(start, min(start + BLOCK_USERS, len(users)))
            lists, scores = _lists(key, model, users[part], allowed, plan)
            wanted = slice(ends[part.start], ends[part.stop])
            row = np.repeat(np.arange(part.stop - part.start), n_relevant[part])
            hits = hit_matrix(lists, row, item[wanted], len(allowed))
            for j, (metric, k) in enumerate(plan.columns):
                values[key][part, j] = METRICS[metric].function(hits, n_relevant[part], k)
            tally.add(lists, scores)
            advance(part.stop - part.start, note=str(key))
        shares[key] = tally.shares()
    return SegmentResult(
        users=users,
        columns=plan.columns,
        values=values,
        resampled=_resample(values, plan),
        shares=shares,
        n_candidates=int(allowed.sum()),
        n_relevant_items=len(np.unique(item)),
        n_without=n_test_users - len(users),
    )


def _lists(key: ModelKey, model: Ranker, users: Ints, allowed: Mask, plan: _Plan) -> tuple[Ints, Scores]:
    """The model's lists, or an error that names the model."""
    k = max(plan.ks)
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


def _resample(values: Mapping[ModelKey, UserValues], plan: _Plan) -> dict[ModelKey, npt.NDArray[np.float64]]:
    """Means of one and the same resamples for all models."""
    stacked = np.concatenate(list(values.values()), axis=1)
    if not len(stacked):
        return {}
    means = bootstrap_means(stacked, resamples=plan.resamples, seed=plan.seed)
    return dict(zip(values, np.split(means, len(values), axis=1), strict=True))


@dataclass(eq=False)
class _Tally:
    """Counts over all lists of one model, block by block."""

    allowed: Mask
    plan: _Plan
    shown: dict[int, Mask] = field(default_factory=dict)
    counts: Counter[tuple[str, int]] = field(default_factory=Counter)

    def add(self, lists: Ints, scores: Scores) -> None:
        for k in self.plan.ks:
            filled = lists[:, :k] >= 0
            listed = lists[:, :k][filled]
            self.shown.setdefault(k, np.zeros(len(self.allowed), dtype=bool))[listed] = True
            self.counts["users", k] += len(lists)
            self.counts["listed", k] += len(listed)
            self.counts["undecided", k] += int(_undecided(scores[:, :k], filled).sum())
            if self.plan.warm is not None:
                self.counts["cold", k] += int((~self.plan.warm[listed]).sum())

    def shares(self) -> dict[tuple[str, int], float]:
        found = {}
        for k, shown in self.shown.items():
            users, listed = self.counts["users", k], self.counts["listed", k]
            found["coverage", k] = coverage(np.flatnonzero(shown), int(self.allowed.sum()))
            found["filled", k] = listed / (users * k)
            found["undecided", k] = self.counts["undecided", k] / users
            if self.plan.warm is not None and self.allowed.all():  # within warm or cold the answer is known
                found["cold_share", k] = self.counts["cold", k] / max(listed, 1)
        return found


def _undecided(scores: Scores, filled: Mask) -> Mask:
    """Lists of two items or more whose scores are all equal."""
    highest = np.where(filled, scores, -np.inf).max(axis=1)
    lowest = np.where(filled, scores, np.inf).min(axis=1)
    return np.asarray((filled.sum(axis=1) >= 2) & (highest == lowest))
