"""One estimate, three ways of looking: once, at any time, or at a few planned times."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evaluation.experiment.group_sequential import boundaries, group_p_value, looks_so_far
from evaluation.experiment.plan import Plan
from evaluation.experiment.sequential import anytime_p_value, anytime_reach
from evaluation.inference import Estimate

TUNED_FOR = 10_000
"""Users at which the interval that holds at any time is narrowest, where none were planned."""


@dataclass(frozen=True)
class Reading:
    """What may be concluded when a test is looked at so.

    Attributes:
        p_value: Two-sided; at most alpha exactly when the interval of the difference excludes 0.
        low: Lower end of the relative effect's interval; None where control's mean is 0.
        high: Its upper end.
    """

    p_value: float
    low: float | None
    high: float | None


def came(n_control: int, n_treatment: int, plan: Plan) -> int:
    """Units so far, as ``users`` of the plan counts them: in an interleaved test everybody is in both arms."""
    return n_control if plan.design == "interleaving" else n_control + n_treatment


def once(e: Estimate, plan: Plan) -> Reading:
    """Valid for one look, at a size chosen before.

    Example:
        >>> from evaluation.experiment.metrics import GOALS
        >>> from evaluation.inference import Moments, welch
        >>> e = welch(Moments(5000, 1.0, 1.0), Moments(5000, 1.05, 1.0))
        >>> plan = Plan(GOALS, users=20_000)
        >>> [round(look(e, plan).p_value, 3) for look in (once, any_time, at_planned_looks)]
        [0.012, 0.184, 0.106]
    """
    return Reading(e.p_value, e.relative_low, e.relative_high)


def any_time(e: Estimate, plan: Plan) -> Reading:
    """Valid at every look, however many: an asymptotic confidence sequence."""
    n, tuned_for = came(e.n_control, e.n_treatment, plan), plan.users or TUNED_FOR
    p = float(anytime_p_value(z_of(e), n, alpha=plan.alpha, tuned_for=tuned_for))
    return around(e, p, float(anytime_reach(n, alpha=plan.alpha, tuned_for=tuned_for)))


def at_planned_looks(e: Estimate, plan: Plan) -> Reading:
    """Valid at the planned shares of the planned users (group sequential); the planned look nearest to now is this."""
    shares = looks_so_far(plan.shares, came(e.n_control, e.n_treatment, plan) / (plan.users or 1))
    bound = boundaries(shares, alpha=plan.alpha, spending=plan.spending)[-1]
    return around(e, group_p_value(z_of(e), shares, spending=plan.spending), float(bound))


LOOKS: dict[str, Callable[[Estimate, Plan], Reading]] = {
    "once": once,
    "any time": any_time,
    "planned": at_planned_looks,
}
"""By the plan's ``looks``."""


def z_of(e: Estimate) -> float:
    """Effect over its standard error; without an error a difference is certain."""
    if e.standard_error == 0:
        return 0.0 if e.absolute == 0 else float(np.copysign(np.inf, e.absolute))
    return e.absolute / e.standard_error


def around(e: Estimate, p: float, reach: float) -> Reading:
    """The relative effect's interval of ``reach`` standard errors to either side."""
    if e.relative is None or e.relative_standard_error is None:
        return Reading(p, None, None)
    half = reach * e.relative_standard_error
    return Reading(p, e.relative - half, e.relative + half)
