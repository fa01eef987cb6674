"""Each metric as one value per user, whose mean is the metric and whose variance is its error's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evaluation.experiment.covariates import winsorise
from evaluation.experiment.metrics import Metric
from evaluation.inference import linearise

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Columns = dict[str, Floats]


def user_values(columns: Columns, metric: Metric, group: Ints) -> Floats | None:
    """(n,) per-user values, ratios and quantiles linearised within each group.

    Args:
        columns: Name → (n,).
        metric: What is measured.
        group: (n,) codes from 0, such as the arm.

    Returns:
        None where a group cannot tell: its denominator is 0, or its quantile lies among equal values.

    Example:
        >>> clicks = {"clicks": np.array([0.0, 3.0, 1.0])}
        >>> user_values(clicks, Metric("clicks", kind="proportion"), np.zeros(3, np.int64)).tolist()
        [0.0, 1.0, 1.0]
    """
    numerator = columns[metric.numerator]
    if metric.kind == "proportion":
        return (numerator > 0).astype(np.float64)
    if metric.winsorise < 1 and len(numerator):
        numerator = winsorise(numerator, metric.winsorise)
    if metric.kind == "mean":
        return numerator
    values = np.empty_like(numerator)
    for side in np.unique(group):
        mine = group == side
        below = None if metric.denominator is None else columns[metric.denominator][mine]
        found = _quantile(numerator[mine], metric.quantile) if below is None else _ratio(numerator[mine], below)
        if found is None:
            return None
        values[mine] = found
    return values


def covariate(columns: Columns, metric: Metric) -> Floats | None:
    """(n,) the metric before the test, the average for users without a past (NaN); None where it tells nothing.

    A ratio is linearised once for both arms: the covariate dates from before the split and must not know it. For a
    quantile it is the users' own past value.
    """
    if not all(f"pre_{c}" in columns for c in metric.columns):
        return None
    past = {c: columns[f"pre_{c}"] for c in metric.columns}
    known = np.logical_and.reduce([np.isfinite(v) for v in past.values()])
    past = {c: v[known] for c, v in past.items()}
    group = np.zeros(int(known.sum()), np.int64)
    values = past[metric.numerator] if metric.kind == "quantile" else user_values(past, metric, group)
    if values is None or len(values) == 0 or np.ptp(values) == 0:
        return None
    found = np.full(len(known), values.mean())
    found[known] = values
    return found


def _ratio(numerator: Floats, denominator: Floats) -> Floats | None:
    return linearise(numerator, denominator) if denominator.sum() != 0 else None


def _quantile(values: Floats, p: float) -> Floats | None:
    """The quantile's influence, q + (p - 1{y <= q}) / f(q), centred (Serfling, 1980, section 2.3.3).

    The density f is that of the values within two standard errors of p: Woodruff, Confidence intervals for medians and
    other position measures, 1952.
    """
    centre = np.quantile(values, p)
    reach = 2 * np.sqrt(p * (1 - p) / len(values))
    low, high = np.clip([p - reach, p + reach], 0, 1)
    ends = np.quantile(values, [low, high])
    if ends[0] == ends[1]:
        return None
    below = (values <= centre).astype(np.float64)
    return np.asarray(centre + (below.mean() - below) * (ends[1] - ends[0]) / (high - low))
