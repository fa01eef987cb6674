"""Values of users as rows of tables: means with intervals, and paired differences with tests and effect sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evaluation.bootstrap import bca_interval, sign_flip_p
from evaluation.metrics import RANKING, SHARES
from evaluation.multiplicity import ADJUSTMENTS
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


def _ratio(a: float, b: float) -> float | None:
    """None where there is nothing to divide by, or one user alone has no spread."""
    return float(a / b) if np.isfinite(b) and b > 0 else None
