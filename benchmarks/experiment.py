"""How fast tests are rehearsed and read: re-split A/A tests, count bootstrap, tea-tasting's simulate, 100 million rows.

python benchmarks/experiment.py                    # the first three
python benchmarks/experiment.py --rows 100000000   # and a log of that size, made by DuckDB in a temporary folder
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
USERS, SPLITS, RESAMPLES, THEIRS = 4000, 10_000, 1_000_000, 100
READ = """
import json, resource, sys, time
sys.path.insert(0, {root!r})
from evaluation.experiment.decision import analyze_log
from evaluation.experiment.metrics import Metric
from evaluation.experiment.plan import LogConfig, Plan
plan = Plan(
    goals={{"ctr": Metric("click", "impressions", kind="ratio"), "revenue": Metric("revenue", winsorise=0.999)}},
    guardrails={{"buyers": Metric("revenue", kind="proportion", margin=0.02)}},
    log=LogConfig(unit="user_id", time="shown_at", start="2026-03-08", segments=("country",)),
)
start = time.perf_counter()
found = analyze_log({path!r}, plan)
took = time.perf_counter() - start
used = time.process_time()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
counts = sum(found.analysis.counts)
print(json.dumps(dict(seconds=took, cpu_seconds=used, peak_gib=peak, users=counts, verdict=found.decision.verdict,
                      because=found.decision.because, days=len(found.analysis.days))))
"""


def median_s(work: Any, rounds: int = 5) -> float:
    """Median wall seconds after one call that does not count."""
    work()
    took = []
    for _ in range(rounds):
        start = time.perf_counter()
        work()
        took.append(time.perf_counter() - start)
    return float(np.median(took))


def rehearsals() -> dict[str, float]:
    """A/A tests and resamples a second, and both against tea-tasting on its own data and design."""
    import tea_tasting

    from evaluation.experiment.count_bootstrap import CountBootstrap
    from evaluation.experiment.resplit import resplit

    data = tea_tasting.make_users_data(rng=42, n_users=USERS, return_type="pandas")
    orders, sessions = data["orders"].to_numpy(), data["sessions"].to_numpy()
    experiment = tea_tasting.Experiment(
        orders=tea_tasting.Mean("orders"), ratio=tea_tasting.RatioOfMeans("orders", "sessions")
    )
    users = data[["orders", "sessions"]]

    def ours() -> None:
        resplit(orders, n=SPLITS)
        resplit(orders, sessions, n=SPLITS)

    mean = median_s(lambda: resplit(orders, n=SPLITS))
    both = median_s(ours)
    boot = median_s(lambda: CountBootstrap.of(orders).means(RESAMPLES, seed=0))
    theirs = median_s(lambda: experiment.simulate(users, THEIRS, rng=0), rounds=3)
    return {
        "aa_tests_per_s": SPLITS / mean,
        "resamples_per_s": RESAMPLES / boot,
        "mean_and_ratio_tests_per_s": SPLITS / both,
        "tea_tasting_tests_per_s": THEIRS / theirs,
        "times_tea_tasting": (SPLITS / both) / (THEIRS / theirs),
    }


def big_log(rows: int) -> dict[str, Any]:
    """Make a log of three weeks, the first before the test, then read it in a process of its own."""
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "impressions.parquet")
        start = time.perf_counter()
        with duckdb.connect(config={"memory_limit": "2GB", "temp_directory": folder}) as db:
            db.execute(_made(rows, path))
        print(f"made in {time.perf_counter() - start:.0f} s, {Path(path).stat().st_size / 2**30:.2f} GiB", flush=True)
        script = READ.format(root=str(ROOT), path=path)
        done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return {"rows": rows, **json.loads(done.stdout)}


def _made(rows: int, path: str) -> str:
    """Rows in order of time; a user of 50 rows on average, some of many more; treatment clicks a little oftener."""
    users = max(rows // 50, 100)
    return f"""COPY (
        SELECT user_id, CAST(hash(user_id, 'split') % 2 AS TINYINT) AS arm, shown_at,
            CAST(luck < 0.03 + 0.001 * (hash(user_id, 'split') % 2) * (shown_at >= '2026-03-08')::INT AS TINYINT)
                AS click,
            CASE WHEN luck < 0.003 THEN CAST(20 + hash(i, 'price') % 8000 / 100 AS FLOAT) ELSE 0 END AS revenue,
            ['fi', 'se', 'no', 'dk'][CAST(1 + hash(user_id, 'country') % 4 AS BIGINT)] AS country
        FROM (SELECT i, CAST(floor({users} * pow(hash(i) / 18446744073709551616.0, 1.5)) AS BIGINT) AS user_id,
                TIMESTAMP '2026-03-01' + INTERVAL (CAST(i * 1814400.0 / {rows} AS BIGINT)) SECOND AS shown_at,
                hash(i, 'luck') / 18446744073709551616.0 AS luck
            FROM range({rows}) t(i))
    ) TO '{path}' (FORMAT parquet)"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "experiment.json")
    chosen = parser.parse_args()
    found: dict[str, Any] = json.loads(chosen.out.read_text()) if chosen.out.is_file() else {}
    found |= rehearsals()
    if chosen.rows:
        found["log"] = big_log(chosen.rows)
    for name, value in found.items():
        print(f"{name:<28} {value:>16,.1f}" if isinstance(value, float) else f"{name}: {json.dumps(value, indent=1)}")
    chosen.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
