"""Models against each other on what came later: one pass of lists serves every metric."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.bootstrap import bootstrap_means, holm, interval, two_sided_p
from evaluation.metrics import METRICS, check_k, coverage, hit_matrix
from recsys.data.interactions import Interactions
from recsys.errors import DataError, UnknownIdError, unknown_name
from recsys.models.base import FittedRecommender
from recsys.progress import progress

SEGMENTS = ("all", "warm", "cold")
NOTES = (
    "Warm: items bought before the split, ranked among themselves; cold: items nobody had bought before it, ranked among "
    "themselves. Purely collaborative models know nothing of cold items.",
    "Intervals: 95 % percentile bootstrap over users. p: two-sided paired bootstrap against the baseline, Holm-adjusted within "
    "each segment, metric and k.",
    "The baseline is the best model without style on these same users, which makes the comparison harder for style, not easier.",
)


@dataclass(frozen=True, order=True)
class ModelKey:
    """A model and the features it was fitted with."""

    model: str
    features: str = "none"

    def __str__(self) -> str:
        return f"{self.model} / {self.features}"


@dataclass(frozen=True, eq=False)
class SegmentResult:
    """Values of one segment.

    Attributes:
        columns: (metric, k) of each column of ``values``.
        values: Model → (n_users, n_columns) float32, users with relevant items only.
        coverage: Model → k → share of the candidates that appear in a list.
        cold_share: Model → k → share of listed items that are cold.
        n_candidates: Items that could be listed.
        n_without: Users of the test without a relevant item here.
    """

    columns: tuple[tuple[str, int], ...]
    values: Mapping[ModelKey, npt.NDArray[np.float32]]
    coverage: Mapping[ModelKey, Mapping[int, float]]
    cold_share: Mapping[ModelKey, Mapping[int, float]]
    n_candidates: int
    n_without: int

    @property
    def n_users(self) -> int:
        """Users that are averaged."""
        return len(next(iter(self.values.values())))


@dataclass(frozen=True, eq=False)
class OfflineResult:
    """Everything the comparison measured."""

    segments: Mapping[str, SegmentResult]
    ks: tuple[int, ...]
    resamples: int
    seed: int

    def mean(self, key: ModelKey, metric: str, k: int, segment: str = "all") -> float:
        """The mean over users of one metric."""
        part = self.segments[segment]
        return float(part.values[key][:, part.columns.index((metric, k))].mean(dtype=np.float64))

    def best_of(self, keys: Iterable[ModelKey], metric: str, k: int, segment: str = "all") -> ModelKey:
        """The key with the highest mean; the first one on ties."""
        return max(keys, key=lambda key: self.mean(key, metric, k, segment))

    def rows(self) -> list[dict[str, Any]]:
        """One row a model, segment, metric and k, with its interval."""
        return [row for name, part in self.segments.items() for row in _rows(name, part, self.resamples, self.seed)]

    def compare(self, baseline: ModelKey) -> list[dict[str, Any]]:
        """Paired differences of every model to ``baseline``.

        Raises:
            DataError: The baseline was not evaluated.
        """
        known = next(iter(self.segments.values())).values
        if baseline not in known:
            raise DataError(unknown_name("model", str(baseline), map(str, known)))
        parts = self.segments.items()
        return [row for name, part in parts for row in _comparisons(name, part, baseline, self.resamples, self.seed)]

    def to_json(self, baseline: ModelKey) -> dict[str, Any]:
        """For ``metrics.json``."""
        users = {n: {"averaged": p.n_users, "without_relevant": p.n_without, "candidates": p.n_candidates} for n, p in self.segments.items()}
        return {
            "ks": list(self.ks),
            "baseline": str(baseline),
            "segments": users,
            "rows": self.rows(),
            "comparisons": self.compare(baseline),
            "notes": list(NOTES),
        }


def evaluate(
    models: Mapping[ModelKey, FittedRecommender],
    test: Interactions,
    *,
    warm: npt.NDArray[np.bool_],
    ks: Sequence[int] = (10, 20),
    segments: Sequence[str] = SEGMENTS,
    resamples: int = 2000,
    seed: int = 0,
) -> OfflineResult:
    """Rank for every test user and compare with what they chose later.

    Args:
        models: Fitted on train, over the same users and items.
        test: What came later; see `evaluation.splits.split`.
        warm: (n_items,) whether an item has train interactions.
        ks: List lengths.
        segments: Of ``all``, ``warm``, ``cold``; candidates and relevant items are both limited. A segment without any
            relevant item is left out.
        resamples: Bootstrap resamples of users.
        seed: Of the bootstrap.

    Raises:
        DataError: No models, an empty test, models over different ids, NaN scores or repeated recommendations.
        UnknownIdError: The test names a user or item that the models do not know.
    """
    check_k(tuple(ks))
    if not models or test.frame.empty:
        raise DataError("nothing to evaluate: " + ("the test side is empty" if models else "no models were given"))
    reference = next(iter(models.values()))
    user, item = _encode(test, models)
    masks = {"all": np.ones(len(warm), bool), "warm": warm, "cold": ~warm}
    found = {}
    with progress("evaluate", total=len(models) * len(segments)) as advance:
        for name in segments:
            relevant = masks[name][item]
            if relevant.any():
                found[name] = _segment(models, user[relevant], item[relevant], masks[name], warm, tuple(sorted(set(ks))), advance)
                found[name] = _with_missing(found[name], len(np.unique(user)))
    if not len(found) or len(warm) != len(reference.items):
        raise DataError(f"warm must flag {len(reference.items)} items, got {len(warm)}")
    return OfflineResult(found, tuple(sorted(set(ks))), resamples, seed)


def _with_missing(part: SegmentResult, n_test_users: int) -> SegmentResult:
    return SegmentResult(
        part.columns, part.values, part.coverage, part.cold_share, part.n_candidates, n_test_users - part.n_users
    )


def _encode(test: Interactions, models: Mapping[ModelKey, FittedRecommender]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    reference = next(iter(models.values()))
    for key, model in models.items():
        if model.items != reference.items or model.users != reference.users:
            raise DataError(f"model {key} was fitted on other users or items than the rest; fit all on one dataset")
    try:
        user = reference.users.encode(test.frame["user_id"].to_numpy(dtype=object))
        item = reference.items.encode(test.frame["item_id"].to_numpy(dtype=object))
    except UnknownIdError as error:
        raise UnknownIdError(f"the test holds ids the models do not know: {error}") from error
    pairs = np.unique(user * np.int64(len(reference.items)) + item)
    return pairs // len(reference.items), pairs % len(reference.items)


def _segment(
    models: Mapping[ModelKey, FittedRecommender],
    user: npt.NDArray[np.int64],
    item: npt.NDArray[np.int64],
    allowed: npt.NDArray[np.bool_],
    warm: npt.NDArray[np.bool_],
    ks: tuple[int, ...],
    advance: Any,
) -> SegmentResult:
    users, row, n_relevant = np.unique(user, return_inverse=True, return_counts=True)
    columns = tuple((metric, k) for k in ks for metric in METRICS)
    values, covered, cold = {}, {}, {}
    for key, model in models.items():
        lists, scores = model.top_items(users, k=max(ks), allowed=allowed)
        if np.isnan(scores).any():
            raise DataError(f"model {key} gives NaN scores; it has diverged or its features are damaged")
        hits = hit_matrix(lists, row, item, len(allowed))
        values[key] = np.stack([METRICS[m].function(hits, n_relevant, k) for m, k in columns], axis=1).astype(np.float32)
        covered[key] = {k: coverage(lists[:, :k], int(allowed.sum())) for k in ks}
        cold[key] = {k: _cold_share(lists[:, :k], warm) for k in ks}
        advance(note=str(key))
    return SegmentResult(columns, values, covered, cold, int(allowed.sum()), 0)


def _cold_share(lists: npt.NDArray[np.int64], warm: npt.NDArray[np.bool_]) -> float:
    shown = lists[lists >= 0]
    return float((~warm[shown]).mean()) if len(shown) else 0.0


def _rows(segment: str, part: SegmentResult, resamples: int, seed: int) -> list[dict[str, Any]]:
    rows = []
    for key, values in part.values.items():
        low, high = interval(bootstrap_means(values, resamples=resamples, seed=seed))
        mean = values.mean(axis=0, dtype=np.float64)
        about = {"model": key.model, "features": key.features, "segment": segment}
        for (metric, k), value, lo, hi in zip(part.columns, mean, low, high, strict=True):
            numbers = {"value": float(value), "low": float(lo), "high": float(hi), "n_users": part.n_users}
            rows.append(about | {"metric": metric, "k": k} | numbers | {"denominator": METRICS[metric].denominator})
        for name, shares, whole in (("coverage", part.coverage, "candidate items"), ("cold_share", part.cold_share, "listed items")):
            for k, share in shares[key].items():
                numbers = {"value": share, "low": None, "high": None, "n_users": part.n_users}
                rows.append(about | {"metric": name, "k": k} | numbers | {"denominator": whole})
    return rows


def _comparisons(segment: str, part: SegmentResult, baseline: ModelKey, resamples: int, seed: int) -> list[dict[str, Any]]:
    others = [key for key in part.values if key != baseline]
    if not others:
        return []
    p_values, rows = np.empty((len(others), len(part.columns))), []
    for i, key in enumerate(others):
        difference = part.values[key] - part.values[baseline]
        means = bootstrap_means(difference, resamples=resamples, seed=seed)
        low, high = interval(means)
        p_values[i] = two_sided_p(means)
        for (metric, k), value, lo, hi in zip(part.columns, difference.mean(axis=0, dtype=np.float64), low, high, strict=True):
            about = {"model": key.model, "features": key.features, "segment": segment, "metric": metric, "k": k}
            rows.append(about | {"baseline": str(baseline), "difference": float(value), "low": float(lo), "high": float(hi)})
    adjusted = np.array([holm(list(p_values[:, j])) for j in range(len(part.columns))]).T
    for row, p, p_holm in zip(rows, p_values.ravel(), adjusted.ravel(), strict=True):
        row |= {"p_value": float(p), "p_adjusted": float(p_holm)}
    return rows
