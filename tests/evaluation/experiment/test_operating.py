"""Every interval that claims 95 % covers a known truth in 93 to 97 % of 2,000 simulated experiments."""

from collections.abc import Callable

import numpy as np
import pytest

from evaluation.experiment.covariates import cuped
from evaluation.experiment.effects import by_half, by_number
from evaluation.experiment.looking import any_time, at_planned_looks
from evaluation.experiment.metrics import Metric
from evaluation.experiment.plan import Plan
from evaluation.experiment.values import covariate, user_values
from evaluation.inference import Estimate, Moments, welch
from recsys.errors import ConfigError

TESTS, USERS, LIFT = 2000, 600, 0.2
ARM = np.arange(USERS) % 2
Columns = dict[str, np.ndarray]


def users(rng: np.random.Generator) -> Columns:
    """Shoppers who differ; treatment multiplies orders and spend by 1 + LIFT, visits stay."""
    rate = rng.gamma(2, 0.5, USERS)
    visits = 1.0 + rng.poisson(4 * rate)
    orders = rng.binomial(visits.astype(int), np.where(ARM == 1, 0.25 * (1 + LIFT), 0.25)).astype(float)
    spend = rng.standard_exponential(USERS) * np.where(ARM == 1, 1 + LIFT, 1.0)
    before = 1.0 + rng.poisson(4 * rate)
    return {
        "visits": visits,
        "orders": orders,
        "spend": spend,
        "pre_visits": before,
        "pre_orders": rng.binomial(before.astype(int), 0.25).astype(float),
    }


def estimate(values: np.ndarray) -> Estimate:
    return welch(Moments.of(values[ARM == 0]), Moments.of(values[ARM == 1]))


# Expectations: 5 visits, a quarter of them with an order; P(no order) by averaging 0.75^(1 + Poisson(4 rate)).
MEAN = Metric("orders")
RATIO = Metric("orders", "visits", kind="ratio")
NONE = [(1 - q) * (1 + 4 * q / 2) ** -2 for q in (0.25, 0.25 * (1 + LIFT))]  # E exp(-4 q rate), rate ~ gamma(2, 1/2)
DESIGNS: dict[str, tuple[Metric, bool, float, float]] = {
    "mean": (MEAN, False, 1.25 * LIFT, LIFT),
    "mean, CUPED": (MEAN, True, 1.25 * LIFT, LIFT),
    "ratio": (RATIO, False, 0.25 * LIFT, LIFT),
    "ratio, CUPED": (RATIO, True, 0.25 * LIFT, LIFT),
    "proportion": (Metric("orders", kind="proportion"), False, NONE[0] - NONE[1], (1 - NONE[1]) / (1 - NONE[0]) - 1),
    "median": (Metric("spend", kind="quantile"), False, np.log(2) * LIFT, LIFT),
    "ninth decile": (Metric("spend", kind="quantile", quantile=0.9), False, np.log(10) * LIFT, LIFT),
}


@pytest.mark.parametrize("design", DESIGNS)
def test_intervals_cover_the_truth(design: str) -> None:
    metric, with_past, absolute, relative = DESIGNS[design]
    rng, held = np.random.default_rng(7), np.zeros(2)
    for _ in range(TESTS):
        columns = users(rng)
        values = user_values(columns, metric, ARM)
        assert values is not None
        if with_past:
            past = covariate(columns, metric)
            assert past is not None
            values = cuped(values, past)[0]
        e = estimate(values)
        assert e.relative_low is not None
        assert e.relative_high is not None
        held += (e.low <= absolute <= e.high, e.relative_low <= relative <= e.relative_high)
    assert (held / TESTS >= 0.93).all(), held / TESTS
    assert (held / TESTS <= 0.97).all(), held / TESTS


def coverage(covered: Callable[[np.random.Generator], bool], tests: int = TESTS) -> float:
    rng = np.random.default_rng(8)
    return sum(covered(rng) for _ in range(tests)) / tests


def test_the_slope_of_the_effect_on_a_taste_covers_its_truth() -> None:
    def covered(rng: np.random.Generator) -> bool:
        taste = rng.gamma(2, 1, USERS)
        y = 2 + 0.5 * taste + ARM * (0.1 + 0.3 * taste) + rng.standard_exponential(USERS) * (1 + taste)
        row = by_number(y, ARM, taste, name="lean", alpha=0.05)[0]
        # Control's mean is 2 + 0.5 × 2 + (1 + 2) = 6; a standard deviation of taste is √2.
        return row["low"] <= 0.3 * np.sqrt(2) / 6 <= row["high"]

    assert 0.93 <= coverage(covered) <= 0.97


def test_the_change_between_halves_covers_a_novelty_that_fades() -> None:
    def covered(rng: np.random.Generator) -> bool:
        rate = rng.gamma(2, 0.5, USERS)
        early, late = rng.poisson(rate * (1 + 0.5 * ARM)), rng.poisson(rate * (1 + 0.1 * ARM))
        columns = {"orders": (early + late).astype(float), "late_orders": late.astype(float)}
        row = by_half(columns, ARM, MEAN, 0.05)
        assert row is not None
        return row["low"] <= 0.1 - 0.5 <= row["high"]

    assert 0.93 <= coverage(covered) <= 0.97


@pytest.mark.parametrize("looks", ["any time", "planned"])
def test_intervals_of_tests_that_are_looked_at_four_times_hold_at_all_of_them(looks: str) -> None:
    plan = Plan({"orders": MEAN}, users=USERS, looks="planned")
    read, sizes = (any_time if looks == "any time" else at_planned_looks), (150, 300, 450, 600)

    def seen(orders: np.ndarray, n: int) -> Estimate:
        return welch(*(Moments.of(orders[:n][ARM[:n] == side]) for side in (0, 1)))

    def reach(n: int) -> float:
        """In standard errors; it depends on n alone."""
        e = seen(users(np.random.default_rng(0))["orders"], n)
        reading = read(e, plan)
        assert None not in (e.relative, reading.low, e.relative_standard_error)
        return (e.relative - reading.low) / e.relative_standard_error  # type: ignore[operator]

    reaches = {n: reach(n) for n in sizes}

    def covered(rng: np.random.Generator) -> bool:
        orders = users(rng)["orders"]
        tests = {n: seen(orders, n) for n in sizes}
        return all(abs(e.absolute - 1.25 * LIFT) <= reaches[n] * e.standard_error for n, e in tests.items())

    found = coverage(covered)
    assert 0.93 <= found <= (1.0 if looks == "any time" else 0.97)  # any time: conservative while it is short


def test_an_unusual_number_has_no_slope_and_a_median_among_ties_no_interval() -> None:
    assert by_number(np.ones(USERS), ARM, np.zeros(USERS), name="lean", alpha=0.05) == []
    assert user_values({"orders": np.repeat([0.0, 5.0], 300)[ARM * 0]}, Metric("orders", kind="quantile"), ARM) is None
    with pytest.raises(ConfigError, match="a ratio needs a denominator"):
        Metric("orders", kind="ratio")
