"""Simulated sessions a second, by response model, with scores gathered from a fitted model.

    python benchmarks/simulate.py [--customers 250000] [--rounds 3]

An ALS is fitted to drawn purchases of 2,000 users; its lists of 10 and scores make the arms, as in a study. What is
timed is all of `simulate`: customers, sessions, luck, both arms, the customer table and the true effects. A session
counts once, though it is lived in both arms. Before a speed is shown, what happened must agree with the closed form.

Rates are of CPU time on one thread (other work on the machine does not change them much); the goals are for two cores,
so one core that reaches a goal is enough. The simulator assumes the effect of styling; nothing here says that it works.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from evaluation.response import RESPONSES
from evaluation.response.purchases import PurchaseConfig
from evaluation.response.visits import VisitsConfig
from evaluation.simulate import ABConfig, Arm, Simulation, simulate
from recsys.data.catalog import Catalog
from recsys.data.dataset import Dataset
from recsys.data.interactions import Interactions
from recsys.files import write_json
from recsys.models.als import ALS
from study.stages.experiment import make_arms
from study.taste import LookTaste

HERE = Path(__file__).resolve().parent
USERS, ITEMS, PURCHASES = 2000, 2000, 60_000
GOALS = {"position-based": 1e6, "cascade": 5e5, "mnl": 5e5}
CHANGING = VisitsConfig(taste_spread=1.0, taste_drift=0.2, novelty=0.3, satiation=0.1)
SHOP = PurchaseConfig(rate=0.1, return_rate=0.2, return_per_loss=2.0)
KINDS: dict[str, dict[str, Any]] = {
    "alike": {},
    "one by one": {"seeded_by": "customer"},
    "and buying": {"purchases": SHOP},
    "changing": {"visits": CHANGING},
}
"""What customers do; `one by one`: seeded by customer."""


def arms(config: ABConfig) -> tuple[Arm, Arm]:
    """What a fitted ALS lists, originals against a look that most of its items may be shown in."""
    rng = np.random.default_rng(0)
    item = np.minimum(rng.zipf(1.3, PURCHASES) - 1, ITEMS - 1) * 7 % ITEMS
    bought = pd.DataFrame({"user_id": rng.integers(0, USERS, PURCHASES).astype(str), "item_id": item.astype(str)})
    catalog = Catalog.from_frame(pd.DataFrame({"item_id": np.arange(ITEMS).astype(str)}))
    data = Dataset.of(Interactions.from_frame(bought.drop_duplicates(), catalog=catalog), catalog)
    model = ALS(factors=32, iterations=5).fit(data)
    lean = rng.standard_normal((len(data.users), 1)).astype(np.float32)
    accepted = rng.random((ITEMS, 1)) < 0.8
    loss = np.where(accepted, rng.uniform(0, 0.4, (ITEMS, 1)), 0).astype(np.float32)
    return make_arms(model, LookTaste(("retro",), lean, accepted, loss), config)


def check(found: Simulation, config: ABConfig) -> float:
    """Largest distance of what happened from the closed form, in standard errors; 4.5 at most."""
    worst = 0.0
    for name, metric in config.metrics.items():
        for side in ("control", "treatment"):
            top = found.potential[f"{metric.numerator}_{side}"]
            below = found.potential[f"{metric.denominator}_{side}"] if metric.denominator else top * 0 + 1.0
            mean = top.sum() / below.sum()
            error = (top - mean * below).std() / below.mean() / np.sqrt(len(top))
            truth = found.truth[name][side]
            assert truth is not None
            worst = max(worst, abs(mean - truth) / error)
    if worst > 4.5:
        raise SystemExit(f"{config.response}: what happened is {worst:.1f} standard errors from the closed form")
    return worst


def measure(both: tuple[Arm, Arm], config: ABConfig, rounds: int) -> dict[str, Any]:
    found = simulate(*both, config, seed=0)
    worst, sessions = check(found, config), int(found.users["sessions"].sum())
    took = []
    for _ in range(rounds):
        cpu, wall = time.process_time(), time.perf_counter()
        simulate(*both, config, seed=1)
        took.append((time.process_time() - cpu, time.perf_counter() - wall))
    cpu, wall = np.median(took, axis=0)
    rates = {"sessions_per_cpu_s": sessions / cpu, "sessions_per_wall_s": sessions / wall}
    return {"sessions": sessions, **rates, "worst_error_in_sd": worst}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--customers", type=int, default=250_000)
    parser.add_argument("--rounds", type=int, default=3)
    options, load = parser.parse_args(), os.getloadavg()[0]
    plain = ABConfig(users=options.customers, pre_sessions=0)
    start = time.process_time()
    both = arms(plain)
    print(f"arms of {USERS:,} users in {time.process_time() - start:.1f} s CPU, model fitted; load {load:.1f}")
    rows = []
    for name in RESPONSES:
        for label, options_of in KINDS.items():
            config = replace(plain, response=name, **options_of)
            row = {"response": name, "customers": label} | measure(both, config, options.rounds)
            goal = GOALS.get(name) if label == "alike" else None
            rate = row["sessions_per_cpu_s"]
            said = "" if goal is None else f"  goal {goal:,.0f} {'reached' if rate >= goal else 'MISSED'}"
            print(
                f"{name:<16}{label:<12}{rate:>12,.0f} sessions/s CPU{row['sessions_per_wall_s']:>12,.0f} wall{said}",
                flush=True,
            )
            rows.append(row | {"goal": goal})
    write_json(HERE / "results" / "simulate.json", {"rows": rows, "load": load, "users": USERS} | vars(options))


if __name__ == "__main__":
    main()
