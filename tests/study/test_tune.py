"""`stylerec tune`: the train side alone, what is written, and a snippet that is a study file's."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from cli import main
from evaluation.splits import split
from recsys.data.catalog import Catalog
from recsys.data.dataset import Dataset
from recsys.data.interactions import Interactions
from recsys.models.item_knn import ItemKNN
from recsys.tuning.rehearsal import folds_of
from recsys.tuning.search import Trial, Tuning
from recsys.tuning.space import with_options
from study.config import parse_study
from study.tune import best_toml

pytest.importorskip("optuna")

STUDY = """
looks = {}
[catalog]
path = "items.csv"
[interactions]
path = "sales.csv"
[features]
blocks = ["category"]
[models.near]
kind = "item-knn"
k = 3
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """50 customers of two tastes, 40 items, 100 days, no photos."""
    folder, rng = tmp_path_factory.mktemp("shop"), np.random.default_rng(1)
    items = pd.DataFrame({"item_id": [f"i{i}" for i in range(40)], "category": ["bag", "shoe"] * 20})
    items.to_csv(folder / "items.csv", index=False)
    pairs = [(u, i) for u in range(50) for i in range(40) if i % 2 == u % 2 and rng.random() < 0.5]
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 100, len(pairs)), "D")
    sales = {
        "user_id": [f"u{u}" for u, _ in pairs],
        "item_id": [f"i{i}" for _, i in pairs],
        "timestamp": days.astype(str),
    }
    pd.DataFrame(sales).to_csv(folder / "sales.csv", index=False)
    (folder / "study.toml").write_text(STUDY)
    return folder


def stylerec(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments], catch_exceptions=False)


@pytest.fixture(scope="module")
def tuned(shop: Path) -> Result:
    return stylerec("tune", shop / "study.toml", "--model", "near", "--trials", 6, "--out", shop / "run")


def test_the_table_the_importance_and_the_snippet_are_printed(tuned: Result) -> None:
    assert tuned.exit_code == 0, tuned.stderr
    trials, importance, snippet = tuned.stdout.strip().split("\n\n")
    assert trials.splitlines()[0].split() == ["trial", "state", "ndcg@20", "k", "weighting"]
    assert len(trials.splitlines()) == 1 + 1 + 6
    assert {line.split()[0] for line in importance.splitlines()[1:]} == {"k", "weighting"}
    assert "[models.near]" in snippet
    assert tuned.stderr.count("trial ") == 6


def test_the_best_options_reach_their_value_on_the_train_side_alone(tuned: Result, shop: Path) -> None:
    """Fitted and judged by hand, from the files of the shop."""
    found = json.loads((shop / "run" / "tune" / "near" / "tune.json").read_text())
    assert found["best"]["value"] == max(t["value"] for t in found["trials"] if t["state"] == "complete")
    catalog = Catalog.read(shop / "items.csv")
    log = Interactions.read(shop / "sales.csv", catalog=catalog)
    config = parse_study((shop / "study.toml").read_text())
    parts = split(log, config.split)
    data = Dataset.of(parts.train, catalog)
    folds = folds_of(data, share=0.2, n=2)
    best = with_options(ItemKNN(k=3), found["best"]["options"])
    assert np.mean([f.ndcg(best.fit(f.past)) for f in folds]) == pytest.approx(found["best"]["value"], abs=1e-12)
    assert found["folds"][1]["learned_from"] < len(parts.train.frame) < len(log.frame)
    assert pd.Timestamp(found["folds"][1]["until"]) <= parts.train.frame["timestamp"].max()


def test_the_snippet_in_the_study_file_is_the_best_model(tuned: Result, shop: Path) -> None:
    snippet = (shop / "run" / "tune" / "near" / "best.toml").read_text()
    found = json.loads((shop / "run" / "tune" / "near" / "tune.json").read_text())
    file = STUDY[: STUDY.index("[models.near]")] + snippet
    assert parse_study(file).make_models()["near"] == with_options(ItemKNN(), found["best"]["options"])


def test_a_second_call_goes_on(tuned: Result, shop: Path) -> None:
    more = stylerec("tune", shop / "study.toml", "--model", "near", "--trials", 8, "--out", shop / "run", "--json")
    assert more.stderr.count("trial ") == 2
    found = json.loads(more.stdout)
    assert [t["number"] for t in found["trials"]] == list(range(1, 9))
    again = stylerec("tune", shop / "study.toml", "--model", "near", "--trials", 8, "--out", shop / "run", "--json")
    assert again.stderr.count("trial ") == 0
    assert json.loads(again.stdout) == found


def test_refusals_are_one_line(shop: Path) -> None:
    unknown = stylerec("tune", shop / "study.toml", "--model", "hybird", "--out", shop / "run")
    assert (unknown.exit_code, "did you mean 'hybrid'" in unknown.stderr) == (2, True)
    nothing = stylerec("tune", shop / "study.toml", "--model", "content", "--out", shop / "run")
    assert (nothing.exit_code, "nothing of content can be tuned" in nothing.stderr) == (2, True)
    many = stylerec("tune", shop / "study.toml", "--model", "near", "--folds", 50, "--out", shop / "run")
    assert (many.exit_code, "ask for fewer folds" in many.stderr) == (2, True)


def test_a_snippet_keeps_what_was_not_tuned_and_quotes_odd_names() -> None:
    options = {"l2": 0.5, "weights.look of ü": 2.0, "weights.kind": 0.25, "epochs": 7}
    found = Tuning("hybrid", 0.1, (Trial(0, "complete", 0.2, options, 1.0),), {}, {}, (), 0)
    table = {
        "kind": "hybrid",
        "enabled": True,
        "loss": "warp",
        "blocks": ["kind", "look of ü"],
        "weights": {"kind": 1.0},
    }
    assert tomllib.loads(best_toml(found, "my model", table)) == {
        "models": {
            "my model": {
                "kind": "hybrid",
                "loss": "warp",
                "blocks": ["kind", "look of ü"],
                "weights": {"kind": 0.25, "look of ü": 2.0},
                "l2": 0.5,
                "epochs": 7,
            }
        }
    }


def test_without_anything_better_there_is_no_snippet() -> None:
    found = Tuning("hybrid", 0.3, (Trial(0, "complete", 0.2, {"l2": 0.5}, 1.0),), {}, {}, (), 0)
    assert best_toml(found, "hybrid", {}) == ""
