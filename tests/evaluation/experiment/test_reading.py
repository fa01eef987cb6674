"""Logs of rows and of users, in every form, are the same test; and tea-tasting's golden numbers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tea_tasting

from evaluation.experiment.decision import analyze_log
from evaluation.experiment.metrics import Metric
from evaluation.experiment.plan import LogConfig, Plan
from evaluation.experiment.reading import read_log
from recsys.errors import DataError

pytest.importorskip("duckdb")
PLAN = Plan(
    goals={"ctr": Metric("click", "impressions", kind="ratio"), "spend": Metric("price", winsorise=0.99)},
    guardrails={"sessions": Metric("sessions", margin=0.1)},
    log=LogConfig(
        unit="customer",
        arm="variant",
        control="original",
        treatment="stylised",
        time="shown_at",
        start="2026-03-08",
        distinct={"sessions": "session"},
        segments=("country",),
        tastes=("lean",),
    ),
)


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    rng = np.random.default_rng(1)
    n, users = 30_000, 600
    user = rng.integers(0, users, n)
    frame = pd.DataFrame(
        {
            "customer": [f"c'{u}" for u in user],
            "variant": np.where(user % 2, "stylised", "original"),
            "shown_at": pd.Timestamp("2026-03-01") + pd.to_timedelta(rng.integers(0, 21 * 86_400, n), unit="s"),
            "session": user * 100 + rng.integers(0, 9, n),
            "click": 0,
            "price": rng.gamma(1, 10, n).round(2),
            "country": np.array(["fi", "se", "no"])[user % 3],
            "lean": np.round(user / users, 3),
        }
    )
    before = frame["shown_at"] < "2026-03-08"
    frame["click"] = rng.binomial(1, np.where((user % 2 == 1) & ~before, 0.13, 0.1))
    frame.loc[before, "variant"] = "before"
    return frame


def by_hand(rows: pd.DataFrame) -> pd.DataFrame:
    """What pandas makes of the same rows."""
    during = rows[rows["shown_at"] >= "2026-03-08"]
    before = rows[rows["shown_at"] < "2026-03-08"].groupby("customer")
    each = during.groupby("customer")
    return pd.DataFrame(
        {
            "arm": (each["variant"].first() == "stylised").astype(int),
            "click": each["click"].sum(),
            "impressions": each.size(),
            "price": each["price"].sum(),
            "sessions": each["session"].nunique(),
            "pre_click": before["click"].sum(),
            "pre_impressions": before.size(),
        }
    )


def test_rows_are_summed_as_pandas_sums_them(rows: pd.DataFrame) -> None:
    log = read_log(rows, PLAN)
    expected = by_hand(rows)
    found = log.users.set_index("unit").loc[expected.index]
    for name in expected:
        assert found[name].fillna(0).to_numpy() == pytest.approx(expected[name].fillna(0).to_numpy()), name
    assert log.problems == ()
    middle = (
        rows["shown_at"].max() - (rows["shown_at"].max() - rows.query("shown_at >= '2026-03-08'")["shown_at"].min()) / 2
    )
    late = rows[rows["shown_at"] >= middle].groupby("customer")["click"].sum().reindex(expected.index, fill_value=0)
    assert found["late_click"].to_numpy() == pytest.approx(late.to_numpy())


@pytest.mark.parametrize("form", ["parquet", "csv", "two.parquet"])
def test_every_form_of_a_log_is_the_same_test(rows: pd.DataFrame, form: str, tmp_path: Path) -> None:
    source = tmp_path / f"it's a log.{form}"
    if form == "two.parquet":
        rows[:9000].to_parquet(tmp_path / "a.parquet")
        rows[9000:].to_parquet(tmp_path / "b.parquet")
        source = tmp_path / "*.parquet"
    elif form == "csv":
        rows.to_csv(source, index=False)
    else:
        rows.to_parquet(source)
    found, expected = (analyze_log(s, PLAN).to_json() for s in (source, rows))
    assert found["decision"] == expected["decision"]
    assert found["decision"]["verdict"] == "ship"  # 13 % against 10 %
    for a, b in zip(found["results"], expected["results"], strict=True):
        assert {k: v for k, v in a.items() if isinstance(v, float)} == pytest.approx(
            {k: v for k, v in b.items() if isinstance(v, float)}
        )
    assert len(found["days"]) == 14
    assert {r["level"] for r in found["segments"]} == {"fi", "se", "no"}
    assert found["tastes"][0]["taste"] == "lean"


def test_a_day_is_the_test_of_that_days_users(rows: pd.DataFrame) -> None:
    day = rows[rows["shown_at"].dt.date == pd.Timestamp("2026-03-10").date()]
    alone = analyze_log(day, replace(PLAN, log=replace(PLAN.log, start=None, time=None)))
    e = alone.analysis.results[0].estimate
    row = next(r for r in analyze_log(rows, PLAN).analysis.days if r["day"].startswith("2026-03-10"))
    assert (row["relative"], row["low"], row["high"]) == pytest.approx((e.relative, e.relative_low, e.relative_high))
    assert row["n"] == e.n_control + e.n_treatment


def test_a_log_is_read_whatever_its_columns_are_called(rows: pd.DataFrame) -> None:
    names = {"variant": "arm", "customer": "unit", "shown_at": "day", "country": "first", "lean": "x"}
    log = replace(PLAN.log, arm="arm", unit="unit", time="day", segments=("first",), tastes=("x",))
    with pytest.raises(DataError, match="'first' is taken"):
        analyze_log(rows.rename(columns=names), replace(PLAN, log=log))
    names["country"] = log_name = "n"
    found = analyze_log(rows.rename(columns=names), replace(PLAN, log=replace(log, segments=(log_name,))))
    assert found.decision == analyze_log(rows, PLAN).decision
    assert len(found.analysis.days) == 14


def test_users_in_both_arms_are_left_out_and_withhold_the_verdict(rows: pd.DataFrame) -> None:
    crossed = rows.assign(variant=rows["variant"].where(rows.index % 3000 != 2999, "stylised"))
    found = analyze_log(crossed, PLAN)
    assert found.decision.verdict == "withheld"
    assert "users were seen in both arms; they are left out" in found.decision.because[0]


def test_a_missing_value_makes_its_users_outcome_missing(rows: pd.DataFrame) -> None:
    row = rows.index[rows["shown_at"] >= "2026-03-08"][0]
    holes = rows.assign(click=rows["click"].astype(float).where(rows.index != row))
    assert "outcomes are missing or infinite for 1 of" in analyze_log(holes, PLAN).decision.because[0]


def test_a_table_of_users_must_hold_one_row_a_user(rows: pd.DataFrame) -> None:
    plan = Plan({"clicks": Metric("click")}, log=LogConfig(level="user", unit="customer", arm="arm"))
    table = by_hand(rows).reset_index()
    assert analyze_log(table, plan).analysis.problems == ()
    twice = analyze_log(pd.concat([table, table[:2]]), plan)
    assert "2 users have more than one row" in twice.analysis.problems[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit": "custmer"}, "unknown column of the log 'custmer'; did you mean 'customer'"),
        ({"control": "origin"}, "unknown arm in column 'variant' 'origin'; did you mean 'original'"),
        ({"distinct": {"sessions": "sesion"}}, "did you mean 'session'"),
    ],
)
def test_what_a_plan_names_must_be_there(rows: pd.DataFrame, change: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_log(rows, replace(PLAN, log=replace(PLAN.log, **change)))
    with pytest.raises(DataError, match="does not exist"):
        read_log("nowhere.parquet", PLAN)


@pytest.fixture(scope="module")
def tea() -> pd.DataFrame:
    return tea_tasting.make_users_data(rng=42, covariates=True, return_type="pandas")


TEA = Plan(
    goals={"orders_per_user": Metric("orders")},
    others={"orders_per_session": Metric("orders", "sessions", kind="ratio")},
    log=LogConfig(level="user", unit="user", arm="variant"),
)


def test_tea_tastings_users_have_their_golden_numbers(tea: pd.DataFrame) -> None:
    plain = tea_tasting.make_users_data(rng=42, return_type="pandas")
    orders, ratio = (r.estimate for r in analyze_log(plain, TEA).analysis.results)
    assert orders.absolute == pytest.approx(0.04269014577, abs=1e-11)
    assert orders.p_value == pytest.approx(0.1177317800, abs=1e-10)
    assert ratio.p_value == pytest.approx(0.0762376, abs=1e-7)
    assert analyze_log(plain, TEA).analysis.counts == (2023, 1977)
    # tea-tasting's covariates of the same users
    past = tea.rename(columns={f"{c}_covariate": f"pre_{c}" for c in ("orders", "sessions")})
    found = {(r.metric, r.method): r.estimate for r in analyze_log(past, TEA).analysis.results}
    cuped = found["orders_per_user", "Welch + CUPED"]
    assert cuped.absolute == pytest.approx(0.0583039, abs=1e-7)
    assert cuped.p_value == pytest.approx(0.00733041, abs=1e-8)


def test_a_ratio_with_cuped_is_near_tea_tastings(tea: pd.DataFrame) -> None:
    past = tea.rename(columns={f"{c}_covariate": f"pre_{c}" for c in ("orders", "sessions")})
    ours = next(r for r in analyze_log(past, TEA).analysis.results if r.method == "delta method + CUPED").estimate
    metric = tea_tasting.RatioOfMeans("orders", "sessions", "orders_covariate", "sessions_covariate")
    theirs = tea_tasting.Experiment(r=metric).analyze(tea)["r"]
    # They take the slope from both arms' totals, we from values linearised within arms.
    assert ours.absolute == pytest.approx(theirs.effect_size, rel=0.01)
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=0.1)
