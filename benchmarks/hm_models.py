"""Every model on real H&M purchases, four rolling cuts in time, each tuned on the train side alone with one budget.

Run: python benchmarks/hm_models.py [--trials 12] [--cuts .6 .7 .8 .9]; the data lies in STYLEREC_DATA. The first call
encodes all 24,717 photos (runs/hm-catalogue); searches are remembered there and taken up again.

A model's options are searched at the cuts of --tune-at (`recsys.tuning`, the same number of trials for each, two
windows of the latest fifth of train, by the mean of lists of warm and of cold items) and serve the cuts up to the next
search. At every cut it is fitted on train and judged by what came after:

    warm   lists of the articles bought before the cut
    cold   lists of the articles of the shop's log that nobody had bought before the cut; as they are known to be bought
           later, this pool compares models and says nothing of a shop
    full   lists of all 24,717 articles of the catalogue, and the share of cold ones in them beside that of the choices

"only unseen" is the trick that a pool of bought articles invites: such lists, drawn from articles that are known to be
bought later, beside `full` lists of a pool that leaks in the same way. Ensembles weigh their members, each with its own
tuned options, on the latest fifth of train, and are told how many days the later choices span. The peer irspack is
compared where it can be imported: pip install --target peers --no-deps irspack 'fastprogress==1.0.5', then
PYTHONPATH=peers.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import os
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from evaluation.offline import ModelKey, evaluate
from evaluation.splits import Split, SplitConfig, split
from recsys.config import to_mapping
from recsys.data.catalog import Catalog
from recsys.data.dataset import Dataset
from recsys.data.features import FeatureBlock, FeatureTable
from recsys.data.ids import IdMap
from recsys.data.interactions import Interactions
from recsys.files import write_json
from recsys.models.als import ALS
from recsys.models.bpr import BPR
from recsys.models.content import Content
from recsys.models.ease import EASE
from recsys.models.ensemble import Ensemble, Member
from recsys.models.feature_als import FeatureALS
from recsys.models.fitted import FittedModel, fitted_base
from recsys.models.hybrid import HybridModel
from recsys.models.item_knn import ItemKNN
from recsys.models.lightfm import LightFM
from recsys.models.matrices import dense
from recsys.models.popularity import Popularity
from recsys.models.visual import VBPR, DeepStyle
from recsys.progress import silenced
from recsys.retrieval.factors import Factors
from recsys.tuning.search import tune
from recsys.tuning.space import Choice, Range, Real, Whole, space_of, with_options
from study.chain import FITTING
from study.run import Study, run_stages

ROOT = Path(__file__).resolve().parents[1]
RUN = ROOT / "runs" / "hm-catalogue"
PHOTO = "efficientnet-lite0"
COLUMNS = (
    "category",
    "product_group_name",
    "graphical_appearance_name",
    "colour_group_name",
    "perceived_colour_master_name",
    "department_name",
    "index_name",
    "section_name",
    "garment_group_name",
)
HALF_LIFE_DAYS = 180.0
"""Of every model's interactions but popularity's, which finds its own; set before anything was looked at."""
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class FittedPeer(FittedModel):
    """The vectors of another library."""

    model: ClassVar[str] = "irspack-ials"
    vectors: Factors

    def factors(self) -> Factors:
        """The vectors."""
        return self.vectors

    def _score_block(self, user_idx: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        return self.vectors.block(user_idx)


@dataclass(frozen=True)
class Peer:
    """irspack's feature-aware iALS; cold items are placed by its own regression on their features."""

    uses_features: ClassVar[str] = "required"
    fitted: ClassVar[type[FittedPeer]] = FittedPeer

    factors: int = 64
    regularization: float = 0.01
    unobserved_weight: float = 0.1
    feature_l2: float = 1.0
    iterations: int = 16
    photo_weight: float = 1.0

    def fit(self, dataset: Dataset) -> FittedPeer:
        """Train on warm items."""
        from irspack import IALSRecommender

        warm, rows = np.flatnonzero(dataset.is_warm), self._rows(dataset.item_features)
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            model = IALSRecommender(
                sp.csr_matrix(dataset.matrix[:, warm]),
                n_components=self.factors,
                train_epochs=self.iterations,
                reg=self.regularization,
                alpha0=self.unobserved_weight,
                lambda_item_feature=self.feature_l2,
                item_features=rows[warm],
                n_threads=2,
            )
            model.learn()
        items = model.trainer_as_ials.transform_item_feature(rows)
        items[warm] = model.get_item_embedding()
        return FittedPeer(**fitted_base(self, dataset), vectors=Factors(model.get_user_embedding(), items))

    def _rows(self, table: FeatureTable) -> npt.NDArray[np.float32]:
        """Unit rows of the photo beside one-hot columns, as our models see them."""
        photo = np.asarray(table[PHOTO].values, np.float32)
        photo = photo - photo.mean(axis=0)
        basis = np.linalg.svd(photo[:: max(1, len(photo) // 5000)], full_matrices=False)[2][:128]
        photo = photo @ basis.T
        photo *= self.photo_weight / np.maximum(np.linalg.norm(photo, axis=1, keepdims=True), 1e-12)
        return np.hstack([photo, *(dense(table[name].values) for name in COLUMNS)]).astype(np.float32)


PEER_SPACE: Mapping[str, Range] = {
    "factors": Whole(8, 256, log=True),
    "regularization": Real(1e-3, 0.3, log=True),
    "unobserved_weight": Real(3e-3, 1, log=True),
    "feature_l2": Real(0.1, 1000, log=True),
    "iterations": Whole(4, 24),
    "photo_weight": Real(0.1, 3, log=True),
}
SHORT: Mapping[str, Range] = {"max_dims": Choice((16, 32)), "epochs": Whole(3, 15, log=True)}
"""What LightFM is spared: with 128 dense dimensions a trial takes minutes."""
MODELS: Mapping[str, Any] = {
    "popularity": Popularity(half_life_days=100.0),
    "item-knn": ItemKNN(),
    "ease": EASE(),
    "als": ALS(),
    "bpr": BPR(),
    "lightfm, ids": LightFM(blocks=()),
    "lightfm, photo + columns": LightFM(max_dims=32),
    "irspack ials, photo + columns": Peer(),
    "content": Content(),
    "vbpr": VBPR(),
    "deepstyle": DeepStyle(),
    "hybrid, ids": HybridModel(blocks=()),
    "hybrid, photo alone": HybridModel(blocks=(PHOTO,), user_id=False, id_dropout=1.0),
    "hybrid, ids + photo": HybridModel(blocks=(PHOTO,)),
    "hybrid, ids + columns": HybridModel(blocks=COLUMNS),
    "hybrid, ids + photo + columns": HybridModel(),
    "feature-als, ids": FeatureALS(blocks=()),
    "feature-als, ids + photo": FeatureALS(blocks=(PHOTO,)),
    "feature-als, ids + columns": FeatureALS(blocks=COLUMNS),
    "feature-als, ids + photo + columns": FeatureALS(),
}
MEMBERS = ("popularity", "content", "feature-als, ids + photo + columns", "hybrid, ids + photo + columns")
ENSEMBLE = "ensemble of four"
BASELINE = "popularity"
TRICK = "trick: only unseen, of bought articles"


@dataclass(frozen=True, eq=False)
class Within:
    """A model that lists only some items."""

    model: Any
    mask: Mask

    @property
    def users(self) -> IdMap:
        """Users in index order."""
        users: IdMap = self.model.users
        return users

    @property
    def items(self) -> IdMap:
        """Items in index order."""
        items: IdMap = self.model.items
        return items

    def top_items(self, user_idx: Any, *, k: int, exclude_seen: bool = True, allowed: Mask | None = None) -> Any:
        """Lists of the items that are both in the mask and allowed."""
        both = self.mask if allowed is None else self.mask & allowed
        return self.model.top_items(user_idx, k=k, exclude_seen=exclude_seen, allowed=both)


def prepare() -> tuple[Catalog, Interactions, FeatureTable]:
    """The whole catalogue, the log, and the features of every article."""
    os.environ.setdefault("STYLEREC_DATA", str(ROOT.parent / "shared" / "data"))
    run_stages(Study.create(Path(__file__).with_name("hm_catalogue.toml"), RUN), FITTING[:-1])
    catalog = Catalog.load(RUN / "catalog.parquet")
    blocks = (FeatureBlock.load(RUN / "features", name) for name in (PHOTO, *COLUMNS))
    return catalog, Interactions.load(RUN / "interactions.parquet"), FeatureTable(IdMap.of(catalog.ids), tuple(blocks))


def space(name: str, config: Any, table: FeatureTable) -> dict[str, Range]:
    """Where a model's options are looked for; the columns share one weight of 1, the photo has its own."""
    if isinstance(config, Peer):
        return dict(PEER_SPACE)
    found = {k: v for k, v in space_of(config, table).items() if not k.startswith("weights.") or k.endswith(PHOTO)}
    return found | (dict(SHORT) if name.startswith("lightfm, photo") else {})


def tuned(name: str, config: Any, data: Dataset, trials: int, cut: float) -> tuple[Any, dict[str, Any]]:
    """The model with the best options found on the train side, and what the search says of itself."""
    start = time.perf_counter()
    found = tune(
        config,
        data,
        trials=trials,
        judge="halves",
        space=space(name, config, data.item_features),
        journal=RUN / "tune" / f"{name.replace(' ', '-').replace(',', '')}-{cut}.journal",
    )
    best = found.best
    options = {} if best is None else dict(best.options)
    about = {"now": found.now, "best": None if best is None else best.value, "options": options}
    failed = sum(t.state == "failed" for t in found.trials)
    spent = sum(t.seconds for t in found.trials)
    print(
        f"  {name:<36}{found.now:.4f} -> {found.now if best is None else best.value:.4f}  {spent:6.0f} s of trials"
        + (f", {failed} failed" if failed else "")
        + f"{time.perf_counter() - start:8.0f} s now",
        flush=True,
    )
    return with_options(config, options), about


def judge(
    fitted: Mapping[ModelKey, Any], parts: Split, data: Dataset, bought: Mask, *, trick: Mapping[ModelKey, Any]
) -> list[dict[str, Any]]:
    """Recall@20 and NDCG@20 of each pool."""
    warm, rows = data.is_warm, list[dict[str, Any]]()
    full = evaluate(fitted, parts.test, warm=warm, ks=(20,), segments=("all", "warm"))
    cold = evaluate(
        {k: Within(m, bought) for k, m in fitted.items()}, parts.test, warm=warm, ks=(20,), segments=("cold",)
    )
    leaking = evaluate(trick, parts.test, warm=warm, ks=(20,), segments=("all",))
    for pool, result in (("full", full), ("cold", cold), ("leaking", leaking)):
        for row in result.rows():
            segment = {"all": pool, "warm": "warm", "cold": "cold"}[row["segment"]]
            if row["metric"] in ("recall", "ndcg", "cold_share"):
                keep = {k: row.get(k) for k in ("model", "metric", "value", "low", "high", "n_users")}
                rows.append({"pool": segment, **keep})
    return rows


def one_cut(
    cut: float, catalog: Catalog, log: Interactions, table: FeatureTable, trials: int, best: dict[str, Any]
) -> dict[str, Any]:
    """Tune (unless ``trials`` is 0), fit and judge every model at one cut; ``best`` gets what was found."""
    parts = split(log, SplitConfig(quantile=cut))
    plain = Dataset.of(parts.train, catalog, item_features=table)
    data = Dataset.of(parts.train, catalog, item_features=table, half_life_days=HALF_LIFE_DAYS)
    bought = np.zeros(len(data.items), bool)
    bought[data.items.encode(log.frame["item_id"].unique())] = True
    choices = parts.test.frame[["user_id", "item_id"]].drop_duplicates()
    true_share = float(1 - data.is_warm[data.items.encode(choices["item_id"].to_numpy(dtype=object))].mean())
    print(
        f"\ncut {cut}: {len(data.weight)} interactions before, {true_share:.1%} of later choices are cold", flush=True
    )
    abouts, fitted, seconds = {}, {}, {}
    for name in best:
        side = plain if name == BASELINE else data
        if trials:
            best[name], abouts[name] = tuned(name, MODELS[name], side, trials, cut)
        start = time.perf_counter()
        with silenced():
            fitted[ModelKey.of(name)] = best[name].fit(side)
        seconds[name] = time.perf_counter() - start
    if all(name in best for name in MEMBERS):
        start = time.perf_counter()
        members = tuple(Member(best[n].fitted.model, to_mapping(best[n])) for n in MEMBERS)
        times = parts.test.frame["timestamp"]
        ensemble = Ensemble(members, horizon_days=float((times.max() - times.min()).days + 1))
        with silenced():
            made = ensemble.fit(data)
        fitted[ModelKey.of(ENSEMBLE)], seconds[ENSEMBLE] = made, time.perf_counter() - start
        abouts[ENSEMBLE] = {"weights_cold_warm": made.weights.tolist(), "offset": made.offset.tolist()}
    unseen = {
        ModelKey.of(TRICK): Within(
            fitted[ModelKey.of("content" if "content" in best else BASELINE)], bought & ~data.is_warm
        )
    }
    everything = {k: Within(m, bought) for k, m in fitted.items()}
    rows = judge(fitted, parts, data, bought, trick=everything | unseen)
    _print(rows, [k.model for k in fitted], seconds, true_share)
    return {"cut": cut, "true_cold_share": true_share, "rows": rows, "seconds": seconds, "tuning": abouts}


def _value(rows: list[dict[str, Any]], model: str, pool: str, metric: str) -> dict[str, Any]:
    return next(r for r in rows if (r["model"], r["pool"], r["metric"]) == (model, pool, metric))


def _print(rows: list[dict[str, Any]], names: list[str], seconds: Mapping[str, float], true_share: float) -> None:
    head = "".join(f"{f'{pool} recall@20':>24}" for pool in ("warm", "cold", "full"))
    print(f"\n{'':<38}{head}{f'cold share ({true_share:.0%})':>20}{'fit s':>8}")
    for name in names:
        cells = [_value(rows, name, pool, "recall") for pool in ("warm", "cold", "full")]
        text = "".join(f"{c['value']:>9.4f} [{c['low']:.4f}, {c['high']:.4f}]"[:24].rjust(24) for c in cells)
        share = _value(rows, name, "full", "cold_share")["value"]
        print(f"{name:<38}{text}{share:>20.1%}{seconds[name]:>8.1f}", flush=True)
    trick, best = (_value(rows, n, "leaking", "recall")["value"] for n in (TRICK, names[-1]))
    print(f"{TRICK:<38}{trick:.4f} of the pool of bought articles, where {names[-1]} has {best:.4f}", flush=True)


def summary(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over the cuts, with the standard error of a mean of that many cuts beside."""
    names = list(dict.fromkeys(r["model"] for r in found[0]["rows"] if r["pool"] == "full"))
    table = []
    print(f"\n{'mean over the cuts':<38}{'warm':>10}{'cold':>10}{'full':>10}{'cold share off by':>20}")
    for name in names:
        row: dict[str, Any] = {"model": name}
        for pool in ("warm", "cold", "full"):
            row[pool] = float(np.mean([_value(f["rows"], name, pool, "recall")["value"] for f in found]))
        off = [_value(f["rows"], name, "full", "cold_share")["value"] - f["true_cold_share"] for f in found]
        row["cold_share_off_by"] = off
        table.append(row)
        print(
            f"{name:<38}{row['warm']:>10.4f}{row['cold']:>10.4f}{row['full']:>10.4f}"
            f"{' '.join(f'{100 * o:+.0f}' for o in off):>20}"
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=12)
    parser.add_argument("--tune-at", type=float, nargs="+", default=[0.6, 0.8])
    parser.add_argument("--cuts", type=float, nargs="+", default=[0.6, 0.7, 0.8, 0.9])
    parser.add_argument("--models", nargs="+", help="beginnings of names; default all")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="lightfm")
    chosen = {n: m for n, m in MODELS.items() if not options.models or n.startswith(tuple(options.models))}
    if importlib.util.find_spec("irspack") is None:
        chosen.pop("irspack ials, photo + columns", None)
        print("irspack cannot be imported; its row is left out")
    catalog, log, table = prepare()
    found = [
        one_cut(cut, catalog, log, table, options.trials if cut in options.tune_at else 0, chosen)
        for cut in options.cuts
    ]
    name = "hm_models.json" if not options.models else "hm_models-some.json"
    write_json(
        ROOT / "benchmarks" / "results" / name, {"trials": options.trials, "cuts": found, "mean": summary(found)}
    )


if __name__ == "__main__":
    main()
