"""Reading a user-randomised test from its user-level table, real or simulated: health, then metrics."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.experiment.bayes import Posterior, posterior
from evaluation.experiment.checks import Check, check_columns, health
from evaluation.experiment.effects import by_half, by_label, by_number
from evaluation.experiment.looking import LOOKS, Reading, any_time
from evaluation.experiment.plan import Plan
from evaluation.experiment.power import minimum_detectable_effect
from evaluation.experiment.rows import metric_rows
from evaluation.experiment.user_table import UserTable
from evaluation.experiment.values import Columns, user_values
from evaluation.inference import Estimate
from evaluation.multiplicity import ADJUSTMENTS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Role = Literal["goal", "guardrail", "other"]
POWER = 0.8
"""Of the minimum detectable effect."""


@dataclass(frozen=True)
class Result:
    """One metric by one method.

    Attributes:
        metric: A name of the plan.
        method: Welch or delta method; what noise it takes out, such as CUPED; bootstrap where that gave the interval.
        role: goal and guardrail mark the rows that the decision reads; each metric has one at most.
        estimate: The effect, and its interval for a single look.
        reading: What the plan's way of looking makes of it; the decision reads this.
        anytime: What may be concluded at any time, whatever was planned.
        belief: Posterior of the relative effect; None where control's mean is 0.
        adjusted_p_value: Over the goals, from the reading's; None for other rows.
        variance_ratio: What CUPED, CUPAC or strata left of the variance; 1 without.
    """

    metric: str
    method: str
    role: Role
    estimate: Estimate
    reading: Reading
    anytime: Reading
    belief: Posterior | None
    adjusted_p_value: float | None = None
    variance_ratio: float = 1.0

    @classmethod
    def of(cls, metric: str, method: str, estimate: Estimate, plan: Plan, *, role: Role = "other") -> Result:
        """From an estimate, read as the plan says."""
        relative, error = estimate.relative, estimate.relative_standard_error
        belief = None
        if relative is not None and error is not None:
            belief = posterior(relative, error, prior_sd=plan.prior_sd, alpha=plan.alpha)
        return cls(metric, method, role, estimate, LOOKS[plan.looks](estimate, plan), any_time(estimate, plan), belief)

    def to_json(self) -> dict[str, Any]:
        """As a flat row."""
        about = {"metric": self.metric, "method": self.method, "role": self.role, "is_goal": self.role == "goal"}
        told = {f"anytime_{key}": value for key, value in vars(self.anytime).items()}
        told |= {f"looked_{key}": value for key, value in vars(self.reading).items()}
        told |= {f"posterior_{key}": value for key, value in ({} if self.belief is None else vars(self.belief)).items()}
        told |= {"adjusted_p_value": self.adjusted_p_value, "variance_ratio": self.variance_ratio}
        return about | vars(self.estimate) | told


@dataclass(frozen=True)
class Analysis:
    """What a log says.

    Attributes:
        results: Every metric by every method.
        counts: Users in control and treatment, those with missing outcomes included; clusters, where these were
            randomised.
        srm_p_value: Sample ratio test; None without users.
        segments: segment, level, n, relative, low, high of the first goal: exploratory, not adjusted.
        problems: Health checks that failed, in words; none may stand before the effects are read.
        minimum_detectable: Relative effect on the first goal that this many users show with ``POWER``.
        checks: Every health check, failed or not.
        tastes: taste, per_sd, low, high, p_value: how the first goal's effect grows with a number; exploratory.
        halves: The first goal's effect in the test's first and second half, and whether they differ; exploratory.
        days: day, n, relative, low, high of the first goal; exploratory.
        sequence: What `evaluation.experiment.sequence.sequence` says of the first goal, where it was asked.
    """

    results: tuple[Result, ...]
    counts: tuple[int, int]
    srm_p_value: float | None
    segments: tuple[dict[str, Any], ...]
    problems: tuple[str, ...]
    minimum_detectable: float | None
    checks: tuple[Check, ...] = ()
    tastes: tuple[dict[str, Any], ...] = ()
    halves: dict[str, Any] | None = None
    days: tuple[dict[str, Any], ...] = ()
    sequence: tuple[dict[str, Any], ...] = ()

    def deciding(self, role: Role) -> tuple[Result, ...]:
        """The rows that the decision reads as goals or guardrails."""
        return tuple(r for r in self.results if r.role == role)

    def to_json(self) -> dict[str, Any]:
        """Everything but the results, plain."""
        return {
            "segments": [dict(row) for row in self.segments],
            "tastes": [dict(row) for row in self.tastes],
            "halves": self.halves,
            "days": [dict(row) for row in self.days],
            "sequence": self._sequence(),
            "problems": list(self.problems),
            "checks": [asdict(check) for check in self.checks],
        }

    def _sequence(self) -> dict[str, Any]:
        """Empty where it was not asked for."""
        goal = next((r.metric for r in self.results if r.role == "goal"), None)
        return {"metric": goal, "rows": [dict(row) for row in self.sequence]} if self.sequence else {}


def analyze(users: pd.DataFrame, plan: Plan, *, problems: tuple[str, ...] = ()) -> Analysis:
    """Every metric whose columns are there; with CUPED too where a period before the test was logged.

    Users with a missing outcome are left out of the effects and named among the problems. Users without a
    past (NaN in a ``pre_`` column) are kept; CUPED takes them for average ones.

    Args:
        users: One row a user: arm (0 control, 1 treatment) and the columns that the plan's metrics name; optionally
            ``pre_<column>`` of before the test, ``late_<column>`` of its second half, unit to find users counted
            twice, first (a time) and exposed (0 or 1) for health checks; where clusters were randomised, cluster.
            `read_log` makes it of any log.
        plan: What was decided before; of its ``log`` only segments, tastes, covariates and strata are read.
        problems: Found while reading the log; they count as failed health checks.

    Raises:
        DataError: No arm column, an arm other than 0 and 1, a goal's column that is missing, or one that holds no
            numbers.

    Example:
        >>> from evaluation.experiment.metrics import Metric
        >>> log = pd.DataFrame({"arm": [0, 0, 1, 1], "clicks": [1, 3, 4, 6]})
        >>> result = analyze(log, Plan({"clicks_per_user": Metric("clicks")})).results[0]
        >>> result.metric, result.method, result.estimate.absolute, result.estimate.relative
        ('clicks_per_user', 'Welch', 3.0, 1.5)
    """
    names = check_columns(users, plan)
    everyone = {c: users[c].to_numpy(np.float64, na_value=np.nan) for c in names}
    complete = _complete(everyone, len(users))
    whole = UserTable.of(users, everyone, plan)
    checks = health(users, whole, plan, complete)
    table, known = whole.among(complete), users[complete]
    results = [r for name in plan.metrics for r in _metric(table, name, plan)]
    first = next(iter(plan.goals))
    return Analysis(
        results=adjusted(results, plan),
        counts=whole.split.counts,
        srm_p_value=next((c.p_value for c in checks if c.name == "sample ratio"), None),
        segments=tuple(
            row
            for name in plan.log.segments
            for row in by_label(known[name], lambda which: _deciding(table.among(which), first, plan))
        ),
        problems=(*problems, *(c.problem for c in checks if c.problem), *_unanswered(results, table, plan)),
        minimum_detectable=_smallest_effect(table, results, plan),
        checks=checks,
        tastes=tuple(row for name in plan.log.tastes for row in _taste(table, first, plan, known[name])),
        halves=None if plan.clustered else by_half(table.columns, table.split.arm, plan.goals[first], plan.alpha),
    )


def _complete(columns: Columns, n: int) -> npt.NDArray[np.bool_]:
    found = np.ones(n, bool)
    for name, values in columns.items():
        if not name.startswith(("pre_", "late_")):
            found &= np.isfinite(values)
    return found


def _unanswered(results: list[Result], table: UserTable, plan: Plan) -> list[str]:
    if not table.split.usable:
        return [f"an arm has fewer than 2 {'clusters' if plan.clustered else 'users'} with outcomes"]
    found = {r.metric for r in results}
    named = {name: metric.kind for name, metric in {**plan.goals, **plan.guardrails}.items() if name not in found}
    why = {"quantile": "lies among equal values in an arm; take a mean or a proportion"}
    return [f"{name} {why.get(kind, 'has no denominator in an arm')}" for name, kind in named.items()]


def _metric(table: UserTable, name: str, plan: Plan) -> list[Result]:
    """The metric's rows, the last of them the one that decides; none where an arm has too little to tell."""
    rows = metric_rows(table, plan.metrics[name], plan)
    role: Role = "goal" if name in plan.goals else "guardrail" if name in plan.guardrails else "other"
    return [
        replace(
            Result.of(name, row.method, row.estimate, plan, role=role if row is rows[-1] else "other"),
            variance_ratio=row.variance_ratio,
        )
        for row in rows
    ]


def _deciding(table: UserTable, name: str, plan: Plan) -> tuple[float | None, float | None, float | None]:
    """Relative effect and interval among some users."""
    rows = metric_rows(table, plan.metrics[name], plan)
    e = rows[-1].estimate if rows else None
    return (None, None, None) if e is None else (e.relative, e.relative_low, e.relative_high)


def _taste(table: UserTable, name: str, plan: Plan, taste: pd.Series) -> list[dict[str, Any]]:
    arm = table.split.arm
    values = user_values(table.columns, plan.goals[name], arm) if table.split.usable else None
    number = taste.to_numpy(np.float64, na_value=np.nan)
    return [] if values is None else by_number(values, arm, number, name=str(taste.name), alpha=plan.alpha)


def adjusted(results: list[Result], plan: Plan) -> tuple[Result, ...]:
    """With p-values of the goals adjusted for their number, as the plan says."""
    goals = [i for i, r in enumerate(results) if r.role == "goal"]
    p_values = ADJUSTMENTS[plan.adjust]([results[i].reading.p_value for i in goals]).tolist() if goals else []
    found = dict(zip(goals, p_values, strict=True))
    return tuple(replace(r, adjusted_p_value=found.get(i)) for i, r in enumerate(results))


def _smallest_effect(table: UserTable, results: list[Result], plan: Plan) -> float | None:
    goal = next(iter(plan.goals))
    first = next((r for r in results if r.metric == goal and r.role == "goal"), None)
    values = None if first is None else user_values(table.columns, plan.goals[goal], table.split.arm)
    if first is None or values is None:
        return None
    control, treatment = table.split.moments(values)
    left = first.variance_ratio
    return minimum_detectable_effect(control, treatment.n, alpha=plan.alpha, power=POWER, variance_ratio=left)
