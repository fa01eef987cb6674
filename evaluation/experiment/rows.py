"""A metric's effect by every method that the plan and the log allow; the last one decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evaluation.experiment.covariates import Fit, cross_fitted, cuped, linear, post_stratified
from evaluation.experiment.metrics import Metric
from evaluation.experiment.plan import Plan
from evaluation.experiment.resampled import bootstrap_estimate
from evaluation.experiment.user_table import UserTable
from evaluation.experiment.values import Columns, covariate, user_values
from evaluation.inference import Estimate, welch
from recsys.extras import require

Floats = npt.NDArray[np.float64]
METHODS = {"mean": "Welch", "proportion": "Welch", "ratio": "delta method", "quantile": "quantile"}
LEAST = 40
"""Users below which a model of the covariates is not fitted."""


@dataclass(frozen=True)
class Row:
    """One method's word.

    Attributes:
        method: Its name.
        estimate: The effect.
        variance_ratio: What it left of the raw variance; 1 where nothing was taken out.
    """

    method: str
    estimate: Estimate
    variance_ratio: float = 1.0


def metric_rows(table: UserTable, metric: Metric, plan: Plan) -> list[Row]:
    """Raw first, then with the past (CUPED) or a model of all covariates (CUPAC), then by strata.

    None where an arm has too little to tell, or a column is not there.
    """
    if not all(c in table.columns for c in metric.columns) or not table.split.usable:
        return []
    values = user_values(table.columns, metric, table.split.arm)
    if values is None:
        return []
    name = METHODS[metric.kind] + (", clustered" if plan.clustered else "")
    found = [Row(_told(name, plan), _estimate(table, values, plan, metric))]
    adjusted, word, ratio = _adjusted(table, values, metric, plan)
    if word:
        found.append(Row(_told(f"{name} + {word}", plan), _estimate(table, adjusted, plan), ratio))
    return [*found, *_stratified(table, adjusted, found[-1], plan)]


def _told(name: str, plan: Plan) -> str:
    return name.replace("Welch", "mean") + ", bootstrap" if plan.intervals == "bootstrap" else name


def _estimate(table: UserTable, values: Floats, plan: Plan, metric: Metric | None = None) -> Estimate:
    """By Student's t or the bootstrap; with a metric it is worked out anew in each resample, else values are means."""
    plain = welch(*table.split.moments(values), alpha=plan.alpha)
    if plan.intervals == "t":
        return plain
    columns: Columns = table.columns if metric is not None else {"values": values}
    asked = Metric("values") if metric is None else metric
    return bootstrap_estimate(plain, columns, asked, table.split.arm, alpha=plan.alpha, resamples=plan.resamples)


def _adjusted(table: UserTable, values: Floats, metric: Metric, plan: Plan) -> tuple[Floats, str, float]:
    """Values without what was known before, the method's name, and what it left of the variance."""
    past = covariate(table.columns, metric)
    if table.covariates is not None and len(values) >= LEAST:
        known = table.features() if past is None else np.column_stack([table.features(), past])
        told = cross_fitted(known, values, REGRESSORS[plan.regressor], group=table.split.cluster)
        adjusted, ratio = cuped(values, told)
        return adjusted, "CUPAC", ratio
    if past is None:
        return values, "", 1.0
    adjusted, ratio = cuped(values, past)
    return adjusted, "CUPED", ratio


def _stratified(table: UserTable, values: Floats, before: Row, plan: Plan) -> list[Row]:
    """What the last row left, by strata; none where a stratum has fewer than two users of an arm."""
    code, arm = table.strata, table.split.arm
    if code is None or np.bincount(2 * code + arm, minlength=2 * int(code.max()) + 2).min() < 2:
        return []
    estimate = post_stratified(values, arm, code, alpha=plan.alpha)
    left = (estimate.standard_error / before.estimate.standard_error) ** 2 if before.estimate.standard_error else 1.0
    return [Row(f"{before.method.removesuffix(', bootstrap')} + strata", estimate, before.variance_ratio * left)]


def _boosted(features: Floats, values: Floats) -> Callable[[Floats], Floats]:
    """Gradient-boosted trees."""
    trees = require("sklearn.ensemble", extra="tune").HistGradientBoostingRegressor(max_iter=60, random_state=0)
    predict = trees.fit(features, values).predict
    return lambda new: np.asarray(predict(new), np.float64)


REGRESSORS: dict[str, Fit] = {"linear": linear, "boosted": _boosted}
"""By the plan's ``regressor``."""
