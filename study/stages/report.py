"""Gather every number into metrics.json and write the report people read."""

from __future__ import annotations

import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from evaluation.report import render
from recsys.config import to_mapping
from recsys.data.catalog import Catalog
from recsys.data.interactions import Interactions
from recsys.data.presentation import Presentations
from recsys.data.recommendations import ORIGINAL
from recsys.data.source import REJECTED, summarize_rejected
from recsys.data.stored import load_frame
from recsys.errors import ImageError
from recsys.files import atomic_write, read_json, write_json
from study.learning import split_of
from study.results import metrics
from study.run import Stage, Study, Work
from study.serving import BEST, open_model, present, titles
from study.stages.experiment import chosen_model
from study.stages.ingest import open_images
from study.stages.looks import usable_photos
from style.images import decode
from style.imagestore import ImageStore

GALLERY_ITEMS, PEOPLE, HISTORY, LIST = 24, 6, 8, 8
SCORES = ("ssim", "edge", "cosine", "product_delta_e")


def gather(study: Study) -> dict[str, Any]:
    """metrics.json: every number the report shows."""
    catalog = Catalog.load(study.folder / "catalog.parquet").frame
    made = Presentations.load(study.folder / "presentations.parquet").frame
    rng = np.random.default_rng(study.config.seed)
    return {
        "study": _provenance(study),
        "data": _data(study),
        "features": _blocks(study),
        "looks": [_look(look, made[made["look"] == look]) for look in study.looks],
        "offline": read_json(study.folder / "offline.json"),
        "ab": read_json(study.folder / "ab.json"),
        "gallery": _gallery(catalog, made, rng) if len(made) else [],
        "people": _people(study, catalog, rng),
        "cost": _cost(study),
    }


def write_report(run: Path) -> Path:
    """Write report.html anew from metrics.json and the pictures of a finished study."""
    return _render(Study.open(run))


def _report(study: Study) -> Work:
    write_json(study.folder / "metrics.json", gather(study))
    _render(study)
    return Work(1, "reports")


def _render(study: Study) -> Path:
    path = study.folder / "report.html"
    store = open_images(study)
    pictures = _Pictures(study, store)
    html = render(metrics(study.folder), pictures.image)
    if store is not None:
        store.close()
    with atomic_write(path, "w") as file:
        file.write(html)
    return path


class _Pictures:
    """The picture of an item in a look, for the report's thumbnails."""

    def __init__(self, study: Study, store: ImageStore | None) -> None:
        self.folder, self.store, self.photos = study.folder, store, usable_photos(study)
        made = Presentations.load(study.folder / "presentations.parquet").frame
        shown = made[made["image"] != ""]
        self.paths = dict(zip(zip(shown["item_id"], shown["look"], strict=True), map(str, shown["image"]), strict=True))

    def image(self, item_id: str, look: str) -> Image.Image | None:
        """None where there is no picture."""
        try:
            data = self._read(item_id, look)
            return None if data is None else Image.fromarray(decode(data).pixels)
        except ImageError:  # the page shows a placeholder where the picture should be
            return None

    def _read(self, item_id: str, look: str) -> bytes | None:
        if look != ORIGINAL:
            path = self.paths.get((item_id, look))
            return None if path is None else (self.folder / path).read_bytes()
        if self.store is None or item_id not in self.photos:
            return None
        return self.store.read(self.photos[item_id])


def _provenance(study: Study) -> dict[str, Any]:
    packages = ("stylerec", "numpy", "scipy", "pandas", "torch", "torchvision", "implicit", "pillow")
    return {
        "name": _name(study.folder.path.resolve()),
        "created": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "seed": study.config.seed,
        "command": " ".join(["stylerec", *map(str, sys.argv[1:])]),
        "versions": {"python": platform.python_version()} | {p: version(p) for p in packages},
        "hashes": read_json(study.folder / "ingest.json")["hashes"],
        "config": to_mapping(study.config),
    }


def _name(folder: Path) -> str:
    return folder.parent.name if folder.name == "run" else folder.name


def _data(study: Study) -> dict[str, Any]:
    frame = Interactions.load(study.folder / "interactions.parquet").frame
    images = load_frame(study.folder / "images.parquet", needs=("item_id", "status", "reason"))
    status = images["status"].value_counts()
    times = frame["timestamp"].dropna()
    problems = images[images["status"] == "bad"].head(50)
    return {
        "items": len(images),
        "users": int(frame["user_id"].nunique()),
        "interactions": len(frame),
        "first": str(times.min().date()) if len(times) else None,
        "last": str(times.max().date()) if len(times) else None,
        "filtered": read_json(study.folder / "ingest.json")["filtered"],
        "rejected": summarize_rejected(load_frame(study.folder / "rejected.parquet", needs=REJECTED)),
        "images": {key: int(status.get(key, 0)) for key in ("ok", "note", "bad")},
        "image_problems": problems[["item_id", "reason"]].to_dict(orient="records"),
    }


def _blocks(study: Study) -> list[dict[str, Any]]:
    folder = study.folder / "features"
    paths = sorted(folder.glob("*.json"))
    about = [read_json(path) for path in paths]
    return [{"block": a["name"], "dims": a["shape"][1], "encoder": a["provenance"].get("encoder")} for a in about]


def _look(name: str, rows: pd.DataFrame) -> dict[str, Any]:
    scores = {}
    for score in SCORES:
        values = rows.get(f"score_{score}", pd.Series(dtype=float)).dropna()
        if len(values):
            p05, median, p95 = values.quantile([0.05, 0.5, 0.95])
            scores[score] = {"p05": float(p05), "median": float(median), "p95": float(p95)}
    reasons = rows.loc[~rows["accepted"], "reason"].map(_kind_of).value_counts()
    accepted = int(rows["accepted"].sum())
    return {
        "look": name,
        "made": len(rows),
        "accepted": accepted,
        "rejected": len(rows) - accepted,
        "reasons": {str(k): int(v) for k, v in reasons.items()},
        "scores": scores,
    }


def _kind_of(reason: str) -> str:
    """A reason without its numbers, so that like ones count together."""
    return reason.split(":")[0].split(" (")[0]


def _gallery(catalog: pd.DataFrame, made: pd.DataFrame, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Items over all categories; about a third of them with a rejected look, so that rejections can be judged."""
    rejected = set(made.loc[~made["accepted"], "item_id"])
    shown = catalog[catalog["item_id"].isin(set(made["item_id"]))].sample(frac=1, random_state=rng)
    shown = shown.assign(order=shown.groupby("category").cumcount()).sort_values("order", kind="stable")
    bad = shown[shown["item_id"].isin(rejected)].head(GALLERY_ITEMS // 3)
    good = shown[~shown["item_id"].isin(rejected)].head(GALLERY_ITEMS - len(bad))
    chosen = pd.concat([good, bad])[["item_id", "title", "category"]]
    by_item = {str(item): rows for item, rows in made[made["item_id"].isin(chosen["item_id"])].groupby("item_id")}
    rows = zip(*(chosen[c] for c in chosen.columns), strict=True)
    return [dict(zip(chosen.columns, row, strict=True)) | {"looks": _gallery_looks(by_item[row[0]])} for row in rows]


def _gallery_looks(rows: pd.DataFrame) -> list[dict[str, Any]]:
    found = []
    for row in rows.to_dict(orient="records"):
        scores = {s: row[f"score_{s}"] for s in SCORES if not pd.isna(row.get(f"score_{s}", np.nan))}
        one = {"look": row["look"], "accepted": row["accepted"], "reason": row["reason"], "scores": scores}
        found.append(one | ({"strength": row["strength"]} if row.get("strength", 1.0) < 1 else {}))
    return found


def _people(study: Study, catalog: pd.DataFrame, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Some users with a history worth looking at, and what they would be shown."""
    log = Interactions.load(study.folder / "interactions.parquet").frame
    counts = log.groupby("user_id")["item_id"].nunique()
    able = counts.index[counts >= min(4, int(counts.max()))].to_numpy(dtype=object)
    users = list(rng.choice(able, size=min(PEOPLE, len(able)), replace=False))
    recs = open_model(study.folder.path, chosen_model(study)).recommend(users, k=LIST)
    frame = recs.to_frame()
    if study.looks and study.config.catalog.images:
        frame = present(study, chosen_model(study), recs, BEST, say=lambda line: None)
    names, cold = titles(catalog), _cold_items(study, catalog)
    lists = {user: rows for user, rows in frame.groupby("user_id")}
    return [
        {
            "user_id": user,
            "history": [{"item_id": i, "title": names[i]} for i in _latest(log, user)],
            "recommendations": [
                row | {"title": names[row["item_id"]], "cold": row["item_id"] in cold}
                for row in lists[user].drop(columns="user_id").to_dict(orient="records")
            ],
        }
        for user in users
        if user in lists
    ]


def _latest(frame: pd.DataFrame, user: str) -> list[str]:
    mine = frame[frame["user_id"] == user]
    return list(dict.fromkeys(mine["item_id"].iloc[::-1]))[:HISTORY]


def _cold_items(study: Study, catalog: pd.DataFrame) -> set[str]:
    """Items nobody had bought before the split."""
    if study.config.split.kind == "none":
        return set()
    return set(catalog["item_id"]) - set(split_of(study).train.frame["item_id"])


def _cost(study: Study) -> list[dict[str, Any]]:
    stages = study.folder.ledger()["stages"]
    keys = ("seconds", "peak_memory_mb", "work", "unit")
    return [
        {"stage": name} | {k: entry[k] for k in keys} | {"reused": False}
        for name, entry in stages.items()
        if name != "report"
    ]


def _inputs(study: Study) -> Any:
    return {"seed": study.config.seed}


NEEDS = ("ingest", "looks", "features", "fit", "offline", "simulated A/B")
REPORT = Stage("report", NEEDS, _inputs, _report, ("metrics.json", "report.html"))
