"""Nine off-policy estimators on 10 million rounds: seconds and peak memory, and the Open Bandit Pipeline beside them.

    python benchmarks/ope.py [--rounds 10000000] [--actions 80] [--peer-rounds 200000]

Three logs: without contexts (Thompson sampling's table as the policy), with 1,000 contexts that repeat, and with a
context of its own for every round; the latter two are judged for a softmax over scores, with style features for the
reward model's products and for MIPS. What is timed is all of `evaluate_policy`: cross-fitted model, weights,
estimators, intervals, diagnostics, verdict. Each log has a process of its own, so that peaks are its own; they
hold the log, too.

The peer (obp, if installed) gets the policy and predictions as arrays, is timed on the estimators that both have, and
on fewer rounds, because its arrays are (rounds, actions). Values must agree before a ratio is printed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.ope import BanditLog, Given, OPEConfig, Scored, evaluate_policy
from evaluation.ope.policies import Policy, thompson
from recsys.files import write_json

HERE = Path(__file__).resolve().parent
KINDS = ("no context", "1,000 contexts", "a context a round")
GOAL_SECONDS, GOAL_GB = 20.0, 4.0
PEERS = {
    "ipw": "InverseProbabilityWeighting",
    "snipw": "SelfNormalizedInverseProbabilityWeighting",
    "dm": "DirectMethod",
    "dr": "DoublyRobust",
    "sndr": "SelfNormalizedDoublyRobust",
}
N_FEATURES, N_STYLE, N_PLACES = 5, 16, 3


def problem(kind: str, n: int, n_actions: int) -> tuple[BanditLog, Policy]:
    """A uniform log with clicks of 0.4 to 0.8 %, and a policy."""
    rng = np.random.default_rng(0)
    action, place = rng.integers(0, n_actions, n), rng.integers(0, N_PLACES, n)
    columns: dict[str, Any] = {"position": place}
    if kind != KINDS[0]:
        rows = n if kind == KINDS[2] else 1000
        columns["features"] = rng.standard_normal((rows, N_FEATURES), dtype=np.float32)
        columns["context"] = None if rows == n else rng.integers(0, rows, n)
    clicked = rng.random(n) < 0.004 * (1 + action / n_actions)
    log = BanditLog.of(action, clicked, np.full(n, 1 / n_actions), actions=n_actions, **columns)
    if kind == KINDS[0]:
        alpha, beta = rng.integers(1, 100, n_actions), rng.integers(1000, 9000, n_actions)
        return log, thompson(alpha, beta, rng=rng, n_positions=N_PLACES)
    weights = 0.3 * rng.standard_normal((N_FEATURES, n_actions), dtype=np.float32)
    return log, Scored(lambda context: log.features[context] @ weights, temperature=1.0)


def measure(kind: str, n: int, n_actions: int) -> dict[str, Any]:
    log, policy = problem(kind, n, n_actions)
    style = np.random.default_rng(1).standard_normal((n_actions, N_STYLE))
    start, used = time.perf_counter(), time.process_time()
    found = evaluate_policy(log, policy, action_features=style)
    seconds, cpu = time.perf_counter() - start, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"kind": kind, "seconds": seconds, "cpu_s": cpu, "peak_gb": peak, "estimators": len(found.rows)}


def peer(n: int, n_actions: int) -> dict[str, Any]:
    """The same estimators with intervals by both; seconds a million rounds."""
    from obp.ope import estimators as theirs

    log, policy = problem(KINDS[2], n, n_actions)
    pi = policy.probabilities(log.context, np.zeros(n, np.int64)).astype(np.float64)
    pi /= pi.sum(axis=1, keepdims=True)
    q = np.random.default_rng(2).random((n, n_actions))
    plain = BanditLog.of(log.action, log.reward, log.propensity, actions=n_actions, features=log.features)
    given = {"reward": log.reward, "action": log.action, "pscore": log.propensity, "action_dist": pi[:, :, None]}
    given["estimated_rewards_by_reg_model"] = q[:, :, None]
    start = time.perf_counter()
    values = {name: getattr(theirs, kind)().estimate_policy_value(**given) for name, kind in PEERS.items()}
    middle = time.perf_counter()
    asked = type("Asked", (), {"name": "asked", "probabilities": lambda self, context, position: pi[context]})()
    ours = evaluate_policy(plain, asked, OPEConfig(tuple(PEERS)), model=Given(q))
    end = time.perf_counter()
    worst = max(abs(ours[name].value / value - 1) for name, value in values.items())
    if worst > 1e-9:
        raise SystemExit(f"values differ by up to {worst:.2g}; nothing is compared")
    return {"ours_s_per_million": (end - middle) / n * 1e6, "obp_s_per_million": (middle - start) / n * 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in (("rounds", 10_000_000), ("actions", 80), ("peer-rounds", 200_000)):
        parser.add_argument(f"--{name}", type=int, default=value)
    options, load = parser.parse_args(), os.getloadavg()[0]
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        rows = list(pool.map(measure, KINDS, [options.rounds] * 3, [options.actions] * 3))
        try:
            beside = pool.submit(peer, options.peer_rounds, options.actions).result()
        except ImportError as error:
            beside = {}
            print(f"no peer: {error}")
    print(f"{options.rounds:,} rounds, {options.actions} actions, load before the start {load:.1f}")
    for row in rows:
        reached = row["seconds"] < GOAL_SECONDS and row["peak_gb"] < GOAL_GB
        print(
            f"{row['kind']:<20}{row['seconds']:>7.1f} s{row['cpu_s']:>7.1f} s CPU{row['peak_gb']:>6.2f} GB"
            f"  {row['estimators']} estimators  goal {GOAL_SECONDS:g} s and {GOAL_GB:g} GB "
            f"{'reached' if reached else 'MISSED'}"
        )
    for name, value in beside.items():
        print(f"{name:<20}{value:>7.2f}")
    write_json(HERE / "results" / "ope.json", {"rows": rows, "peer": beside, "load": load} | vars(options))


if __name__ == "__main__":
    main()
