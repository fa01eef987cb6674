"""The verdict's rule on made-up logs, and the whole test as JSON."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluation.experiment.analyze import Analysis, Result, analyze
from evaluation.experiment.decision import (
    ASSUMPTION,
    Experiment,
    decide,
    read_experiment,
    run_experiment,
    simulate_experiment,
)
from evaluation.experiment.metrics import GOALS
from evaluation.experiment.plan import Plan
from evaluation.inference import Moments, welch
from evaluation.simulate import ABConfig, Arm
from recsys.errors import DataError

PLAN = ABConfig(goals=("clicks_per_user",), guardrails=("sessions_with_click",)).plan()


def result(metric: str, role: Any, effect: float, p: float | None = None) -> Result:
    """An effect in percent of control, with a standard error of 1 %."""
    estimate = welch(Moments(20_000, 100.0, 1e4), Moments(20_000, 100.0 + effect, 1e4))
    found = Result.of(metric, "Welch", estimate, PLAN, role=role)
    return replace(found, adjusted_p_value=estimate.p_value if p is None else p)


def analysis(*results: Result, problems: tuple[str, ...] = ()) -> Analysis:
    return Analysis(results, (20_000, 20_000), 0.5, (), problems, 0.028)


def arms(lift: float, n: int = 90) -> tuple[Arm, Arm]:
    odds = np.random.default_rng(0).normal(-1.5, 0.7, (n, 10)).astype(np.float32)
    items = np.tile(np.arange(10), (n, 1))
    return Arm("original", items, odds), Arm("stylised", items, odds + np.float32(lift))


@pytest.mark.parametrize(
    ("goal", "guardrail", "verdict"),
    [
        (5, 0, "ship"),
        (1, 0, "keep running"),
        (-1, 0, "keep running"),
        (-5, 0, "roll back"),
        (5, -5, "roll back"),  # a gain that breaks a guardrail is no gain
        (0, -5, "roll back"),
        (0, 5, "keep running"),  # a guardrail never ships
        (5, -1, "ship"),  # within chance
    ],
)
def test_the_rule(goal: float, guardrail: float, verdict: str) -> None:
    found = decide(
        analysis(result("clicks_per_user", "goal", goal), result("sessions_with_click", "guardrail", guardrail)),
        PLAN,
    )
    assert found.verdict == verdict
    assert found.rule.startswith(verdict)
    assert "clicks per user" in found.because[0]


def within(margin: float) -> Plan:
    return ABConfig(guardrail_margin=margin).plan()


def test_a_guardrail_may_lose_its_margin_and_must_be_shown_to_lose_no_more() -> None:
    goal, loss = result("clicks_per_user", "goal", 5), result("sessions_with_click", "guardrail", -5)
    rows = analysis(goal, loss)  # the interval is [-7 %, -3 %]
    assert decide(rows, within(0.02)).verdict == "roll back"  # certainly worse than 2 %
    open_ = decide(rows, within(0.04))
    assert open_.verdict == "keep running"  # perhaps worse than 4 %
    assert "beyond its margin of 4.0% is not ruled out" in " ".join(open_.because)
    assert decide(rows, within(0.08)).verdict == "ship"  # certainly not worse than 8 %


def test_a_metric_of_which_less_is_better_is_judged_the_other_way_round() -> None:
    plan = Plan(
        {"clicks_per_user": replace(GOALS["clicks_per_user"], better="lower")},
        {"sessions_with_click": replace(GOALS["sessions_with_click"], better="lower", margin=0.04)},
    )
    better, worse, broken = (
        [result("clicks_per_user", "goal", e), result("sessions_with_click", "guardrail", g)]
        for e, g in ((-5, 0), (5, 0), (-5, 7))
    )
    assert [decide(analysis(*rows), plan).verdict for rows in (better, worse, broken)] == [
        "ship",
        "roll back",
        "roll back",
    ]


def test_a_test_that_is_read_once_waits_for_its_planned_size() -> None:
    rows = analysis(result("clicks_per_user", "goal", 5), result("sessions_with_click", "guardrail", 0))
    early = decide(rows, replace(PLAN, users=80_000))
    assert early.verdict == "keep running"
    assert "40000 of 80000 planned users came" in " ".join(early.because)
    assert decide(rows, replace(PLAN, users=40_000)).verdict == "ship"
    for looks in ("any time", "planned"):  # these may be read early, at their price
        plan = replace(PLAN, users=80_000, looks=looks)
        effects = [Result.of(r.metric, r.method, r.estimate, plan, role=r.role) for r in rows.results]
        found = [replace(r, adjusted_p_value=r.reading.p_value) for r in effects]
        assert decide(analysis(*found), plan).verdict == "ship"


def test_several_goals_decide_by_their_adjusted_p_values() -> None:
    config = ABConfig(goals=("clicks_per_user", "click_through_rate"), guardrails=()).plan()
    first, second = (
        result("clicks_per_user", "goal", 3, p=0.06),
        result("click_through_rate", "goal", 0, p=0.9),
    )
    assert first.estimate.p_value < 0.05  # alone, it would ship
    kept = decide(analysis(first, second), config)
    assert kept.verdict == "keep running"
    assert "Holm-adjusted" in kept.rule
    assert "adjusted 0.06" in kept.because[0]
    worse = result("click_through_rate", "goal", -5, p=0.001)
    better = result("clicks_per_user", "goal", 5, p=0.001)
    assert decide(analysis(better, worse), config).verdict == "roll back"


def test_alpha_is_the_configured_one() -> None:
    row = result("clicks_per_user", "goal", 2.2)  # p = 0.028
    assert decide(analysis(row), replace(PLAN, alpha=0.05)).verdict == "ship"
    strict = decide(analysis(row), replace(PLAN, alpha=0.005))
    assert strict.verdict == "keep running"
    assert "99.5% level" in strict.rule


def test_keep_running_says_what_could_be_seen() -> None:
    because = decide(analysis(result("clicks_per_user", "goal", 0)), PLAN).because
    assert "this many users show 2.8% of clicks per user with 80% power" in because[-1]


@pytest.fixture(scope="module")
def log() -> pd.DataFrame:
    from evaluation.simulate import simulate

    return simulate(*arms(0.5), ABConfig(users=4000), seed=2).users


def ruin_split(log: pd.DataFrame) -> pd.DataFrame:
    return log.drop(log[log["arm"] == 0].index[::5])


SICK = {
    "sample ratio": ruin_split,
    "fewer than 2 users": lambda log: log[log["arm"] == 1],
    "no users": lambda log: log.iloc[:0],
    "missing": lambda log: log.assign(clicks=log["clicks"].where(log.index != 3)),
    "repeat a user": lambda log: log.assign(unit=log["unit"] // 2),
    "no denominator": lambda log: log.assign(sessions=0),
    "control's clicks per user is 0": lambda log: log.assign(clicks=log["clicks"] * log["arm"]),
}


@pytest.mark.parametrize("problem", SICK)
def test_a_failing_health_check_withholds_even_a_clear_win(log: pd.DataFrame, problem: str) -> None:
    assert read_experiment(log, PLAN).decision.verdict == "ship"
    found = read_experiment(SICK[problem](log), PLAN)
    assert found.decision.verdict == "withheld"
    assert problem in " ".join(found.decision.because)
    assert "health check" in found.decision.rule
    json.dumps(found.to_json(), allow_nan=False)


def test_the_srm_threshold_is_the_configured_one(log: pd.DataFrame) -> None:
    p = analyze(log, PLAN).srm_p_value
    assert p is not None
    for threshold, verdict, ok in ((p * 0.9, "ship", True), (p * 1.1, "withheld", False)):
        found = read_experiment(log, replace(PLAN, srm_alpha=threshold))
        assert (found.decision.verdict, found.to_json()["srm"]["ok"]) == (verdict, ok)


def test_a_real_test_claims_no_truth(log: pd.DataFrame) -> None:
    found = read_experiment(log, PLAN, arms=("old", "new")).to_json()
    assert (found["truth"], found["assumption"]) == ({}, "")
    assert found["design"]["arms"] == ["old", "new"]
    assert all(row["covers_truth"] is None for row in found["results"])
    assert "style_effect" not in found["design"]


def test_a_simulated_test_carries_its_assumption(log: pd.DataFrame) -> None:
    found = simulate_experiment(*arms(0.1), ABConfig(users=500), seed=0)
    assert found.assumption == ASSUMPTION
    assert "assumes the effect" in ASSUMPTION
    assert "not the styling" in ASSUMPTION
    with pytest.raises(DataError, match="must carry its assumption"):
        Experiment(found.design, found.analysis, found.decision, found.truth)


def test_the_json_has_the_schema_of_metrics() -> None:
    config = ABConfig(users=4000)
    labels = {"arm": np.array(["a", "b", None], dtype=object)[np.arange(90) % 3]}  # the name of a column, too
    found = run_experiment(*arms(0.3), config, unit_segments=labels, seed=4)
    assert json.loads(json.dumps(found, allow_nan=False)) == found  # plain JSON, no numpy, no NaN
    keys = {"design", "truth", "results", "srm", "cuped", "segments", "assumption", "decision"}
    assert keys <= found.keys()
    assert found["design"]["arms"] == ["original", "stylised"]
    assert (found["design"]["units"], found["design"]["seed"]) == (4000, 4)
    assert 0 < found["design"]["minimum_detectable_relative_effect_at_80%_power"] < 0.5
    for row in found["results"]:
        assert {
            "metric",
            "method",
            "control",
            "treatment",
            "absolute",
            "low",
            "high",
            "p_value",
        } <= row.keys()
        assert {
            "relative",
            "relative_low",
            "relative_high",
            "n_control",
            "n_treatment",
            "is_goal",
        } <= row.keys()
        truth = found["truth"][row["metric"]]["absolute"]
        assert row["covers_truth"] == (row["low"] <= truth <= row["high"])
    assert [r["metric"] for r in found["results"] if r["is_goal"]] == ["clicks_per_user"]
    assert sum(found["srm"]["counts"]) == 4000
    assert 0 < found["cuped"]["variance_ratio"] <= 1
    assert {r["segment"] for r in found["segments"]} == {"arm"}
    assert [r["level"] for r in found["segments"]] == ["a", "b", "unknown"]
    assert sum(r["n"] for r in found["segments"]) == 4000
    assert set(found["decision"]) == {"verdict", "rule", "because"}


def test_the_same_seed_is_the_same_test() -> None:
    first, again, other = (run_experiment(*arms(0.1), ABConfig(users=600), seed=s) for s in (1, 1, 2))
    assert first == again != other


def test_a_clear_effect_ships_and_a_clear_harm_rolls_back() -> None:
    config = ABConfig(users=20_000)
    assert run_experiment(*arms(0.4), config)["decision"]["verdict"] == "ship"
    assert run_experiment(*arms(-0.4), config)["decision"]["verdict"] == "roll back"


def test_labels_must_be_one_a_study_user() -> None:
    with pytest.raises(DataError, match="'taste' has 3 labels for 90 study users"):
        run_experiment(*arms(0.1), ABConfig(users=100), unit_segments={"taste": np.array(["a"] * 3)})
