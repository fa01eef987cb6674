"""Oracles: a small shop whose split, folds and shares are known, and a model given again as a table of its lists."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from evaluation.offline import ModelKey
from recsys.data import Dataset, FeatureBlock, FeatureTable, IdMap
from recsys.errors import ConfigError, DataError, UnknownIdError
from recsys.models.artifacts import load_model
from study import comparing
from study.chain import OFFLINE_CHAIN
from study.learning import dataset_of, split_of
from study.outside import compare_outside, named_files
from study.repeats import over_folds, over_fractions, over_seeds, spread
from study.run import Study, run_stages

HEAD = """
[catalog]
path = "items.csv"
[interactions]
path = "sales.csv"
[looks]
[models.content]
enabled = false
[models.als]
factors = 4
iterations = 3
[models.hybrid]
factors = 4
epochs = 2
[features]
blocks = ["category"]
"""


def shop(folder: Path, more: str = "") -> Study:
    """60 items of three kinds, 80 users; a fifth of the items is sold late only."""
    rng = np.random.default_rng(0)
    items = pd.DataFrame({"item_id": [f"i{i:02d}" for i in range(60)]})
    items["category"] = np.array(["hat", "coat", "shoe"])[np.arange(60) % 3]
    items["price"] = np.arange(60) + 0.5
    items["launched"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.where(np.arange(60) < 48, 0, 85), unit="D")
    day = np.sort(rng.integers(0, 100, size=1500))
    item = np.where(day < 80, rng.integers(0, 48, size=1500), rng.integers(0, 55, size=1500))
    sales = pd.DataFrame({"user_id": [f"u{u:02d}" for u in rng.integers(0, 80, size=1500)]})
    sales["item_id"] = items["item_id"].to_numpy()[item]
    sales["timestamp"] = (pd.Timestamp("2024-01-01") + pd.to_timedelta(day, unit="D")).strftime("%Y-%m-%d")
    folder.mkdir()
    items.to_csv(folder / "items.csv", index=False)
    sales.to_csv(folder / "sales.csv", index=False)
    (folder / "study.toml").write_text(HEAD + more)
    made = Study.create(folder / "study.toml", folder / "run")
    run_stages(made, OFFLINE_CHAIN, say=lambda line: None)
    return made


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    return shop(tmp_path_factory.mktemp("shop") / "shop")


def quiet(line: str) -> None:
    """Says nothing."""


def test_ablations_always_have_popularity_and_biases_alone(study: Study) -> None:
    found = json.loads((study.folder / "offline.json").read_text())
    models = {(r["model"], r["features"]) for r in found["rows"]}
    assert models == {("popularity", "none"), ("bias-only", "none"), ("als", "none"), ("hybrid", "none"),
                      ("hybrid", "metadata")}  # fmt: skip
    for name, size in (("als", 2), ("hybrid", 3)):
        rows = [r for r in found["ablations"] if r["baseline"] == f"{name} / none"]
        assert {r["model"] for r in rows} == {"popularity", "bias-only", name} - ({"als"} if size == 2 else set())
    # Biases know kinds: cold items are not all alike, as they are for popularity.
    share = {
        (r["model"], r["segment"]): r["value"] for r in found["rows"] if (r["metric"], r["k"]) == ("undecided", 20)
    }
    assert share["popularity", "cold"] == 1.0
    assert share["bias-only", "cold"] < 1.0


def test_the_comparison_is_broken_down_and_written_as_tables(study: Study) -> None:
    found = json.loads((study.folder / "offline.json").read_text())
    names = {r["segment"].split(":")[0] for r in found["groups"]}
    assert names == {"history", "popularity", "category", "price"}  # no photos, no style
    assert {r["segment"] for r in found["groups"] if r["segment"].startswith("category")} == {
        "category: hat", "category: coat", "category: shoe"}  # fmt: skip
    assert {p.name for p in (study.folder / "comparison").iterdir()} == {
        "values.csv", "differences.csv", "table.md", "table.tex"}  # fmt: skip


def test_candidates_are_those_that_could_be_shown(study: Study, tmp_path: Path) -> None:
    whole = json.loads((study.folder / "offline.json").read_text())
    assert whole["split"]["candidates"]["candidates"] == 60
    more = '[evaluation]\navailable_from = "launched"\nas_of = "train-end"\ngroups = []\n'
    early = json.loads((shop(tmp_path / "early", more).folder / "offline.json").read_text())
    assert early["split"]["candidates"]["candidates"] == 48  # the others come on day 85, train ends on day 79
    assert early["split"]["candidates"]["as_of"] == early["split"]["train_last"]
    assert early["segments"]["cold"]["candidates"] == 0
    assert any("of items that are no candidates" in note for note in early["notes"])
    late = json.loads((shop(tmp_path / "late", more.replace("train", "test")).folder / "offline.json").read_text())
    assert late["split"]["candidates"]["candidates"] == 60
    with pytest.raises(ConfigError, match=r"evaluation.available_from: unknown catalogue column 'lanched'"):
        shop(tmp_path / "typo", '[evaluation]\navailable_from = "lanched"\n')


def test_held_out_users_are_folded_in(tmp_path: Path) -> None:
    made = shop(tmp_path / "users", '[split]\nkind = "user"\nshare = 0.3\n[evaluation]\ngroups = []\n')
    parts = split_of(made)
    assert not set(parts.test.frame["user_id"]) & set(parts.train.frame["user_id"])
    model = load_model(made.folder / "offline" / "als--none")
    assert set(parts.test.frame["user_id"]) <= set(model.users)
    found = json.loads((made.folder / "offline.json").read_text())
    assert found["segments"]["all"]["averaged"] == parts.test.frame["user_id"].nunique() == 24


def test_strata_are_a_column_of_the_catalogue(tmp_path: Path) -> None:
    more = '[split]\nkind = "item-cold"\nshare = 0.2\nstratify = "category"\n[evaluation]\ngroups = []\n'
    parts = split_of(shop(tmp_path / "strata", more))
    kinds = pd.Series(parts.later_items).str[1:].astype(int) % 3
    assert kinds.value_counts().to_dict() == {0: 4, 1: 4, 2: 4}  # of 19, 18 and 18 sold ones
    with pytest.raises(ConfigError, match=r"split.stratify: unknown catalogue column 'categry'"):
        shop(tmp_path / "typo", more.replace('"category"', '"categry"'))


def test_seeds_change_what_is_random_and_nothing_else(study: Study) -> None:
    rows = over_seeds(study, 2, say=quiet)
    found = {(r["model"], r["features"]): r for r in spread(rows, "seed")
             if (r["segment"], r["metric"], r["k"]) == ("all", "ndcg", 20)}  # fmt: skip
    assert found["popularity", "none"]["sd"] == found["bias-only", "none"]["sd"] == 0.0
    assert found["hybrid", "metadata"]["sd"] > 0
    first = {(r["model"], r["features"], r["segment"], r["metric"], r["k"]): r["value"] for r in rows if r["seed"] == 0}
    offline = json.loads((study.folder / "offline.json").read_text())
    assert first == {
        (r["model"], r["features"], r["segment"], r["metric"], r["k"]): r["value"]
        for r in offline["rows"]
        if r["low"] is not None
    }  # the study's own seed gives the study's own numbers
    values = [r["value"] for r in rows if (r["model"], r["features"], r["segment"], r["metric"], r["k"])
              == ("hybrid", "metadata", "all", "ndcg", 20)]  # fmt: skip
    row = found["hybrid", "metadata"]
    assert (row["seeds"], row["lowest"], row["highest"]) == (2, min(values), max(values))
    assert row["mean"] == pytest.approx(np.mean(values))
    assert row["sd"] == pytest.approx(np.std(values, ddof=1))
    assert len(pd.read_csv(study.folder / "repeats" / "seeds.csv")) == len(rows)
    alone = over_seeds(study, 2, say=quiet, only=["als"])
    assert {r["model"] for r in alone} == {"als", "popularity", "bias-only"}
    with pytest.raises(ConfigError, match="unknown model 'asl'; did you mean 'als'"):
        over_seeds(study, 2, say=quiet, only=["asl"])
    with pytest.raises(ConfigError, match="seeds must be >= 2"):
        over_seeds(study, 1, say=quiet)


def test_folds_are_judged_apart(study: Study) -> None:
    said: list[str] = []
    rows = over_folds(study, 2, say=said.append)
    assert [line.split(":")[0] for line in said] == ["fold 1 of 2", "fold 2 of 2"]
    users = {r["fold"]: r["n_users"] for r in rows if r["segment"] == "all"}
    assert set(users) == {1, 2}
    assert set(json.loads((study.folder / "repeats" / "folds.json").read_text())) == {"rows", "spread"}


def test_a_learning_curve_ends_at_the_comparison(study: Study) -> None:
    rows = over_fractions(study, [1.0, 0.1], say=quiet)
    assert list(dict.fromkeys(r["fraction"] for r in rows)) == [0.1, 1.0]
    offline = json.loads((study.folder / "offline.json").read_text())["rows"]
    key = ("model", "features", "segment", "metric", "k")
    whole = {tuple(r[k] for k in key): r["value"] for r in rows if r["fraction"] == 1.0}
    assert whole == {tuple(r[k] for k in key): r["value"] for r in offline if r["low"] is not None}
    little = {tuple(r[k] for k in key): r["value"] for r in rows if r["fraction"] == 0.1}
    assert any(little[k] != whole[k] for k in whole if k[0] == "bias-only")


def test_a_model_given_as_a_table_has_its_own_values(study: Study, tmp_path: Path) -> None:
    data: Dataset = dataset_of(study, split_of(study).train)
    model = load_model(study.folder / "offline" / "hybrid--metadata")
    lists = model.recommend(data.users, k=60, exclude_seen=False).to_frame()
    lists[["user_id", "item_id", "score"]].to_csv(tmp_path / "lists.csv", index=False)
    found = compare_outside(study, {"theirs": tmp_path / "lists.csv"}, on_unknown="raise", say=quiet)
    key = ("segment", "metric", "k")
    ours, theirs = (
        {tuple(r[k] for k in key): r["value"] for r in found["rows"] if (r["model"], r["features"]) == who}
        for who in (("hybrid", "metadata"), ("theirs", "outside"))
    )
    assert ours == theirs
    assert found["read"]["theirs / outside"]["users_with_rows"] == len(data.users)
    lists.loc[0, "user_id"] = "nobody"
    lists.to_csv(tmp_path / "unknown.csv", index=False)
    with pytest.raises(UnknownIdError, match="'nobody'"):
        compare_outside(study, {"theirs": tmp_path / "unknown.csv"}, on_unknown="raise", say=quiet)
    skipped = compare_outside(study, {"theirs": tmp_path / "unknown.csv"}, on_unknown="skip", say=quiet)
    assert skipped["read"]["theirs / outside"]["rows_of_unknown_ids"] == 1
    with pytest.raises(ConfigError, match="has a model 'hybrid' of its own"):
        compare_outside(study, {"hybrid": tmp_path / "lists.csv"}, on_unknown="raise", say=quiet)


def test_files_are_named_once() -> None:
    assert named_files(["a=x.csv", "b=y=z.csv"]) == {"a": Path("x.csv"), "b": Path("y=z.csv")}
    with pytest.raises(ConfigError, match=r"NAME=FILE, got 'lists\.csv'"):
        named_files(["lists.csv"])
    with pytest.raises(ConfigError, match="'a' are named twice"):
        named_files(["a=x.csv", "a=y.csv"])


def test_no_split_leaves_nothing_to_repeat(tmp_path: Path) -> None:
    made = shop(tmp_path / "none", '[split]\nkind = "none"\n')
    for call in (
        lambda: over_seeds(made, 2, say=quiet),
        lambda: compare_outside(made, {}, on_unknown="raise", say=quiet),
    ):
        with pytest.raises(ConfigError, match="leaves nothing to compare by"):
            call()
    with pytest.raises((ConfigError, DataError)):
        over_folds(made, 2, say=quiet)


def test_what_was_fitted_on_photos_is_named(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = np.eye(60, 4, dtype=np.float32) + 1
    rows[7] = 0  # an item without a photo
    blocks = (
        FeatureBlock("gram", rows, provenance={"variance_kept": 0.9, "fitted_on": 59}),
        FeatureBlock("raw", rows, provenance={"encoder": "raw", "fitted_on": 59, "categories": 0}),
    )
    table = FeatureTable(IdMap.of(f"i{i:02d}" for i in range(60)), blocks)
    monkeypatch.setattr(comparing, "table_for", lambda study, look: table)
    monkeypatch.setattr(Study, "encoders", ("gram", "raw"))
    keys = [ModelKey("hybrid", "original"), ModelKey("hybrid", "metadata"), ModelKey("als")]
    found = {fit.what: fit.items for fit in comparing.fits(study, keys)}
    assert list(found) == ["transform of block 'gram'", "principal directions of hybrid"]
    assert [int(items.sum()) for items in found.values() if items is not None] == [59, 60]
    assert json.loads((study.folder / "offline.json").read_text())["leakage"] == []  # this shop has no photos
