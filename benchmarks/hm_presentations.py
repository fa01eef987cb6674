"""What style adds on real H&M purchases: models with ids, with style as shown, and with style alone.

    python benchmarks/hm_presentations.py [--users 200] [--look retro] [--seed 0]

Some customers (all 1,364 with --users 1364; looks and features of their 17,033 articles take most of the time, the 16
fits a minute and a half of one core) with everything they bought are a small shop of their own, split by time at 80 %
of the purchases. A photo's style is what the Magenta style network and Gram matrices see of it, the photo as it is or
in a look; nothing else is known of an article. Warm and cold articles are ranked apart, since the pool of what these
customers bought gives away which unseen article will be bought (the notes of the comparison say so).

    none       ids only                        popularity, biases alone and ALS know nothing else
    original   ids and the style of the photo
    <look>     ids and the style of the photo in the look; the original's where the guard rejected it
    content    style only, nothing learned: likeness to what the customer bought
    style-only neither users' nor items' ids: a history is the mean style of what is in it, weights learned

feature-als is the ALS that takes features. LightFM always has ids, so it has no row of style alone; it sees 32
principal directions of style, as dense features are slow for it; the others have their defaults. Everything lies in
runs/hm-presentations-<users>, an ordinary study; a call that was cut off goes on. Printed are recall and NDCG at 20,
the same model with the look against itself with the originals, and what the lists are like beyond accuracy.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from recsys.files import read_json, write_json
from study.chain import OFFLINE_CHAIN
from study.results import offline_beyond
from study.run import Study, run_stages
from study.show import table as shown

ROOT = Path(__file__).resolve().parents[1]
STUDY = """
[catalog]
path = "items.csv"
images = "$STYLEREC_DATA/hm_fashion/images_h176.zip"
columns = {{ item_id = "article_id", title = "prod_name", category = "product_type_name" }}
[interactions]
path = "sales.csv"
columns = {{ user_id = "user", item_id = "article_id", timestamp = "t_dat" }}
[looks.{look}]
[features]
blocks = ["magenta-style", "gram"]
[models.content]
[models.lightfm]
max_dims = 32
[models.feature-als]
[models.style-only]
kind = "hybrid"
user_id = false
id_dropout = 1.0
[evaluation]
groups = ["history", "popularity", "category", "style"]
"""
ROWS = (
    ("popularity", "none"),
    ("bias-only", "none"),
    *(
        (model, features)
        for model in ("als", "feature-als", "lightfm", "hybrid")
        for features in ("none", "original", "")
    ),
    *((model, features) for model in ("content", "style-only") for features in ("original", "")),
)


def shop(users: int, look: str, seed: int) -> Study:
    """The purchases of some customers, as a study."""
    data = Path(os.environ.setdefault("STYLEREC_DATA", str(ROOT.parent / "shared" / "data"))) / "hm_fashion"
    folder = ROOT / "runs" / f"hm-presentations-{users}"
    folder.mkdir(parents=True, exist_ok=True)
    sales = pd.read_csv(data / "transactions.csv.gz", dtype=str)
    known = np.sort(sales["user"].unique())
    chosen = np.random.default_rng(seed).choice(known, size=min(users, len(known)), replace=False)
    sales = sales[sales["user"].isin(set(chosen))]
    items = pd.read_csv(data / "items.csv.gz", dtype=str)
    items[items["article_id"].isin(set(sales["article_id"]))].to_csv(folder / "items.csv", index=False)
    sales.to_csv(folder / "sales.csv", index=False)
    (folder / "study.toml").write_text(STUDY.format(look=look))
    return Study.create(folder / "study.toml", folder / "run")


def table(found: dict[str, Any], look: str) -> list[dict[str, Any]]:
    """A row a model and what it saw: recall@20 and NDCG@20 of warm and of cold articles, with intervals."""
    values = {(r["model"], r["features"], r["segment"], r["metric"]): r for r in found["rows"] if r["k"] == 20}
    against = {
        (r["model"], r["features"], r["segment"], r["metric"]): r for r in found["ablations"] if r["k"] == 20
        and r["baseline"] == f"{r['model']} / none"
    }  # fmt: skip
    rows = []
    for model, features in ROWS:
        key = (model, features or look)
        if (*key, "warm", "recall") not in values:
            continue
        row: dict[str, Any] = {"model": model, "features": key[1]}
        for segment in ("warm", "cold"):
            for metric in ("recall", "ndcg"):
                one, gain = values.get((*key, segment, metric)), against.get((*key, segment, metric))
                row[f"{segment}_{metric}"] = None if one is None else {k: one[k] for k in ("value", "low", "high")}
                keys = ("difference", "low", "high", "effect_size", "p_adjusted")
                row[f"{segment}_{metric}_gain"] = None if gain is None else {k: gain[k] for k in keys}
        rows.append(row)
    return rows


def show(rows: list[dict[str, Any]]) -> None:
    columns = [f"{segment}_{metric}" for segment in ("warm", "cold") for metric in ("recall", "ndcg")]
    print(f"\n{'':<24}" + "".join(f"{c.replace('_', ' ') + '@20':>28}" for c in columns))
    for row in rows:
        cells = "".join(f"{_cell(row[c], row[f'{c}_gain']):>28}" for c in columns)
        print(f"{row['model']:<12}{row['features']:<12}{cells}")
    print("* differs from the same model with ids only: p adjusted <= 0.05")


def _cell(value: dict[str, float] | None, gain: dict[str, float] | None) -> str:
    if value is None:
        return "–"
    mark = "*" if gain is not None and gain["p_adjusted"] <= 0.05 else " "
    return f"{value['value']:.4f} [{value['low']:.4f}, {value['high']:.4f}]{mark}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--look", default="retro")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="lightfm")
    study = shop(options.users, options.look, options.seed)
    run_stages(study, OFFLINE_CHAIN)
    about = {"users": options.users, "look": options.look, "seed": options.seed}
    record(read_json(study.folder / "offline.json"), about)


def record(found: dict[str, Any], about: dict[str, Any]) -> None:
    """Print and write what the comparison found."""
    rows, looks = table(found, about["look"]), by_look(found)
    show(rows)
    print("\nthe look against the originals, the same model")
    for r in looks:
        ends = f"[{r['low']:+.4f}, {r['high']:+.4f}]"
        print(f"{r['model']:<12}{r['segment']:<6}{r['metric']:<8}{r['difference']:+.4f} {ends} p {r['p_adjusted']:.3f}")
    beyond = offline_beyond(found)
    print("\nbeyond accuracy, lists of 20", shown(beyond), sep="\n")
    print(*found["notes"], sep="\n")
    about = about | {key: found[key] for key in ("segments", "split", "baseline", "leakage")}
    found = about | {"rows": rows, "look_against_original": looks, "beyond": beyond}
    (ROOT / "benchmarks" / "results").mkdir(exist_ok=True)
    write_json(ROOT / "benchmarks" / "results" / "hm_presentations.json", found)


def by_look(found: dict[str, Any]) -> list[dict[str, Any]]:
    """Recall and NDCG at 20 of every model with the look, minus itself with the originals."""
    wanted = [r for r in found["looks"] if r["k"] == 20 and r["metric"] in ("recall", "ndcg") and r["segment"] != "all"]
    keys = (
        "model",
        "segment",
        "metric",
        "difference",
        "low",
        "high",
        "effect_size",
        "p_adjusted",
        "n_better",
        "n_worse",
    )
    return [{key: r[key] for key in keys} for r in wanted]


if __name__ == "__main__":
    main()
