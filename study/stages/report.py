"""Gather every number into metrics.json and write the report people read."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from evaluation.report import Document, compare, document, to_html, to_markdown
from recsys.config import to_mapping
from recsys.data.catalog import Catalog
from recsys.data.interactions import Interactions
from recsys.data.presentation import Presentations
from recsys.data.recommendations import ORIGINAL
from recsys.data.source import REJECTED, summarize_rejected
from recsys.data.stored import load_frame
from recsys.errors import ArtifactError, ImageError
from recsys.files import atomic_write, read_json, write_json
from study.exposure import shown
from study.folder import StudyFolder
from study.people import people
from study.results import metrics
from study.run import Stage, Study, Work
from study.stages.ingest import open_images
from study.stages.looks import usable_photos
from style.images import decode
from style.imagestore import ImageStore

GALLERY_ITEMS = 24
SEEN_GOOD, SEEN_BAD = 4, 2
"""Items without and with a rejected look among those that are seen at once."""
SCORES = ("ssim", "edge", "cosine", "product_delta_e")


def gather(study: Study) -> dict[str, Any]:
    """metrics.json: every number the report shows, as far as the study has run."""
    catalog = Catalog.load(study.folder / "catalog.parquet").frame
    has_looks = (study.folder / "presentations.parquet").is_file()
    made = Presentations.load(study.folder / "presentations.parquet").frame if has_looks else None
    has_models = (study.folder / "models").is_dir() and study.folder.entry("fit") is not None
    rng = np.random.default_rng(study.config.seed)
    return {
        "study": _provenance(study),
        "data": _data(study),
        "features": _blocks(study),
        "looks": [] if made is None else [_look(look, made[made["look"] == look]) for look in study.looks],
        "offline": _read(study, "offline.json"),
        "ab": _read(study, "ab.json"),
        "rehearsal": _read(study, "rehearsal.json"),
        "exposure": shown(study) if has_models else {},
        "gallery": _gallery(catalog, made, rng) if made is not None and len(made) else [],
        "people": people(study, catalog, rng) if has_models else [],
        "cost": _cost(study),
        **_beside(study),
    }


def write_report(run: Path) -> Path:
    """Write report.html, .md and .json anew from metrics.json, the pictures, and what was judged since.

    A real test (experiment.json, by ``stylerec analyze``) and a policy judged by a log (ope.json, by
    ``stylerec ope``) that lie in the folder are taken up. A study that did not run to its end is reported as far as it
    came.
    """
    study = Study.open(run)
    if not (study.folder / "metrics.json").is_file():
        found = gather(study)
        return _render(study, found | {"study": found["study"] | {"unfinished": True}})
    found = metrics(study.folder)
    if beside := _beside(study):
        found |= beside
        write_json(study.folder / "metrics.json", found)
    return _render(study, found)


def _beside(study: Study) -> dict[str, Any]:
    """What other commands left in the folder."""
    return {name: found for name in ("experiment", "ope") if (found := _read(study, f"{name}.json"))}


def _read(study: Study, name: str) -> dict[str, Any]:
    path = study.folder / name
    found = read_json(path) if path.is_file() else {}
    if not isinstance(found, dict):
        raise ArtifactError(f"{path} must hold a JSON object, got a {type(found).__name__}; write it again")
    return found


def _report(study: Study) -> Work:
    found = gather(study)
    write_json(study.folder / "metrics.json", found)
    _render(study, found)
    return Work(1, "reports")


def _render(study: Study, found: Mapping[str, Any]) -> Path:
    store = open_images(study)
    report = document(found, _Pictures(study, store).image)
    if store is not None:
        store.close()
    return write_document(report, study.folder / "report.html")


def write_comparison(a: Path, b: Path, path: Path) -> Path:
    """Two studies side by side in a page, and beside it the same as Markdown and JSON.

    Raises:
        ArtifactError: One did not run to its end.
    """
    return write_document(compare(metrics(StudyFolder.open(a)), metrics(StudyFolder.open(b))), path)


def write_document(report: Document, path: Path) -> Path:
    """A report as HTML, and beside it the same as Markdown and JSON."""
    write_json(path.with_suffix(".json"), report.to_json())
    for target, text in ((path.with_suffix(".md"), to_markdown(report)), (path, to_html(report))):
        with atomic_write(target, "w") as file:
            file.write(text)
    return path


class _Pictures:
    """The picture of an item in a look, for the report's thumbnails."""

    def __init__(self, study: Study, store: ImageStore | None) -> None:
        self.folder, self.store, self.photos = study.folder, store, usable_photos(study)
        self.paths: dict[tuple[str, str], str] = {}
        path = study.folder / "presentations.parquet"
        if path.is_file():
            made = Presentations.load(path).frame
            drawn = made[made["image"] != ""]
            keys = zip(drawn["item_id"], drawn["look"], strict=True)
            self.paths = dict(zip(keys, map(str, drawn["image"]), strict=True))

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
    parts = [good[:SEEN_GOOD], bad[:SEEN_BAD], good[SEEN_GOOD:], bad[SEEN_BAD:]]
    chosen = pd.concat(parts)[["item_id", "title", "category"]]
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


NEEDS = ("ingest", "looks", "features", "fit", "offline", "simulated A/B", "rehearsals")
REPORT = Stage("report", NEEDS, _inputs, _report, ("metrics.json", "report.html", "report.md", "report.json"))
