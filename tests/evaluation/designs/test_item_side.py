"""Products and categories as units: the closed form of the bias, simulated shoppers, intervals held to their word."""

import numpy as np
import pytest

from evaluation.designs.item_side import item_side_lift, rehearse_items, roll_out_lift
from evaluation.experiment.decision import analyze_log
from evaluation.experiment.split import Split, clustered
from evaluation.experiment.values import user_values
from evaluation.inference import welch
from evaluation.response import Choice, PositionBased
from evaluation.simulate import Arm
from recsys.errors import ConfigError, DataError

PUBLISHED = {0.05: 9.45, 0.2: 7.84, 0.5: 4.76, 0.8: 1.85}
TESTS = 2000


def even_slate(p: float, places: int = 10) -> tuple[Arm, Arm]:
    """Pages of alike items that are clicked with probability p; with the look, attraction × 1.1."""
    items = np.tile(np.arange(places), (3, 1))
    odds = np.full(items.shape, np.log(p / (1 - p) / places))
    return Arm("original", items, odds), Arm("stylised", items, odds + np.log(1.1))


def test_the_roll_out_gains_less_than_the_item_side_test_says() -> None:
    baseline = np.array(list(PUBLISHED))
    assert 100 * roll_out_lift(baseline, 1.1) == pytest.approx(list(PUBLISHED.values()), abs=0.005)
    for p in baseline:
        slate = np.full(10, p / (1 - p) / 10)
        assert item_side_lift(slate, np.arange(10) % 2 == 0, 1.1) == pytest.approx(0.1)


@pytest.mark.parametrize("p", PUBLISHED)
def test_an_item_side_test_of_shoppers_who_choose_one_product_says_ten_percent(p: float) -> None:
    test = rehearse_items(*even_slate(p), Choice(), visits=150_000, seed=1)
    assert 100 * (test.truth["click_through_rate"]["relative"] or 0) == pytest.approx(PUBLISHED[p], abs=0.005)
    clicks = test.log.groupby("variant")["clicks"].agg(["sum", "mean"])
    naive = clicks["mean"]["stylised"] / clicks["mean"]["original"] - 1
    assert naive == pytest.approx(0.1, abs=4 * 1.1 * np.sqrt((1 / clicks["sum"]).sum()))  # 4 Poisson errors


def test_shoppers_who_do_not_compare_leave_no_bias_and_pages_of_one_category_neither() -> None:
    control, treatment = even_slate(0.8)
    apart = rehearse_items(control, treatment, PositionBased(eta=0), visits=60_000, seed=1)
    found = apart.read().analysis.deciding("goal")[0].estimate.relative
    assert found == pytest.approx(apart.truth["click_through_rate"]["relative"], abs=0.025)
    # 400 categories of ten products, each page of one: they compete, but never across the split.
    items = np.arange(4000).reshape(400, 10)
    odds = np.full(items.shape, np.log(4 / 10))
    arms = Arm("original", items, odds), Arm("stylised", items, odds + np.log(1.1))
    whole = rehearse_items(*arms, Choice(), np.arange(4000) // 10, visits=150_000, seed=1).read()
    assert whole.analysis.deciding("goal")[0].estimate.relative == pytest.approx(0.0185, abs=0.012)


def many_categories() -> tuple[Arm, Arm, np.ndarray]:
    """Products of 40 categories that differ a lot, five places a page, mixed."""
    rng = np.random.default_rng(0)
    category = np.sort(rng.integers(0, 40, 200))
    items = rng.integers(0, 200, (300, 5))
    odds = (rng.normal(-1.5, 0.5, 40)[category] + rng.normal(0, 0.3, 200))[items]
    return Arm("original", items, odds), Arm("stylised", items, odds + 0.2), category


def test_cluster_robust_intervals_cover_the_roll_out_and_those_of_rows_do_not() -> None:
    control, treatment, category = many_categories()
    held = np.zeros(2)
    for seed in range(TESTS):
        test = rehearse_items(control, treatment, PositionBased(), category, visits=600, seed=seed)
        log, true = test.log, test.truth["click_through_rate"]["absolute"]
        arm, y = (log["variant"] == "stylised").to_numpy(np.int64), log["clicks"].to_numpy(np.float64)
        robust = welch(*Split(arm, log["cluster_id"].to_numpy()).moments(y))
        rows = welch(*Split(arm).moments(y))
        held += [e.low <= true <= e.high for e in (robust, rows)]
    assert 0.93 <= held[0] / TESTS <= 0.97, held / TESTS
    assert held[1] / TESTS < 0.8


def test_the_analysis_of_the_log_is_the_jackknife_over_clusters() -> None:
    control, treatment, category = many_categories()
    test = rehearse_items(control, treatment, PositionBased(), category, visits=2000, seed=3)
    found = analyze_log(test.log, test.plan).analysis.deciding("goal")[0].estimate
    sums = test.log.groupby(["variant", "cluster_id"])["clicks"].agg(["sum", "size"])
    for name, mean, n in (
        ("original", found.control, found.n_control),
        ("stylised", found.treatment, found.n_treatment),
    ):
        side = sums.loc[name]
        assert mean == pytest.approx(side["sum"].sum() / side["size"].sum())
        assert n == len(side)
    told = test.read().to_json()["results"][0]
    assert told["truth"] == test.truth["click_through_rate"]["absolute"]
    assert isinstance(told["covers_truth"], bool)


def test_the_jackknife_leaves_each_cluster_out() -> None:
    rng = np.random.default_rng(0)
    cluster, y = rng.integers(0, 7, 60), rng.exponential(size=60)
    without = np.array([y[cluster != c].mean() for c in range(7)])
    found = clustered(y, cluster)
    assert (found.n, found.mean) == (7, pytest.approx(y.mean()))
    assert found.variance / found.n == pytest.approx(6 / 7 * ((without - without.mean()) ** 2).sum())
    alone = clustered(y, np.arange(60))
    assert (alone.mean, alone.variance) == pytest.approx((y.mean(), y.var(ddof=1)))


def test_a_quantile_of_rows_is_covered_where_users_are_randomised() -> None:
    """Deng, Knoblich and Lu 2018: users as clusters of page loads."""
    from evaluation.experiment.metrics import Metric

    rng, held, naive = np.random.default_rng(4), 0, 0
    user = np.repeat(np.arange(200), 10)
    arm = user % 2
    # Log-normal with variance 1 between and 1 within users: the median is 1 in both arms, the ninth decile too alike.
    true = 0.0
    for _ in range(TESTS):
        y = np.exp(rng.normal(0, 1, 200)[user] + rng.normal(0, 1, 2000))
        values = user_values({"ms": y}, Metric("ms", kind="quantile", quantile=0.9), arm)
        assert values is not None
        e, rows = welch(*Split(arm, user).moments(values)), welch(*Split(arm).moments(values))
        held += e.low <= true <= e.high
        naive += rows.low <= true <= rows.high
    assert 0.93 <= held / TESTS <= 0.97
    assert naive / TESTS < 0.85


def test_what_is_no_slate_is_refused() -> None:
    with pytest.raises(ConfigError, match="baseline must lie in"):
        roll_out_lift(1.2, 1.1)
    with pytest.raises(DataError, match="treated and control items"):
        item_side_lift([1.0], [True], 1.1)
    control, treatment = even_slate(0.5)
    with pytest.raises(DataError, match="must list the same items"):
        rehearse_items(control, Arm("b", treatment.items[:, ::-1], treatment.log_odds), Choice())
    with pytest.raises(DataError, match="a code >= 0 of each of 10 items"):
        rehearse_items(control, treatment, Choice(), np.zeros(3, np.int64))
