"""The simulated test again and again: what may be concluded as users come, and how far to trust the analysis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import ndtr, ndtri
from scipy.stats import binomtest, t

from evaluation.experiment.analyze import Result, analyze
from evaluation.experiment.plan import Plan
from evaluation.experiment.sequence import sequence
from evaluation.simulate import ABConfig, Arm, simulate
from recsys.config import to_mapping
from recsys.files import write_json
from recsys.models.artifacts import load_model
from study.exposure import has_looks
from study.learning import dataset_of
from study.run import Stage, Study, Work
from study.stages.experiment import chosen_model, make_arms
from study.taste import look_taste

Floats = npt.NDArray[np.float64]
REPEATS, TIMES = 60, (0.0, 0.5, 1.0, 1.5)
"""Tests a row, and the assumed effect in multiples of the study's."""
CUSTOMERS = 4_000_000
"""Simulated in all, about: large tests are repeated less often."""
LEAST = 12
CURVE = 41
"""Points of the power curve."""


def rehearsals(study: Study) -> dict[str, Any]:
    """The table ``rehearsal`` of ``metrics.json``; empty where the study has no looks to test."""
    if not has_looks(study):
        return {}
    config, taste = study.config.ab, look_taste(study, dataset_of(study))
    model = load_model(study.folder / "models" / chosen_model(study))
    arms = make_arms(model, taste, config)
    users, plan = simulate(*arms, config, seed=study.config.seed).users, config.plan()
    n = int(np.clip(CUSTOMERS // (len(TIMES) * config.users), LEAST, REPEATS))
    rows = []
    for i, times in enumerate(TIMES):
        assumed = replace(config, style_effect=times * config.style_effect)
        nothing = arms[0], replace(arms[0], name=arms[1].name)  # both arms show the originals
        pair = make_arms(model, taste, assumed) if times else nothing
        rows.append({"times": times} | repeat(*pair, assumed, n, seed=study.config.seed + i))
    goal = next(iter(plan.goals))
    error = next((r["error"] for r in rows if r["times"] == 1 and r["error"]), None)
    furthest = max((abs(r["true"]) for r in rows if r["true"] is not None), default=0.0)
    curve = [] if error is None or not furthest else power_curve(error, 1.1 * furthest, plan.alpha)
    about = {"metric": goal, "n": n, "users": config.users, "rows": rows, "curve": curve}
    return {"sequence": {"metric": goal, "rows": sequence(users, plan)}, "repeats": about}


def repeat(control: Arm, treatment: Arm, config: ABConfig, n: int, *, seed: int) -> dict[str, Any]:
    """How far off the estimates of ``n`` tests are, how often intervals hold the truth, how often an effect is found.

    Each comes with a 95% Monte-Carlo interval: Student's t for the mean, Clopper and Pearson's for shares.

    Args:
        control: Shows originals.
        treatment: Shows looks.
        config: Of the simulation.
        n: Tests.
        seed: The tests' seeds follow from it.

    Returns:
        true (mean relative effect), bias (of the relative effect), coverage, found, each with _low and _high, and
        error, the mean standard error of the difference over control's mean; all None where the goal's control is 0.
    """
    plan = config.plan()
    goal = next(iter(plan.goals))
    gaps, trues, covered, found, errors = [], [], [], [], []
    for one in np.random.SeedSequence(seed).generate_state(n):
        run = simulate(control, treatment, config, seed=int(one))
        result, true = _goal(run.users, plan), run.truth.get(goal, {})
        relative, absolute = true.get("relative"), true.get("absolute")
        if result is None or result.estimate.relative is None or relative is None or absolute is None:
            continue
        e = result.estimate
        gaps.append(result.estimate.relative - relative)
        trues.append(relative)
        covered.append(e.low <= absolute <= e.high)
        found.append(e.p_value <= plan.alpha)
        errors.append(e.standard_error / abs(e.control))  # the test is of the difference
    if len(gaps) < 2:
        return dict.fromkeys(("true", "bias", "coverage", "found", "error"))
    told = {"true": float(np.mean(trues)), "error": float(np.mean(errors))}
    return told | _mean("bias", gaps) | _share("coverage", covered) | _share("found", found)


def power_curve(error: float, furthest: float, alpha: float) -> list[list[float]]:
    """[relative effect, chance to find it] of a two-sided z-test whose estimate has this standard error.

    Example:
        >>> [[round(x, 2) for x in point] for point in power_curve(0.01, 0.028, 0.05)[::40]]
        [[0.0, 0.05], [0.03, 0.8]]
    """
    x = np.linspace(0, furthest, CURVE)
    z = ndtri(1 - alpha / 2)
    power = ndtr(x / error - z) + ndtr(-x / error - z)
    return [[float(effect), float(chance)] for effect, chance in zip(x, power, strict=True)]


def _goal(users: pd.DataFrame, plan: Plan) -> Result | None:
    found = analyze(users, plan).deciding("goal")
    return found[0] if found else None


def _mean(name: str, values: Sequence[float]) -> dict[str, float]:
    x = np.asarray(values)
    reach = float(t.ppf(0.975, len(x) - 1) * x.std(ddof=1) / np.sqrt(len(x)))
    return {name: float(x.mean()), f"{name}_low": float(x.mean() - reach), f"{name}_high": float(x.mean() + reach)}


def _share(name: str, hits: Sequence[bool]) -> dict[str, float]:
    ends = binomtest(int(sum(hits)), len(hits)).proportion_ci(method="exact")
    return {name: float(np.mean(hits)), f"{name}_low": float(ends.low), f"{name}_high": float(ends.high)}


def _work(study: Study) -> Work:
    found = rehearsals(study)
    write_json(study.folder / "rehearsal.json", found)
    return Work(found["repeats"]["n"] * len(TIMES) if found else 0, "tests")


def _inputs(study: Study) -> Any:
    return {"ab": to_mapping(study.config.ab), "seed": study.config.seed}


REHEARSAL = Stage("rehearsals", ("ingest", "features", "fit"), _inputs, _work, ("rehearsal.json",))
