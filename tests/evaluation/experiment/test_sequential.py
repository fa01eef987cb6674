"""Looking as often as one likes: golden numbers, identities, and false alarms counted over simulated A/A tests."""

import numpy as np
import pytest
from scipy import stats

from evaluation.experiment.group_sequential import boundaries
from evaluation.experiment.sequential import anytime_p_value, anytime_reach, msprt_p_value
from evaluation.inference import Moments, welch
from recsys.errors import ConfigError

TESTS, USERS, LOOKS = 4000, 5000, 100
# A rate of 5 % over 4,000 tests has a standard error of 0.34 %.


@pytest.fixture(scope="module")
def walks() -> tuple[np.ndarray, np.ndarray]:
    """z of A/A tests (tests, looks) by running sums of skewed outcomes, and users in both arms at each look."""
    rng = np.random.default_rng(3)
    size = (TESTS, LOOKS, USERS // LOOKS)
    control, treatment = (
        (v.sum(axis=2).cumsum(axis=1), (v * v).sum(axis=2).cumsum(axis=1))
        for v in (rng.standard_exponential(size, dtype=np.float32) for _ in range(2))
    )
    n = np.arange(1, LOOKS + 1) * (USERS // LOOKS)
    (m0, v0), (m1, v1) = ((s / n, (q - s**2 / n) / (n - 1)) for s, q in (control, treatment))
    return (m1 - m0) / np.sqrt((v0 + v1) / n), 2 * n


def test_the_asymptotic_confidence_sequence_has_its_golden_numbers() -> None:
    # Relative effect of two arms given by sums, the sequence tuned for 1,000 users.
    found = welch(Moments.from_sums(1396.87, 52377.9767, 3000), Moments.from_sums(2422.7, 134698.29, 3461))
    assert found.relative is not None
    assert found.relative_standard_error is not None
    reach = found.relative_standard_error * anytime_reach(6461, alpha=0.05, tuned_for=1000)
    assert found.relative - reach == pytest.approx(-0.55844, abs=1e-5)
    assert found.relative + reach == pytest.approx(1.56516, abs=1e-5)


def test_naive_peeking_alarms_in_two_fifths_of_tests_and_ours_in_one_twentieth(
    walks: tuple[np.ndarray, np.ndarray],
) -> None:
    z, n = walks
    naive = (np.abs(z) > 1.96).any(axis=1).mean()
    assert 0.37 < naive < 0.41  # Armitage, McPherson and Rowe 1969: 0.39 for 100 looks at normal data
    ours = (np.abs(z) > anytime_reach(n, alpha=0.05, tuned_for=2 * USERS)).any(axis=1).mean()
    assert 0.005 < ours <= 0.05
    planned = np.arange(LOOKS // 4, LOOKS + 1, LOOKS // 4) - 1
    for spending in ("obrien-fleming", "pocock", "t^2"):
        crossed = np.abs(z[:, planned]) >= boundaries([0.25, 0.5, 0.75, 1], spending=spending)
        assert 0.04 < crossed.any(axis=1).mean() < 0.06, spending  # ± 3 standard errors


def test_intervals_that_hold_at_all_looks_cover_the_truth(walks: tuple[np.ndarray, np.ndarray]) -> None:
    # A known difference shifts z by effect / error; whether the interval holds it depends on the noise alone.
    z, n = walks
    held = (np.abs(z) <= anytime_reach(n, alpha=0.05, tuned_for=1000)).all(axis=1).mean()
    assert held >= 0.95


def test_the_p_value_is_below_alpha_where_the_interval_excludes_zero() -> None:
    for alpha in (0.01, 0.05, 0.2):
        n = np.array([10, 300, 10_000])
        edge = anytime_reach(n, alpha=alpha, tuned_for=700)
        assert anytime_p_value(edge, n, alpha=alpha, tuned_for=700) == pytest.approx(np.full(3, alpha))


def test_the_mixture_is_the_ratio_of_marginal_and_null_densities() -> None:
    # scipy: the marginal of an effect N(0, τ²) seen with error V is N(0, V + τ²).
    z, variance, tau = np.array([0.4, 2.0, 5.0]), 0.3, 1.1
    effect = z * np.sqrt(variance)
    marginal = stats.norm(0, np.sqrt(variance + tau**2)).pdf(effect)
    factor = marginal / stats.norm(0, np.sqrt(variance)).pdf(effect)
    assert msprt_p_value(z, tau**2 / variance) == pytest.approx(np.minimum(1 / factor, 1))


def test_the_sequence_is_narrowest_where_it_is_tuned() -> None:
    at = {t: float(anytime_reach(5000, alpha=0.05, tuned_for=t)) for t in (500, 5000, 50_000)}
    assert min(at, key=at.__getitem__) == 5000
    with pytest.raises(ConfigError, match="tuned_for above 0"):
        anytime_reach(10, alpha=0.05, tuned_for=0)
