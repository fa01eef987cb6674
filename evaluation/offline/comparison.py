"""Values of users as rows of tables: means with intervals, and paired differences with tests and effect sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.bootstrap import bca_interval, sign_flip_p
from evaluation.metrics import BEYOND, FURTHER, RANKING, SHARES
from evaluation.metrics.columns import Column
from evaluation.multiplicity import ADJUSTMENTS
from evaluation.offline.ratios import Ratios
from evaluation.offline.values import ModelKey, SegmentResult

Values = npt.NDArray[np.float64]
Pair = tuple[ModelKey, ModelKey]

ROUNDING = 1e-7
"""Values of users are float32; an end of an interval this near to 0 is 0."""


def metric_rows(segment: str, part: SegmentResult, key: ModelKey) -> list[dict[str, Any]]:
    """One row a metric and k of one model: the mean over users with its interval."""
    values = part.values[key]
    low, high = bca_interval(values, part.resampled[key])
    means = values.mean(axis=0, dtype=np.float64)
    return [
        _about(segment, key, metric, k)
        | {"value": float(value), "low": float(lo), "high": float(hi), "n_users": part.n_users}
        | {"denominator": RANKING[metric].denominator}
        for (metric, k), value, lo, hi in zip(part.columns, means, low, high, strict=True)
    ]


def share_rows(segment: str, part: SegmentResult, key: ModelKey) -> list[dict[str, Any]]:
    """One row a share of lists and k of one model; none has an interval."""
    return [
        _about(segment, key, name, k)
        | {"value": share, "low": None, "high": None, "n_users": part.n_users}
        | {"denominator": SHARES[name].denominator}
        for (name, k), share in part.shares.get(key, {}).items()
    ]


def beyond_rows(segment: str, part: SegmentResult, key: ModelKey) -> list[dict[str, Any]]:
    """One row a measure beyond accuracy, space or group (``of``), and k of one model.

    Means over users, and ratios of such means, have intervals; what is counted over all lists together has none.
    ``due`` stands beside a share of exposure: the share of the candidates.
    """
    found = part.beyond[key]
    rows = [*_ratio_rows(segment, part, key, found.described)]
    for (measure, of, k), value in found.totals.items():
        if np.isfinite(value) and measure not in SHARES:  # `share_rows` has those
            of_lists = {"n_users": found.n_lists[k], "n_without": part.n_users - found.n_lists[k]}
            ends = {"value": value, "low": None, "high": None, **of_lists}
            rows.append(_about(segment, key, measure, k) | {"of": of} | ends | {"due": found.due.get(of)})
    return [row | {"denominator": BEYOND[row["metric"]].denominator} for row in rows]


def further_rows(segment: str, part: SegmentResult, key: ModelKey) -> list[dict[str, Any]]:
    """One row a debiased value, AUC or sampled value (``of`` says of what) and k of one model."""
    rows = [row for ratios in part.beyond[key].further for row in _ratio_rows(segment, part, key, ratios)]
    return [row | {"denominator": FURTHER[row["metric"]].denominator} for row in rows]


def _ratio_rows(segment: str, part: SegmentResult, key: ModelKey, found: Ratios) -> Iterator[dict[str, Any]]:
    columns = zip(found.columns, found.value, found.low, found.high, found.n_users, strict=True)
    for (measure, of, k), value, low, high, n in columns:
        if n:
            ends = {"value": _finite(value), "low": _finite(low), "high": _finite(high)}
            users = {"n_users": int(n), "n_without": part.n_users - int(n)}
            yield _about(segment, key, measure, k) | {"of": of} | ends | users | {"due": None}


def beyond_differences(segment: str, part: SegmentResult, pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """One row a (model, baseline), measure and k: the difference with its percentile interval over shared resamples.

    Measures of all lists together have a difference and no interval. There are no p-values: what is more novel or
    more diverse is not for that better.
    """
    return [row for pair in pairs for row in _beyond_difference(segment, part, *pair)]


def _beyond_difference(
    segment: str, part: SegmentResult, key: ModelKey, baseline: ModelKey
) -> Iterator[dict[str, Any]]:
    mine, base = part.beyond[key], part.beyond[baseline]
    for ours, theirs in zip((mine.described, *mine.further), (base.described, *base.further), strict=True):
        place = {column: j for j, column in enumerate(theirs.columns)}
        for i, column in enumerate(ours.columns):
            j = place.get(column)
            if j is None or not np.isfinite(ours.value[i] - theirs.value[j]):
                continue
            drawn = ours.resampled[:, i] - theirs.resampled[:, j]
            ends = np.quantile(drawn, [0.025, 0.975]).tolist() if np.ptp(drawn) else (np.nan, np.nan)
            yield _difference_of(segment, key, baseline, column, ours.value[i] - theirs.value[j], ends)
    for column, value in mine.totals.items():
        other = base.totals.get(column, 0.0 if column[0] == "presentation_mix" else np.nan)
        if np.isfinite(value - other):
            yield _difference_of(segment, key, baseline, column, value - other, (np.nan, np.nan))


def _difference_of(
    segment: str, key: ModelKey, baseline: ModelKey, column: Column, difference: float, ends: Sequence[float]
) -> dict[str, Any]:
    measure, of, k = column
    found = {"difference": float(difference), "low": _finite(ends[0]), "high": _finite(ends[1])}
    return _about(segment, key, measure, k) | {"of": of, "baseline": str(baseline)} | found


def difference_rows(
    segment: str, part: SegmentResult, pairs: Sequence[Pair], *, resamples: int, seed: int, adjust: str
) -> list[dict[str, Any]]:
    """One row a (model, baseline), metric and k; the pairs are one family for the adjustment."""
    differences = [part.values[key] - part.values[baseline] for key, baseline in pairs]
    p = sign_flip_p(np.concatenate(differences, axis=1), resamples=resamples, seed=seed).reshape(len(pairs), -1)
    adjusted = ADJUSTMENTS[adjust](p)
    return [
        row | {"p_value": float(p[i, j]), "p_adjusted": float(adjusted[i, j])}
        for i, pair in enumerate(pairs)
        for j, row in enumerate(_differences(segment, part, *pair))
    ]


def _about(segment: str, key: ModelKey, metric: str, k: int) -> dict[str, Any]:
    return {"model": key.model, "features": key.features, "segment": segment, "metric": metric, "k": k}


def _differences(segment: str, part: SegmentResult, key: ModelKey, baseline: ModelKey) -> list[dict[str, Any]]:
    difference = part.values[key] - part.values[baseline]
    ends = bca_interval(difference, part.resampled[key] - part.resampled[baseline], floor=-1.0)
    low, high = (np.where(np.abs(end) < ROUNDING, 0.0, end) for end in ends)
    better, worse = (difference > 0).sum(axis=0), (difference < 0).sum(axis=0)
    mean, spread = difference.mean(axis=0, dtype=np.float64), difference.std(axis=0, ddof=1, dtype=np.float64)
    base = part.values[baseline].mean(axis=0, dtype=np.float64)
    return [
        _about(segment, key, metric, k)
        | {"baseline": str(baseline), "difference": float(mean[j]), "low": float(low[j]), "high": float(high[j])}
        | {"relative": _ratio(mean[j], base[j]), "effect_size": _ratio(mean[j], spread[j])}
        | {"n_users": part.n_users, "n_better": int(better[j]), "n_worse": int(worse[j])}
        for j, (metric, k) in enumerate(part.columns)
    ]


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _ratio(a: float, b: float) -> float | None:
    """None where there is nothing to divide by, or one user alone has no spread."""
    return float(a / b) if np.isfinite(b) and b > 0 else None
