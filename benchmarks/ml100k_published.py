"""MovieLens 100K by the protocols of cornac's and recommenders' own pages, beside the numbers they publish.

    python benchmarks/ml100k_published.py [--seeds 3]

recommenders: every rating is a choice; lists of 10 without what train holds. Popularity on the very split of its
notebook baseline_deep_dive (scikit-learn's train_test_split, three quarters, seed 42): the numbers must be the same up
to ties of popularity. BPR on a split of each user's ratings, three quarters, as in its table of algorithms (there BPR
is cornac's, 200 factors; the numbers are of its own draw, so others differ by the luck of draw and of training). The
ALS of that table is Spark's of explicit ratings (10 factors, penalty 0.05 × the number of ratings, 15 rounds), which
ranks by predicted rating: films with a few high ratings come first, hence MAP 0.0047. "als of ratings" is that model in
a few lines, judged by the same code, its error beside the published one. Our `als` is of implicit feedback, another
model, for which the table has no row.

cornac: the split of the README (seed 123, four fifths of the ratings). Models learn from every rating in train; choices
are ratings of 4 and more, and only such train ratings are left out of lists: films that a user rated 1 to 3 in train
stay candidates, and a model that learned them as liked lists them in vain. "rated films left out" is the same model
without that. At the README's learning rate BPR hardly leaves popularity, as the row of popularity shows. READMEs of
older releases print MAP 0.0753 and NDCG@10 0.0975 for the same model at the same AUC.

Our `bpr` draws the item that should rank lower by how often it was chosen, as the package implicit does: cornac calls
that WBPR. It punishes popular films, and with 200 factors its lists are worse than BPR's; `hybrid` with loss "bpr"
draws evenly. That this is the whole difference is shown on our side, too: "negatives by popularity" is the same hybrid,
same options, same seeds, with each irrelevant film weighed by how often it was chosen. Where cornac can be imported,
its BPR and WBPR are fitted on the same split and judged by the same code, so that what differs is the model: pip
install --target peers --no-deps cornac powerlaw, then PYTHONPATH=peers.

"within" is the tolerance: 0.002 where split and model are the same; else 10 % of the published number.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import torch
from sklearn.model_selection import train_test_split
from torch.nn import functional

from evaluation.metrics import auc, average_precision_all, hit_matrix, ndcg, precision, recall
from recsys.data.catalog import Catalog
from recsys.data.dataset import Dataset
from recsys.data.interactions import Interactions
from recsys.files import write_json
from recsys.models.als import ALS
from recsys.models.bpr import BPR
from recsys.models.hybrid import HybridModel
from recsys.models.losses import LOSSES
from recsys.models.popularity import Popularity
from recsys.progress import silenced

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("STYLEREC_DATA", HERE.parents[1] / "shared" / "data"))
K = 10
Mask = npt.NDArray[np.bool_]

RECOMMENDERS = {
    "popularity": {"map": 0.055008, "ndcg@10": 0.252867, "precision@10": 0.224628, "recall@10": 0.111736},
    "bpr": {"map": 0.132478, "ndcg@10": 0.441997, "precision@10": 0.388229, "recall@10": 0.212522},
    "als": {
        "map": 0.004732,
        "ndcg@10": 0.044239,
        "precision@10": 0.048462,
        "recall@10": 0.017796,
        "rmse": 0.965038,
    },
}
CORNAC = {"auc": 0.8695, "map": 0.1042, "ndcg@10": 0.1500, "precision@10": 0.1110, "recall@10": 0.1195}
SAME, ALIKE = 0.002, 0.1
VERDICT = {True: "within", False: "off", None: "nothing published"}


@dataclass(frozen=True, eq=False)
class Task:
    """What is learned from, what counts as chosen later, and what may not be listed."""

    data: Dataset
    chosen: Mask
    left_out: Mask


def ratings() -> pd.DataFrame:
    log = pd.read_csv(DATA / "ml100k" / "ml-100k.inter.gz", sep="\t", dtype=str)
    log.columns = [name.split(":")[0] for name in log.columns]
    return log.assign(rating=log["rating"].astype(float))


def task(train: pd.DataFrame, test: pd.DataFrame, least: float) -> Task:
    """Items and users of train alone; ratings from ``least`` on are choices."""
    catalog = Catalog.from_frame(pd.DataFrame({"item_id": sorted(train["item_id"].unique())}))
    data = Dataset.of(Interactions.from_frame(train[["user_id", "item_id"]]), catalog)

    def mask(log: pd.DataFrame) -> Mask:
        found = np.zeros((len(data.users), len(data.items)), bool)
        liked = log[log["rating"] >= least]
        user, item = data.users.positions(liked["user_id"]), data.items.positions(liked["item_id"])
        known = (user >= 0) & (item >= 0)
        found[user[known], item[known]] = True
        return found

    return Task(data, mask(test), mask(train))


def judged(scores: npt.NDArray[np.floating], found: Task, *, depth: int) -> dict[str, float]:
    """Means over users with a choice; average precision reads ``depth`` ranks, AUC all of them."""
    users = np.flatnonzero(found.chosen.any(axis=1))
    left = np.where(found.left_out[users], -np.inf, scores[users].astype(np.float64))
    order = np.argsort(-left, axis=1, kind="stable")
    lists = np.where(np.isneginf(np.take_along_axis(left, order, axis=1)), -1, order)
    row, item = np.nonzero(found.chosen[users])
    hits, relevant = hit_matrix(lists, row, item, left.shape[1]), found.chosen[users].sum(axis=1)
    candidates = (~found.left_out[users]).sum(axis=1)
    values = {
        "auc": auc(hits, relevant, candidates),
        "map": average_precision_all(hits, relevant, depth),
        "ndcg@10": ndcg(hits, relevant, K),
        "precision@10": precision(hits, relevant, K),
        "recall@10": recall(hits, relevant, K),
    }
    return {name: float(np.nanmean(value)) for name, value in values.items()}


def scores_of(model: Any, data: Dataset) -> npt.NDArray[np.floating]:
    with silenced():
        fitted = model.fit(data)
    scores: npt.NDArray[np.floating] = fitted.scores(data.users)
    return scores


def of_cornac(data: Dataset, kind: str, options: dict[str, Any]) -> npt.NDArray[np.floating]:
    """Cornac's BPR or WBPR on the same rows, users and items in our order."""
    import cornac

    rows = list(zip(data.users.ids[data.user_idx], data.items.ids[data.item_idx], data.weight.tolist(), strict=True))
    theirs = cornac.data.Dataset.from_uir(rows, seed=123)
    model = getattr(cornac.models, kind)(verbose=False, seed=123, **options).fit(theirs)
    user, item = [theirs.uid_map[u] for u in data.users], [theirs.iid_map[i] for i in data.items]
    return model.u_factors[user] @ model.i_factors[item].T + model.i_biases[item]


def of_ratings(
    train: pd.DataFrame, test: pd.DataFrame, data: Dataset, seed: int
) -> tuple[npt.NDArray[np.floating], float]:
    """Predicted ratings by alternating least squares with weighted penalty (Zhou et al. 2008), and their error."""
    factors, penalty, rounds = 10, 0.05, 15
    at = [data.users.positions(train["user_id"]), data.items.positions(train["item_id"])]
    rating, known = np.zeros((len(data.users), len(data.items))), np.zeros((len(data.users), len(data.items)))
    rating[at[0], at[1]], known[at[0], at[1]] = train["rating"], 1.0
    rng = np.random.default_rng(seed)
    items = rng.standard_normal((len(data.items), factors))
    items /= np.linalg.norm(items, axis=1, keepdims=True)
    for _ in range(rounds):
        users = _solved(items, rating, known, penalty)
        items = _solved(users, rating.T, known.T, penalty)
    found = users @ items.T
    user, item = data.users.positions(test["user_id"]), data.items.positions(test["item_id"])
    both = (user >= 0) & (item >= 0)
    error = found[user[both], item[both]] - test["rating"].to_numpy()[both]
    return found, float(np.sqrt((error**2).mean()))


def _solved(other: npt.NDArray[np.floating], rating: Any, known: Any, penalty: float) -> npt.NDArray[np.floating]:
    f = other.shape[1]
    squares = (known @ np.einsum("nf,ng->nfg", other, other).reshape(len(other), f * f)).reshape(-1, f, f)
    squares += penalty * np.maximum(known.sum(axis=1), 1)[:, None, None] * np.eye(f)
    return np.linalg.solve(squares, (rating @ other)[..., None])[..., 0]


@contextmanager
def negatives_by_popularity(data: Dataset) -> Iterator[None]:
    """The hybrid's BPR with irrelevant items weighed by how often they were chosen; all items are in every step."""
    popularity = torch.tensor(np.bincount(data.item_idx, minlength=len(data.items)), dtype=torch.float32)
    evenly = LOSSES["bpr"]

    def weighed(scores: Any, positive: Any, row: Any, weight: Any, scale: float) -> tuple[Any, Any]:
        worth = popularity * (scores > -torch.inf)
        share = worth / worth.sum(dim=1, keepdim=True)
        lead = scores[row] - positive[:, None]
        loss = (functional.softplus(lead).nan_to_num(0.0) * share[row]).sum(dim=1)
        pull = torch.sigmoid(lead) * share[row]
        scores.copy_(torch.zeros_like(scores).index_add_(0, row, pull * weight[:, None]))
        return weight * loss, -weight * pull.sum(dim=1)

    LOSSES["bpr"] = weighed
    try:
        yield
    finally:
        LOSSES["bpr"] = evenly


def peers(found: Task, published: dict[str, float], depth: int, options: dict[str, Any]) -> list[dict[str, Any]]:
    if importlib.util.find_spec("cornac") is None:
        return []
    return [
        row(
            f"cornac's {kind}, run here",
            published,
            [judged(of_cornac(found.data, kind, options), found, depth=depth)],
            ALIKE,
        )
        for kind in ("BPR", "WBPR")
    ]


def by_user(log: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Three quarters of each user's ratings, at random."""
    place = pd.Series(np.random.default_rng(seed).permutation(len(log)), index=log.index)
    rank = place.groupby(log["user_id"]).rank(method="first")
    size = log.groupby("user_id")["item_id"].transform("size")
    past = rank <= (0.75 * size).round()
    return log[past], log[~past]


def recommenders(log: pd.DataFrame, seeds: int) -> list[dict[str, Any]]:
    one = task(*train_test_split(log, train_size=0.75, random_state=42), least=0)
    rows = [
        row("popularity", RECOMMENDERS["popularity"], [judged(scores_of(Popularity(), one.data), one, depth=K)], SAME)
    ]
    drawn = [task(*by_user(log, seed), least=0) for seed in range(seeds)]
    rows.append(row("als of ratings", RECOMMENDERS["als"], [_als_of_ratings(log, s) for s in range(10)], ALIKE))
    hybrid = HybridModel(loss="bpr", epochs=30, l2=0.01)
    for name, model in {
        "als (implicit), 20 factors": ALS(factors=20, regularization=5.0),
        "hybrid, loss bpr": hybrid,
        "bpr, 200 factors": BPR(factors=200, epochs=200, learning_rate=0.01, regularization=0.001),
    }.items():
        runs = [judged(scores_of(replace(model, seed=i), d.data), d, depth=K) for i, d in enumerate(drawn)]
        rows.append(row(name, {} if name.startswith("als") else RECOMMENDERS["bpr"], runs, ALIKE))
    runs = []
    for i, d in enumerate(drawn):
        with negatives_by_popularity(d.data):
            runs.append(judged(scores_of(replace(hybrid, seed=i), d.data), d, depth=K))
    rows.append(row("  negatives by popularity", RECOMMENDERS["bpr"], runs, ALIKE))
    options = {"k": 200, "max_iter": 200, "learning_rate": 0.01, "lambda_reg": 0.001}
    rows += peers(drawn[0], RECOMMENDERS["bpr"], K, options)
    return [{"protocol": "recommenders"} | r for r in rows]


def _als_of_ratings(log: pd.DataFrame, seed: int) -> dict[str, float]:
    train, test = by_user(log, seed)
    found = task(train, test, least=0)
    scores, error = of_ratings(train, test, found.data, seed)
    return judged(scores, found, depth=K) | {"rmse": error}


def cornac(log: pd.DataFrame, seeds: int) -> list[dict[str, Any]]:
    place = np.random.RandomState(123).permutation(len(log))
    n_train = len(log) - int(np.ceil(0.2 * len(log)))
    found = task(log.iloc[place[:n_train]], log.iloc[place[n_train:]], least=4)
    depth, rows = len(found.data.items), []
    everything = Task(found.data, found.chosen, found.data.matrix.toarray() > 0)
    for name, model in {
        "popularity": Popularity(),
        "hybrid, loss bpr, 10 factors": HybridModel(loss="bpr", factors=10),
        "bpr, 10 factors": BPR(factors=10, epochs=200, learning_rate=0.001, regularization=0.01),
    }.items():
        again = seeds if hasattr(model, "seed") else 1
        scores = [scores_of(replace(model, seed=s) if again > 1 else model, found.data) for s in range(again)]
        rows.append(row(name, CORNAC, [judged(s, found, depth=depth) for s in scores], ALIKE))
        if name.startswith("hybrid"):
            rows.append(
                row("  rated films left out", CORNAC, [judged(s, everything, depth=depth) for s in scores], ALIKE)
            )
    rows += peers(found, CORNAC, depth, {"k": 10, "max_iter": 200, "learning_rate": 0.001, "lambda_reg": 0.01})
    return [{"protocol": "cornac"} | r for r in rows]


def row(name: str, published: dict[str, float], runs: list[dict[str, float]], tolerance: float) -> dict[str, Any]:
    """Medians over runs beside what is published, and whether all lie within the tolerance."""
    values = {metric: statistics.median(run[metric] for run in runs) for metric in runs[0]}
    off = {m: values[m] - v for m, v in published.items()}
    limit = {m: tolerance if tolerance == SAME else tolerance * v for m, v in published.items()}
    return {
        "model": name,
        "values": values,
        "published": published,
        "off": off,
        "within": all(abs(off[m]) <= limit[m] for m in published) if published else None,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    log = ratings()
    rows = [*recommenders(log, options.seeds), *cornac(log, options.seeds)]
    metrics = list(CORNAC)
    print(f"{'':<14}{'':<32}" + "".join(f"{m:>22}" for m in metrics))
    for r in rows:
        cells = "".join(
            f"{r['values'][m]:>12.4f} ({r['published'][m]:.4f})"
            if m in r["published"]
            else f"{r['values'][m]:>12.4f}{'':>9}"
            for m in metrics
        )
        print(f"{r['protocol']:<14}{r['model']:<32}{cells}  {VERDICT[r['within']]}")
    print("in brackets: published")
    for r in rows:
        if "rmse" in r["published"]:
            print(f"{r['model']}: RMSE {r['values']['rmse']:.4f} ({r['published']['rmse']:.4f})")
    write_json(HERE / "results" / "ml100k_published.json", {"seeds": options.seeds, "rows": rows})


if __name__ == "__main__":
    main()
