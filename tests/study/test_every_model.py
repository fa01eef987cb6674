"""Oracle: every registered model must go through the whole chain, whatever features a comparison leaves out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recsys.registry import names
from study.chain import OFFLINE_CHAIN
from study.run import Study, run_stages

OPTIONS = {
    "hybrid": 'epochs = 2\nweights = { category = 0.5 }\nraw = ["category"]',
    "feature-als": "iterations = 2\nweights = { category = 0.5 }",
    "content": 'blocks = ["category"]',
    "vbpr": "epochs = 2",
    "deepstyle": "epochs = 2",
    "lightfm": "epochs = 2\nweights = { category = 0.5 }",
    "ensemble": 'members = [{ model = "popularity" }, { model = "feature-als", options = { iterations = 2, '
    "weights = { category = 0.5 } } }]",
}


@pytest.mark.parametrize("kind", ["time", "item-cold", "user"])  # user: everyone can fold strangers in
def test_every_model_is_compared_with_every_set_of_features(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("lightfm", reason="extra lightfm is not installed")
    rng = np.random.default_rng(0)
    kinds = ["bag", "shoe", "lamp"]
    pd.DataFrame({"item_id": [f"i{i}" for i in range(40)], "category": [kinds[i % 3] for i in range(40)]}).to_csv(
        tmp_path / "items.csv", index=False
    )
    days = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.permutation(600), "h")
    log = {"user_id": [f"u{i % 30}" for i in range(600)], "item_id": [f"i{i}" for i in rng.integers(0, 40, 600)]}
    pd.DataFrame({**log, "timestamp": days}).to_csv(tmp_path / "log.csv", index=False)
    models = "\n".join(f"[models.{name}]\n{OPTIONS.get(name, '')}" for name in names("models"))
    (tmp_path / "study.toml").write_text(
        f'[catalog]\npath = "items.csv"\n[interactions]\npath = "log.csv"\n[split]\nkind = "{kind}"\n'
        f'[features]\nblocks = ["category"]\n{models}\n'
    )
    study = Study.create(tmp_path / "study.toml", tmp_path / "run")
    run_stages(study, OFFLINE_CHAIN, say=lambda line: None)
    rows = json.loads((tmp_path / "run" / "offline.json").read_text())["rows"]
    compared = {(row["model"], row["features"]) for row in rows}
    assert {model for model, _ in compared} == set(names("models")) | {"bias-only"}
    for model in ("hybrid", "feature-als", "lightfm", "ensemble"):
        assert {(model, "none"), (model, "metadata")} <= compared
