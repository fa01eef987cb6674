"""How a hybrid's fit grows with interactions, and whether a big one fits into little memory.

Run: python benchmarks/growth.py [linear] [big]; default both.

linear   10^5, 10^6 and 10^7 interactions, 20 a user, of 50,000 items with 128 dense dimensions: seconds an epoch (the
         difference of a fit of two epochs and of one, so that the start does not count), and how they grow.
big      10^7 interactions of 500,000 users and 10^6 items with 512 dense float16 dimensions in a file of 1 GB that is
         mapped, not read: one epoch in a process of its own, its seconds and its largest resident memory, in which the
         kernel counts the pages of the mapped file. Goal: 6 GB. All 512 dimensions are kept, in bfloat16.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from recsys.data.dataset import Dataset
from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.files import write_json
from recsys.models.hybrid import HybridModel

HERE = Path(__file__).resolve().parent
SIZES = (10**5, 10**6, 10**7)
EACH = 20
GOAL_GB = 6.0


def shop(n: int, n_users: int, n_items: int, block: FeatureBlock, seed: int = 0) -> Dataset:
    """Interactions of a popularity that falls like a power; which item it is says nothing of its features."""
    rng = np.random.default_rng(seed)
    item = (n_items * rng.random(n) ** 3).astype(np.int64)
    user = np.repeat(np.arange(n_users), n // n_users)
    users, items = (IdMap.of([f"{kind}{i}" for i in range(size)]) for kind, size in (("u", n_users), ("i", n_items)))
    when = np.full(n, np.datetime64("NaT", "ns"))
    return Dataset(
        users, items, user, item, np.ones(n, np.float32), when, FeatureTable(items, (block,)), FeatureTable(users)
    )


def seconds(model: HybridModel, data: Dataset) -> float:
    start = time.perf_counter()
    model.fit(data)
    return time.perf_counter() - start


def linear() -> dict[str, Any]:
    """Seconds an epoch by interactions."""
    rng, rows = np.random.default_rng(0), []
    block = FeatureBlock("dense", rng.standard_normal((50_000, 128), dtype=np.float32))
    print(f"{'interactions':>14}{'s an epoch':>12}{'per million':>13}{'interactions/s':>16}")
    for n in SIZES:
        data = shop(n, n // EACH, 50_000, block)
        one, two = (seconds(HybridModel(epochs=e, history=False), data) for e in (1, 2))
        rows.append({"interactions": n, "epoch": two - one, "first": one})
        print(f"{n:>14,}{two - one:>12.2f}{(two - one) / n * 1e6:>13.2f}{n / (two - one):>16,.0f}", flush=True)
    exponent = float(np.polyfit(*np.log([[r["interactions"] for r in rows], [r["epoch"] for r in rows]]), 1)[0])
    print(f"an epoch grows with interactions to the power {exponent:.2f} (1 is linear)")
    return {"rows": rows, "exponent": exponent}


def big() -> dict[str, Any]:
    """Seconds and memory of one epoch on 10^7 interactions x 10^6 items x 512 dimensions."""
    with tempfile.TemporaryDirectory(dir=HERE) as folder:
        path = Path(folder) / "dense.npy"
        table = np.lib.format.open_memmap(path, "w+", np.float16, (10**6, 512))
        rng = np.random.default_rng(0)
        for start in range(0, len(table), 20_000):
            table[start : start + 20_000] = rng.standard_normal((20_000, 512), dtype=np.float32)
        del table
        done = subprocess.run(
            [sys.executable, __file__, "--child", str(path)], check=True, capture_output=True, text=True
        )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    verdict = "reached" if found["peak_gb"] < GOAL_GB else "MISSED"
    print("10^7 interactions x 10^6 items x 512 dims fp16, mapped; one epoch with start and end:")
    print(f"{found['seconds']:.0f} s, peak {found['peak_gb']:.2f} GB (goal {GOAL_GB:g}: {verdict})")
    return found


def child(path: Path) -> None:
    """The fit whose memory is measured."""
    block = FeatureBlock("dense", np.load(path, mmap_mode="r"))
    data = shop(10**7, 500_000, 10**6, block)
    model = HybridModel(epochs=1, history=False, max_dims=512, precision="bfloat16", batch_size=1024)
    took = seconds(model, data)
    high = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    print(json.dumps({"seconds": took, "peak_gb": int(high.split()[1]) / 2**20}))


def main() -> None:
    torch.set_num_threads(2)
    if sys.argv[1:2] == ["--child"]:
        child(Path(sys.argv[2]))
        return
    parts = {"linear": linear, "big": big}
    found = {name: parts[name]() for name in sys.argv[1:] or parts}
    write_json(HERE / "results" / "growth.json", found)


if __name__ == "__main__":
    main()
