"""What follows a click: against numbers worked out by hand and against what simulated customers do."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evaluation.experiment.decision import simulate_experiment
from evaluation.response import RESPONSES
from evaluation.response.purchases import AFTER_CLICK, PurchaseConfig
from evaluation.response.visits import VisitsConfig
from evaluation.simulate import ABConfig, Arm, simulate
from recsys.config import from_mapping
from recsys.errors import ConfigError, DataError

SHOP = PurchaseConfig(rate=0.3, slope=0.5, return_rate=0.2, return_per_loss=3.0)


def arms(k: int = 4, users: int = 40) -> tuple[Arm, Arm]:
    rng = np.random.default_rng(0)
    items = np.where(rng.random((users, k)) < 0.1, -1, np.arange(k))
    odds = rng.normal(-0.5, 0.7, (users, k)).astype(np.float32)
    price, loss = rng.uniform(5, 80, (users, k)), rng.uniform(0, 0.6, (users, k))
    look = loss > 0.1
    return Arm("a", items, odds, price=price), Arm("b", items, odds, look=look, loss=loss * look, price=price)


def test_truth_in_a_case_done_by_hand() -> None:
    # One product, always looked at, p = 1/2, two sessions; bought with 1/4, returned with 1/5 as it is and with
    # odds × e^(ln 4) = 1, that is 1/2, in the look; it costs 10.
    items, odds, cost = np.array([[0]]), np.zeros((1, 1), np.float32), np.array([[10.0]])
    control = Arm("a", items, odds, price=cost)
    treatment = Arm("b", items, odds, look=np.array([[True]]), loss=np.array([[1.0]]), price=cost)
    shop = PurchaseConfig(rate=0.25, return_rate=0.2, return_per_loss=float(np.log(4)))
    config = ABConfig(users=2, sessions=2, position_bias=0, purchases=shop)
    truth = simulate(control, treatment, config, seed=0).truth
    expected = {
        "clicks_per_user": (1.0, 1.0),
        "purchases_per_user": (0.25, 0.25),
        "revenue_per_user": (2.5, 2.5),
        "net_revenue_per_user": (2.0, 1.25),
        "return_rate": (0.2, 0.5),
    }
    for metric, (before, after) in expected.items():
        assert truth[metric]["control"] == pytest.approx(before)
        assert truth[metric]["treatment"] == pytest.approx(after)


@pytest.mark.parametrize("response", RESPONSES)
@pytest.mark.parametrize(
    "visits", [VisitsConfig(), VisitsConfig(novelty=0.5, satiation=0.2)], ids=["alike", "changing"]
)
def test_what_happens_agrees_with_the_closed_form(response: str, visits: VisitsConfig) -> None:
    config = ABConfig(users=40_000, slate=4, response=response, visits=visits, purchases=SHOP)
    found = simulate(*arms(), config, seed=6)
    for name, goal in AFTER_CLICK.items():
        for side in ("control", "treatment"):
            top = found.potential[f"{goal.numerator}_{side}"]
            below = found.potential[f"{goal.denominator}_{side}"] if goal.denominator else pd.Series(np.ones(len(top)))
            mean = top.sum() / below.sum()
            error = (top - mean * below).std() / below.mean() / np.sqrt(len(top))  # delta method
            assert abs(mean - found.truth[name][side]) < 3.5 * error  # 64 comparisons, seed fixed
    assert found.truth["return_rate"]["absolute"] > 0.02  # not as pictured


def test_purchases_leave_the_clicks_alone_and_share_their_luck() -> None:
    config = ABConfig(users=3000, slate=4)
    control, treatment = arms()
    without, bought = (simulate(control, treatment, c, seed=1) for c in (config, replace(config, purchases=SHOP)))
    assert "purchases" not in without.users
    pd.testing.assert_frame_equal(without.users, bought.users[list(without.users)])
    same = simulate(control, control, replace(config, purchases=SHOP), seed=1)
    assert all(same.realised[name]["absolute"] == 0 for name in AFTER_CLICK)
    users = bought.users
    assert (users["purchases"] <= users["clicks"]).all()
    assert (users["returns"] <= users["purchases"]).all()
    assert (users.loc[users["purchases"] == 0, "revenue"] == 0).all()
    # The same clicks in either arm, so every purchase returned from control comes back from treatment, too.
    assert (bought.potential["returns_treatment"] >= bought.potential["returns_control"]).all()
    assert {"pre_purchases", "pre_net_revenue"} <= set(users)


def test_a_test_can_be_decided_by_money_and_guarded_by_returns() -> None:
    shop = PurchaseConfig(rate=0.5, return_rate=0.2, return_per_loss=6.0)
    config = ABConfig(users=8000, slate=4, purchases=shop, goals=("revenue_per_user",), guardrails=("return_rate",))
    found = simulate_experiment(*arms(), config, seed=0)
    assert found.decision.verdict == "roll back"  # the same clicks, and what is not as pictured comes back
    assert "validates the analysis" in found.assumption
    assert found.design["purchases.return_per_loss"] == 6.0


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"purchases": {"rate": 1.0}}, "ab.purchases.rate must be below 1"),
        ({"purchases": {"rate": -0.1}}, r"ab.purchases.rate must be in \[0, 1\]"),
        ({"purchases": {"rate": 0.1, "slope": float("inf")}}, r"slope must be in \[-1000, 1000\], got inf"),
        ({"purchases": {"rate": 0.1, "return_per_loss": 1.0}}, "return_rate, which is 0"),
        ({"goals": ["revenue_per_user"]}, "it needs ab.purchases.rate above 0"),
    ],
)
def test_settings_that_make_no_sense_are_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        from_mapping(ABConfig, table, where="ab")


def test_arms_with_impossible_prices_are_refused() -> None:
    items, odds = np.array([[0, -1]]), np.zeros((1, 2), np.float32)
    with pytest.raises(DataError, match="price below 0 or NaN"):
        Arm("a", items, odds, price=np.array([[-1.0, 2.0]]))
    with pytest.raises(DataError, match="need a loss of that shape"):
        Arm("a", items, odds, loss=np.zeros((1, 3)))
    Arm("a", items, odds, price=np.array([[1.0, np.nan]]))  # nothing is shown in the second place
