"""Plans from figures and from logs, and the two commands, against closed forms and re-splits."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cli import main
from evaluation.experiment.metrics import Metric
from evaluation.experiment.plan import LogConfig, Plan, read_plan
from evaluation.experiment.planning import Wish, sizes, sizes_from_log, sizes_of_rate
from recsys.errors import ConfigError, DataError

pytest.importorskip("duckdb")
PLAN = """
users = 3000
looks = "any time"
[log]
level = "user"
unit = "user"
arm = "variant"
segments = ["country"]
[goals.orders]
numerator = "orders"
[guardrails.visits]
numerator = "visits"
margin = 0.1
"""


@pytest.fixture
def users() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    arm, rate = np.arange(3000) % 2, rng.gamma(4, 0.25, 3000)
    return pd.DataFrame(
        {
            "user": np.arange(3000),
            "variant": arm,
            "orders": rng.poisson(2 * rate * (1 + 0.3 * arm)),
            "pre_orders": rng.poisson(2 * rate),
            "visits": rng.poisson(9, 3000),
            "country": np.array(["fi", "se"])[rng.integers(0, 2, 3000)],
        }
    )


def test_a_rate_needs_twice_the_golden_number_of_users_and_looks_a_little_more() -> None:
    (alone,) = sizes_of_rate(0.1, Wish(effects=(0.02,)))
    assert alone["users"] == pytest.approx(2 * 356_331, abs=1)
    (four,) = sizes_of_rate(0.1, Wish(effects=(0.02,), looks=4))
    # O'Brien-Fleming type spending at 4 looks: a factor of about 1.02 at 80 % power.
    assert four["users"] / alone["users"] == pytest.approx(1.02, abs=0.005)
    with pytest.raises(ConfigError, match="must lie in"):
        sizes_of_rate(0.9, Wish(effects=(0.2,)))
    with pytest.raises(ConfigError, match="effects other than 0"):
        Wish(effects=(0.0,))


def test_a_plan_from_a_log_has_the_power_it_promises(users: pd.DataFrame) -> None:
    plan = Plan({"orders": Metric("orders")}, log=LogConfig(level="user", unit="user"))
    alike = users[users["variant"] == 0].drop(columns="variant")
    rows = sizes_from_log(alike, plan, Wish(effects=(0.05, 0.1)))
    assert [r["effect"] for r in rows] == [0.0, 0.05, 0.1]
    assert rows[0]["power_of_log"] == pytest.approx(0.05, abs=0.02)  # 4 standard errors of 2,000 splits
    left = 1 - np.corrcoef(alike["orders"], alike["pre_orders"])[0, 1] ** 2
    assert rows[0]["variance_left"] == pytest.approx(left)
    assert (
        rows[1]["users"]
        == sizes(alike["orders"].mean(), np.sqrt(left) * alike["orders"].std(), Wish((0.05,)))[0]["users"]
    )
    # An effect for which the log's very size was planned is found with that power.
    needed = rows[2]["users"]
    effect = 0.1 * np.sqrt(needed / len(alike))
    again = sizes_from_log(alike, plan, Wish(effects=(effect,)))[1]
    assert again["users"] == pytest.approx(len(alike), rel=0.01)
    assert again["power_of_log"] == pytest.approx(0.78, abs=0.04)  # treatment's greater variance takes a little
    with pytest.raises(DataError, match="no spread"):
        sizes_from_log(alike.assign(orders=1), plan, Wish())


def run(*words: object) -> str:
    result = CliRunner().invoke(main, [str(w) for w in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_log_and_a_plan_give_a_verdict(users: pd.DataFrame, tmp_path: Path) -> None:
    log, plan = tmp_path / "log.csv", tmp_path / "plan.toml"
    users.to_csv(log, index=False)
    plan.write_text(PLAN)
    told = run("analyze", log, "--plan", plan, "--out", tmp_path / "ab.json")
    assert "verdict: ship" in told
    assert "by segment (exploratory, not adjusted)" in told
    found = json.loads(run("analyze", log, "--plan", plan, "--json"))
    assert found == json.loads((tmp_path / "ab.json").read_text())
    goal = next(r for r in found["results"] if r["is_goal"])
    assert goal["anytime_low"] < goal["relative_low"] < 0.3 < goal["relative_high"] < goal["anytime_high"]
    assert goal["looked_low"] == goal["anytime_low"]  # the plan is looked at any time
    assert found["design"]["looks"] == "any time"
    assert {c["name"] for c in found["checks"]} >= {"sample ratio", "outcomes", "balance of pre_orders"}
    broken = users.drop(index=users.index[users["variant"] == 1][::4])
    broken.to_csv(log, index=False)
    assert "verdict: withheld" in run("analyze", log, "--plan", plan)


def test_power_from_a_rate_and_from_a_log(users: pd.DataFrame, tmp_path: Path) -> None:
    rows = json.loads(run("power", "--rate", 0.1, "--effect", 0.02, "--users-per-week", 100_000, "--json"))
    assert (rows[0]["users"], rows[0]["weeks"]) == (712_663, 8)
    log, plan = tmp_path / "log.parquet", tmp_path / "plan.toml"
    users.to_parquet(log)
    plan.write_text(PLAN)
    assert len(json.loads(run("power", log, "--plan", plan, "--json"))) == 5
    refused = CliRunner().invoke(main, ["power"])
    assert (refused.exit_code, "power needs --rate" in refused.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "misses goals"),
        ("[goals.a]\nnumerator = 'x'\nkind = 'ratio'", "a ratio needs a denominator"),
        ("looks = 'planned'\n[goals.a]\nnumerator = 'x'", "needs the planned size"),
        ("users = 9\nlooks = 'planned'\nshares = [0.5]\n[goals.a]\nnumerator = 'x'", "must end with 1"),
        ("spending = 'pococ'\n[goals.a]\nnumerator = 'x'", "did you mean 'pocock'"),
        ("[log]\nstart = 'May'\ntime = 't'\n[goals.a]\nnumerator = 'x'", "must be a date like"),
        ("[log]\nstart = '2026-05-01'\n[goals.a]\nnumerator = 'x'", "needs the column of time"),
        ("[goals.a]\nnumerator = 'x'\n[guardrails.a]\nnumerator = 'y'", "each metric once"),
        ("[goals.a]\nnumeratr = 'x'", "did you mean 'numerator'"),
        ("goals = ", "is no TOML"),
    ],
)
def test_plans_that_cannot_be_meant_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_plan(tmp_path / "plan.toml")
