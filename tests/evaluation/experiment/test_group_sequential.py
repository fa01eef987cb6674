"""Boundaries against published tables, an independent integral, and simulation."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.stats import norm

from evaluation.experiment.group_sequential import boundaries, crossing, group_p_value, looks_so_far
from recsys.errors import ConfigError

QUARTERS = (0.25, 0.5, 0.75, 1.0)


def test_power_spending_has_its_golden_numbers() -> None:
    found = boundaries(QUARTERS, alpha=0.05, spending="t^2")
    # Published with five digits from a coarse grid; the integral below shows the second to be 2.55935.
    assert found == pytest.approx([2.95517, 2.55932, 2.30081, 2.09191], abs=7e-5)


@pytest.mark.parametrize(
    ("spending", "published"),
    # Reboussin, DeMets, Kim and Lan, Programs for computing group sequential boundaries, 2000, tables for 4 looks.
    [("obrien-fleming", [4.3326, 2.9631, 2.3590, 2.0141]), ("pocock", [2.3683, 2.3675, 2.3583, 2.3500])],
)
def test_boundaries_of_lan_and_demets_are_the_published_ones(spending: str, published: list[float]) -> None:
    assert boundaries(QUARTERS, spending=spending) == pytest.approx(published, abs=2e-4)


def test_the_second_bound_is_that_of_an_independent_integral() -> None:
    first = norm.isf(0.05 / 16 / 2)
    r = np.sqrt(0.5)  # correlation of z at a quarter and at a half

    def stays(bound: float) -> float:
        def inner(z: float) -> float:
            ends = norm.cdf((np.array([bound, -bound]) - r * z) / np.sqrt(1 - r * r))
            return float(norm.pdf(z) * (ends[0] - ends[1]))

        return quad(inner, -first, first, epsabs=1e-12)[0]

    exact = brentq(lambda bound: stays(bound) - (1 - 0.05 / 4), 2, 3)
    assert boundaries(QUARTERS, spending="t^2")[:2] == pytest.approx([first, exact], abs=1e-7)


def test_one_look_is_the_usual_test() -> None:
    assert boundaries([1.0])[0] == pytest.approx(1.959964, abs=1e-6)
    assert group_p_value(1.7, [1.0]) == pytest.approx(2 * norm.sf(1.7))


@pytest.mark.parametrize("spending", ["obrien-fleming", "pocock", "t", "t^3"])
def test_the_error_of_all_looks_is_alpha_and_the_power_that_of_simulation(spending: str) -> None:
    bounds = boundaries(QUARTERS, spending=spending)
    assert crossing(bounds, QUARTERS).sum() == pytest.approx(0.05, abs=1e-8)
    steps = np.random.default_rng(1).normal(2.8 / 4, 0.5, (200_000, 4)).cumsum(axis=1)
    hits = np.abs(steps / np.sqrt(QUARTERS)) >= bounds
    first = np.bincount(np.argmax(hits, axis=1)[hits.any(axis=1)], minlength=4) / len(steps)
    assert crossing(bounds, QUARTERS, drift=2.8) == pytest.approx(first, abs=0.005)  # 4 standard errors


def test_the_p_value_is_alpha_on_the_bound_and_uniform_or_less_without_effect() -> None:
    bounds = boundaries([0.3, 0.7], alpha=0.02, spending="pocock")
    assert group_p_value(bounds[1], [0.3, 0.7], spending="pocock") == pytest.approx(0.02, rel=1e-6)
    assert group_p_value(-bounds[1], [0.3, 0.7], spending="pocock") == pytest.approx(0.02, rel=1e-6)
    assert group_p_value(0.0, [0.3, 0.7]) == 1.0
    # Both looks together: the chance that either p-value is below 0.1 is 0.1.
    z = np.random.default_rng(2).normal(0, np.sqrt([0.5, 0.5]), (100_000, 2)).cumsum(axis=1) / np.sqrt([0.5, 1])
    edge = [brentq(lambda b, t=t: group_p_value(b, t) - 0.1, 1, 4) for t in ([0.5], [0.5, 1.0])]
    assert (np.abs(z) >= edge).any(axis=1).mean() == pytest.approx(0.1, abs=0.004)


def test_a_look_is_the_planned_one_nearest_to_it() -> None:
    assert looks_so_far(QUARTERS, 0.49) == (0.25, 0.49)
    assert looks_so_far(QUARTERS, 0.24) == (0.24,)
    assert looks_so_far(QUARTERS, 1.3) == (0.25, 0.5, 0.75, 1.0)


def test_shares_that_do_not_rise_are_refused() -> None:
    for shares in ([], [0.0, 1.0], [0.5, 0.5], [0.5, 1.2]):
        with pytest.raises(ConfigError, match="must rise within"):
            boundaries(shares)
    with pytest.raises(ConfigError, match="did you mean 'pocock'"):
        boundaries([1.0], spending="pococ")
