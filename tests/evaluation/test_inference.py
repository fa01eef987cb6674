"""Formulas against other libraries, published numbers and identities."""

import numpy as np
import pytest
from scipy import stats

from evaluation.inference import Moments, linearise, welch
from recsys.errors import DataError


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_welch_is_scipys(rng: np.random.Generator) -> None:
    a, b = rng.gamma(2, 1, 300), rng.gamma(3, 1, 90)
    ours = welch(Moments.of(a), Moments.of(b), alpha=0.1)
    theirs = stats.ttest_ind(b, a, equal_var=False)
    interval = theirs.confidence_interval(0.9)
    assert ours.p_value == pytest.approx(theirs.pvalue)
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high))
    assert ours.absolute == pytest.approx(b.mean() - a.mean())


def test_the_relative_effect_from_sums_has_its_golden_numbers() -> None:
    # Sums, sums of squares and counts of two arms, as a warehouse hands them out, with the relative effect's
    # known estimate, standard error and two-sided p-value (t, Welch's degrees of freedom).
    control, treatment = (
        Moments.from_sums(1396.87, 52377.9767, 3000),
        Moments.from_sums(2422.7, 134698.29, 3461),
    )
    found = welch(control, treatment)
    assert found.relative == pytest.approx(0.503361, abs=1e-6)
    assert found.relative_standard_error == pytest.approx(0.333412, abs=1e-6)
    assert found.relative_p_value == pytest.approx(0.131165, abs=1e-6)
    # The difference itself is the sharper test here, because control's mean is uncertain.
    assert found.p_value == pytest.approx(0.071085, abs=1e-6)


def test_p_values_and_intervals_agree(rng: np.random.Generator) -> None:
    for shift in np.linspace(0, 0.5, 60):
        e = welch(Moments.of(rng.normal(5, 1, 80)), Moments.of(rng.normal(5 + shift, 2, 60)))
        assert (e.p_value < 0.05) == (e.low > 0 or e.high < 0)
        assert e.relative_low is not None
        assert e.relative_high is not None
        assert e.relative_p_value is not None
        assert e.relative_p_value is not None
        assert (e.relative_p_value < 0.05) == (e.relative_low > 0 or e.relative_high < 0)


def test_relative_effects_of_a_negative_or_zero_control() -> None:
    below = welch(Moments(50, -2.0, 1.0), Moments(50, -1.0, 1.0))
    assert below.relative == -0.5
    assert below.relative_standard_error is not None
    assert below.relative_standard_error > 0
    zero = welch(Moments(50, 0.0, 1.0), Moments(50, 1.0, 1.0))
    assert (zero.relative, zero.relative_low, zero.relative_p_value) == (None, None, None)
    assert zero.p_value < 0.001


def test_without_variance_a_difference_is_certain() -> None:
    assert welch(Moments(5, 1.0, 0.0), Moments(5, 1.0, 0.0)).p_value == 1
    assert welch(Moments(5, 1.0, 0.0), Moments(5, 2.0, 0.0)).p_value == 0


def test_one_user_has_no_variance() -> None:
    with pytest.raises(DataError, match="at least 2 users"):
        Moments.of([1.0])
    with pytest.raises(DataError, match="at least 2 users"):
        Moments.from_sums(1.0, 1.0, 1)
    with pytest.raises(DataError, match="at least 2 users"):
        welch(Moments(1, 0.0, 0.0), Moments(9, 0.0, 1.0))


def test_linearised_values_carry_the_delta_methods_variance(rng: np.random.Generator) -> None:
    shown = rng.integers(1, 40, 500).astype(float)
    clicks = rng.binomial(shown.astype(int), rng.beta(2, 8, 500)).astype(float)
    values = linearise(clicks, shown)
    ratio, (v, c), (_, w) = clicks.sum() / shown.sum(), *np.cov(clicks, shown)
    assert values.mean() == pytest.approx(ratio)
    # Var(x/y) ≈ (Var x - 2 r Cov + r² Var y) / (n ȳ²)
    assert values.var(ddof=1) == pytest.approx((v - 2 * ratio * c + ratio**2 * w) / shown.mean() ** 2)


def test_the_delta_method_agrees_with_the_bootstrap(rng: np.random.Generator) -> None:
    shown = rng.integers(1, 40, 400).astype(float)
    clicks = rng.binomial(shown.astype(int), rng.beta(2, 8, 400)).astype(float)
    draws = rng.integers(0, 400, (4000, 400))
    spread = (clicks[draws].sum(axis=1) / shown[draws].sum(axis=1)).std()
    error = linearise(clicks, shown).std(ddof=1) / np.sqrt(400)
    assert error == pytest.approx(spread, rel=0.05)  # the bootstrap's own noise is 1.1 %


def test_a_ratio_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="denominator"):
        linearise(np.zeros(3), np.zeros(3))
