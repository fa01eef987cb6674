"""Six metrics from lists and relevant items, against ranx's `evaluate` in the same run; and a million users alone.

    python benchmarks/metrics.py [--users 20000] [--width 100] [--relevant 10] [--rounds 5]

All start from the same integer arrays. ranx is timed twice: with its `Qrels` and `Run` made and sorted before, and with
the dicts it takes and both objects made each time. Its compiler has run before anything is timed; it uses its own
threads, ours one. For information, ours is timed from columns of text ids too. The values are compared first. Peak
memory of the million is that of a process of its own, the lists included.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from turns import take_turns

from evaluation.metrics import score_lists
from recsys.data.ids import IdMap
from recsys.files import write_json

HERE = Path(__file__).resolve().parent
N_ITEMS = 50_000
OURS = "ours"
GOALS = {"ranx, prebuilt": 8.0, "ranx, from arrays": 50.0}
GOAL_S, GOAL_GB = 10.0, 3.0
METRICS = ("precision", "recall", "ndcg", "map_all", "mrr", "hit_rate")
PEERS = ("precision", "recall", "ndcg", "map", "mrr", "hit_rate")
Pairs = tuple[np.ndarray, np.ndarray, np.ndarray]


def problem(n_users: int, width: int, n_relevant: int) -> Pairs:
    """Lists of distinct items, and relevant pairs of which some are listed; by user, in no other order."""
    rng = np.random.default_rng(0)
    start, step = rng.integers(0, N_ITEMS, (n_users, 1)), rng.integers(1, N_ITEMS // width, (n_users, 1))
    items = (start + step * rng.permuted(np.tile(np.arange(width), (n_users, 1)), axis=1)) % N_ITEMS
    listed = np.take_along_axis(items, rng.integers(0, width, (n_users, n_relevant)), axis=1)
    other = rng.integers(0, N_ITEMS, (n_users, n_relevant))
    item = np.where(rng.random((n_users, n_relevant)) < 0.3, listed, other)
    return items, np.repeat(np.arange(n_users), n_relevant), item.ravel()


def ours(lists: Pairs, width: int) -> dict[str, float]:
    items, user, item = lists
    return score_lists(items, user, item, n_items=N_ITEMS, metrics=METRICS, ks=(width,)).means()


def as_dicts(lists: Pairs) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is relevant and what is listed, as ranx takes it: user → item → grade or score."""
    items, user, item = lists
    qrels: dict[str, Any] = {f"u{u}": {} for u in range(len(items))}
    for u, i in zip(user.tolist(), item.tolist(), strict=True):
        qrels[f"u{u}"][f"i{i}"] = 1
    width = items.shape[1]
    return qrels, {
        f"u{u}": {f"i{i}": float(width - rank) for rank, i in enumerate(row)} for u, row in enumerate(items.tolist())
    }


def from_ids(columns: tuple[np.ndarray, ...], n_users: int, width: int) -> dict[str, float]:
    """Ours from columns of text: ids to integers, then as before."""
    list_user, list_item, user, item = columns
    users, items = IdMap.of(list_user[::width]), IdMap.of([f"i{i}" for i in range(N_ITEMS)])
    lists = items.encode(list_item).reshape(n_users, width)
    return ours((lists, users.encode(user), items.encode(item)), width)


def contenders(lists: Pairs, width: int) -> dict[str, Callable[[], dict[str, float]]]:
    """Name → the means of the six."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its imports and its compiler
        from ranx import Qrels, Run, evaluate
    names = [f"{m}@{width}" for m in PEERS]
    items, user, item = lists
    text = {"u": [f"u{u}" for u in range(len(items))], "i": [f"i{i}" for i in range(N_ITEMS)]}
    users, catalogue = (np.asarray(text[kind], dtype=object) for kind in "ui")
    columns = np.repeat(users, width), catalogue[items.ravel()], users[user], catalogue[item]

    def fresh() -> tuple[Any, Any]:
        qrels, run = as_dicts(lists)
        return Qrels(qrels), Run(run)

    built = fresh()

    def ranx(make: Callable[[], tuple[Any, Any]]) -> dict[str, float]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return dict(zip(names, evaluate(*make(), names).values(), strict=True))

    return {
        "ranx, prebuilt": lambda: ranx(lambda: built),
        "ranx, from arrays": lambda: ranx(fresh),
        OURS: lambda: ours(lists, width),
        "ours, from text ids": lambda: from_ids(columns, len(items), width),
    }


def compare(work: dict[str, Callable[[], dict[str, float]]]) -> None:
    """The same six numbers from everybody, or nothing is timed."""
    values = np.array([list(run().values()) for run in work.values()])
    gap = np.abs(values - values[0]).max()
    if not gap <= 1e-9:
        raise SystemExit(f"the values differ by up to {gap:.2g}; nothing is timed\n{values}")


def million() -> None:
    """One pass over a million users, in this process; prints seconds and peak."""
    lists = problem(1_000_000, 20, 10)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    means = ours(lists, 20)
    took = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"seconds": took, "peak_gb": peak / 2**20, "before_gb": before / 2**20, "means": means}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("users", 20_000), ("width", 100), ("relevant", 10), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--million", action="store_true", help="only the million users, in this process")
    options = parser.parse_args()
    if options.million:
        return million()
    load = os.getloadavg()[0]
    work = contenders(problem(options.users, options.width, options.relevant), options.width)
    compare(work)
    seconds = {name: timed["wall_s"] for name, timed in take_turns(work, options.rounds, warm=0).items()}
    for name, value in seconds.items():
        print(f"{name:<20}{value:>9.3f} s{options.users / value:>14,.0f} users/s")
    ratios = {peer: seconds[peer] / seconds[OURS] for peer in GOALS}
    for peer, ratio in ratios.items():
        verdict = "reached" if ratio >= GOALS[peer] else "MISSED"
        print(f"{ratio:.1f} times as fast as {peer} (goal {GOALS[peer]:g}: {verdict})")
    command = [sys.executable, __file__, "--million"]
    alone = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    fits = alone["seconds"] < GOAL_S and alone["peak_gb"] < GOAL_GB
    print(
        f"a million users x 20: {alone['seconds']:.1f} s, peak {alone['peak_gb']:.2f} GB with the lists "
        f"(goal {GOAL_S:g} s, {GOAL_GB:g} GB: {'reached' if fits else 'MISSED'}); load before the start {load:.1f}"
    )
    found = {"seconds": seconds, "ratios": ratios, "million": alone, "load": load}
    write_json(HERE / "results" / "metrics.json", found | vars(options))


if __name__ == "__main__":
    main()
