"""Reading a test of several treatments: each against control, adjusted together, and which one to ship."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from evaluation.experiment.analyze import Result
from evaluation.experiment.decision import Decision, Experiment, Verdict, analyze_log, decide
from evaluation.experiment.dunnett import dunnett_p_values, dunnett_reach
from evaluation.experiment.looking import LOOKS, Reading, around, z_of
from evaluation.experiment.plan import Plan
from evaluation.multiplicity import ADJUSTMENTS
from recsys.errors import ConfigError

RULE = (
    "of the treatments that may ship, the one that gains most on {goal} ships; "
    "p-values and intervals of goals are adjusted for {m} comparisons ({adjust}). {pair}"
)


@dataclass(frozen=True, eq=False)
class ManyArms:
    """A test of several treatments.

    Attributes:
        arms: Label of each treatment → its comparison with control, goals adjusted over all of them.
        decision: Over all; ``because`` names the arm that ships.
        ships: Its label; None where none does.
    """

    arms: Mapping[str, Experiment]
    decision: Decision
    ships: str | None

    def to_json(self) -> dict[str, Any]:
        """Everything, by arm."""
        decision = asdict(self.decision) | {"because": list(self.decision.because), "ships": self.ships}
        return {"arms": {label: arm.to_json() for label, arm in self.arms.items()}, "decision": decision}


def analyze_arms(source: str | Path | pd.DataFrame, plan: Plan) -> ManyArms:
    """A log of a control and several treatments to a verdict.

    Goals of all treatments are adjusted together: by ``holm`` or ``bh``, with intervals at alpha over the number of
    comparisons; or by ``dunnett``, within each goal, times the number of goals. Guardrails are not adjusted.

    Args:
        source: As of `analyze_log`.
        plan: With ``design = "multi-arm"`` and the labels in ``log.treatments``.

    Raises:
        ConfigError: Another design, or Dunnett for a test that is looked at more than once.

    Example:
        >>> from evaluation.experiment.metrics import Metric
        >>> from evaluation.experiment.plan import LogConfig
        >>> rows = pd.DataFrame({"user_id": range(9), "arm": list("aaabbbccc"), "n": [1, 2, 3, 1, 2, 4, 8, 9, 9]})
        >>> log = LogConfig(control="a", treatments=("b", "c"))
        >>> plan = Plan({"orders": Metric("n")}, log=log, design="multi-arm", adjust="dunnett")
        >>> found = analyze_arms(rows, plan)
        >>> found.decision.verdict, found.ships, {label: arm.decision.verdict for label, arm in found.arms.items()}
        ('ship', 'c', {'b': 'keep running', 'c': 'ship'})
    """
    if plan.design != "multi-arm":
        raise ConfigError(f'several treatments need design = "multi-arm", got {plan.design!r}')
    if plan.adjust == "dunnett" and plan.looks != "once":
        raise ConfigError('adjust = "dunnett" is for looks = "once"; take holm')
    labels = [str(label) for label in plan.log.treatments]
    pairs = {label: _pair(plan, label) for label in plan.log.treatments}
    alone = [analyze_log(source, pair) for pair in pairs.values()]
    results = _together([arm.analysis.results for arm in alone], plan)
    arms = {}
    for label, arm, pair, rows in zip(labels, alone, pairs.values(), results, strict=True):
        analysis = replace(arm.analysis, results=rows)
        arms[label] = replace(arm, analysis=analysis, decision=decide(analysis, pair))
    return _concluded(arms, plan)


def _pair(plan: Plan, label: str | int) -> Plan:
    """One treatment against control, as if it were the whole test."""
    share = 1 / (1 + (len(plan.log.treatments) - 1) * plan.allocation)  # of all users, in this pair
    return replace(
        plan,
        design="user",
        log=replace(plan.log, treatment=label, treatments=()),
        users=None if plan.users is None else round(plan.users * share),
        adjust="holm" if plan.adjust == "dunnett" else plan.adjust,
    )


def _together(arms: list[tuple[Result, ...]], plan: Plan) -> list[tuple[Result, ...]]:
    """Goals' p-values and intervals over all arms."""
    at = [(i, j) for i, rows in enumerate(arms) for j, r in enumerate(rows) if r.role == "goal"]
    goals, found = [arms[i][j] for i, j in at], [list(rows) for rows in arms]
    p_values, readings = _dunnett(goals, plan) if plan.adjust == "dunnett" else _stepwise(goals, plan)
    for (i, j), p, reading in zip(at, p_values, readings, strict=True):
        found[i][j] = replace(arms[i][j], adjusted_p_value=p, reading=reading)
    return [tuple(rows) for rows in found]


def _stepwise(goals: list[Result], plan: Plan) -> tuple[list[float], list[Reading]]:
    if not goals:
        return [], []
    p_values = ADJUSTMENTS[plan.adjust]([r.reading.p_value for r in goals]).tolist()
    strict = replace(plan, alpha=plan.alpha / len(goals))
    readings = []
    for r in goals:
        e = r.estimate
        reach = float(stdtrit(max(e.n_control + e.n_treatment - 2, 1), 1 - strict.alpha / 2))
        wide = around(e, r.reading.p_value, reach) if plan.looks == "once" else LOOKS[plan.looks](e, strict)
        readings.append(replace(wide, p_value=r.reading.p_value))
    return p_values, readings


def _dunnett(goals: list[Result], plan: Plan) -> tuple[list[float], list[Reading]]:
    p_values, readings = [1.0] * len(goals), [r.reading for r in goals]
    for name in plan.goals:
        mine = [i for i, r in enumerate(goals) if r.metric == name]
        if not mine:
            continue
        family = [goals[i].estimate for i in mine]
        sizes = [family[0].n_control, *(e.n_treatment for e in family)]
        df = float(max(sum(sizes) - len(sizes), 1))
        told = dunnett_p_values([z_of(e) for e in family], sizes, df) * len(plan.goals)
        reach = dunnett_reach(sizes, df, alpha=plan.alpha / len(plan.goals))
        for i, p in zip(mine, np.minimum(told, 1.0), strict=True):
            p_values[i], readings[i] = float(p), around(goals[i].estimate, goals[i].reading.p_value, reach)
    return p_values, readings


def _concluded(arms: dict[str, Experiment], plan: Plan) -> ManyArms:
    verdicts = {label: arm.decision.verdict for label, arm in arms.items()}
    goal = next(iter(plan.goals))
    gains = {label: _gain(arms[label], goal, plan) for label, verdict in verdicts.items() if verdict == "ship"}
    ships = max(gains, key=gains.__getitem__) if gains and "withheld" not in verdicts.values() else None
    verdict: Verdict = "keep running"
    if "withheld" in verdicts.values():
        verdict = "withheld"
    elif ships is not None:
        verdict = "ship"
    elif set(verdicts.values()) == {"roll back"}:
        verdict = "roll back"
    told = [f"{label}: {arm.decision.verdict}; {'; '.join(arm.decision.because[:1])}" for label, arm in arms.items()]
    because = ([f"{ships} gains most"] if ships is not None else []) + told
    pair = next(iter(arms.values())).decision.rule
    m = len(arms) * len(plan.goals)
    words = RULE.format(goal=goal.replace("_", " "), m=m, adjust=plan.adjust, pair=f"Each: {pair}")
    return ManyArms(arms, Decision(verdict, words, tuple(because)), ships)


def _gain(arm: Experiment, goal: str, plan: Plan) -> float:
    e = next(r.estimate for r in arm.analysis.deciding("goal") if r.metric == goal)
    return e.absolute if plan.goals[goal].better == "higher" else -e.absolute
