"""Oracles: what is printed is what the study's folder holds, and every bad input is one line and exit code 2."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from cli import main

STUDY = """
looks = {}
[catalog]
path = "items.csv"
[interactions]
path = "sales.csv"
[models.content]
enabled = false
[models.hybrid]
enabled = false
[models.als]
factors = 4
iterations = 2
[features]
blocks = ["category"]
"""


def shop(folder: Path, more: str = "") -> Path:
    """30 items of two kinds and two sellers, 40 users, 600 purchases."""
    rng = np.random.default_rng(0)
    items = pd.DataFrame({"item_id": [f"i{i:02d}" for i in range(30)], "category": ["hat", "coat"] * 15})
    items["price"], items["seller"] = np.arange(30) + 1.0, ["p"] * 10 + ["q"] * 20
    folder.mkdir()
    items.to_csv(folder / "items.csv", index=False)
    sales = pd.DataFrame({"user_id": rng.integers(0, 40, 600).astype(str)})
    sales["item_id"] = rng.choice(items["item_id"], 600, p=(w := 1 / np.arange(1, 31)) / w.sum())
    sales["timestamp"] = pd.date_range("2024-01-01", periods=600, freq="h").astype(str)
    sales.to_csv(folder / "sales.csv", index=False)
    (folder / "study.toml").write_text(STUDY + more)
    return folder / "study.toml"


def call(*words: object) -> Result:
    return CliRunner().invoke(main, ["evaluate", *map(str, words)])


def refused(*words: object) -> str:
    found = call(*words)
    assert found.exit_code == 2, found.output
    assert "Traceback" not in found.output
    return found.output


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    groups = (
        'groups = ["category", "price", "seller"]\nmetrics = ["recall", "ndcg", "auc"]\nsampled = 5\nresamples = 100\n'
    )
    path = shop(tmp_path_factory.mktemp("command") / "shop", f"[evaluation]\n{groups}")
    found = call(path, "--out", path.parent / "run")
    assert found.exit_code == 0, found.output
    return path


def test_everything_the_comparison_holds_is_reached_from_the_command(study: Path) -> None:
    run = study.parent / "run"
    rows = json.loads(call(study, "--out", run, "--json").stdout)
    offline = json.loads((run / "offline.json").read_text())
    assert len(rows) == sum(len(offline[name]) for name in ("rows", "groups", "beyond", "further"))
    metrics = {row["metric"] for row in rows}
    assert metrics >= {"recall", "coverage", "gini", "entropy", "novelty", "arp", "popularity_lift", "disparity",
                       "intra_list_distance", "serendipity", "unexpectedness", "personalisation", "calibration",
                       "exposure_share", "snips", "ips", "stratified", "auc", "sampled (BIASED)"}  # fmt: skip
    assert {row["of"] for row in rows if row["metric"] == "exposure_share"} >= {
        "seller: p",
        "seller: q",
        "category: hat",
    }
    assert all(row["k"] and row["denominator"] for row in rows if row["segment"] in ("all", "warm", "cold"))
    assert any(note.startswith("BIASED") for note in offline["notes"])
    assert [leak["verdict"] for leak in offline["leakage"]] == []  # without photos nothing is fitted beside the models
    for kind in ("csv", "markdown", "latex"):
        printed = call(study, "--out", run, "--format", kind).stdout
        assert "BIASED" in printed
        assert "novelty" in printed
    table = call(study, "--out", run, "--beyond").stdout.splitlines()
    assert table[0].split()[:4] == ["segment", "model", "features", "novelty"]
    novelty = {(r["model"], r["segment"]): r["value"] for r in rows if (r["metric"], r["k"]) == ("novelty", 20)}
    for line in table[1:]:
        cells = line.split()
        if cells and cells[0] == "all":
            assert float(cells[3]) == pytest.approx(novelty[cells[1], "all"], abs=1e-4)


def test_lists_that_cannot_be_judged_are_refused_or_counted(study: Path, tmp_path: Path) -> None:
    run, lists = study.parent / "run", tmp_path / "lists.csv"

    def judged(rows: list[tuple[str, str, object]], *more: str, column: str = "score") -> Result:
        pd.DataFrame(rows, columns=["user_id", "item_id", column]).to_csv(lists, index=False)
        return call(study, "--out", run, "--recommendations", f"theirs={lists}", *more)

    def refusal(rows: list[tuple[str, str, object]], column: str = "score") -> str:
        found = judged(rows, column=column)
        assert found.exit_code == 2, found.output
        return found.output

    good: list[tuple[str, str, object]] = [("0", "i00", 2.0), ("0", "i29", 1.0)]
    assert "user '0' is recommended 'i00' more than once" in refusal([*good, ("0", "i00", 0.5)])
    assert "UnknownIdError" in refusal([*good, ("0", "i99", 0.5)])
    assert "'nobody'" in refusal([*good, ("nobody", "i01", 0.5)])
    assert "score must be a finite number, got 'nan'" in refusal([*good, ("0", "i01", "nan")])
    assert "score must be a finite number, got 'inf'" in refusal([*good, ("0", "i01", "inf")])
    assert "has two items of rank 1" in refusal([("0", "i00", 1), ("0", "i01", 1)], column="rank")
    counted = judged([*good, ("nobody", "i01", 0.5)], "--skip-unknown")
    assert counted.exit_code == 0, counted.output
    assert "1 rows of unknown ids, 1 users with rows, 40 users" in counted.stderr
    notes = json.loads((run / "outside.json").read_text())["notes"]
    assert any("lists are empty for some" in note and "for theirs / outside" in note for note in notes)


def test_a_study_that_cannot_be_judged_is_refused_by_name(tmp_path: Path) -> None:
    cases = {
        "metrics": ('metrics = ["recall", "nddcg"]', "unknown metric 'nddcg'; did you mean 'ndcg'"),
        "recall": ('metrics = ["ndcg"]', "must hold recall"),
        "k": ("k = [0]", "evaluation.k must list numbers >= 1"),
        "sampled": ("sampled = -1", "evaluation.sampled must be >= 0"),
        "beyond": ('beyond = false\nmetrics = ["recall", "auc"]', "it needs evaluation.beyond = true"),
        "group": ('groups = ["sellr"]', "unknown catalogue column 'sellr'; did you mean 'seller'"),
    }
    for name, (more, message) in cases.items():
        path = shop(tmp_path / name, f"[evaluation]\n{more}\n")
        assert message in " ".join(refused(path, "--out", tmp_path / name / "run").split()), name
    path = shop(tmp_path / "none", '[split]\nkind = "none"\n')
    assert "leaves nothing to compare by" in refused(path, "--out", tmp_path / "none" / "run", "--seeds", 2)
    path = shop(tmp_path / "empty")
    sales = pd.read_csv(path.parent / "sales.csv")
    sales.assign(timestamp="2024-01-01").to_csv(path.parent / "sales.csv", index=False)
    assert "the split leaves nothing in test" in refused(path, "--out", tmp_path / "empty" / "run")


def test_a_k_above_the_catalogue_is_counted(tmp_path: Path) -> None:
    path = shop(tmp_path / "long", "[evaluation]\nk = [50]\nresamples = 100\ngroups = []\n")
    found = call(path, "--out", tmp_path / "long" / "run")
    assert found.exit_code == 0, found.output
    offline = json.loads((tmp_path / "long" / "run" / "offline.json").read_text())
    assert any(note.startswith("k = 50 is above the 30 all candidates") for note in offline["notes"])
    filled = [row["value"] for row in offline["rows"] if (row["metric"], row["segment"]) == ("filled", "all")]
    assert max(filled) < 30 / 50 + 1e-9
