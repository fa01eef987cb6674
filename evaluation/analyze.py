"""Reading a user-randomised test from its user-level table, real or simulated: health, then metrics."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.bootstrap import holm
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
from evaluation.simulate import ABConfig
from recsys.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
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

    Users with a missing outcome are left out of the effects and named among the problems.

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
    usable = users[_complete(users)]
    arm = usable["arm"].to_numpy(np.int64)
    counts = tuple(int((users["arm"] == side).sum()) for side in (0, 1))
    srm = sample_ratio((counts[0], counts[1]), config.allocation) if sum(counts) else None
    problems = _problems(users, len(users) - len(usable), srm, config)
    results: list[Result] = []
    if min(np.bincount(arm, minlength=2)) >= 2:
        results = [
            r for metric in GOALS if _has(users, GOALS[metric]) for r in _metric(usable, arm, metric, config)
        ]
    else:
        problems.append("an arm has fewer than 2 users with outcomes")
    found = {r.metric for r in results if r.role != "other"}
    if results:
        problems += [
            f"{m} has no denominator in an arm" for m in (*config.goals, *config.guardrails) if m not in found
        ]
    rows = [row for name in segments for row in _segment(usable, name, config)]
    goal = next((r for r in results if r.metric == config.goals[0] and r.role == "goal"), None)
    smallest = None if goal is None else _smallest_effect(usable, arm, goal, config)
    return Analysis(_adjusted(results), (counts[0], counts[1]), srm, tuple(rows), tuple(problems), smallest)


def _check_columns(users: pd.DataFrame, config: ABConfig, segments: tuple[str, ...]) -> None:
    wanted = {c: None for name in (*config.goals, *config.guardrails) for c in GOALS[name].columns}
    missing = [c for c in ("arm", *wanted, *segments) if c not in users.columns]
    if missing:
        raise DataError(
            f"the user table misses {', '.join(missing)}; it has {', '.join(map(str, users.columns))}"
        )
    wrong = users["arm"][~users["arm"].isin((0, 1))]
    if len(wrong):
        raise DataError(
            f"column 'arm' must hold 0 (control) or 1 (treatment), got {wrong.iloc[0]!r} in {len(wrong)} rows"
        )
    for name in _counts(users):
        if not pd.api.types.is_numeric_dtype(users[name]):
            raise DataError(
                f"column {name!r} must be numbers, got {users[name].dtype}; convert it, missing as NaN"
            )
        if (users[name] < 0).any():
            raise DataError(
                f"column {name!r} must be >= 0, got {users[name].min()}; counts are never negative"
            )


def _counts(users: pd.DataFrame) -> list[str]:
    names = dict.fromkeys(c for goal in GOALS.values() for c in goal.columns)
    return [c for name in names for c in (name, f"pre_{name}") if c in users.columns]


def _complete(users: pd.DataFrame) -> npt.NDArray[np.bool_]:
    values = users[_counts(users)].to_numpy(np.float64, na_value=np.nan)
    return np.asarray(np.isfinite(values).all(axis=1))


def _problems(users: pd.DataFrame, n_missing: int, srm: float | None, config: ABConfig) -> list[str]:
    found = []
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


def _has(users: pd.DataFrame, goal: Goal, prefix: str = "") -> bool:
    return all(prefix + c in users.columns for c in goal.columns)


def _metric(users: pd.DataFrame, arm: Ints, metric: str, config: ABConfig) -> list[Result]:
    """The metric's rows, the last of them the one that decides; none without a denominator in an arm."""
    goal = GOALS[metric]
    values = _values(users, goal, "", arm)
    if values is None:
        return []
    method = "Welch" if goal.denominator is None else "delta method"
    found = [Result(metric, method, "other", _estimate(values, arm, config.alpha))]
    if _has(users, goal, "pre_"):
        # One linearisation for both arms: the covariate is from before the split, so it must not know of it.
        before = _values(users, goal, "pre_", np.zeros_like(arm))
        if before is not None and np.ptp(before) > 0:
            adjusted, ratio = cuped(values, before, arm)
            estimate = _estimate(adjusted, arm, config.alpha)
            found.append(Result(metric, f"{method} + CUPED", "other", estimate, variance_ratio=ratio))
    role: Role = "goal" if metric in config.goals else "guardrail" if metric in config.guardrails else "other"
    return [*found[:-1], replace(found[-1], role=role)]


def _values(users: pd.DataFrame, goal: Goal, prefix: str, group: Ints) -> Floats | None:
    """(n,) per-user values, a ratio linearised within each group; None where a group's denominator is 0."""
    numerator = users[prefix + goal.numerator].to_numpy(np.float64)
    if goal.denominator is None:
        return numerator
    denominator = users[prefix + goal.denominator].to_numpy(np.float64)
    values = np.empty_like(numerator)
    for side in np.unique(group):
        mine = group == side
        if denominator[mine].sum() == 0:
            return None
        values[mine] = linearise(numerator[mine], denominator[mine])
    return values


def _estimate(values: Floats, arm: Ints, alpha: float) -> Estimate:
    return welch(Moments.of(values[arm == 0]), Moments.of(values[arm == 1]), alpha=alpha)


def _adjusted(results: list[Result]) -> tuple[Result, ...]:
    goals = [r for r in results if r.role == "goal"]
    adjusted = (
        dict(zip((r.metric for r in goals), holm([r.estimate.p_value for r in goals]), strict=True))
        if goals
        else {}
    )
    return tuple(replace(r, adjusted_p_value=adjusted[r.metric]) if r.role == "goal" else r for r in results)


def _smallest_effect(users: pd.DataFrame, arm: Ints, goal: Result, config: ABConfig) -> float | None:
    values = _values(users, GOALS[goal.metric], "", arm)
    assert values is not None
    control, n_treatment = Moments.of(values[arm == 0]), int((arm == 1).sum())
    return minimum_detectable_effect(
        control, n_treatment, alpha=config.alpha, power=POWER, variance_ratio=goal.variance_ratio
    )


def _segment(users: pd.DataFrame, name: str, config: ABConfig) -> list[dict[str, Any]]:
    """The first goal within each level, levels too small for an effect included, with None."""
    rows = []
    for level, part in users.groupby(name, sort=True, dropna=False, observed=True):
        arm = part["arm"].to_numpy(np.int64)
        found = _metric(part, arm, config.goals[0], config) if min(np.bincount(arm, minlength=2)) >= 2 else []
        e = found[-1].estimate if found else None
        ends = (None, None, None) if e is None else (e.relative, e.relative_low, e.relative_high)
        label = "unknown" if pd.isna(level) else str(level)
        rows.append(
            {"segment": name, "level": label, "n": len(part)}
            | dict(zip(("relative", "low", "high"), ends, strict=True))
        )
    return rows
