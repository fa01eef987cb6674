"""Customers that change from visit to visit: against recursions, closed forms, and the plain simulator."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from scipy.special import expit

from evaluation.response import RESPONSES
from evaluation.response.luck import own_luck, own_rows, poisson_quantile
from evaluation.response.visits import VisitsConfig
from evaluation.simulate import ABConfig, Arm, simulate
from recsys.config import from_mapping
from recsys.errors import ConfigError

EVERYTHING = VisitsConfig(1.5, 0.5, 0.8, 2.0, 0.3, 0.6)


def arms(k: int = 4, lift: float = 0.2, users: int = 40) -> tuple[Arm, Arm]:
    rng = np.random.default_rng(0)
    items = np.where(rng.random((users, k)) < 0.1, -1, np.arange(k))
    odds = rng.normal(-1.0, 0.5, (users, k)).astype(np.float32)
    look = rng.random((users, k)) < 0.8
    return Arm("a", items, odds), Arm("b", items, odds + np.float32(lift) * look, look=look)


def test_the_plain_simulator_gives_the_numbers_that_it_always_gave() -> None:
    # Written down once, from the simulator as it was before customers could change.
    rng = np.random.default_rng(0)
    items = np.where(rng.random((60, 5)) < 0.15, -1, np.arange(5))
    odds = rng.normal(-1.2, 0.4, (60, 5)) + rng.normal(0, 0.8, (60, 1))
    both = Arm("a", items, odds.astype(np.float32)), Arm("b", items, (odds + 0.3).astype(np.float32))
    found = simulate(*both, ABConfig(users=3000, slate=5), seed=3).potential.sum()
    assert {name: int(found[name]) for name in FROZEN} == FROZEN


FROZEN = {
    "sessions_control": 11943,
    "sessions_treatment": 11943,
    "impressions_control": 50949,
    "impressions_treatment": 50949,
    "clicks_control": 6202,
    "clicks_treatment": 7410,
    "sessions_with_click_control": 4874,
    "sessions_with_click_treatment": 5634,
}


@pytest.mark.parametrize("response", RESPONSES)
def test_changes_of_no_effect_change_nothing(response: str) -> None:
    config = ABConfig(users=2000, slate=4, style_effect=0.0, response=response)
    plain = simulate(*arms(), config, seed=1)
    taste = simulate(*arms(), replace(config, visits=VisitsConfig(taste_spread=2, taste_drift=1)), seed=1)
    pd.testing.assert_frame_equal(plain.users, taste.users)
    pd.testing.assert_frame_equal(plain.potential, taste.potential)


def test_novelty_wears_off_as_the_half_life_says() -> None:
    # One product, always looked at: session i (from 0) is clicked with sigmoid(o + lift + 0.9 × 2^(-i / 2)).
    items, odds = np.array([[0]]), np.zeros((1, 1), np.float32)
    both = Arm("a", items, odds), Arm("b", items, odds + np.float32(0.1), look=np.array([[True]]))
    visits = VisitsConfig(novelty=0.9, novelty_half_life=2)
    found = simulate(*both, ABConfig(users=50_000, slate=1, position_bias=0, visits=visits), seed=2)
    chance = expit(np.float64(np.float32(0.1)) + 0.9 * 2.0 ** (-np.arange(60) / 2))
    sessions = found.users["sessions"].to_numpy()
    expected = np.concatenate([[0], np.cumsum(chance)])[sessions].mean()
    assert found.truth["clicks_per_user"]["treatment"] == pytest.approx(expected)
    assert found.truth["clicks_per_user"]["control"] == pytest.approx(sessions.mean() / 2)
    once = sessions == 1  # who comes once meets the look at its newest
    clicked = int(found.potential.loc[once, "clicks_treatment"].sum())
    assert stats.binomtest(clicked, int(once.sum()), float(chance[0])).pvalue > 1e-3


@pytest.mark.parametrize("response", RESPONSES)
def test_what_happens_agrees_with_the_truth_given_sessions_and_tastes(response: str) -> None:
    config = ABConfig(users=30_000, slate=4, style_effect=0.3, response=response, visits=EVERYTHING)
    found = simulate(*arms(), config, seed=4)
    for side in ("control", "treatment"):
        clicks = found.potential[f"clicks_{side}"]
        error = clicks.std() / np.sqrt(len(clicks))  # sessions and tastes are given, so too wide by what they spread
        assert abs(clicks.mean() - found.truth["clicks_per_user"][side]) < 3 * error
    gap = found.potential["clicks_treatment"] - found.potential["clicks_control"]
    truth = found.truth["clicks_per_user"]["absolute"]
    assert truth > 0
    assert abs(gap.mean() - truth) < 3 * gap.std() / np.sqrt(len(gap))


def test_satiation_is_the_recursion_of_the_paper_in_either_arm() -> None:
    g, s = 0.7, [0.0]
    for _ in range(9):
        s.append(g * (s[-1] + 1))
    found = VisitsConfig(satiation=0.4, satiation_memory=g).page_shift(np.arange(10))
    assert found == pytest.approx(-0.4 * np.array(s))
    bored = ABConfig(users=20_000, slate=4, visits=VisitsConfig(satiation=0.5))
    fresh, tired = (simulate(*arms(), c, seed=0).truth for c in (replace(bored, visits=VisitsConfig()), bored))
    for side in ("control", "treatment"):
        assert tired["clicks_per_user"][side] < 0.9 * fresh["clicks_per_user"][side]


def test_tastes_differ_and_drift_as_asked() -> None:
    customer, session = np.repeat(np.arange(20_000), 5), np.tile(np.arange(5), 20_000)
    spread = VisitsConfig(taste_spread=1.5).look_shift(0.2, customer, session, 0).reshape(-1, 5)
    assert (spread == spread[:, :1]).all()
    assert stats.kstest(spread[:, 0], stats.norm(0, 0.3).cdf).pvalue > 1e-3
    walk = VisitsConfig(taste_drift=0.5).look_shift(0.2, customer, session, 0).reshape(-1, 5)
    assert (walk[:, 0] == 0).all()
    steps = np.diff(walk, axis=1)
    assert stats.kstest(steps.ravel(), stats.norm(0, 0.1).cdf).pvalue > 1e-3
    assert abs(np.corrcoef(steps.T) - np.eye(4)).max() < 4 / np.sqrt(20_000)


def test_a_customer_is_the_same_whoever_else_is_there() -> None:
    customer, session = np.repeat(np.arange(50), 3), np.tile(np.arange(3), 50)
    among = EVERYTHING.look_shift(0.2, customer, session, 9)
    alone = EVERYTHING.look_shift(0.2, np.full(3, 17), np.arange(3), 9)
    assert alone == pytest.approx(among[customer == 17], abs=1e-12)  # running sums round differently
    assert not np.allclose(alone, EVERYTHING.look_shift(0.2, np.full(3, 17), np.arange(3), 10))


def test_own_luck_is_uniform_and_independent_over_keys_streams_and_seeds() -> None:
    n = 50_000
    draws = [own_luck(seed, stream, np.arange(n)) for seed in (0, 1) for stream in (0, 1)]
    draws += [own_luck(0, 0, np.full(n, 3), np.arange(n)), own_luck(0, 0, np.arange(n), np.full(n, 3))]
    for u in draws:
        assert stats.kstest(u, "uniform").pvalue > 1e-3
        assert stats.kstest(u.reshape(-1, 50).mean(axis=1), stats.norm(0.5, np.sqrt(1 / 600)).cdf).pvalue > 1e-3
    correlation = np.corrcoef(draws) - np.eye(len(draws))
    assert abs(correlation).max() < 4.5 / np.sqrt(n)
    assert abs(np.corrcoef(draws[0][1:], draws[0][:-1])[0, 1]) < 4 / np.sqrt(n)
    bits = (draws[0] * 2**20).astype(np.int64)
    assert abs((bits & 1).mean() - 0.5) < 4 * 0.5 / np.sqrt(n)


def test_luck_in_rows_is_the_same_luck() -> None:
    rows = own_rows(4, 2, np.arange(1000), np.arange(1000) % 7, rows=12)
    whole = own_luck(4, 2, np.arange(1000), np.arange(1000) % 7, np.arange(12)[:, None])
    assert rows == pytest.approx(whole, abs=1e-7)  # 24 bits of 53
    assert rows.max() < 1


def test_poisson_quantiles_are_those_of_scipy() -> None:
    rng = np.random.default_rng(0)
    mean = np.concatenate([[0.0, 1e-12, 49.9, 50.1, 5000.0], rng.gamma(0.5, 8, 5000)])
    luck = np.concatenate([[0.7] * 5, rng.random(4990), [1e-16, 1 - 1e-11, 0.5, 1e-9, 1 - 1e-9] * 2])
    assert (poisson_quantile(luck, mean) == stats.poisson.ppf(luck, mean)).all()
    assert poisson_quantile(np.array([1 - 2.0**-53]), np.array([3.0]))[0] < 30  # the last number of a generator


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"taste_spread": -1.0}, r"ab.visits.taste_spread must be in \[0, 1000\], got -1"),
        ({"novelty": float("nan")}, r"ab.visits.novelty must be in \[-1000, 1000\], got nan"),
        ({"novelty_half_life": 0.0}, "novelty_half_life must be above 0"),
        ({"satiation": float("inf")}, "satiation must be in"),
        ({"satiation_memory": 1.0}, r"satiation_memory must be in \[0, 1\), got 1"),
        ({"novlety": 1.0}, "did you mean 'novelty'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_mapping(ABConfig, {"visits": table}, where="ab")


def test_the_response_is_chosen_by_name() -> None:
    assert repr(ABConfig(response="dbn", satisfaction=0.3).make_response()).startswith(
        "DynamicBayesian(satisfaction=0.3"
    )
    assert ABConfig(examination=(1.0, 0.4)).make_response().probability(np.zeros((1, 2))).tolist() == [[0.5, 0.2]]
    with pytest.raises(ConfigError, match="did you mean 'cascade'"):
        ABConfig(response="cascad")
    with pytest.raises(ConfigError, match="continuation must be in"):
        ABConfig(response="dbn", continuation=1.5)


@pytest.mark.parametrize("response", RESPONSES)
def test_customers_seeded_one_by_one_are_the_same_in_a_larger_test(response: str) -> None:
    config = ABConfig(users=4000, slate=4, response=response, seeded_by="customer", visits=VisitsConfig(novelty=0.3))
    small, large = (simulate(*arms(), replace(config, users=n), seed=5) for n in (500, 4000))
    pd.testing.assert_frame_equal(small.users, large.users.head(500))
    pd.testing.assert_frame_equal(small.potential, large.potential.head(500))
    found = simulate(*arms(), replace(config, users=30_000, visits=VisitsConfig()), seed=5)
    for name, mean, variance in (("sessions", 4, 5.25), ("pre_sessions", 4, 4 + 4)):  # mean + rate² of a gamma 1/4
        assert found.users[name].mean() == pytest.approx(mean, abs=4 * np.sqrt(variance / 30_000))
        assert found.users[name].var() == pytest.approx(variance, rel=0.06)
    assert stats.chisquare(np.bincount(found.users["user_idx"], minlength=40)).pvalue > 1e-3
    for side in ("control", "treatment"):
        clicks = found.potential[f"clicks_{side}"]
        error = clicks.std() / np.sqrt(len(clicks))
        assert abs(clicks.mean() - found.truth["clicks_per_user"][side]) < 3.5 * error


@pytest.mark.parametrize("response", ["dbn", "mnl"])
def test_intervals_cover_the_truth_whatever_the_response_and_however_customers_change(response: str) -> None:
    tests, each = 1000, 200
    config = ABConfig(
        users=tests * each, slate=4, pre_sessions=0, response=response, visits=EVERYTHING, style_effect=0.2
    )
    found = simulate(*arms(), config, seed=11)
    order = np.argsort(found.users["arm"].to_numpy(), kind="stable")
    clicks, n = found.users["clicks"].to_numpy(np.float64)[order], int((found.users["arm"] == 0).sum())
    half = min(n, len(order) - n) // tests  # customers of an arm in each test
    before, after = (clicks[start : start + tests * half].reshape(tests, half) for start in (0, n))
    gap = after.mean(axis=1) - before.mean(axis=1)
    error = np.sqrt((after.var(axis=1, ddof=1) + before.var(axis=1, ddof=1)) / half)
    covered = int((np.abs(gap - found.truth["clicks_per_user"]["absolute"]) < 1.96 * error).sum())
    # A 95 % interval: 93.4 to 96.6 % of 1,000 with p = 0.02 on either side.
    assert 934 <= covered <= 966
