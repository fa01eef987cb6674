"""How big and how long a test must be: from a mean and its spread, or from a log of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluation.experiment.covariates import cuped
from evaluation.experiment.plan import Plan
from evaluation.experiment.power import group_inflation, users_for_mean, weeks
from evaluation.experiment.reading import read_history
from evaluation.experiment.resplit import resplit
from evaluation.experiment.values import covariate, user_values
from recsys.errors import ConfigError, DataError

SPLITS = 2000
"""Re-splits of a log for its power: known to 1 %."""


@dataclass(frozen=True)
class Wish:
    """What a test is to find.

    Attributes:
        effects: Relative ones, other than 0.
        power: Chance to find them, in (0, 1).
        alpha: Significance level, two-sided.
        allocation: Share of users in treatment.
        looks: Evenly spaced looks, >= 1; more than one is group sequential.
        spending: How looks share alpha.
        users_per_week: New users a week; None where unknown.
    """

    effects: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1)
    power: float = 0.8
    alpha: float = 0.05
    allocation: float = 0.5
    looks: int = 1
    spending: str = "obrien-fleming"
    users_per_week: float | None = None

    def __post_init__(self) -> None:
        for name in ("power", "alpha", "allocation"):
            if not 0 < getattr(self, name) < 1:
                raise ConfigError(f"{name} must be between 0 and 1, both excluded, got {getattr(self, name)}")
        if self.looks < 1 or not self.effects or not all(np.isfinite(e) and e != 0 for e in self.effects):
            raise ConfigError(f"looks must be >= 1 and effects other than 0, got {self.looks} and {self.effects}")


def sizes(mean: float, sd: float, wish: Wish) -> list[dict[str, Any]]:
    """Users, and weeks, that each effect on a mean takes.

    Args:
        mean: Of control, not 0.
        sd: Standard deviation over users, in both arms.
        wish: What is to be found.

    Example:
        >>> sizes(2.0, 2.0, Wish(effects=(0.05,), users_per_week=5000))
        [{'effect': 0.05, 'users': 12559, 'control': 6280, 'treatment': 6279, 'weeks': 3}]
    """
    more = _more(wish)
    return [_row(effect, mean, sd, sd, more, wish) for effect in wish.effects]


def sizes_of_rate(rate: float, wish: Wish) -> list[dict[str, Any]]:
    """The same for a proportion of users, each arm with its own spread √(p (1 - p)).

    Raises:
        ConfigError: A proportion outside (0, 1), in control or after an effect.

    Example:
        >>> sizes_of_rate(0.1, Wish(effects=(0.02,)))
        [{'effect': 0.02, 'users': 712663, 'control': 356332, 'treatment': 356331}]
    """
    after = [rate * (1 + effect) for effect in wish.effects]
    if not all(0 < p < 1 for p in (rate, *after)):
        raise ConfigError(f"proportions must lie in (0, 1), got {rate} and with the effects {after}")
    spread, more = float(np.sqrt(rate * (1 - rate))), _more(wish)
    pairs = zip(wish.effects, after, strict=True)
    return [_row(effect, rate, spread, float(np.sqrt(p * (1 - p))), more, wish) for effect, p in pairs]


def _more(wish: Wish) -> float:
    shares = tuple(float(s) for s in np.arange(1, wish.looks + 1) / wish.looks)
    if wish.looks == 1:
        return 1.0
    return group_inflation(shares, alpha=wish.alpha, power=wish.power, spending=wish.spending)


def _row(effect: float, mean: float, sd: float, treatment_sd: float, more: float, wish: Wish) -> dict[str, Any]:
    # The one spread in both arms that gives the difference the variance of the two: sd² / n₀ + treatment_sd² / n₁.
    spread = np.sqrt(wish.allocation * sd**2 + (1 - wish.allocation) * treatment_sd**2)
    alone = users_for_mean(effect, mean, float(spread), alpha=wish.alpha, power=wish.power, allocation=wish.allocation)
    users = int(np.ceil(alone * more))
    treatment = int(users * wish.allocation)
    row: dict[str, Any] = {"effect": effect, "users": users, "control": users - treatment, "treatment": treatment}
    return row if wish.users_per_week is None else row | {"weeks": weeks(users, wish.users_per_week)}


def sizes_from_log(source: str | Path | pd.DataFrame, plan: Plan, wish: Wish, *, seed: int = 0) -> list[dict[str, Any]]:
    """The same for every goal of a plan, with the mean, spread and CUPED of a log of one's own.

    The log's users are also split again and again: ``power_of_log`` is how often a test of that very size finds the
    effect, and the row of effect 0 how often it alarms without one.

    Args:
        source: As of `read_log`; it needs no arms.
        plan: Names the goals and the columns; a ``start`` makes what is before it the past, for CUPED.
        wish: What is to be found.
        seed: Of the splits.

    Raises:
        DataError: A goal whose mean is 0, or that does not vary.
        ConfigError: A plan that randomises something other than users.
    """
    if plan.design not in ("user", "multi-arm"):
        raise ConfigError(f"sizes from a log are those of randomised users, got design {plan.design!r}; rehearse it")
    users = read_history(source, plan)
    return [row for name in plan.goals for row in _of_goal(users, name, plan, wish, seed)]


def _of_goal(users: pd.DataFrame, name: str, plan: Plan, wish: Wish, seed: int) -> Iterator[dict[str, Any]]:
    metric = plan.goals[name]
    names = [c for column in metric.columns for c in (column, f"pre_{column}") if c in users]
    columns = {c: users[c].to_numpy(np.float64, na_value=np.nan) for c in names}
    complete = np.logical_and.reduce([np.isfinite(columns[c]) for c in metric.columns])
    columns = {c: v[complete] for c, v in columns.items()}
    values = user_values(columns, metric, np.zeros(int(complete.sum()), np.int64))
    if values is None or len(values) < 4 or np.ptp(values) == 0 or values.mean() == 0:
        raise DataError(
            f"goal {name!r} has no spread or a mean of 0 over {int(complete.sum())} users; plan another goal"
        )
    before = covariate(columns, metric)
    values, left = (values, 1.0) if before is None else cuped(values, before)
    mean, sd = float(values.mean()), float(values.std(ddof=1))
    about = {"goal": name, "mean": mean, "sd": sd, "variance_left": left}
    rows: Sequence[dict[str, Any]] = [{"effect": 0.0}, *sizes(mean, sd, wish)]
    for row in rows:
        found = resplit(values, n=SPLITS, allocation=wish.allocation, effect=row["effect"], seed=seed)
        yield about | row | {"users_of_log": len(values), "power_of_log": found.rate(wish.alpha)}
