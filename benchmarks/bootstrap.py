"""Paired bootstrap and randomisation test: 10,000 resamples of 100,000 users, to be done in 10 s.

    python benchmarks/bootstrap.py [--users 100000] [--resamples 10000] [--rounds 3]

Two models are compared by six metrics, whose values look like those of lists of 20: no user without a hit is left out,
so that none of the work is saved ("dense"), or four in five users have none ("sparse"). Both models' twelve columns are
resampled at once, as `evaluation.offline.evaluate` does. The peer is what is written by hand: draw users, take their
rows, average; and scipy's bootstrap of one difference, vectorised, in batches that fit. Both are timed at a hundredth
of the resamples and multiplied, which their loops allow. One thread; medians over rounds.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats
from threadpoolctl import threadpool_limits
from turns import peak_mb, take_turns

from evaluation.bootstrap import bca_interval, bootstrap_means, sign_flip_p
from recsys.files import write_json

HERE = Path(__file__).resolve().parent
GOAL_SECONDS = 10.0
METRICS = 6
PART = 100


def values(users: int, live: float) -> np.ndarray:
    """(users, 12) of two models: zeros where neither has a hit, else numbers in (0, 1]."""
    rng = np.random.default_rng(0)
    found = rng.random((users, 2 * METRICS), dtype=np.float32)
    found[rng.random(users) >= live] = 0
    return found


def by_hand(found: np.ndarray, resamples: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(resamples):
        found[rng.integers(0, len(found), len(found))].mean(axis=0)


def by_scipy(found: np.ndarray, resamples: int) -> None:
    difference = (found[:, 0] - found[:, METRICS]).astype(np.float64)
    stats.bootstrap(
        (difference,), np.mean, n_resamples=resamples, method="percentile", batch=50, rng=np.random.default_rng(0)
    )


def ours(found: np.ndarray, resamples: int) -> None:
    means = bootstrap_means(found, resamples=resamples, seed=0)
    (a, b), (mean_a, mean_b) = (np.split(array, 2, axis=1) for array in (found, means))
    bca_interval(a - b, mean_a - mean_b, floor=-1.0)


def flips(found: np.ndarray, resamples: int) -> None:
    sign_flip_p(found[:, :METRICS] - found[:, METRICS:], resamples=resamples, seed=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    dense, sparse = values(options.users, 1.0), values(options.users, 0.2)
    few = max(1, options.resamples // PART)
    contenders: dict[str, tuple[Callable[[np.ndarray, int], None], np.ndarray, int]] = {
        "bootstrap, 12 columns and intervals, dense": (ours, dense, options.resamples),
        "bootstrap, 12 columns and intervals, sparse": (ours, sparse, options.resamples),
        "bootstrap, one difference, dense": (ours, dense[:, [0, METRICS]], options.resamples),
        "randomisation, 6 differences, dense": (flips, dense, options.resamples),
        f"by hand, 12 columns (x {PART})": (by_hand, dense, few),
        f"scipy, one difference (x {PART})": (by_scipy, dense, few),
    }
    with threadpool_limits(limits=1):
        runs = {name: partial(work, found, n) for name, (work, found, n) in contenders.items()}
        taken = take_turns(runs, options.rounds, warm=0)
        rows: list[dict[str, Any]] = []
        print(
            f"{options.resamples} resamples of {options.users} users, one thread\n"
            f"{'':<46}{'seconds':>9}{'CPU s':>9}{'MB':>8}"
        )
        for name, (work, found, n) in contenders.items():
            row: dict[str, Any] = {"what": name, "seconds": taken[name]["wall_s"] * (options.resamples / n)}
            row["cpu_seconds"] = taken[name]["cpu_s"] * (options.resamples / n)
            row["peak_mb"] = peak_mb(partial(work, found, min(n, few)))
            rows.append(row)
            print(f"{name:<46}{row['seconds']:>9.2f}{row['cpu_seconds']:>9.2f}{row['peak_mb']:>8.0f}", flush=True)
    first = rows[0]["seconds"]
    verdict = "reached" if first < GOAL_SECONDS else "missed"
    print(f"goal: the first under {GOAL_SECONDS:g} s: {verdict}")
    about = {"users": options.users, "resamples": options.resamples, "rounds": options.rounds}
    write_json(HERE / "results" / "bootstrap.json", about | {"goal_seconds": GOAL_SECONDS, "rows": rows})


if __name__ == "__main__":
    main()
