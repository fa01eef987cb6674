"""The simulator against closed forms, and against what common random numbers must bring about."""

import tracemalloc
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from evaluation.designs.assignment import assign
from evaluation.simulate import ABConfig, Arm, simulate
from recsys.config import from_mapping
from recsys.errors import ConfigError, DataError

COUNTS = ("clicks", "sessions_with_click", "sessions", "impressions")


def make_arms(n_users: int = 60, k: int = 5, lift: float = 0.3, seed: int = 0) -> tuple[Arm, Arm]:
    """Users that differ in how much they click, ragged slates, a lift in treatment."""
    rng = np.random.default_rng(seed)
    items = np.where(rng.random((n_users, k)) < 0.15, -1, np.arange(k))
    odds = rng.normal(-1.2, 0.4, (n_users, k)) + rng.normal(0, 0.8, (n_users, 1))
    shift = lift * rng.random((n_users, k))
    return Arm("a", items, odds.astype(np.float32)), Arm("b", items, (odds + shift).astype(np.float32))


@pytest.fixture(scope="module")
def big() -> Any:
    return simulate(*make_arms(), ABConfig(users=100_000, slate=5), seed=1)


def test_truth_in_a_case_done_by_hand() -> None:
    # One user, two ranks, no position bias: p = 1/2 and 1/4 in control, 1/2 and 1/2 in treatment, 3 sessions.
    items = np.array([[0, 1]])
    control = Arm("a", items, np.log(np.array([[1, 1 / 3]], np.float32)))
    treatment = Arm("b", items, np.zeros((1, 2), np.float32))
    truth = simulate(control, treatment, ABConfig(users=2, sessions=3, position_bias=0), seed=0).truth
    expected = {
        "clicks_per_user": (2.25, 3.0),
        "click_through_rate": (0.375, 0.5),
        "sessions_with_click": (1 - 1 / 2 * 3 / 4, 1 - 1 / 2 * 1 / 2),
    }
    for metric, (before, after) in expected.items():
        assert truth[metric]["control"] == pytest.approx(before)
        assert truth[metric]["treatment"] == pytest.approx(after)
        assert truth[metric]["absolute"] == pytest.approx(after - before)
        assert truth[metric]["relative"] == pytest.approx(after / before - 1)


def test_what_happens_agrees_with_the_closed_form(big: Any) -> None:
    for metric, (numerator, denominator) in {
        "clicks_per_user": ("clicks", None),
        "click_through_rate": ("clicks", "impressions"),
        "sessions_with_click": ("sessions_with_click", "sessions"),
    }.items():
        for side in ("control", "treatment"):
            top = big.potential[f"{numerator}_{side}"]
            below = pd.Series(np.ones(len(top))) if denominator is None else big.potential[f"{denominator}_{side}"]
            mean = top.sum() / below.sum()
            error = (top - mean * below).std() / below.mean() / np.sqrt(len(top))  # delta method
            assert mean == pytest.approx(big.realised[metric][side])
            assert abs(mean - big.truth[metric][side]) < 4 * error


def test_the_period_before_is_control_for_everybody(big: Any) -> None:
    users, rate = big.users, big.truth["clicks_per_user"]["control"] / 4.0
    expected = rate * ABConfig().pre_sessions
    error = users["pre_clicks"].std() / np.sqrt(len(users))
    assert abs(users["pre_clicks"].mean() - expected) < 4 * error
    by_arm = [users.loc[users["arm"] == side, "pre_clicks"] for side in (0, 1)]
    assert stats.ttest_ind(*by_arm).pvalue > 0.001


def test_sessions_have_their_mean_and_spread(big: Any) -> None:
    # 1 + Poisson(3 g), g gamma with mean 1 and variance 1/4: variance 3 + 9/4.
    sessions = big.users["sessions"]
    assert sessions.min() == 1
    assert sessions.mean() == pytest.approx(4, abs=4 * np.sqrt(5.25 / 1e5))
    assert sessions.var() == pytest.approx(5.25, rel=0.03)  # 4 standard errors of a variance
    # One rate drives both periods: covariance 3 × 4 × var(g).
    assert np.cov(sessions, big.users["pre_sessions"])[0, 1] == pytest.approx(12 / 4, rel=0.06)


def test_the_log_shows_the_fate_of_the_assigned_arm(big: Any) -> None:
    for name in COUNTS:
        fates = [big.potential[f"{name}_control"], big.potential[f"{name}_treatment"]]
        assert (big.users[name] == np.where(big.users["arm"] == 1, fates[1], fates[0])).all()


def test_the_same_luck_serves_both_arms() -> None:
    control, better = make_arms(lift=0.5)
    config = ABConfig(users=5000, slate=5)
    same = simulate(control, control, config, seed=3)
    assert same.realised["clicks_per_user"]["absolute"] == 0
    assert same.truth["clicks_per_user"]["absolute"] == 0
    # Where every product is at least as attractive, nobody can click less.
    lifted = simulate(control, better, config, seed=3).potential
    assert (lifted["clicks_treatment"] >= lifted["clicks_control"]).all()
    assert (lifted["clicks_treatment"] > lifted["clicks_control"]).any()
    assert (lifted["clicks_control"] == same.potential["clicks_control"]).all()


def test_common_luck_makes_the_realised_effect_sharper_than_separate_luck(big: Any) -> None:
    before, after = big.potential["clicks_control"], big.potential["clicks_treatment"]
    assert (after - before).var() < 0.5 * (before.var() + after.var())


def test_empty_places_are_neither_shown_nor_clicked() -> None:
    items = np.array([[0, -1, -1], [-1, -1, -1]])
    arm = Arm("a", items, np.array([[50, np.nan, 50], [np.nan, 50, 50]], np.float32))
    users = simulate(arm, arm, ABConfig(users=400, position_bias=0), seed=0).users
    shown = users["user_idx"] == 0
    assert (users["impressions"] == users["sessions"] * shown).all()
    assert (users["clicks"] == users["sessions"] * shown).all()  # log-odds 50: always clicked


def test_nothing_shown_has_no_click_through_rate() -> None:
    arm = Arm("a", np.array([[-1]]), np.zeros((1, 1), np.float32))
    simulation = simulate(arm, arm, ABConfig(users=50), seed=0)
    assert "click_through_rate" not in simulation.truth
    assert simulation.truth["clicks_per_user"] == {
        "control": 0,
        "treatment": 0,
        "absolute": 0,
        "relative": None,
    }


def test_a_seed_is_a_test() -> None:
    control, treatment = make_arms()
    first, again, other = (simulate(control, treatment, ABConfig(users=3000), seed=s) for s in (5, 5, 6))
    pd.testing.assert_frame_equal(first.users, again.users)
    assert not first.users["clicks"].equals(other.users["clicks"])
    assert not first.users["arm"].equals(other.users["arm"])


def test_no_period_before_leaves_no_columns() -> None:
    users = simulate(*make_arms(), ABConfig(users=100, pre_sessions=0), seed=0).users
    assert not [c for c in users.columns if c.startswith("pre_")]


def test_memory_is_bounded_by_the_block() -> None:
    control, treatment = make_arms(50, 40)
    config = ABConfig(users=20_000, sessions=20, pre_sessions=20, slate=40)
    tracemalloc.start()
    simulate(control, treatment, config, seed=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # All uniform numbers at once would be 20,000 × 40 sessions × 40 ranks × 4 bytes = 128 MB.
    assert peak < 40e6


def test_assignment_never_changes() -> None:
    # Written down once: a change would move customers of running tests between arms.
    assert assign(range(12), "stylerec", 0.5).tolist() == FROZEN
    assert assign([str(i) for i in range(12)], "stylerec", 0.5).tolist() == FROZEN
    assert assign(np.arange(12), "stylerec", 0.5).tolist() == FROZEN


FROZEN = [1, 1, 1, 1, 1, 1, 1, 0, 1, 1, 0, 1]


def test_assignment_is_fair_independent_and_monotone() -> None:
    units = range(20_000)
    spring, autumn = assign(units, "spring", 0.5), assign(units, "autumn", 0.5)
    assert stats.binomtest(int(spring.sum()), len(spring), 0.5).pvalue > 0.001
    assert stats.chi2_contingency(pd.crosstab(spring, autumn)).pvalue > 0.001
    fifth = assign(units, "spring", 0.2)
    assert fifth.mean() == pytest.approx(0.2, abs=4 * np.sqrt(0.16 / 20_000))
    assert (spring[fifth == 1] == 1).all()  # raising the share takes nobody out of treatment
    # No drift along the ids, such as a hash of consecutive numbers may have.
    assert stats.ks_2samp(np.flatnonzero(spring), np.flatnonzero(spring == 0)).pvalue > 0.001


def test_any_id_is_assigned() -> None:
    assert len(assign(["", "a\x00b", "😀", "\ud800", "../../x"], "s", 0.5)) == 5
    assert len(assign([], "s", 0.5)) == 0


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"users": 1}, "ab.users must be a number >= 2, got 1"),
        ({"sessions": 0.5}, "ab.sessions must be a number >= 1"),
        ({"sessions": float("nan")}, "ab.sessions must be a number >= 1, got nan"),
        ({"pre_sessions": float("inf")}, "ab.pre_sessions must be a number"),
        ({"recognisability_penalty": -1.0}, "recognisability_penalty must be a number >= 0"),
        ({"allocation": 1.0}, "ab.allocation must be between 0 and 1, both excluded, got 1.0"),
        ({"alpha": 0.0}, "ab.alpha must be between"),
        ({"style_effect": float("nan")}, "ab.style_effect must be a finite number"),
        ({"goals": ["click_per_user"]}, "did you mean 'clicks_per_user'"),
        ({"goals": []}, "needs a goal"),
        ({"goals": ["clicks_per_user"], "guardrails": ["clicks_per_user"]}, "once"),
        ({"style_efect": 0.1}, "did you mean 'style_effect'"),
        ({"users": "many"}, "ab.users must be int"),
    ],
)
def test_settings_that_make_no_sense_are_refused_with_a_cure(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_mapping(ABConfig, table, where="ab")


def test_arms_that_make_no_sense_are_refused() -> None:
    items, odds = np.zeros((3, 2), np.int64), np.zeros((3, 2), np.float32)
    with pytest.raises(DataError, match=r"\(3, 2\) and log_odds \(3, 1\)"):
        Arm("a", items, odds[:, :1])
    with pytest.raises(DataError, match="NaN"):
        Arm("a", items, np.full((3, 2), np.nan, np.float32))
    with pytest.raises(DataError, match="nobody"):
        Arm("a", items[:0], odds[:0])
    with pytest.raises(DataError, match="same users and ranks"):
        simulate(Arm("a", items, odds), Arm("b", items[:2], odds[:2]), ABConfig(), seed=0)
