"""Models against each other on what came later: one pass of lists serves every metric."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from evaluation.metrics import METRICS, RANKING, BiasedMetricWarning, MetricAt, check_k
from evaluation.offline.aspects import ListAspects
from evaluation.offline.candidates import Candidates
from evaluation.offline.groups import Groups
from evaluation.offline.one_pass import Plan, Ranker, Relevant, one_pass
from evaluation.offline.result import ModelKey, OfflineResult, SegmentResult
from recsys.data.interactions import Interactions
from recsys.errors import ConfigError, DataError, UnknownIdError, unknown_name
from recsys.progress import progress

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

SEGMENTS = ("all", "warm", "cold")
LEAK = 0.5
"""From this share of the test's choices on that a model was told of, it counts as fitted on the test."""
AUC = "auc"
"""May stand among the metrics where ``aspects`` are given: it takes the rank of every candidate."""


def evaluate(
    models: Mapping[ModelKey, Ranker] | Mapping[str, Ranker],
    test: Interactions,
    *,
    warm: Mask | None = None,
    ks: Sequence[int] = (10, 20),
    metrics: Sequence[str] = tuple(METRICS),
    segments: Sequence[str] = SEGMENTS,
    groups: Sequence[Groups] = (),
    candidates: Candidates | None = None,
    exclude_seen: bool = True,
    aspects: ListAspects | None = None,
    sampled: int = 0,
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
        metrics: Names of `evaluation.metrics.RANKING`, and ``auc``, which ranks every candidate.
        segments: Of ``all``, ``warm``, ``cold``; candidates and relevant items are both limited, and lists are made
            for each.
        groups: Users or items by which the lists over all candidates are broken down, at the largest k: of a group of
            users their values, of a group of items what the lists find of its relevant items. No further lists are
            made.
        candidates: What may be listed; None: every item. Relevant items that are none are left out and counted.
        exclude_seen: Leave what a user had in train out of the lists; as the split left it out of test.
        aspects: What lists are held against beyond hits: reach, popularity, diversity, calibration, exposure and looks,
            and accuracy weighed by propensity; None: nothing of that. No further lists are made for it.
        sampled: Also rank each relevant item among so many drawn irrelevant ones; 0: do not. Such values are biased.
        resamples: Bootstrap resamples of users, and exchanges of the randomisation test.
        seed: Of both.

    Raises:
        ConfigError: A ``k`` below 1, an unknown segment or metric, ``warm`` is missing, groups without ``all``, or
            ``auc`` or ``sampled`` without ``aspects``.
        DataError: No models, an empty test, models over different ids, a model fitted on the test, NaN scores, repeated
            recommendations or ones that are no candidates, or no relevant item in any segment.
        UnknownIdError: The test names a user or item that the models do not know.

    Warns:
        BiasedMetricWarning: ``sampled`` is above 0.
    """
    check_k(ks)
    named = {ModelKey.of(key): model for key, model in models.items()}
    if not named or test.frame.empty:
        missing = "the test side is empty" if named else "no models were given"
        raise DataError(f"nothing to evaluate: {missing}")
    if len(named) < len(models):
        raise ConfigError(f"model names must be distinct, got {', '.join(map(str, models))}")
    _check_ids(named)
    reference = next(iter(named.values()))
    pools = _pools(segments, warm, len(reference.items), candidates)
    _check_groups(groups, segments, reference)
    ranked = tuple(name for name in metrics if name != AUC)
    _check_aspects(aspects, AUC in metrics, sampled, reference)
    plan = Plan(_columns(ranked, ks), warm, exclude_seen, resamples, seed, aspects, AUC in metrics, sampled)
    everything, test_users = _relevant(test, reference)
    told = {key: n for key, model in named.items() if (n := choices_known(model, everything))}
    if exclude_seen:
        _refuse_fitted_on_test(told, len(everything.item))
    relevant = {name: everything.among(allowed) for name, allowed in pools.items()}
    if not any(len(part.users) for part in relevant.values()):
        raise DataError(f"no test row is relevant among the {', '.join(segments)} items; check the split")
    found: dict[str, SegmentResult] = {}
    broken: dict[str, SegmentResult] = {}
    with progress("evaluate", total=len(named) * sum(len(part.users) for part in relevant.values())) as step:
        for name, part in relevant.items():
            of_groups = groups if name == "all" else ()
            found[name], parts = one_pass(named, part, test_users, pools[name], of_groups, plan, step)
            broken |= parts
    outside = 0 if candidates is None else int((~candidates.allowed[everything.item]).sum())
    return OfflineResult(found, broken, plan.ks, resamples, seed, outside, told if exclude_seen else {})


def choices_known(model: Ranker, relevant: Relevant) -> int:
    """How many of the test's choices a model, or a member of an ensemble, was told of when it was fitted.

    Asked of models that keep what they have ``seen`` as a sparse matrix, as all of ours do; 0 of others.
    """
    wanted = np.repeat(relevant.users, relevant.counts), relevant.item
    known = np.zeros(len(relevant.item), bool)
    for seen in _histories(model):
        if seen.shape == (len(model.users), len(model.items)):
            known |= np.asarray(seen[wanted]).ravel() > 0
    return int(known.sum())


def _histories(model: Any) -> Iterator[Any]:
    seen = getattr(model, "seen", None)
    if sp.issparse(seen):
        yield seen
    for member in getattr(model, "members", ()):
        yield from _histories(member)


def _refuse_fitted_on_test(told: Mapping[ModelKey, int], n_choices: int) -> None:
    for key, n in told.items():
        if n >= LEAK * n_choices:
            raise DataError(
                f"model {key} was told of {n} of the {n_choices} choices it is to be judged by: it was fitted on the "
                "test, and its lists leave out what it had; fit it on the split's train side"
            )


def _columns(metrics: Sequence[str], ks: Sequence[int]) -> tuple[MetricAt, ...]:
    if not metrics:
        raise ConfigError(f"metrics must name at least one of {', '.join(RANKING)}")
    for name in metrics:
        if name not in RANKING:
            raise ConfigError(unknown_name("metric", name, RANKING))
    return tuple(RANKING[name].at(k) for k in sorted(set(ks)) for name in dict.fromkeys(metrics))


def _check_aspects(aspects: ListAspects | None, auc: bool, sampled: int, reference: Ranker) -> None:
    if sampled < 0 or ((auc or sampled) and aspects is None):
        raise ConfigError(
            f"auc and sampled (>= 0, got {sampled}) take the rank of every candidate; pass aspects=, whose history "
            "says what a user's candidates are"
        )
    if aspects is not None and aspects.history.shape != (len(reference.users), len(reference.items)):
        shape = (len(reference.users), len(reference.items))
        raise DataError(f"the history of aspects must have shape {shape}, got {aspects.history.shape}")
    if sampled:
        warnings.warn(
            f"values among {sampled} sampled items are biased and may order models wrongly; decide nothing by them",
            BiasedMetricWarning,
            stacklevel=3,
        )


def _check_ids(models: Mapping[ModelKey, Ranker]) -> None:
    reference = next(iter(models.values()))
    for key, model in models.items():
        if model.items != reference.items or model.users != reference.users:
            raise DataError(f"model {key} was fitted on other users or items than the rest; fit all on one dataset")


def _check_groups(groups: Sequence[Groups], segments: Sequence[str], reference: Ranker) -> None:
    if groups and "all" not in segments:
        raise ConfigError("groups break down the lists over all candidates; add the segment 'all'")
    for group in groups:
        n = len(reference.users if group.of == "users" else reference.items)
        if group.codes.shape != (n,):
            raise DataError(f"groups {group.name!r} need a code for each of {n} {group.of}, got {len(group.codes)}")


def _pools(segments: Sequence[str], warm: Mask | None, n_items: int, candidates: Candidates | None) -> dict[str, Mask]:
    for name in segments:
        if name not in SEGMENTS:
            raise ConfigError(unknown_name("segment", name, SEGMENTS))
        if name != "all" and warm is None:
            raise ConfigError(f"segment {name!r} needs to know which items are warm; pass warm=dataset.is_warm")
    every = np.ones(n_items, dtype=bool) if candidates is None else candidates.allowed
    for flags, what in ((warm, "warm"), (every, "candidates")):
        if flags is not None and np.shape(flags) != (n_items,):
            raise DataError(f"{what} must have shape ({n_items},), got {np.shape(flags)}; one flag an item")
    known = np.ones(n_items, dtype=bool) if warm is None else np.asarray(warm, dtype=bool)
    masks = {"all": every, "warm": every & known, "cold": every & ~known}
    return {name: masks[name] for name in dict.fromkeys(segments)}


def _relevant(test: Interactions, reference: Ranker) -> tuple[Relevant, Ints]:
    """Distinct (user, item) of positive weight, and the users of the test."""
    frame, n_items = test.frame, np.int64(len(reference.items))
    try:
        user = reference.users.encode(frame["user_id"].to_numpy(dtype=object))
        item = reference.items.encode(frame["item_id"].to_numpy(dtype=object))
    except UnknownIdError as error:
        raise UnknownIdError(f"the test holds ids the models do not know: {error}") from error
    pairs = np.unique((user * n_items + item)[frame["weight"].to_numpy() > 0])
    return Relevant.of(pairs // n_items, pairs % n_items), np.unique(user)
