"""`stylerec ope` from files to verdict; the numbers are those of the Python interface or of a closed form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from cli import main
from evaluation.ope import LogColumns, OPEConfig, Table, evaluate_policy, read_log


def ope(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["ope", *(str(a) for a in arguments)], catch_exceptions=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A log of looks: users of town A click on retro, others on the original; and a plan that knows it."""
    rng = np.random.default_rng(0)
    n = 8000
    user, look = rng.integers(0, 50, n), rng.integers(0, 2, n)
    clicked = rng.random(n) < np.where(look == user % 2, 0.3, 0.1)
    users, looks = np.array([f"{i:03d}" for i in range(50)]), np.array(["original", "retro"])
    log = pd.DataFrame({"user_id": users[user], "presentation": looks[look], "click": clicked * 1, "propensity": 0.5})
    log.assign(town=np.array(["b", "a"])[user % 2]).to_csv(tmp_path / "log.csv", index=False)
    plan = pd.DataFrame({"user_id": users, "presentation": looks[np.arange(50) % 2]})
    plan.to_csv(tmp_path / "plan.csv", index=False)
    plan[:40].to_csv(tmp_path / "part.csv", index=False)
    return tmp_path


LOOKS = ("--action", "presentation", "--context", "user_id", "--unit", "user_id")


def test_a_plan_for_each_user_is_judged(folder: Path) -> None:
    """Truth: 0.3 under the plan, 0.2 as logged. Ids with leading zeros are met again in both files."""
    result = ope(folder / "log.csv", "--policy", folder / "plan.csv", *LOOKS, "--feature", "town", "--json")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    rows = {row["estimator"]: row for row in found["rows"]}
    assert (found["policy"], found["verdict"]) == ("plan", "better")
    assert all(row["low"] <= 0.3 <= row["high"] for name, row in rows.items() if name in ("ipw", "snipw", "dr", "sndr"))
    assert rows["replay"]["value"] == pytest.approx(rows["snipw"]["value"])
    assert found["diagnostics"]["n_units"] == 50


def test_files_are_written_and_the_table_is_shown(folder: Path) -> None:
    out = folder / "judged"
    result = ope(folder / "log.csv", "--policy", folder / "plan.csv", *LOOKS, "--out", out)
    assert {p.name for p in out.iterdir()} == {"ope.json", "ope.md", "ope.svg"}
    assert "verdict: better" in result.stdout.splitlines()
    assert "not used: mips, it needs features of the actions" in result.stdout
    assert json.loads((out / "ope.json").read_text())["verdict"] == "better"


def test_contexts_that_a_plan_lacks_are_asked_for(folder: Path) -> None:
    refused = ope(folder / "log.csv", "--policy", folder / "part.csv", *LOOKS)
    assert refused.exit_code == 2
    assert "says nothing of 10 of the log's 50 contexts" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1
    assert ope(folder / "log.csv", "--policy", folder / "part.csv", *LOOKS, "--otherwise", "original").exit_code == 0


def test_thompson_sampling_by_its_prior(folder: Path) -> None:
    """Oracle: the same table in Python; with these priors retro always wins."""
    pd.DataFrame({"action": ["retro", "original"], "alpha": [900, 100], "beta": [100, 900]}).to_csv(
        folder / "prior.csv", index=False
    )
    given = (folder / "log.csv", "--policy", "thompson", "--prior", folder / "prior.csv", "--action", "presentation")
    found = json.loads(ope(*given, "--estimator", "ipw", "--json").stdout)
    log = read_log(folder / "log.csv", LogColumns(action="presentation"), actions=["retro", "original"])
    ours = evaluate_policy(log, Table(np.array([[1.0, 0.0]])), OPEConfig(("ipw",)))
    assert found["rows"][0]["value"] == ours["ipw"].value
    (folder / "prior.csv").write_text("action,alpha,beta\nretro,1,1\n")
    assert "the prior has no row for ['original']" in ope(*given).stderr


def test_whole_pages_are_judged(folder: Path) -> None:
    """Uniform pages judged for the uniform policy: every weight is 1, so every estimate is the mean."""
    rng = np.random.default_rng(1)
    pages = rng.permuted(np.tile(np.arange(4), (500, 1)), axis=1)[:, :2]
    frame = pd.DataFrame(
        {"page": np.repeat(np.arange(500), 2), "place": np.tile([1, 2], 500), "item_id": pages.ravel()}
    )
    frame = frame.assign(click=rng.binomial(1, 0.2, 1000), propensity=np.tile([1 / 4, 1 / 3], 500))
    frame.sample(frac=1, random_state=0).to_csv(folder / "pages.csv", index=False)  # in any order
    given = (folder / "pages.csv", "--policy", "uniform", "--position", "place", "--page", "page", "--json")
    found = json.loads(ope(*given).stdout)
    values = [row["value"] for row in found["rows"] if row["estimator"] != "cascade-dr"]
    assert values == pytest.approx([frame["click"].sum() / 500] * 3)
    assert found["verdict"] == "no difference shown"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--policy", "unifrom"), "did you mean 'uniform'"),
        (("--policy", "model"), "name it with --run"),
        (("--policy", "thompson"), "name their table with --prior"),
        (("--policy", "uniform", "--propensity", "p"), "unknown column 'p'"),
        (("--policy", "uniform", "--estimator", "snips"), "unknown estimator 'snips'; did you mean 'snipw'"),
        (("--policy", "uniform", "--block", "gram"), "needs a finished study"),
    ],
)
def test_what_is_missing_is_one_clean_line(folder: Path, options: tuple[str, ...], message: str) -> None:
    result = ope(folder / "log.csv", "--action", "presentation", *options)
    assert result.exit_code == 2
    assert message in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
