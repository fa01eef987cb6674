"""What a plan may ask for beside Welch: covariates, strata, the bootstrap; each held to its coverage and its gain."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from evaluation.bootstrap import bootstrap_means
from evaluation.experiment.analyze import Analysis, analyze
from evaluation.experiment.decision import analyze_log
from evaluation.experiment.metrics import Metric
from evaluation.experiment.plan import LogConfig, Plan, read_plan
from evaluation.experiment.planning import Wish, sizes_from_log
from evaluation.experiment.resampled import resampled_metric
from evaluation.experiment.user_table import strata
from recsys.errors import ConfigError

TESTS, USERS, EFFECT = 2000, 400, 0.5
ARM = np.arange(USERS) % 2
ORDERS = Metric("orders")


def users(seed: int) -> pd.DataFrame:
    """Orders depend on age (curved), on a group, and not on noise; treatment adds EFFECT."""
    rng = np.random.default_rng(seed)
    age, group = rng.normal(0, 1, USERS), rng.integers(0, 3, USERS)
    y = 5 + age**2 + 2.0 * group + EFFECT * ARM + rng.standard_exponential(USERS)
    return pd.DataFrame({"arm": ARM, "orders": y, "age": age, "square": age**2, "group": group})


def coverage(plan: Plan, tests: int = TESTS) -> tuple[float, list[Analysis]]:
    found = [analyze(users(seed), plan) for seed in range(tests)]
    deciding = [a.deciding("goal")[0].estimate for a in found]
    return float(np.mean([e.low <= EFFECT <= e.high for e in deciding])), found


def ratio_of_variances(found: list[Analysis]) -> float:
    """Of the deciding effect to the raw one, over simulated tests."""
    raw = np.array([a.results[0].estimate.absolute for a in found])
    mine = np.array([a.deciding("goal")[0].estimate.absolute for a in found])
    return float(mine.var() / raw.var())


# Variances: age² 2, 2 × group 8/3, exponential 1.
def test_cupac_covers_and_takes_out_what_the_covariates_explain() -> None:
    share, found = coverage(Plan({"orders": ORDERS}, log=LogConfig(covariates=("age", "square", "group"))))
    assert found[0].deciding("goal")[0].method == "Welch + CUPAC"
    assert 0.93 <= share <= 0.97
    explained = 1 / (2 + 8 / 3 + 1)
    assert ratio_of_variances(found) == pytest.approx(explained, rel=0.15)
    told = np.mean([a.deciding("goal")[0].variance_ratio for a in found])
    assert told == pytest.approx(explained, rel=0.1)


def test_post_stratification_covers_and_takes_out_what_lies_between_strata() -> None:
    share, found = coverage(Plan({"orders": ORDERS}, log=LogConfig(strata="group")))
    assert found[0].deciding("goal")[0].method == "Welch + strata"
    assert 0.93 <= share <= 0.97
    assert ratio_of_variances(found) == pytest.approx(3 / (2 + 8 / 3 + 1), rel=0.12)


@pytest.mark.parametrize("kind", ["mean", "proportion", "ratio", "quantile"])
def test_bootstrap_intervals_cover(kind: str) -> None:
    """Of one arm against a known truth, 2,000 tests: the resampled metric is what the interval is made of."""
    rng = np.random.default_rng(3)
    metric = Metric("x", "y" if kind == "ratio" else None, kind=kind)  # type: ignore[arg-type]
    truth = {"mean": 2.0, "proportion": 1 - np.exp(-0.5), "ratio": 0.5, "quantile": 2 * np.log(2)}[kind]
    held = 0
    for seed in range(TESTS):
        y = 1.0 + rng.poisson(3, 200)
        x = {
            "mean": rng.gamma(2, 1, 200),
            "proportion": rng.poisson(0.5, 200).astype(float),
            "ratio": rng.binomial(y.astype(int), 0.5).astype(float),
            "quantile": rng.exponential(2, 200),
        }[kind]
        drawn = np.sort(resampled_metric({"x": x, "y": y}, metric, resamples=399, seed=seed))
        held += drawn[9] <= truth <= drawn[389]
    assert 0.93 <= held / TESTS <= 0.97


def test_a_resampled_median_is_that_of_users_drawn_again() -> None:
    x = np.random.default_rng(0).exponential(1, 151)
    ours = resampled_metric({"x": x}, Metric("x", kind="quantile", quantile=0.9), resamples=20_000, seed=1)
    rng = np.random.default_rng(2)
    theirs = np.quantile(rng.choice(x, (20_000, 151)), 0.9, axis=1)
    # `np.quantile` of 151 values at 0.9 is a single one, so both are distributions over the same points.
    assert stats.ks_2samp(ours, theirs).pvalue > 0.001
    even = resampled_metric({"x": x[:100]}, Metric("x", kind="quantile"), resamples=20_000, seed=3)
    drawn = np.quantile(rng.choice(x[:100], (20_000, 100)), 0.5, axis=1)
    assert stats.ks_2samp(even, drawn).pvalue > 0.001


def test_a_resampled_mean_is_the_count_bootstraps() -> None:
    x = np.random.default_rng(0).poisson(1.0, 80).astype(float)
    ours = resampled_metric({"x": x}, Metric("x"), resamples=50, seed=4)
    assert ours == pytest.approx(bootstrap_means(np.column_stack([x, x * 0 + 1]), resamples=50, seed=4)[:, 0])


def test_the_bootstraps_interval_and_p_value_never_disagree_and_are_near_welchs() -> None:
    plan, agree = Plan({"orders": ORDERS}, intervals="bootstrap", resamples=999), []
    for seed in range(60):
        table = users(seed).assign(orders=lambda f: f["orders"] - 0.3 * f["arm"])
        mine = analyze(table, plan).deciding("goal")[0]
        plain = analyze(table, replace(plan, intervals="t")).deciding("goal")[0].estimate
        e = mine.estimate
        assert (e.p_value <= 0.05) == (not e.low <= 0 <= e.high)
        assert e.absolute == plain.absolute
        # The 2.5 % point of 999 draws errs by √(.025 × .975 / 999) / φ(1.96) = 0.085 standard errors; four of them.
        assert e.low == pytest.approx(plain.low, abs=0.34 * plain.standard_error)
        agree.append(e.standard_error / plain.standard_error)
    assert mine.method == "mean, bootstrap"
    assert np.mean(agree) == pytest.approx(1, abs=0.02)


def test_bootstrap_decides_with_covariates_and_strata_too() -> None:
    log = LogConfig(covariates=("square",), strata="group")
    found = analyze(users(1), Plan({"orders": ORDERS}, log=log, intervals="bootstrap", resamples=999))
    assert [r.method for r in found.results] == [
        "mean, bootstrap",
        "mean + CUPAC, bootstrap",
        "mean + CUPAC + strata",
    ]
    assert found.results[2].variance_ratio < found.results[1].variance_ratio < 1


def test_boosted_trees_find_the_curve_that_a_line_misses() -> None:
    rng = np.random.default_rng(1)
    age = rng.normal(0, 1, 3000)
    table = pd.DataFrame({"arm": np.arange(3000) % 2, "orders": 5 + age**2 + rng.normal(0, 0.5, 3000), "age": age})
    plan = Plan({"orders": ORDERS}, log=LogConfig(covariates=("age",)))
    line, trees = (
        analyze(table, replace(plan, regressor=r)).deciding("goal")[0].variance_ratio for r in ("linear", "boosted")
    )
    assert line > 0.95
    assert trees < 0.25  # 0.25 / 2.25 is the least


def test_unknown_covariates_are_the_average_and_say_so() -> None:
    table = users(2)
    holes = table.assign(square=table["square"].where(np.arange(USERS) % 4 > 0))
    plan = Plan({"orders": ORDERS}, log=LogConfig(covariates=("square", "group")))
    whole, some = (analyze(t, plan).deciding("goal")[0] for t in (table, holes))
    assert some.estimate.n_control == whole.estimate.n_control
    assert whole.variance_ratio < some.variance_ratio < 1


def test_small_strata_are_joined_by_size_alone() -> None:
    labels = pd.Series(["a"] * 100 + ["b"] * 60 + ["c"] * 30 + ["d"] * 29 + [None])
    code = strata(labels)
    assert np.bincount(code).tolist() == [100, 60, 60]
    assert strata(pd.Series(["x", "y"])).tolist() == [0, 0]


def test_a_plan_in_a_file_is_honoured_from_the_log_on(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "plan.toml").write_text(
        'intervals = "bootstrap"\nresamples = 999\n[log]\nlevel = "user"\ncovariates = ["square"]\nstrata = "group"\n'
        '[goals.orders]\nnumerator = "orders"\n'
    )
    plan = read_plan(tmp_path / "plan.toml")
    table = users(4).assign(user_id=np.arange(USERS))
    found = analyze_log(table, plan).analysis
    expected = analyze(table, plan)
    assert [r.method for r in found.results] == [r.method for r in expected.results]
    assert [r.estimate.absolute for r in found.results[::2]] == pytest.approx(
        [r.estimate.absolute for r in expected.results[::2]]
    )


def test_options_that_do_not_fit_a_design_are_refused() -> None:
    with pytest.raises(ConfigError, match="strata is for tests whose users are randomised"):
        Plan({"orders": ORDERS}, log=LogConfig(cluster="shop", strata="group"), design="cluster")
    with pytest.raises(ConfigError, match="segments is for tests whose users are randomised"):
        Plan({"orders": ORDERS}, log=LogConfig(segments=("group",)), design="interleaving")
    with pytest.raises(ConfigError, match="sizes from a log are those of randomised users"):
        sizes_from_log(users(0), Plan({"orders": ORDERS}, log=LogConfig(cluster="group"), design="cluster"), Wish())
    with pytest.raises(ConfigError, match="must differ"):
        LogConfig(control="a", treatments=("b", "a"))
    with pytest.raises(ConfigError, match="resamples must be >= 999"):
        Plan({"orders": ORDERS}, resamples=10)
    with pytest.raises(ConfigError, match="adjustment"):
        Plan({"orders": ORDERS}, adjust="dunnett")


def test_the_past_of_clusters_takes_noise_out_of_their_effect_and_it_still_covers() -> None:
    """300 shoppers in 30 shops; what a shop and a shopper did before says half of what they do."""
    plan, held, shrunk = Plan({"orders": ORDERS}, log=LogConfig(cluster="shop"), design="cluster"), 0, []
    shop, tests = np.repeat(np.arange(30), 10), 1000
    for seed in range(tests):
        rng = np.random.default_rng(seed)
        arm = rng.permutation(np.arange(30) % 2)[shop]
        before = rng.normal(5, 1, 30)[shop] + rng.normal(0, 1, 300)
        y = before + EFFECT * arm + rng.normal(0, 0.5, 30)[shop] + rng.normal(0, 1, 300)
        table = pd.DataFrame({"arm": arm, "cluster": shop, "orders": y, "pre_orders": before})
        raw, mine = analyze(table, plan).results
        held += mine.estimate.low <= EFFECT <= mine.estimate.high
        shrunk.append(mine.estimate.standard_error / raw.estimate.standard_error)
    assert 0.93 <= held / tests <= 0.97  # ± 0.7 %
    assert np.mean(shrunk) < 0.75
