"""What the past takes out of the noise: golden numbers, least squares, and variances counted over experiments."""

import numpy as np
import pytest
import statsmodels.api as sm
from sklearn.linear_model import LinearRegression

from evaluation.experiment.covariates import cross_fitted, cuped, linear, post_stratified, winsorise
from evaluation.experiment.resplit import resplit
from evaluation.inference import Moments, welch
from recsys.errors import ConfigError, DataError


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_cuped_is_the_residual_of_least_squares(rng: np.random.Generator) -> None:
    x = rng.gamma(2, 1, (300, 2))
    y = 1 + x @ [0.8, -0.3] + rng.normal(0, 1, 300)
    adjusted, ratio = cuped(y, x)
    fit = sm.OLS(y, sm.add_constant(x)).fit()
    assert adjusted - y.mean() == pytest.approx(fit.resid)
    assert ratio == pytest.approx(1 - fit.rsquared)
    assert adjusted.mean() == pytest.approx(y.mean())


def test_a_constant_past_changes_nothing(rng: np.random.Generator) -> None:
    y = rng.normal(size=40)
    adjusted, ratio = cuped(y, np.full(40, 3.0))
    assert (adjusted.tolist(), ratio) == (y.tolist(), 1.0)
    assert cuped(np.ones(40), y)[1] == 1.0


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_cuped_leaves_one_minus_rho_squared_of_the_effects_variance(rho: float, rng: np.random.Generator) -> None:
    x = rng.normal(size=2000)
    y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=2000)
    true = 1 - np.corrcoef(x, y)[0, 1] ** 2
    adjusted, ratio = cuped(y, x)
    assert ratio == pytest.approx(true)
    spread = [resplit(v, n=4000, seed=1).absolute.var() for v in (y, adjusted)]
    assert spread[1] / spread[0] == pytest.approx(true, rel=0.09)  # two variances of 4,000 splits: 2 × 3.2 %


def test_predictions_never_saw_the_user_they_are_for(rng: np.random.Generator) -> None:
    x, y = rng.normal(size=(90, 3)), rng.normal(size=90)
    theirs = cross_fitted(x, y, lambda a, b: LinearRegression().fit(a, b).predict, folds=3, seed=4)
    assert cross_fitted(x, y, linear, folds=3, seed=4) == pytest.approx(theirs)
    changed = y.copy()
    changed[7] += 100
    assert cross_fitted(x, changed, linear, folds=3, seed=4)[7] == pytest.approx(theirs[7])
    with pytest.raises(ConfigError, match="folds must lie in"):
        cross_fitted(x, y, linear, folds=91)


def test_a_model_of_the_past_takes_out_more_than_the_past_itself(rng: np.random.Generator) -> None:
    x = rng.normal(size=(3000, 1))
    y = x[:, 0] ** 2 + rng.normal(0, 0.5, 3000)  # no correlation with x, all of it with x²
    shape = np.column_stack([x, x**2])
    assert cuped(y, x)[1] > 0.95
    assert cuped(y, cross_fitted(shape, y, linear))[1] == pytest.approx(0.25 / 2.25, abs=0.02)


def test_one_stratum_is_welch_and_strata_are_weighted_by_everybody(rng: np.random.Generator) -> None:
    arm, strata = rng.integers(0, 2, 400), rng.integers(0, 3, 400)
    y = strata * 5.0 + 0.3 * arm + rng.normal(size=400)
    plain = welch(Moments.of(y[arm == 0]), Moments.of(y[arm == 1]))
    alone = post_stratified(y, arm, np.zeros(400, np.int64))
    assert list(vars(alone).values()) == pytest.approx(list(vars(plain).values()))
    found = post_stratified(y, arm, strata)
    by_hand = sum(
        (strata == s).mean() * (y[(strata == s) & (arm == 1)].mean() - y[(strata == s) & (arm == 0)].mean())
        for s in range(3)
    )
    assert found.absolute == pytest.approx(by_hand)
    assert found.standard_error < 0.4 * plain.standard_error
    with pytest.raises(DataError, match="join small strata"):
        post_stratified(y[:3], np.array([0, 1, 1]), np.zeros(3, np.int64))


def test_post_stratified_intervals_cover_the_truth(rng: np.random.Generator) -> None:
    strata = np.repeat([0, 1, 2], [100, 200, 300])
    held = 0
    for _ in range(2000):
        arm = rng.integers(0, 2, 600)
        found = post_stratified(strata * 2.0 + arm * 0.5 + rng.standard_exponential(600), arm, strata)
        held += found.low <= 0.5 <= found.high
    assert 0.93 <= held / 2000 <= 0.97


def test_winsorising_caps_both_arms_alike(rng: np.random.Generator) -> None:
    y = rng.pareto(1.5, 1000)
    capped = winsorise(y, 0.99)
    assert (capped == capped.max()).sum() == 11  # the 990th of 1,000 and the ten above
    assert winsorise(y, 1.0).tolist() == y.tolist()
    with pytest.raises(ConfigError, match=r"0\.999 is usual"):
        winsorise(y, 0.0)
