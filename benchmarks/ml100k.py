"""Ratings of MovieLens 100K against LightFM's published floors: AUC and precision@10 of WARP, AUC of BPR.

    python benchmarks/ml100k.py [--seeds 3]

Ratings of 4 and 5 are choices; a random tenth is held out, as in LightFM's own tests on this set (there over its own
split; the floors are AUC > .90 and precision@10 > .07 for WARP, AUC > .87 for BPR, 10 factors). Users and items
have ids only. AUC is over the items a user has not rated 4 or 5 in training; precision over lists without those.
Medians over seeds, which draw another tenth each time. The package `lightfm` is fitted beside ours where installed.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recsys.data.catalog import Catalog
from recsys.data.dataset import Dataset
from recsys.data.interactions import Interactions
from recsys.files import write_json
from recsys.models.hybrid import HybridModel
from recsys.models.lightfm import LightFM
from recsys.progress import silenced

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("STYLEREC_DATA", HERE.parents[1] / "shared" / "data"))
FLOORS = {"warp": {"auc": 0.90, "precision@10": 0.07}, "bpr": {"auc": 0.87}}
K = 10


def contenders(loss: Any, seed: int) -> Mapping[str, Any]:
    """Ours with its defaults, ours as the peer is set, and the peer."""
    return {
        "hybrid, defaults": HybridModel(loss=loss, seed=seed),
        "hybrid, 10 factors, l2 .1, 20 epochs": HybridModel(loss=loss, factors=10, epochs=20, l2=0.1, seed=seed),
        "lightfm, 10 factors, 10 epochs": LightFM(loss=loss, factors=10, epochs=10, seed=seed),
    }


def task(seed: int) -> tuple[Dataset, np.ndarray]:
    """(train, (n_users, n_items) what is held out)."""
    log = pd.read_csv(DATA / "ml100k" / "ml-100k.inter.gz", sep="\t", dtype=str)
    log.columns = [name.split(":")[0] for name in log.columns]
    log = log[log["rating"].astype(float) >= 4][["user_id", "item_id"]]
    later = np.random.default_rng(seed).random(len(log)) < 0.1
    catalog = Catalog.from_frame(pd.DataFrame({"item_id": sorted(log["item_id"].unique())}))
    data = Dataset.of(Interactions.from_frame(log[~later]), catalog)
    held = log[later & log["user_id"].isin(set(data.users.ids)).to_numpy()]
    truth = np.zeros((len(data.users), len(data.items)), bool)
    truth[
        tuple(ids.encode(held[c].to_numpy(object)) for ids, c in ((data.users, "user_id"), (data.items, "item_id")))
    ] = True
    return data, truth


def judged(fitted: Any, data: Dataset, truth: np.ndarray) -> dict[str, float]:
    """Means over the users with something held out."""
    users = np.flatnonzero(truth.any(axis=1))
    scores = fitted.scores([data.users.ids[u] for u in users])
    seen, wanted = data.matrix.toarray()[users] > 0, truth[users]
    lists, _ = fitted.top_items(users, k=K)
    areas = []
    for row, own, liked in zip(scores, seen, wanted, strict=True):
        others = np.sort(row[~own & ~liked])
        below, upto = (np.searchsorted(others, row[liked], side=side) for side in ("left", "right"))
        areas.append(((below + upto) / 2).mean() / len(others))  # a tie is half a win
    hits = np.take_along_axis(wanted, lists, axis=1)
    return {"auc": float(np.mean(areas)), "precision@10": float(hits.mean())}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, dict[str, list[dict[str, float]]]] = {loss: {} for loss in FLOORS}
    for seed in range(options.seeds):
        data, truth = task(seed)
        for loss in FLOORS:
            for name, model in contenders(loss, seed).items():
                with silenced():
                    fitted = model.fit(data)
                found[loss].setdefault(name, []).append(judged(fitted, data, truth))
    rows = []
    print(f"{'loss':<8}{'':<40}{'AUC':>8}{'P@10':>8}   floors: WARP .90 and .07, BPR .87")
    for loss, models in found.items():
        for name, runs in models.items():
            row = {k: statistics.median(r[k] for r in runs) for k in runs[0]}
            rows.append(
                {"loss": loss, "model": name, **row, "reached": all(row[k] > v for k, v in FLOORS[loss].items())}
            )
            verdict = "reached" if rows[-1]["reached"] else "missed"
            print(f"{loss:<8}{name:<40}{row['auc']:>8.4f}{row['precision@10']:>8.4f}   {verdict}")
    write_json(HERE / "results" / "ml100k.json", {"seeds": options.seeds, "floors": FLOORS, "rows": rows})


if __name__ == "__main__":
    main()
