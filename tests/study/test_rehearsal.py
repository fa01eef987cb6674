"""Repeated simulated tests: power against statsmodels, bias and coverage against their own claims."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from statsmodels.stats.power import NormalIndPower

from evaluation.simulate import ABConfig, Arm, simulate
from study.rehearsal import power_curve, repeat, sequence

CONFIG = ABConfig(users=2000, slate=4)


def arms(shift: float) -> tuple[Arm, Arm]:
    rng = np.random.default_rng(3)
    items = np.tile(np.arange(4), (200, 1))
    plain = rng.normal(-1.7, 0.5, items.shape).astype(np.float32)
    return Arm("original", items, plain), Arm("stylised", items, (plain + np.float32(shift)).astype(np.float32))


def test_the_power_curve_is_that_of_a_z_test() -> None:
    # Oracle: statsmodels; two arms of n with standard deviation 1, so the difference has the error √(2/n).
    n = 800
    for effect, power in power_curve(np.sqrt(2 / n), 0.3, 0.05)[1:]:
        known = NormalIndPower().power(effect, nobs1=n, alpha=0.05, ratio=1, alternative="two-sided")
        assert power == pytest.approx(known, abs=1e-9)


def test_repeats_of_nothing_alarm_at_the_level_and_cover() -> None:
    # 200 tests: exact 95% Monte-Carlo intervals must hold the nominal 5% and 95%, and the bias interval 0.
    found = repeat(*arms(0.0), CONFIG, 200, seed=5)
    assert found["true"] == pytest.approx(0.0, abs=1e-12)
    assert found["found_low"] <= 0.05 <= found["found_high"]
    assert found["coverage_low"] <= 0.95 <= found["coverage_high"]
    assert found["bias_low"] <= 0 <= found["bias_high"]


def test_repeats_of_an_effect_find_it_as_often_as_the_formula_says() -> None:
    found = repeat(*arms(0.12), CONFIG, 120, seed=6)
    by_formula = power_curve(found["error"], found["true"], 0.05)[-1][1]
    assert found["found_low"] <= by_formula <= found["found_high"]
    assert 0.3 < by_formula < 0.999  # so that the comparison can fail


def test_repeats_are_seeded() -> None:
    assert repeat(*arms(0.1), CONFIG, 4, seed=1) == repeat(*arms(0.1), CONFIG, 4, seed=1)
    assert repeat(*arms(0.1), CONFIG, 4, seed=1)["bias"] != repeat(*arms(0.1), CONFIG, 4, seed=2)["bias"]


def test_the_sequence_narrows_and_is_wider_than_a_single_look() -> None:
    users = simulate(*arms(0.1), CONFIG, seed=0).users
    rows = sequence(users, CONFIG.plan())
    assert [row["n"] for row in rows] == list(range(100, 2001, 100))
    widths = np.array([[row["high"] - row["low"], row["once_high"] - row["once_low"]] for row in rows])
    assert (widths[:, 0] > widths[:, 1]).all()
    assert widths[-1, 0] < 0.5 * widths[0, 0]


def test_a_test_of_three_users_has_no_sequence() -> None:
    users = simulate(*arms(0.1), replace(CONFIG, users=3), seed=0).users
    assert sequence(users, CONFIG.plan()) == []
