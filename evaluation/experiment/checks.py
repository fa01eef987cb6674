"""The health checks that a user-level table must pass before its effects are read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.experiment.health import balance, exposure, sample_ratio, sequential_sample_ratio
from evaluation.experiment.plan import Plan
from evaluation.experiment.split import Split
from evaluation.experiment.user_table import UserTable
from recsys.errors import DataError

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Check:
    """One health check.

    Attributes:
        name: What was checked.
        p_value: Of a statistical check; None for a count.
        problem: What is wrong, in words; "" where nothing is.
    """

    name: str
    p_value: float | None = None
    problem: str = ""


def check_columns(users: pd.DataFrame, plan: Plan) -> list[str]:
    """The columns of numbers that are there and needed.

    Raises:
        DataError: A goal's or guardrail's column is missing, an arm is neither 0 nor 1, or a column is no number.
    """
    decisive = {c: None for metric in (*plan.goals.values(), *plan.guardrails.values()) for c in metric.columns}
    log = plan.log
    labels = [*log.segments, *([] if log.strata is None else [log.strata]), *(["cluster"] if plan.clustered else [])]
    numbers = [*log.tastes, *log.covariates]
    missing = [c for c in ("arm", *decisive, *labels, *numbers) if c not in users.columns]
    if missing:
        raise DataError(f"the user table misses {', '.join(missing)}; it has {', '.join(map(str, users.columns))}")
    wrong = users["arm"][~users["arm"].isin((0, 1))]
    if len(wrong):
        raise DataError(
            f"column 'arm' must hold 0 (control) or 1 (treatment), got {wrong.iloc[0]!r} in {len(wrong)} rows"
        )
    named = dict.fromkeys(c for metric in plan.metrics.values() for c in metric.columns)
    names = [c for name in named for c in (name, f"pre_{name}", f"late_{name}") if c in users.columns]
    for name in (*names, *numbers):
        if not pd.api.types.is_numeric_dtype(users[name]):
            raise DataError(f"column {name!r} must be numbers, got {users[name].dtype}; convert it, missing as NaN")
    _check_denominators(users, plan)
    return names


def health(users: pd.DataFrame, table: UserTable, plan: Plan, complete: Bools) -> tuple[Check, ...]:
    """Every check that the table allows.

    Args:
        users: As of `analyze`.
        table: Its numbers and its split.
        plan: Planned split, and the threshold below which a p-value is a problem.
        complete: (n,) users with all outcomes.
    """
    if users.empty:
        return (Check("users", problem="no users in either arm"),)
    arm = table.split.arm
    found = [_split(table.split, plan), *_over_time(users, arm, plan), *_outcomes(users, plan, complete)]
    if "exposed" in users and not plan.clustered:
        exposed = users["exposed"].to_numpy(np.float64, na_value=0) > 0
        shares = [f"{exposed[arm == side].mean():.1%}" if (arm == side).any() else "none" for side in (0, 1)]
        words = f"exposure differs: {shares[0]} of control and {shares[1]} of treatment were exposed"
        found.append(_tested("exposure", exposure(exposed, arm), words, plan))
    return (*found, *_past(table, plan))


def _split(split: Split, plan: Plan) -> Check:
    control, treatment = split.counts
    p, came = sample_ratio((control, treatment), plan.allocation), treatment / (control + treatment)
    words = f"sample ratio mismatch: {plan.allocation:.0%} in treatment were planned, {came:.1%} came"
    return _tested("sample ratio", p, words, plan)


def _over_time(users: pd.DataFrame, arm: npt.NDArray[np.int64], plan: Plan) -> Iterator[Check]:
    """The split at the end of every day, by a test that may be looked at every day."""
    if plan.clustered or "first" not in users or users["first"].isna().all():
        return
    day = pd.to_datetime(users["first"]).dt.floor("D")
    came = pd.crosstab(day, arm).reindex(columns=[0, 1], fill_value=0).sort_index().to_numpy()
    p = sequential_sample_ratio(came.cumsum(axis=0), plan.allocation)
    words = f"the split left its plan on day {int(np.argmax(p < plan.srm_alpha)) + 1} of {len(p)} (sequential check)"
    yield _tested("sample ratio over time", float(p[-1]), words, plan)


def _outcomes(users: pd.DataFrame, plan: Plan, complete: Bools) -> Iterator[Check]:
    missing = int((~complete).sum())
    words = f"outcomes are missing or infinite for {missing} of {len(users)} users"
    yield Check("outcomes", problem=words if missing else "")
    if "unit" in users:
        twice = int(users.duplicated(["unit", "cluster"] if plan.clustered else ["unit"]).sum())
        words = f"{twice} rows repeat a user; the table must hold one row a user"
        yield Check("one row a user", problem=words if twice else "")


def _past(table: UserTable, plan: Plan) -> Iterator[Check]:
    for name, values in table.columns.items():
        if not name.startswith("pre_") or not table.split.among(np.isfinite(values)).usable:
            continue
        apart, p = balance(values, table.split)
        words = f"the arms differed before the test: {name} by {apart:+.2f} standard deviations"
        yield _tested(f"balance of {name}", p, words, plan)


def _tested(name: str, p: float, words: str, plan: Plan) -> Check:
    bad = p < plan.srm_alpha
    return Check(name, p, f"{words} (p = {p:.2g} < {plan.srm_alpha:g})" if bad else "")


def _check_denominators(users: pd.DataFrame, plan: Plan) -> None:
    """What is divided by is a count or an amount."""
    for metric in plan.metrics.values():
        for name in () if metric.denominator is None else (metric.denominator, f"pre_{metric.denominator}"):
            if name in users and (users[name] < 0).any():
                raise DataError(f"column {name!r} must be >= 0, got {users[name].min()}; counts are never negative")
