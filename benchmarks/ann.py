"""Approximate search beside exact search: recall, building time, speed for many users at a time and for one.

    python benchmarks/ann.py [--items 50000] [--users 2000] [--factors 64] [--k 10]

Vectors look like learned ones: a falling spectrum, item norms that vary as popularity does, biases. Every user has seen
20 items, which are left out. Exact search is the model's own, in the same run; recall is against its lists.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from topk import Given

from recsys.data.ids import IdMap
from recsys.files import write_json
from recsys.retrieval.factors import Factors
from recsys.retrieval.index import HNSW, IVF, Annoy, IndexConfig
from recsys.retrieval.search import Limits, Retriever

HERE = Path(__file__).resolve().parent
INDEXES: tuple[IndexConfig, ...] = (Annoy(), HNSW(), HNSW(effort=4), IVF(probes=0.05), IVF())
ONE_BY_ONE = 200


def problem(n: int, m: int, d: int) -> Given:
    rng = np.random.default_rng(0)
    spectrum = 0.95 ** np.arange(d)
    items = rng.standard_normal((m, d)) * spectrum * rng.gamma(2, 0.5, (m, 1))
    vectors = Factors(rng.standard_normal((n, d)) * spectrum, items, rng.standard_normal(m))
    users, names = (IdMap.of([f"{kind}{i}" for i in range(size)]) for kind, size in (("u", n), ("i", m)))
    row, column = np.repeat(np.arange(n), 20), rng.integers(0, m, 20 * n)
    seen = sp.csr_array((np.ones(20 * n, np.float32), (row, column)), shape=(n, m))
    seen.sum_duplicates()
    return Given(None, users, names, seen, vectors)


def timed(search: Any, n_users: int, k: int) -> tuple[float, float]:
    """Users a second, all at once; milliseconds a user, one by one (median)."""
    start = time.perf_counter()
    search.top_items(np.arange(n_users), k=k)
    many = n_users / (time.perf_counter() - start)
    each = []
    for user in range(min(ONE_BY_ONE, n_users)):
        start = time.perf_counter()
        search.top_items(np.array([user]), k=k)
        each.append(time.perf_counter() - start)
    return many, 1e3 * statistics.median(each)


def one(model: Given, config: IndexConfig, options: argparse.Namespace) -> dict[str, Any]:
    start = time.perf_counter()
    retriever = Retriever.of(model, config, limits=Limits())
    built = time.perf_counter() - start
    recall = retriever.measure(k=options.k, sample=500, say=lambda _: None)
    many, each = timed(retriever, options.users, options.k)
    with tempfile.TemporaryDirectory() as folder:
        retriever.save(Path(folder))
        size = (Path(folder) / "index.bin").stat().st_size / 2**20
    return {"index": str(config), "build_s": built, "mb": size, "recall": recall.mean, "users_per_s": many, "ms": each}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("items", 50_000), ("users", 2_000), ("factors", 64), ("k", 10)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    load = os.getloadavg()[0]
    model = problem(options.users, options.items, options.factors)
    many, each = timed(model, options.users, options.k)
    rows = [{"index": "exact", "build_s": 0.0, "mb": 0.0, "recall": 1.0, "users_per_s": many, "ms": each}]
    rows += [one(model, config, options) for config in INDEXES]
    print(f"{'':<72}{'build s':>9}{'MB':>7}{'recall':>8}{'users/s':>9}{'one, ms':>9}{'ratio of one':>14}")
    for row in rows:
        print(
            f"{row['index']:<72}{row['build_s']:>9.1f}{row['mb']:>7.0f}{row['recall']:>8.3f}"
            f"{row['users_per_s']:>9,.0f}{row['ms']:>9.2f}{each / row['ms']:>14.2f}"
        )
    print(f"\n{options.items:,} items, {options.users:,} users, top {options.k}; load before the start {load:.1f}")
    write_json(HERE / "results" / "ann.json", {"rows": rows, "load": load} | vars(options))


if __name__ == "__main__":
    main()
