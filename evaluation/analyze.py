"""Reading a user-randomised test from its user-level table, real or simulated: health, then metrics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.goals import GOALS, Goal
from evaluation.inference import (
    Estimate,
    Moments,
    cuped,
    linearise,
    minimum_detectable_effect,
    sample_ratio,
    welch,
)
from evaluation.multiplicity import holm
from evaluation.simulate import ABConfig
from recsys.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Columns = dict[str, Floats]
Role = Literal["goal", "guardrail", "other"]
POWER = 0.8
"""Of the minimum detectable effect."""


@dataclass(frozen=True)
class Result:
    """One metric by one method.

    Attributes:
        metric: A key of `GOALS`.
        method: Welch or delta method, without or with CUPED.
        role: goal and guardrail mark the rows that the decision reads; each metric has one at most.
        estimate: The effect.
        adjusted_p_value: Holm's over the goals; None for other rows.
        variance_ratio: What CUPED left of the variance; 1 without.
    """

    metric: str
    method: str
    role: Role
    estimate: Estimate
    adjusted_p_value: float | None = None
    variance_ratio: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """As a flat row."""
        about = {
            "metric": self.metric,
            "method": self.method,
            "role": self.role,
            "is_goal": self.role == "goal",
        }
        return about | vars(self.estimate) | {"adjusted_p_value": self.adjusted_p_value}


@dataclass(frozen=True)
class Analysis:
    """What a log says.

    Attributes:
        results: Every metric by every method.
        counts: Users in control and treatment, those with missing outcomes included.
        srm_p_value: Sample ratio test; None without users.
        segments: segment, level, n, relative, low, high of the first goal: exploratory, not adjusted.
        problems: Health checks that failed, in words; none may stand before the effects are read.
        minimum_detectable: Relative effect on the first goal that this many users show with ``POWER``.
    """

    results: tuple[Result, ...]
    counts: tuple[int, int]
    srm_p_value: float | None
    segments: tuple[dict[str, Any], ...]
    problems: tuple[str, ...]
    minimum_detectable: float | None

    def deciding(self, role: Role) -> tuple[Result, ...]:
        """The rows that the decision reads as goals or guardrails."""
        return tuple(r for r in self.results if r.role == role)


def analyze(users: pd.DataFrame, config: ABConfig | None = None, *, segments: Iterable[str] = ()) -> Analysis:
    """Every metric whose columns are there; with CUPED too where a period before the test was logged.

    Users with a missing outcome are left out of the effects and named among the problems. Users without a
    past (NaN in a ``pre_`` column) are kept; CUPED takes them for average ones.

    Args:
        users: One row a user: arm (0 control, 1 treatment) and the counts that `GOALS` name (clicks,
            impressions, sessions, sessions_with_click); optionally ``pre_<count>``, and unit to find users
            counted twice.
        config: Of it alpha, allocation, srm_alpha, goals and guardrails are read; the defaults when omitted.
        segments: Columns of labels to split by, known before the test.

    Raises:
        DataError: No arm column, an arm other than 0 and 1, a goal's column that is missing, or a count that
            is no number or below 0.

    Example:
        >>> log = pd.DataFrame({"arm": [0, 0, 1, 1], "clicks": [1, 3, 4, 6]})
        >>> result = analyze(log, ABConfig(guardrails=())).results[0]
        >>> result.metric, result.method, result.estimate.absolute, result.estimate.relative
        ('clicks_per_user', 'Welch', 3.0, 1.5)
    """
    config = ABConfig() if config is None else config
    segments = tuple(segments)
    _check_columns(users, config, segments)
    everyone = {c: users[c].to_numpy(np.float64, na_value=np.nan) for c in _counts(users)}
    complete = _complete(everyone, len(users))
    arm = users["arm"].to_numpy(np.int64)
    n_control, n_treatment = (int(n) for n in np.bincount(arm, minlength=2))
    srm = sample_ratio((n_control, n_treatment), config.allocation) if len(users) else None
    columns, arm = _rows(everyone, complete), arm[complete]
    results = [r for metric in GOALS for r in _metric(columns, arm, metric, config)]
    problems = [*_problems(users, complete, srm, config), *_unanswered(results, arm, config)]
    labels = [users.loc[complete, name] for name in segments]
    return Analysis(
        results=_adjusted(results),
        counts=(n_control, n_treatment),
        srm_p_value=srm,
        segments=tuple(row for values in labels for row in _segment(columns, arm, values, config)),
        problems=tuple(problems),
        minimum_detectable=_smallest_effect(columns, arm, results, config),
    )


def _check_columns(users: pd.DataFrame, config: ABConfig, segments: tuple[str, ...]) -> None:
    wanted = {c: None for name in (*config.goals, *config.guardrails) for c in GOALS[name].columns}
    missing = [c for c in ("arm", *wanted, *segments) if c not in users.columns]
    if missing:
        raise DataError(f"the user table misses {', '.join(missing)}; it has {', '.join(map(str, users.columns))}")
    wrong = users["arm"][~users["arm"].isin((0, 1))]
    if len(wrong):
        raise DataError(
            f"column 'arm' must hold 0 (control) or 1 (treatment), got {wrong.iloc[0]!r} in {len(wrong)} rows"
        )
    for name in _counts(users):
        if not pd.api.types.is_numeric_dtype(users[name]):
            raise DataError(f"column {name!r} must be numbers, got {users[name].dtype}; convert it, missing as NaN")
        if (users[name] < 0).any():
            raise DataError(f"column {name!r} must be >= 0, got {users[name].min()}; counts are never negative")


def _counts(users: pd.DataFrame) -> list[str]:
    names = dict.fromkeys(c for goal in GOALS.values() for c in goal.columns)
    return [c for name in names for c in (name, f"pre_{name}") if c in users.columns]


def _complete(columns: Columns, n: int) -> npt.NDArray[np.bool_]:
    found = np.ones(n, bool)
    for name, values in columns.items():
        if not name.startswith("pre_"):
            found &= np.isfinite(values)
    return found


def _rows(columns: Columns, which: npt.NDArray[Any]) -> Columns:
    return {name: values[which] for name, values in columns.items()}


def _problems(users: pd.DataFrame, complete: npt.NDArray[np.bool_], srm: float | None, config: ABConfig) -> list[str]:
    found, n_missing = [], int((~complete).sum())
    if srm is None:
        found.append("no users in either arm")
    elif srm < config.srm_alpha:
        planned = f"{config.allocation:.0%} in treatment were planned, {(users['arm'] == 1).mean():.1%} came"
        found.append(f"sample ratio mismatch: {planned} (p = {srm:.2g} < {config.srm_alpha:g})")
    if n_missing:
        found.append(f"outcomes are missing or infinite for {n_missing} of {len(users)} users")
    if "unit" in users.columns and (twice := int(users["unit"].duplicated().sum())):
        found.append(f"{twice} rows repeat a user; the table must hold one row a user")
    return found


def _unanswered(results: list[Result], arm: Ints, config: ABConfig) -> list[str]:
    if min(np.bincount(arm, minlength=2)) < 2:
        return ["an arm has fewer than 2 users with outcomes"]
    found = {r.metric for r in results if r.role != "other"}
    return [f"{m} has no denominator in an arm" for m in (*config.goals, *config.guardrails) if m not in found]


def _metric(columns: Columns, arm: Ints, metric: str, config: ABConfig) -> list[Result]:
    """The metric's rows, the last of them the one that decides; none where an arm has too little to tell."""
    goal = GOALS[metric]
    known = all(c in columns for c in goal.columns) and min(np.bincount(arm, minlength=2)) >= 2
    values = _values(columns, goal, arm) if known else None
    if values is None:
        return []
    method = "Welch" if goal.denominator is None else "delta method"
    found = [Result(metric, method, "other", _estimate(values, arm, config.alpha))]
    before = _covariate(columns, goal)
    if before is not None:
        adjusted, ratio = cuped(values, before, arm)
        estimate = _estimate(adjusted, arm, config.alpha)
        found.append(Result(metric, f"{method} + CUPED", "other", estimate, variance_ratio=ratio))
    role: Role = "goal" if metric in config.goals else "guardrail" if metric in config.guardrails else "other"
    return [*found[:-1], replace(found[-1], role=role)]


def _covariate(columns: Columns, goal: Goal) -> Floats | None:
    """(n,) the metric before the test, the average for users without a past; None where it tells nothing.

    A ratio is linearised once for both arms: the covariate dates from before the split and must not know it.
    """
    if not all(f"pre_{c}" in columns for c in goal.columns):
        return None
    past = {c: columns[f"pre_{c}"] for c in goal.columns}
    known = np.logical_and.reduce([np.isfinite(v) for v in past.values()])
    values = _values(_rows(past, known), goal, np.zeros(int(known.sum()), np.int64))
    if values is None or len(values) == 0 or np.ptp(values) == 0:
        return None
    covariate = np.full(len(known), values.mean())
    covariate[known] = values
    return covariate


def _values(columns: Columns, goal: Goal, group: Ints) -> Floats | None:
    """(n,) per-user values, a ratio linearised within each group; None where a group's denominator is 0."""
    numerator = columns[goal.numerator]
    if goal.denominator is None:
        return numerator
    denominator, values = columns[goal.denominator], np.empty_like(numerator)
    for side in np.unique(group):
        mine = group == side
        if denominator[mine].sum() == 0:
            return None
        values[mine] = linearise(numerator[mine], denominator[mine])
    return values


def _estimate(values: Floats, arm: Ints, alpha: float) -> Estimate:
    return welch(Moments.of(values[arm == 0]), Moments.of(values[arm == 1]), alpha=alpha)


def _adjusted(results: list[Result]) -> tuple[Result, ...]:
    goals = [i for i, r in enumerate(results) if r.role == "goal"]
    p_values = holm([results[i].estimate.p_value for i in goals]).tolist() if goals else []
    adjusted = dict(zip(goals, p_values, strict=True))
    return tuple(replace(r, adjusted_p_value=adjusted.get(i)) for i, r in enumerate(results))


def _smallest_effect(columns: Columns, arm: Ints, results: list[Result], config: ABConfig) -> float | None:
    first = next((r for r in results if r.metric == config.goals[0] and r.role == "goal"), None)
    values = None if first is None else _values(columns, GOALS[first.metric], arm)
    if first is None or values is None:
        return None
    return minimum_detectable_effect(
        Moments.of(values[arm == 0]),
        int((arm == 1).sum()),
        alpha=config.alpha,
        power=POWER,
        variance_ratio=first.variance_ratio,
    )


def _segment(columns: Columns, arm: Ints, labels: pd.Series, config: ABConfig) -> list[dict[str, Any]]:
    """The first goal within each level in the labels' order; levels too small for an effect get None."""
    categories = pd.Categorical(labels)
    levels = [(code, str(level)) for code, level in enumerate(categories.categories)]
    rows = []
    for code, level in [*levels, (-1, "unknown")]:
        which = categories.codes == code
        if not which.any():
            continue
        found = _metric(_rows(columns, which), arm[which], config.goals[0], config)
        e = found[-1].estimate if found else None
        ends = (None, None, None) if e is None else (e.relative, e.relative_low, e.relative_high)
        row = {"segment": str(labels.name), "level": level, "n": int(which.sum())}
        rows.append(row | dict(zip(("relative", "low", "high"), ends, strict=True)))
    return rows
