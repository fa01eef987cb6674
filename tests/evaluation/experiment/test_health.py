"""Health checks against scipy, golden numbers, and their own promise of false alarms."""

import numpy as np
import pytest
from scipy import stats

from evaluation.experiment.health import balance, exposure, sample_ratio, sequential_sample_ratio
from evaluation.experiment.split import Split
from recsys.errors import ConfigError, DataError


def test_the_sample_ratio_has_its_golden_numbers() -> None:
    assert sample_ratio((1000, 1200)) == pytest.approx(2.00787e-05, rel=1e-5)
    assert sample_ratio((2023, 1977), continuity=True) == pytest.approx(0.47676672, abs=1e-8)


@pytest.mark.parametrize(("counts", "share"), [((2023, 1977), 0.5), ((810, 190), 0.2), ((3, 9), 0.7)])
def test_the_sample_ratio_is_scipys_chi_square(counts: tuple[int, int], share: float) -> None:
    expected = [sum(counts) * (1 - share), sum(counts) * share]
    assert sample_ratio(counts, share) == pytest.approx(stats.chisquare(counts, expected).pvalue)


def test_the_corrected_sample_ratio_is_close_to_the_binomial_test() -> None:
    exact = stats.binomtest(31, 80, 0.5).pvalue
    corrected, plain = sample_ratio((49, 31), continuity=True), sample_ratio((49, 31))
    assert abs(corrected - exact) < 0.003 < abs(plain - exact)
    assert sample_ratio((5, 5), continuity=True) == 1


def test_no_users_have_no_ratio() -> None:
    with pytest.raises(DataError, match="no users"):
        sample_ratio((0, 0))


def test_the_sequential_ratio_alarms_in_no_more_than_its_share_of_splits_as_planned() -> None:
    came = np.random.default_rng(0).binomial(100, 0.3, (2000, 100)).cumsum(axis=1)
    counts = np.stack([np.arange(100, 10_001, 100) - came, came], axis=2)
    p = np.array([sequential_sample_ratio(c, 0.3)[-1] for c in counts])
    naive = np.array([min(sample_ratio((int(a), int(b)), 0.3) for a, b in c[::10]) for c in counts[:300]])
    assert (p < 0.05).mean() <= 0.05 < 0.12 < (naive < 0.05).mean()
    off = np.stack([np.arange(100, 10_001, 100) * 0.66, np.arange(100, 10_001, 100) * 0.34], axis=1)
    assert sequential_sample_ratio(off, 0.3)[-1] < 1e-10


def test_the_sequential_ratio_is_the_ratio_of_beta_binomial_and_binomial() -> None:
    # scipy: the chance of 70 of 100 under a beta of concentration 40, and under the plan.
    factor = stats.betabinom(100, 12, 28).pmf(70) / stats.binom(100, 0.3).pmf(70)
    assert sequential_sample_ratio([[30, 70]], 0.3, concentration=40)[0] == pytest.approx(1 / factor)
    with pytest.raises(DataError, match="users so far"):
        sequential_sample_ratio([[5, 5], [4, 6]])
    with pytest.raises(ConfigError, match="concentration"):
        sequential_sample_ratio([[5, 5]], concentration=0)


def test_exposure_is_scipys_contingency_test() -> None:
    table = np.array([[80, 20], [60, 45]])
    arm = np.repeat([0, 1], table.sum(axis=1))
    exposed = np.concatenate([np.repeat([True, False], row) for row in table])
    assert exposure(exposed, arm) == pytest.approx(stats.chi2_contingency(table, correction=False).pvalue)
    assert exposure(np.ones(5, bool), np.array([0, 1, 1, 0, 1])) == 1


def test_balance_is_welchs_test_of_the_past() -> None:
    rng = np.random.default_rng(0)
    before, arm = rng.normal(size=200), np.arange(200) % 2
    before[arm == 1] += 0.5
    before[3] = np.nan
    apart, p = balance(before, Split(arm))
    known = ~np.isnan(before)
    groups = before[known & (arm == 1)], before[known & (arm == 0)]
    assert p == pytest.approx(stats.ttest_ind(*groups, equal_var=False).pvalue)
    assert apart == pytest.approx(
        (groups[0].mean() - groups[1].mean()) / np.sqrt(sum(g.var(ddof=1) for g in groups) / 2)
    )
