"""`stylerec report`: what stands in a folder is reported, and two folders stand side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from cli import main
from study.run import Study, run_stages
from study.stages.ingest import INGEST

TEST: dict[str, Any] = {
    "design": {"arms": ["original", "stylised"], "alpha": 0.05, "margins": {"returns": 0.02}},
    "results": [
        {
            "metric": "clicks",
            "method": "Welch",
            "role": "goal",
            "is_goal": True,
            "absolute": -0.1,
            "low": -0.15,
            "high": -0.05,
            "relative": -0.05,
            "relative_low": -0.075,
            "relative_high": -0.025,
        }
    ],
    "srm": {"counts": [500, 498], "p_value": 0.95, "ok": True},
    "decision": {"verdict": "roll back", "rule": "roll back when worse", "because": ["clicks fell"]},
}


def stylerec(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A study whose data were read, and nothing else."""
    (tmp_path / "items.csv").write_text("item_id,title\na,<b>Coat</b>\nb,Hat\n")
    (tmp_path / "sales.csv").write_text("user_id,item_id,timestamp\nu,a,2024-01-01\nv,b,2024-01-02\nw,z,2024-01-03\n")
    text = '[catalog]\npath = "items.csv"\n[interactions]\npath = "sales.csv"\n'
    (tmp_path / "study.toml").write_text(text)
    study = Study.create(tmp_path / "study.toml", tmp_path / "spring")
    run_stages(study, (INGEST,), say=lambda line: None)
    return tmp_path / "spring"


def test_an_unfinished_run_is_reported_as_far_as_it_came(run: Path) -> None:
    assert stylerec("report", run).exit_code == 0
    told = json.loads((run / "report.json").read_text())
    assert told["title"] == "spring"
    assert told["answers"][0][0] == "Unfinished"
    facts = next(b for b in told["sections"][0]["blocks"] if b["kind"] == "facts")
    assert ["Items", "2"] in facts["pairs"]
    assert ["Rejected", "1 row"] in facts["pairs"]  # the sale of z, which is no item
    assert not (run / "metrics.json").exists()  # which would tell others that it is finished
    assert "was not evaluated offline" in (run / "report.md").read_text()


def test_a_real_test_and_a_judged_policy_are_taken_up(run: Path) -> None:
    (run / "metrics.json").write_text(json.dumps({"study": {"name": "spring"}}))
    (run / "experiment.json").write_text(json.dumps(TEST))
    judged = {"policy": "best look", "verdict": "better", "rows": [{"estimator": "DR", "value": 0.1}]}
    (run / "ope.json").write_text(json.dumps(judged))
    assert stylerec("report", run).exit_code == 0
    told = (run / "report.md").read_text()
    assert "**No: stylised presentations lowered clicks (−5.0%, 95% interval −7.5% to −2.5%).**" in told
    assert "> **Decision: Roll back**" in told
    assert "best look: better than the logged policy." in told
    assert json.loads((run / "metrics.json").read_text())["experiment"] == TEST


def test_two_runs_side_by_side(run: Path, tmp_path: Path) -> None:
    (run / "metrics.json").write_text(json.dumps({"study": {"name": "spring", "seed": 1}, "ab": TEST}))
    out = tmp_path / "both.html"
    result = stylerec("report", "--compare", run, run, "--out", out)
    assert (result.exit_code, result.stdout.strip()) == (0, str(out))
    assert "Both studies come to the same verdict: roll back." in out.read_text()
    assert out.with_suffix(".md").is_file()
    assert json.loads(out.with_suffix(".json").read_text())["title"] == "spring (first) and spring (second)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--compare", "RUN"], "--compare takes two runs, got 1"),
        (["--compare", "RUN", "RUN"], "did not run to its end"),
        (["RUN", "RUN"], "report takes one run"),
        (["RUN", "--out", "x.html"], "--compare takes two and --out"),
    ],
)
def test_what_cannot_be_done_is_said(run: Path, arguments: list[str], message: str) -> None:
    result = stylerec("report", *(run if a == "RUN" else a for a in arguments))
    assert result.exit_code == 2
    assert message in result.stderr


def test_what_is_no_result_is_named(run: Path) -> None:
    (run / "experiment.json").write_text("[1, 2]")
    result = stylerec("report", run)
    assert result.exit_code == 2
    assert "experiment.json must hold a JSON object, got a list" in result.stderr
