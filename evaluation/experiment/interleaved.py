"""Reading an interleaved test: every user is in both arms, so arms are compared within users."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from evaluation.experiment.analyze import Analysis, Result, Role, adjusted
from evaluation.experiment.checks import Check
from evaluation.experiment.health import sample_ratio
from evaluation.experiment.plan import Plan
from evaluation.experiment.reading import read_teams
from evaluation.experiment.values import Columns, user_values
from evaluation.inference import paired
from recsys.errors import DataError

Floats = npt.NDArray[np.float64]


def analyze_interleaved(source: str | Path | pd.DataFrame, plan: Plan) -> Analysis:
    """Every metric's difference between what a user did with the treatment's picks and with the control's.

    Args:
        source: Log of rows, whose column ``arm`` names the team that picked the row's item.
        plan: Of ``design = "interleaving"``.

    Raises:
        DataError: As of `read_log`; or fewer than two users.
    """
    everyone = read_teams(source, plan)
    known = everyone.drop(columns="unit").notna().all(axis=1)
    teams, lost = everyone[known], int((~known).sum())
    if len(teams) < 2:
        raise DataError(f"an interleaved test needs at least 2 users with outcomes, got {len(teams)}")
    sides = [_columns(teams, side) for side in (0, 1)]
    results = [r for name in plan.metrics for r in _metric(sides, name, plan)]
    rows = [int(teams[f"rows_{side}"].sum()) for side in (0, 1)]
    p = sample_ratio((rows[0], rows[1]), plan.allocation)
    words = f"teams picked {rows[0]} and {rows[1]} products; drafts are even (p = {p:.2g} < {plan.srm_alpha:g})"
    holes = f"outcomes are missing or infinite for {lost} of {len(everyone)} users"
    checks = (
        Check("picks of the teams", p, words if p < plan.srm_alpha else ""),
        Check("outcomes", problem=holes if lost else ""),
    )
    lacking = [name for name in (*plan.goals, *plan.guardrails) if name not in {r.metric for r in results}]
    return Analysis(
        results=adjusted(results, plan),
        counts=(len(everyone), len(everyone)),
        srm_p_value=p,
        segments=(),
        problems=(*(c.problem for c in checks if c.problem), *(f"{name} has no denominator" for name in lacking)),
        minimum_detectable=None,
        checks=checks,
    )


def _columns(teams: pd.DataFrame, side: int) -> Columns:
    suffix = f"_{side}"
    return {c.removesuffix(suffix): teams[c].to_numpy(np.float64) for c in teams.columns if c.endswith(suffix)}


def _metric(sides: list[Columns], name: str, plan: Plan) -> list[Result]:
    metric = plan.metrics[name]
    if not all(c in side for side in sides for c in metric.columns):
        return []
    group = np.zeros(len(next(iter(sides[0].values()))), np.int64)
    values = [user_values(side, metric, group) for side in sides]
    if values[0] is None or values[1] is None:
        return []
    estimate = paired(values[0], values[1], alpha=plan.alpha)
    role: Role = "goal" if name in plan.goals else "guardrail" if name in plan.guardrails else "other"
    return [Result.of(name, "within users", estimate, plan, role=role)]
