"""From numbers to a verdict, with the rule that produced it; and the whole simulated test in one call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
from statsmodels.stats.power import TTestIndPower

from evaluation.analyze import Moments, analyze, sample_ratio, segment_effects
from evaluation.simulate import ABConfig, Arm, Simulation, simulate

SRM_ALPHA = 0.001
GOAL = "clicks_per_user"
GOAL_METHOD = "Welch + CUPED"
ASSUMPTION = (
    "The simulator assumes the effect size of styling; this test validates the analysis and the plan, not the styling. "
    "Only a real test can say whether stylised presentations sell."
)


def decide(results: list[dict[str, Any]], srm_p: float, alpha: float) -> dict[str, Any]:
    """Ship, roll back, keep running, or withheld.

    Example:
        >>> goal = {"metric": GOAL, "method": GOAL_METHOD, "relative": 0.05, "relative_low": 0.02, "relative_high": 0.08, "p_value": 0.001}
        >>> decide([goal], srm_p=0.4, alpha=0.05)["verdict"], decide([goal], srm_p=1e-5, alpha=0.05)["verdict"]
        ('ship', 'withheld')
    """
    goal = next(r for r in results if r["metric"] == GOAL and r["method"] in (GOAL_METHOD, "Welch"))
    goal = next((r for r in results if r["metric"] == GOAL and r["method"] == GOAL_METHOD), goal)
    level = f"{1 - alpha:.0%}"
    if srm_p < SRM_ALPHA:
        rule = f"withheld whenever the arms' sizes do not fit the planned shares (sample ratio p < {SRM_ALPHA})"
        return {"verdict": "withheld", "rule": rule, "because": [f"sample ratio p = {srm_p:.2g}"]}
    if goal["relative"] is None:
        return {"verdict": "withheld", "rule": "withheld when control has no clicks", "because": ["control has no clicks"]}
    because = [
        f"clicks per user {goal['relative']:+.1%}, {level} interval [{goal['relative_low']:+.1%}, {goal['relative_high']:+.1%}]",
        f"sample ratio p = {srm_p:.2g}",
    ]
    if goal["relative_low"] > 0:
        return {"verdict": "ship", "rule": f"ship when the {level} interval of clicks per user lies above 0", "because": because}
    if goal["relative_high"] < 0:
        return {"verdict": "roll back", "rule": f"roll back when the {level} interval of clicks per user lies below 0", "because": because}
    return {"verdict": "keep running", "rule": f"keep running while the {level} interval of clicks per user contains 0", "because": because}


def minimum_detectable(simulation: Simulation, config: ABConfig, variance_ratio: float, power: float = 0.8) -> float | None:
    """The smallest relative effect on clicks per user that this design finds with 80 % power."""
    control = Moments.of(simulation.users.loc[simulation.users["arm"] == 0, "clicks"])
    n1 = int((simulation.users["arm"] == 1).sum())
    if control.mean == 0 or control.variance == 0:
        return None
    size = TTestIndPower().solve_power(nobs1=control.n, ratio=n1 / control.n, alpha=config.alpha, power=power)
    return float(size * np.sqrt(control.variance * variance_ratio) / control.mean)


def run_experiment(
    control: Arm,
    treatment: Arm,
    config: ABConfig,
    *,
    unit_segments: Mapping[str, npt.NDArray[Any]] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Simulate, analyse, decide.

    Args:
        control: Shows originals.
        treatment: Shows looks.
        config: Sizes and assumptions.
        unit_segments: Name → (n_users,) label of each study user, for "for whom?".
        seed: Same seed, same test.

    Returns:
        JSON-able: design, truth, results, srm, cuped, segments, assumption, decision.
    """
    simulation = simulate(control, treatment, config, seed=seed)
    users = simulation.users
    results, variance_ratio = analyze(users, alpha=config.alpha)
    for row in results:
        truth = simulation.truth[row["metric"]]
        row |= {"is_goal": row["metric"] == GOAL and row["method"] == GOAL_METHOD, "truth": truth["absolute"], "covers_truth": bool(row["low"] <= truth["absolute"] <= row["high"])}
    counts = (int((users["arm"] == 0).sum()), int((users["arm"] == 1).sum()))
    srm_p = sample_ratio(counts, config.allocation)
    segments = []
    for name, labels in (unit_segments or {}).items():
        segments += segment_effects(users.assign(**{name: labels[users["user_idx"].to_numpy()]}), name, alpha=config.alpha)
    design = asdict(config) | {"arms": [control.name, treatment.name], "units": len(users), "seed": seed}
    design |= {"minimum_detectable_effect": minimum_detectable(simulation, config, variance_ratio)}
    return {
        "design": design,
        "truth": {k: dict(v) for k, v in simulation.truth.items()},
        "results": results,
        "srm": {"counts": list(counts), "p_value": srm_p, "ok": srm_p >= SRM_ALPHA},
        "cuped": {"variance_ratio": variance_ratio},
        "segments": segments,
        "assumption": ASSUMPTION,
        "decision": decide(results, srm_p, config.alpha),
    }
