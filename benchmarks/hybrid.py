"""HybridModel against LightFM on dense features: interactions a second, quality, and time to the peer's quality.

A synthetic shop whose truth is linear in the features: 5,000 users, 5,000 items with D normal features, utility
P (3 F W)' with 16 factors, plus 2 x Gumbel noise; each user's best 50, of which 40 train and 10 test. Both models
have ids and the dense block, 64 factors and two threads. LightFM is the classic: WARP, learning rate .05, 10 epochs.
Ours multiplies features in bfloat16 where the processor has instructions for it (which is printed), else in float32.

Run: python benchmarks/hybrid.py [DIMS ...]; default 0 (ids only), 128 and 512. LightFM needs about 15 minutes at 512.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch

from recsys.data.dataset import Dataset
from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.models.hybrid import HybridModel

RESULTS = Path(__file__).parent / "results"
USERS = ITEMS = 5000
FACTORS, THREADS, EPOCHS = 64, 2, 10
EPOCHS_TRIED, ROUNDS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24), 3


def shop(dims: int, seed: int = 0) -> tuple[Dataset, np.ndarray[Any, Any]]:
    """Training data with a dense block of ``dims`` columns (0: none), and (users, 10) test items."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(ITEMS, dims or 128)) / np.sqrt(dims or 128)
    taste, loading = rng.normal(size=(USERS, 16)), rng.normal(size=(dims or 128, 16))
    utility = taste @ (3 * features @ loading).T + 2 * rng.gumbel(size=(USERS, ITEMS))
    best = rng.permuted(np.argsort(-utility, axis=1)[:, :50], axis=1)
    users, items = (IdMap.of([f"{kind}{i}" for i in range(n)]) for kind, n in (("u", USERS), ("i", ITEMS)))
    user_idx, item_idx = np.repeat(np.arange(USERS), 40), best[:, :40].ravel()
    blocks = (FeatureBlock("dense", features.astype(np.float32)),) if dims else ()
    data = Dataset(
        users,
        items,
        user_idx,
        item_idx,
        np.ones(len(user_idx), np.float32),
        np.full(len(user_idx), np.datetime64("NaT", "ns")),
        FeatureTable(items, blocks),
        FeatureTable(users),
    )
    return data, best[:, 40:]


def ndcg(lists: np.ndarray[Any, Any], test: np.ndarray[Any, Any]) -> float:
    """Mean NDCG@10; 10 of 10 relevant is the ideal."""
    hits = (lists[:, :, None] == test[:, None, :]).any(axis=2)
    discount = 1 / np.log2(np.arange(2, 12))
    return float((hits * discount).sum(axis=1).mean() / discount.sum())


def ours(data: Dataset, test: np.ndarray[Any, Any], options: dict[str, Any]) -> list[tuple[float, float]]:
    """(median seconds of three fits, NDCG@10) of a growing number of epochs; every fit starts anew."""
    curve = []
    for epochs in EPOCHS_TRIED:
        took = []
        for _ in range(ROUNDS):
            start = time.perf_counter()
            fitted = HybridModel(**options, epochs=epochs).fit(data)
            took.append(time.perf_counter() - start)
        seconds = statistics.median(took)
        lists, _ = fitted.top_items(np.arange(USERS), k=10)
        curve.append((seconds, ndcg(lists, test)))
        print(f"  ours {epochs:>3} epochs {seconds:8.2f} s  NDCG@10 {curve[-1][1]:.4f}", flush=True)
    return curve


def peer(data: Dataset, test: np.ndarray[Any, Any], epochs: int) -> list[tuple[float, float]]:
    """The same of LightFM, epoch by epoch of one fit."""
    from lightfm import LightFM

    model = LightFM(no_components=FACTORS, loss="warp", learning_rate=0.05, random_state=0)
    blocks = [np.asarray(b.values) for b in data.item_features.blocks]
    features = sp.csr_matrix(sp.hstack([sp.eye(ITEMS, format="csr", dtype=np.float32), *map(sp.csr_matrix, blocks)]))
    features.indices, features.indptr = features.indices.astype(np.int32), features.indptr.astype(np.int32)
    pairs = data.user_idx.astype(np.int32), data.item_idx.astype(np.int32)
    train, curve, seconds = sp.coo_matrix((data.weight, pairs), shape=(USERS, ITEMS)), [], 0.0
    for _ in range(epochs):
        start = time.perf_counter()
        model.fit_partial(train, item_features=features, epochs=1, num_threads=THREADS)
        seconds += time.perf_counter() - start
        bias, vectors = model.get_item_representations(features)
        scores = model.get_user_representations()[1] @ vectors.T + bias
        scores[data.user_idx, data.item_idx] = -np.inf
        top = np.argpartition(-scores, 10, axis=1)[:, :10]
        lists = np.take_along_axis(top, np.argsort(-np.take_along_axis(scores, top, 1), axis=1), 1)
        curve.append((seconds, ndcg(lists, test)))
        print(f"  LightFM {len(curve):>3} epochs {seconds:8.2f} s  NDCG@10 {curve[-1][1]:.4f}", flush=True)
    return curve


def compare(dims: int) -> dict[str, Any]:
    """Both on one data set."""
    data, test = shop(dims)
    precision = "bfloat16" if dims and torch.ops.mkldnn._is_mkldnn_bf16_supported() else "float32"
    print(f"{dims} dense dimensions in {precision}, {len(data.user_idx)} interactions")
    options: dict[str, Any] = {"factors": FACTORS, "history": False, "max_dims": max(dims, 1), "whitening": 0.0}
    options |= {"id_dropout": 0.0, "l2": 0.1, "l2_features": 10.0, "precision": precision}
    options |= {"batch_size": 512, "learning_rate": 0.06} if dims else {}
    theirs, mine = peer(data, test, EPOCHS), ours(data, test, options)
    n, goal = len(data.user_idx), theirs[-1][1]
    reached = next((seconds for seconds, quality in mine if quality >= goal), float("nan"))
    first, last = mine[0], mine[-1]
    epoch = (last[0] - first[0]) / (EPOCHS_TRIED[-1] - EPOCHS_TRIED[0])  # without start and end
    return {
        "dims": dims,
        "precision": precision,
        "lightfm_interactions_per_s": n * EPOCHS / theirs[-1][0],
        "interactions_per_s": n / epoch,
        "speed_ratio": theirs[-1][0] / EPOCHS / epoch,
        "lightfm_ndcg": goal,
        "ndcg": max(quality for _, quality in mine),
        "lightfm_seconds": theirs[-1][0],
        "seconds_to_its_ndcg": reached,
        "time_ratio": theirs[-1][0] / reached,
        "curve": mine,
        "lightfm_curve": theirs,
    }


def main() -> None:
    torch.set_num_threads(THREADS)
    rows = [compare(int(d)) for d in sys.argv[1:] or (0, 128, 512)]
    print(
        f"\n{'dims':>5}{'LightFM /s':>12}{'ours /s':>10}{'ratio':>8}"
        f"{'its NDCG':>10}{'ours':>8}{'to its NDCG':>13}{'ratio':>8}"
    )
    for r in rows:
        print(
            f"{r['dims']:>5}{r['lightfm_interactions_per_s']:>12,.0f}{r['interactions_per_s']:>10,.0f}{r['speed_ratio']:>8.1f}"
            f"{r['lightfm_ndcg']:>10.4f}{r['ndcg']:>8.4f}{r['seconds_to_its_ndcg']:>11.2f} s{r['time_ratio']:>8.1f}"
        )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "hybrid.json").write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
