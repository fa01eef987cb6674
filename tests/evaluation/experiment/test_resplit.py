"""Thousands of tests at once are the tests one by one; the count bootstrap is the bootstrap."""

import numpy as np
import pytest
from scipy import stats

from evaluation.bootstrap import bootstrap_means
from evaluation.experiment import resplit as module
from evaluation.experiment.count_bootstrap import CountBootstrap
from evaluation.experiment.resplit import resplit
from evaluation.inference import Moments, linearise, welch
from recsys.errors import ConfigError, DataError


@pytest.fixture
def clicks() -> np.ndarray:
    return np.random.default_rng(0).negative_binomial(1, 0.3, 1000)


def arms(n: int, users: int, allocation: float, seed: int) -> np.ndarray:
    return np.concatenate(list(module._splits(users, n, allocation, seed)))


def test_every_split_is_welchs_test(clicks: np.ndarray) -> None:
    found = resplit(clicks, n=20, allocation=0.3, effect=0.1, seed=5)
    for i, arm in enumerate(arms(20, 1000, 0.3, 5)):
        a, b = clicks[arm == 0], 1.1 * clicks[arm == 1]
        assert found.p_value[i] == pytest.approx(stats.ttest_ind(a, b, equal_var=False).pvalue)
        assert found.relative[i] == pytest.approx(b.mean() / a.mean() - 1)


def test_every_split_of_a_ratio_is_the_delta_method(clicks: np.ndarray) -> None:
    shown = clicks + np.random.default_rng(1).poisson(8, 1000) + 1.0
    found = resplit(clicks, shown, n=5, seed=6)
    for i, arm in enumerate(arms(5, 1000, 0.5, 6)):
        a, b = (Moments.of(linearise(clicks[arm == s].astype(float), shown[arm == s])) for s in (0, 1))
        one = welch(a, b)
        assert (found.absolute[i], found.standard_error[i]) == pytest.approx((one.absolute, one.standard_error))
        assert found.p_value[i] == pytest.approx(one.p_value)


def test_aa_tests_of_ones_own_data_alarm_as_often_as_they_say(clicks: np.ndarray) -> None:
    found = resplit(clicks, n=20_000)
    assert found.rate(0.05) == pytest.approx(0.05, abs=0.0062)  # 4 standard errors
    assert found.rate(0.01) == pytest.approx(0.01, abs=0.0035)


def test_impressions_as_units_alarm_in_a_sixth_of_tests_where_users_are_randomised() -> None:
    rng = np.random.default_rng(2)
    shown = rng.poisson(20, 4000) + 1
    clicks = rng.binomial(shown, rng.beta(1.6, 14.4, 4000))
    arm = arms(4000, 4000, 0.5, 3)
    x, y = arm @ clicks, arm @ shown
    other = clicks.sum() - x, shown.sum() - y
    pooled = clicks.sum() / shown.sum()
    z = (x / y - other[0] / other[1]) / np.sqrt(pooled * (1 - pooled) * (1 / y + 1 / other[1]))
    # Users who differ make the ratio's variance `factor` times the binomial one, which is all that z knows of.
    design = resplit(clicks, shown, n=4000, seed=3)
    factor = np.mean(design.standard_error**2) / (pooled * (1 - pooled) * 4 / shown.sum())
    expected = 2 * stats.norm.sf(1.96 / np.sqrt(factor))
    assert (np.abs(z) > 1.96).mean() == pytest.approx(expected, abs=0.025)
    assert 0.14 < (np.abs(z) > 1.96).mean() < 0.22
    assert design.rate() == pytest.approx(0.05, abs=0.0138)  # 4 standard errors


def test_the_same_seed_is_the_same_result_whatever_the_block(
    clicks: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = resplit(clicks, n=300, seed=1)
    monkeypatch.setattr(module, "BLOCK_CELLS", 7000)
    assert resplit(clicks, n=300, seed=1).p_value.tolist() == whole.p_value.tolist()
    assert resplit(clicks, n=300, seed=2).p_value.tolist() != whole.p_value.tolist()


def test_what_cannot_be_split_is_refused() -> None:
    with pytest.raises(DataError, match="at least 4 users"):
        resplit([1.0, 2.0])
    with pytest.raises(ConfigError, match="allocation"):
        resplit(np.ones(9), allocation=1.0)
    assert resplit(np.zeros(9), n=50).rate() == 0  # nothing varies, nothing is found


def test_the_count_bootstrap_is_the_convolution_of_its_counts() -> None:
    counts = np.array([0, 0, 3, 1, 0, 2])
    share = np.bincount(counts) / 6
    chance = np.ones(1)
    for _ in range(6):
        chance = np.convolve(chance, share)
    assert CountBootstrap.of(counts).cumulative == pytest.approx(np.cumsum(chance), abs=1e-14)


def test_its_means_are_those_of_resampled_users(clicks: np.ndarray) -> None:
    ours = CountBootstrap.of(clicks).means(20_000, seed=1)
    theirs = bootstrap_means(clicks[:, None].astype(float), resamples=20_000, seed=2)[:, 0]
    assert stats.ks_2samp(ours, theirs).pvalue > 0.001
    assert ours.mean() == pytest.approx(clicks.mean(), abs=5 * clicks.std() / np.sqrt(1000 * 20_000))
    low, high = CountBootstrap.of(clicks).interval(0.9)
    assert np.quantile(theirs, [0.05, 0.95]) == pytest.approx([low, high], abs=0.01)


def test_users_who_never_click_have_a_mean_of_zero() -> None:
    nobody = CountBootstrap.of(np.zeros(5, int))
    assert (nobody.means(3, seed=0).tolist(), nobody.interval()) == ([0, 0, 0], (0, 0))


def test_what_is_no_count_is_refused() -> None:
    for values in ([0.5], [-1], [], [np.nan]):
        with pytest.raises(DataError, match="whole numbers"):
            CountBootstrap.of(np.array(values))
    with pytest.raises(DataError, match="too many"):
        CountBootstrap.of(np.array([10**6] * 1000))
