"""FeatureALS against irspack's feature-aware iALS: NDCG@20 and wall time, both tuned over the same small grid.

    python benchmarks/feature_als.py [--data hm synthetic] [--factors 64] [--rounds 3]

H&M: purchases up to the 80 % quantile of days, judged by the later ones, warm and cold articles each among their
like; tuned on the same split of the training days. Features are one-hot columns of items.csv.gz and, where a finished
study (--study, by default runs/hm) holds photo embeddings of the same articles, those as well. Synthetic: 5,000 users'
50 best of 5,000 items under a truth that is linear in 128 dense features; 40 train, 10 test; tuned on 5 of the 40.
Both contenders get the same normalised float32 features (the peer in whichever of dense and CSR it is faster with) and
two threads. After tuning: NDCG@20 and seconds, and the seconds until ours has what the peer has in the end.
The peer is needed: pip install --target peers --no-deps irspack 'fastprogress==1.0.5', then PYTHONPATH=peers.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

from evaluation.metrics import ndcg, recall
from evaluation.splits import SplitConfig, split
from recsys.data.dataset import Dataset
from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.data.stored import load_frame
from recsys.files import write_json
from recsys.models.blocks import fit_transforms
from recsys.models.feature_als import FeatureALS
from recsys.topk import top_k_blocked

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("STYLEREC_DATA", HERE.parents[1] / "shared" / "data"))
ONE_HOT = (
    "product_type_name",
    "product_group_name",
    "department_name",
    "section_name",
    "index_name",
    "garment_group_name",
    "graphical_appearance_name",
    "colour_group_name",
    "perceived_colour_master_name",
)
K = 20
GRID = {
    "iterations": (8, 16),
    "regularization": (0.01, 0.03, 0.05, 0.07, 0.1),
    "unobserved": (0.003, 0.01, 0.03),
    "ridge": (0.3, 3.0, 30.0),
    "intercept": (False, True),
}
"""Ridge is the penalty of feature weights: for us worth so many average rows, for the peer its own absolute one.

The peer's intercept is a column of ones."""


@dataclass(frozen=True, eq=False)
class Task:
    """What to learn from, and what is bought later: (n_users, n_items) CSR; features normalised.

    ``pools`` says whose NDCG@20 both are tuned for (their mean) and judged by.
    """

    data: Dataset
    later: sp.csr_array
    pools: tuple[str, ...]

    @property
    def matrix(self) -> Any:
        """Features side by side, dense where all blocks are."""
        blocks = [b.values for b in self.data.item_features.blocks]
        return np.hstack(blocks) if all(isinstance(b, np.ndarray) for b in blocks) else sp.csr_matrix(sp.hstack(blocks))


def hm(study: Path) -> tuple[Task, Task]:
    """(for tuning, for judging)."""
    folder = DATA / "hm_fashion"
    log = pd.read_csv(folder / "transactions.csv.gz", dtype=str)
    log = pd.DataFrame({"user_id": log["user"], "item_id": log["article_id"], "timestamp": log["t_dat"]})
    about = pd.read_csv(folder / "items.csv.gz", dtype=str, keep_default_na=False).set_index("article_id")
    about = about[about["in_transactions"] == "1"]
    items = IdMap.of(about.index)
    blocks = [FeatureBlock.one_hot(name, about[name]) for name in ONE_HOT]
    if (study / "features" / "efficientnet-lite0.npy").exists():
        stored = IdMap.of(load_frame(study / "catalog.parquet", needs=("item_id",))["item_id"])
        photos = FeatureTable(stored, (FeatureBlock.load(study / "features", "efficientnet-lite0", mmap=True),))
        blocks.append(photos.align(items).blocks[0])
    table = normalised(FeatureTable(items, tuple(blocks)))
    outer = split(Interactions.from_frame(log), SplitConfig())
    inner = split(outer.train, SplitConfig())
    return task(inner, items, table), task(outer, items, table)


def task(parts: Any, items: IdMap, table: FeatureTable) -> Task:
    train, test = parts.train.frame, parts.test.frame
    users = IdMap.of(sorted(train["user_id"].unique()))

    def index(frame: pd.DataFrame) -> tuple[Any, Any]:
        return users.encode(frame["user_id"].to_numpy(object)), items.encode(frame["item_id"].to_numpy(object))

    weight, times = train["weight"].to_numpy(np.float32), train["timestamp"].to_numpy("datetime64[ns]")
    data = Dataset(users, items, *index(train), weight, times, table, FeatureTable(users))
    later = sp.csr_array((np.ones(len(test)), index(test)), shape=(len(users), len(items)))
    return Task(data, later, ("warm", "cold"))


def synthetic(seed: int = 0, n: int = 5000, dims: int = 128) -> tuple[Task, Task]:
    """(for tuning, for judging)."""
    rng = np.random.default_rng(seed)
    features = (rng.normal(size=(n, dims)) / dims**0.5).astype(np.float32)
    people, truth = rng.normal(size=(n, 16)), rng.normal(size=(dims, 16))
    wanted = people @ (3 * features @ truth).T + 2 * rng.gumbel(size=(n, n))
    best = np.argpartition(-wanted, 50, axis=1)[:, :50]
    best = rng.permuted(best, axis=1)
    ids = IdMap.of(map(str, range(n)))
    table = normalised(FeatureTable(ids, (FeatureBlock("features", features),)))

    def part(mine: slice, theirs: slice) -> Task:
        train, test = best[:, mine], best[:, theirs]
        rows = [np.repeat(np.arange(n), b.shape[1]) for b in (train, test)]
        ones, times = np.ones(train.size, np.float32), np.full(train.size, np.datetime64("2024-01-01", "ns"))
        data = Dataset(ids, ids, rows[0], train.ravel(), ones, times, table, FeatureTable(ids))
        return Task(data, sp.csr_array((np.ones(test.size), (rows[1], test.ravel())), shape=(n, n)), ("all",))

    return part(slice(0, 35), slice(35, 40)), part(slice(0, 40), slice(40, 50))


def normalised(table: FeatureTable) -> FeatureTable:
    transforms = fit_transforms(table, None, {}, max_dims=128, whitening=0.5)
    done = (replace(b, values=t.apply(b), columns=None) for t, b in zip(transforms, table.blocks, strict=True))
    return FeatureTable(table.ids, tuple(done))


Factors = tuple[np.ndarray, np.ndarray]


def ours(
    given: Task,
    *,
    factors: int,
    iterations: int,
    regularization: float,
    unobserved: float,
    ridge: float,
    intercept: bool,
) -> Factors:
    model = FeatureALS(
        factors=factors,
        iterations=iterations,
        regularization=regularization,
        unobserved_weight=unobserved,
        feature_l2=ridge,
        intercept=intercept,
        raw=given.data.item_features.names,
        device="cpu",
    )
    fitted = model.fit(given.data)
    return fitted.user_factors, fitted.item_factors


def peer(
    given: Task,
    *,
    factors: int,
    iterations: int,
    regularization: float,
    unobserved: float,
    ridge: float,
    intercept: bool,
    features: Any = None,
) -> Factors:
    from irspack import IALSRecommender

    warm = given.data.is_warm
    features = given.matrix if features is None else features
    if intercept:
        ones = np.ones((features.shape[0], 1), np.float32)
        features = (
            np.hstack([features, ones])
            if isinstance(features, np.ndarray)
            else sp.csr_matrix(sp.hstack([features, ones]))
        )
    model = IALSRecommender(
        sp.csr_matrix(given.data.matrix[:, np.flatnonzero(warm)]),
        n_components=factors,
        train_epochs=iterations,
        reg=regularization,
        alpha0=unobserved,
        lambda_item_feature=ridge,
        item_features=features[np.flatnonzero(warm)],
        n_threads=2,
    )
    with contextlib.redirect_stdout(io.StringIO()):
        model.learn()
    items = np.zeros((len(warm), factors), np.float32)
    items[warm] = model.get_item_embedding()
    if not warm.all():
        items[~warm] = model.trainer_as_ials.transform_item_feature(features[np.flatnonzero(~warm)])
    return model.get_user_embedding(), items


def judged(given: Task, found: Factors) -> dict[str, float]:
    """NDCG and Recall among warm and cold items and all of them."""
    warm, scores = given.data.is_warm, {}
    pools = {"warm": warm, "cold": ~warm, "all": np.ones_like(warm)}
    for name, pool in pools.items():
        relevant = sp.csr_array(given.later * pool[None, :].astype(float)).toarray() > 0
        rows = np.flatnonzero(relevant.any(axis=1))
        if not len(rows):
            continue
        top, _ = top_k_blocked(
            lambda r: found[0][r] @ found[1].T, rows, K, n_columns=len(warm), seen=given.data.matrix, allowed=pool
        )
        hits, n_relevant = relevant[rows[:, None], top] & (top >= 0), relevant[rows].sum(axis=1)
        scores |= {
            f"ndcg.{name}": ndcg(hits, n_relevant, K).mean(),
            f"recall.{name}": recall(hits, n_relevant, K).mean(),
        }
        if name == "all":
            scores["cold_share"] = (~warm)[top].mean()
    return {name: float(value) for name, value in scores.items()}


def aim(given: Task, scores: dict[str, float]) -> float:
    """What both are tuned for."""
    return statistics.mean(scores[f"ndcg.{pool}"] for pool in given.pools)


Fit = Callable[..., Factors]


def tuned(fit: Fit, given: Task, factors: int) -> dict[str, Any]:
    choices = [dict(zip(GRID, values, strict=True)) for values in itertools.product(*GRID.values())]
    return max(choices, key=lambda c: aim(given, judged(given, fit(given, factors=factors, **c))))


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare(name: str, tasks: tuple[Task, Task], factors: int, rounds: int) -> dict[str, Any]:
    tuning, final = tasks
    matrix = final.matrix
    forms = [matrix, sp.csr_matrix(matrix)] if isinstance(matrix, np.ndarray) else [matrix, matrix.toarray()]
    some = {
        "factors": factors,
        "iterations": 4,
        "regularization": 0.01,
        "unobserved": 0.1,
        "ridge": 10.0,
        "intercept": False,
    }
    form = min(forms, key=lambda f: seconds(lambda: peer(final, **some, features=f)))

    def theirs(given: Task, **options: Any) -> Factors:
        return peer(given, **options, features=form)

    contenders: dict[str, Fit] = {"FeatureALS": ours, "irspack": theirs}
    best = {who: tuned(fit, tuning, factors) for who, fit in contenders.items()}
    scores = {who: judged(final, fit(final, factors=factors, **best[who])) for who, fit in contenders.items()}
    goal = aim(final, scores["irspack"])
    runs = {who: (fit, best[who]) for who, fit in contenders.items()}
    for who, fit in contenders.items():  # both may stop at the first iteration that has it
        enough = fewest(fit, final, best[who] | {"factors": factors}, goal)
        if enough is not None:
            runs[f"{who}, until there"] = (fit, best[who] | {"iterations": enough})
    times: dict[str, list[float]] = {who: [] for who in runs}
    for _ in range(rounds):
        for who, (fit, options) in runs.items():
            times[who].append(seconds(lambda fit=fit, options=options: fit(final, factors=factors, **options)))
    wall = {who: statistics.median(t) for who, t in times.items()}
    options = {who: o for who, (_, o) in runs.items()}
    show(name, wall, scores, options, goal)
    return {"seconds": wall, "all_seconds": times, "scores": scores, "options": options, "goal": goal}


def fewest(fit: Fit, given: Task, options: dict[str, Any], goal: float) -> int | None:
    """Iterations until NDCG@20 is the goal."""
    for iterations in range(1, options["iterations"] + 1):
        if aim(given, judged(given, fit(given, **options | {"iterations": iterations}))) >= goal:
            return iterations
    return None


def show(
    name: str, wall: dict[str, float], scores: dict[str, dict[str, float]], options: dict[str, Any], goal: float
) -> None:
    columns = [f"{m}.{p}" for m in ("ndcg", "recall") for p in ("warm", "cold", "all")]
    columns = [c for c in columns if c in scores["irspack"]]
    print(f"\n{name:<26}{'seconds':>9}" + "".join(f"{c:>12}" for c in columns) + "  options")
    for who, took in wall.items():
        found = scores.get(who)
        cells = "".join(f"{found[c]:>12.4f}" if found else f"{'':>12}" for c in columns)
        print(f"{who:<26}{took:>9.2f}{cells}  " + " ".join(f"{k}={v}" for k, v in options[who].items()))
    mine, theirs = (wall.get(f"{who}, until there") for who in ("FeatureALS", "irspack"))
    if mine is None or theirs is None:
        print(f"MISSED: FeatureALS does not reach NDCG@{K} {goal:.4f}, which the peer has")
        return
    verdict = "reached" if theirs >= mine else "MISSED"
    print(f"NDCG@{K} {goal:.4f}: the peer needs {theirs / mine:.2f} times our wall time (goal 1: {verdict})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", choices=("hm", "synthetic"), default=["synthetic", "hm"])
    parser.add_argument("--study", type=Path, default=HERE.parent / "runs" / "hm")
    parser.add_argument("--factors", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    try:
        import irspack  # noqa: F401
    except ImportError as error:
        raise SystemExit(
            f"the peer cannot be imported ({error}); {__doc__.split('The peer is needed: ')[1].strip()}"
        ) from error
    tasks = {"hm": lambda: hm(options.study), "synthetic": synthetic}
    found = {name: compare(name, tasks[name](), options.factors, options.rounds) for name in options.data}
    write_json(HERE / "results" / "feature_als.json", found | {"factors": options.factors, "cores": os.cpu_count()})


if __name__ == "__main__":
    main()
