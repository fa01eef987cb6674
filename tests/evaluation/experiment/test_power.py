"""Sizes of tests against golden numbers, statsmodels and re-splits; the posterior against integrals."""

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import NormalIndPower, TTestIndPower

from evaluation.experiment.bayes import posterior
from evaluation.experiment.power import (
    group_inflation,
    minimum_detectable_effect,
    power_of,
    users_for_mean,
    users_for_proportions,
    weeks,
)
from evaluation.experiment.resplit import resplit
from evaluation.inference import Moments
from recsys.errors import ConfigError


@pytest.mark.parametrize(("n0", "n1", "power"), [(50, 50, 0.8), (2000, 500, 0.9), (100_000, 100_000, 0.8)])
def test_the_detectable_effect_is_statsmodels(n0: int, n1: int, power: float) -> None:
    found = minimum_detectable_effect(Moments(n0, 2.0, 4.0), n1, alpha=0.05, power=power)
    theirs = TTestIndPower().solve_power(nobs1=n0, ratio=n1 / n0, alpha=0.05, power=power)
    assert found == pytest.approx(theirs, rel=3e-3)  # standard deviation / mean is 1; we use t, not non-central t
    assert power_of(found, Moments(n0, 2.0, 4.0), n1) == pytest.approx(power, abs=1e-4)


def test_what_cannot_be_detected_is_none_and_cuped_sharpens() -> None:
    assert minimum_detectable_effect(Moments(50, 0.0, 1.0), 50, alpha=0.05) is None
    assert minimum_detectable_effect(Moments(50, 1.0, 0.0), 50, alpha=0.05) is None
    raw, quarter = (
        minimum_detectable_effect(Moments(50, 1.0, 1.0), 50, alpha=0.05, variance_ratio=v) for v in (1, 0.25)
    )
    assert raw is not None
    assert quarter == pytest.approx(raw / 2)


def test_two_proportions_need_their_golden_number_of_users() -> None:
    assert users_for_proportions(0.10, 0.102, alpha=0.05, power=0.8) == 356_331
    with pytest.raises(ConfigError, match="must lie in"):
        users_for_proportions(0.1, 0.1)


@pytest.mark.parametrize("allocation", [0.5, 0.2])
def test_a_mean_needs_statsmodels_users(allocation: float) -> None:
    found = users_for_mean(0.05, 2.0, 3.0, allocation=allocation, power=0.9)
    ratio = allocation / (1 - allocation)
    control = NormalIndPower().solve_power(0.1 / 3, alpha=0.05, power=0.9, ratio=ratio)
    assert found == pytest.approx(control / (1 - allocation), abs=2)


def test_the_planned_power_is_that_of_resplit_tests() -> None:
    clicks = np.random.default_rng(0).negative_binomial(2, 0.4, 4000)
    planned = minimum_detectable_effect(Moments(2000, clicks.mean(), clicks.var(ddof=1)), 2000, alpha=0.05)
    assert planned is not None
    # The treatment's variance is greater by (1 + effect)², which the plan cannot know; 4 standard errors of 20,000.
    error = np.sqrt(clicks.var() / 2000 * (1 + (1 + planned) ** 2))
    expected = stats.norm.sf(1.96 - planned * clicks.mean() / error)
    assert 0.74 < expected < 0.8
    assert resplit(clicks, n=20_000, effect=planned, seed=2).rate() == pytest.approx(expected, abs=0.012)


def test_more_looks_cost_a_few_more_users() -> None:
    assert group_inflation((1.0,)) == pytest.approx(1, abs=1e-5)  # the far tail is not zero
    # Jennison and Turnbull 2000, table 2.1 (Pocock's own constant bound, 5 looks, power 0.8): 1.229.
    assert group_inflation((0.2, 0.4, 0.6, 0.8, 1.0), spending="pocock") == pytest.approx(1.229, abs=0.02)


def test_weeks_are_whole() -> None:
    assert [weeks(n, 1000) for n in (1, 1000, 1001)] == [1, 1, 2]
    with pytest.raises(ConfigError, match="users per week"):
        weeks(10, 0)


def test_the_posterior_is_that_of_an_integral() -> None:
    effect, error, prior = 0.013, 0.011, 0.02
    t = np.linspace(-0.2, 0.2, 400_000)
    density = stats.norm(t, error).pdf(effect) * stats.norm(0, prior).pdf(t)
    density /= density.sum()
    mean, better, loss, gain = (float(f @ density) for f in (t, t > 0, np.maximum(-t, 0), np.maximum(t, 0)))
    found = posterior(effect, error, prior_sd=prior)
    assert (found.mean, found.chance_positive) == pytest.approx((mean, better), abs=1e-5)
    assert (found.risk_ship, found.risk_keep) == pytest.approx((loss, gain), abs=1e-7)


def test_credible_intervals_hold_what_the_prior_draws() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(0, 0.03, 4000)
    seen = true + rng.normal(0, 0.02, 4000)
    found = [posterior(e, 0.02, prior_sd=0.03) for e in seen]
    held = np.mean([p.low <= t <= p.high for p, t in zip(found, true, strict=True)])
    assert held == pytest.approx(0.95, abs=0.0104)  # 3 standard errors
    told = np.array([p.chance_positive for p in found])
    assert (true > 0).mean() == pytest.approx(told.mean(), abs=0.02)
    # Where it says 80 to 90 %, 80 to 90 % are positive.
    sure = (told > 0.8) & (told < 0.9)
    assert (true[sure] > 0).mean() == pytest.approx(told[sure].mean(), abs=0.05)


def test_without_a_prior_or_without_noise() -> None:
    flat = posterior(0.02, 0.01, prior_sd=np.inf)
    assert (flat.mean, flat.low, flat.high) == pytest.approx((0.02, 0.0004, 0.0396), abs=1e-4)
    certain = posterior(-0.1, 0.0, prior_sd=0.1)
    assert (certain.chance_positive, certain.risk_ship, certain.risk_keep) == (0.0, 0.1, 0.0)
    with pytest.raises(ConfigError, match="prior_sd"):
        posterior(0.0, 1.0, prior_sd=0)
