"""Read the tables, look at every photo, and say what cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from recsys.config import to_mapping
from recsys.data.catalog import Catalog
from recsys.data.interactions import Interactions
from recsys.data.source import REJECTED
from recsys.data.weighting import event_factors
from recsys.errors import DataError
from recsys.files import atomic_write, file_hash, stable_hash, write_json
from recsys.rerank.chain import check_steps, steps_from
from study.run import Stage, Study, Work
from style.images import check_images
from style.imagestore import ImageStore


def source_hash(path: str, base: Path) -> str:
    """The content hash of a table or zip; of names, sizes and times for a folder; of a query and its database."""
    if path.startswith("duckdb:"):
        database, _, query = path.removeprefix("duckdb:").partition("?")
        return stable_hash([file_hash(base / database), query])
    place = base / path
    if place.is_dir():
        files = sorted(p for p in place.rglob("*") if p.is_file())
        return stable_hash([[str(p.relative_to(place)), p.stat().st_size, p.stat().st_mtime_ns] for p in files])
    if not place.exists():
        raise DataError(f"{path} does not exist (looked in {base}); mend the path in the study file")
    return file_hash(place)


def source_hashes(study: Study) -> dict[str, str]:
    """What the study was made from."""
    catalog, interactions = study.config.catalog, study.config.interactions
    paths = {"catalog": catalog.path, "images": catalog.images, "interactions": interactions.path}
    return {name: source_hash(path, study.base) for name, path in paths.items() if path}


def read_tables(study: Study) -> tuple[Catalog, Interactions]:
    """The catalogue and the interactions of a study file.

    Raises:
        ConfigError: A re-ranking rule asks for a column or block that there is not.
        DataError: A source cannot be used, or has an event without a weight.
    """
    c, i = study.config.catalog, study.config.interactions
    catalog = Catalog.read(c.path, columns=c.columns, where=c.where, base=study.base)
    log = Interactions.read(i.path, columns=i.columns, base=study.base, catalog=catalog)
    if i.event_weights:
        event_factors(log.frame["event"], i.event_weights)
    columns = [str(c) for c in catalog.frame.columns]
    check_steps(steps_from(study.config.rerank), columns=columns, blocks=study.config.features.names)
    return catalog, log


def open_images(study: Study) -> ImageStore | None:
    """The photos, or None where the study has none."""
    images = study.config.catalog.images
    return ImageStore.open(study.base / images) if images else None


def examine(study: Study, catalog: Catalog) -> pd.DataFrame:
    """Every item's photo: item_id, image, status (ok, note, bad), reason."""
    store = open_images(study)
    if store is None:
        return pd.DataFrame({"item_id": catalog.ids, "image": "", "status": "bad", "reason": "the study has no images"})
    with store:
        return check_images(catalog, store)


def rejected_images(images: pd.DataFrame) -> pd.DataFrame:
    """The unusable photos as rows of the rejected table; a study without photos rejects none."""
    bad = images[(images["status"] == "bad") & (images["image"] != "")]
    rows = {
        "source": "images",
        "row": -1,
        "id": bad["item_id"],
        "field": "image",
        "reason": bad["reason"],
        "value": bad["image"],
    }
    return pd.DataFrame(rows, columns=list(REJECTED))


def _ingest(study: Study) -> Work:
    catalog, interactions = read_tables(study)
    images = examine(study, catalog)
    catalog.save(study.folder / "catalog.parquet")
    interactions.save(study.folder / "interactions.parquet")
    _write_frame(images, study.folder / "images.parquet")
    rejected = [f for f in (catalog.rejected, interactions.rejected, rejected_images(images)) if len(f)]
    columns = list(REJECTED)
    frame = pd.concat(rejected, ignore_index=True) if rejected else pd.DataFrame(columns=columns)
    _write_frame(
        frame.astype({"row": "int64"} | {c: str for c in columns if c != "row"}),
        study.folder / "rejected.parquet",
    )
    left_out = {"items": catalog.n_filtered, "interactions": interactions.n_filtered}
    about = {"filtered": left_out, "hashes": source_hashes(study)}
    write_json(study.folder / "ingest.json", about)
    return Work(len(catalog) + len(interactions.frame), "rows")


def _write_frame(frame: pd.DataFrame, path: Path) -> None:
    with atomic_write(path) as file:
        frame.to_parquet(file, index=False)


def _inputs(study: Study) -> Mapping[str, Any]:
    interactions = study.config.interactions
    return {
        "catalog": to_mapping(study.config.catalog),
        "interactions": {k: v for k, v in to_mapping(interactions).items() if k not in interactions.weighting},
        "content": source_hashes(study),
    }


INGEST = Stage(
    "ingest",
    (),
    _inputs,
    _ingest,
    ("catalog.parquet", "interactions.parquet", "images.parquet", "rejected.parquet", "ingest.json"),
)
