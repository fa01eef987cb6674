"""Oracles: closed forms, scipy, statsmodels, full enumeration; and simulation of each statistic's own claim."""

import itertools

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from evaluation.bootstrap import (
    bca_interval,
    bootstrap_means,
    constant_interval,
    percentile_interval,
    sign_flip_p,
)
from recsys.errors import ConfigError, DataError

REPEATS = 400
# 3.5 standard errors of a share near 0.95 or 0.05 over 400 independent repeats.
SLACK = 3.5 * np.sqrt(0.95 * 0.05 / REPEATS)


def sparse_column(rng: np.random.Generator, n: int, rate: float) -> np.ndarray:
    """What a metric looks like: mostly 0, else 1 / rank."""
    return (rng.random(n) < rate) / rng.integers(1, 5, size=n)


@pytest.mark.parametrize("n", [3, 50, 400, 5000])
def test_counts_are_multinomial(n: int) -> None:
    """Rows of the unit matrix, so that means are counts / n: their sum, mean, variance, covariance and distribution."""
    columns = np.eye(n)[:, : min(n, 40)]
    counts = bootstrap_means(columns, resamples=4000, seed=11) * n
    np.testing.assert_allclose(counts, counts.round(), atol=1e-9)
    whole = bootstrap_means(np.ones((n, 1)), resamples=200, seed=11)
    np.testing.assert_allclose(whole, 1, atol=1e-12)  # every resample draws n
    cells = counts.size
    # 40 columns are nearly independent; 5 standard errors of a mean and of a variance of about Poisson counts.
    assert counts.mean() == pytest.approx(1, abs=5 / np.sqrt(cells) if n > 40 else 1e-9)
    assert counts.var() == pytest.approx(1 - 1 / n, abs=5 * np.sqrt(3 / cells))
    seen = np.bincount(counts.round().astype(int).ravel(), minlength=8)[:8]
    expected = stats.binom.pmf(np.arange(8), n, 1 / n) * cells
    # 5 standard errors; cells of a resample are dependent, but only so that they vary less.
    assert (np.abs(seen - expected) <= 5 * np.sqrt(expected) + 1).all()


@pytest.mark.parametrize("rate", [0.05, 1.0])
def test_resampled_means_have_the_closed_form_spread(rate: float) -> None:
    values = sparse_column(np.random.default_rng(0), 500, rate)[:, None]
    means = bootstrap_means(values, resamples=20_000, seed=1)[:, 0]
    expected = values.std() / np.sqrt(len(values))  # of a mean of n draws with replacement
    assert means.mean() == pytest.approx(values.mean(), abs=4 * expected / np.sqrt(len(means)))
    assert means.std() == pytest.approx(expected, rel=4 / np.sqrt(2 * len(means)))


def test_leaving_rows_of_zeros_out_changes_no_distribution() -> None:
    rng = np.random.default_rng(2)
    values = sparse_column(rng, 300, 0.1)
    plain = rng.multinomial(300, np.full(300, 1 / 300), size=20_000) @ values / 300
    ours = bootstrap_means(values[:, None], resamples=20_000, seed=3)[:, 0]
    assert stats.ks_2samp(plain, ours).pvalue > 0.001  # fixed seeds: one look, no search


def test_columns_share_their_resamples() -> None:
    rng = np.random.default_rng(4)
    a, b = sparse_column(rng, 200, 0.3), sparse_column(rng, 200, 0.3)
    means = bootstrap_means(np.stack([a, b, a - b], axis=1), resamples=50, seed=0)
    np.testing.assert_allclose(means[:, 0] - means[:, 1], means[:, 2], atol=1e-14)  # rounding of sums of 200


@pytest.mark.parametrize("n", [301, 2001])
@pytest.mark.parametrize("cells", [1, 700, 10**9])
def test_the_block_size_changes_nothing(cells: int, n: int) -> None:
    values = np.random.default_rng(5).integers(-1, 2, size=(n, 3)).astype(np.float32)
    means = bootstrap_means(values, resamples=20, seed=6)
    np.testing.assert_allclose(bootstrap_means(values, resamples=20, seed=6, block_cells=cells), means, atol=1e-14)
    p = sign_flip_p(values, resamples=20, seed=6)
    np.testing.assert_array_equal(sign_flip_p(values, resamples=20, seed=6, block_cells=cells), p)


def test_seeds_decide() -> None:
    values = np.random.default_rng(7).random((50, 1))
    first, again, other = (bootstrap_means(values, resamples=5, seed=s) for s in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_bca_is_scipys() -> None:
    # Many different sums, so that quantiles are no matter of one step of a lattice more or less.
    values = sparse_column(np.random.default_rng(8), 120, 0.3) * np.random.default_rng(9).random(120)
    low, high = bca_interval(values[:, None], bootstrap_means(values[:, None], resamples=40_000, seed=0))
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=40_000, method="BCa", rng=np.random.default_rng(1), vectorized=True
    ).confidence_interval
    error = values.std() / np.sqrt(len(values))
    # A 2.5 % quantile of 40,000 draws has a standard error of about 0.013 sd; two of them, three errors.
    assert low[0] == pytest.approx(theirs.low, abs=0.06 * error)
    assert high[0] == pytest.approx(theirs.high, abs=0.06 * error)


def covered(n: int, rate: float, resamples: int = 400) -> tuple[float, float]:
    """Share of BCa and of percentile intervals that hold the true mean."""
    truth = rate * np.mean([1, 1 / 2, 1 / 3, 1 / 4])
    hits = np.zeros((REPEATS, 2), dtype=bool)
    for i in range(REPEATS):
        values = sparse_column(np.random.default_rng(i), n, rate)[:, None]
        means = bootstrap_means(values, resamples=resamples, seed=10_000 + i)
        for j, (low, high) in enumerate((bca_interval(values, means), percentile_interval(means))):
            hits[i, j] = low[0] <= truth <= high[0]
    bca, percentile = hits.mean(axis=0)
    return float(bca), float(percentile)


def test_intervals_cover_as_often_as_they_say() -> None:
    bca, _ = covered(400, 0.15)
    assert abs(bca - 0.95) < SLACK


def test_where_hits_are_rare_bca_is_nearer_to_its_level() -> None:
    bca, percentile = covered(300, 0.02, resamples=2000)  # about 6 users with a hit; resamples as by default
    assert percentile < bca
    assert bca > 0.95 - SLACK - 0.02  # second-order accurate, not exact, at six hits


@pytest.mark.parametrize("n", [1, 20, 1000])
def test_all_alike_is_clopper_pearson(n: int) -> None:
    values = np.repeat([[0.0, 1.0]], n, axis=0)
    low, high = bca_interval(values, bootstrap_means(values, resamples=10, seed=0))
    for j, count in enumerate((0, n)):
        expected = proportion_confint(count, n, method="beta")
        assert (low[j], high[j]) == pytest.approx(expected, abs=1e-12)


def test_no_difference_in_any_user_leaves_room_on_both_sides() -> None:
    low, high = constant_interval(np.zeros(1), 100, floor=-1.0)
    assert -low[0] == high[0] == pytest.approx(1 - 0.025**0.01)


def test_sign_flips_against_all_of_them() -> None:
    differences = np.array([0.5, 0.5, -0.25, 1.0, 0.2, 0.2, -0.1, 0.3])
    sums = [abs(np.dot(s, differences)) for s in itertools.product((-1, 1), repeat=8)]
    exact = np.mean(np.array(sums) >= abs(differences.sum()) - 1e-12)
    p = sign_flip_p(np.append(differences, np.zeros(20))[:, None], resamples=20_000, seed=0)[0]
    assert p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 20_000))


def test_one_user_proves_nothing() -> None:
    # Either exchange is as extreme as what was seen, though 0.1 + 0.2 and 0.3 differ in their last bit.
    assert sign_flip_p(np.array([[0.7, 0.1]]), resamples=99, seed=0).tolist() == [1.0, 1.0]
    p = sign_flip_p(np.array([[0.1], [0.2], [0.3]]), resamples=8_000, seed=0)[0]
    assert p == pytest.approx(2 / 8, abs=4 * np.sqrt(0.25 * 0.75 / 8_000))  # all three or none of them


def test_equal_models_are_called_different_at_the_nominal_rate() -> None:
    p = []
    for i in range(REPEATS):
        rng = np.random.default_rng(i)
        p.append(sign_flip_p(rng.normal(size=(60, 1)) * rng.random((60, 1)), resamples=199, seed=10_000 + i)[0])
    assert abs(np.mean(np.array(p) <= 0.05) - 0.05) < SLACK  # 200 exchanges in all: 0.05 is attained
    assert stats.kstest(p, "uniform").pvalue > 0.001


def test_a_real_difference_is_found() -> None:
    rng = np.random.default_rng(9)
    p = sign_flip_p(rng.normal(0.5, 1, size=(200, 1)), resamples=999, seed=0)
    assert p[0] == 1 / 1000  # seven standard errors: no exchange comes near


def test_what_cannot_be_resampled_is_refused() -> None:
    for call in (bootstrap_means, sign_flip_p):
        with pytest.raises(DataError, match="finite values of at least one user"):
            call(np.empty((0, 2)), resamples=10, seed=0)
        with pytest.raises(DataError, match="finite values of at least one user"):
            call(np.array([[np.nan]]), resamples=10, seed=0)
        with pytest.raises(ConfigError, match="resamples must be >= 1"):
            call(np.ones((2, 1)), resamples=0, seed=0)
    with pytest.raises(ConfigError, match="level must be between 0 and 1"):
        percentile_interval(np.ones((3, 1)), 95)
