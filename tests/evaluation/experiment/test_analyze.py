"""The analysis held to its own claims: many simulated tests with known truth; and unusable logs."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from evaluation.experiment.analyze import Analysis, analyze
from evaluation.response import PositionBased
from evaluation.simulate import ABConfig, Arm, simulate
from recsys.errors import DataError

CONFIG = ABConfig(slate=5, position_bias=0.5)
PLAN = CONFIG.plan()
TESTS, USERS = 500, 400
# 500 tests see a rate of 5 % as 5 % ± 1 % (one standard error); the seeds are fixed.


def make_arms(lift: float) -> tuple[Arm, Arm]:
    """Customers who differ strongly in how much they click: what impression-level statistics overlook."""
    rng = np.random.default_rng(0)
    items = np.tile(np.arange(5), (300, 1))
    odds = rng.normal(-1.2, 0.3, (300, 5)) + rng.normal(0, 0.9, (300, 1))
    return Arm("a", items, odds.astype(np.float32)), Arm("b", items, (odds + lift).astype(np.float32))


def many(lift: float, seed: int) -> tuple[Any, list[pd.DataFrame]]:
    """One big simulation cut into tests of their own: customers are drawn independently."""
    simulation = simulate(*make_arms(lift), replace(CONFIG, users=TESTS * USERS), seed=seed)
    return simulation, [simulation.users.iloc[i : i + USERS] for i in range(0, TESTS * USERS, USERS)]


@pytest.fixture(scope="module")
def null() -> tuple[list[pd.DataFrame], list[Analysis]]:
    _, logs = many(0.0, seed=11)
    return logs, [analyze(log, PLAN) for log in logs]


@pytest.fixture(scope="module")
def real() -> tuple[Any, list[Analysis]]:
    simulation, logs = many(0.25, seed=12)
    return simulation, [analyze(log, PLAN) for log in logs]


def by_row(analyses: list[Analysis]) -> dict[tuple[str, str], list[Any]]:
    rows: dict[tuple[str, str], list[Any]] = {}
    for result in (r for a in analyses for r in a.results):
        rows.setdefault((result.metric, result.method), []).append(result.estimate)
    return rows


def test_without_an_effect_five_percent_of_tests_alarm(null: Any) -> None:
    rows = by_row(null[1])
    assert len(rows) == 6
    for row, estimates in rows.items():
        assert len(estimates) == TESTS
        assert 0.03 <= np.mean([e.p_value < 0.05 for e in estimates]) <= 0.07, row
        assert 0.03 <= np.mean([e.relative_p_value < 0.05 for e in estimates]) <= 0.07, row
        assert stats.kstest([e.p_value for e in estimates], "uniform").pvalue > 0.001, row


def test_impressions_as_units_alarm_too_often_where_users_are_randomised(null: Any) -> None:
    logs, analyses = null
    naive = []
    for log in logs:
        clicks, shown = (log.groupby("arm")[c].sum().to_numpy() for c in ("clicks", "impressions"))
        pooled = clicks.sum() / shown.sum()
        z = np.diff(clicks / shown)[0] / np.sqrt(pooled * (1 - pooled) * (1 / shown).sum())
        naive.append(2 * stats.norm.sf(abs(z)) < 0.05)
    ours = [e.p_value < 0.05 for e in by_row(analyses)["click_through_rate", "delta method"]]
    assert np.mean(naive) > 0.15 > 0.07 > np.mean(ours)


def test_intervals_cover_the_truth_as_often_as_they_say(real: Any) -> None:
    simulation, analyses = real
    for (metric, method), estimates in by_row(analyses).items():
        truth = simulation.truth[metric]
        covered = np.mean([e.low <= truth["absolute"] <= e.high for e in estimates])
        relative = np.mean([e.relative_low <= truth["relative"] <= e.relative_high for e in estimates])
        assert 0.93 <= covered <= 0.97, (metric, method)
        assert 0.93 <= relative <= 0.97, (metric, method)


def test_estimates_are_unbiased_and_their_errors_honest(real: Any) -> None:
    simulation, analyses = real
    for (metric, method), estimates in by_row(analyses).items():
        found = np.array([e.absolute for e in estimates])
        spread = found.std(ddof=1)
        assert abs(found.mean() - simulation.truth[metric]["absolute"]) < 4 * spread / np.sqrt(TESTS), (
            metric,
            method,
        )
        # The standard deviation of 500 estimates is known to 3 %.
        assert np.mean([e.standard_error for e in estimates]) == pytest.approx(spread, rel=0.1), (
            metric,
            method,
        )


def test_cuped_leaves_one_minus_rho_squared_of_the_variance(real: Any) -> None:
    simulation, analyses = real
    users = simulation.users
    rho = [users.loc[users["arm"] == s, ["clicks", "pre_clicks"]].corr().iloc[0, 1] for s in (0, 1)]
    expected = 1 - np.mean(rho) ** 2
    assert expected < 0.75  # worth having here
    assert np.mean([a.deciding("goal")[0].variance_ratio for a in analyses]) == pytest.approx(expected, abs=0.02)
    rows = by_row(analyses)
    raw, cut = (np.var([e.absolute for e in rows["clicks_per_user", m]]) for m in ("Welch", "Welch + CUPED"))
    assert cut / raw == pytest.approx(expected, abs=0.15)  # a ratio of two variances from 500 tests


def test_the_detectable_effect_is_detected_with_its_power() -> None:
    least = float(np.mean([a.minimum_detectable for a in (analyze(log, PLAN) for log in many(0.0, 13)[1][:20])]))
    control, _ = make_arms(0.0)
    # Find the lift whose true relative effect is the detectable one, then see how often it is found.
    grid = np.linspace(0.05, 1.2, 60)
    rates = [
        PositionBased(0.5).probability(Arm("b", control.items, control.log_odds + np.float32(x)).odds()).mean()
        for x in (0, *grid)
    ]
    lift = float(np.interp(least, np.array(rates[1:]) / rates[0] - 1, grid))
    found = [analyze(log, PLAN).deciding("goal")[0].estimate.p_value < 0.05 for log in many(lift, 14)[1][:200]]
    # ± 2.8 % of noise; treatment's greater variance takes a little power away.
    assert 0.7 <= np.mean(found) <= 0.89


@pytest.fixture
def log() -> pd.DataFrame:
    return simulate(*make_arms(0.2), replace(CONFIG, users=3000), seed=1).users


def test_a_metric_is_what_its_definition_says(log: pd.DataFrame) -> None:
    sums = log.groupby("arm").sum()
    size = log.groupby("arm").size()
    found = {(r.metric, r.method): r.estimate for r in analyze(log, PLAN).results}
    for metric, method, ratio in (
        ("clicks_per_user", "Welch", sums["clicks"] / size),
        ("click_through_rate", "delta method", sums["clicks"] / sums["impressions"]),
        ("sessions_with_click", "delta method", sums["sessions_with_click"] / sums["sessions"]),
    ):
        e = found[metric, method]
        assert (e.control, e.treatment) == pytest.approx(tuple(ratio))
        assert (e.n_control, e.n_treatment) == tuple(size)
        assert e.relative == pytest.approx(ratio[1] / ratio[0] - 1)


def test_order_of_rows_and_index_do_not_matter(log: pd.DataFrame) -> None:
    shuffled = log.sample(frac=1, random_state=0).set_index(pd.Index(["same"] * len(log)))
    for a, b in zip(analyze(log, PLAN).results, analyze(shuffled, PLAN).results, strict=True):
        assert list(vars(a.estimate).values()) == pytest.approx(list(vars(b.estimate).values()))


def test_goals_are_holm_adjusted_together(log: pd.DataFrame) -> None:
    config = ABConfig(goals=("clicks_per_user", "click_through_rate"), guardrails=("sessions_with_click",))
    found = analyze(log, config.plan())
    first, second = sorted((r.estimate.p_value, r.adjusted_p_value) for r in found.deciding("goal"))
    assert first[1] == pytest.approx(2 * first[0])
    assert second[1] == pytest.approx(max(second[0], 2 * first[0]))
    assert [r.metric for r in found.deciding("guardrail")] == ["sessions_with_click"]
    assert all(r.adjusted_p_value is None for r in found.results if r.role != "goal")


def test_without_a_past_there_is_no_cuped(log: pd.DataFrame) -> None:
    today = log.drop(columns=[c for c in log.columns if c.startswith("pre_")])
    assert [r.method for r in analyze(today, PLAN).results] == ["Welch", "delta method", "delta method"]
    constant = log.assign(pre_clicks=2)
    assert [r.method for r in analyze(constant, PLAN).results][:2] == ["Welch", "delta method"]


def test_users_without_a_past_are_kept(log: pd.DataFrame) -> None:
    new = np.arange(len(log)) % 3 == 0
    pre = {c: log[c].where(~new) for c in log.columns if c.startswith("pre_")}
    found, whole = analyze(log.assign(**pre), PLAN), analyze(log, PLAN)
    assert found.problems == ()
    mine, theirs = found.deciding("goal")[0], whole.deciding("goal")[0]
    assert mine.estimate.n_control == theirs.estimate.n_control
    # A third of the past is gone, and so is about a third of what CUPED removes.
    assert 1 - mine.variance_ratio == pytest.approx((1 - theirs.variance_ratio) * 2 / 3, abs=0.05)


def test_segments_are_the_analysis_of_their_users(log: pd.DataFrame) -> None:
    labels = np.array(["new", None, "old"], dtype=object)[np.arange(len(log)) % 3]
    rows = analyze(log.assign(age=labels), CONFIG.plan(segments=("age",))).segments
    assert [(r["level"], r["n"]) for r in rows] == [("new", 1000), ("old", 1000), ("unknown", 1000)]
    alone = analyze(log[labels == "old"], PLAN).deciding("goal")[0].estimate
    assert (rows[1]["relative"], rows[1]["low"]) == pytest.approx((alone.relative, alone.relative_low))


def test_ordered_segments_keep_their_order_and_tiny_ones_are_shown(log: pd.DataFrame) -> None:
    labels = pd.Categorical(["low", "high", *["mid"] * (len(log) - 2)], ["low", "mid", "high"])
    rows = analyze(log.assign(taste=labels), CONFIG.plan(segments=("taste",))).segments
    assert [(r["level"], r["n"]) for r in rows] == [("low", 1), ("mid", len(log) - 2), ("high", 1)]
    assert rows[0]["relative"] is None


def test_a_broken_split_is_a_problem(log: pd.DataFrame) -> None:
    lost = log.drop(log[log["arm"] == 1].index[::4])
    found = analyze(lost, PLAN)
    assert found.srm_p_value is not None
    assert found.srm_p_value < 1e-6
    assert "sample ratio mismatch: 50% in treatment were planned" in found.problems[0]
    assert analyze(lost, replace(PLAN, allocation=found.counts[1] / len(lost))).problems == ()


def test_missing_outcomes_are_a_problem_and_do_not_count(log: pd.DataFrame) -> None:
    holes = log.astype({"clicks": float})
    holes.loc[holes.index[:7], "clicks"] = [np.nan, np.inf, *[np.nan] * 5]
    found = analyze(holes, PLAN)
    assert found.problems == ("outcomes are missing or infinite for 7 of 3000 users",)
    assert sum(found.counts) == 3000  # for the split, they count
    e = found.results[0].estimate
    assert e.n_control + e.n_treatment == 2993


def test_nullable_integers_are_understood(log: pd.DataFrame) -> None:
    holes = log.astype({"clicks": "Int64"})
    holes.loc[holes.index[0], "clicks"] = pd.NA
    assert "for 1 of 3000" in analyze(holes, PLAN).problems[0]


def test_a_user_in_both_arms_is_a_problem(log: pd.DataFrame) -> None:
    twice = pd.concat([log, log.iloc[:2].assign(arm=lambda f: 1 - f["arm"])])
    assert analyze(twice, PLAN).problems == ("2 rows repeat a user; the table must hold one row a user",)


@pytest.mark.parametrize("n", [0, 1])
def test_nobody_in_an_arm_is_a_problem_not_a_crash(log: pd.DataFrame, n: int) -> None:
    nobody = analyze(log.iloc[:n], PLAN)
    assert nobody.results == ()
    assert "an arm has fewer than 2 users with outcomes" in nobody.problems
    one_arm = analyze(log[log["arm"] == 0], PLAN)
    assert one_arm.counts[1] == 0
    assert "sample ratio mismatch" in one_arm.problems[0]


def test_no_impressions_leave_the_other_metrics(log: pd.DataFrame) -> None:
    dark = log.assign(impressions=0)
    config = replace(CONFIG, guardrails=("click_through_rate",))
    found = analyze(dark, config.plan())
    assert {r.metric for r in found.results} == {"clicks_per_user", "sessions_with_click"}
    assert found.problems == ("click_through_rate has no denominator in an arm",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arm": "b"}, "'arm' must hold 0 .control. or 1 .treatment., got 'b' in 3000 rows"),
        ({"arm": np.nan}, "'arm' must hold 0"),
        ({"clicks": "many"}, "'clicks' must be numbers"),
        ({"impressions": -1}, "'impressions' must be >= 0, got -1"),
    ],
)
def test_tables_that_are_no_log_are_refused(log: pd.DataFrame, change: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        analyze(log.assign(**change), PLAN)
    with pytest.raises(DataError, match="misses clicks, age; it has unit"):
        analyze(log.drop(columns="clicks"), CONFIG.plan(segments=("age",)))


def test_unlike_exposure_withholds(log: pd.DataFrame) -> None:
    met = np.arange(len(log)) % 10 != 0
    assert analyze(log.assign(exposed=met), PLAN).problems == ()
    lost = met & ~((log["arm"] == 1).to_numpy() & (np.arange(len(log)) % 7 == 0))
    found = analyze(log.assign(exposed=lost.astype(int)), PLAN)
    assert "exposure differs: 9" in found.problems[0]
    shares = [lost[log["arm"] == side].mean() for side in (0, 1)]
    assert f"{shares[0]:.1%} of control and {shares[1]:.1%} of treatment" in found.problems[0]


def test_a_split_that_breaks_on_one_day_is_dated(log: pd.DataFrame) -> None:
    day = pd.Timestamp("2026-03-01") + pd.to_timedelta(np.arange(len(log)) * 10 // len(log), unit="D")
    assert analyze(log.assign(first=day), PLAN).problems == ()
    broken = log.assign(first=day).drop(index=log.index[(log["arm"] == 1) & (np.arange(len(log)) >= 1500)][::2])
    found = [p for p in analyze(broken, PLAN).problems if "sequential check" in p]
    number = int(found[0].split("on day ")[1].split(" of")[0])
    assert 6 <= number <= 9  # whole until day 5; from then on 1 treated for 2 in control


def test_arms_that_differed_before_the_test_withhold(log: pd.DataFrame) -> None:
    found = analyze(log.assign(pre_clicks=log["pre_clicks"] + 2 * log["arm"]), PLAN)
    assert "the arms differed before the test: pre_clicks by +" in found.problems[0]


def test_goals_by_benjamini_and_hochberg(log: pd.DataFrame) -> None:
    both = ABConfig(goals=("clicks_per_user", "click_through_rate"), guardrails=("sessions_with_click",)).plan()
    found = analyze(log, replace(both, adjust="bh")).deciding("goal")
    expected = stats.false_discovery_control([r.estimate.p_value for r in found])
    assert [r.adjusted_p_value for r in found] == pytest.approx(list(expected))


def test_every_row_has_what_holds_at_any_time_and_what_to_believe(log: pd.DataFrame) -> None:
    for r in analyze(log, replace(PLAN, users=3000)).results:
        e = r.estimate
        assert (r.reading.low, r.reading.high, r.reading.p_value) == (e.relative_low, e.relative_high, e.p_value)
        assert r.anytime.low is not None
        assert e.relative_low is not None
        assert r.anytime.low < e.relative_low
        assert r.anytime.p_value > e.p_value
        assert r.belief is not None
        # A wide prior is almost a one-sided test of the relative effect.
        assert r.belief.chance_positive == pytest.approx(
            stats.norm.cdf(e.relative / e.relative_standard_error), abs=0.02
        )
