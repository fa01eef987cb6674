"""Every model on real H&M purchases, four rolling cuts in time: Recall@20 of warm and of cold items.

Needs the features of a finished `make hm` (runs/hm). Features are the photo embedding and nine one-hot columns of the
catalogue. Options are the defaults, but FeatureALS's, which were found on earlier parts of the same log; purchases lose
half their weight in 180 days. Nothing is tuned here. The pool holds bought articles only, so a list over all of them
would profit from knowing that an unseen article is bought later: warm and cold items are judged apart.

Run: python benchmarks/hm_models.py [RUN]
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.offline import ModelKey, evaluate
from evaluation.splits import SplitConfig, split
from recsys.data.catalog import Catalog
from recsys.data.dataset import Dataset
from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.models.als import ALS
from recsys.models.content import Content
from recsys.models.ensemble import Ensemble, Member
from recsys.models.feature_als import FeatureALS
from recsys.models.hybrid import HybridModel
from recsys.models.item_knn import ItemKNN
from recsys.models.popularity import Popularity

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = (
    "category",
    "product_group_name",
    "graphical_appearance_name",
    "colour_group_name",
    "perceived_colour_master_name",
    "department_name",
    "index_name",
    "section_name",
    "garment_group_name",
)
FOUND: dict[str, Any] = {
    "regularization": 0.015,
    "unobserved_weight": 0.05,
    "feature_l2": 3.0,
    "confidence": "linear",
    "iterations": 24,
}
MODELS: dict[str, Any] = {
    "popularity": Popularity(),
    "item-knn": ItemKNN(),
    "als": ALS(),
    "content": Content(),
    "hybrid": HybridModel(),
    "hybrid, ids only": HybridModel(blocks=()),
    "hybrid, features only": HybridModel(user_id=False, id_dropout=1.0),
    "feature-als": FeatureALS(**FOUND),
    "ensemble": Ensemble(members=(Member("popularity"), Member("content"), Member("feature-als", FOUND))),
}


def table_of(run: Path, catalog: Catalog) -> FeatureTable:
    photo = FeatureBlock.load(run / "features", "efficientnet-lite0")
    one_hot = (FeatureBlock.one_hot(name, catalog.frame[name]) for name in COLUMNS)
    return FeatureTable(IdMap.of(catalog.ids), (photo, *one_hot))


def main() -> None:
    run = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "runs" / "hm")
    catalog, log = Catalog.load(run / "catalog.parquet"), Interactions.load(run / "interactions.parquet")
    table, rows = table_of(run, catalog), []
    for quantile in (0.6, 0.7, 0.8, 0.9):
        parts = split(log, SplitConfig(quantile=quantile))
        data = Dataset.of(parts.train, catalog, item_features=table, half_life_days=180.0)
        fitted, seconds = {}, {}
        for name, model in MODELS.items():
            start = time.perf_counter()
            fitted[ModelKey(name, "photo + columns")] = model.fit(data)
            seconds[name] = time.perf_counter() - start
        result = evaluate(fitted, parts.test, warm=data.is_warm, ks=(20,))
        for row in result.rows():
            if row["metric"] in ("recall", "cold_share"):
                keep = ("model", "segment", "metric", "value", "low", "high", "n_users")
                rows.append({"quantile": quantile, **{k: row.get(k) for k in keep}, "seconds": seconds[row["model"]]})
        _print(rows, quantile)
    print("\nmean over the cuts")
    _print(rows, None)
    (ROOT / "benchmarks" / "results").mkdir(exist_ok=True)
    (ROOT / "benchmarks" / "results" / "hm_models.json").write_text(json.dumps(rows, indent=1))


def _print(rows: list[dict[str, Any]], quantile: float | None) -> None:
    print(f"\n{'cut ' + str(quantile) if quantile else 'all cuts':<24}{'warm':>22}{'cold':>24}{'fit s':>8}", flush=True)
    for name in MODELS:
        cells = []
        for segment in ("warm", "cold"):
            of = [r for r in rows if r["model"] == name and r["segment"] == segment and r["metric"] == "recall"]
            of = [r for r in of if quantile in (None, r["quantile"])]
            mean = np.mean([r["value"] for r in of])
            cells.append(f"{mean:.4f}" + (f" [{of[0]['low']:.3f}, {of[0]['high']:.3f}]" if quantile else ""))
        print(f"{name:<24}{cells[0]:>22}{cells[1]:>24}{of[0]['seconds']:>8.1f}", flush=True)


if __name__ == "__main__":
    main()
