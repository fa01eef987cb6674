"""What a GPU gives, in one command: each section on the CPU's two threads and on CUDA, results compared first.

Run: python benchmarks/gpu.py [engine]. Without a GPU it says so and ends with status 1.

engine   an epoch of a hybrid (64 factors, 512 dense dimensions, 5,000 users and items, 200,000 interactions; the shop
         of hybrid.py) and a fit of FeatureALS (8 iterations) on the same. Goal on an H100: 20 x the two-core CPU. What
         both learn must rank alike: NDCG@10 within .01.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hybrid import USERS, ndcg, shop

from recsys.files import write_json
from recsys.models.feature_als import FeatureALS
from recsys.models.hybrid import HybridModel

HERE = Path(__file__).resolve().parent
GOAL = 20.0


def engine() -> list[dict[str, Any]]:
    """Hybrid and FeatureALS on both devices."""
    data, test = shop(512)
    rows = []
    whole: dict[str, Any] = {"history": False, "max_dims": 512, "whitening": 0.0, "id_dropout": 0.0, "l2": 0.1}
    for name, few, many, make in (
        ("hybrid, an epoch", 2, 12, lambda n, d: HybridModel(**whole, l2_features=10.0, epochs=n, device=d)),
        ("feature-als, an iteration", 2, 8, lambda n, d: FeatureALS(iterations=n, max_dims=512, device=d)),
    ):
        row: dict[str, Any] = {"what": name}
        for device in ("cpu", "cuda"):
            make(1, device).fit(data)  # what is loaded and compiled on first use
            took = []
            for n in (few, many):
                start = time.perf_counter()
                fitted = make(n, device).fit(data)
                took.append(time.perf_counter() - start)
            lists, _ = fitted.top_items(np.arange(USERS), k=10)
            row |= {device: (took[1] - took[0]) / (many - few), f"{device}_ndcg": ndcg(lists, test)}
        if abs(row["cpu_ndcg"] - row["cuda_ndcg"]) > 0.01:
            raise SystemExit(
                f"{name}: NDCG@10 is {row['cpu_ndcg']:.4f} and {row['cuda_ndcg']:.4f}; nothing is compared"
            )
        rows.append(row | {"ratio": row["cpu"] / row["cuda"]})
    return rows


SECTIONS: Mapping[str, Callable[[], list[dict[str, Any]]]] = {"engine": engine}


def main() -> None:
    if not torch.cuda.is_available():
        raise SystemExit("no GPU is seen; nothing was measured")
    torch.set_num_threads(2)
    found: dict[str, Any] = {"device": torch.cuda.get_device_name()}
    for name in sys.argv[1:] or SECTIONS:
        found[name] = SECTIONS[name]()
        print(f"\n{name}: {found['device']}")
        for row in found[name]:
            verdict = "reached" if row["ratio"] >= GOAL else "MISSED"
            print(
                f"{row['what']:<28}{row['cpu']:>9.3f} s{row['cuda']:>9.4f} s{row['ratio']:>8.1f} x (goal {GOAL:g}: "
                f"{verdict})  NDCG@10 {row['cpu_ndcg']:.4f} {row['cuda_ndcg']:.4f}"
            )
    write_json(HERE / "results" / "gpu.json", found)


if __name__ == "__main__":
    main()
