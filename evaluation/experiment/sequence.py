"""What could have been concluded as users came: the first goal's effect at growing sizes of a test."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from evaluation.experiment.analyze import Result, analyze
from evaluation.experiment.plan import Plan

LOOKS, FEWEST = 20, 50
"""At how many sizes the test is looked at, and from how many users on."""


def sequence(users: pd.DataFrame, plan: Plan) -> list[dict[str, Any]]:
    """The first goal's effect at up to `LOOKS` sizes, users in the table's order.

    Each user counts with all that they did until the end, so this is how certainty grew with users, not a
    replay of what a dashboard showed on a day.

    Args:
        users: As of `analyze`, in the order in which users came.
        plan: Of the test.

    Returns:
        Rows of n, relative, low and high (true at every look), once_low and once_high (true at a single one).

    Example:
        >>> from evaluation.experiment.metrics import Metric
        >>> rng = np.random.default_rng(0)
        >>> table = pd.DataFrame({"arm": np.arange(400) % 2, "clicks": rng.poisson(2, 400)})
        >>> rows = sequence(table, Plan({"clicks": Metric("clicks")}))
        >>> [row["n"] for row in rows][:3], all(row["low"] < row["once_low"] for row in rows)
        ([50, 68, 86], True)
    """
    name, metric = next(iter(plan.goals.items()))
    alone = replace(plan, goals={name: metric}, guardrails={}, others={}, log=replace(plan.log, segments=(), tastes=()))
    # Health is checked once, of the whole test.
    plain = users.drop(columns=["unit", "first", "exposed"], errors="ignore")
    sizes = np.unique(np.linspace(max(FEWEST, len(users) / LOOKS), len(users), LOOKS).astype(int))
    rows = []
    for n in (int(size) for size in sizes if size <= len(users)):
        found = _goal(plain.iloc[:n], alone)
        if found is not None and found.anytime.low is not None:
            e = found.estimate
            row = {"n": n, "relative": e.relative, "low": found.anytime.low, "high": found.anytime.high}
            rows.append(row | {"once_low": e.relative_low, "once_high": e.relative_high})
    return rows


def _goal(users: pd.DataFrame, plan: Plan) -> Result | None:
    found = analyze(users, plan).deciding("goal")
    return found[0] if found else None
